"""Smooth models of a flat: polynomials, radial functions and a smoothing spline.

Models are fitted to means over blocks of each channel, by means of their terms over the same blocks. Positions are in
half diagonals of the frame, x to the right and y up from its centre, given as two vectors of a grid. A vector
``(columns,)`` holds points; an array ``(nodes, columns)`` holds the nodes of blocks, over which a model is averaged
(`flatfield.measure.model_blocks`). Values of a model have the unit of the data.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.polynomial.legendre import legvander
from scipy.interpolate import BSpline

from flatfield.measure.blocks import pixel_positions
from flatfield.measure.model_fit import Fit, solve
from flatfield.measure.radial_models import fit_even_radial, fit_free_radial
from flatfield.raw.cfa import CHANNEL_OF_COLOR

#: Total degrees of the polynomials.
DEGREES = range(2, 9)
#: Blocks that a model must have for each of its parameters.
BLOCKS_PER_PARAMETER = 3
#: Parameters of the radial function, below which nothing is fitted.
FEWEST = 8
#: Intervals of the spline across the longer side, and the penalties that are tried.
INTERVALS, PENALTIES = 14, 10.0 ** np.arange(-4, 5)


def fit_polynomial(x, y, values, weights, degree):
    """2-D polynomial of total degree `degree`, weighted least squares.

    In products of Legendre polynomials on coordinates scaled to -1 .. 1, which keeps the normal equations well
    conditioned; those of the notebook, in powers of raw pixel numbers, are not.

    Parameters
    ----------
    x, y : numpy.ndarray, ``(columns,)`` and ``(rows,)``, or nodes of them
    values, weights : numpy.ndarray, ``(rows, columns)``
        A weight of 0 leaves a block out.
    degree : int

    Returns
    -------
    Fit
    """
    scale = np.abs(x).max(), np.abs(y).max()
    rows, columns = np.transpose([(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)])

    def bases(x, y):
        return (_node_mean(legvander(each / length, degree), each) for each, length in ((y, scale[1]), (x, scale[0])))

    def design(x, y):
        by_row, by_column = bases(x, y)
        return (by_row[:, None, rows] * by_column[None, :, columns]).reshape(-1, len(rows))

    solution, terms = solve(design, x, y, values, weights)
    table = np.zeros((degree + 1, degree + 1))
    table[rows, columns] = solution

    def evaluate(x, y):
        by_row, by_column = bases(x, y)
        return by_row @ table @ by_column.T

    return Fit(evaluate, len(rows), {}, terms)


def _node_mean(basis, positions):
    """Mean over the nodes, the first axis, where there are some."""
    return basis.mean(axis=0) if np.ndim(positions) > 1 else basis


def fit_spline(x, y, values, weights):
    """Smoothing spline: products of cubic B-splines whose second differences are penalised (Eilers & Marx 1996).

    The penalty, relative to the mean weight of a coefficient, is found by generalised cross-validation (Craven & Wahba
    1979). Parameters and result as for `fit_polynomial`; coefficient penalty.
    """
    across = np.ptp(x), np.ptp(y)
    counts = [max(round(INTERVALS * each / max(across)), 3) for each in across]
    ends = []
    for vector in (x, y):  # of the frame: half a block beyond the middle of the last one
        middles = np.atleast_2d(vector).mean(axis=0)
        half = np.ptp(middles) / (2 * max(len(middles) - 1, 1))
        ends.append((middles.min() - half, middles.max() + half))

    def basis(vector, axis):
        low, high = ends[axis]
        step = (high - low) / counts[axis]
        knots = low + step * np.arange(-3, counts[axis] + 4)
        spline = BSpline(knots, np.eye(counts[axis] + 3), 3, extrapolate=True)
        return _node_mean(spline(vector), vector)

    sizes = counts[1] + 3, counts[0] + 3
    steps = [np.diff(np.eye(size), 2, axis=0) for size in sizes]
    rough = np.kron(steps[0].T @ steps[0], np.eye(sizes[1])) + np.kron(np.eye(sizes[0]), steps[1].T @ steps[1])

    def design(x, y):
        return np.einsum("ri,cj->rcij", basis(y, 1), basis(x, 0)).reshape(-1, sizes[0] * sizes[1])

    solution, terms = solve(design, x, y, values, weights, rough, PENALTIES)
    table = solution.reshape(sizes)
    return Fit(
        lambda x, y: basis(y, 1) @ table @ basis(x, 0).T, terms.freedom, {"penalty": float(terms.penalty)}, terms
    )


#: Name of the models, and how they are fitted.
LENSFUN, DNG, SPLINE = "even radial (lensfun pa)", "radial with free centre (DNG)", "smoothing spline"
MODELS: dict[str, Callable] = {
    **{f"polynomial of degree {degree}": partial(fit_polynomial, degree=degree) for degree in DEGREES},
    LENSFUN: fit_even_radial,
    DNG: fit_free_radial,
    SPLINE: fit_spline,
}


def _enough(known, parameters):
    return known.sum() >= BLOCKS_PER_PARAMETER * parameters


def draw_mosaic(fits, cfa, shape):
    """Values of the models of the channels at all pixels of a mosaic.

    Parameters
    ----------
    fits : list of Fit
    cfa : ColorFilterArray
    shape : tuple of int

    Returns
    -------
    numpy.ndarray, float32, `shape`
    """
    mosaic, p = np.empty(shape, np.float32), cfa.period
    x, y = pixel_positions(shape)
    for i, j, color in cfa.phases():
        mosaic[i::p, j::p] = fits[CHANNEL_OF_COLOR[color]].evaluate(x[j::p], y[i::p])
    return mosaic
