"""Noise of whole rows and columns, and bands: what the means of lines differ by from one frame to the next."""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammainccinv, gammaincinv

from flatfield.measure.bands import find_bands
from flatfield.raw.cfa import CHANNEL_OF_COLOR

#: Differences beyond this many standard deviations are cut (stars, cosmic rays).
OUTLIER = 6.0
#: Sum of squares of the correlations of second differences of white noise, over lines: 1 + 2 ((4/6)^2 + (1/6)^2).
CORRELATED = 1 + 2 * (16 + 1) / 36
#: Error of the variance that is expected, relative: tiles do not cover the border.
SYSTEMATIC = 0.01
#: Probability that noise makes a band anywhere in a set.
FALSE_BAND = 1e-6
#: Bins of the spectrum on either side whose median is the noise beside a line, and lines that a profile needs.
BESIDE, SHORTEST = 24, 64
#: Bands in a frame, at least: what is wider is light that changed.
FEWEST_BANDS = 8


@dataclass(frozen=True)
class LineProfiles:
    """Means of the lines of the difference of two frames, DN of one frame.

    Attributes
    ----------
    rows, columns : numpy.ndarray, float32, 1-D
    """

    rows: np.ndarray
    columns: np.ndarray


def profile_lines(first, second, factors, cfa, deviation):
    """Means of rows and columns of (f1 S1 - f2 S2) / sqrt(2).

    Parameters
    ----------
    first, second : numpy.ndarray, float32, ``(rows, columns)``
        DN above black.
    factors : numpy.ndarray, ``(2, channels)``
        That bring both frames to their mean level.
    cfa : ColorFilterArray
    deviation : float
        Largest standard deviation of a pixel, DN.

    Returns
    -------
    LineProfiles
    """
    p, rest = cfa.period, np.empty(first.shape, np.float32)
    for i, j, color in cfa.phases():
        a, b = (factors[:, CHANNEL_OF_COLOR[color]] / np.sqrt(2)).astype(np.float32)
        rest[i::p, j::p] = a * first[i::p, j::p] - b * second[i::p, j::p]
    limit = np.float32(OUTLIER * deviation)
    np.clip(rest, -limit, limit, out=rest)
    return LineProfiles(rest.mean(axis=1), rest.mean(axis=0))


def level_lines(first, second, factors):
    """Take bands of a lamp that flickers out of two frames: their lines are brought to the mean of both.

    Only where periodic bands are found (`flatfield.measure.bands.find_bands`): other noise of lines is noise.

    Parameters
    ----------
    first, second : numpy.ndarray, float32, ``(rows, columns)``
        DN above black.
    factors : numpy.ndarray, ``(2, channels)``
        That bring both frames to their mean level.

    Returns
    -------
    first, second : numpy.ndarray, float32, ``(rows, columns)``
    shares : tuple of float
        Part of the variance of a pixel that went with its row, and its column: 1 over the pixels of the line, or 0.
    """
    frames, shares = [first, second], [0.0, 0.0]
    for axis in (0, 1):
        profiles = np.array([each.mean(axis=1 - axis, dtype=np.float64) for each in frames])
        if not any(find_bands(profiles)) or not (profiles > 0).all():
            continue
        profiles *= factors.mean(axis=1)[:, None]
        gains = (profiles.mean(axis=0) / profiles).astype(np.float32)
        frames = [each * np.expand_dims(gain, 1 - axis) for each, gain in zip(frames, gains, strict=True)]
        shares[axis] = 1 / first.shape[1 - axis]
    return *frames, tuple(shares)


def measure_lines(profiles, expected, period):
    """Noise that lines have beyond that of their pixels.

    Parameters
    ----------
    profiles : numpy.ndarray, ``(pairs, lines)``
        Means of lines, DN.
    expected : float
        What the noise of pixels gives for the mean square of the second differences over 6, DN^2.
    period : int
        Of the colour pattern.

    Returns
    -------
    variance, error : float
        DN^2; negative where noise makes it so. NaN where there are too few lines.
    """
    if profiles.size == 0 or profiles.shape[1] < SHORTEST:
        return np.nan, np.nan
    second = profiles[:, : -2 * period] - 2 * profiles[:, period:-period] + profiles[:, 2 * period :]
    square = second.astype(np.float64) ** 2 / 6
    square = np.minimum(square, OUTLIER**2 * np.median(square) / 0.4549)  # the median of chi^2
    found = float(square.mean())
    return found - expected, float(np.hypot(found * np.sqrt(2 * CORRELATED / square.size), SYSTEMATIC * expected))


def expect_lines(variance, covariance, length, period, axis):
    """What the noise of pixels gives for the mean square of the second differences of means of lines over 6.

    Parameters
    ----------
    variance : float
        Of a pixel, DN^2.
    covariance : dict
        Sums of the covariances with the neighbours, by distance, see `flatfield.measure.tile_noise.TileNoise`.
    length : int
        Pixels of a line.
    period : int
        Of the colour pattern.
    axis : int
        0 for rows, 1 for columns.

    Returns
    -------
    float
        DN^2.
    """

    def between(lines):  # half of the sum are the neighbours on one side
        of_lines = [value for distance, value in covariance.items() if distance[axis] == lines]
        return sum(of_lines) / 2 if lines else variance + sum(of_lines)

    return (between(0) - 8 / 6 * between(period) + 2 / 6 * between(2 * period)) / length


def find_bands_of_reading(profiles):
    """The strongest periodic band in the means of lines.

    Parameters
    ----------
    profiles : numpy.ndarray, ``(pairs, lines)``
        DN.

    Returns
    -------
    amplitude, error : float
        DN; NaN where there are too few lines.
    period : float
        Lines.
    strength : float
        Power of the line over the least that noise never has; above 1 it is a band.
    """
    if profiles.size == 0 or profiles.shape[1] < SHORTEST:
        return np.nan, np.nan, np.nan, 0.0
    pairs, count = profiles.shape
    step = np.linspace(-1, 1, count)
    rest = profiles - profiles.mean(axis=1, keepdims=True)
    rest = rest - np.outer(rest @ step / (step @ step), step)
    power = (np.abs(np.fft.rfft(rest, axis=1)) ** 2).mean(axis=0)[:-1]
    inside = np.arange(FEWEST_BANDS, len(power))
    near = np.abs(inside[:, None] + np.arange(-BESIDE, BESIDE + 1))
    near = np.where(near >= len(power), 2 * len(power) - 2 - near, near)
    noise = np.median(power[near], axis=1) * pairs / gammaincinv(pairs, 0.5)
    ratio = power[inside] / np.maximum(noise, 1e-30)
    # the noise beside a line is itself known to a few tens of bins only
    limit = gammainccinv(pairs, FALSE_BAND / len(inside)) / pairs * (1 + 5 / np.sqrt(BESIDE * pairs))
    peak = int(ratio.argmax())
    lines = inside[max(peak - 1, 0) : peak + 2]
    over = np.maximum(power[lines] - noise[peak], 0)
    amplitude = 2 * float(np.sqrt(over.sum())) / count
    error = float(np.sqrt(2 * noise[peak] / pairs)) / count
    return amplitude, error, count / float(inside[peak]), float(ratio[peak] / limit)
