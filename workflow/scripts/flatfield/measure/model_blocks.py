"""Blocks of a flat that models are fitted to: without hot pixels and dust."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, uniform_filter

from flatfield.measure.blocks import average_good, block_positions
from flatfield.measure.models import DEGREES, _enough, fit_polynomial
from flatfield.raw.robust import SIGMA_PER_MAD

#: Pixels this many standard deviations above (or below) all four neighbours of their colour are hot (or dead).
HOT = 8.0
#: Blocks this many robust standard deviations from a polynomial of degree 8 hold dust.
DUSTY = 5.0


@dataclass(frozen=True)
class Blocks:
    """What models are fitted to.

    Attributes
    ----------
    x, y : numpy.ndarray, ``(channels, columns)`` and ``(channels, rows)``
        Half diagonals; see `flatfield.measure.blocks.block_positions`.
    values : numpy.ndarray, ``(channels, rows, columns)``
        Means; 0 where not known.
    errors : numpy.ndarray, ``(channels, rows, columns)``
        Standard deviation of a mean: scatter of its pixels (noise and pixel response) over the root of their number.
    known : numpy.ndarray of bool, ``(rows, columns)``
        Blocks that are known in all channels, and free of dust.
    """

    x: np.ndarray
    y: np.ndarray
    values: np.ndarray
    errors: np.ndarray
    known: np.ndarray

    @property
    def weights(self):
        """1 / error^2, 0 where not known."""
        return np.where(self.known, 1 / np.where(self.known, self.errors, 1) ** 2, 0)


def find_hot_pixels(mosaic, good, cfa):
    """Pixels that exceed or fall below all four neighbours of their colour by far more than the scatter.

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
        inner = plane[1:-1, 1:-1]
        step = np.abs(np.diff(plane[::3], axis=1))[good[i::p, j::p][::3, 1:]]
        scatter = SIGMA_PER_MAD * np.median(step) / np.sqrt(2) if step.size else 0
        around = [plane[:-2, 1:-1], plane[2:, 1:-1], plane[1:-1, :-2], plane[1:-1, 2:]]
        above = inner - np.maximum.reduce(around) > HOT * scatter
        below = np.minimum.reduce(around) - inner > HOT * scatter
        hot[i::p, j::p][1:-1, 1:-1] = above | below
    return hot


def average_blocks(mosaic, mask, cfa, size):
    """Means of a mosaic over blocks, without masked and hot pixels, and without dust.

    Parameters
    ----------
    mosaic : numpy.ndarray, float32, ``(rows, columns)``
    mask : numpy.ndarray of bool, ``(rows, columns)``
        Pixels that do not count.
    cfa : ColorFilterArray
    size : int
        Side of a block, pixels.

    Returns
    -------
    Blocks
    """
    good = ~mask & np.isfinite(mosaic)
    good &= ~find_hot_pixels(mosaic, good, cfa)
    values, counts = average_good(mosaic, good, cfa, size)
    x, y = block_positions(mosaic.shape, size, cfa)
    p = cfa.period  # second differences: a gradient does not count
    both, curve = np.zeros_like(good), np.zeros_like(mosaic)
    both[:, p:-p] = good[:, p:-p] & good[:, : -2 * p] & good[:, 2 * p :]
    curve[:, p:-p] = 2 * mosaic[:, p:-p] - mosaic[:, : -2 * p] - mosaic[:, 2 * p :]
    scatter = average_good(curve * curve, both, cfa, size)[0] / 6
    known = np.isfinite(values).all(axis=0) & (values > 0).all(axis=0) & np.isfinite(scatter).all(axis=0)
    relative = np.where(known, scatter / np.where(known, values, 1) ** 2, 0)
    share = uniform_filter(known.astype(float), 5)
    near = np.array([uniform_filter(each, 5) for each in relative]) / np.where(known, share, 1)  # of few pixels: unsure
    errors = np.where(known, values * np.sqrt(np.maximum(near, 1e-10) / np.maximum(counts, 1)), np.inf)
    blocks = Blocks(x, y, np.where(known, values, 0), errors, known)
    return Blocks(x, y, blocks.values, errors, known & ~find_dust(blocks))


def find_dust(blocks):
    """Blocks that a polynomial of high degree, fitted without them, misses in any channel; and those beside them.

    Returns
    -------
    numpy.ndarray of bool, ``(rows, columns)``
    """
    degree = max((each for each in DEGREES if _enough(blocks.known, (each + 1) * (each + 2) / 2)), default=None)
    dusty = np.zeros(blocks.known.shape, bool)
    if degree is None:
        return dusty
    for x, y, values, errors in zip(blocks.x, blocks.y, blocks.values, blocks.errors, strict=True):
        kept = blocks.known.copy()
        for _ in range(5):
            weights = np.where(kept, 1 / errors**2, 0)
            fit = fit_polynomial(x, y, values, weights, degree)
            rest = np.where(blocks.known, (values - fit.evaluate(x, y)) / errors, 0)
            scatter = max(SIGMA_PER_MAD * np.median(np.abs(rest[kept])), 1.0)
            kept = blocks.known & (np.abs(rest) < DUSTY * scatter)
        dusty |= blocks.known & ~kept
    dusty = binary_dilation(dusty, np.ones((3, 3), bool)) & blocks.known
    return dusty if 2 * dusty.sum() < blocks.known.sum() else np.zeros_like(dusty)  # that many are not dust
