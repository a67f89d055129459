"""Noise of masters against the number of frames: how many are enough."""

import numpy as np

from flatfield.combine.methods import combine, scatter_of_master

#: Values further than this many standard deviations off are no noise (hot pixels, stars).
OUTLIER = 5.0


def variance_of(values):
    """Variance of values about their mean without outliers, and how many are left."""
    values = np.asarray(values, np.float64)
    for _ in range(5):
        mean, variance = values.mean(), values.var(ddof=1)
        inside = (values - mean) ** 2 <= OUTLIER**2 * variance
        if inside.all():
            break
        values = values[inside]
    return float(variance), len(values)


def measure_depth(box, options, factors):
    """Noise of masters of 1, 2, 4 ... frames, from the difference of two that share no frame.

    Parameters
    ----------
    box : numpy.ndarray, float32, ``(frames, pixels)``
        Pixels of one channel at a common level, DN above black.
    options : dict
        Section ``combine`` of the configuration.
    factors : numpy.ndarray, ``(frames,)``
        That brought the frames to that level; ccd_clip needs them.

    Returns
    -------
    list of dict
        frames, noise_percent, noise_error_percent: of a pixel, relative to the mean.
    """
    total, mean = len(box), float(box.mean(dtype=np.float64))
    rows, count = [], 1
    while 2 * count <= total and mean > 0:
        groups = total // count
        masters = [_combine_box(box[group::groups][:count], options, factors[group::groups]) for group in range(groups)]
        differences = [
            (a - b).astype(np.float64) for a, b in zip(masters[::2], masters[1::2], strict=False) if a is not None
        ]
        if differences:
            variances, counts = zip(*map(variance_of, differences), strict=True)
            noise = 100 * np.sqrt(np.mean(variances) / 2) / mean
            freedom = sum(counts) - len(counts)
            rows.append(
                {"frames": count, "noise_percent": float(noise), "noise_error_percent": noise / np.sqrt(2 * freedom)}
            )
        count *= 2
    return rows


def _combine_box(frames, options, factors):
    if options["method"] == "minmax" and options["nlow"] + options["nhigh"] >= len(frames):
        return None
    return combine(frames, options, factors[: len(frames)])[0]


def fit_slope(rows):
    """Slope of the logarithm of noise against that of the effective number of frames, which is -1/2 for noise.

    Parameters
    ----------
    rows : list of dict
        effective_frames (whose mean would be as good), noise_percent, noise_error_percent.

    Returns
    -------
    slope, error : float or None
        None for fewer than two rows.
    """
    if len(rows) < 2:
        return None, None
    x = np.log([row["effective_frames"] for row in rows])
    y = np.log([row["noise_percent"] for row in rows])
    weight = np.array([row["noise_percent"] / row["noise_error_percent"] for row in rows]) ** 2
    x = x - np.average(x, weights=weight)
    spread = (weight * x * x).sum()
    return float((weight * x * y).sum() / spread), float(1 / np.sqrt(spread))


def frames_needed(noise_percent, wanted_percent, options):
    """Number of frames whose master has a wanted relative error, from the noise of one.

    Examples
    --------
    >>> frames_needed(1.0, 0.1, {"method": "mean"}), frames_needed(1.0, 0.1, {"method": "median"})
    (100, 156)
    """
    count = 1
    for _ in range(20):
        efficiency = scatter_of_master(options, min(count, 1000)) ** 2 * min(count, 1000)
        needed = max(int(np.ceil(efficiency * (noise_percent / wanted_percent) ** 2 - 1e-9)), 1)
        if needed == count:
            break
        count = needed
    return count
