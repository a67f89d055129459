"""The response: the flat without its light source (an illumination correction)."""

import numpy as np
from scipy.ndimage import uniform_filter

from flatfield.measure.blocks import average_good, block_positions, block_side, share_good
from flatfield.measure.lamp_errors import response_errors
from flatfield.measure.zernike import draw_smooth

#: Subset maps are averaged over blocks, about this many across.
BLOCKS_ACROSS = 48
#: Side of the box, in blocks, over which the squares of errors are averaged.
NEIGHBOURS = 9
#: Degree of the polynomial that draws variances at all pixels.
DEGREE_OF_VARIANCE = 24


def average_logs(value, error, good, cfa, share=None):
    """ln C of blocks of each channel, its standard error, and where the blocks lie.

    Parameters
    ----------
    value, error : numpy.ndarray, float32, ``(rows, columns)``
        Combined mosaic of a subset and its standard error, DN above black.
    good : numpy.ndarray of bool, ``(rows, columns)``
        Pixels that count.
    cfa : ColorFilterArray
    share : numpy.ndarray, optional
        Of `share_of_blocks`, where it is known.

    Returns
    -------
    logs, errors : numpy.ndarray, ``(channels, block rows, block columns)``
        NaN where less than half of a block is good, or it is not brighter than black.
    x, y : numpy.ndarray, ``(channels, block rows, block columns)``
        To the right and up from the centre of the frame, half diagonals.
    """
    size = block_side(value.shape, cfa, BLOCKS_ACROSS)
    share = share_of_blocks(good, cfa) if share is None else share
    mean, counts = average_good(value, good, cfa, size, share)
    variance, _ = average_good(np.square(error, dtype=np.float32), good, cfa, size, share)
    with np.errstate(all="ignore"):
        logs = np.where(mean > 0, np.log(mean), np.nan)
        errors = np.sqrt(variance / counts) / mean
    x, y = block_positions(value.shape, size, cfa)
    return logs, errors, *np.broadcast_arrays(x[:, None, :], y[:, :, None])


def share_of_blocks(good, cfa):
    """Part of the pixels of each channel that count, in the blocks of `average_logs`."""
    return share_good(good, cfa, block_side(good.shape, cfa, BLOCKS_ACROSS))


def average_subset(mosaic, error, good, cfa, share=None):
    """Blocks of a subset, their errors from those of their neighbours, as one of few frames and pixels is uncertain."""
    logs, errors, x, y = average_logs(mosaic, error, good, cfa, share)
    for plane in errors:
        known = np.isfinite(plane)
        share = uniform_filter(known.astype(float), NEIGHBOURS)
        square = uniform_filter(np.where(known, plane, 0) ** 2, NEIGHBOURS)
        plane[~known] = np.nan
        plane[known] = np.sqrt(square[known] / share[known])
    return logs, errors, x, y


def channels_of(maps, poses, degree, cfa):
    """Blocks of the channels that the solution is fitted to, the same of all; and why there is none, or nothing."""
    if len(maps) < 2:
        return [], "there is only one subset"
    x, y = maps[0][2:]
    logs, errors = (np.array([each[part] for each in maps]) for part in (0, 1))  # (subsets, channels, rows, columns)
    known = np.isfinite(logs) & np.isfinite(errors) & (errors > 0)
    for index, name in enumerate(cfa.channels):
        if known[:, index].all(axis=0).sum() < 4 * (degree + 1) ** 2:
            return [], f"too few blocks of {name} have a level and a standard error"
    known = known.all(axis=(0, 1))
    if known.sum() < 4 * (degree + 1) ** 2:
        return [], "too few blocks have a level and a standard error in all channels"
    channels = [
        (logs[:, index][:, known], errors[:, index][:, known], x[index][known], y[index][known])
        for index in range(len(cfa.channels))
    ]
    if poses.one_angle and not poses.aim_span and not poses.free[1:].any():
        same = "all subsets were taken at one angle and with one aim"
        return channels, f"{same}: the light source cannot be separated from the camera"
    return channels, ""


def correct(subsets, solution, own, of_solution):
    """Flat without the light source, and its standard error.

    Parameters
    ----------
    subsets : list of Mosaic
        With error.
    solution : flatfield.measure.illumination.Illumination
    own : list of numpy.ndarray
        Coefficients of the determined terms of each channel, or one for all.
    of_solution : numpy.ndarray, float32, ``(rows, columns)``
        Standard error of ln of the response from the solution, see `draw_error`.

    Returns
    -------
    value, error : numpy.ndarray, float32, ``(rows, columns)``
        The error holds noise and that of the solution, but not what stays hidden.
    """
    weights, first = weights_of(subsets), subsets[0]
    shape, degree = first.shape, solution.drawn_degree
    channel_map = first.cfa.channel_map(shape) if len(own) > 1 else None
    value, variance = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for k, (subset, weight) in enumerate(zip(subsets, weights, strict=True)):
        planes = [
            draw_smooth(lambda x, y, k=k, told=told: solution.log_source(x, y, k, told), degree, shape) for told in own
        ]
        factor = by_channel(planes, channel_map)
        np.exp(np.negative(factor, out=factor), out=factor)
        factor *= np.float32(weight)
        value += factor * subset.value
        factor *= subset.error
        variance += np.square(factor, out=factor)
    factor = value * of_solution
    variance += np.square(factor, out=factor)
    return value, np.sqrt(variance, out=variance)


def draw_error(solution, weights, shape):
    """Standard error of ln of the response from the solution, at all pixels."""
    return _draw_error(solution, weights, shape, 0)


def draw_hidden(solution, weights, shape):
    """What stays hidden in ln of the response, at all pixels."""
    return _draw_error(solution, weights, shape, 1)


def _draw_error(solution, weights, shape, part):
    def function(x, y):
        return response_errors(solution, x.ravel(), y.ravel(), weights)[part].reshape(x.shape)

    plane = draw_smooth(function, DEGREE_OF_VARIANCE, shape)
    return np.sqrt(np.maximum(plane, 0, out=plane), out=plane)


def weights_of(subsets):
    """Weights of the subsets in the response: their frames, 1 in sum."""
    frames = np.array([subset.header["NCOMBINE"] for subset in subsets], float)
    return frames / frames.sum()


def by_channel(planes, channel_map):
    """Each pixel from the plane of its channel; one plane is that of all."""
    return planes[0] if len(planes) == 1 else np.choose(channel_map, planes)
