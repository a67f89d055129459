"""Combining frames per pixel: median, mean, sigma_clip, minmax, ccd_clip, each with its standard error."""

from functools import cache
from math import erf
from threading import Thread

import numpy as np

from flatfield.combine import kernels
from flatfield.combine.stack import stack_frames
from flatfield.files.errors import CombinationError
from flatfield.files.memory import HALO
from flatfield.raw.cfa import ColorFilterArray

#: Methods that reject another number of values at each pixel.
CLIPPING = ("sigma_clip", "ccd_clip")
#: Of ccd_clip where only the noise of reading counts, 1 DN.
WITHOUT_PHOTONS = {"gain_e_per_dn": 1e200, "read_noise_e": 1e200}
#: Pixels and random values of the simulation that finds the error of a clipped mean.
SIMULATED_PIXELS, SIMULATED_VALUES = 40_000, 6_000_000


def combine_stack(stack, options, with_error=True):
    """Combine a stack per pixel.

    Parameters
    ----------
    stack : flatfield.combine.stack.Stack
    options : dict
        The section ``combine`` of the configuration: ``method`` and its parameters, ``kappa_low``,
        ``kappa_high``, ``iterations`` for sigma_clip and ccd_clip, ``gain_e_per_dn``, ``read_noise_e`` for ccd_clip;
        ``nlow``, ``nhigh`` for minmax.
    with_error : bool

    Returns
    -------
    value : numpy.ndarray, float32, ``(rows, columns)``
        DN above black.
    error : numpy.ndarray, float32, ``(rows, columns)``
        Standard error, DN; NaN where fewer than two frames count. Of shape ``(0, 0)`` without `with_error`.
    used : numpy.ndarray, int16, ``(rows, columns)``
        Number of frames that count; of shape ``(0, 0)`` where that does not vary.

    Raises
    ------
    CombinationError
        If minmax would reject all frames, or ccd_clip does not know gain and read noise.
    """
    rule, pairs = prepare_rule(options, stack.store.frames, with_error)
    value = np.empty(stack.shape, np.float32)
    error = np.empty(stack.shape if with_error else (0, 0), np.float32)
    used = np.empty(stack.shape if options["method"] in CLIPPING else (0, 0), np.int16)

    def work(rows, block, first):
        arrays = _kernel_arrays(stack, block, first)
        results = value[rows], error[rows], used[rows]
        kernels.combine_pixels(*arrays, rows.start - first, rows.stop - first, rule, pairs, *results)

    stack.work_in_bands(work)
    return value, error, used


def combine_interpolated(stack, options, with_error=True):
    """Interpolate every frame of a stack bilinearly and combine each channel, without holding debayered frames.

    Parameters
    ----------
    stack : flatfield.combine.stack.Stack
    options : dict
        See `combine_stack`.
    with_error : bool

    Returns
    -------
    planes, errors : numpy.ndarray, float32, ``(channels, rows, columns)``
        DN above black, and their standard errors, from the scatter of the interpolated values over the frames. How a
        channel is interpolated: `flatfield.combine.kernels.combine_planes`. Errors are ``(channels, 0, 0)`` without
        `with_error`.
    """
    rule, pairs = prepare_rule(options, stack.store.frames, with_error)
    channels = len(stack.cfa.channels)
    planes = np.empty((channels, *stack.shape), np.float32)
    errors = np.empty((channels, *(stack.shape if with_error else (0, 0))), np.float32)

    def work(rows, block, first):
        arrays = _kernel_arrays(stack, block, first)
        parts = [np.empty(results[:, rows].shape, np.float32) for results in (planes, errors)]
        kernels.combine_planes(*arrays, rows.start - first, rows.stop - first, rule, pairs, *parts)
        planes[:, rows], errors[:, rows] = parts

    stack.work_in_bands(work, HALO)
    return planes, errors


def _kernel_arrays(stack, block, first):
    """Arguments of a kernel that say what a block of frames holds, from their row `first` on."""
    pixels = (block, kernels.NO_FLOATS) if block.dtype == np.uint16 else (kernels.NO_INTEGERS, block)
    tile = np.array(stack.cfa.shifted(first, 0).tile)
    bias = kernels.NO_PLANE if stack.bias is None else stack.bias[first : first + block.shape[1]]
    return *pixels, stack.blacks, stack.factors, tile, bias


