"""Smooth models of a flat: polynomials, radial functions and a smoothing spline, and which of them the data ask for.

Models are fitted to means over blocks of each channel. Positions are in half diagonals of the frame, x to the right and
y up from its centre, given as two vectors of a grid; values of a model have the unit of the data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.polynomial.legendre import legvander
from numpy.polynomial.polynomial import polyval
from scipy.interpolate import BSpline

from flatfield.measure.blocks import pixel_positions
from flatfield.raw.cfa import CHANNEL_OF_COLOR

#: Total degrees of the polynomials.
DEGREES = range(2, 9)
#: Blocks that a model must have for each of its parameters.
BLOCKS_PER_PARAMETER = 3
#: Parameters of the radial function, below which nothing is fitted.
FEWEST = 8
#: Intervals of the spline across the longer side, and the penalties that are tried.
INTERVALS, PENALTIES = 14, 10.0 ** np.arange(-4, 5)
#: Rounds in which the centre of the radial model is found; how far from the middle it may lie, half diagonals.
ROUNDS, FARTHEST = 12, 0.5


@dataclass(frozen=True)
class Fit:
    """A fitted model.

    Attributes
    ----------
    evaluate : callable
        Values ``(rows, columns)`` at x ``(columns,)`` and y ``(rows,)``.
    parameters : float
        Their number; of a spline the trace of its smoothing matrix.
    coefficients : dict
        Those that have a name; empty for polynomials and splines.
    """

    evaluate: Callable
    parameters: float
    coefficients: dict


def fit_polynomial(x, y, values, weights, degree):
    """2-D polynomial of total degree `degree`, weighted least squares.

    In products of Legendre polynomials on coordinates scaled to -1 .. 1, which keeps the normal equations well
    conditioned; those of the notebook, in powers of raw pixel numbers, are not.

    Parameters
    ----------
    x, y : numpy.ndarray, ``(columns,)`` and ``(rows,)``
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
        return legvander(y / scale[1], degree), legvander(x / scale[0], degree)

    by_row, by_column = bases(x, y)
    design = (by_row[:, None, rows] * by_column[None, :, columns]).reshape(values.size, -1)
    solution = _least_squares(design, values, weights)
    table = np.zeros((degree + 1, degree + 1))
    table[rows, columns] = solution

    def evaluate(x, y):
        by_row, by_column = bases(x, y)
        return by_row @ table @ by_column.T

    return Fit(evaluate, len(rows), {})


def _least_squares(design, values, weights):
    weighted = design * weights.reshape(-1, 1)
    return np.linalg.lstsq(weighted.T @ design, weighted.T @ values.ravel(), rcond=1e-14)[0]


def fit_even_radial(x, y, values, weights):
    """s (1 + k1 r^2 + k2 r^4 + k3 r^6) about the middle: lensfun's model ``pa``, r = 1 in the corners.

    Parameters and result as for `fit_polynomial`; coefficients k1, k2, k3.
    """

    def powers(x, y):
        return (x**2 + (y**2)[:, None])[..., None] ** np.arange(4)

    solution = _least_squares(powers(x, y).reshape(values.size, -1), values, weights)
    names = {f"k{i}": float(solution[i] / solution[0]) for i in (1, 2, 3)}
    return Fit(lambda x, y: powers(x, y) @ solution, 4, names)


