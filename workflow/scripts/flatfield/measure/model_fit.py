"""Least squares on a grid of blocks: solution, leverage of each block, and error of the values."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: Share of the smallest penalty that is always there, so that terms without a block under them are determined.
FLOOR = 1e-6


@dataclass(frozen=True)
class Terms:
    """The space that a fit lives in.

    Attributes
    ----------
    design : callable
        Of x and y: the terms averaged over blocks, ``(rows * columns, terms)``; of a nonlinear model its derivatives.
    transform : numpy.ndarray, ``(terms, terms)``
        Makes the terms orthonormal over the blocks, weighted.
    shrink : numpy.ndarray, ``(terms,)``
        By what a penalty multiplies the amplitudes of these; 1 without.
    penalty : float
    """

    design: Callable
    transform: np.ndarray
    shrink: np.ndarray
    penalty: float = 0.0

    @property
    def freedom(self):
        """Effective number of parameters: trace of the smoothing matrix."""
        return float(self.shrink.sum())

    def orthonormal(self, x, y):
        """The orthonormal terms at blocks, ``(rows * columns, terms)``."""
        return self.design(x, y) @ self.transform

    def variance(self, x, y):
        """Variance of the values of the model, ``(rows, columns)``.

        From the noise of the blocks; with a penalty also, on average, from what it smoothes away (Wahba 1983).
        """
        shape = np.shape(y)[-1], np.shape(x)[-1]
        return (self.orthonormal(x, y) ** 2 @ self.shrink).reshape(shape)


@dataclass(frozen=True)
class Fit:
    """A fitted model.

    Attributes
    ----------
    evaluate : callable
        Values ``(rows, columns)`` at x ``(columns,)`` and y ``(rows,)``, or means over nodes.
    parameters : float
        Their number; of a spline the trace of its smoothing matrix.
    coefficients : dict
        Those that have a name; empty for polynomials and splines.
    terms : Terms
    """

    evaluate: Callable
    parameters: float
    coefficients: dict
    terms: Terms


def mean_over_nodes(function, x, y):
    """Mean of a function of x ``(columns,)`` and y ``(rows,)`` over the nodes of both."""
    values = [function(column, row) for column in np.atleast_2d(x) for row in np.atleast_2d(y)]
    return sum(values[1:], values[0]) / len(values)


def solve(design, x, y, values, weights, rough=None, penalties=(0.0,)):
    """Weighted least squares, with a quadratic penalty where one is given.

    The terms are made orthonormal over the blocks in an order in which the penalty is diagonal (Demmler & Reinsch
    1975), so that all penalties, and the blocks left out one by one, cost one decomposition.

    Parameters
    ----------
    design : callable
        As in `Terms`.
    x, y : numpy.ndarray
        Nodes of the blocks.
    values, weights : numpy.ndarray, ``(rows, columns)``
        A weight of 0 leaves a block out.
    rough : numpy.ndarray, ``(terms, terms)``, optional
        Quadratic form that is penalised.
    penalties : sequence of float
        In units of the mean weight of a term; the one with the least generalised cross-validation is taken.

    Returns
    -------
    solution : numpy.ndarray, ``(terms,)``
    terms : Terms
    """
    root = np.sqrt(weights).ravel()
    weighted, target = design(x, y) * root[:, None], np.where(root > 0, values.ravel(), 0) * root
    if rough is None:
        length = np.sqrt((weighted**2).sum(axis=0))
        length[length == 0] = 1
        left, sizes, right = np.linalg.svd(weighted / length, full_matrices=False)
        keep = sizes > 1e-12 * max(sizes[0], 1e-300)
        transform = (right[keep] / sizes[keep, None]).T / length[:, None]
        return transform @ (left[:, keep].T @ target), Terms(design, transform, np.ones(keep.sum()))
    matrix = weighted.T @ weighted
    rough = rough * (np.trace(matrix) / len(matrix))
    floor = FLOOR * min(penalties)
    lower = np.linalg.cholesky(matrix + floor * rough + np.eye(len(matrix)) * floor * np.trace(matrix) / len(matrix))
    inverse = np.linalg.inv(lower)
    strengths, vectors = np.linalg.eigh(inverse @ rough @ inverse.T)
    transform, strengths = inverse.T @ vectors, np.maximum(strengths, 0)
    amplitudes = transform.T @ (weighted.T @ target)
    rest, count = max(target @ target - amplitudes @ amplitudes, 0), np.count_nonzero(weights)

    def score(penalty):
        shrink = 1 / (1 + penalty * strengths)
        left_over = rest + (((1 - shrink) * amplitudes) ** 2).sum()
        return left_over / max(count - shrink.sum(), 1e-9) ** 2

    penalty = min(penalties, key=score)
    shrink = 1 / (1 + penalty * strengths)
    return transform @ (shrink * amplitudes), Terms(design, transform, shrink, penalty)
