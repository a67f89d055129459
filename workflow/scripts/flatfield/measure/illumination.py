"""The light source told from the camera: what turned between the subsets was the lamp, what stayed is the flat.

For the subsets k of a set, with the camera turned by t_k, ln C_k = ln R + ln I(turned by t_k) + const_k. ln I is a sum
of Zernike terms in the frame of the source, solved for by least squares with a value of ln R for each block of pixels.
Terms that look the same at all angles are part of R as much as of I; they are left in R.
"""

from dataclasses import dataclass
from itertools import product
from math import factorial

import numpy as np
from numpy.polynomial.legendre import legvander
from scipy.special import chdtrc

from flatfield.measure.blocks import average_good, block_positions, block_side

#: Subset maps are averaged over blocks, about so many across.
BLOCKS_ACROSS = 48
#: Least change of a term over the angles (1 is most) for which it is solved for: below, errors of the angles rule.
VISIBLE = 0.1
#: Subsets up to which all quarter turns are tried, and the gain in chi^2 a term that makes other angles better.
MOST_TURNED, BETTER = 4, 10.0


def zernike_terms(degree):
    """Zernike terms up to a degree but the constant: ``(n, m)``, m > 0 for cos(m phi), m < 0 for sin(|m| phi).

    Examples
    --------
    >>> zernike_terms(2)
    [(1, 1), (1, -1), (2, 0), (2, 2), (2, -2)]
    """
    orders = [(n, m) for n in range(1, degree + 1) for m in range(n % 2, n + 1, 2)]
    return [(n, each) for n, m in orders for each in ((m, -m) if m else (0,))]