def fit_free_radial(x, y, values, weights, terms=5):
    """s / (1 + k0 r^2 + k1 r^4 + ... + k4 r^10) about a centre of its own: DNG's FixVignetteRadial.

    In the DNG specification the denominator is the gain that corrects; r = 1 at the corner farthest from the centre.
    The reciprocals of the data are linear in all but the centre, which is found by Gauss-Newton steps.
    Parameters and result as for `fit_polynomial`; coefficients k0 to k4, center_x, center_y (half diagonals). With
    fewer `terms` it is less exact and goes on better beyond the frame.
    """
    with np.errstate(divide="ignore"):
        inverse = np.where(weights > 0, 1 / values, 0)
    level = np.average(inverse, weights=weights)
    weights = weights * values**4 * level**2  # error of 1 / v is that of v over v^2
    # the corner of the frame, not the middle of its last block, is one half diagonal away
    corner = np.array([np.abs(each).max() + np.ptp(each) / (2 * max(len(each) - 1, 1)) for each in (x, y)])
    corner /= np.hypot(*corner)
    center, exponents = np.zeros(2), np.arange(terms + 1)

    def farthest(center):
        return (corner[0] + abs(center[0])) ** 2 + (corner[1] + abs(center[1])) ** 2

    for _ in range(ROUNDS):
        dx, dy = x - center[0], (y - center[1])[:, None]
        unit = farthest(center)
        square = (dx**2 + dy**2) / unit
        powers = square[..., None] ** exponents
        solution = _least_squares(powers.reshape(values.size, -1), inverse, weights)
        slope = (exponents[1:] * square[..., None] ** exponents[:-1]) @ solution[1:] * (-2 / unit)
        columns = [powers.reshape(values.size, -1), (slope * dx).reshape(-1, 1), (slope * dy).reshape(-1, 1)]
        design = np.concatenate(columns, axis=1)
        weighted = design * weights.reshape(-1, 1)
        step = np.linalg.lstsq(weighted.T @ design, weighted.T @ inverse.ravel(), rcond=1e-14)[0][-2:]
        center = np.clip(center + np.clip(step, -0.1, 0.1), -FARTHEST, FARTHEST)
        if np.abs(step).max() < 1e-7:
            break
    unit = farthest(center)

    def square_at(x, y):
        return ((x - center[0]) ** 2 + ((y - center[1]) ** 2)[:, None]) / unit

    solution = _least_squares((square_at(x, y)[..., None] ** exponents).reshape(values.size, -1), inverse, weights)
    names = {f"k{i}": float(solution[i + 1] / solution[0]) for i in range(terms)}
    names |= {"center_x": float(center[0]), "center_y": float(center[1])}
    return Fit(lambda x, y: 1 / polyval(square_at(x, y), solution), terms + 3, names)


def fit_spline(x, y, values, weights, penalty=None):
    """Smoothing spline: products of cubic B-splines whose second differences are penalised (Eilers & Marx 1996).

    Parameters and result as for `fit_polynomial`, and:

    Parameters
    ----------
    penalty : float, optional
        Relative to the mean weight of a coefficient; found by generalised cross-validation where left out.
    """
    across = np.ptp(x), np.ptp(y)
    counts = [max(round(INTERVALS * each / max(across)), 3) for each in across]
    ends = [(vector.min(), vector.max()) for vector in (x, y)]

    def basis(vector, axis):
        low, high = ends[axis]
        step = (high - low) / counts[axis]
        knots = low + step * np.arange(-3, counts[axis] + 4)
        # the outermost half blocks lie beyond the centres of the blocks: the last polynomial goes on
        return BSpline(knots, np.eye(counts[axis] + 3), 3, extrapolate=True)(vector)

    by_row, by_column = basis(y, 1), basis(x, 0)
    sizes = by_row.shape[1], by_column.shape[1]
    design = (by_row[:, None, :, None] * by_column[None, :, None, :]).reshape(values.size, -1)
    weighted = design * weights.reshape(-1, 1)
    matrix, right = weighted.T @ design, weighted.T @ values.ravel()
    steps = [np.diff(np.eye(size), 2, axis=0) for size in sizes]
    rough = np.kron(steps[0].T @ steps[0], np.eye(sizes[1])) + np.kron(np.eye(sizes[0]), steps[1].T @ steps[1])
    rough *= np.trace(matrix) / len(matrix)
    count = np.count_nonzero(weights)

    def solve(penalty):
        solution = np.linalg.solve(matrix + penalty * rough, np.column_stack([right, matrix]))
        freedom = np.trace(solution[:, 1:])
        rest = (weights.ravel() * (values.ravel() - design @ solution[:, 0]) ** 2).sum()
        return rest / max(count - freedom, 1e-9) ** 2, solution[:, 0], freedom, penalty

    tried = [solve(each) for each in (PENALTIES if penalty is None else [penalty])]
    _, solution, freedom, penalty = min(tried, key=lambda each: each[0])
    table = solution.reshape(sizes)
    return Fit(lambda x, y: basis(y, 1) @ table @ basis(x, 0).T, float(freedom), {"penalty": float(penalty)})


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
