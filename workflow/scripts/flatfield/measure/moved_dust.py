"""Dust that moved between the subsets of a set: compact spots in which one subset differs from the others."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, label, maximum_position, median_filter

from flatfield.measure.blocks import average_good, block_side
from flatfield.measure.zernike import evaluate_terms, zernike_terms
from flatfield.raw.robust import SIGMA_PER_MAD

#: Blocks across the frame in which spots are looked for, and the smallest side of one, periods of the colour pattern.
ACROSS, SMALLEST_SIDE = 192, 4
#: Side of the box whose median a spot must stand out of, blocks; a spot is smaller than half of it.
AROUND = 13
#: Step in blocks, and side of the box around each, for the scatter near a block: corners are noisier.
STEP, NEAR = 4, 7
#: A spot is this many robust standard deviations, and this much of the level, off; and of no more blocks than this.
SIGMA, RELATIVE, LARGEST = 7.0, 1e-3, 80
#: Part of the frame above which it is not dust that differs.
MOST = 0.02


@dataclass(frozen=True)
class Spot:
    """A spot: row and column of its middle, the subset that differs most, and by how much, relative."""

    row: int
    column: int
    subset: str
    depth: float


def find_moved(subsets, good, cfa):
    """Find spots in which a subset differs from the others.

    Parameters
    ----------
    subsets : dict
        Combined mosaics by name.
    good : numpy.ndarray of bool, ``(rows, columns)``
        Pixels that count.
    cfa : ColorFilterArray

    Returns
    -------
    pixels : numpy.ndarray of bool, ``(rows, columns)``
        In and around the spots.
    spots : list of Spot
        Deepest first.
    """
    none = np.zeros(good.shape, bool)
    size = max(block_side(good.shape, cfa, ACROSS), SMALLEST_SIDE * cfa.period)
    if len(subsets) < 2 or min(good.shape) < 8 * size:
        return none, []
    with np.errstate(all="ignore"):
        logs = [np.log(average_good(each.value, good, cfa, size)[0]) for each in subsets.values()]
    logs = np.array(logs) - np.nanmedian(logs, axis=(2, 3), keepdims=True)
    share = len(logs) / (len(logs) - 1)  # the mean holds a part of the spot
    apart = share * np.nanmean(logs - logs.mean(axis=0), axis=1)
    found = np.zeros(apart.shape, bool)
    for index, plane in enumerate(apart):
        filled = _without_lamp(np.where(np.isfinite(plane), plane, 0))
        apart[index] = filled - median_filter(filled, AROUND, mode="nearest")
        size_of = np.abs(apart[index])
        some = median_filter(size_of[::STEP, ::STEP], NEAR, mode="nearest")
        near = np.kron(some, np.ones((STEP, STEP)))[: size_of.shape[0], : size_of.shape[1]]
        sigma = SIGMA_PER_MAD * np.maximum(np.median(size_of), near)
        found[index] = size_of > np.maximum(SIGMA * sigma, RELATIVE)
    groups, count = label(found.any(axis=0), np.ones((3, 3)))
    sizes = np.bincount(groups.ravel(), minlength=count + 1)
    kept = np.flatnonzero((sizes <= LARGEST) & (np.arange(count + 1) > 0))
    chosen = np.isin(groups, kept)
    if not kept.size or chosen.mean() > MOST:
        return none, []
    names, spots = list(subsets), []
    for number in kept:
        place = [int(each) for each in maximum_position(np.abs(apart), groups[None].repeat(len(apart), axis=0), number)]
        row, column = (int((each + 0.5) * size) for each in place[1:])
        spots.append(Spot(row, column, names[place[0]], float(np.expm1(apart[tuple(place)]))))
    wide = np.kron(binary_dilation(chosen, np.ones((3, 3))), np.ones((size, size), bool))
    none[: wide.shape[0], : wide.shape[1]] = wide
    return none, sorted(spots, key=lambda spot: -abs(spot.depth))


def _without_lamp(plane):
    """A map without what is smooth in it: at the border of the frame a median does not follow a slope."""
    rows, columns = plane.shape
    y, x = np.mgrid[0:rows, 0:columns] / (max(plane.shape) / 2)
    terms = evaluate_terms([(0, 0), *zernike_terms(4)], (x - x.mean()).ravel(), (y - y.mean()).ravel())
    return plane - (terms @ np.linalg.lstsq(terms, plane.ravel(), rcond=None)[0]).reshape(plane.shape)
