"""Debayering: bilinear interpolation of one mosaic, and of its variance."""

import numpy as np
from scipy.ndimage import convolve

from flatfield.combine import kernels

#: The combination of one frame: the mean of one value is that value exactly, and needs no order.
OF_ONE, NO_PAIRS = np.array([kernels.MEAN, 0, 0, 0, 0, 0, 1], np.float64), np.zeros((0, 2), np.int64)


def interpolate_bilinear(mosaic, cfa):
    """Interpolate each channel of a mosaic from its neighbours, see `flatfield.combine.kernels.combine_planes`.

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
    levels, tile = np.zeros((1, 4), np.float32), np.array(cfa.tile)
    planes = np.empty((len(cfa.channels), *mosaic.shape), np.float32)
    pixels = np.ascontiguousarray(mosaic, np.float32)[None]
    no_errors = np.empty((len(cfa.channels), 0, 0), np.float32)
    stack = kernels.NO_INTEGERS, pixels, levels, levels + 1, tile, kernels.NO_PLANE
    kernels.combine_planes(*stack, 0, len(mosaic), OF_ONE, NO_PAIRS, planes, no_errors)
    return planes


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
