"""Blocks of pixels of the subsets, from which the light source is solved for."""

from dataclasses import dataclass, replace

import numpy as np

from flatfield.measure.zernike import evaluate_terms, zernike_terms

#: Polynomial that takes the place of ln R where its slopes are needed.
LEVEL = ((0, 0), *zernike_terms(8))
#: Difference for slopes, half diagonals.
DELTA = 1e-3


@dataclass(frozen=True)
class Blocks:
    """Blocks of pixels of the subsets, channels taken together.

    Attributes
    ----------
    logs, errors : numpy.ndarray, ``(subsets, blocks)``
        ln C without the mean over the subsets, and its standard error.
    x, y : numpy.ndarray, ``(blocks,)``
        To the right and up, half diagonals.
    level : numpy.ndarray
        Coefficients of a polynomial for ln R, see `slopes_of`.
    """

    logs: np.ndarray
    errors: np.ndarray
    x: np.ndarray
    y: np.ndarray
    level: np.ndarray

    @classmethod
    def merge(cls, channels):
        """Channels that see one source: the weighted mean of what the subsets differ by.

        Parameters
        ----------
        channels : list of tuple
            For each channel logs and errors ``(subsets, blocks)``, x and y, of the same blocks.
        """
        weights = np.array([1 / errors**2 for _, errors, *_ in channels])
        apart = []
        for (logs, *_), weight in zip(channels, weights, strict=True):
            rest = logs - np.average(logs, axis=0, weights=weight)
            apart.append(rest - np.average(rest, axis=1, weights=weight)[:, None])
        x, y = (np.mean([each[part] for each in channels], axis=0) for part in (2, 3))
        level = np.mean([np.average(each[0], axis=0, weights=1 / each[1] ** 2) for each in channels], axis=0)
        total = weights.sum(axis=0)
        return cls((np.array(apart) * weights).sum(axis=0) / total, total**-0.5, x, y, fit_level(level, x, y))

    def part(self, subsets):
        """Some of the subsets."""
        return replace(self, logs=self.logs[subsets], errors=self.errors[subsets])


def fit_level(level, x, y):
    """Coefficients of a polynomial (terms `LEVEL`) fitted to a map of ln R."""
    return np.linalg.lstsq(evaluate_terms(LEVEL, x, y), level, rcond=None)[0]


def slopes_of(level, x, y):
    """Slopes of ln R to the right and up, per half diagonal, ``(points, 2)``."""

    def at(dx, dy):
        return evaluate_terms(LEVEL, x + dx, y + dy) @ level

    across, up = at(DELTA, 0) - at(-DELTA, 0), at(0, DELTA) - at(0, -DELTA)
    return np.stack([across, up], axis=-1) / (2 * DELTA)
