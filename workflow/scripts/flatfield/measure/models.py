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
from numpy.polynomial.polynomial import polyder, polyval
from scipy.interpolate import BSpline

from flatfield.measure.blocks import pixel_positions
from flatfield.measure.model_fit import Fit, mean_over_nodes, solve
from flatfield.raw.cfa import CHANNEL_OF_COLOR

#: Total degrees of the polynomials.
DEGREES = range(2, 9)
#: Blocks that a model must have for each of its parameters.
BLOCKS_PER_PARAMETER = 3
#: Parameters of the radial function, below which nothing is fitted.
FEWEST = 8
#: Intervals of the spline across the longer side, and the penalties that are tried.
INTERVALS, PENALTIES = 14, 10.0 ** np.arange(-4, 5)
#: Gauss-Newton steps of the radial model; how far from the middle its centre may lie, half diagonals.
ROUNDS, FARTHEST = 20, 0.5


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


def fit_even_radial(x, y, values, weights):
    """s (1 + k1 r^2 + k2 r^4 + k3 r^6) about the middle: lensfun's model ``pa``, r = 1 in the corners.

    Parameters and result as for `fit_polynomial`; coefficients k1, k2, k3.
    """

    def powers(x, y):
        return mean_over_nodes(lambda x, y: (x**2 + (y**2)[:, None])[..., None] ** np.arange(4), x, y)

    solution, terms = solve(lambda x, y: powers(x, y).reshape(-1, 4), x, y, values, weights)
    names = {f"k{i}": float(solution[i] / solution[0]) for i in (1, 2, 3)}
    return Fit(lambda x, y: powers(x, y) @ solution, 4, names, terms)


def fit_free_radial(x, y, values, weights, terms=5):
    """s / (1 + k0 r^2 + k1 r^4 + ... + k4 r^10) about a centre of its own: DNG's FixVignetteRadial.

    In the DNG specification the denominator is the gain that corrects; r = 1 at the corner farthest from the centre.
    The reciprocals of the data are linear in all but the centre; they start Gauss-Newton steps on the data themselves,
    halved where they do not improve the fit.
    Parameters and result as for `fit_polynomial`; coefficients k0 to k4, center_x, center_y (half diagonals). With
    fewer `terms` it is less exact and goes on better beyond the frame.
    """
    # the corner of the frame, not the middle of its last block, is one half diagonal away
    corner = np.array([np.abs(each).max() + np.ptp(each) / (2 * max(np.shape(each)[-1] - 1, 1)) for each in (x, y)])
    corner /= np.hypot(*corner)

    def farthest(center):
        return (corner[0] + abs(center[0])) ** 2 + (corner[1] + abs(center[1])) ** 2

    def square_at(x, y, center):
        return ((x - center[0]) ** 2 + ((y - center[1]) ** 2)[:, None]) / farthest(center)

    def curve(parameters):
        """Values; not a number where the denominator is not above 0."""

        def at(x, y):
            below = polyval(square_at(x, y, parameters[-2:]), parameters[:-2])
            return np.divide(1, below, out=np.full(below.shape, np.nan), where=below > 0)

        return at

    def slopes(parameters):
        """Derivatives of the values by the parameters."""

        def at(x, y):
            center, unit = parameters[-2:], farthest(parameters[-2:])
            square = square_at(x, y, center)
            outer = -(curve(parameters)(x, y)[..., None] ** 2)
            along = polyval(square, polyder(parameters[:-2])) * (-2 / unit)
            parts = [along * (x - center[0]), along * (y - center[1])[:, None]]
            return outer * np.concatenate([square[..., None] ** np.arange(terms + 1), np.stack(parts, -1)], axis=-1)

        return at

    def tangent(parameters):
        return lambda x, y: _flat(mean_over_nodes(slopes(parameters), x, y))

    def misfit(parameters):
        rest = values - mean_over_nodes(curve(parameters), x, y)
        return float((weights * rest**2)[weights > 0].sum())

    parameters = _start_of_radial(x, y, values, weights, square_at, terms)
    best = misfit(parameters)
    for _ in range(ROUNDS):
        rest = values - mean_over_nodes(curve(parameters), x, y)
        step = solve(tangent(parameters), x, y, rest, weights)[0]
        step *= min(1, 0.1 / max(np.abs(step[-2:]).max(), 1e-30))
        for _ in range(8):
            tried = parameters + step
            tried[-2:] = np.clip(tried[-2:], -FARTHEST, FARTHEST)
            if (found := misfit(tried)) <= best:
                break
            step = step / 2
        else:
            break
        converged = best - found <= 1e-7 * best
        parameters, best = tried, found
        if converged:
            break
    solution, center = parameters[:-2], parameters[-2:]
    names = {f"k{i}": float(solution[i + 1] / solution[0]) for i in range(terms)}
    names |= {"center_x": float(center[0]), "center_y": float(center[1])}
    space = solve(tangent(parameters), x, y, values * 0, weights)[1]
    whole = curve(parameters)
    return Fit(lambda x, y: mean_over_nodes(whole, x, y), terms + 3, names, space)


def _flat(design):
    return np.nan_to_num(design.reshape(-1, design.shape[-1]))


def _start_of_radial(x, y, values, weights, square_at, terms):
    """Parameters from the reciprocals of the data about the middle; a level alone where they cross 0."""
    used = (weights > 0) & (values > 0)
    inverse = np.divide(1, values, out=np.zeros(values.shape), where=used)
    own = np.where(used, weights * values**4, 0)  # error of 1 / v is that of v over v^2
    for count in range(terms, -1, -1):

        def powers(x, y, count=count):
            return mean_over_nodes(lambda x, y: square_at(x, y, (0, 0))[..., None] ** np.arange(count + 1), x, y)

        start = solve(lambda x, y: _flat(powers(x, y)), x, y, inverse, own)[0]
        if (polyval(np.linspace(0, 1, 101), start) > 0).all():
            break
    return np.concatenate([start, np.zeros(terms - count + 2)])


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
