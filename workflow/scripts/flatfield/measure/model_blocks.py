"""Blocks of a flat that models are fitted to: without hot pixels and dust."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, label, median_filter

from flatfield.measure.models import DEGREES, _enough, fit_polynomial
from flatfield.measure.radial_models import fit_free_radial
from flatfield.raw.cfa import CHANNEL_OF_COLOR
from flatfield.raw.robust import SIGMA_PER_MAD

#: Pixels this many standard deviations above (or below) three of the four neighbours of their colour are hot (or dead).
HOT = 8.0
#: Blocks this many robust standard deviations darker than a smooth surface may hold dust.
DUSTY = 5.0
#: Dust is local: groups of dark blocks that are larger, either way, are something else (vignetting, a shadow).
DUST_BLOCKS = 4
#: Blocks whose median is the surface that dust is darker than.
AROUND = 9
#: Share of the blocks that dust may take.
MOST_DUST = 0.25
#: Share of the pixels of a channel that may be saturated in a block: of 1 % the pixel response of the others is 0.03 of
#: its standard deviation too small.
MOST_SATURATED = 0.01
#: A block is cut into so many cells either way, or into as many as it has tiles, for what happens inside it.
CELLS = 4
#: Pixels of a block, from which the scatter of 5 x 5 blocks is enough; 9 x 9 otherwise.
ENOUGH = 30


@dataclass(frozen=True)
class Blocks:
    """What models are fitted to.

    Attributes
    ----------
    x, y : numpy.ndarray, ``(channels, nodes, columns)`` and ``(channels, nodes, rows)``
        Half diagonals. The mean over two nodes, one standard deviation of the positions of the pixels of a channel left
        and right of their mean, is that over the pixels, to third order. ``(channels, columns)`` are points.
    values : numpy.ndarray, ``(channels, rows, columns)``
        Means; 0 where not known.
    errors : numpy.ndarray, ``(channels, rows, columns)``
        Standard deviation of a mean: scatter of its pixels (noise and pixel response) over the root of their number.
    known : numpy.ndarray of bool, ``(rows, columns)``
        Blocks that are known in all channels, and free of dust.
    dust : numpy.ndarray of bool, ``(rows, columns)``, optional
        Blocks with dust.
    cells : Blocks, optional
        The cells that the blocks consist of, the same number each.
    """

    x: np.ndarray
    y: np.ndarray
    values: np.ndarray
    errors: np.ndarray
    known: np.ndarray
    dust: np.ndarray | None = None
    cells: "Blocks | None" = None

    @property
    def weights(self):
        """1 / error^2, 0 where not known."""
        return np.where(self.known, 1 / np.where(self.known, self.errors, 1) ** 2, 0)


def find_hot_pixels(mosaic, good, cfa):
    """Pixels that exceed or fall below three of the four neighbours of their colour by far more than the scatter.

    The fourth may be as hot, as hot pixels come in pairs; edges, and their corners, are beside two pixels as bright.

    Parameters
    ----------
    mosaic : numpy.ndarray, float32, ``(rows, columns)``
    good : numpy.ndarray of bool, ``(rows, columns)``
    cfa : ColorFilterArray

    Returns
    -------
    numpy.ndarray of bool, ``(rows, columns)``
    """
    hot, p = np.zeros(mosaic.shape, bool), cfa.period
    for i, j, _ in cfa.phases():
        plane = mosaic[i::p, j::p]
        if min(plane.shape) < 3:
            continue
        wide = np.pad(plane, 1)  # at the border, what the next two pixels let expect there: corners are dark
        wide[0, 1:-1], wide[-1, 1:-1] = 2 * plane[1] - plane[2], 2 * plane[-2] - plane[-3]
        wide[1:-1, 0], wide[1:-1, -1] = 2 * plane[:, 1] - plane[:, 2], 2 * plane[:, -2] - plane[:, -3]
        step = np.abs(np.diff(plane[::3], axis=1))[good[i::p, j::p][::3, 1:]]
        scatter = SIGMA_PER_MAD * np.median(step) / np.sqrt(2) if step.size else 0
        over, under, left, right = wide[:-2, 1:-1], wide[2:, 1:-1], wide[1:-1, :-2], wide[1:-1, 2:]
        least, most = np.minimum(over, under), np.maximum(over, under)
        lower, upper = np.minimum(left, right), np.maximum(left, right)
        second = np.maximum(np.minimum(most, upper), np.maximum(least, lower))  # largest of the four
        above = plane - second > HOT * scatter
        second = np.minimum(np.maximum(least, lower), np.minimum(most, upper))  # smallest
        below = second - plane > HOT * scatter
        hot[i::p, j::p] = above | below
    return hot


def unit_side(cfa):
    """Side of the smallest squares that all hold all channels: 2 pixels of Bayer, 3 of X-Trans, 1 without filters."""
    p = cfa.period
    channels = cfa.channel_map((p, p))
    for side in range(1, p):
        if p % side == 0:
            squares = channels.reshape(p // side, side, p // side, side).swapaxes(1, 2).reshape(-1, side * side)
            if all(len(set(square)) == len(cfa.channels) for square in squares.tolist()):
                return side
    return p


def _cuts(shape, cfa, across):
    """First pixel of each cell by rows and columns, and cells of a block either way; all of the frame is cut."""
    unit = unit_side(cfa)
    units = [length // unit for length in shape]
    columns = min(across, shape[1] // cfa.period)
    rows = min(max(round(columns * shape[0] / shape[1]), 1), shape[0] // cfa.period)
    cells = min(CELLS, units[0] // rows, units[1] // columns)
    starts = [
        unit * np.round(np.linspace(0, number, count * cells + 1)).astype(int)[:-1]
        for number, count in zip(units, (rows, columns), strict=True)
    ]
    return *starts, cells


def _sum_cells(image, cfa, starts, dtype=np.float64):
    """Sum of the pixels of each channel in cells, ``(channels, rows, columns)``."""
    sums, p = np.zeros((len(cfa.channels), *map(len, starts))), cfa.period
    if unit_side(cfa) < p:  # cells that do not hold whole tiles
        channels = cfa.channel_map(image.shape)
        for channel in range(len(sums)):
            lines = np.add.reduceat(np.where(channels == channel, image, 0), starts[0], axis=0, dtype=dtype)
            sums[channel] = np.add.reduceat(lines, starts[1], axis=1)
        return sums
    for i in range(p):
        lines = np.add.reduceat(image[i::p], starts[0] // p, axis=0, dtype=dtype)
        for j in range(p):
            sums[CHANNEL_OF_COLOR[cfa.tile[i][j]]] += np.add.reduceat(lines[:, j::p], starts[1] // p, axis=1)
    return sums


def _nodes(shape, cfa, starts):
    """Nodes of cells: mean position of the pixels of each channel, less and plus their standard deviation."""
    half, p, result = np.hypot(*shape) / 2, cfa.period, []
    channels = cfa.channel_map((p, p))
    for axis, sign in ((1, 1), (0, -1)):
        place = sign * (np.arange(shape[axis]) + 0.5 - shape[axis] / 2) / half
        nodes = []
        for channel in range(len(cfa.channels)):
            share = (channels == channel).sum(axis=1 - axis)[np.arange(shape[axis]) % p]
            count, first, second = (np.add.reduceat(share * place**k, starts[axis]) for k in range(3))
            mean = first / count
            deviation = np.sqrt(np.maximum(second / count - mean**2, 0))
            nodes.append([mean - deviation, mean + deviation])
        result.append(np.array(nodes))
    return result


def average_blocks(mosaic, mask, cfa, across, saturated=None):
    """Means of a mosaic over blocks, without masked and hot pixels, and without dust.

    Parameters
    ----------
    mosaic : numpy.ndarray, float32, ``(rows, columns)``
    mask : numpy.ndarray of bool, ``(rows, columns)``
        Pixels that do not count.
    cfa : ColorFilterArray
    across : int
        Blocks side by side. Their sides differ by a tile of the colour pattern, so that no border is left out.
    saturated : numpy.ndarray of bool, ``(rows, columns)``, optional
        Those of the masked pixels that are too bright: what is left of their blocks is darker than these.

    Returns
    -------
    Blocks
    """
    *starts, cells = _cuts(mosaic.shape, cfa, across)
    good = ~mask & np.isfinite(mosaic)
    good &= ~find_hot_pixels(mosaic, good, cfa)
    counts, p = _sum_cells(good, cfa, starts, np.uint32), cfa.period
    pixels = _sum_cells(np.ones(mosaic.shape, bool), cfa, starts, np.uint32)
    sums = _sum_cells(np.where(good, mosaic, np.float32(0)), cfa, starts)
    # second differences: a gradient does not count
    both = good[:, p:-p] & good[:, : -2 * p] & good[:, 2 * p :]
    curve = 2 * mosaic[:, p:-p] - mosaic[:, : -2 * p] - mosaic[:, 2 * p :]
    curve[~both] = 0
    curve *= curve
    squares = _sum_cells(np.pad(curve, [(0, 0), (p, p)]), cfa, starts)
    pairs = _sum_cells(np.pad(both, [(0, 0), (p, p)]), cfa, starts, np.uint32)
    whole = [_join(each, cells) for each in (sums, counts, squares, pairs, pixels)]
    values, known = _means(whole[0], whole[1], whole[4])
    if saturated is not None and saturated.any():
        known &= (_join(_sum_cells(saturated, cfa, starts, np.uint32), cells) <= MOST_SATURATED * whole[4]).all(axis=0)
    scatter = _smooth_scatter(whole[2] / np.maximum(6 * whole[3], 1), values, whole[3], known)
    nodes = _nodes(mosaic.shape, cfa, [each[::cells] for each in starts])
    blocks = _make(nodes, values, scatter, whole[1], known)
    inside = None
    if cells > 1:
        fine, fine_known = _means(sums, counts, pixels)
        fine_known &= spread(known, cells)
        inside = _make(_nodes(mosaic.shape, cfa, starts), fine, spread(scatter, cells), counts, fine_known)
    dust = find_dust(blocks)
    return Blocks(blocks.x, blocks.y, blocks.values, blocks.errors, known & ~dust, dust, inside)


def _join(sums, cells):
    """Sums over the cells of each block."""
    channels, rows, columns = sums.shape
    return sums.reshape(channels, rows // cells, cells, columns // cells, cells).sum(axis=(2, 4))


def spread(blocks, cells):
    """What holds for blocks, for each of their `cells` x `cells` cells, ``(..., rows, columns)``."""
    return blocks.repeat(cells, axis=-1).repeat(cells, axis=-2)


def _means(sums, counts, pixels):
    """Means, and where they are known in all channels: half of the pixels count."""
    known = ((counts > 0) & (2 * counts >= pixels)).all(axis=0)
    return np.where(known, sums / np.maximum(counts, 1), 0), known


def _make(nodes, values, scatter, counts, known):
    errors = np.where(known, np.sqrt(scatter / np.maximum(counts, 1)), np.inf)
    x, y = nodes
    return Blocks(x, y, values, errors, known)


def _smooth_scatter(scatter, values, pairs, known):
    """Variance of a pixel in each block, DN^2, from the blocks around it, relative to their level."""
    result = np.zeros(scatter.shape)
    for channel in range(len(scatter)):
        level = np.maximum(values[channel], 1e-3 * np.abs(values[channel]).max() + 1e-30)
        relative = scatter[channel] / level**2
        paired = known & (pairs[channel] > 0)  # none in a tile at the border
        number, typical = (np.median(each[paired]) if paired.any() else 0 for each in (pairs[channel], relative))
        window = 5 if number >= ENOUGH else 9
        freedom = max(number / 2, 1)  # second differences of neighbours are correlated: 18 / 35
        # an edge in a few blocks does not count; the median of chi^2 / n is below 1 (Wilson & Hilferty 1931)
        near = median_filter(np.where(paired, relative, typical), window) / (1 - 2 / (9 * freedom)) ** 3
        result[channel] = level**2 * np.maximum(near, 1e-10)
    return result


def find_dust(blocks):
    """Blocks with dust, and those beside them.

    Dust is darker than what is around it, local and inside. A radial function times a polynomial of high degree is
    taken off, then the median of `AROUND` x `AROUND` blocks. Groups of blocks below that are dust if they do not touch
    the border, or a block that is not known, and are not larger than `DUST_BLOCKS` either way. Single blocks that are
    brighter hold hot pixels side by side. Others stay, for the model to follow or to miss.

    Returns
    -------
    numpy.ndarray of bool, ``(rows, columns)``
    """
    degree = max((each for each in DEGREES if _enough(blocks.known, (each + 1) * (each + 2) / 2)), default=None)
    dark, bright = np.zeros((2, *blocks.known.shape), bool)
    if degree is None:
        return dark
    for x, y, values, errors in zip(blocks.x, blocks.y, blocks.values, blocks.errors, strict=True):
        kept = blocks.known
        for _ in range(3):
            weights = np.where(kept, 1 / errors**2, 0)
            radial = fit_free_radial(x, y, values, weights).evaluate(x, y)
            radial = np.maximum(radial, 1e-3 * np.abs(values).max())
            fit = fit_polynomial(x, y, values / radial, weights * radial**2, degree)
            rest = np.where(blocks.known, (values - radial * fit.evaluate(x, y)) / errors, 0)
            rest -= median_filter(rest, AROUND, mode="nearest")
            scatter = max(SIGMA_PER_MAD * np.median(np.abs(rest[blocks.known])), 1.0)
            below = blocks.known & (rest < -DUSTY * scatter)
            kept = blocks.known & ~_local_groups(below, blocks.known)
        dark |= below
        bright |= blocks.known & (rest > DUSTY * scatter)
    local = _local_groups(dark, blocks.known) | _local_groups(bright, blocks.known, 1)
    dust = binary_dilation(local, np.ones((3, 3), bool)) & blocks.known
    return dust if dust.sum() <= MOST_DUST * blocks.known.sum() else np.zeros_like(dust)  # that many are not dust


def _local_groups(marked, known, largest=DUST_BLOCKS):
    """Groups of marked blocks that are small, and closed: all around them are blocks that are known and not marked."""
    groups, count = label(marked, np.ones((3, 3), bool))
    outside = np.pad(~known, 1, constant_values=True)
    beside = binary_dilation(outside, np.ones((3, 3), bool))[1:-1, 1:-1]
    local = np.zeros(marked.shape, bool)
    for group in range(1, count + 1):
        own = groups == group
        rows, columns = np.nonzero(own)
        if max(np.ptp(rows), np.ptp(columns)) < largest and not (own & beside).any():
            local |= own
    return local
