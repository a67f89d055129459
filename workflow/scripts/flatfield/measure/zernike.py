"""Zernike polynomials of a frame: names, values, slopes, and a fast way to draw smooth functions at all pixels."""

from functools import cache
from math import comb, factorial

import numpy as np
from numpy.polynomial.legendre import legvander


def zernike_terms(degree, lowest=1):
    """Zernike terms up to a degree but the constant: ``(n, m)``, m > 0 for cos(m phi), m < 0 for sin(-m phi).

    Examples
    --------
    >>> zernike_terms(2)
    [(1, 1), (1, -1), (2, 0), (2, 2), (2, -2)]
    """
    orders = [(n, m) for n in range(lowest, degree + 1) for m in range(n % 2, n + 1, 2)]
    return [(n, each) for n, m in orders for each in ((m, -m) if m else (0,))]


def unit_size(term):
    """Rms of a term over the unit circle, where R_n^m(1) = 1 (Born & Wolf, Principles of Optics, 9.2.1)."""
    return (1 / (term[0] + 1) / (2 if term[1] else 1)) ** 0.5


@cache
def _powers(degree):
    return [(i, total - i) for total in range(degree + 1) for i in range(total, -1, -1)]


@cache
def _expansion(terms):
    """Coefficients of the monomials x^i y^j of terms, ``(monomials, terms)``."""
    powers = _powers(max(n for n, _ in terms))
    place, matrix = {power: index for index, power in enumerate(powers)}, np.zeros((len(powers), len(terms)))
    for column, (n, signed) in enumerate(terms):
        m = abs(signed)
        for k in range((n - m) // 2 + 1):
            radial = (-1) ** k * factorial(n - k)
            radial /= factorial(k) * factorial((n + m) // 2 - k) * factorial((n - m) // 2 - k)
            half = (n - m) // 2 - k
            for a in range(half + 1):  # (x^2 + y^2)^half
                for b in range(m + 1):  # (x + i y)^m
                    turn = 1j**b
                    around = turn.imag if signed < 0 else turn.real
                    power = (2 * (half - a) + m - b, 2 * a + b)
                    matrix[place[power], column] += radial * comb(half, a) * comb(m, b) * around
    return matrix


@cache
def _expansion_of_slopes(terms):
    """The same of the slopes of terms to the right and up."""
    powers, matrix = _powers(max(n for n, _ in terms)), _expansion(terms)
    place, right, up = {power: index for index, power in enumerate(powers)}, *np.zeros((2, *matrix.shape))
    for (i, j), row in zip(powers, matrix, strict=True):
        if i:
            right[place[i - 1, j]] += i * row
        if j:
            up[place[i, j - 1]] += j * row
    return right, up


def evaluate_terms(terms, x, y):
    """Values of Zernike terms, ``(..., terms)``.

    Parameters
    ----------
    terms : sequence of tuple of int
        See `zernike_terms`.
    x, y : numpy.ndarray
        To the right and up, half diagonals of the frame.

    Returns
    -------
    numpy.ndarray
        ``R_n^|m|(r) cos(m phi)`` or ``sin(|m| phi)`` (Born & Wolf, Principles of Optics, 9.2.1).
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if not len(terms):
        return np.zeros((*x.shape, 0))
    return _monomials(max(n for n, _ in terms), x, y) @ _expansion(tuple(terms))


def evaluate_slopes(terms, x, y):
    """Values of Zernike terms and their slopes to the right and up, each ``(..., terms)``; as `evaluate_terms`."""
    terms, x, y = tuple(terms), np.asarray(x, float), np.asarray(y, float)
    if not terms:
        return (np.zeros((*x.shape, 0)),) * 3
    monomials = _monomials(max(n for n, _ in terms), x, y)
    return monomials @ _expansion(terms), *(monomials @ slope for slope in _expansion_of_slopes(terms))


def _monomials(degree, x, y):
    """Values of x^i y^j, ``(..., monomials)``."""
    xs, ys = [np.ones_like(x)], [np.ones_like(y)]
    for _ in range(degree):
        xs.append(xs[-1] * x)
        ys.append(ys[-1] * y)
    powers = _powers(degree)
    result = np.empty((*x.shape, len(powers)))
    for index, (i, j) in enumerate(powers):
        np.multiply(xs[i], ys[j], out=result[..., index])
    return result


def draw_smooth(function, degree, shape):
    """Values of a smooth function at all pixels of a frame, from those at a few: exact for polynomials.

    Parameters
    ----------
    function : callable
        Takes x and y (half diagonals, to the right and up), returns values.
    degree : int
        Of the polynomial that takes its place.
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
    left = legvander(-rows, degree).astype(np.float32) @ coefficients.astype(np.float32)
    return left @ legvander(columns, degree).T.astype(np.float32)
