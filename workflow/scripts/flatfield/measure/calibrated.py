"""A light divided by its flat: value, error, mask, header."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from flatfield.combine.demosaicing import interpolate_bilinear, interpolate_box
from flatfield.files.fits import describe_mosaic
from flatfield.measure import calibration
from flatfield.measure.light import describe_light, norms_of_mosaic
from flatfield.measure.light_noise import describe_noise
from flatfield.raw.mosaic import Mosaic


@dataclass(frozen=True)
class Divisor:
    """What a light is divided by.

    Attributes
    ----------
    norms : numpy.ndarray, ``(channels,)``, DN
        What became 1 in each channel.
    whole, applied : numpy.ndarray, float32, ``(rows, columns)``
        The normalised flat, and the part of it that is applied: all, its colour or its brightness.
    """

    norms: np.ndarray
    whole: np.ndarray
    applied: np.ndarray


@dataclass(frozen=True)
class CalibratedLight:
    """A light divided by its flat.

    Attributes
    ----------
    mosaic : Mosaic
        DN above black, with mask, and error where the gain is known.
    divisor : numpy.ndarray, float32, ``(rows, columns)``
        What it was divided by, relative.
    """

    mosaic: Mosaic
    divisor: np.ndarray


def calibrate_light(light, flat, model, cameras, apply, center, names):
    """Divide a light by its flat.

    Parameters
    ----------
    light : flatfield.measure.light.LightFrame
    flat : Mosaic
        With error.
    model : Mosaic or None
        Its smooth model with its error, where only colour or brightness is corrected.
    cameras : list of dict
        Rows of ``noise.tsv``.
    apply : dict
        Keys of the configuration: normalise, correct, lowest_flat.
    center : dict
        Box ``center``.
    names : dict
        Paths of flat, bias, dark and model, or None, for headers and messages.

    Returns
    -------
    CalibratedLight

    Raises
    ------
    CalibrationError
        If light and flat do not fit, or the flat cannot be normalised.
    """
    cfa, name = light.cfa, names["flat"]
    calibration.check_fit(light.record.file, light.signal.shape, cfa.name, name, flat.shape, flat.cfa.name)
    found = divisor_of(flat, model, apply, center, names)
    norms, whole, divisor = found.norms, found.whole, found.applied
    value = calibration.divide(light.signal, divisor)
    saturated, levels = light.raise_saturated(value), light.saturated_signals
    level = float(np.nanmin(levels)) if np.isfinite(levels).any() else None
    mask = calibration.mask_light(value, whole, saturated, apply["lowest_flat"])
    header = describe_light(
        light.record, names["bias"], names["dark"], name, apply["normalise"], apply["correct"], level, light.linearity
    )
    camera = describe_noise(cameras, flat.header.get("ISOSPEED"), light)
    error = None
    if camera:
        header.update(describe_mosaic(cfa.name))
        header["BUNIT"] = ("DN", "unit of the pixels")
        header.extend(camera["cards"])
        flat_error = calibration.normalise_mosaic(flat.error, cfa, norms)
        if divisor is not whole:  # the error of the colour is taken for that of the model of the channel
            relative = calibration.divide(model.error, model.value)
            if apply["correct"] == "brightness":
                relative = np.hypot(relative, calibration.divide(flat.error, flat.value))
            flat_error = divisor * relative
        error = calibration.light_error(
            light.signal, divisor, flat_error, cfa, camera["gains"], camera["read_noises"], light.offset_error
        )
        if light.linearity.is_found:
            norm = flat.value / np.where(whole > 0, whole, np.nan)
            error = np.hypot(error, value * light.linearity.relative_error(light.signal, flat.value, norm))
    return CalibratedLight(Mosaic(value, cfa, header, error, mask), divisor)


def divisor_of(flat, model, apply, center, names):
    """What a light is divided by.

    Parameters
    ----------
    flat : Mosaic
    model : Mosaic or None
        Its smooth model, where only colour or brightness is corrected.
    apply : dict
        Keys of the configuration: normalise, correct.
    center : dict
        Box ``center``.
    names : dict
        Paths of flat and model, for messages.

    Returns
    -------
    Divisor
    """
    cfa, norms = flat.cfa, norms_of_mosaic(flat, apply["normalise"], center, names["flat"])
    whole = calibration.normalise_mosaic(flat.value, cfa, norms)
    if apply["correct"] == "both":
        return Divisor(norms, whole, whole)
    own = norms_of_mosaic(model, apply["normalise"], center, names["model"])
    smooth = calibration.normalise_mosaic(model.value, cfa, own)
    brightness = interpolate_bilinear(smooth, cfa).mean(axis=0)
    return Divisor(norms, whole, calibration.part_colors(whole, smooth, brightness, apply["correct"]))


@dataclass(frozen=True)
class Cut:
    """Pixels that are computed where they are asked for."""

    at: Callable

    def __getitem__(self, where):
        return self.at(where)


def compare_stages(after, divisor, cfa, regions):
    """Rows of ``vignetting.tsv``: centre, corner and ratio before, in the flat, and after.

    Before is the product of the others, so that neither frame nor bias is needed again: a saturated pixel is at least
    as bright as at saturation, as it is after the division.

    Parameters
    ----------
    after : numpy.ndarray, ``(rows, columns)``
        Read in the boxes only.
    divisor : numpy.ndarray, float32, ``(rows, columns)``
    cfa : ColorFilterArray
    regions : dict
        Boxes center and corner.
    """
    light = Cut(lambda where: after[where].astype(np.float32))
    stages = {"before": Cut(lambda where: light[where] * divisor[where]), "flat": divisor, "after": light}
    cuts = {stage: partial(interpolate_box, mosaic, cfa) for stage, mosaic in stages.items()}
    return calibration.compare_regions(cuts, cfa.channels, regions, after.shape)
