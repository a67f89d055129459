"""Evidence of linear models whose nuisances are Gaussian processes: the sky is integrated out.

For data u with weights W, columns X with coefficients c ~ N(m, P^-1), and a sky Q S a with a ~ N(0, 1), the likelihood
without the sky has the normal matrix X'WX - N'N, N = (1 + S'Q'WQS)^-1/2 S'Q'WX (Rasmussen & Williams 2006,
sections 2.7 and A.3), and the evidence is a Gaussian integral. What the flat may be wrong by is a further Gaussian
process, the same in all channels and beside all skies.
"""

from copy import copy
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from flatfield.measure.sky_families import OWN


@dataclass(frozen=True)
class Marginal:
    """Normal matrices of the columns and the data, the sky integrated out, for each of a number of families.

    Attributes
    ----------
    matrix : numpy.ndarray, ``(families, columns + 1, columns + 1)``
        The last row and column belong to the data.
    log_volume : numpy.ndarray, ``(families,)``
        ln of the share of the prior volume of the sky that the data leave.
    """

    matrix: np.ndarray
    log_volume: np.ndarray


class Projection:
    """Columns and data of all channels, projected on the polynomials of the sky.

    Parameters
    ----------
    basis : numpy.ndarray, ``(tiles, polynomials)``
    kernels, families : list
        As from `sky_families`.
    columns : numpy.ndarray, ``(channels, tiles, columns + 1)``
        What the coefficients multiply; the data are last.
    weights : numpy.ndarray, ``(channels, tiles)``
        Inverse variances; 0 where a tile does not count.
    flat_errors : numpy.ndarray, ``(polynomials, functions)``
        What the flat may be wrong by, in the polynomials of `basis`.
    """

    def __init__(self, basis, kernels, columns, weights, flat_errors):
        self.kernels, self.flat_errors = kernels, flat_errors
        weighted = weights[:, :, None] * columns
        self.plain = np.einsum("cti,ctj->ij", columns, weighted)
        self.sky = np.stack([basis.T @ (basis * each[:, None]) for each in weights])
        self.cross = np.stack([basis.T @ each for each in weighted])
        self._rotated = {}

    def with_columns(self, basis, columns, weights):
        """The same sky with other columns."""
        other = copy(self)
        weighted = weights[:, :, None] * columns
        other.plain = np.einsum("cti,ctj->ij", columns, weighted)
        other.cross = np.stack([basis.T @ each for each in weighted])
        other._rotated = {}
        return other

    def rotated(self, index):
        """Normal matrices of the functions of a kernel, and of the errors of the flat, for each channel."""
        if index not in self._rotated:
            functions = self._functions(index)
            self._rotated[index] = functions.T @ self.sky @ functions, functions.T @ self.cross
        return self._rotated[index]

    def _functions(self, index):
        """Those of a kernel, and the errors of the flat."""
        return np.hstack([self.kernels[index].functions, self.flat_errors])

    def marginalise(self, family):
        """Normal matrix without the sky of a family and the errors of the flat, and ln of their volume."""
        sky, cross = self.rotated(family.kernel)
        channels, count = len(sky), sky.shape[1]
        if not count:
            return self.plain, 0.0
        own = min(OWN, count - self.flat_errors.shape[1]) if family.color else 0
        a = np.ones(count)
        a[: count - self.flat_errors.shape[1]] = family.amplitude
        b = family.amplitude * family.color
        size = count + channels * own
        matrix, right = np.empty((size, size)), np.empty((size, cross.shape[2]))
        matrix[:count, :count] = np.outer(a, a) * sky.sum(axis=0)
        right[:count] = a[:, None] * cross.sum(axis=0)
        if own:
            matrix[count:, count:] = 0
            for channel in range(channels):
                part = slice(count + channel * own, count + (channel + 1) * own)
                matrix[part, :count] = a * b * sky[channel, :own]
                matrix[:count, part] = matrix[part, :count].T
                matrix[part, part] = b * b * sky[channel, :own, :own]
                right[part] = b * cross[channel, :own]
        matrix.flat[:: size + 1] += 1
        lower = np.linalg.cholesky(matrix)
        reduced = solve_triangular(lower, right, lower=True, check_finite=False)
        return self.plain - reduced.T @ reduced, -float(np.log(np.diag(lower)).sum())

    def marginal(self, families):
        """The same for many families."""
        parts = [self.marginalise(family) for family in families]
        return Marginal(np.stack([part[0] for part in parts]), np.array([part[1] for part in parts]))

    def sky_of(self, family, transform, mean, precision):
        """Most probable sky of a family together with a model; parameters as for `weigh`.

        Returns
        -------
        coefficients : numpy.ndarray, ``(columns,)``
            Of the columns.
        sky : numpy.ndarray, ``(channels, polynomials)``
            Coefficients of the polynomials for each channel.
        covariance : numpy.ndarray, ``(channels, polynomials, polynomials)``
        flat_error : numpy.ndarray, ``(polynomials,)``
            What the flat is wrong by.
        """
        sky, cross = self.rotated(family.kernel)
        channels, count = len(sky), sky.shape[1]
        of_sky = count - self.flat_errors.shape[1]
        a, own = family.amplitude, min(OWN, of_sky) if family.color else 0
        size = count + channels * own
        loading = np.zeros((channels, count, size))  # functions of each channel by coefficients with a spread of 1
        for channel in range(channels):
            loading[channel, :, :count] = np.diag(np.where(np.arange(count) < of_sky, a, 1.0))
            part = slice(count + channel * own, count + (channel + 1) * own)
            loading[channel, :own, part] = a * family.color * np.eye(own)
        normal = np.zeros((size + len(mean), size + len(mean)))
        normal[:size, :size] = np.einsum("cik,cij,cjl->kl", loading, sky, loading, optimize=True) + np.eye(size)
        beside = np.einsum("cik,cij->kj", loading, cross)
        normal[:size, size:] = beside[:, :-1] @ transform
        normal[size:, :size] = normal[:size, size:].T
        normal[size:, size:] = transform.T @ self.plain[:-1, :-1] @ transform + np.diag(precision)
        right = np.append(beside[:, -1], transform.T @ self.plain[:-1, -1] + precision * mean)
        inverse = np.linalg.inv(normal)
        found = inverse @ right
        mixed = self.kernels[family.kernel].functions @ loading[:, :of_sky]
        covariance = mixed @ inverse[:size, :size] @ mixed.transpose(0, 2, 1)
        return transform @ found[size:], mixed @ found[:size], covariance, self.flat_errors @ found[of_sky:count]


def weigh(marginal, transform, mean, precision):
    """Evidence and coefficients of a model whose coefficients are combinations of the columns.

    Parameters
    ----------
    marginal : Marginal
    transform : numpy.ndarray, ``(columns, coefficients)``
    mean, precision : numpy.ndarray, ``(coefficients,)``
        Of the normal prior of the coefficients.

    Returns
    -------
    log_evidence : numpy.ndarray, ``(families,)``
        But for a constant that is the same for all models of the data.
    found : numpy.ndarray, ``(families, coefficients)``
    covariance : numpy.ndarray, ``(families, coefficients, coefficients)``
    """
    columns = marginal.matrix[:, :-1, :-1]
    normal = transform.T @ columns @ transform + np.diag(precision)
    right = marginal.matrix[:, :-1, -1] @ transform + precision * mean
    covariance = np.linalg.inv(normal)
    found = np.einsum("fij,fj->fi", covariance, right)
    chi2 = marginal.matrix[:, -1, -1] + (precision * mean**2).sum() - np.einsum("fi,fi->f", found, right)
    volume = 0.5 * (np.log(precision).sum() - np.linalg.slogdet(normal)[1])
    return -0.5 * chi2 + volume + marginal.log_volume, found, covariance
