"""What a sky may look like: smooth functions of the place, with the odds that each had before the light was seen.

A sky is 1 + f with f a sum of smooth functions of the frame whose coefficients are normal random numbers: a Gaussian
process of low order. Families differ in scale and size, in symmetry (any, about the middle of the frame, nearly so)
and in how far the channels go together. Odds of causes are found by weighing all families, so that nothing is put
down to a camera that a sky of any form would explain as simply.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.polynomial.legendre import legvander

#: Total degree of the polynomials that hold a sky.
DEGREE = 8
#: Leading functions of a family that each channel may have for itself.
OWN = 9
#: Standard deviations of the structure of a sky over the frame, relative; and of a linear one, per half diagonal.
AMPLITUDES, SLOPES = (0.004, 0.016, 0.06, 0.25), (0.01, 0.04, 0.16)
#: Odds of the largest for a sky that is round about the middle: airglow over a very wide field.
RARE = 0.02
#: Of a sky of any form there are brighter ones: a galaxy is.
BRIGHT = (*AMPLITUDES, 1.0)
#: How far channels differ, as a share of what they have in common.
COLORS = (0.05, 0.5)
#: Scales of sky structure, half diagonals: standard deviations of the squared-exponential covariance.
SCALES, RADIAL_SCALES = (1.6, 0.8, 0.45, 0.28), (1.2, 0.5)
#: Variance of the part of a displaced round sky that is odd, relative to the even part.
DISPLACED = (0.3, 3.0)
#: Odds, before the light was seen, of a sky that is even, linear, of any form, and (nearly) round about the middle.
PRIORS = {"even": 0.3, "linear": 0.3, "free": 0.28, "near": 0.08, "round": 0.04}
#: Smallest variance of a function that counts, relative to the largest.
NEGLIGIBLE = 1e-9


@dataclass(frozen=True)
class Kernel:
    """Functions of the place, by their coefficients in the polynomials of `basis_of`.

    Attributes
    ----------
    kind : {"even", "linear", "free", "near", "round"}
    functions : numpy.ndarray, ``(polynomials, functions)``
        Their sum, with independent normal numbers of standard deviation 1, has a mean square of 1 over the frame
        (a linear one: a slope of 1 per half diagonal in each direction).
    """

    kind: str
    functions: np.ndarray


@dataclass(frozen=True)
class Family:
    """A kind of sky.

    Attributes
    ----------
    kernel : int
        Index in the list of kernels.
    amplitude : float
        Standard deviation over the frame, relative.
    color : float
        How far each channel has its own, as a share of `amplitude`.
    log_prior : float
    """

    kernel: int
    amplitude: float
    color: float
    log_prior: float


def basis_of(x, y):
    """Polynomials that are orthonormal over the tiles, without the constant.

    Parameters
    ----------
    x, y : numpy.ndarray, ``(columns,)`` and ``(rows,)``
        Half diagonals.

    Returns
    -------
    numpy.ndarray, ``(rows * columns, polynomials)``
        Each has a mean of 0 and a mean square of 1; the first two are the linear ones.
    """
    degrees = [(i, total - i) for total in range(DEGREE + 1) for i in range(total + 1)]
    by_row, by_column = (legvander(each / np.abs(each).max(), DEGREE) for each in (y, x))
    columns = [(by_row[:, None, i] * by_column[None, :, j]).ravel() for i, j in degrees]
    orthogonal, _ = np.linalg.qr(np.stack(columns, axis=1))
    return orthogonal[:, 1:] * np.sqrt(len(orthogonal))


def _of_covariance(kind, basis, covariance):
    """The kernel of a covariance of tiles, ``(tiles, tiles)``."""
    projected = basis.T @ covariance @ basis / len(basis) ** 2
    variances, vectors = np.linalg.eigh(projected)
    order = np.argsort(variances)[::-1]
    variances, vectors = variances[order], vectors[:, order]
    kept = variances > NEGLIGIBLE * variances[0]
    return Kernel(kind, vectors[:, kept] * np.sqrt(variances[kept] / variances.sum()))


def _smooth(distance, scale):
    return np.exp(-0.5 * (distance / scale) ** 2)


@lru_cache(maxsize=4)
def _kernels(x, y):
    x, y = np.frombuffer(x), np.frombuffer(y)
    basis = basis_of(x, y)
    across, down = (np.ravel(each) for each in np.broadcast_arrays(x[None, :], y[:, None]))
    slopes = basis.T @ np.stack([across, down], axis=1) / len(basis)
    kernels = [Kernel("even", np.zeros((basis.shape[1], 0))), Kernel("linear", slopes)]
    squares = np.square(across[:, None] - across), np.square(down[:, None] - down)
    distance = np.sqrt(squares[0] + squares[1])
    kernels += [_of_covariance("free", basis, _smooth(distance, scale)) for scale in SCALES]
    radius = np.hypot(across, down)
    # skies that are curved and no more: the next term of a series, about the middle, about any place, or of any form
    square = [radius**2], [across, down, radius**2], [across, down, across**2, down**2, across * down]
    for kind, parts in zip(("round", "near", "free"), square, strict=True):
        covariance = sum(np.outer(part, part) / np.var(part) for part in parts)
        kernels.append(_of_covariance(kind, basis, covariance))
    together = across[:, None] * across + down[:, None] * down
    for scale in RADIAL_SCALES:
        covariance = _smooth(radius[:, None] - radius, scale) + _smooth(radius[:, None] + radius, scale)
        kernels.append(_of_covariance("round", basis, covariance))
        kernels += [_of_covariance("near", basis, covariance * (1 + off * together)) for off in DISPLACED]
    return basis, kernels


def sky_families(x, y, channels):
    """All families of skies.

    Parameters
    ----------
    x, y : numpy.ndarray, ``(columns,)`` and ``(rows,)``
        Half diagonals.
    channels : int

    Returns
    -------
    basis : numpy.ndarray, ``(rows * columns, polynomials)``
    kernels : list of Kernel
    families : list of Family
        The odds of all add up to 1.
    """
    basis, kernels = _kernels(*(np.ascontiguousarray(each, np.float64).tobytes() for each in (x, y)))
    colors = COLORS if channels > 1 else (0.0,)
    members = {kind: [] for kind in PRIORS}
    for index, kernel in enumerate(kernels):
        sizes = {"even": (1.0,), "linear": SLOPES, "free": BRIGHT}.get(kernel.kind, AMPLITUDES)
        shades = (0.0,) if kernel.kind == "even" else colors
        members[kernel.kind] += [(index, size, color) for size in sizes for color in shades]
    families = []
    for kind, group in members.items():
        odds = np.array([RARE if kind in ("round", "near") and size == AMPLITUDES[-1] else 1.0 for _, size, _ in group])
        log_priors = np.log(PRIORS[kind] * odds / odds.sum())
        families += [
            Family(index, size, color, float(log_prior))
            for (index, size, color), log_prior in zip(group, log_priors, strict=True)
        ]
    return basis, kernels, families
