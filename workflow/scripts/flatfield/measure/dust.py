"""Shadows of dust on a flat: compact dark spots, found by matched filters of several sizes."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, label, median_filter, uniform_filter, zoom
from scipy.special import ndtri

from flatfield.measure.blocks import block_average
from flatfield.measure.model_blocks import unit_side
from flatfield.measure.models import draw_mosaic
from flatfield.measure.zernike import evaluate_terms, zernike_terms
from flatfield.raw.robust import SIGMA_PER_MAD

#: Bins across a map; more only slow it down.
ACROSS = 2200
#: Probability that noise alone gives one spot or more in a map.
FALSE_ALARMS = 0.0005
#: The filter, bins: standard deviation of its middle, side of the box around that it must be darker than, and radius of
#: the disc that it answers to most.
MIDDLE, AROUND, RADIUS = 1.2, 11, 2.0
#: Sizes of shadows, each twice the one before; a map must have this many bins, so that its scatter is known.
SIZES, FEWEST = 5, 24
#: Bins at the border of a map, where the filter sees half of its surroundings twice, and noise counts double.
BORDER = 3
#: Bins this many standard deviations off the median of 3 x 3 are hot or dead pixels, no dust.
HOT = 6.0
#: Blocks of bins, and the side of the box of blocks, whose median is the surface that shadows are darker than.
BLOCK, BOX = 16, 7
#: Cells across a map in which its scatter is measured.
CELLS = 12
#: Parts of the radius: of the middle whose mean is the depth, and of the ring around that it is taken from.
CORE, RING = 0.7, (2.0, 2.8)
#: Shadows less deep than this, relative, change nothing; no more than this many are listed.
SHALLOW, MOST = 1e-3, 300


@dataclass(frozen=True)
class Shadow:
    """A spot of a map: row and column of its middle and radius, bins; depth, relative, and its error; significance."""

    row: float
    column: float
    radius: float
    depth: float
    error: float
    sigma: float

    @property
    def place(self):
        """Row and column."""
        return np.array([self.row, self.column])


@dataclass(frozen=True)
class DetailMap:
    """What is small in a flat: ln of the flat over its smooth version, in bins that hold all colours alike.

    Attributes
    ----------
    values : numpy.ndarray, float32, ``(rows, columns)``
    side : int
        Of a bin, pixels.
    filtered : list of numpy.ndarray
        Answers of the filter, a map for each size, bins of which are twice those of the one before.
    """

    values: np.ndarray
    side: int
    filtered: list

    @classmethod
    def of(cls, values, side):
        """Filter a map."""
        maps, plane = [], values
        while len(maps) < SIZES and min(plane.shape) >= FEWEST:
            maps.append(gaussian_filter(plane, MIDDLE) - uniform_filter(plane, AROUND))
            plane = block_average(plane, 2).astype(np.float32)
        return cls(values, side, maps)

    def over(self, other):
        """This map less another: ln of the quotient of the flats."""
        filtered = [a - b for a, b in zip(self.filtered, other.filtered, strict=True)]  # the filter is linear
        return DetailMap(self.values - other.values, self.side, filtered)


def map_details(mosaics, good, models):
    """Divide flats by the smooth models of their channels, and average over bins.

    Parameters
    ----------
    mosaics : list of flatfield.raw.mosaic.Mosaic
        Of one shape and colour pattern.
    good : numpy.ndarray of bool, ``(rows, columns)``
    models : list of list of flatfield.measure.model_fit.Fit
        Of each flat, the model of each channel.

    Returns
    -------
    list of DetailMap
        A bin that is hot in one of them is left out of all, so that noise beside it does not make a difference.
    """
    cfa, shape = mosaics[0].cfa, mosaics[0].shape
    unit = unit_side(cfa)
    side = unit * max(round(shape[1] / (unit * ACROSS)), 1)
    rough = [
        _average(each.value, good, draw_mosaic(fits, cfa, shape), side)
        for each, fits in zip(mosaics, models, strict=True)
    ]
    middles = [median_filter(each, 3, mode="nearest") for each in rough]
    hot = np.any([_is_hot(each - middle) for each, middle in zip(rough, middles, strict=True)], axis=0)
    values = [np.where(hot, middle, each) for each, middle in zip(rough, middles, strict=True)]
    return [DetailMap.of(each - _surface(each), side) for each in values]


def _average(mosaic, good, smooth, side):
    """ln of the mean of a flat over its smooth model in bins; 0 where too few pixels count."""
    usable = good & (smooth > 0)
    share = block_average(usable, side)
    with np.errstate(all="ignore"):
        values = np.log(block_average(np.where(usable, mosaic / smooth, np.float32(0)), side) / share)
    values[~np.isfinite(values) | (share < 0.5)] = 0
    return values.astype(np.float32)


def _is_hot(apart):
    """Bins that are far off their neighbours."""
    return np.abs(apart) > HOT * SIGMA_PER_MAD * np.median(np.abs(apart[::3, ::3]))


def _surface(values):
    """Median of blocks, smooth, at each bin: what the models leave of the vignetting."""
    size = min(BLOCK, min(values.shape) // 2)
    coarse = block_average(values, size)
    if min(coarse.shape) < 2:
        return np.float32(np.median(values))
    coarse = median_filter(coarse, BOX, mode="nearest")
    inner = zoom(coarse, size, order=1, mode="nearest", grid_mode=True)
    rest = [(0, length - part) for length, part in zip(values.shape, inner.shape, strict=True)]
    return np.pad(inner, rest, mode="edge").astype(np.float32)


def limit_of(detail, signs):
    """Standard deviations above which a spot is no noise: `FALSE_ALARMS` over all places and sizes.

    The number of places at which a filtered map is independent is smaller than that of its bins; so this is safe.
    """
    trials = signs * sum(each.size for each in detail.filtered)
    return float(-ndtri(FALSE_ALARMS / max(trials, 1)))


def find_shadows(detail, bright=False):
    """Find the dark (or bright) spots of a map.

    Parameters
    ----------
    detail : DetailMap
    bright : bool
        Look for bright ones too, as in quotients of flats; their depth is negative.

    Returns
    -------
    list of Shadow
        Most significant first, none within another.
    """
    limit, found = limit_of(detail, 1 + bright), []
    for level, answer in enumerate(detail.filtered):
        if not level:
            shape = _scatter(answer)
        near = shape[2**level // 2 :: 2**level, 2**level // 2 :: 2**level][: answer.shape[0], : answer.shape[1]]
        z = -answer / near
        z /= max(SIGMA_PER_MAD * np.median(np.abs(z)), 1e-9)
        z[:BORDER], z[-BORDER:], z[:, :BORDER], z[:, -BORDER:] = 0, 0, 0, 0
        for sign in (1, -1) if bright else (1,):
            scale = 2**level
            found += [(float(z[p]), *((np.array(p) + 0.5) * scale - 0.5), scale) for p in _peaks(sign * z, limit)]
    kept = []
    for sigma, row, column, scale in sorted(found, key=lambda each: -abs(each[0])):
        radius = RADIUS * scale
        near = [each for each in kept if np.hypot(row - each.row, column - each.column) < each.radius + radius]
        if near or len(kept) >= MOST:
            continue
        depth, error = measure_depth(detail, row, column, radius)
        if abs(depth) >= SHALLOW:
            kept.append(Shadow(row, column, radius, depth, error, sigma))
    return kept


def _peaks(z, limit):
    """Place of the largest value of each group of bins above a limit."""
    groups, count = label(z > limit, np.ones((3, 3)))
    places = np.flatnonzero(groups)
    places = places[np.argsort(z.flat[places])]
    largest = np.zeros(count + 1, int)
    largest[groups.flat[places]] = places  # the last one stays
    return list(zip(*np.unravel_index(largest[1:], z.shape), strict=True))


def _scatter(answer):
    """How a filtered map scatters at each bin: robust in cells, and smooth over them, as corners are noisier."""
    side = max(min(answer.shape) // CELLS, 8)
    rows, columns = (length // side for length in answer.shape)
    cells = np.abs(answer[: rows * side, : columns * side]).reshape(rows, side, columns, side)
    sizes = np.median(cells.swapaxes(1, 2).reshape(rows, columns, -1), axis=2)
    degree = 4 if min(rows, columns) >= 10 else 2 if min(rows, columns) >= 4 else 0
    if not (sizes > 0).all():
        return np.ones(answer.shape, np.float32)
    y, x = np.mgrid[0:rows, 0:columns]
    y, x = (2 * y.ravel() + 1) / rows - 1, (2 * x.ravel() + 1) / columns - 1
    terms = evaluate_terms([(0, 0), *zernike_terms(degree)], x / np.sqrt(2), y / np.sqrt(2))
    smooth = np.exp(terms @ np.linalg.lstsq(terms, np.log(sizes.ravel()), rcond=None)[0]).reshape(rows, columns)
    places = [
        np.minimum(np.arange(length) // side, count - 1)
        for length, count in zip(answer.shape, sizes.shape, strict=True)
    ]
    return smooth[np.ix_(*places)].astype(np.float32)


def measure_depth(detail, row, column, radius):
    """How much darker the middle of a spot is than the ring around it, relative, and the error."""
    values, half = detail.values, int(np.ceil(RING[1] * radius))
    top, left = max(round(row) - half, 0), max(round(column) - half, 0)
    part = values[top : round(row) + half + 1, left : round(column) + half + 1]
    y, x = np.mgrid[0 : part.shape[0], 0 : part.shape[1]]
    distance = np.hypot(y + top - row, x + left - column) / radius
    core, ring = part[distance <= CORE], part[(distance >= RING[0]) & (distance <= RING[1])]
    if not core.size or not ring.size:
        return 0.0, float("inf")
    depth = np.median(ring) - core.mean(dtype=np.float64)
    error = SIGMA_PER_MAD * np.median(np.abs(ring - np.median(ring))) * np.sqrt(1 / core.size + np.pi / 2 / ring.size)
    return float(-np.expm1(-depth)), float(error)
