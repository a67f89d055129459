"""Combining frames per pixel: median, mean, sigma_clip, minmax, each with its standard error."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from math import erf

import numpy as np

from flatfield.errors import CombinationError
from flatfield.robust import SIGMA_PER_MAD


def combine_stack(stack, options, threads=1):
    """Combine a stack per pixel.

    Parameters
    ----------
    stack : flatfield.stacks.Stack
    options : dict
        The section ``combine`` of the configuration: method and its parameters.
    threads : int

    Returns
    -------
    value : numpy.ndarray, float32, ``(rows, columns)``
        DN above black.
    error : numpy.ndarray, float32, ``(rows, columns)``
        Standard error, DN; NaN where fewer than two frames count.

    Raises
    ------
    CombinationError
        If minmax would reject all frames.
    """
    shape = stack.mosaics.shape[1:]
    value, error = np.empty(shape, np.float32), np.empty(shape, np.float32)

    def work(rows):
        value[rows], error[rows] = combine(stack.rows(rows.start, rows.stop), options)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, stack.blocks()))
    return value, error


def combine(values, options):
    """Combine along the first axis by the method that `options` names.

    Parameters
    ----------
    values : numpy.ndarray, float32, ``(frames, ...)``
    options : dict
        ``method`` and its parameters: ``kappa_low``, ``kappa_high``, ``iterations`` for sigma_clip;
        ``nlow``, ``nhigh`` for minmax.

    Returns
    -------
    value, error : numpy.ndarray, float32, ``(...)``
        In the unit of `values`.

    Raises
    ------
    CombinationError
        If minmax would reject all frames.

    Examples
    --------
    >>> value, error = combine(np.array([[1], [2], [9]], np.float32), {"method": "median"})
    >>> value
    array([2.], dtype=float32)
    """
    method = options["method"]
    if method == "median":
        return _median(values)
    if method == "mean":
        return _mean(values)
    if method == "sigma_clip":
        return _sigma_clip(values, options["kappa_low"], options["kappa_high"], options["iterations"])
    if method == "minmax":
        return _minmax(values, options["nlow"], options["nhigh"])
    raise CombinationError(f"'{method}' is not a method of combination; use median, mean, sigma_clip or minmax")


def _median(values):
    """Median; its error is that of the mean times `median_error_ratio`, for normal noise."""
    count = len(values)
    return (
        select_median(values),
        _standard_error(values.var(axis=0, dtype=np.float64), count) * np.float32(median_error_ratio(count)),
    )


def select_median(values):
    """Median along the first axis, by a selection network: equal to `numpy.median`, several times faster.

    A network is a fixed list of pairs to be put in order; applied to whole rows of pixels it is nothing but minima and
    maxima, which processors do on many pixels at once.

    Parameters
    ----------
    values : numpy.ndarray, float32, ``(frames, ...)``

    Returns
    -------
    numpy.ndarray, float32, ``(...)``

    Examples
    --------
    >>> select_median(np.array([[4], [1], [3], [2]], np.float32))
    array([2.5], dtype=float32)
    """
    count, pairs = len(values), median_network(len(values))
    rows = list(values.reshape(count, -1).copy())
    spare = np.empty_like(rows[0])
    for low, high in pairs:
        np.minimum(rows[low], rows[high], out=spare)
        np.maximum(rows[low], rows[high], out=rows[high])
        rows[low], spare = spare, rows[low]
    return ((rows[(count - 1) // 2] + rows[count // 2]) / 2).reshape(values.shape[1:])


@cache
def median_network(count):
    """Pairs of lines to put in order, one after the other, so that the middle lines hold the middle values.

    Batcher's odd-even merge sort (Knuth, The Art of Computer Programming 3, section 5.3.4), without the pairs that
    the middle does not depend on: 148 for 30 lines, 809 for 90.

    Examples
    --------
    >>> median_network(3)
    ((0, 1), (0, 2), (1, 2))
    """
    pairs, block = [], 1
    while block < count:
        step = block
        while step:
            for first in range(step % block, count - step, 2 * step):
                for low in range(first, min(first + step, count - step)):
                    if low // (2 * block) == (low + step) // (2 * block):
                        pairs.append((low, low + step))
            step //= 2
        block *= 2
    needed, kept = {(count - 1) // 2, count // 2}, []
    for pair in reversed(pairs):
        if needed & set(pair):
            needed |= set(pair)
            kept.append(pair)
    return tuple(reversed(kept))


def _mean(values):
    return (
        values.mean(axis=0, dtype=np.float64).astype(np.float32),
        _standard_error(values.var(axis=0, dtype=np.float64), len(values)),
    )


def _standard_error(variance, count):
    """Scatter of `count` values with population `variance`, over sqrt(n), float32."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(variance / (count - 1)).astype(np.float32)


