"""Tiles of a light: the level of its sky without stars, and the flat there."""

from dataclasses import dataclass

import numpy as np

from flatfield.raw.cfa import CHANNEL_OF_COLOR
from flatfield.raw.robust import median_of

#: Tiles across the frame and down it.
TILES = (24, 16)
#: Pixels further from the median of a tile, in robust standard deviations, are stars and do not count.
STARS = 3.0
#: Pixels of a channel that a tile must have.
FEWEST = 16
#: Pixels of a tile from which its median and scatter are found: they only say where stars begin.
SAMPLE = 2048
#: Rounds in which stars are left out.
ROUNDS = 4


@dataclass(frozen=True)
class Tiles:
    """Sky level of a light and level of its flat.

    Attributes
    ----------
    x, y : numpy.ndarray, ``(tiles across,)`` and ``(tiles down,)``
        Half diagonals of the frame, to the right and up.
    light, light_error : numpy.ndarray, ``(channels, rows, columns)``
        DN above black, or values of a picture; NaN where a tile has no sky.
    flat : numpy.ndarray, ``(channels, rows, columns)``
        Normalised.
    source : numpy.ndarray, ``(channels, rows, columns)``, optional
        ln of what the flat holds of its light source; None if that is not known, or was divided out.
    flat_errors : numpy.ndarray, ``(functions, rows, columns)``, optional
        What ln of the flat may be wrong by, see `flatfield.measure.flat_errors.smooth_errors`.
    """

    x: np.ndarray
    y: np.ndarray
    light: np.ndarray
    light_error: np.ndarray
    flat: np.ndarray
    source: np.ndarray | None = None
    flat_errors: np.ndarray | None = None


def tile_edges(length, count):
    """First pixels of tiles and the end of the last one."""
    return np.rint(np.linspace(0, length, count + 1)).astype(int)


def tile_positions(shape):
    """Where the tiles of a frame lie, half diagonals: x to the right, y up."""
    half = np.hypot(*shape) / 2
    x, y = (tile_edges(length, count) for length, count in zip(shape[::-1], TILES, strict=True))
    return ((x[1:] + x[:-1]) / 2 - shape[1] / 2) / half, (shape[0] / 2 - (y[1:] + y[:-1]) / 2) / half


def measure_sky(planes, good, cfa=None):
    """Sky level of tiles: the mean without stars.

    Parameters
    ----------
    planes : numpy.ndarray
        A mosaic ``(rows, columns)``, or planes ``(channels, rows, columns)`` of a picture.
    good : numpy.ndarray of bool, ``(rows, columns)``
        Pixels that count.
    cfa : ColorFilterArray, optional
        Of the mosaic.

    Returns
    -------
    level, error : numpy.ndarray, float64, ``(channels, TILES[1], TILES[0])``
        NaN where too few pixels are left.
    """
    return _each_tile(planes, good, cfa, _sky_level)


def measure_mean(planes, good, cfa=None):
    """Mean of tiles, and its error; parameters and result as for `measure_sky`."""
    return _each_tile(planes, good, cfa, lambda values: (values.mean(dtype=np.float64), _error_of_mean(values)))


def _sky_level(values):
    sample = values[:: max(values.size // SAMPLE, 1) | 1]  # an odd step meets all columns
    for _ in range(ROUNDS):
        middle = median_of(sample)
        scatter = max(1.4826 * median_of(np.abs(sample - middle)), 1e-6 * abs(middle))
        kept = sample[np.abs(sample - middle) <= STARS * scatter]
        if kept.size == sample.size or kept.size < FEWEST:
            break
        sample = kept
    kept = values[np.abs(values - middle) <= STARS * scatter]
    return kept.mean(dtype=np.float64), scatter / np.sqrt(kept.size)


def _error_of_mean(values):
    return float(values.std(dtype=np.float64)) / np.sqrt(values.size)


def _each_tile(planes, good, cfa, measure):
    mosaic = planes.ndim == 2
    channels, p = (len(cfa.channels), cfa.period) if mosaic else (len(planes), 1)
    shape = planes.shape[-2:]
    top, left = tile_edges(shape[0], TILES[1]), tile_edges(shape[1], TILES[0])
    result = np.full((2, channels, TILES[1], TILES[0]), np.nan)
    for row, column in np.ndindex(TILES[1], TILES[0]):
        # whole tiles of the pattern, so that each channel has its share
        rows = slice(-(-top[row] // p) * p, top[row + 1] // p * p)
        columns = slice(-(-left[column] // p) * p, left[column + 1] // p * p)
        inside = good[rows, columns]
        for channel in range(channels):
            if mosaic:
                parts = [
                    planes[rows, columns][i::p, j::p][inside[i::p, j::p]]
                    for i, j, color in cfa.phases()
                    if CHANNEL_OF_COLOR[color] == channel
                ]
                values = np.concatenate(parts)
            else:
                values = planes[channel, rows, columns][inside]
            if values.size >= FEWEST:
                result[:, channel, row, column] = measure(values)
    return result
