"""Smooth models of a flat: a 2-D polynomial and a Gaussian smoothing."""

import numpy as np
from numpy.polynomial import legendre
from scipy import fft
from scipy.ndimage import fourier_gaussian

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
    rows, columns = np.transpose(terms)
    by_row, by_column = legendre.legvander(y, degree), legendre.legvander(x, degree)
    # normal equations: sums over the blocks are products of sums over rows and over columns
    matrix = (by_row.T @ by_row)[np.ix_(rows, rows)] * (by_column.T @ by_column)[np.ix_(columns, columns)]
    coefficients = np.zeros((degree + 1, degree + 1))
    coefficients[rows, columns] = np.linalg.solve(matrix, (by_row.T @ blocks @ by_column)[rows, columns])
    y, x = (legendre.legvander(_scaled_centers(length, 1, length), degree) for length in plane.shape)
    return (y @ coefficients @ x.T).astype(np.float32), len(terms)


def _scaled_centers(count, size, length):
    """Centres of `count` blocks of `size` pixels, scaled so that the edges of `length` pixels are -1 and 1."""
    return ((np.arange(count) + 0.5) * size) / length * 2 - 1


def smooth_gaussian(plane, sigma, threads=1):
    """Smooth by a Gaussian; beyond the border the plane goes on with its slope (odd reflection).

    Parameters
    ----------
    plane : numpy.ndarray, ``(rows, columns)``
    sigma : float
        Standard deviation, pixels.
    threads : int

    Returns
    -------
    model : numpy.ndarray, float32, ``(rows, columns)``
        In the unit of `plane`.
    parameters : int
        Effective number of parameters, pixels / (4 pi sigma^2): the frame in units of the kernel's area
        1 / sum(kernel^2).
    """
    reach = min(int(5 * sigma + 1), min(plane.shape) - 1)
    padded = np.pad(plane.astype(np.float64), reach, mode="reflect", reflect_type="odd")
    padded = np.pad(padded, [(0, fft.next_fast_len(n, real=True) - n) for n in padded.shape], mode="edge")
    smooth = fourier_gaussian(fft.rfft2(padded, workers=threads), sigma, n=padded.shape[1])
    model = fft.irfft2(smooth, s=padded.shape, workers=threads)
    model = model[reach : reach + plane.shape[0], reach : reach + plane.shape[1]].astype(np.float32)
    return model, max(1, round(plane.size / (4 * np.pi * sigma**2)))
