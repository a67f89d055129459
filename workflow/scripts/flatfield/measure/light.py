"""The signal of a light: decoded, its zero level subtracted, what is saturated marked."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flatfield.combine.demosaicing import interpolate_bilinear, interpolate_box
from flatfield.files.errors import CalibrationError
from flatfield.files.fits import cite_file, describe_frames
from flatfield.files.frame_table import FrameRecord, check_unchanged, find_frame, read_frames
from flatfield.measure import calibration
from flatfield.measure.boxes import locate_box
from flatfield.measure.light_noise import frame_variances
from flatfield.measure.straightening import AS_RECORDED, Linearity
from flatfield.raw.cfa import CHANNEL_OF_COLOR
from flatfield.raw.decode import Frame, black_beside_bias, signal
from flatfield.raw.decoded import read_again

#: What the values of ``MASK`` of a light mean.
MASK_MARKS = {
    "lowflat": (calibration.MASKED_FLAT, "value: flat too low"),
    "satur": (calibration.MASKED_SATURATED, "value: saturated"),
    "unknown": (calibration.MASKED_UNKNOWN, "value: not finite"),
}


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
    read_variances : list of float, or None
        Noise of one of the offset frames for each channel, DN^2, where they are of the ISO of the light.
    linearity : flatfield.measure.straightening.Linearity
        By which the signal was corrected, if at all.
    """

    frame: Frame
    record: FrameRecord
    signal: np.ndarray
    offset: np.ndarray | None
    offset_error: np.ndarray | None
    read_variances: list | None = None
    linearity: Linearity = AS_RECORDED

    @property
    def cfa(self):
        return self.frame.cfa

    @cached_property
    def saturations(self):
        """Level at which each channel saturates, DN: measured, or the white level; None where neither is known.

        A dark or blank frame piles up near black, which is no saturation.
        """
        white, black, levels = self.frame.white, float(np.mean(self.frame.black)), []
        for channel in self.cfa.channels:
            measured = self.record.saturations_dn.get(channel)
            real = measured is not None and (white is None or measured - black > BLANK * (white - black))
            levels.append(measured if real else white)
        return levels

    @property
    def saturated_signals(self):
        """The same above black; NaN where it is not known."""
        zero = np.mean(self.frame.black) if self.offset is None else np.median(self.offset)
        levels = np.array([np.nan if level is None else level - zero for level in self.saturations], np.float32)
        return self.linearity.straighten(levels)

    def raise_saturated(self, value):
        """Set saturated pixels of a calibrated light to at least the signal at saturation, and return which they are.

        Parameters
        ----------
        value : numpy.ndarray, float32, ``(rows, columns)``
            Changed in place.

        Returns
        -------
        numpy.ndarray of bool, ``(rows, columns)``
        """
        saturated, p = np.zeros(value.shape, bool), self.cfa.period
        for i, j, color in self.cfa.phases():
            channel, part = CHANNEL_OF_COLOR[color], np.s_[i::p, j::p]
            if self.saturations[channel] is not None:
                here = self.frame.mosaic[part] >= self.saturations[channel]
                if here.any():
                    saturated[part] = here
                    value[part][here] = np.fmax(value[part][here], self.saturated_signals[channel])
        return saturated


def read_light(path, file, inventory, offset, reading, linearity=AS_RECORDED):
    """Read a light frame, which must be the file that was inspected.

    Parameters
    ----------
    path : str
    file : str
        Its name in the inventory.
    inventory : str
        ``frames.tsv`` of the light.
    offset : flatfield.measure.offset.Offset
    reading : bool or dict
        How frames are read, see `flatfield.raw.decode.Reading`.
    linearity : flatfield.measure.straightening.Linearity, optional
        By which the signal is corrected.

    Returns
    -------
    LightFrame

    Raises
    ------
    FrameError
        If it cannot be read, or changed since it was inspected.
    """
    record = find_frame(read_frames(inventory), file)
    frame = read_again(path, record.sha256, reading)
    check_unchanged([path], [record], inventory)
    value, error = (None, None) if frame.metadata.has_no_offset else offset.at(frame.metadata.exposure)
    black = black_beside_bias(frame.black, value is not None, reading)
    recorded = signal(frame.mosaic[None], black[None], frame.cfa, value)[0]
    recorded = linearity.straighten(recorded)
    return LightFrame(frame, record, recorded, value, error, noise_of_offset(offset, frame.metadata.iso), linearity)


def noise_of_offset(offset, iso):
    """Variance of one offset frame for each channel, DN^2, where these were taken at an ISO; None otherwise."""
    for master in offset.masters:
        if master and master.header.get("ISOSPEED") == iso:
            return frame_variances(master)
    return None


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


def describe_light(record, bias, dark, flat, normalise, correct, level, linearity):
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
    linearity : flatfield.measure.straightening.Linearity
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
    if linearity.meaning is not None:
        header["LINEAR"] = ("corrected" if linearity.is_found else "as recorded", "light and flat, for linearity")
    if linearity.is_found:
        header["LINCURV"] = (linearity.curvature, "[1/DN] q: x - q x^2 was recorded of light x")
        header["LINERROR"] = (linearity.error, "[1/DN] standard error of q, which is in UNCERT")
        header["LINRANGE"] = (linearity.highest, "[DN] highest level that was compared")
    return header
