"""Bands across frames: light that flickers while a shutter runs down, or a sensor is read row by row."""

import numpy as np

#: Bands that a frame must hold to distinguish them from clouds and shadows, and rows that one must have.
FEWEST_BANDS, SHORTEST = 4, 3
#: Power of bands over that of noise, and over that of anything wider than them.
OVER_NOISE, OVER_WIDER = 40.0, 4.0
#: Bins of a spectrum on either side over which a window spreads a line.
SPREAD = 2


def find_bands(profiles):
    """Periodic bands in which frames differ from the usual one.

    Parameters
    ----------
    profiles : numpy.ndarray, ``(frames, rows)``
        Mean signal of each row (or column) of each frame, DN above black.

    Returns
    -------
    list of tuple of float, or None
        Amplitude (percent) and period (rows) of each frame; None where there are none.

    Notes
    -----
    The mean of a row of 4000 pixels is known to some 0.02 %, so that bands are seen which no block of pixels shows.
    Rows relative to the median of all frames, less a line, are multiplied with a Hann window and transformed. Noise has
    the same power at all periods, its mean the median over ln 2; light that clouds or shadows change has the more power
    the wider it is. Bands stand out from both.
    """
    count = profiles.shape[1]
    if count < 2 * FEWEST_BANDS * SHORTEST or len(profiles) < 2:
        return [None] * len(profiles)
    relative = profiles / np.where(profiles.mean(axis=1) > 0, profiles.mean(axis=1), 1)[:, None]
    usual = np.median(relative, axis=0)
    rest = relative / np.where(usual > 0, usual, 1) - 1
    step = np.linspace(-1, 1, count)
    rest -= rest.mean(axis=1, keepdims=True) + np.outer(rest @ step / (step @ step), step)
    window = np.hanning(count)
    power = np.abs(np.fft.rfft(rest * window, axis=1)) ** 2
    return [_strongest(each, count, float((window**2).sum())) for each in power]


def _strongest(power, count, norm):
    """Amplitude and period of the strongest line of a spectrum, if it is one of bands."""
    inside = slice(FEWEST_BANDS, count // SHORTEST)
    peak = FEWEST_BANDS + int(power[inside].argmax())
    noise = float(np.median(power[1:])) / np.log(2)
    wider = power[1 : max(peak - SPREAD, 2)]
    if not power[peak] > max(OVER_NOISE * noise, OVER_WIDER * float(wider.max())):
        return None
    near = np.arange(max(peak - SPREAD, 1), min(peak + SPREAD + 1, len(power)))
    strength = np.maximum(power[near] - noise, 0)
    amplitude = 2 * np.sqrt(strength.sum() / (count * norm))
    return 100 * float(amplitude), count * float(strength.sum() / (strength @ near))
