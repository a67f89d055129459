"""Debayering: bilinear interpolation of one mosaic, and of its variance."""

import numpy as np
from scipy.ndimage import convolve

#: Rows that are interpolated at a time: they stay in the cache.
BAND = 128
#: Weights of the neighbours within two rows and columns, which count where there are none within one.
FURTHER = np.array([1, 4, 6, 4, 1], np.float32)


def interpolate_bilinear(mosaic, cfa):
    """Interpolate each channel of a mosaic from its neighbours: their mean, weighted 1, 2, 1 by rows and columns.

    To the last bit what `flatfield.combine.kernels.combine_planes` makes of one frame, without compiling anything.

    Parameters
    ----------
    mosaic : numpy.ndarray, float32, ``(rows, columns)``
        At least 2 x 2 pixels (Bayer) or 6 x 6 (X-Trans); the first is the first of the tile of `cfa`.
    cfa : ColorFilterArray

    Returns
    -------
    numpy.ndarray, float32, ``(channels, rows, columns)``
        In the unit of `mosaic`.

    Examples
    --------
    >>> from flatfield.raw.cfa import ColorFilterArray
    >>> mosaic = np.array([[1, 2, 1, 2], [3, 4, 3, 4]], np.float32)
    >>> interpolate_bilinear(mosaic, ColorFilterArray.from_name("RGGB"))[0]
    array([[1., 1., 1., 1.],
           [1., 1., 1., 1.]], dtype=float32)
    """
    planes, rows, p = np.empty((len(cfa.channels), *mosaic.shape), np.float32), len(mosaic), cfa.period
    weights = {}  # the same in all bands of a shape
    for top in range(0, rows, BAND):
        first, last = max(top - 2 * p, 0) // p * p, min(top + BAND + 2, rows)
        inner = slice(top - first, min(top + BAND, rows) - first)
        band = np.ascontiguousarray(mosaic[first:last], np.float32)
        if band.shape not in weights:
            channels = cfa.channel_map(band.shape)
            weights[band.shape] = [_weigh(channels == channel) for channel in range(len(planes))]
        for plane, weighed in zip(planes, weights[band.shape], strict=True):
            plane[top : top + BAND] = _interpolate(band, *weighed)[inner]
    return planes


def _weigh(here):
    """Pixels in which a channel was recorded, sum of the weights of the neighbours of each, and where that is 0."""
    weight = _sum_of_neighbours(here.astype(np.float32))
    return here, weight, np.nonzero(weight == 0)


def _interpolate(mosaic, here, weight, lost):
    """Plane of one channel, which was recorded in the pixels `here`."""
    plane = _sum_of_neighbours(np.where(here, mosaic, np.float32(0)))
    with np.errstate(invalid="ignore", divide="ignore"):
        plane /= weight
    np.copyto(plane, mosaic, where=here)
    if len(lost[0]):
        plane[lost] = _reach_further(mosaic, here, *lost)
    return plane


def _sum_of_neighbours(values):
    """Weighted 1, 2, 1 by rows and columns; 0 beyond the border."""
    padded = np.zeros((values.shape[0] + 2, values.shape[1] + 2), np.float32)
    padded[1:-1, 1:-1] = values
    column = 2 * padded[1:-1]
    column += padded[:-2]
    column += padded[2:]
    total = 2 * column[:, 1:-1]
    total += column[:, :-2]
    total += column[:, 2:]
    return total


def _reach_further(mosaic, here, rows, columns):
    """Weighted mean of the pixels of a channel within two rows and columns of some."""
    total, norm = np.zeros((2, len(rows)), np.float32)
    for i, j in np.ndindex(5, 5):
        row, column = rows + i - 2, columns + j - 2
        inside = (row >= 0) & (row < here.shape[0]) & (column >= 0) & (column < here.shape[1])
        row, column, weight = np.where(inside, row, 0), np.where(inside, column, 0), FURTHER[i] * FURTHER[j]
        counts = inside & here[row, column]
        total += np.where(counts, weight * mosaic[row, column], np.float32(0))
        norm += np.where(counts, weight, np.float32(0))
    with np.errstate(invalid="ignore"):  # at the edge of a band of rows, which is cut off
        return total / norm


def interpolate_box(mosaic, cfa, box):
    """Planes of a box of the frame: those of `interpolate_bilinear`, without the rest of them.

    Parameters
    ----------
    mosaic : numpy.ndarray, float32, ``(rows, columns)``
    cfa : ColorFilterArray
    box : tuple of slice
        Rows and columns.
    """
    p = cfa.period
    start = [max(part.start // p - 1, 0) * p for part in box]
    wide = tuple(slice(first, part.stop + 2 * p) for first, part in zip(start, box, strict=True))
    inner = tuple(slice(part.start - first, part.stop - first) for first, part in zip(start, box, strict=True))
    return interpolate_bilinear(mosaic[wide], cfa)[(slice(None), *inner)]


def interpolate_variance(variance, cfa):
    """Variance of bilinearly interpolated pixels, from that of the recorded ones, which are independent.

    Parameters
    ----------
    variance : numpy.ndarray, float32, ``(rows, columns)``
    cfa : ColorFilterArray

    Returns
    -------
    numpy.ndarray, float32, ``(channels, rows, columns)``
        Sum of w^2 variance over the square of the sum of w, with the weights w of `interpolate_bilinear`.
    """
    kernel, channel_map = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32), cfa.channel_map(variance.shape)
    planes = np.empty((len(cfa.channels), *variance.shape), np.float32)
    for channel, plane in enumerate(planes):
        here = (channel_map == channel).astype(np.float32)
        weights = convolve(here, kernel, mode="constant")
        spread = convolve(here * variance, kernel**2, mode="constant")
        plane[:] = np.where(here > 0, variance, spread / np.maximum(weights, 1) ** 2)
    return planes


def noise_of_interpolation(cfa):
    """Variance of a bilinearly interpolated pixel over that of a recorded one, the mean over the tile, per channel.

    Sum of the squared weights, found by interpolating single pixels.

    Examples
    --------
    >>> from flatfield.raw.cfa import ColorFilterArray
    >>> noise_of_interpolation(ColorFilterArray.from_name("RGGB"))
    array([0.5625, 0.625 , 0.5625])
    """
    p = cfa.period
    middle, squares = slice(p, 2 * p), np.zeros(len(cfa.channels))
    for row, column in np.ndindex(3 * p, 3 * p):
        mosaic = np.zeros((3 * p, 3 * p), np.float32)
        mosaic[row, column] = 1
        squares += (interpolate_bilinear(mosaic, cfa)[:, middle, middle].astype(np.float64) ** 2).sum(axis=(1, 2))
    return squares / p**2
