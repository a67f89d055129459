"""Differences of two subsets: in percent, in standard errors, and whether the light source was even."""

import numpy as np

from flatfield.combine.pooling import pool_variance
from flatfield.measure.blocks import average_channels, block_side
from flatfield.measure.gradients import measure_map
from flatfield.raw.cfa import CHANNEL_OF_COLOR

#: Difference maps are averaged over blocks, about this many across, so that pixel noise does not count.
BLOCKS_ACROSS = 24


def percent_difference(a, b):
    """100 (a - b) / ((a + b) / 2) per pixel, float32; NaN where a + b is not above 0."""
    total = a + b
    return np.divide(200 * (a - b), total, out=np.full(a.shape, np.nan, np.float32), where=total > 0)


def significance(a, b, errors, counts, cfa):
    """Difference of two masters in standard errors, z = (a - b) / sqrt(sa^2 + sb^2), per pixel.

    The standard error of a pixel from n frames is itself uncertain by 1 / sqrt(2 (n - 1)), so that z would have
    tails. Nor is the common level of the subsets known better than its own noise; what is left of a difference in level
    is taken out. The variance is therefore that of the neighbours of its colour, unless its own is larger than chance
    explains (hot pixels). For normal noise z then has a standard deviation of 1 for any number of frames.

    Parameters
    ----------
    a, b : numpy.ndarray, float32, ``(rows, columns)``
        DN above black.
    errors : tuple of numpy.ndarray
        Their standard errors, DN.
    counts : tuple of int
        Frames that each is made of.
    cfa : ColorFilterArray

    Returns
    -------
    numpy.ndarray, float32, ``(rows, columns)``
        NaN where the errors are not known.
    """
    z, p = np.full(a.shape, np.nan, np.float32), cfa.period
    for i, j, _ in cfa.phases():
        part = np.s_[i::p, j::p]
        own = sum(error[part] ** 2 for error in errors)
        if not np.isfinite(own).all() or not own.size:
            continue
        variance = pool_variance(own, min(counts) - 1)  # at least (Welch)
        known = variance > 0
        if not known.any():
            continue
        difference, mean = (a[part] - b[part]).astype(np.float64), (a[part].astype(np.float64) + b[part]) / 2
        weight = np.divide(1, variance, out=np.zeros(own.shape), where=known)
        level = (weight * difference * mean).sum() / (weight * mean**2).sum()
        z[part] = np.where(known, (difference - level * mean) * np.sqrt(weight), 0)
    return z


def describe_difference(a, b):
    """Header of a difference of two subsets.

    Parameters
    ----------
    a, b : astropy.io.fits.Header
    """
    header = a.copy(strip=True)
    for name in ("SUBSET", "ROTATION", "AIM"):
        header.remove(name, ignore_missing=True)
    dates = [each[name] for each in (a, b) for name in ("DATE-OBS", "DATE-END") if name in each]
    if dates:
        header["DATE-OBS"], header["DATE-END"], header["DATE"] = min(dates), max(dates), max(dates)
    header["IMAGETYP"] = "Difference"
    header["NCOMBINE"] = a["NCOMBINE"] + b["NCOMBINE"]
    header["MINUEND"] = (a["SUBSET"], "subset a")
    header["SUBTRAHE"] = (b["SUBSET"], "subset b, subtracted")
    for line in b["HISTORY"]:
        if line not in a["HISTORY"]:
            header["HISTORY"] = line
    return header


def measure_uniformity(a, b, errors, z, cfa):
    """How two masters differ over the whole frame, and in which direction, for each channel.

    Means over blocks of a - b, in percent of the mean of both; a plane is fitted to them by least squares weighted
    with their errors.

    Parameters
    ----------
    a, b, errors, cfa
        As for `significance`.
    z : numpy.ndarray, float32, ``(rows, columns)``

    Returns
    -------
    list of dict
        rms_percent (of the blocks about their mean), noise_percent (what noise alone would give), gradient_percent
        (of the plane, its range over the frame) and gradient_error, direction_deg (in which a is brighter,
        counter-clockwise from the right) and direction_error, z_mean, z_std, significant (True, False, or None
        where not determined), reason.
    """
    size = block_size(a.shape, cfa)
    mean = average_channels((a + b) / 2, cfa, size)
    percent = 100 * average_channels(a - b, cfa, size) / np.where(mean > 0, mean, np.nan)
    variance = average_channels(errors[0].astype(np.float64) ** 2 + errors[1].astype(np.float64) ** 2, cfa, size)
    rows, channel_map = [], cfa.channel_map(a.shape)
    for channel in range(len(cfa.channels)):
        pixels = sum(CHANNEL_OF_COLOR[color] == channel for _, _, color in cfa.phases()) * (size // cfa.period) ** 2
        error = 100 * np.sqrt(variance[channel] / pixels) / mean[channel]
        values = z[(channel_map == channel) & np.isfinite(z)]
        row = measure_map(percent[channel], error, size, a.shape)
        row["z_mean"] = float(values.mean(dtype=np.float64)) if values.size else None
        row["z_std"] = float(values.std(dtype=np.float64)) if values.size else None
        rows.append(row)
    return rows


def block_size(shape, cfa):
    """Side of the blocks in which subsets are compared, pixels."""
    return block_side(shape, cfa, BLOCKS_ACROSS)


UNIFORMITY_COLUMNS = [
    *["pair", "channel", "rms_percent", "noise_percent", "gradient_percent", "gradient_error", "direction_deg"],
    *["direction_error", "z_mean", "z_std", "significant", "reason"],
]
