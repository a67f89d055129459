"""Variances of few frames, steadied by those of neighbouring pixels."""

import numpy as np
from scipy.special import chdtri

from flatfield.combine.kernels import average_neighbours

#: The variances of neighbours are averaged over as many pixels of one colour on each side, a square of 15.
REACH = 7
#: Probability above which the scatter of a pixel is put down to chance, so that the variance of its neighbours counts.
CHANCE = 1e-4
#: Number of frames from which the scatter of a pixel gives its error: 3 errors then cover 99.6 % instead of 99.7 %.
ENOUGH = 30
#: The same of means that reject values, whose scatter is cut short where it is small.
ENOUGH_CLIPPED = 100


def pool_variance(own, freedom):
    """Variance of each pixel from its neighbours, unless its own is larger than chance explains (hot pixels).

    The variance of a pixel from n frames is itself uncertain by sqrt(2 / (n - 1)), so that deviations in units of its
    root have the tails of Student's distribution (27 % beyond 3 for a clipped mean of 3 frames); that of the neighbours
    is not.

    Parameters
    ----------
    own : numpy.ndarray, float32, ``(rows, columns)``
        Variances of the pixels of one colour; NaN where not known.
    freedom : int
        Degrees of freedom of each.

    Returns
    -------
    numpy.ndarray, float32, ``(rows, columns)``
        NaN where neither it nor a neighbour is known.
    """
    limit, known, near = chdtri(max(freedom, 1), CHANCE) / max(freedom, 1), np.isfinite(own), np.empty_like(own)
    usual = known
    for _ in range(2):
        average_neighbours(own, usual, REACH, near)
        usual = known & ~(own > np.float32(limit) * near)
    return np.where((usual | ~known) & np.isfinite(near), near, own)


def pool_errors(error, cfa, method, count, used=None):
    """Standard errors of a master, of few frames from those of neighbours.

    Parameters
    ----------
    error : numpy.ndarray, float32, ``(rows, columns)``
        From the scatter of each pixel over the frames; NaN where fewer than two count.
    cfa : ColorFilterArray
    method : str
        Of the combination.
    count : int
        Frames.
    used : numpy.ndarray, int16, ``(rows, columns)``, optional
        Frames that count at each pixel, of a method that rejects some.

    Returns
    -------
    numpy.ndarray, float32, ``(rows, columns)``
    """
    clipped = used is not None and used.size > 0
    if count >= (ENOUGH_CLIPPED if clipped or method == "minmax" else ENOUGH) or not np.isfinite(error).any():
        return error
    freedom = int(np.median(used) if clipped else count) - 1
    result, p = np.empty_like(error), cfa.period
    for i, j, _ in cfa.phases():
        result[i::p, j::p] = np.sqrt(pool_variance(error[i::p, j::p] ** 2, freedom))
    return result
