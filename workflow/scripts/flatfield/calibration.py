"""Applying a flat: light / normalised flat, per channel."""

import numpy as np

from flatfield.cfa import CHANNEL_OF_COLOR
from flatfield.errors import CalibrationError
from flatfield.regions import locate_box
from flatfield.robust import robust_deviation


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


def measure_norms(planes, channels, how, center):
    """What becomes 1 in each channel of a flat.

    Parameters
    ----------
    planes : numpy.ndarray, ``(channels, rows, columns)``, DN above black
        The debayered flat.
    channels : sequence of str
        For messages.
    how : {"center", "mean", "max"}
        Mean of the box `center`, mean of the channel, or its maximum (one noisy pixel sets the level).
    center : dict
        Box ``regions.center`` of the configuration.

    Returns
    -------
    numpy.ndarray, float64, ``(channels,)``
        DN.

    Raises
    ------
    CalibrationError
        If a level is not above 0.
    """
    where = locate_box("center", center, planes.shape[1:])
    measure = {
        "center": lambda plane: plane[where].mean(dtype=np.float64),
        "mean": lambda plane: plane.mean(dtype=np.float64),
        "max": lambda plane: float(plane.max()),
    }[how]
    norms = np.array([measure(plane) for plane in planes])
    for channel, norm in zip(channels, norms, strict=True):
        if not norm > 0:
            raise CalibrationError(
                f"the flat's {channel} has the {how} level {norm:g} DN, so that it cannot be normalised"
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
    return np.divide(light, flat, out=np.full(light.shape, np.nan, np.float32), where=flat > 0)


def light_error(signal, flat, flat_error, cfa, gains, read_noises):
    """Standard error of a calibrated light: photon and read noise of the light, and the error of the flat.

    sqrt((sigma_S / F)^2 + (S / F sigma_F / F)^2) with sigma_S^2 = read_noise^2 + max(S, 0) / gain, in DN.

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
        Of each channel, e-.

    Returns
    -------
    numpy.ndarray, float32, ``(rows, columns)``
        DN; NaN where the flat is not above 0.
    """
    variance, p = np.maximum(signal, 0), cfa.period
    for i, j, color in cfa.phases():
        gain, read_noise = gains[CHANNEL_OF_COLOR[color]], read_noises[CHANNEL_OF_COLOR[color]]
        variance[i::p, j::p] = variance[i::p, j::p] / np.float32(gain) + np.float32((read_noise / gain) ** 2)
    variance += (divide(signal, flat) * flat_error) ** 2
    return divide(np.sqrt(variance), flat)


def compare_regions(stages, channels, regions):
    """Centre, corner and their ratio for each stage and channel.

    Parameters
    ----------
    stages : dict
        Planes ``(channels, rows, columns)`` of each stage, such as before, flat, after.
    channels : sequence of str
    regions : dict
        Boxes ``center`` and ``corner``.

    Returns
    -------
    list of dict
        channel, stage, center and corner (means, unit of `planes`), ratio. NaN pixels are left out; None where
        nothing is left.
    """
    rows = []
    for stage, planes in stages.items():
        boxes = [locate_box(name, regions[name], planes.shape[1:]) for name in ("center", "corner")]
        for channel, plane in zip(channels, planes, strict=True):
            center, corner = (_mean_of_known(plane[box]) for box in boxes)
            ratio = center / corner if center is not None and corner else None
            rows.append({"channel": channel, "stage": stage, "center": center, "corner": corner, "ratio": ratio})
    return rows


def _mean_of_known(values):
    """Mean of the values that are not NaN; None where all are."""
    known = values[np.isfinite(values)]
    return float(known.mean(dtype=np.float64)) if known.size else None


#: Where the sky lies in a picture (1 is white), and how many robust standard deviations below it black lies.
SKY_LEVEL, BLACK_DEVIATIONS = 0.22, 2.8
#: Percentile of the signal that becomes white.
WHITE_PERCENTILE = 99.9


def render_picture(planes, white_balance):
    """Make a picture that a person can look at: white balance, and a stretch that shows the sky.

    Black is `BLACK_DEVIATIONS` below the median of the sky, white the `WHITE_PERCENTILE`; between them the midtones
    transfer function m(x) = (b - 1) x / ((2 b - 1) x - b) lifts the median to `SKY_LEVEL` (PixInsight's
    histogram transformation).

    Parameters
    ----------
    planes : numpy.ndarray, float32, ``(channels, rows, columns)``
        Linear, DN above black; NaN becomes black.
    white_balance : numpy.ndarray, ``(channels,)``
        Factors of the channels.

    Returns
    -------
    numpy.ndarray, uint8, ``(rows, columns, 3)``
    """
    balanced = np.nan_to_num(planes * np.asarray(white_balance, np.float32)[:, None, None])
    median, deviation = robust_deviation(balanced)
    black, white = median - BLACK_DEVIATIONS * deviation, np.percentile(balanced, WHITE_PERCENTILE)
    if not white > black:
        return np.zeros((*planes.shape[1:], 3), np.uint8)
    x, sky = np.clip((balanced - black) / (white - black), 0, 1), (median - black) / (white - black)
    if 0 < sky < 1:
        midtone = sky * (SKY_LEVEL - 1) / (2 * SKY_LEVEL * sky - SKY_LEVEL - sky)
        x = (midtone - 1) * x / ((2 * midtone - 1) * x - midtone)
    picture = np.rint(255 * x).astype(np.uint8).transpose(1, 2, 0)
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture


def picture_of_maxima(planes):
    """Make a picture as the notebook did: each plane divided by its maximum.

    Parameters
    ----------
    planes : numpy.ndarray, float32, ``(3, rows, columns)``
        NaN becomes black.

    Returns
    -------
    numpy.ndarray, uint8, ``(rows, columns, 3)``
    """
    brightest = np.nanmax(planes, axis=(1, 2), keepdims=True)
    return np.rint(255 * np.clip(np.nan_to_num(planes / brightest), 0, 1)).astype(np.uint8).transpose(1, 2, 0)
