"""Noise of a camera and of its master flats: photon transfer, pixel response, how many frames are enough."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter

from flatfield.combine.methods import combine, scatter_of_master
from flatfield.raw.cfa import CHANNEL_OF_COLOR

#: Two frames are at one level if theirs differ by no more than this part; scaled to their mean, they have one variance.
EQUAL_LEVEL = 0.1
#: Part of saturation below which photon transfer is linear, and from which on it is compared with the fit.
LINEAR_PART = 0.7
#: Part of saturation where clipping cuts the noise, so that nothing is compared.
CLIPPED_PART = 0.95
#: Tiles in which variances are taken: about so many across the frame.
TILES_ACROSS = 64
#: Differences further than this many standard deviations off are no noise (hot pixels, stars).
OUTLIER = 5.0
#: Levels at which variances are compared with the fit.
LEVELS = 40
#: Variance of two frames below which the steps of the digitisation (1/12 DN^2) spoil it, DN^2.
LEAST_VARIANCE = 0.25
#: Relative errors above which a gain and a read noise are not determined.
GAIN_ERROR, READ_NOISE_ERROR = 0.1, 0.1
#: Side of the box, in pixels of one colour, whose mean is the low frequency that is no pixel response.
SMOOTHING = 5


@dataclass
class TileNoise:
    """Level and variance of tiles of the difference of two frames, for each channel.

    Attributes
    ----------
    level : list of numpy.ndarray
        DN above black, of each channel.
    variance : list of numpy.ndarray
        Of one frame, DN^2.
    count : list of numpy.ndarray
        Pixels of each tile that count, less the parameters of its light.
    """

    level: list
    variance: list
    count: list


def measure_tiles(first, second, factors, cfa):
    """Noise of two frames in tiles, from their difference, so that fixed patterns cancel.

    Variance of a tile: that of (f1 S1 - f2 S2) / sqrt(2) about a plane (which holds what the light changed at large),
    without pixels more than `OUTLIER` standard deviations off. At one level f1 and f2 are near 1, and it is
    read_noise^2 + level / gain but for (f - 1)^2.

    Parameters
    ----------
    first, second : numpy.ndarray, float32, ``(rows, columns)``
        DN above black.
    factors : numpy.ndarray, ``(2, channels)``
        That bring both frames to their mean level.
    cfa : ColorFilterArray

    Returns
    -------
    TileNoise
    """
    p = cfa.period
    side = min(max(-(-first.shape[1] // (TILES_ACROSS * p)), 4), *(length // p for length in first.shape))
    found = TileNoise(*([[] for _ in cfa.channels] for _ in range(3)))
    for i, j, color in cfa.phases():
        channel = CHANNEL_OF_COLOR[color]
        a, b = (
            _cut(frame[i::p, j::p], side) * np.float32(factor)
            for frame, factor in zip((first, second), factors[:, channel], strict=True)
        )
        variance, count = _clipped_variance(_flatten((a - b) / np.float32(np.sqrt(2)), side))
        found.level[channel].append((a.mean(axis=1) + b.mean(axis=1)) / 2)
        found.variance[channel].append(variance)
        found.count[channel].append(count - 2)  # a plane has two parameters more than a mean
    for name in ("level", "variance", "count"):
        setattr(found, name, [np.concatenate(parts) for parts in getattr(found, name)])
    return found


def _cut(plane, side):
    """Tiles of a plane, ``(tiles, pixels)``; a remainder is left out."""
    rows, columns = (length // side for length in plane.shape)
    tiles = plane[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return tiles.swapaxes(1, 2).reshape(rows * columns, side * side)


def _flatten(tiles, side):
    """Tiles without their mean and linear gradient."""
    step = np.arange(side, dtype=np.float32) - np.float32((side - 1) / 2)
    result = tiles - tiles.mean(axis=1, keepdims=True)
    for ramp in (np.repeat(step, side), np.tile(step, side)):
        result -= (result @ ramp / (ramp @ ramp))[:, None] * ramp
    return result


def _clipped_variance(tiles):
    """Variance of each flattened tile without outliers, and the number of pixels left."""
    square = tiles * tiles
    kept = np.ones(tiles.shape, bool)
    for _ in range(3):
        count = kept.sum(axis=1)
        variance = np.where(kept, square, 0).sum(axis=1, dtype=np.float64) / np.maximum(count - 3, 1)
        inside = square <= OUTLIER**2 * np.maximum(variance, 1e-12)[:, None]
        if inside[kept].all():
            break
        kept &= inside
    return variance, count


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


@dataclass(frozen=True)
class PhotonTransfer:
    """Fit of variance = read_noise^2 + level / gain, all in DN, of one channel.

    Attributes
    ----------
    intercept, slope : float
        DN^2, and DN^2/DN.
    covariance : numpy.ndarray, ``(2, 2)``
    points : list of dict
        level_dn, variance_dn2, error_dn2, fitted (yes or no) of each level.
    nonlinearity_percent : float or None
        Variance at high level against the fit; None where there is none.
    nonlinearity_error_percent : float or None
    """

    intercept: float
    slope: float
    covariance: np.ndarray
    points: list
    nonlinearity_percent: float | None = None
    nonlinearity_error_percent: float | None = None

    def variance_at(self, level):
        """Variance of a pixel at a level, DN^2."""
        return max(self.intercept + self.slope * level, 0.0)


def fit_photon_transfer(level, variance, count, full=None, read_variance=None):
    """Fit variance against level, by least squares weighted with the error 2 v^2 / (n - 1) of a variance.

    Parameters
    ----------
    level, variance, count : numpy.ndarray, 1-D
        Of tiles, see `TileNoise`.
    full : float, optional
        Signal at saturation, DN above black.
    read_variance : tuple of float, optional
        Variance of offset frames and its error, DN^2, which fixes the intercept.

    Returns
    -------
    PhotonTransfer or None
    reason : str
        Why there is none; empty where there is.
    """
    points = _average_levels(level, variance, count)
    if not (variance > 0).any():
        return None, "the frames have no noise"
    linear = np.array([full is None or point["level_dn"] < LINEAR_PART * full for point in points], bool)
    if not linear.any():
        return None, f"all levels are above {100 * LINEAR_PART:.0f} % of saturation"
    x, y, n = (np.array([point[key] for point in points]) for key in ("level_dn", "variance_dn2", "count"))
    if np.median(y[linear]) < LEAST_VARIANCE:
        return None, f"noise below {LEAST_VARIANCE**0.5:g} DN is lost in the steps of the digitisation"
    model = np.maximum(y, y[y > 0].min())
    terms = np.column_stack([np.ones_like(x), x])[linear]
    for _ in range(10):
        weight = (n[linear] - 1) / (2 * model[linear] ** 2)
        normal, right = terms.T * weight @ terms, terms.T * weight @ y[linear]
        if read_variance is not None:
            normal[0, 0] += 1 / read_variance[1] ** 2
            right[0] += read_variance[0] / read_variance[1] ** 2
        if np.linalg.cond(normal / np.sqrt(np.outer(np.diag(normal), np.diag(normal)))) > 1e12:
            return None, "all pixels have one level, so that variance against level is no line"
        solution = np.linalg.solve(normal, right)
        model = np.maximum(solution[0] + solution[1] * x, y[y > 0].min() / 10)
    error = model * np.sqrt(2 / (n - 1))
    freedom = linear.sum() - 2 + (read_variance is not None)
    chi2 = (((y - model) / error)[linear] ** 2).sum() / freedom if freedom > 0 else 1.0
    for point, each, fitted in zip(points, error, linear, strict=True):
        point.update(error_dn2=each, fitted=bool(fitted))
    fit = {"intercept": float(solution[0]), "slope": float(solution[1])}
    high = ~linear & (x < CLIPPED_PART * (full or np.inf))
    if high.any():
        weight = 1 / error[high] ** 2 * model[high] ** 2
        fit["nonlinearity_percent"] = float(100 * ((y / model - 1)[high] * weight).sum() / weight.sum())
        fit["nonlinearity_error_percent"] = float(100 / np.sqrt(weight.sum()))
    return PhotonTransfer(covariance=np.linalg.inv(normal) * max(chi2, 1), points=points, **fit), ""


def _average_levels(level, variance, count):
    """Means of tiles in groups of equal level."""
    order = np.argsort(level, kind="stable")
    points = []
    for group in np.array_split(order, min(LEVELS, len(order))):
        freedom = count[group] - 1
        if freedom.sum() > 1:
            points.append(
                {
                    "level_dn": float(np.average(level[group], weights=freedom)),
                    "variance_dn2": float(np.average(variance[group], weights=freedom)),
                    "count": int(freedom.sum()) + 1,
                }
            )
    return points


def gain_and_read_noise(fit, measured=None):
    """Gain, and read noise, each with its error, from a fit.

    Parameters
    ----------
    fit : PhotonTransfer
    measured : tuple of float, optional
        Variance of offset frames and its error, DN^2; without it the read noise is that of the fit.

    Returns
    -------
    values : dict
        gain_e_per_dn, gain_error, read_noise_e, read_noise_error; None where not determined.
    reasons : list of str
        What is not determined, and why.
    """
    values = dict.fromkeys(("gain_e_per_dn", "gain_error", "read_noise_e", "read_noise_error"))
    slope, slope_error = fit.slope, float(np.sqrt(fit.covariance[1, 1]))
    if slope <= 0 or slope_error > GAIN_ERROR * slope:
        return values, [f"gain and read noise: the slope of variance is {slope:.3g} +- {slope_error:.2g}"]
    gain = 1 / slope
    values.update(gain_e_per_dn=gain, gain_error=gain * slope_error / slope)
    variance, error = measured or (fit.intercept, float(np.sqrt(fit.covariance[0, 0])))
    if variance <= 0 or error > 2 * READ_NOISE_ERROR * variance:
        return values, [f"read noise: its variance is {variance:.3g} +- {error:.2g} DN^2; give the set bias frames"]
    noise = float(np.sqrt(variance))
    # the errors of slope and intercept are correlated where both come from one fit
    mixed = 0.0 if measured else float(fit.covariance[0, 1]) / (variance * slope)
    relative = (error / (2 * variance)) ** 2 + (slope_error / slope) ** 2 - mixed
    values.update(read_noise_e=noise * gain, read_noise_error=noise * gain * float(np.sqrt(max(relative, 0))))
    return values, []


def measure_response(value, variance, good, cfa, channel):
    """Pixel response non-uniformity: scatter of a flat between neighbours that is not noise (EMVA 1288, PRNU).

    The flat of each colour is divided by its mean in boxes, twice, so that gradients and curvature go. What is left
    has PRNU^2 + noise^2, times the sum of squares of that filter.

    Parameters
    ----------
    value, variance : numpy.ndarray, ``(rows, columns)``
        Master mosaic, DN above black, and the variance of its noise, DN^2.
    good : numpy.ndarray of bool, ``(rows, columns)``
    cfa : ColorFilterArray
    channel : int

    Returns
    -------
    prnu, error : float or None
        Percent.
    reason : str
        Why there is none.
    """
    kernel = np.zeros((4 * SMOOTHING, 4 * SMOOTHING))
    kernel[2 * SMOOTHING, 2 * SMOOTHING] = 1
    gain_of_filter = float((_high_pass(_high_pass(kernel)) ** 2).sum())
    total, noise, pixels, p = 0.0, 0.0, 0, cfa.period
    for i, j, color in cfa.phases():
        if CHANNEL_OF_COLOR[color] != channel:
            continue
        plane, scatter, kept = (image[i::p, j::p] for image in (value, variance, good))
        if min(plane.shape) <= 4 * SMOOTHING:
            return None, None, "pixel response: the frame is too small"
        plane = np.where(kept, plane, np.median(plane[kept]) if kept.any() else 1).astype(np.float64)
        smooth = uniform_filter(plane, SMOOTHING)
        inner = (slice(SMOOTHING, -SMOOTHING),) * 2  # the border has neighbours on one side only
        near = uniform_filter(kept.astype(np.float64), 2 * SMOOTHING - 1)[inner] > 0.999999
        with np.errstate(all="ignore"):
            left = _high_pass(plane / smooth - 1)[inner]
            part = (scatter / smooth**2)[inner]
        near &= np.isfinite(left) & np.isfinite(part)
        for _ in range(3):
            near &= np.abs(left) <= OUTLIER * left[near].std() if near.any() else near
        total, noise, pixels = total + (left[near] ** 2).sum(), noise + part[near].sum(), pixels + int(near.sum())
    if not pixels:
        return None, None, "pixel response: the noise of the flat is not known"
    total, noise = total / pixels / gain_of_filter, noise / pixels
    variance, uncertainty = total - noise, total * np.sqrt(2 / pixels)
    if variance < 3 * uncertainty:
        return None, None, f"pixel response: less than the noise, {100 * max(total, 0) ** 0.5:.2g} %"
    prnu = 100 * np.sqrt(variance)
    return float(prnu), float(prnu * uncertainty / (2 * variance)), ""


def _high_pass(plane):
    return plane - uniform_filter(plane, SMOOTHING)


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
