"""Saturation of each channel: where values pile up, or scatter less than noise lets them."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from flatfield.combine.kernels import compiled
from flatfield.raw.cfa import CHANNEL_OF_COLOR
from flatfield.raw.robust import SIGMA_PER_MAD

#: Number of values that the histograms hold.
VALUES = 65536
#: A value that more pixels have than this, and this many times more than usual values below it, is a pile-up.
FEWEST_PILED, PILE_UP_RATIO = 10, 10
#: Values below one, of those that occur, with which it is compared.
PILE_UP_WINDOW = 50
#: Part of a pile-up that may lie above it (hot pixels).
ABOVE_PILE = 0.1
#: A pile-up lies further above the usual pixel than this many standard deviations; else it is that of a blank frame.
FAR = 5.0
#: Largest parts of the pixels that are compared, and the fewest pixels: how far the brightest 1 and 4 parts reach.
LARGEST_PART, FEWEST_PIXELS, PARTS = 0.2, 64, 4.0
#: Part of the distance that noise puts between these, below which pixels no longer follow the light; less where few
#: pixels give that distance only with an error: it stays this many errors away.
PLATEAU, CHANCE_SIGMA = 0.65, 6.0
#: Part of the darker pixels, the brightest of them, whose noise is compared.
BRIGHTEST = 0.2
#: Values that must occur within 3 standard deviations of noise, so that steps of the digitisation are no plateau.
FEWEST_VALUES = 6
#: Standard deviations of a plateau below its centre from which on a pixel belongs to it.
EDGE = 2.5
#: Groups of four pixels of which the noise is taken, at most, of each place in the colour pattern, and columns that
#: these are apart: a multiple of the periods of all patterns (2, 4, 6), also of those that files do not record.
GROUPS, APART = 10_000, 12
#: Groups that suffice to measure the noise.
ENOUGH_GROUPS = 50


@dataclass(frozen=True)
class ValueCounts:
    """How often each value occurs, and sums of rows and columns.

    Attributes
    ----------
    counts : numpy.ndarray, int64, ``(channels, VALUES)``
        Pixels with value ``origin + index * step``.
    origin, step : float
        DN.
    rows, columns : numpy.ndarray, float64
        Mean of each row and column, DN.
    """

    counts: np.ndarray
    origin: float
    step: float
    rows: np.ndarray
    columns: np.ndarray

    def range(self):
        """Least and largest value, DN."""
        present = np.flatnonzero(self.counts.sum(axis=0))
        return self.origin + self.step * present[0], self.origin + self.step * present[-1]


def count_values(mosaic, cfa):
    """Count the values of a mosaic.

    Parameters
    ----------
    mosaic : numpy.ndarray, uint16 or float32, ``(rows, columns)``, DN
        Numbers with fractions are counted in 65536 steps from the least to the largest.
    cfa : ColorFilterArray

    Returns
    -------
    ValueCounts
    """
    origin, step, values = 0.0, 1.0, mosaic
    if mosaic.dtype != np.uint16:
        known = np.where(np.isfinite(mosaic), mosaic, np.float32(0))
        low, high = float(known.min()), float(known.max())
        whole = high - low < VALUES and bool((known == np.rint(known)).all())
        origin, step = low, 1.0 if whole or high == low else (high - low) / (VALUES - 1)
        values = np.rint((known.astype(np.float64) - origin) / step).astype(np.uint16)
    tile = np.array([[CHANNEL_OF_COLOR[color] for color in row] for row in cfa.tile], np.int64)
    counts = np.zeros((len(cfa.channels), VALUES), np.uint32)
    rows, columns = np.zeros(mosaic.shape[0], np.int64), np.zeros(mosaic.shape[1], np.int64)
    _count(np.ascontiguousarray(values), tile, counts, rows, columns)
    means = [origin + step * sums / other for sums, other in ((rows, mosaic.shape[1]), (columns, mosaic.shape[0]))]
    return ValueCounts(counts.astype(np.int64), origin, step, *means)


@compiled
def _count(mosaic, tile, counts, rows, columns):
    """Histogram of each channel, and sums of rows and columns, all of them written."""
    period = len(tile)
    for i in range(mosaic.shape[0]):
        total = 0
        for start in range(period):
            count = counts[tile[i % period, start]]
            for j in range(start, mosaic.shape[1], period):
                value = mosaic[i, j]
                count[value] += 1
                columns[j] += value
                total += value
        rows[i] = total


def measure_saturation(mosaic, cfa, white, values=None):
    """Level at which each channel saturates.

    Parameters
    ----------
    mosaic : numpy.ndarray, uint16 or float32, ``(rows, columns)``, DN
    cfa : ColorFilterArray
    white : float or None
        White level of the metadata, DN.
    values : ValueCounts, optional
        Of the mosaic, where they are known.

    Returns
    -------
    levels : dict
        DN by channel, of those that saturate.
    fractions : dict
        Part of the pixels at or above it, by channel: 0 where it does not saturate.

    Notes
    -----
    Three signs, each of the channel alone, as channels saturate at levels of their own:

    - the white level of the metadata is reached;
    - a value far above the usual ones occurs much more often than those below it, with next to nothing above it;
    - the brightest pixels are closer together than noise lets them be. The value that a part e of the pixels exceeds
      lies at least sigma (z(e) - z(4 e)) above that which 4 e exceed, z the quantiles of a normal distribution, however
      the light is distributed, if each pixel has the noise sigma of somewhat darker ones. This finds full wells, which
      are no sharp value, below the white level and with hot pixels above them. Of channels that saturate altogether
      the noise is that of the others.
    """
    values = values or count_values(mosaic, cfa)
    groups = [_noise_groups(mosaic, cfa, channel, values) for channel in range(len(cfa.channels))]
    joint = values.counts.sum(axis=0)
    levels, fractions = {}, dict.fromkeys(cfa.channels, 0.0)
    for index, channel in enumerate(cfa.channels):
        counts = values.counts[index]
        others = [np.concatenate(parts) for parts in zip(*(groups[:index] + groups[index + 1 :]), strict=True)]
        found = [_find_pile(counts, groups[index]), _find_plateau(counts, groups[index], others, joint)]
        if white is not None:
            limit = int(np.ceil((white - values.origin) / values.step - 1e-6))
            if counts[max(limit, 0) :].any() and limit < VALUES:
                found.append(max(limit, 0))
        found = [each for each in found if each is not None]
        if found:
            first = min(found)
            levels[channel] = float(values.origin + values.step * first)
            fractions[channel] = float(counts[first:].sum() / counts.sum())
    return levels, fractions


def _noise_groups(mosaic, cfa, channel, values):
    """Mean, and third difference over sqrt(20), of groups of four pixels of a channel in a row, in steps of the counts.

    The difference is free of gradients and curvature; both are uncorrelated in noise that is normal.
    """
    p, means, differences = cfa.period, [], []
    apart = APART if mosaic.shape[1] >= 8 * APART else p
    if mosaic.shape[1] < 4 * apart:
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    for i, j, color in cfa.phases():
        if CHANNEL_OF_COLOR[color] != channel:
            continue
        rows, width = len(range(i, mosaic.shape[0], p)), mosaic.shape[1] // (4 * apart)
        every = max(rows * width * (apart // p) // GROUPS, 1) * p
        part = mosaic[i::every, : 4 * width * apart].astype(np.float32).reshape(-1, width, 4, apart)[..., j::p]
        a, b, c, d = (part[:, :, k] for k in range(4))
        means.append(((a + b + c + d) / 4).ravel())
        differences.append(((a - d + 3 * (c - b)) / np.float32(np.sqrt(20))).ravel())
    step = np.float32(values.step)
    return (np.concatenate(means) - np.float32(values.origin)) / step, np.concatenate(differences) / step


def _deviation(differences):
    return SIGMA_PER_MAD * float(np.median(np.abs(differences)))


def _find_pile(counts, groups):
    """Index of a value at which pixels pile up far above the usual ones, or None."""
    piled, middle = _piles(counts)
    piled = piled[piled - middle > FAR * max(_deviation(groups[1]) if len(groups[1]) else 0, 1)]
    return int(piled[0]) if piled.size else None


def _piles(counts):
    """Indices of values at which pixels pile up, and that of the usual pixel."""
    present = np.flatnonzero(counts > 0)
    number = counts[present]
    above = number[::-1].cumsum()[::-1] - number
    upto = np.concatenate([[0], number.cumsum()])
    position = np.arange(len(present))
    first = np.maximum(position - PILE_UP_WINDOW, np.searchsorted(present, present - 20 * PILE_UP_WINDOW))
    usual = (upto[position] - upto[first]) / np.maximum(position - first, 1)
    piled = (number > FEWEST_PILED) & (above <= ABOVE_PILE * number) & (number > PILE_UP_RATIO * np.maximum(usual, 1))
    return present[piled], present[np.searchsorted(upto[1:], upto[-1] / 2)]


def _find_plateau(counts, groups, others, joint):
    """Index of the lower edge of a plateau on which values scatter less than noise lets them, or None.

    Where its brightest part is one sharp value, what is darker still follows the light, and the plateau is that value.
    """
    total = counts.sum()
    above = np.concatenate([counts[::-1].cumsum()[::-1], [0]])  # pixels at or above each value
    found = []
    most, part = max(map(_largest_noise, (groups, others) if others else (groups,))), LARGEST_PART
    while part * total >= FEWEST_PIXELS:
        high, low = (_exceeded_by(above, share * total) for share in (part, PARTS * part))
        near, far = -ndtri(part), -ndtri(PARTS * part)
        # a part e of n pixels is known within sqrt(e / n), and falls by z e where the value rises by sigma
        error = np.hypot(1 / max(near, 0.5), 1 / max(far, 0.5) / np.sqrt(PARTS)) / np.sqrt(part * total)
        limit = min(PLATEAU * (near - far), near - far - CHANCE_SIGMA * error)
        part /= 2
        if high - low >= limit * most:  # of nearly all frames
            continue
        level, sigma = _noise_below(groups, others, low - 2 * (high - low))
        if sigma and high - low < limit * sigma:
            around = joint[max(int(level - 1.5 * sigma), 0) : max(int(level + 1.5 * sigma), 0) + 1]
            if np.count_nonzero(around) >= FEWEST_VALUES:
                found.append(((high - low) / (near - far), low, high))
    if not found:
        return None
    _, low, high = min(found)  # the part that lies on the plateau most
    sharp = [int(each) for each in _piles(counts)[0] if low <= each <= high]
    return sharp[0] if sharp else _edge_of(counts, (low + high) / 2, high - low)


def _largest_noise(groups):
    """More than the noise of pixels at any level."""
    order = np.argsort(groups[0])
    parts = [_deviation(each) for each in np.array_split(groups[1][order], 8) if len(each)]
    return 1.5 * max(parts, default=0.0)


def _exceeded_by(above, number):
    """Value (with a fraction) that a given number of pixels exceed."""
    index = len(above) - 1 - int(np.searchsorted(above[::-1], number))  # the last value that as many reach
    inside = (above[index] - number) / max(above[index] - above[index + 1], 1)
    return index + inside


def _noise_below(groups, others, limit):
    """Level and noise of the brightest of the pixels darker than a limit; of other channels if there are few."""
    for means, differences in (groups, others) if others else (groups,):
        below = means < limit
        if np.count_nonzero(below) >= ENOUGH_GROUPS:
            means, differences = means[below], differences[below]
            bright = means >= np.quantile(means, 1 - BRIGHTEST)
            return float(np.median(means[bright])), _deviation(differences[bright])
    return 0.0, 0.0


def _edge_of(counts, center, width):
    """Lower edge of a plateau near a value: its mean less `EDGE` standard deviations."""
    values, spread = np.arange(len(counts)), max(width, 1.0)
    for _ in range(20):
        near = slice(max(int(np.ceil(center - 2 * spread)), 0), int(np.floor(center + 2 * spread)) + 1)
        number = counts[near]
        if not number.any():
            break
        center = float(np.average(values[near], weights=number))
        # a normal distribution cut off at 2 standard deviations has 0.88 of them
        scatter = float(np.sqrt(np.average((values[near] - center) ** 2, weights=number))) / 0.88
        if abs(scatter - spread) < 0.01 * spread:
            break
        spread = max(scatter, 0.25)
    return int(np.ceil(center - EDGE * spread)) if spread > 0.5 else round(center)
