"""Codes: the numbers that a camera records, how many pixels have each, and which it leaves out."""

from threading import Lock

import numpy as np

#: Part of the pixels at either end of the histogram that is not looked at (defects, saturation).
TAIL = 1e-3
#: Codes on either side whose mean is what is expected of one that may be missing, and whose median of one that may be
#: overfull; of both sides the lower and the higher count, so that the edge of a histogram is neither.
BESIDE, NEXT = 8, 3
#: Pixels that must be expected of a code for it to count, and codes that must count to say anything.
EXPECTED, FEWEST_CODES = 20, 32
#: A code is missing with less than this part of the pixels expected; overfull with more than this many times as many,
#: and beyond this many standard deviations.
MISSING, OVERFULL, SIGMAS = 0.1, 1.5, 9.0
#: Part of the pixels that need not be on the steps of the others.
STRAY = 1e-4


class CodeCounts:
    """How many pixels of each colour have each code, from frames that come in any order.

    Attributes
    ----------
    counts : dict
        By colour of the filter array (0 red, 1 green, 2 blue, 3 second green): pixels by code, int64.
    """

    def __init__(self, counts=None):
        self.lock, self.counts = Lock(), counts or {}

    def add(self, mosaic, cfa):
        """Count the pixels of a frame as recorded, ``(rows, columns)``; one without whole numbers is left out."""
        if mosaic.dtype != np.uint16:
            return
        for i, j, color in cfa.phases():
            found = np.bincount(mosaic[i :: cfa.period, j :: cfa.period].ravel())
            with self.lock:
                old = self.counts.get(color, np.zeros(0, np.int64))
                total = np.zeros(max(len(old), len(found)), np.int64)
                total[: len(old)] += old
                total[: len(found)] += found
                self.counts[color] = total


def measure_codes(counts):
    """Steps, missing codes and overfull ones of a histogram.

    Parameters
    ----------
    counts : numpy.ndarray, int, 1-D
        Pixels by code.

    Returns
    -------
    step : int or None
        Greatest common divisor of the distances of the codes that are used; None without pixels.
    missing, overfull : tuple of int, or None
        How many of the codes (of those in steps) have next to no pixels, or too many, and how many have neighbours with
        enough pixels to say so; None where these are fewer than `FEWEST_CODES`.

    Notes
    -----
    What is expected of a code is what its neighbours have; that needs noise of three steps or more. Whole
    numbers multiplied by a factor above 1 leave codes out, by a factor below 1 join them; a curve of lossy compression
    leaves out the more the brighter.
    """
    total = counts.sum()
    if total <= 0:
        return None, None, None
    cumulated = np.cumsum(counts)
    low, high = (int(np.searchsorted(cumulated, part * total)) for part in (TAIL, 1 - TAIL))
    inside = counts[low : high + 1]
    step = _step_of(inside)
    if step is None:
        return None, None, None
    start = int(np.bincount(np.arange(len(inside)) % step, inside).argmax())
    kept = inside[start::step].astype(np.float64)
    missing, present = _compare(kept, lambda seen, usual, _: (seen < MISSING * usual, usual))
    # codes beside missing ones are no fuller than others
    overfull, _ = _compare(present, lambda seen, _, least: (seen > _most(least), least))
    return step, missing, overfull


def _most(least):
    return np.maximum(OVERFULL * least, least + SIGMAS * np.sqrt(least))


def _compare(kept, judge):
    """How many codes are wrong, and of how many this can be said (None of too few); and the counts of the others.

    `judge` takes the pixels of the codes, the mean of their neighbours, and their median, of the side that counts; it
    returns which codes are wrong, and what is expected of each.
    """
    if len(kept) < 2 * BESIDE + 1:
        return None, kept
    seen = kept[BESIDE:-BESIDE]
    left, right = (np.lib.stride_tricks.sliding_window_view(part, BESIDE) for part in (kept[:-1], kept[1:]))
    left, right = left[: len(seen)], right[BESIDE : BESIDE + len(seen)]
    usual = np.minimum(left.mean(axis=1), right.mean(axis=1))
    least = np.maximum(np.median(left[:, -NEXT:], axis=1), np.median(right[:, :NEXT], axis=1))
    mean = (left.sum(axis=1) + seen + right.sum(axis=1)) / (2 * BESIDE + 1)  # the same of a code and its neighbours
    wrong, expected = judge(seen, usual, least)
    enough = (mean >= EXPECTED) & (expected >= EXPECTED / 2)
    others = np.concatenate([kept[:BESIDE], seen[~(wrong & enough)], kept[-BESIDE:]])
    return (int(wrong[enough].sum()), int(enough.sum())) if enough.sum() >= FEWEST_CODES else None, others


def _step_of(inside):
    """Common step of the codes; few stray pixels do not count."""
    used = np.flatnonzero(inside)
    if len(used) < 2:
        return None
    best = 1
    for step in (2**power for power in range(1, 13)):
        on_step = np.bincount(np.arange(len(inside)) % step, inside, minlength=step).max()
        if on_step < (1 - STRAY) * inside.sum() or len(used) < 4:
            break
        best = step
    exact = int(np.gcd.reduce(np.diff(used)))
    return max(best, exact) if len(used) >= 4 else 1