def evaluate_term(term, x, y):
    """A Zernike term, between -1 and 1 in the unit circle.

    Parameters
    ----------
    term : tuple of int
        See `zernike_terms`.
    x, y : numpy.ndarray
        To the right and up, half diagonals of the frame.

    Returns
    -------
    numpy.ndarray
        R_n^|m|(r) cos(m phi) or sin(|m| phi) (Born & Wolf, Principles of Optics, 9.2.1).
    """
    n, m = term[0], abs(term[1])
    square = x * x + y * y
    radial = sum(
        (-1) ** k
        * factorial(n - k)
        / (factorial(k) * factorial((n + m) // 2 - k) * factorial((n - m) // 2 - k))
        * square ** ((n - m) // 2 - k)
        for k in range((n - m) // 2 + 1)
    )
    around = (x + 1j * y) ** m
    return radial * (around.imag if term[1] < 0 else around.real)


def turn(x, y, rotation):
    """Where points of the frame lie in the source, with the camera turned counter-clockwise, seen from behind, degrees.

    A direction p of the camera then points to p turned counter-clockwise in the source.
    """
    cos, sin = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    return x * cos - y * sin, x * sin + y * cos


def visible_terms(degree, rotations):
    """Terms that change when the camera is turned by these angles, with how much they do.

    A term of angular order m only turns its phase by m t. What is the same for all angles cannot be told from the flat.

    Parameters
    ----------
    degree : int
    rotations : sequence of float
        Degrees.

    Returns
    -------
    visible, hidden : dict
        For each term 0 (never changes) to 1 (its phases cancel): sqrt(1 - |mean exp(i m t)|^2).

    Examples
    --------
    >>> [len(visible_terms(degree, (0, 90, 180))[0]) for degree in (1, 2, 3, 4)]
    [2, 4, 8, 10]
    >>> [len(visible_terms(degree, (0, 180))[0]) for degree in (1, 2, 3, 4)]
    [2, 2, 6, 6]
    """
    turned = np.exp(1j * np.radians(np.asarray(rotations, float)))
    change = {
        term: float(np.sqrt(max(1 - abs(np.mean(turned ** abs(term[1]))) ** 2, 0))) for term in zernike_terms(degree)
    }
    visible = {term: each for term, each in change.items() if each >= VISIBLE}
    return visible, {term: each for term, each in change.items() if term not in visible}


@dataclass(frozen=True)
class Illumination:
    """A light source, as far as the angles tell it.

    Attributes
    ----------
    terms : list of tuple
        See `zernike_terms`.
    coefficients : numpy.ndarray, ``(terms,)``
        Of ln I.
    covariance : numpy.ndarray, ``(terms, terms)``
        Widened by chi^2 where that is above its expectation.
    chi2, freedom : float
        Of the fit.
    chi2_even : float
        Of an even source.
    """

    terms: list
    coefficients: np.ndarray
    covariance: np.ndarray
    chi2: float
    freedom: int
    chi2_even: float

    def log_ratio(self, x, y, rotation):
        """ln I at points of the frame (half diagonals) with the camera turned."""
        return design(self.terms, x, y, rotation) @ self.coefficients

    def variance_of_mean(self, x, y, rotations, weights):
        """Variance of the mean of ln I over subsets with these weights: that of a flat which it was divided out of."""
        mean = sum(weight * design(self.terms, x, y, each) for each, weight in zip(rotations, weights, strict=True))
        return np.einsum("...i,ij,...j->...", mean, self.covariance, mean)


def design(terms, x, y, rotation):
    """Values of terms at points of the frame, ``(..., terms)``."""
    turned = turn(x, y, rotation)
    return np.stack([evaluate_term(term, *turned) for term in terms], axis=-1)


def normal_equations(logs, errors, rotations, terms, x, y):
    """Normal equations of the terms after ln R of each block and a constant of each subset are eliminated.

    Parameters
    ----------
    logs, errors : numpy.ndarray, ``(subsets, blocks)``
        ln C and its standard error.
    rotations : sequence of float
    terms : list
    x, y : numpy.ndarray, ``(blocks,)``

    Returns
    -------
    matrix, right, square, freedom
        Of the terms; and the weighted sum of squares and the degrees of freedom without any term.
    """
    count, blocks = logs.shape
    weight = 1 / errors**2
    columns = [np.stack([design(terms, x, y, rotation) for rotation in rotations])] if terms else []
    constants = np.zeros((count, blocks, count - 1))
    for k in range(1, count):
        constants[k, :, k - 1] = 1
    values = np.concatenate([*columns, constants, logs[..., None]], axis=2)
    values = values - np.average(values, axis=0, weights=np.broadcast_to(weight[..., None], values.shape))
    flat = (values * np.sqrt(weight)[..., None]).reshape(count * blocks, -1)
    whole = flat.T @ flat
    n = len(terms)
    keep = [*range(n), whole.shape[0] - 1]
    inner = slice(n, whole.shape[0] - 1)
    reduced = whole[np.ix_(keep, keep)] - whole[keep, inner] @ np.linalg.solve(
        whole[inner, inner], whole[inner][:, keep]
    )
    return reduced[:n, :n], reduced[:n, n], float(reduced[n, n]), (count - 1) * blocks - (count - 1)


def solve_illumination(channels, rotations, degree):
    """Solve for the light source.

    Parameters
    ----------
    channels : list of tuple
        For each channel logs, errors, x and y as for `normal_equations`; their R are independent, their I is one.
    rotations : sequence of float
    degree : int

    Returns
    -------
    Illumination
        Without terms where none can be seen (all subsets at one angle).
    """
    terms = list(visible_terms(degree, rotations)[0])
    parts = [normal_equations(logs, errors, rotations, terms, x, y) for logs, errors, x, y in channels]
    matrix, right, square, freedom = (sum(values) for values in zip(*parts, strict=True))
    covariance = np.linalg.inv(matrix)
    coefficients = covariance @ right
    left, freedom = square - right @ coefficients, freedom - len(terms)
    widened = covariance * max(left / freedom, 1.0)
    return Illumination(terms, coefficients, widened, left, freedom, square)


def unevenness(solution, x, y, chosen=lambda term: True):
    """How uneven a light source is: rms of ln I over points of the frame, about its mean.

    Parameters
    ----------
    solution : Illumination
    x, y : numpy.ndarray
        Points, half diagonals.
    chosen : callable
        Says of each term whether it counts.

    Returns
    -------
    rms, error : float
        What the noise of the coefficients adds to the square is taken off.
    """
    which = [index for index, term in enumerate(solution.terms) if chosen(term)]
    if not which:
        return 0.0, 0.0
    values = design([solution.terms[index] for index in which], x, y, 0).reshape(-1, len(which))
    values = values - values.mean(axis=0)
    gram, covariance = values.T @ values / len(values), solution.covariance[np.ix_(which, which)]
    coefficients = solution.coefficients[which]
    square, noise = coefficients @ gram @ coefficients, float(np.trace(gram @ covariance))
    rms = float(np.sqrt(max(square - noise, 0)))
    slope = gram @ coefficients
    return rms, float(np.sqrt(slope @ covariance @ slope)) / rms if square > 4 * noise else float(np.sqrt(noise))


def left_over(solution, noise):
    """What the subsets differ by that neither source nor noise explains, rms, and its error.

    Parameters
    ----------
    solution : Illumination
    noise : float
        Rms standard error of a block.
    """
    fit = solution.chi2 / max(solution.freedom, 1)
    uncertain = np.sqrt(2 / max(solution.freedom, 1))
    excess = max(fit - 1, 0)
    return noise * np.sqrt(excess), noise * uncertain / (2 * np.sqrt(max(excess, uncertain)))


def average_logs(value, error, good, cfa):
    """ln C of blocks of each channel, its standard error, and where the blocks lie.

    Parameters
    ----------
    value, error : numpy.ndarray, float32, ``(rows, columns)``
        Combined mosaic of a subset and its standard error, DN above black.
    good : numpy.ndarray of bool, ``(rows, columns)``
        Pixels that count.
    cfa : ColorFilterArray

    Returns
    -------
    logs, errors : numpy.ndarray, ``(channels, block rows, block columns)``
        NaN where less than half of a block is good, or it is not brighter than black.
    x, y : numpy.ndarray, ``(channels, block rows, block columns)``
        To the right and up from the centre of the frame, half diagonals.
    """
    size = block_side(value.shape, cfa, BLOCKS_ACROSS)
    mean, counts = average_good(value, good, cfa, size)
    variance, _ = average_good(error.astype(np.float64) ** 2, good, cfa, size)
    with np.errstate(all="ignore"):
        logs = np.where(mean > 0, np.log(mean), np.nan)
        errors = np.sqrt(variance / counts) / mean
    x, y = block_positions(value.shape, size, cfa)
    return logs, errors, *np.broadcast_arrays(x[:, None, :], y[:, :, None])


def draw_polynomial(function, degree, shape):
    """Values of a polynomial at all pixels of a frame, from those at a few.

    Parameters
    ----------
    function : callable
        Takes x and y (half diagonals, to the right and up), returns values of a polynomial.
    degree : int
        At least its total degree.
    shape : tuple of int

    Returns
    -------
    numpy.ndarray, float32, `shape`
    """
    nodes = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    half, inverse = np.hypot(*shape) / 2, np.linalg.inv(legvander(nodes, degree))
    x, y = np.meshgrid(nodes * shape[1] / 2 / half, nodes * shape[0] / 2 / half)
    coefficients = inverse @ function(x, y) @ inverse.T
    rows, columns = ((np.arange(length) + 0.5) / length * 2 - 1 for length in shape)
    return (legvander(-rows, degree) @ coefficients @ legvander(columns, degree).T).astype(np.float32)


def compare_channels(solutions):
    """Probability that channels with one light source differ as much as these.

    Parameters
    ----------
    solutions : sequence of Illumination
        One a channel, with the same terms.
    """
    weights = [np.linalg.inv(each.covariance) for each in solutions]
    mean = np.linalg.solve(sum(weights), sum(w @ each.coefficients for w, each in zip(weights, solutions, strict=True)))
    distance = sum(
        (each.coefficients - mean) @ w @ (each.coefficients - mean) for w, each in zip(weights, solutions, strict=True)
    )
    return float(chdtrc((len(solutions) - 1) * len(mean), distance))


def better_angles(channels, rotations, degree):
    """Angles that explain the subsets much better than those given: the opposite sign, or other quarter turns.

    Parameters
    ----------
    channels, rotations, degree
        As for `solve_illumination`.

    Returns
    -------
    list of float or None
        None where the given angles are as good as any of these.
    """
    given = solve_illumination(channels, rotations, degree)
    candidates = [[-angle for angle in rotations]]
    if len(rotations) <= MOST_TURNED:
        candidates += [[0, *turns] for turns in product((0, 90, 180, 270), repeat=len(rotations) - 1)]
    tried = [(solve_illumination(channels, angles, degree), angles) for angles in candidates]
    best, angles = min(tried, key=lambda pair: pair[0].chi2)
    gain = (given.chi2 - best.chi2) / max(best.chi2 / best.freedom, 1.0)
    return angles if gain > BETTER * max(len(given.terms), 1) else None


def describe_hidden(hidden):
    """In words, what angles cannot tell from the flat."""
    orders = sorted({abs(term[1]) for term in hidden})
    words = [
        "what changes with the distance from the centre alone (all corners brighter or darker alike)"
        if order == 0
        else f"patterns that repeat {order} times around the centre"
        if order > 1
        else "a gradient"
        for order in orders
    ]
    return " and ".join(words)
