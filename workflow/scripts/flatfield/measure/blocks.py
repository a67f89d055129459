"""Blocks of pixels: means of each channel, and where they lie."""

import numpy as np

from flatfield.raw.cfa import CHANNEL_OF_COLOR


def block_average(plane, size):
    """Mean of blocks of `size` x `size` pixels, ``(rows // size, columns // size)``; a remainder is left out.

    Examples
    --------
    >>> block_average(np.arange(8.0).reshape(2, 4), 2)
    array([[2.5, 4.5]])
    """
    rows, columns = plane.shape[0] // size, plane.shape[1] // size
    whole = plane[: rows * size, : columns * size].astype(np.float64)
    return whole.reshape(rows, size, columns, size).mean(axis=(1, 3))


def average_channels(mosaic, cfa, size):
    """Mean of each channel in blocks of `size` x `size` pixels; a remainder is left out.

    Parameters
    ----------
    mosaic : numpy.ndarray, ``(rows, columns)``
        Its first pixel is the first of the tile of `cfa`.
    cfa : ColorFilterArray
    size : int
        A multiple of the period of `cfa`.

    Returns
    -------
    numpy.ndarray, float64, ``(channels, rows // size, columns // size)``
    """
    p, (rows, columns) = cfa.period, (length // size for length in mosaic.shape)
    whole, wide = mosaic[: rows * size, : columns * size], np.uint64 if mosaic.dtype.kind == "u" else np.float64
    sums, counts = np.zeros((len(cfa.channels), rows, columns)), np.zeros((len(cfa.channels), 1, 1))
    for i, colors in enumerate(cfa.tile):
        lines = whole[i::p].reshape(rows, size // p, -1).sum(axis=1, dtype=wide)
        for j, color in enumerate(colors):
            channel = CHANNEL_OF_COLOR[color]
            sums[channel] += lines[:, j::p].reshape(rows, columns, -1).sum(axis=2)
            counts[channel] += (size // p) ** 2
    return sums / counts


def average_significance(z, cfa, size):
    """Means of a map in standard errors over blocks, times the root of their pixels: noise then scatters by 1.

    Parameters and result as for `average_channels`.
    """
    tile = cfa.channel_map((cfa.period, cfa.period))
    pixels = [np.count_nonzero(tile == channel) * (size // cfa.period) ** 2 for channel in range(len(cfa.channels))]
    return average_channels(z, cfa, size) * np.sqrt(pixels)[:, None, None]


def share_good(good, cfa, size):
    """Part of the pixels of each channel in blocks that count: parameters and result as for `average_channels`."""
    return average_channels(good.view(np.uint8), cfa, size)


def average_good(mosaic, good, cfa, size, share=None):
    """Mean of the pixels that count of each channel in blocks, and their number.

    Parameters
    ----------
    mosaic : numpy.ndarray, ``(rows, columns)``
    good : numpy.ndarray of bool, ``(rows, columns)``
        Pixels that count.
    cfa, size
        As for `average_channels`.
    share : numpy.ndarray, optional
        Of `share_good`, where it is known.

    Returns
    -------
    mean : numpy.ndarray, float64, ``(channels, rows // size, columns // size)``
        NaN where less than half of the pixels of a block count.
    counts : numpy.ndarray, float64, same shape
    """
    share = share_good(good, cfa, size) if share is None else share
    bands = [slice(top, top + size) for top in range(0, mosaic.shape[0] // size * size, size)]  # stay in the cache
    parts = [average_channels(np.where(good[rows], mosaic[rows], np.float32(0)), cfa, size) for rows in bands]
    total = np.concatenate(parts, axis=1)
    pixels = np.bincount(cfa.channel_map((cfa.period, cfa.period)).ravel()) * (size // cfa.period) ** 2
    with np.errstate(all="ignore"):
        return np.where(share >= 0.5, total / share, np.nan), share * pixels[:, None, None]


def block_side(shape, cfa, across):
    """Side of blocks of which about `across` lie side by side, pixels: a multiple of the period of the pattern."""
    size = max(round(shape[1] / (across * cfa.period)), 1)
    return min(size, min(shape) // cfa.period) * cfa.period


def pixel_positions(shape):
    """Where pixels lie from the centre of the frame, half diagonals: x ``(columns,)`` right, y ``(rows,)`` up."""
    half = np.hypot(*shape) / 2
    rows, columns = (np.arange(length) + 0.5 for length in shape)
    return (columns - shape[1] / 2) / half, (shape[0] / 2 - rows) / half


def block_positions(shape, size, cfa):
    """Where the pixels of each channel in blocks lie on average, as red and blue ones of a tile do not lie alike.

    Parameters
    ----------
    shape : tuple of int
        Of the frame.
    size : int
        Side of a block, pixels.
    cfa : ColorFilterArray

    Returns
    -------
    x : numpy.ndarray, ``(channels, columns // size)``
        To the right from the centre of the frame, half diagonals.
    y : numpy.ndarray, ``(channels, rows // size)``
        Up from there.
    """
    half, (rows, columns) = np.hypot(*shape) / 2, (np.arange(length // size) for length in shape)
    channel_map = cfa.channel_map((cfa.period, cfa.period))
    centers = [np.argwhere(channel_map == index).mean(axis=0) + 0.5 for index in range(len(cfa.channels))]
    middle = (size - cfa.period) / 2  # of the tiles in a block, above the first
    x = [(size * columns + middle + column - shape[1] / 2) / half for _, column in centers]
    y = [(shape[0] / 2 - size * rows - middle - row) / half for row, _ in centers]
    return np.array(x), np.array(y)
