"""Whole steps of a correction that changes with the radius: numbers that were multiplied and rounded, seen in pairs."""

from dataclasses import dataclass
from threading import Lock

import numpy as np

from flatfield.raw.cfa import CHANNEL_OF_COLOR

#: Rings of equal area, from the centre to the corner, and numbers that differences are folded into.
RINGS, FOLD = 64, 512
#: Frequencies of the corner that are tried (steps per DN), and how a correction may run between centre and corner.
CORNERS, SHAPES = np.linspace(0.0, 0.6, 241), np.linspace(-1.0, 1.0, 81)
#: Standard deviations from which on steps are found, as 20000 combinations are tried; and what is added to be sure.
FOUND, SURE = 7.0, 3.0
#: Standard deviations of a wave from which on the inner and the outer third of the frame share it.
SHARED = 5.0
#: Error of the factor at least, relative to it less 1: corrections run in more ways than are tried.
UNSURE = 0.1


@dataclass(frozen=True)
class Steps:
    """Whole steps of one channel.

    Attributes
    ----------
    sigma : float
        Significance of the best correction.
    percent, error : float
        Its factor at the corners against the centre, less 1, or one with the same steps.
    least : float or None
        Least factor at the corners, percent, whose steps would have been found; None where none would.
    shared : bool
        Whether numbers have steps that are the same everywhere, beside which none of the radius can be found.
    """

    sigma: float
    percent: float
    error: float
    least: float | None
    shared: bool = False


class StepCounts:
    """Differences of two frames, as recorded, by ring and colour.

    Attributes
    ----------
    counts : dict
        By colour of the filter array: pixels by ring and difference modulo `FOLD`, int64, ``(RINGS, FOLD)``.
    """

    def __init__(self):
        self.lock, self.counts, self.rings = Lock(), {}, {}

    def add(self, first, second, cfa):
        """Count the differences of two frames, uint16, ``(rows, columns)``; of other numbers nothing is counted."""
        if first.dtype != np.uint16 or second.dtype != np.uint16:
            return
        p = cfa.period
        for i, j, color in cfa.phases():
            part = np.s_[i::p, j::p]
            index = self._rings(first.shape, part).astype(np.int32)
            index *= FOLD
            index += (first[part] - second[part]) & np.uint16(FOLD - 1)  # wraps, and so does what is folded
            found = np.bincount(index.ravel(), minlength=RINGS * FOLD).reshape(RINGS, FOLD)
            with self.lock:
                self.counts[color] = self.counts.get(color, 0) + found

    def _rings(self, shape, part):
        """Ring of each pixel of a colour, uint8."""
        rows, columns = (np.arange(length, dtype=np.float32) - (length - 1) / 2 for length in shape)
        squares = (rows[part[0]] ** 2)[:, None] + columns[part[1]] ** 2
        return np.minimum(squares * np.float32(RINGS / (rows[0] ** 2 + columns[0] ** 2)), RINGS - 1).astype(np.uint8)

    def of_channels(self, count):
        """Counts of each channel, the colours of one together."""
        total = np.zeros((count, RINGS, FOLD), np.int64)
        for color, found in self.counts.items():
            total[CHANNEL_OF_COLOR[color]] += found
        return total


def measure_steps(counts):
    """Find the steps of a correction that changes with the radius.

    Parameters
    ----------
    counts : numpy.ndarray, int, ``(RINGS, FOLD)``
        See `StepCounts`.

    Returns
    -------
    Steps or None
        None without pixels.

    Notes
    -----
    A camera that multiplies whole numbers k by g and rounds records numbers v near a lattice of spacing g: of n(v) =
    1/g + A cos(2 pi v / g) ... with v whole, 1/g is seen as f = 1 - 1/g (as 1/g - 1 for g below 1, where numbers come
    twice), and the mean of exp(2 pi i v f) over the noise is sin(pi f) / pi, about g - 1. The phase turns with each
    pixel of the radius, but not that of the difference of two frames at one pixel: the mean of cos(2 pi d f) over pairs
    is the square of that, and 0 for noise that is wide enough, with the variance 1 / (2 N). f(u) is tried as
    f_1 (u + b u (1 - u)), u the square of the radius over that of the corner. What all rings share is taken out.
    """
    pixels = counts.sum(axis=1).astype(np.float64)
    if not pixels.sum():
        return None
    u = (np.arange(RINGS) + 0.5) / RINGS
    spectrum = np.fft.rfft(counts, axis=1)
    low = _lowest_frequency(np.abs(spectrum) ** 2 / np.maximum(pixels, 1)[:, None])
    waves = spectrum.real  # sums of cos(2 pi d f)
    common = waves.sum(axis=0) / pixels.sum()
    size = (waves - pixels[:, None] * common) / np.sqrt(np.maximum(pixels, 1) / 2)[:, None]
    thirds = slice(0, RINGS // 3), slice(-(RINGS // 3), None)
    inner, outer = (waves[part].sum(axis=0) / np.sqrt(max(pixels[part].sum(), 1) / 2) for part in thirds)
    shared = np.minimum(inner, outer)[np.arange(waves.shape[1]) > low * FOLD] > SHARED
    course = u + SHAPES[:, None] * u * (1 - u)
    best = np.zeros(len(CORNERS))
    for k, corner in enumerate(CORNERS):
        best[k] = _significance(size, corner * course, pixels, low).max()
    top = int(best.argmax())
    near = np.flatnonzero(best >= np.sqrt(max(best[top] ** 2 - 1, 0)))
    factors = 1 / (1 - CORNERS)
    error = max(np.ptp(factors[near]) / 2, factors[min(top + 1, len(factors) - 1)] - factors[top])
    # what steps that grow with the square of the radius would give
    expected = [_significance_of(corner * u, pixels, low) for corner in CORNERS]
    sure = [100 * (f - 1) for f, each in zip(factors, expected, strict=True) if each > FOUND + SURE]
    percent = 100 * float(factors[top] - 1)
    error = float(np.hypot(100 * error, UNSURE * percent))
    return Steps(float(best[top]), percent, error, float(min(sure)) if sure else None, bool(shared.any()))


def _lowest_frequency(power):
    """Frequency from which on unrounded noise has no wave, from the power in each ring, 1 for chance."""
    below = np.flatnonzero(power.mean(axis=0) < 1 + SHARED / np.sqrt(RINGS))
    # the power of a normal distribution falls as exp(-c f^2): somewhat further it is gone
    return 1.5 * (below[0] if len(below) else power.shape[1]) / FOLD


def _seen(frequency):
    """Frequencies as whole numbers show them, 0 to 1/2."""
    folded = np.abs(frequency) % 1
    return np.minimum(folded, 1 - folded)


def _strength(frequency):
    """Mean of cos(2 pi d f) of a lattice."""
    return (np.sin(np.pi * frequency) / np.pi) ** 2


def _significance(size, frequency, pixels, low):
    """Sum over rings, weighted with what is expected of each, in its standard deviations, ``(shapes,)``."""
    seen = _seen(frequency)
    weight = np.where(seen > low, _strength(frequency), 0.0) * np.sqrt(pixels)
    index = np.rint(seen * FOLD).astype(int)
    total = (size[np.arange(RINGS), index] * weight).sum(axis=-1)
    norm = np.sqrt((weight**2).sum(axis=-1))
    return np.divide(total, norm, out=np.zeros_like(total), where=norm > 0)


def _significance_of(frequency, pixels, low):
    """What a correction with these frequencies is expected to give."""
    strength = np.where(_seen(frequency) > low, _strength(frequency), 0.0)
    return float(np.sqrt(2 * (pixels * strength**2).sum()))
