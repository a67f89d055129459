"""Boxes of pixels: where they lie, and their statistics."""

import numpy as np

from flatfield.cfa import CHANNEL_OF_COLOR
from flatfield.errors import ConfigurationError


def locate_box(name, box, shape):
    """Slices of a box.

    Parameters
    ----------
    name : str
        For messages.
    box : dict
        ``row`` and ``column`` of its first pixel (or ``center``: size // 2 of the frame) and ``size``, pixels.
    shape : tuple of int
        Rows and columns of the frame.

    Returns
    -------
    tuple of slice
        Rows and columns.

    Raises
    ------
    ConfigurationError
        If the box does not lie within the frame.
    """
    starts = [
        length // 2 if first == "center" else first
        for first, length in zip((box["row"], box["column"]), shape, strict=True)
    ]
    size = box["size"]
    if any(start + size > length for start, length in zip(starts, shape, strict=True)):
        raise ConfigurationError(
            f"key `regions.{name}`: the box of {size} x {size} pixels from row {starts[0]}, column {starts[1]} "
            f"does not lie within the frame of {shape[0]} x {shape[1]}; move it or make it smaller"
        )
    return tuple(slice(start, start + size) for start in starts)


def measure_boxes(planes, channels, regions):
    """Statistics of boxes, per channel, as the notebook printed them.

    Parameters
    ----------
    planes : numpy.ndarray, ``(channels, rows, columns)``
    channels : sequence of str
    regions : dict
        Section ``regions`` of the configuration.

    Returns
    -------
    list of dict
        channel, region, row, column, size, mean and std (unit of `planes`), std_over_mean, snr (mean / std).
        The standard deviation is that of the box (n in the denominator): it holds the vignetting gradient
        and the pixel response as well as noise. A ratio to 0 is None.
    """
    rows = []
    for region, box in regions.items():
        where = locate_box(region, box, planes.shape[1:])
        for channel, plane in zip(channels, planes, strict=True):
            values = plane[where].astype(np.float64)
            mean, std = float(values.mean()), float(values.std())
            rows.append(
                {
                    "channel": channel,
                    "region": region,
                    "row": where[0].start,
                    "column": where[1].start,
                    "size": box["size"],
                    "mean": mean,
                    "std": std,
                    "std_over_mean": std / mean if mean else None,
                    "snr": mean / std if std else None,
                }
            )
    return rows


def separate_causes(row, errors, variance=None):
    """What a box of a debayered master scatters by: noise, and structure (gradient and pixel response).

    Parameters
    ----------
    row : dict
        Of `measure_boxes`.
    errors : numpy.ndarray, ``(size, size)``
        Standard errors of its pixels, in the unit of its mean.
    variance : float, optional
        Variance that is predicted for a pixel of the master, from photon and read noise.

    Returns
    -------
    dict
        temporal_std (quadratic mean of the errors), snr_temporal, snr_photon (predicted), structure_percent
        (100 sqrt(std^2 - temporal_std^2) / mean, 0 where noise explains all); None where not known.
    """
    mean, square = row["mean"], float(np.mean(errors.astype(np.float64) ** 2))
    known = np.isfinite(square)
    return {
        "temporal_std": square**0.5 if known else None,
        "snr_temporal": mean / square**0.5 if known and square else None,
        "snr_photon": mean / variance**0.5 if variance else None,
        "structure_percent": 100 * max(row["std"] ** 2 - square, 0) ** 0.5 / mean if known and mean else None,
    }


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


def average_good(mosaic, good, cfa, size):
    """Mean of the pixels that count of each channel in blocks, and their number.

    Parameters
    ----------
    mosaic : numpy.ndarray, ``(rows, columns)``
    good : numpy.ndarray of bool, ``(rows, columns)``
        Pixels that count.
    cfa, size
        As for `average_channels`.

    Returns
    -------
    mean : numpy.ndarray, float64, ``(channels, rows // size, columns // size)``
        NaN where less than half of the pixels of a block count.
    counts : numpy.ndarray, float64, same shape
    """
    share = average_channels(good.astype(np.float32), cfa, size)
    total = average_channels(np.where(good, mosaic, np.float32(0)), cfa, size)
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
