"""The signal of a light: decoded, its zero level subtracted, what is saturated marked."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flatfield.combine.demosaicing import interpolate_bilinear, interpolate_box
from flatfield.files.errors import CalibrationError
from flatfield.files.fits import cite_file, describe_frames
from flatfield.files.frame_table import FrameRecord, check_unchanged, find_frame, read_frames
from flatfield.files.tables import number_of
from flatfield.measure import calibration
from flatfield.measure.boxes import locate_box
from flatfield.raw.decode import Frame, black_beside_bias, signal
from flatfield.raw.decoded import read_again
from flatfield.raw.mosaic import read_mosaic

#: What the values of ``MASK`` of a light mean.
MASK_MARKS = {
    "lowflat": (calibration.MASKED_FLAT, "value: flat too low"),
    "satur": (calibration.MASKED_SATURATED, "value: saturated"),
    "unknown": (calibration.MASKED_UNKNOWN, "value: not finite"),
}


class Offset:
    """Zero level of lights: the dark scaled to the exposure, or the bias.

    Parameters
    ----------
    bias, dark : str or None
        Masters of the offset and dark frames.
    dark_inventory : str or None
        ``dark.tsv``.
    """

    def __init__(self, bias=None, dark=None, dark_inventory=None):
        self.masters = [read_mosaic(path, error=True) if path else None for path in (bias, dark)]
        self.dark_exposure = read_frames(dark_inventory)[0].exposure_s if dark_inventory else None

    def at(self, exposure):
        """Value and standard error, DN, for an exposure (s, or None); see `calibration.master_offset`."""
        bias, dark = ((each.value, each.error) if each else None for each in self.masters)
        return calibration.master_offset(bias, dark, exposure, self.dark_exposure)


@dataclass
class LightFrame:
    """A light frame.

    Attributes
    ----------
    frame : flatfield.raw.decode.Frame
        As decoded.
    record : FrameRecord
        Its row of ``frames.tsv``.
    signal : numpy.ndarray, float32, ``(rows, columns)``
        DN above black.
    offset, offset_error : numpy.ndarray, float32, ``(rows, columns)``, or None
        What was subtracted instead of the black level of the metadata, and its standard error, DN.
    """

    frame: Frame
    record: FrameRecord
    signal: np.ndarray
    offset: np.ndarray | None
    offset_error: np.ndarray | None

    @property
    def cfa(self):
        return self.frame.cfa

    @cached_property
    def saturation(self):
        """Level at which pixels saturate, DN: where they pile up, or the white level; None if neither is known.

        A dark or blank frame piles up near black, which is no saturation.
        """
        piled_up, white, black = self.record.saturation_dn, self.frame.white, float(np.mean(self.frame.black))
        if piled_up is not None and (white is None or piled_up - black > BLANK * (white - black)):
            return piled_up
        return white

    @property
    def saturated_signal(self):
        """The same above black; None if it is not known."""
        if self.saturation is None:
            return None
        return float(self.saturation - (np.mean(self.frame.black) if self.offset is None else np.median(self.offset)))


def read_light(path, file, inventory, offset, overscan):
    """Read a light frame, which must be the file that was inspected.

    Parameters
    ----------
    path : str
    file : str
        Its name in the inventory.
    inventory : str
        ``frames.tsv`` of the light.
    offset : Offset
    overscan : bool

    Returns
    -------
    LightFrame

    Raises
    ------
    FrameError
        If it cannot be read, or changed since it was inspected.
    """
    record = find_frame(read_frames(inventory), file)
    frame = read_again(path, record.sha256, overscan)
    check_unchanged([path], [record], inventory)
    value, error = (None, None) if frame.metadata.has_no_offset else offset.at(frame.metadata.exposure)
    black = black_beside_bias(frame.black, value is not None, overscan)
    return LightFrame(frame, record, signal(frame.mosaic[None], black[None], frame.cfa, value)[0], value, error)


def check_inspected(path, file, inventory):
    """Record of a frame that was just read, which must be the file that was inspected; see `check_unchanged`."""
    record = find_frame(read_frames(inventory), file)
    check_unchanged([path], [record], inventory)
    return record


#: Part of the sides of a frame that picture and flat may differ by, as raw converters cut borders.
CROP = 0.02


def check_shape(frame, shape, flat_shape):
    """A picture may be of another size than the flat, but not of another form."""
    ratios = [rows / columns for rows, columns in (shape, flat_shape)]
    if abs(ratios[0] / ratios[1] - 1) > CROP:
        raise CalibrationError(
            f"light {frame} is {shape[0]} x {shape[1]} pixels and its flat {flat_shape[0]} x {flat_shape[1]}: it was "
            "cropped or turned; take the whole picture, as the sensor lies"
        )


#: Part of the range below which values that pile up are those of a blank frame.
BLANK = 0.05


def norms_of_mosaic(mosaic, normalise, center, name):
    """What becomes 1 in each channel of a mosaic flat, DN; see `flatfield.measure.calibration.measure_norms`.

    Parameters
    ----------
    mosaic : flatfield.raw.mosaic.Mosaic
    normalise : {"center", "mean", "max"}
    center : dict
        Box ``center`` of the configuration.
    name : str
        For messages.
    """
    if normalise == "center":
        planes = interpolate_box(mosaic.value, mosaic.cfa, locate_box("center", center, mosaic.shape))
    else:
        planes = interpolate_bilinear(mosaic.value, mosaic.cfa)
    return calibration.measure_norms(planes, mosaic.cfa.channels, normalise, name)


def describe_light(record, bias, dark, flat, normalise, correct, level):
    """Header of the products of a light.

    Parameters
    ----------
    record : FrameRecord
    bias, dark : str or None
        Masters that were subtracted.
    flat : str
        Mosaic that it was divided by.
    normalise, correct : str
        Keys of the section ``apply``.
    level : float or None
        Signal at saturation, DN.
    """
    header = describe_frames([record])
    header["IMAGETYP"] = "Light Frame"
    for keyword, path in (("BIAS", bias), ("DARK", dark)):
        if path:
            header.update(cite_file(keyword, path, "subtracted"))
    header.update(cite_file("FLAT", flat, "divided by"))
    header["NORMALIS"] = (normalise, "what was made 1 in the flat")
    header["CORRECT"] = (correct, "what of the flat was divided by")
    if level is not None:
        header["SATURATE"] = (level, "[DN] saturated pixels are at least this")
    return header


def describe_noise(cameras, flat_iso, light_iso):
    """Gain and read noise of a light, from those that the flats tell.

    Parameters
    ----------
    cameras : list of dict
        ``noise.tsv``.
    flat_iso, light_iso : float or None

    Returns
    -------
    dict or None
        gains (e-/DN, scaled with ISO) and read_noises (e-, 0 where not determined) of the channels, and cards for
        the header; None where a gain is not determined, or one ISO is known and the other is not.
    """
    gains = [number_of(row["gain_e_per_dn"]) for row in cameras]
    if None in gains or (flat_iso is None) != (light_iso is None):
        return None
    ratio = flat_iso / light_iso if flat_iso else 1.0
    read_noises = [number_of(row["read_noise_e"]) for row in cameras]
    cards = []
    for row, gain, read_noise in zip(cameras, gains, read_noises, strict=True):
        letter = row["channel"][0]
        how = "of the flats" if ratio == 1 else "of the flats, scaled with ISO"
        cards.append((f"GAIN_{letter}", gain * ratio, f"[e-/DN] {row['channel']}, {how}"))
        if read_noise is not None:
            cards.append((f"RDNOIS_{letter}", read_noise, f"[e-] {row['channel']}, of the flats"))
    return {
        "gains": [gain * ratio for gain in gains],
        "read_noises": [read_noise or 0.0 for read_noise in read_noises],
        "cards": cards,
    }