def _minmax(values, low, high):
    """Mean without the `low` smallest and `high` largest values of each pixel."""
    if low + high >= len(values):
        raise CombinationError(
            f"minmax would reject {low} + {high} values of only {len(values)} frames; lower nlow or nhigh"
        )
    return _mean(np.sort(values, axis=0)[low : len(values) - high])


def _sigma_clip(values, kappa_low, kappa_high, iterations):
    """Mean of the values within kappa robust standard deviations of the median, iterated until none goes.

    The standard deviation is taken from the median absolute deviation; where that is 0 because more than
    half of the values are equal, from the scatter of the values that are left.
    """
    ordered = np.sort(values, axis=0).astype(np.float64)
    index = np.arange(len(values)).reshape(-1, *[1] * (values.ndim - 1))
    low, high = np.zeros(values.shape[1:], int), np.full(values.shape[1:], len(values))
    for _ in range(iterations):
        kept = (index >= low) & (index < high)
        center = _median_of_sorted(ordered, low, high)
        deviation = np.sort(np.where(kept, np.abs(ordered - center), np.inf), axis=0)
        sigma = SIGMA_PER_MAD * _median_of_sorted(deviation, 0, high - low)
        sigma = np.where(sigma > 0, sigma, np.sqrt(_moments(ordered, kept)[1]))
        kept &= (ordered >= center - kappa_low * sigma) & (ordered <= center + kappa_high * sigma)
        new_low, new_high = kept.argmax(axis=0), len(values) - kept[::-1].argmax(axis=0)
        if (new_low == low).all() and (new_high == high).all():
            break
        low, high = new_low, new_high
    mean, variance = _moments(ordered, (index >= low) & (index < high))
    return mean.astype(np.float32), _standard_error(variance, high - low)


def _median_of_sorted(ordered, low, high):
    """Median of the sorted values ``[low:high]`` of each pixel."""
    lower = np.expand_dims((low + high - 1) // 2, 0)
    upper = np.expand_dims((low + high) // 2, 0)
    return (np.take_along_axis(ordered, lower, 0)[0] + np.take_along_axis(ordered, upper, 0)[0]) / 2


def _moments(values, kept):
    """Mean and population variance of the kept values of each pixel."""
    count = kept.sum(axis=0)
    mean = np.where(kept, values, 0).sum(axis=0) / count
    variance = np.where(kept, (values - mean) ** 2, 0).sum(axis=0) / count
    return mean, variance


@cache
def median_error_ratio(count):
    """Standard error of the median over that of the mean, for `count` values with normal noise.

    Tends to sqrt(pi/2) = 1.2533 for many; for few it is found by integrating the joint density of the
    two middle order statistics (David & Nagaraja, Order Statistics, 3rd ed., eq. 2.2.1).

    Examples
    --------
    >>> [round(median_error_ratio(n), 3) for n in (1, 2, 3, 5, 1001)]
    [1.0, 1.0, 1.16, 1.198, 1.253]
    """
    if count < 3:
        return 1.0
    if count > 200:
        return float(np.sqrt(np.pi / 2 * (1 - (4 - np.pi) / (2 * count))))
    x = np.linspace(-6, 6, 1201)
    density = np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    below = np.array([(1 + erf(v / np.sqrt(2))) / 2 for v in x])
    half = (count - 1) // 2
    with np.errstate(divide="ignore"):
        log_below, log_above = half * np.log(below), half * np.log1p(-below)
    if count % 2:
        weight = np.exp(log_below + log_above) * density
        return float(np.sqrt(count * (weight * x * x).sum() / weight.sum()))
    # even: the mean of the two middle values, lower <= upper
    weight = np.triu(np.exp(log_below[:, None] + log_above[None, :]) * density[:, None] * density[None, :])
    weight[np.diag_indices_from(weight)] /= 2
    middle = (x[:, None] + x[None, :]) / 2
    return float(np.sqrt(count * (weight * middle**2).sum() / weight.sum()))
