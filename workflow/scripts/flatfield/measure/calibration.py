"""Applying a flat: light / normalised flat, per channel."""

import numpy as np
from scipy.ndimage import uniform_filter

from flatfield.files.errors import CalibrationError
from flatfield.measure.boxes import locate_box
from flatfield.raw.cfa import CHANNEL_OF_COLOR


def check_fit(light, light_shape, light_cfa, flat, flat_shape, flat_cfa):
    """Check that a flat can be divided out of a light pixel by pixel.

    Parameters
    ----------
    light, flat : str
        Names, for messages.
    light_shape, flat_shape : tuple of int
        Rows and columns.
    light_cfa, flat_cfa : str
        Names of the colour filter arrays.

    Raises
    ------
    CalibrationError
        If they differ in size or colour pattern.
    """
    if (light_shape, light_cfa) != (flat_shape, flat_cfa):
        raise CalibrationError(
            f"light {light} is {light_shape[0]} x {light_shape[1]} {light_cfa}, but the flat {flat} is "
            f"{flat_shape[0]} x {flat_shape[1]} {flat_cfa}; name a flat of the same camera in `lights`"
        )


def measure_norms(planes, channels, how, where):
    """What becomes 1 in each channel of a flat.

    Parameters
    ----------
    planes : numpy.ndarray, ``(channels, rows, columns)``, DN above black
        The debayered flat: of the box `center` where that is the norm, otherwise of the whole frame.
    channels : sequence of str
        For messages.
    how : {"center", "mean", "max"}
        Mean of the box, mean of the channel, or its maximum (one noisy pixel sets the level).
    where : str
        Name of the flat, for messages.

    Returns
    -------
    numpy.ndarray, float64, ``(channels,)``
        DN.

    Raises
    ------
    CalibrationError
        If a level is not above 0.
    """
    norms = np.array([float(plane.max()) if how == "max" else plane.mean(dtype=np.float64) for plane in planes])
    for channel, norm in zip(channels, norms, strict=True):
        if not norm > 0:
            raise CalibrationError(
                f"the flat's {channel} has the {how} level {norm:g} DN, so it cannot be normalised ({where})"
            )
    return norms


def normalise_mosaic(flat, cfa, norms):
    """Divide each pixel of a mosaic flat by the norm of its channel.

    Parameters
    ----------
    flat : numpy.ndarray, float32, ``(rows, columns)``, DN above black
    cfa : ColorFilterArray
    norms : numpy.ndarray, ``(channels,)``, DN

    Returns
    -------
    numpy.ndarray, float32, ``(rows, columns)``
        Relative.
    """
    result = flat.astype(np.float32)
    p = cfa.period
    for i, j, color in cfa.phases():
        result[i::p, j::p] /= np.float32(norms[CHANNEL_OF_COLOR[color]])
    return result


def normalise_planes(planes, channels, normalise, center, name):
    """Divide planes of a debayered flat by their norms.

    Parameters
    ----------
    planes : numpy.ndarray, float32, ``(channels, rows, columns)``, DN above black
    channels : sequence of str
    normalise : {"center", "mean", "max"}
    center : dict
        Box ``center``.
    name : str
        For messages.

    Returns
    -------
    numpy.ndarray, float32, ``(channels, rows, columns)``
        Relative.
    """
    box = locate_box("center", center, planes.shape[1:])
    normed = planes[(slice(None), *box)] if normalise == "center" else planes
    norms = measure_norms(normed, channels, normalise, name)
    return (planes / norms[:, None, None]).astype(np.float32)


def divide(light, flat):
    """Divide a light by a normalised flat; where the flat is not above 0 the result is NaN, never infinite.

    Parameters
    ----------
    light, flat : numpy.ndarray, float32, same shape

    Returns
    -------
    numpy.ndarray, float32
        In the unit of `light`.

    Examples
    --------
    >>> divide(np.array([1, 1], np.float32), np.array([0.5, 0], np.float32))
    array([ 2., nan], dtype=float32)
    """
    with np.errstate(all="ignore"):
        result = np.divide(light, flat, dtype=np.float32)
    unknown = ~(flat > 0)
    if unknown.any():
        result[unknown] = np.nan
    return result


