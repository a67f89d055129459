"""Noise of two frames in tiles of their difference: variances, and covariances of neighbouring pixels."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from flatfield.raw.cfa import CHANNEL_OF_COLOR

#: Tiles in which variances are taken: about this many across the frame, of this many pixels of one place in the pattern
#: (of few, the plane that is taken out holds what neighbours share), unless fewer than this many would be left.
TILES_ACROSS, SIDE, FEWEST_ACROSS = 64, 16, 6
#: Differences further than this many standard deviations off are no noise (hot pixels, stars).
OUTLIER = 5.0
#: Rows and columns within which pixels are tested for common noise; charge and filters reach no further.
REACH = 2
#: Distances of neighbours, rows and columns, without their signs.
DISTANCES = [(i, j) for i, j in product(range(REACH + 1), repeat=2) if i or j]


@dataclass
class TileNoise:
    """Level, variance and covariances of tiles of the difference of two frames, for each channel.

    Attributes
    ----------
    level : list of numpy.ndarray, ``(tiles,)``
        DN above black, of each channel.
    variance : list of numpy.ndarray, ``(tiles,)``
        Of one frame, DN^2.
    count : list of numpy.ndarray, ``(tiles,)``
        Pixels of each tile that count, less the parameters of its light.
    covariance : list of numpy.ndarray, ``(tiles, distances)``
        Sum of the covariances of a pixel with all its neighbours at each of `DISTANCES`, DN^2.
    grid : tuple of int
        Rows and columns of tiles of each place in the colour pattern, which follow each other.
    side : int
        Of a tile, pixels.
    """

    level: list
    variance: list
    count: list
    covariance: list
    grid: tuple
    side: int


def measure_tiles(first, second, factors, cfa, shares=(0.0, 0.0)):
    """Noise of two frames in tiles, from their difference, so that fixed patterns cancel.

    Parameters
    ----------
    first, second : numpy.ndarray, float32, ``(rows, columns)``
        DN above black.
    factors : numpy.ndarray, ``(2, channels)``
        That bring both frames to their mean level.
    cfa : ColorFilterArray
    shares : tuple of float
        Part of the variance of a pixel that was taken out with its row and its column, see
        `flatfield.measure.line_noise.level_lines`; it is put back.

    Returns
    -------
    TileNoise

    Notes
    -----
    Variance of a tile: that of (f1 S1 - f2 S2) / sqrt(2) of one place in the colour pattern, about a plane (which
    holds large-scale changes of the light), without pixels more than `OUTLIER` standard deviations off. At one level f1
    and f2 are near 1, and it is read_noise^2 + level / gain but for (f - 1)^2.

    What neighbours share lowers the variance and raises their covariance (charge that spreads; the brighter-fatter
    effect, Antilogus et al. 2014; noise filters): the gain follows from the sum of both. Two neighbours of unequal
    level give and take in proportion to their photon noise, so that of their covariance C the part
    2 L1 / (L1 + L2) is the first one's: with a share k of the charge exchanged, C = k (V1 + V2), and V1 lacks 2 k V1.
    """
    p = cfa.period
    across = [length // p for length in first.shape]
    side = min(max(-(-across[1] // TILES_ACROSS), min(SIDE, max(min(across) // FEWEST_ACROSS, 4))), *across)
    cut = tuple(slice(0, length // (p * side) * p * side) for length in first.shape)
    parts = {}
    for i, j, color in cfa.phases():
        factor = factors[:, CHANNEL_OF_COLOR[color]].astype(np.float32)
        a, b = (_tiles(frame[cut][i::p, j::p], side) * factor[k] for k, frame in enumerate((first, second)))
        rest, variance, count = _clip(_flatten((a - b) / np.float32(np.sqrt(2)), side))
        variance = variance / (1 - sum(shares))
        parts[i, j] = (a.mean(axis=1) + b.mean(axis=1)) / 2, variance, count, rest.reshape(-1, side, side)
    covariances = _covariances(parts, p, side, shares)
    found = [[[] for _ in cfa.channels] for _ in range(4)]
    for i, j, color in cfa.phases():
        channel, (level, variance, count, _) = CHANNEL_OF_COLOR[color], parts[i, j]
        # a plane has two parameters more than a mean
        for kept, values in zip(found, (level, variance, count - 2, covariances[i, j]), strict=True):
            kept[channel].append(values)
    grid = tuple(each.stop // (p * side) for each in cut)
    joined = [[np.concatenate(each) for each in values] for values in found]
    return TileNoise(joined[0], joined[1], joined[2], joined[3], grid, p * side)


def _tiles(plane, side):
    """Tiles of a plane, ``(tiles, pixels)``."""
    rows, columns = (length // side for length in plane.shape)
    tiles = plane.reshape(rows, side, columns, side)
    return tiles.swapaxes(1, 2).reshape(rows * columns, side * side)


def _ramps(side):
    step = np.arange(side, dtype=np.float32) - np.float32((side - 1) / 2)
    return np.repeat(step, side), np.tile(step, side)


def _flatten(tiles, side):
    """Tiles without their mean and linear gradient."""
    result = tiles - tiles.mean(axis=1, keepdims=True)
    for ramp in _ramps(side):
        result -= (result @ ramp / (ramp @ ramp))[:, None] * ramp
    return result


def _clip(tiles):
    """Flattened tiles with 0 for outliers, their variance without these, and the number of pixels left."""
    square = tiles * tiles
    kept = np.ones(tiles.shape, bool)
    for _ in range(3):
        count = kept.sum(axis=1)
        variance = np.where(kept, square, 0).sum(axis=1, dtype=np.float64) / np.maximum(count - 3, 1)
        inside = square <= OUTLIER**2 * np.maximum(variance, 1e-12)[:, None]
        if inside[kept].all():
            break
        kept &= inside
    return (tiles if kept.all() else np.where(kept, tiles, 0)), variance, count


def _covariances(parts, period, side, shares):
    """Covariances of each place in the pattern, ``(tiles, distances)``: sums over the neighbours at each distance."""
    level = {phase: np.maximum(each[0], 0) for phase, each in parts.items()}
    found = {phase: np.zeros((len(each), len(DISTANCES))) for phase, each in level.items()}
    lags = [(i, j) for i, j in product(range(-REACH, REACH + 1), repeat=2) if (i, j) > (0, 0)]
    for (u, v), (i, j) in product(parts, lags):
        other = (u + i) % period, (v + j) % period
        down, right = (u + i) // period, (v + j) // period
        if down >= side or abs(right) >= side:
            continue
        here = np.s_[:, : side - down, max(-right, 0) : side - max(right, 0)]
        there = np.s_[:, down:, max(right, 0) : side + min(right, 0)]
        a, b = parts[u, v][3][here], parts[other][3][there]
        mean = np.einsum("tij,tij->t", a, b, dtype=np.float32) / a[0].size
        if other == (u, v):  # the plane that was taken out is common to both
            mean = mean + parts[u, v][1] * _leverage(side, here, there)
        of_line = (i == 0) * shares[0] + (j == 0) * shares[1]
        if of_line:  # what the line was brought to is common to both
            mean = mean + of_line * np.sqrt(parts[u, v][1] * parts[other][1])
        total = level[u, v] + level[other]
        share = np.where(total > 0, 2 * level[u, v] / np.where(total > 0, total, 1), 1.0)
        distance = DISTANCES.index((i, abs(j)))
        found[u, v][:, distance] += share * mean
        found[other][:, distance] += (2 - share) * mean
    return found


def _leverage(side, here, there):
    """By how much the removal of a plane lowers the covariance of two places, in units of the variance."""
    total = 0.0
    for term in (np.ones(side * side), *_ramps(side)):
        unit = (term / max(np.sqrt(term @ term), 1e-9)).reshape(side, side)
        total += float(np.mean(unit[here[1:]] * unit[there[1:]]))
    return total
