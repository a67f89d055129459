"""Smooth models of a flat: a 2-D polynomial and a Gaussian smoothing."""

import numpy as np
from numpy.polynomial import legendre
from scipy.ndimage import gaussian_filter

from flatfield.regions import block_average

#: Side of the blocks whose means the polynomial is fitted to, pixels: no detail is lost that it could follow.
BLOCK = 4


def fit_polynomial(plane, degree):
    """Least-squares 2-D polynomial of total degree `degree`.

    The basis is products of Legendre polynomials in coordinates scaled to -1 .. 1, which keeps the equations
    well conditioned (the notebook's powers of raw pixel numbers do not).

    Parameters
    ----------
    plane : numpy.ndarray, ``(rows, columns)``
    degree : int

    Returns
    -------
    model : numpy.ndarray, float32, ``(rows, columns)``
        In the unit of `plane`.
    parameters : int
        Number of coefficients, (degree + 1) (degree + 2) / 2.
    """
    blocks = block_average(plane, BLOCK)
    y, x = (_scaled_centers(count, BLOCK, length) for count, length in zip(blocks.shape, plane.shape, strict=True))
    terms = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    by_row, by_column = legendre.legvander(y, degree), legendre.legvander(x, degree)
    design = np.stack([np.outer(by_row[:, i], by_column[:, j]).ravel() for i, j in terms], axis=1)
    solution = np.linalg.lstsq(design, blocks.ravel(), rcond=None)[0]
    coefficients = np.zeros((degree + 1, degree + 1))
    coefficients[tuple(np.transpose(terms))] = solution
    rows, columns = (_scaled_centers(length, 1, length) for length in plane.shape)
    return legendre.leggrid2d(rows, columns, coefficients).astype(np.float32), len(terms)


def _scaled_centers(count, size, length):
    """Centres of `count` blocks of `size` pixels, scaled so that the edges of `length` pixels are -1 and 1."""
    return ((np.arange(count) + 0.5) * size) / length * 2 - 1


def smooth_gaussian(plane, sigma):
    """Smooth by a Gaussian; beyond the border the plane goes on with its slope (odd reflection).

    Parameters
    ----------
    plane : numpy.ndarray, ``(rows, columns)``
    sigma : float
        Standard deviation, pixels.

    Returns
    -------
    model : numpy.ndarray, float32, ``(rows, columns)``
        In the unit of `plane`.
    parameters : int
        Effective number of parameters, pixels / (4 pi sigma^2): the frame in units of the kernel's area
        1 / sum(kernel^2).
    """
    reach = min(int(4 * sigma + 1), min(plane.shape) - 1)
    padded = np.pad(plane.astype(np.float64), reach, mode="reflect", reflect_type="odd")
    model = gaussian_filter(padded, sigma)[reach:-reach, reach:-reach].astype(np.float32)
    return model, max(1, round(plane.size / (4 * np.pi * sigma**2)))