#: Side of the box, in pixels of one colour, whose mean is the signal that photon noise is taken from.
SMOOTHING = 5
#: Standard deviations by which a pixel differs from its neighbours where its own signal counts (stars, defects).
DIFFERENT = 5.0
#: Signal, electrons, below which no error is known without the noise of reading.
FAINT = 50.0


def expected_signal(signal, cfa, variance_of):
    """Signal that the noise of each pixel is taken from: the mean of its neighbours, unless it differs from them.

    The error of a pixel must not depend on its own noise, or means weighted with 1 / error^2 would favour pixels that
    are too low. So it is the mean of the other pixels of a box of 5 x 5 of its colour. Where the pixel is further from
    that than `DIFFERENT` standard deviations, it is no noise, and its own signal counts.

    Parameters
    ----------
    signal : numpy.ndarray, float32, ``(rows, columns)``
    cfa : ColorFilterArray
    variance_of : callable
        Takes a signal and a channel, and returns the variance of a pixel.

    Returns
    -------
    numpy.ndarray, float32, ``(rows, columns)``
        In the unit of `signal`, not below 0.
    """
    result, p, inside = np.empty_like(signal, np.float32), cfa.period, SMOOTHING**2
    for i, j, color in cfa.phases():
        own = signal[i::p, j::p].astype(np.float32)
        near = (inside * uniform_filter(own, SMOOTHING) - own) / np.float32(inside - 1)
        near = np.maximum(near, 0)
        scatter = variance_of(near, CHANNEL_OF_COLOR[color])
        with np.errstate(invalid="ignore"):
            differs = (own - near) ** 2 > DIFFERENT**2 * scatter
        result[i::p, j::p] = np.where(differs, np.maximum(own, 0), near)
    return result


def light_error(signal, flat, flat_error, cfa, gains, read_noises, offset_error=None):
    """Standard error of a calibrated light: photon and read noise of the light, and the error of the flat.

    sqrt((sigma_S / F)^2 + (S / F sigma_F / F)^2), sigma_S^2 = read_noise^2 + S / gain + sigma_offset^2, in DN, with the
    signal S of `expected_signal`.

    Parameters
    ----------
    signal : numpy.ndarray, float32, ``(rows, columns)``
        Of the light, DN above black.
    flat, flat_error : numpy.ndarray, float32, ``(rows, columns)``
        Normalised flat and its standard error.
    cfa : ColorFilterArray
    gains : sequence of float
        Of each channel, e-/DN.
    read_noises : sequence of float
        Of each channel, e-; NaN where not known, so that no error is known below `FAINT` electrons.
    offset_error : numpy.ndarray, float32, ``(rows, columns)``, optional
        Standard error of the master bias or dark that was subtracted, DN.

    Returns
    -------
    numpy.ndarray, float32, ``(rows, columns)``
        DN; NaN where the flat is not above 0, or the noise of reading is needed and not known.
    """

    def variance_of(level, channel):
        gain, read_noise = gains[channel], np.nan_to_num(read_noises[channel])
        return level / np.float32(gain) + np.float32((read_noise / gain) ** 2)

    expected, p = expected_signal(signal, cfa, variance_of), cfa.period
    variance = np.empty_like(expected)
    for i, j, color in cfa.phases():
        channel, part = CHANNEL_OF_COLOR[color], np.s_[i::p, j::p]
        variance[part] = variance_of(expected[part], channel)
        if np.isnan(read_noises[channel]):
            variance[part][expected[part] * gains[channel] < FAINT] = np.nan
    if offset_error is not None:
        variance += offset_error**2
    variance += (divide(expected, flat) * flat_error) ** 2
    return divide(np.sqrt(variance), flat)