def combine(values, options, factors=None):
    """Combine arrays along the first axis.

    Parameters
    ----------
    values : numpy.ndarray, float32, ``(frames, ...)``
    options : dict
        See `combine_stack`.
    factors : numpy.ndarray, float32, ``(frames,)``, optional
        That `values` are scaled by already, for the noise of ccd_clip.

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
    count, shape = len(values), values.shape[1:]
    levels = np.ones((count, 4), np.float32)
    if factors is not None:
        levels *= np.asarray(factors, np.float32)[:, None]
        values = values / levels[:, 0].reshape(count, *[1] * len(shape))
    stack = stack_frames(values.reshape(count, 1, -1), 0 * levels, levels, ColorFilterArray(((0,),)))
    value, error, _ = combine_stack(stack, options)
    return value.reshape(shape), error.reshape(shape)


def warm_up(combine_frames):
    """Load the machine code of a function that combines stacks, or compile it, while frames are still being read.

    Parameters
    ----------
    combine_frames : callable
        `combine_stack` or `combine_interpolated`.
    """
    levels = np.ones((1, 4), np.float32)
    stack = stack_frames(np.ones((1, 2, 2), np.uint16), levels, levels, ColorFilterArray(((0,),)))
    Thread(target=combine_frames, args=(stack, {"method": "mean"})).start()


def prepare_rule(options, count, with_error=True):
    """Numbers and network by which a kernel combines `count` frames; see `flatfield.combine.kernels.combine_pixels`.

    Raises
    ------
    CombinationError
        If the method is not known, minmax would reject all frames, or ccd_clip does not know gain and read noise.
    """
    method = options["method"]
    if method == "ccd_clip" and None in (options["gain_e_per_dn"], options["read_noise_e"]):
        raise CombinationError(
            "ccd_clip needs `combine.gain_e_per_dn` and `combine.read_noise_e`; noise.tsv has what was measured"
        )
    parameters, wanted = _parameters(options, count)
    error_ratio = 1.0
    if with_error and method == "median":
        error_ratio = median_error_ratio(count)
    elif with_error and method != "mean":
        error_ratio = simulate_rejection(count, _parameters(options | WITHOUT_PHOTONS, count)[0])[0]
    return np.array([*parameters, error_ratio]), ordering_network(count, wanted)


def _parameters(options, count):
    """Method and its five parameters for a kernel, and the ranks that it needs in order."""
    method, everything = options["method"], frozenset(range(count))
    if method == "median":
        return (kernels.MEDIAN, 0, 0, 0, 0, 0), frozenset({(count - 1) // 2, count // 2})
    if method == "mean":
        return (kernels.MEAN, 0, 0, 0, 0, 0), frozenset()
    if method == "minmax":
        low, high = options["nlow"], options["nhigh"]
        if low + high >= count:
            raise CombinationError(
                f"minmax would reject {low} + {high} values of only {count} frames; lower nlow or nhigh"
            )
        return (kernels.MINMAX, low, high, 0, 0, 0), everything
    if method in CLIPPING:
        limits = options["kappa_low"], options["kappa_high"], options["iterations"]
        if method == "sigma_clip":
            return (kernels.SIGMA_CLIP, *limits, 0, 0), everything
        gain = options["gain_e_per_dn"]
        return (kernels.CCD_CLIP, *limits, options["read_noise_e"] / gain, gain), everything
    raise CombinationError(
        f"'{method}' is not a method of combination; use median, mean, sigma_clip, minmax or ccd_clip"
    )


def scatter_of_master(options, count):
    """Standard error of the combination of `count` values with normal noise, in units of the noise of one.

    Parameters
    ----------
    options : dict
        See `combine_stack`.
    count : int

    Examples
    --------
    >>> [round(scatter_of_master({"method": method}, 100), 4) for method in ("mean", "median")]
    [0.1, 0.1245]
    """
    if options["method"] == "mean":
        return count**-0.5
    if options["method"] == "median":
        return median_error_ratio(count) * count**-0.5
    return simulate_rejection(count, _parameters(options | WITHOUT_PHOTONS, count)[0])[1]


@cache
def simulate_rejection(count, parameters):
    """Standard error of a mean that rejects values, for `count` values with normal noise.

    Rejected values make the scatter of those kept too small. A simulation of the kernel itself, always with the same
    random numbers, shows by how much.

    Parameters
    ----------
    count : int
    parameters : tuple
        Method and its five parameters; for CCD_CLIP with a read noise of 1 and no photon noise.

    Returns
    -------
    error_ratio : float
        Standard error over s / sqrt(kept); 1 where fewer than two values are kept, so that there is no scatter.
    scatter : float
        Standard error over the noise of one value.

    Examples
    --------
    >>> [round(number, 2) for number in simulate_rejection(30, (kernels.SIGMA_CLIP, 3, 3, 5, 0, 0))]
    [1.09, 0.19]
    """
    pixels = max(min(SIMULATED_PIXELS, SIMULATED_VALUES // count), 1000)
    values = np.random.default_rng(count).standard_normal((count, 1, pixels), np.float32)
    levels = np.zeros((count, 4), np.float32)
    stack = stack_frames(values, levels, levels + 1, ColorFilterArray(((0,),)))
    value, error = np.empty((2, 1, pixels), np.float32)
    rule, pairs = np.array([*parameters, 1.0]), ordering_network(count, frozenset(range(count)))
    nothing = np.zeros((0, 0), np.int16)
    kernels.combine_pixels(*_kernel_arrays(stack, values, 0), 0, 1, rule, pairs, value, error, nothing)
    known, scatter = np.isfinite(error), float(value.std())
    return (scatter / float(np.sqrt(np.mean(error[known] ** 2.0))) if known.any() else 1.0), scatter


@cache
def ordering_network(count, wanted):
    """Pairs of lines to put in order, one after the other, so that the `wanted` lines hold what they would if sorted.

    Batcher's odd-even merge sort (Knuth, The Art of Computer Programming 3, section 5.3.4), without the pairs that
    the wanted lines do not depend on: for the median 148 for 30 lines, 809 for 90. A network is a fixed list of
    minima and maxima, which processors do on many pixels at once.

    Parameters
    ----------
    count : int
    wanted : frozenset of int

    Returns
    -------
    numpy.ndarray, int64, ``(pairs, 2)``

    Examples
    --------
    >>> ordering_network(3, frozenset({1})).tolist()
    [[0, 1], [0, 2], [1, 2]]
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
    needed, kept = set(wanted), []
    for pair in reversed(pairs):
        if needed & set(pair):
            needed |= set(pair)
            kept.append(pair)
    return np.array(kept[::-1], np.int64).reshape(-1, 2)


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
    x = np.linspace(-6, 6, 401)
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
