"""Radial models of a flat: those of lensfun and of DNG; positions as in `flatfield.measure.models`."""

import numpy as np
from numpy.polynomial.polynomial import polyder, polyval

from flatfield.measure.model_fit import Fit, mean_over_nodes, solve

#: Gauss-Newton steps of the radial model; how far from the middle its centre may lie, half diagonals.
ROUNDS, FARTHEST = 20, 0.5


def fit_even_radial(x, y, values, weights):
    """s (1 + k1 r^2 + k2 r^4 + k3 r^6) about the middle: lensfun's model ``pa``, r = 1 in the corners.

    Parameters and result as for `flatfield.measure.models.fit_polynomial`; coefficients k1, k2, k3.
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
    Parameters and result as for `flatfield.measure.models.fit_polynomial`; coefficients k0 to k4, center_x,
    center_y (half diagonals). With fewer `terms` it is less exact and goes on better beyond the frame.
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
