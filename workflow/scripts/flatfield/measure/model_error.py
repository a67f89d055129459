"""Error of a model of a flat: noise of the blocks, and what the model misses, where it misses it."""

from dataclasses import dataclass

import numpy as np
from scipy.fft import dctn, idctn
from scipy.ndimage import binary_dilation, correlate, uniform_filter

from flatfield.measure.blocks import pixel_positions
from flatfield.measure.model_blocks import spread
from flatfield.raw.cfa import CHANNEL_OF_COLOR

#: Standard deviations that the power of a residual must exceed that of noise by; less does not count.
EXCESS = 2.0
#: Power of a single mode that counts wherever it is, in units of that of noise (by chance 1 of 10^5); the least noise.
SINGLE, LEAST_NOISE = 20.0, 0.1
#: Rows and columns of blocks whose mean residual is looked at.
WINDOWS = (3, 3), (1, 9), (9, 1), (1, 31), (31, 1)
#: Variances by which the square of the residual of a cell must exceed the mean of its neighbours to stand for itself.
OWN = 4.0
#: Standard deviations that chi^2 of the cells of a block, or the mean of a window, must be off, to count for itself.
STRONG = 4.5
#: Weights of neighbours, from the middle outwards the less.
KERNELS = {size: np.convolve(np.ones(size // 2 + 1), np.ones(size // 2 + 1)) for size in (3, 5, 9)}
#: Errors are relative to no less than this share of the brightest block.
LEAST_LEVEL = 1e-3
#: The edge of a frame: what is nearer to a side than this share of the distance to the other side.
EDGE = 0.05


@dataclass(frozen=True)
class ModelError:
    """Standard error of the values of a model, relative to them, in the cells of a channel.

    Attributes
    ----------
    noise, missed : numpy.ndarray, ``(rows, columns)``
        From the noise of the blocks, and what the model misses of the flat.
    known : numpy.ndarray of bool, ``(rows, columns)``
        Cells that the model was fitted to.
    """

    noise: np.ndarray
    missed: np.ndarray
    known: np.ndarray

    @property
    def total(self):
        """Both together."""
        return np.hypot(self.noise, self.missed)

    @property
    def edge(self):
        """Cells at the edge of the frame that the model was fitted to."""
        far = [np.abs((np.arange(count) + 0.5) / count - 0.5) for count in self.known.shape]
        return self.known & (np.maximum.outer(*far) > 0.5 - EDGE)


def model_error(blocks, channel, fit):
    """Error of a fitted model.

    In the cosine transform of the residuals of blocks, noise has the same power in all modes but for what the fit has
    taken up. From the longest wave downwards the power beyond that is summed up, to the mode where it exceeds its own
    standard deviation by most: the smoother what is missed, the less noise goes into its estimate. It is missed where
    the residuals made of these modes lie. Blocks whose cells alone show by far more than noise (an edge, a strip, a
    corner) have the mean squares of these instead.

    Parameters
    ----------
    blocks : Blocks
    channel : int
    fit : flatfield.measure.model_fit.Fit

    Returns
    -------
    ModelError
    """
    x, y, known = blocks.x[channel], blocks.y[channel], blocks.known
    values, errors = blocks.values[channel], np.where(known, blocks.errors[channel], 1)
    model = fit.evaluate(x, y)
    rest = np.where(known, (values - model) / errors, 0)
    own = fit.terms.orthonormal(x, y).reshape(*known.shape, -1)
    waves = dctn(own * np.where(known, 1 / errors, 0)[..., None], axes=(0, 1), norm="ortho")
    taken = waves**2 @ fit.terms.shrink
    missed = _smooth_excess(rest, known, np.maximum(known.mean() - taken, 0))
    missed = np.maximum(missed, _local_excess(rest, known)) * errors**2
    level = np.maximum(np.abs(model), LEAST_LEVEL * np.abs(values).max())
    if blocks.cells is None:
        single = np.where(rest**2 > STRONG**2, rest**2 - OWN, 0) * errors**2
        missed = np.maximum(_average_near(missed, known), single)
        noise, inside = fit.terms.variance(x, y), known
    else:
        missed, inside = _in_cells(blocks, channel, fit, missed)
        level = spread(level, len(inside) // len(known))
        noise = _variance_of_points(fit, x, y, blocks.cells.x[channel], blocks.cells.y[channel])
    return ModelError(np.sqrt(noise) / level, np.sqrt(missed) / level, inside)


def _variance_of_points(fit, x, y, x_inside, y_inside):
    """Variance of the values of a model in cells, from that at the middles of the blocks and at the border."""
    places = []
    for vector in (x, y):
        middles = np.atleast_2d(vector).mean(axis=0)
        half = (middles[-1] - middles[0]) / (2 * max(len(middles) - 1, 1))
        places.append(np.concatenate([[middles[0] - half], middles, [middles[-1] + half]]))
    across, down = (
        _between(place, inside.mean(axis=0)) for place, inside in zip(places, (x_inside, y_inside), strict=True)
    )
    return down @ fit.terms.variance(*places) @ across.T


def _smooth_excess(rest, known, expected):
    """Square of what a model misses, in units of noise, ``(rows, columns)``."""
    amplitudes = dctn(rest, norm="ortho")
    waves = np.hypot(*np.ogrid[: rest.shape[0], : rest.shape[1]])
    order = np.argsort(waves, axis=None, kind="stable")
    power, noise = (amplitudes**2).ravel()[order], expected.ravel()[order]
    excess, scatter = np.cumsum(power - noise), EXCESS * np.sqrt(2 * np.cumsum(noise**2) + 1e-12)
    last = int(np.argmax(excess - scatter))
    smooth = np.arange(rest.size) <= (last if excess[last] > scatter[last] else -1)
    keep = smooth | (power > SINGLE * np.maximum(noise, LEAST_NOISE))
    total = (power - noise)[keep & ~smooth].sum()
    if smooth.any():
        total += excess[last] * (1 - (scatter[last] / excess[last]) ** 2)
    waves.ravel()[order] = keep
    square = np.where(known, idctn(amplitudes * waves, norm="ortho") ** 2, 0)
    return square * (total / max(square.sum(), 1e-30))


def _local_excess(rest, known):
    """Square of what a model misses in rows, columns and patches of blocks whose mean is far from 0."""
    result = np.zeros(rest.shape)
    for window in WINDOWS:
        size = window[0] * window[1]
        number = np.maximum(size * uniform_filter(known.astype(float), window, mode="constant"), 1)
        mean = size * uniform_filter(rest, window, mode="constant") / number
        far = mean**2 * number > STRONG**2
        result = np.where(far, np.maximum(result, mean**2 - 1 / number), result)
    return result


def _in_cells(blocks, channel, fit, missed):
    """Square of what a model misses in cells, DN^2, from that in blocks; and the cells that were fitted."""
    cells, (rows, columns) = blocks.cells, blocks.known.shape
    size = len(cells.known) // rows
    known = cells.known & spread(blocks.known, size)
    variance = np.where(known, cells.errors[channel], 0) ** 2
    square = (cells.values[channel] - fit.evaluate(cells.x[channel], cells.y[channel])) ** 2
    ratio = np.where(known, square / np.where(known, variance, 1), 0)
    number, total = (each.reshape(rows, size, columns, size).sum(axis=(1, 3)) for each in (known, ratio))
    width = 2 / (9 * np.maximum(number, 1))  # of the cube root of chi^2 / n, which is almost normal (Wilson & Hilferty)
    strong = np.cbrt(total / np.maximum(number, 1)) > 1 - width + STRONG * np.sqrt(width)
    if blocks.dust is not None:
        strong &= ~binary_dilation(blocks.dust, np.ones((3, 3), bool))  # the skirts of dust
    strong = spread(strong, size) & known
    smooth = spread(_average_near(missed, blocks.known), size)
    own = np.maximum(_average_near(square - variance, strong), square - OWN * variance)
    return np.where(strong, np.maximum(own, 0), smooth), known


def _average_near(squares, known):
    """Mean of the known neighbours, near ones first; 0 where none is."""
    result = np.zeros(known.shape)
    for size in (9, 5, 3):
        share, total = (
            np.maximum(correlate(each, np.outer(KERNELS[size], KERNELS[size]), mode="nearest"), 0)
            for each in (known.astype(float), np.where(known, squares, 0.0))
        )
        result = np.where(share > 1e-9, total / np.maximum(share, 1e-9), result)
    return result


def draw_errors(blocks, errors, cfa, shape):
    """Relative standard error of the models of the channels at all pixels of a mosaic.

    Parameters
    ----------
    blocks : Blocks
    errors : list of ModelError
        Of the channels.
    cfa : ColorFilterArray
    shape : tuple of int

    Returns
    -------
    numpy.ndarray, float32, `shape`
        Not a number where no block nearby is known: nothing is said of what a model says there.
    """
    result, p = np.empty(shape, np.float32), cfa.period
    columns, rows = pixel_positions(shape)
    seen = blocks.known if blocks.dust is None else blocks.known | blocks.dust
    unseen, grid = ~binary_dilation(seen, np.ones((3, 3), bool)), blocks.cells or blocks
    unseen = spread(unseen, len(grid.known) // len(seen)).astype(np.float32)
    for i, j, color in cfa.phases():
        channel = CHANNEL_OF_COLOR[color]
        middles = (np.atleast_2d(each[channel]).mean(axis=0) for each in (grid.x, grid.y))
        across, down = (
            _between(middle, each) for middle, each in zip(middles, (columns[j::p], rows[i::p]), strict=True)
        )
        variance = down @ (errors[channel].total ** 2).astype(np.float32) @ across.T
        error = np.sqrt(variance)
        if unseen.any():
            error[down @ unseen @ across.T > 0.5] = np.nan
        result[i::p, j::p] = error
    return result


def _between(middles, places):
    """Matrix that interpolates values at `middles` linearly to `places`; beyond them they stay."""
    place = np.interp(
        places,
        *(
            (middles, np.arange(len(middles)))
            if middles[0] <= middles[-1]
            else (middles[::-1], np.arange(len(middles))[::-1])
        ),
    )
    return np.maximum(1 - np.abs(place[:, None] - np.arange(len(middles))), 0).astype(np.float32)