def compare_regions(stages, channels, regions, shape):
    """Centre, corner and their ratio for each stage and channel.

    Parameters
    ----------
    stages : dict
        For each stage, such as before, flat, after, a function that takes a box (slices of rows and columns) and
        returns the planes of it, ``(channels, rows, columns)``.
    channels : sequence of str
    regions : dict
        Boxes ``center`` and ``corner``.
    shape : tuple of int
        Of the frame.

    Returns
    -------
    list of dict
        channel, stage, center and corner (means, unit of the planes), ratio. NaN pixels are left out; None where
        nothing is left.
    """
    rows, boxes = [], [locate_box(name, regions[name], shape) for name in ("center", "corner")]
    for stage, cut in stages.items():
        for channel, *planes in zip(channels, *(cut(box) for box in boxes), strict=True):
            center, corner = (_mean_of_known(plane) for plane in planes)
            ratio = center / corner if center is not None and corner else None
            rows.append({"channel": channel, "stage": stage, "center": center, "corner": corner, "ratio": ratio})
    return rows


def cut_planes(planes):
    """Function that cuts a box out of planes, for `compare_regions`."""
    return lambda box: planes[(slice(None), *box)]


def _mean_of_known(values):
    """Mean of the values that are not NaN; None where all are."""
    known = values[np.isfinite(values)]
    return float(known.mean(dtype=np.float64)) if known.size else None


def master_offset(bias, dark, exposure, dark_exposure):
    """What stands for black in a light: its dark, scaled to its exposure where a bias gives the current; or a bias.

    Parameters
    ----------
    bias, dark : tuple of numpy.ndarray, or None
        Masters and their standard errors, DN.
    exposure, dark_exposure : float or None
        Of the light and of the dark frames, s.

    Returns
    -------
    value, error : numpy.ndarray, float32, or None
    """
    if dark is None:
        return bias or (None, None)
    if bias is None or not exposure or not dark_exposure:
        return dark
    share = np.float32(exposure / dark_exposure)
    return bias[0] + share * (dark[0] - bias[0]), np.hypot((1 - share) * bias[1], share * dark[1])


def part_colors(flat, model, brightness, part):
    """Colour or brightness of a normalised flat, whose product it is.

    Colour is what differs between the channels of the smooth model, M_c / mean of the M; brightness all the rest.

    Parameters
    ----------
    flat, model, brightness : numpy.ndarray, float32, ``(rows, columns)``
        Normalised flat, its normalised smooth model, and the mean over the channels of that, interpolated.
    part : {"color", "brightness"}

    Returns
    -------
    numpy.ndarray, float32, ``(rows, columns)``
    """
    color = divide(model, brightness)
    return color if part == "color" else divide(flat, color)


#: What MASK of a light marks.
MASKED_FLAT, MASKED_SATURATED, MASKED_UNKNOWN = 1, 2, 4


def mask_light(value, flat, saturated, lowest_flat):
    """Pixels of a calibrated light that are not to be trusted.

    Parameters
    ----------
    value, flat : numpy.ndarray, float32, ``(rows, columns)``
        The calibrated light, and the normalised flat.
    saturated : numpy.ndarray of bool, ``(rows, columns)``
    lowest_flat : float

    Returns
    -------
    numpy.ndarray, uint8, ``(rows, columns)``
        Sum of `MASKED_FLAT`, `MASKED_SATURATED` and `MASKED_UNKNOWN` (not finite).
    """
    marks = (~(flat >= lowest_flat), MASKED_FLAT), (saturated, MASKED_SATURATED), (~np.isfinite(value), MASKED_UNKNOWN)
    mask = np.zeros(flat.shape, np.uint8)
    for where, mark in marks:
        mask |= where.view(np.uint8) * np.uint8(mark)
    return mask
