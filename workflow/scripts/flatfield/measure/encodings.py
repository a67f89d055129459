"""Encodings of pictures: signal u to recorded value v, both in units of the largest value."""

import numpy as np


def _srgb(u):
    return np.where(u <= 0.0031308, 12.92 * u, 1.055 * np.maximum(u, 1e-12) ** (1 / 2.4) - 0.055)


def _srgb_inverse(v):
    return np.where(v <= 0.04045, v / 12.92, ((np.maximum(v, 0) + 0.055) / 1.055) ** 2.4)


def _bt709(u):
    return np.where(u <= 0.018, 4.5 * u, 1.099 * np.maximum(u, 1e-12) ** 0.45 - 0.099)


def _bt709_inverse(v):
    return np.where(v <= 0.081, v / 4.5, ((np.maximum(v, 0) + 0.099) / 1.099) ** (1 / 0.45))


#: Curves of pictures (IEC 61966-2-1; ITU-R BT.709, LibRaw's default): encode and decode.
CURVES = {"sRGB": (_srgb, _srgb_inverse), "BT.709": (_bt709, _bt709_inverse)}


def decode(curve, gamma, recorded):
    """Signal of recorded values: by a curve of `CURVES`, or as a power `gamma` where `curve` is None."""
    return CURVES[curve][1](recorded) if curve else np.maximum(recorded, 1e-12) ** gamma


def encode(curve, gamma, signal):
    """Recorded values of a signal; the reverse of `decode`."""
    return CURVES[curve][0](signal) if curve else np.maximum(signal, 1e-12) ** (1 / gamma)


def decoding_slope(curve, gamma, recorded):
    """Change of the signal with the recorded value."""
    step = 1e-4 * recorded
    return np.maximum((decode(curve, gamma, recorded + step) - decode(curve, gamma, recorded)) / step, 1e-6)
