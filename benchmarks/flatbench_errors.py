"""How far a flat, or a calibrated light, is from the truth, in percent."""

from typing import NamedTuple

import numpy as np

#: Border that no program is judged by, pixels: demosaicing needs neighbours.
TRIM = 8
#: Blocks along the height of a frame in which shapes are compared.
BLOCKS = 14


class Errors(NamedTuple):
    """Percent. What differs by one factor in a channel is no error.

    Attributes
    ----------
    pixel : float
        Rms over all pixels, noise included.
    shape : float
        Rms over blocks, of all channels.
    channels : tuple of float
        The same of red, green, blue.
    corner : float
        Largest departure of a corner from the centre, of all corners and channels.
    color : float
        Rms over blocks of red over green and blue over green.
    """

    pixel: float
    shape: float
    channels: tuple
    corner: float
    color: float


def native(planes, channel):
    """A mosaic of debayered planes ``(rows, columns, 3)``: each pixel from the plane of its channel."""
    return np.take_along_axis(planes, channel[..., None].astype(np.intp), axis=2)[..., 0]


def block_size(rows):
    """Side of the blocks, pixels: even, so that all have as many pixels of a channel."""
    return max((rows - 2 * TRIM) // BLOCKS // 2 * 2, 4)


def whole_blocks(shape, block):
    """The part of an image that whole blocks cover, in its middle."""
    return tuple(slice(size % block // 2, size % block // 2 + size // block * block) for size in shape)


def sums(value, block):
    """Sum over each block, ``(block rows, block columns)``."""
    cut = value[whole_blocks(value.shape, block)]
    rows, columns = cut.shape
    return cut.reshape(rows // block, block, columns // block, block).sum(axis=(1, 3), dtype=float)


def block_means(value, chosen, block):
    """Mean of the chosen pixels in each block, ``(block rows, block columns)``; NaN where there are none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums(np.where(chosen, value, 0), block) / sums(chosen, block)


def trimmed(*arrays):
    """Without the border; from an even row and column on, so that the colour pattern stays."""
    return [None if each is None else each[TRIM:-TRIM, TRIM:-TRIM] for each in arrays]


def ratio_to_truth(found, true, channel, chosen):
    """Found over true, over its median in each channel."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.asarray(found, float) / true
    chosen = chosen & np.isfinite(ratio)
    for index in range(3):
        where = channel == index
        middle = np.median(ratio[where & chosen]) if (where & chosen).any() else 1.0
        ratio[where] /= middle or np.nan
    return ratio, chosen


def errors_of(found, true, channel, chosen=None):
    """Errors of a mosaic.

    Parameters
    ----------
    found, true : numpy.ndarray, ``(rows, columns)``
        Any unit.
    channel : numpy.ndarray of int, ``(rows, columns)``
        0 red, 1 green, 2 blue.
    chosen : numpy.ndarray of bool, optional
        Pixels that count; by default all.

    Returns
    -------
    Errors
    """
    found, true, channel, chosen = trimmed(found, true, channel, chosen)
    ratio, chosen = ratio_to_truth(found, true, channel, np.ones(true.shape, bool) if chosen is None else chosen)
    pixel = np.sqrt(np.mean((ratio[chosen] - 1) ** 2))
    block = block_size(true.shape[0] + 2 * TRIM)
    blocks = [block_means(ratio, chosen & (channel == index), block) for index in range(3)]
    blocks = [each / np.nanmean(each) for each in blocks]
    shapes = [float(np.nanstd(each)) for each in blocks]
    colors = [np.nanstd(each / blocks[1] / np.nanmean(each / blocks[1])) for each in (blocks[0], blocks[2])]
    corner = max(abs(each[row, column] / _middle(each) - 1) for each in blocks for row in (0, -1) for column in (0, -1))
    return Errors(
        100 * float(pixel),
        100 * float(np.sqrt(np.mean(np.square(shapes)))),
        tuple(100 * each for each in shapes),
        100 * float(corner),
        100 * float(np.sqrt(np.mean(np.square(colors)))),
    )


def _middle(blocks):
    """Mean of the blocks about the centre."""
    row, column = (size // 2 for size in blocks.shape)
    return np.nanmean(blocks[row - 1 : row + 1, column - 1 : column + 1])


def pull_of(found, error, true, channel, chosen=None):
    """Standard deviation of (found - true) / quoted error, pixel by pixel about the mean of their block and channel.

    1 where the errors are right; what is smooth does not count. Parameters as of `errors_of`; `error` in the unit of
    `found`.
    """
    found, error, true, channel, chosen = trimmed(found, error, true, channel, chosen)
    chosen = np.ones(true.shape, bool) if chosen is None else chosen
    ratio, chosen = ratio_to_truth(found, true, channel, chosen & (error > 0))
    block, pulls = block_size(true.shape[0] + 2 * TRIM), []
    inside = whole_blocks(true.shape, block)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = (error / np.asarray(found, float))[inside]
    for index in range(3):
        where = chosen & (channel == index)
        count = sums(where, block)
        mean, number = (np.kron(each, np.ones((block, block))) for each in (block_means(ratio, where, block), count))
        use = where[inside] & (number > 1)
        z = ((ratio[inside] / mean - 1) / relative)[use] * np.sqrt(number[use] / (number[use] - 1))
        pulls.append(z[np.isfinite(z)])
    return float(np.std(np.concatenate(pulls)))
