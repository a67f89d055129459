"""Pixel response non-uniformity (PRNU): what two halves of the frames have in common from pixel to pixel."""

import numpy as np
from scipy.ndimage import uniform_filter

from flatfield.measure.dust import find_shadows, map_details
from flatfield.measure.model_blocks import average_blocks
from flatfield.measure.models import BLOCKS_PER_PARAMETER, fit_polynomial
from flatfield.raw.cfa import CHANNEL_OF_COLOR
from flatfield.raw.mosaic import Mosaic

#: Side of the box, in pixels of one colour, whose mean is the low frequency that is no pixel response.
SMOOTHING = 5
#: Pixels further than this many standard deviations off are defects or dust, no pixel response.
OUTLIER = 5.0
#: Polynomials and blocks that take the vignetting off, so that shadows of dust are found; and how far from their
#: middle pixels do not count, in radii of a shadow.
DEGREE, BLOCKS_ACROSS, REACH = 8, 48, 2.0


def mark_dust(halves, good, cfa):
    """Pixels at shadows of dust, whose edges are no pixel response: twice as far as the shadows reach.

    Parameters
    ----------
    halves : tuple of numpy.ndarray, float32, ``(rows, columns)``
        As for `measure_response`.
    good : numpy.ndarray of bool, ``(rows, columns)``
    cfa : ColorFilterArray

    Returns
    -------
    numpy.ndarray of bool, ``(rows, columns)``
        See `flatfield.measure.dust.find_shadows`; the flat is divided by polynomials of degree `DEGREE` first.
    """
    mosaic = Mosaic((halves[0] + halves[1]) / 2, cfa, None)
    blocks = average_blocks(mosaic.value, ~good, cfa, BLOCKS_ACROSS)
    dusty = np.zeros(good.shape, bool)
    if blocks.known.sum() < BLOCKS_PER_PARAMETER * (DEGREE + 1) * (DEGREE + 2) / 2:
        return dusty
    channels = zip(blocks.x, blocks.y, blocks.values, blocks.weights, strict=True)
    (detail,) = map_details([mosaic], good, [[fit_polynomial(*channel, DEGREE) for channel in channels]])
    for shadow in find_shadows(detail):
        row, column = (detail.side * (each + 0.5) for each in (shadow.row, shadow.column))
        reach = REACH * detail.side * shadow.radius
        top, left = (max(int(each - reach), 0) for each in (row, column))
        part = dusty[top : int(row + reach) + 1, left : int(column + reach) + 1]
        y, x = np.ogrid[: part.shape[0], : part.shape[1]]
        part |= np.hypot(y + top + 0.5 - row, x + left + 0.5 - column) < reach
    return dusty


def measure_response(halves, shared, good, cfa, channel):
    """Pixel response non-uniformity of one channel, in the sense of EMVA 1288, with a filter of its own.

    Parameters
    ----------
    halves : tuple of numpy.ndarray, float32, ``(rows, columns)``
        Mean of the signal of two groups of frames that share none, DN above black.
    shared : numpy.ndarray, float32, ``(rows, columns)``, or None
        Variance of the noise that both have in common, that of the master of the offset frames, DN^2.
    good : numpy.ndarray of bool, ``(rows, columns)``
        Without dust, see `mark_dust`.
    cfa : ColorFilterArray
    channel : int

    Returns
    -------
    prnu, error : float or None
        Percent.
    reason : str
        Why there is none.

    Notes
    -----
    Each half of each colour is divided by its mean in boxes, which takes out vignetting and light source, whichever way
    the camera was turned; from the quotient its own mean in boxes is subtracted. The noise of the halves is
    independent, so that the mean product of both is the variance of the response times the sum of squares of that
    filter, whatever the noise is like (of rows, correlated, not normal): nothing need be known of it.
    """
    gain_of_filter, correlation = _describe_filter()
    products, noise, p = [], [], cfa.period
    for i, j, color in cfa.phases():
        if CHANNEL_OF_COLOR[color] != channel:
            continue
        kept = good[i::p, j::p]
        if min(kept.shape) <= 4 * SMOOTHING:
            return None, None, "pixel response: the frame is too small"
        inner = (slice(SMOOTHING, -SMOOTHING),) * 2  # the border has neighbours on one side only
        near = uniform_filter(kept.astype(np.float32), 2 * SMOOTHING - 1)[inner] > 0.9999
        rest = []
        for half in halves:
            plane = np.where(kept, half[i::p, j::p], np.median(half[i::p, j::p][kept]) if kept.any() else 1)
            smooth = uniform_filter(plane, SMOOTHING)
            with np.errstate(all="ignore"):
                rest.append(_high_pass(plane / smooth - 1)[inner])
            near &= np.isfinite(rest[-1]) & (smooth[inner] > 0)
        for _ in range(3):
            if near.any():
                limits = [OUTLIER * each[near].std(dtype=np.float64) for each in rest]
                near &= (np.abs(rest[0]) <= limits[0]) & (np.abs(rest[1]) <= limits[1])
        products.append((rest[0][near] * rest[1][near]).astype(np.float64))
        if shared is not None:
            noise.append((shared[i::p, j::p] / smooth**2)[inner][near])
    values = np.concatenate(products)
    if len(values) < 2:
        return None, None, "pixel response: no pixels are left to measure it"
    variance = float(values.mean()) / gain_of_filter
    variance -= float(np.concatenate(noise).mean(dtype=np.float64)) if noise else 0.0
    error = float(values.std(ddof=1)) / gain_of_filter * np.sqrt(correlation / len(values))
    if not error:
        return None, None, "pixel response: all pixels are alike"
    if variance < 3 * error:
        limit = 100 * np.sqrt(max(variance, 0) + 2 * error)
        return None, None, f"pixel response: it cannot be distinguished from noise, it is below {limit:.2g} %"
    prnu = 100 * np.sqrt(variance)
    return float(prnu), float(prnu * error / (2 * variance)), ""


def _high_pass(plane):
    return plane - uniform_filter(plane, SMOOTHING)


def _describe_filter():
    """Sum of squares of the filter, and by how much neighbours, which it correlates, widen the error of a variance."""
    kernel = np.zeros((4 * SMOOTHING, 4 * SMOOTHING))
    kernel[2 * SMOOTHING, 2 * SMOOTHING] = 1
    kernel = _high_pass(_high_pass(kernel))
    power = np.abs(np.fft.fft2(kernel, (8 * SMOOTHING, 8 * SMOOTHING))) ** 2
    correlation = np.fft.ifft2(power).real
    return float(correlation[0, 0]), float(((correlation / correlation[0, 0]) ** 2).sum())
