"""A linear model with random parts whose sizes the data determine: restricted maximum likelihood."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.optimize import minimize

#: Smallest and largest size of a random part.
SMALLEST, LARGEST = 1e-6, 0.3


@dataclass(frozen=True)
class Normal:
    """Normal equations of weighted least squares.

    Attributes
    ----------
    matrix : numpy.ndarray, ``(columns, columns)``
    right : numpy.ndarray, ``(columns,)``
    square : float
        Weighted sum of squares of the data.
    freedom : int
        Number of independent data.
    """

    matrix: np.ndarray
    right: np.ndarray
    square: float
    freedom: int


@dataclass(frozen=True)
class Estimate:
    """Best estimate of the columns of a model, and its errors.

    Attributes
    ----------
    values : numpy.ndarray, ``(columns,)``
    covariance : numpy.ndarray, ``(columns, columns)``
        Of all columns, random ones included.
    scale : float
        Variance of the data in units of what was expected.
    """

    values: np.ndarray
    covariance: np.ndarray
    scale: float


def estimate(normal, sizes, scale=1.0):
    """Best linear unbiased estimate (Henderson 1975).

    Parameters
    ----------
    normal : Normal
    sizes : numpy.ndarray, ``(columns,)``
        Standard deviation of each random column; infinite for fixed ones.
    scale : float
        Variance of the data in units of what their weights say.
    """
    fixed = np.isinf(sizes)
    unit = np.where(fixed, 1.0, sizes)
    matrix = normal.matrix * np.outer(unit, unit) / scale + np.diag(np.where(fixed, 0.0, 1.0))
    inverse = np.linalg.inv(matrix) * np.outer(unit, unit)
    return Estimate(inverse @ normal.right / scale, inverse, scale)


def minus_two_log(normal, sizes, scale, groups):
    """-2 ln of the restricted likelihood (Patterson & Thompson 1971), but for a constant, and its slopes.

    Parameters
    ----------
    normal, sizes, scale
        As for `estimate`.
    groups : list of numpy.ndarray
        Columns whose sizes have a common factor.

    Returns
    -------
    value : float
    slopes : numpy.ndarray
        For the logarithm of the factor of each group, and that of the scale at last.
    """
    fixed = np.isinf(sizes)
    unit, random = np.where(fixed, 1.0, sizes), np.where(fixed, 0.0, 1.0)
    matrix = normal.matrix * np.outer(unit, unit) / scale
    matrix[np.diag_indices_from(matrix)] += random
    factor, failed = dpotrf(matrix, lower=True)
    if failed:
        raise np.linalg.LinAlgError("the model has columns that are the same")
    inverse = dpotri(factor, lower=True)[0]
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    right = unit * normal.right / scale
    best = inverse @ right
    value = normal.freedom * np.log(scale) + 2 * np.log(np.diag(factor)).sum()
    value += normal.square / scale - right @ best
    free = random * (np.diag(inverse) + best**2)
    slopes = [2 * (len(columns) - free[columns].sum()) for columns in groups]
    of_scale = normal.freedom - len(best) + free.sum() - normal.square / scale + right @ best
    return float(value), np.array([*slopes, of_scale])


def fit_sizes(normal, base, groups, starts, bounds=None):
    """Sizes of random parts, and the scale of the noise, that make the data most likely.

    Parameters
    ----------
    normal : Normal
    base : numpy.ndarray, ``(columns,)``
        Sizes of the columns, infinite for fixed ones; those of a group in units of the size of the group.
    groups : dict
        Index of the columns of each group that has a size of its own, by name.
    starts : list of dict
        First guesses of the sizes by name, and of the scale of the noise, ``noise``: the likelihood may have several
        maxima.
    bounds : dict, optional
        Smallest and largest size of some groups.

    Returns
    -------
    sizes : dict
        As one of `starts`.
    value : float
        -2 ln of the likelihood.
    """
    names = [*groups, "noise"]

    def sizes_of(logs):
        sizes = base.copy()
        for name, value in zip(groups, logs, strict=False):
            sizes[groups[name]] = base[groups[name]] * np.exp(value)
        return sizes

    def cost(logs):
        return minus_two_log(normal, sizes_of(logs), np.exp(logs[-1]), list(groups.values()))

    bounds = [tuple(np.log((bounds or {}).get(name, (SMALLEST, LARGEST)))) for name in groups] + [(0.0, 20.0)]
    fits = []
    for start in starts:
        first = np.clip(np.log([start[name] for name in names]), *np.array(bounds).T)
        options = {"maxiter": 30, "ftol": 1e-10}
        fits.append(minimize(cost, first, jac=True, bounds=bounds, method="L-BFGS-B", options=options))
    best = min(fits, key=lambda fit: fit.fun)
    return dict(zip(names, np.exp(best.x).tolist(), strict=True)), float(best.fun)


def value_of(normal, base, groups, sizes):
    """-2 ln of the likelihood of some sizes."""
    return minus_two_log(normal, apply_sizes(base, groups, sizes), sizes["noise"], [])[0]


def widen_sizes(normal, base, groups, sizes, largest):
    """Sizes made larger for their own uncertainty, which is large where the data determine few columns.

    A variance from nu degrees of freedom makes deviations follow Student's distribution, which is wider; here nu is the
    number of columns of the group that the data determine, and the variance is raised by 1 + 2 / nu (nu above 1).
    """
    whole = apply_sizes(base, groups, sizes)
    unit = np.where(np.isinf(whole), 1.0, whole)
    prior = np.linalg.inv(
        normal.matrix * np.outer(unit, unit) / sizes["noise"] + np.diag(np.where(np.isinf(whole), 0.0, 1.0))
    )
    told = {name: max(float((1 - np.diag(prior)[columns]).sum()), 1.0) for name, columns in groups.items()}
    return sizes | {name: min(sizes[name] * np.sqrt(1 + 2 / told[name]), largest.get(name, np.inf)) for name in groups}


def apply_sizes(base, groups, sizes):
    """Sizes of all columns from those of the groups."""
    result = base.copy()
    for name, size in sizes.items():
        if name in groups:
            result[groups[name]] = base[groups[name]] * size
    return result
