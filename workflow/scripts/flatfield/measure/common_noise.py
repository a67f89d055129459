"""Noise that neighbouring pixels have in common: covariances of differences of frames."""

from dataclasses import dataclass

import numpy as np

from flatfield.measure.photon_transfer import LINEAR_PART, fit_photon_transfer
from flatfield.measure.tile_noise import DISTANCES, OUTLIER
from flatfield.raw.robust import SIGMA_PER_MAD

#: Standard errors from which on the covariance at a distance is significant.
SHARED = 4.0


@dataclass(frozen=True)
class CommonNoise:
    """What neighbouring pixels have in common, by channel, in units of their variance.

    Attributes
    ----------
    percent, error : list of float
        Sum of the covariances of a pixel with its neighbours within two rows and columns, and its error.
    distances : list of int
        Of `flatfield.measure.tile_noise.DISTANCES`, those at which it is significant.
    sums : list of float
        Relative sum at these.
    hidden : float
        Sum with the nearest neighbours that would not be seen, one standard error.
    sentence : str
    """

    percent: list
    error: list
    distances: list
    sums: list
    hidden: float
    sentence: str

    def sum_of(self, index):
        return self.sums[index]


def find_common_noise(tiles, full, period):
    """Covariances of neighbours that are significant over all channels, below saturation.

    Parameters
    ----------
    tiles : list of flatfield.measure.tile_noise.TileNoise
    full : list of float or None
        Signal at saturation of each channel, DN above black.
    period : int
        Of the colour pattern: neighbours at another place in it count in the tiles of both places, so that the mean
        over all tiles has each product twice, and an error larger by sqrt(2).

    Returns
    -------
    CommonNoise
    """
    ratios, weights = [], []
    for index in range(len(tiles[0].level) if tiles else 0):
        level, variance, count, covariance = join_tiles(tiles, index)
        fit, _ = fit_photon_transfer(level, variance, count, full[index])
        if fit is None:
            return CommonNoise([None] * 3, [None] * 3, [], [0.0] * 3, 0.0, "")
        expected = fit.variance_at(level)
        linear = (expected > 0) & ((level < LINEAR_PART * full[index]) if full[index] else True)
        ratios.append(covariance[linear] / expected[linear, None])
        weights.append(count[linear])
    if not ratios:
        return CommonNoise([None] * 3, [None] * 3, [], [0.0] * 3, 0.0, "")
    each = [_mean_and_error(a.sum(axis=1), b) for a, b in zip(ratios, weights, strict=True)]
    joint, mass = np.concatenate(ratios), np.concatenate(weights)
    twice = np.array([2.0 if i % period or j % period else 1.0 for i, j in DISTANCES])
    pooled = [_mean_and_error(joint[:, distance], mass) for distance in range(len(DISTANCES))]
    pooled = [(mean, error * factor) for (mean, error), factor in zip(pooled, np.sqrt(twice), strict=True)]
    found = [distance for distance, (mean, error) in enumerate(pooled) if abs(mean) > SHARED * error]
    sums = [float(np.average(a[:, found].sum(axis=1), weights=b)) for a, b in zip(ratios, weights, strict=True)]
    nearest = [distance for distance, (i, j) in enumerate(DISTANCES) if i + j == 1 and distance not in found]
    hidden = float(np.hypot.reduce([0.0, *[pooled[distance][1] for distance in nearest]]))
    listed = ", ".join("{} x {}".format(*DISTANCES[distance]) for distance in found)
    mean, error = _mean_and_error(joint[:, found].sum(axis=1), mass) if found else (0, 0)
    error *= np.sqrt(twice[found].max(initial=1.0))
    sentence = (
        f"neighbouring pixels share {100 * mean:.2g} +- {100 * error:.1g} % of their noise (rows x columns apart: "
        f"{listed}), as where charge spreads, noise was filtered, or the frames hold stars, which the gain takes into "
        "account"
    )
    percents, errors = ([100 * float(pair[part]) for pair in each] for part in (0, 1))
    return CommonNoise(percents, errors, found, sums, hidden, sentence if found else "")


def _mean_and_error(values, weights):
    """Weighted mean, and its error from the scatter of the values."""
    mean = float(np.average(values, weights=weights))
    if len(values) < 2:
        return mean, float("inf")
    return mean, float(np.sqrt((weights**2 * (values - mean) ** 2).sum()) / weights.sum())


def join_tiles(tiles, index):
    """Level, variance, count and covariances of the tiles of one channel in all pairs, without those that hold stars.

    What stands in one frame and not in the other (stars of a twilight, clouds) makes neighbours differ alike: tiles
    with covariances more than `OUTLIER` standard deviations off those of the others hold more than noise.
    """
    names = ("level", "variance", "count", "covariance")
    joined = tuple(np.concatenate([getattr(each, name)[index] for each in tiles]) for name in names)
    variance, covariance = joined[1], joined[3]
    ratios = covariance / np.where(variance > 0, variance, np.inf)[:, None]
    rest = np.abs(ratios - np.median(ratios, axis=0))
    usual = SIGMA_PER_MAD * np.median(rest, axis=0)
    kept = (rest <= OUTLIER * usual).all(axis=1)
    return tuple(each[kept] for each in joined) if kept.any() else joined
