"""Photon transfer: gain and read noise from the variance of frames against their level."""

from dataclasses import dataclass

import numpy as np

#: Two frames are at one level if theirs differ by no more than this part; scaled to their mean, they have one variance.
EQUAL_LEVEL = 0.1
#: Part of saturation below which photon transfer is fitted, and from which on it is compared with the fit.
LINEAR_PART = 0.7
#: Part of saturation where clipping cuts the noise, so that nothing is compared.
CLIPPED_PART = 0.95
#: Levels at which variances are compared with the fit.
LEVELS = 40
#: Variance of two frames below which the steps of the digitisation (1/12 DN^2) spoil it, DN^2.
LEAST_VARIANCE = 0.25
#: Relative errors above which a gain and a read noise are not determined.
GAIN_ERROR, READ_NOISE_ERROR = 0.1, 0.1
#: Departure from linearity at saturation that a sensor may have, relative, where the variances do not determine it.
NONLINEARITY = 0.01
#: Standard deviations from which on a bend of the variance is significant.
BENT = 4.0


@dataclass(frozen=True)
class PhotonTransfer:
    """Fit of variance = read_noise^2 + level / gain + bend level^2, all in DN, of one channel.

    Attributes
    ----------
    intercept, slope, bend : float
        DN^2, DN^2/DN and DN^2/DN^2.
    covariance : numpy.ndarray, ``(3, 3)``
        Of these three; it holds what a sensor that is not linear (`NONLINEARITY`) would change.
    bend_sigma : float
        Significance of the bend, from the variances alone.
    points : list of dict
        level_dn, variance_dn2, error_dn2, fitted (yes or no) of each level.
    nonlinearity_percent : float or None
        Variance at high level against the fit; None where there is none.
    nonlinearity_error_percent : float or None
    """

    intercept: float
    slope: float
    bend: float
    covariance: np.ndarray
    bend_sigma: float
    points: list
    nonlinearity_percent: float | None = None
    nonlinearity_error_percent: float | None = None

    def variance_at(self, level):
        """Variance of a pixel at a level (or at many), DN^2."""
        return np.maximum(self.intercept + (self.slope + self.bend * level) * level, 0.0)

    def nonlinearity_of_response(self, full):
        """Departure of the signal from a straight line at `full` (DN above black) that the bend stands for, percent.

        A signal x (1 - s x / full) has the variance (1 - 2 s x / full)^2 of a linear one, so that, with its own level
        for x, the variance is level / gain (1 - 3 s level / full).
        """
        return -100 * self.bend * full / (3 * self.slope)


def fit_photon_transfer(level, variance, count, full=None, read_variance=None, nonlinearity=NONLINEARITY):
    """Fit variance against level, by least squares weighted with the error 2 v^2 / (n - 1) of a variance.

    Parameters
    ----------
    level, variance, count : numpy.ndarray, 1-D
        Of tiles, see `flatfield.measure.tile_noise.TileNoise`.
    full : float, optional
        Signal at saturation, DN above black; the highest level stands for it where it is not known.
    read_variance : tuple of float, optional
        Variance of offset frames and its error, DN^2, which fixes the intercept.
    nonlinearity : float
        Expected departure from linearity at `full`, relative: a bend of the variance of that order is expected (with
        a normal distribution about 0), and makes the slope uncertain accordingly where the variances do not show
        better. 0 for a sensor that is known to be linear.

    Returns
    -------
    PhotonTransfer or None
    reason : str
        Why there is none; empty where there is.
    """
    points = _average_levels(level, variance, count, LINEAR_PART * full if full else np.inf)
    if not (variance > 0).any():
        return None, "the frames have no noise"
    linear = np.array([full is None or point["level_dn"] < LINEAR_PART * full for point in points], bool)
    if not linear.any():
        return None, f"all levels are above {100 * LINEAR_PART:.0f} % of saturation"
    x, y, n = (np.array([point[key] for point in points]) for key in ("level_dn", "variance_dn2", "count"))
    if np.median(y[linear]) < LEAST_VARIANCE:
        return None, f"noise below {LEAST_VARIANCE**0.5:g} DN is lost in the steps of the digitisation"
    scale = max(full or x.max(), 1e-9)
    model, slope = np.maximum(y, y[y > 0].min()), max(np.median(y / np.maximum(x, 1e-9)), 1e-9)
    terms = np.column_stack([np.ones_like(x), x, x * x])
    for _ in range(10):
        weight = (n[linear] - 1) / (2 * model[linear] ** 2)
        normal, right = terms[linear].T * weight @ terms[linear], terms[linear].T * weight @ y[linear]
        if read_variance is not None:
            normal[0, 0] += 1 / read_variance[1] ** 2
            right[0] += read_variance[0] / read_variance[1] ** 2
        line = normal[:2, :2]
        if np.linalg.cond(line / np.sqrt(np.outer(np.diag(line), np.diag(line)))) > 1e12:
            return None, "all pixels have one level, so that variance against level is no line"
        bend_error = 3 * nonlinearity * slope / scale
        solution, covariance, sigma = _solve(normal, right, bend_error)
        slope = max(solution[1], 1e-9)
        model = np.maximum(terms @ solution, y[y > 0].min() / 10)
    error = model * np.sqrt(2 / (n - 1))
    freedom = linear.sum() - 2 + (read_variance is not None)
    chi2 = (((y - model) / error)[linear] ** 2).sum() / freedom if freedom > 0 else 1.0
    for point, each, fitted in zip(points, error, linear, strict=True):
        point.update(error_dn2=each, fitted=bool(fitted))
    fit = dict(zip(("intercept", "slope", "bend"), map(float, solution), strict=True))
    high = ~linear & (x < CLIPPED_PART * (full or np.inf))
    if high.any():
        weight = 1 / error[high] ** 2 * model[high] ** 2
        top = terms[high].mean(axis=0)
        of_fit = float(np.sqrt(top @ covariance @ top) / (top @ solution))
        fit["nonlinearity_percent"] = float(100 * ((y / model - 1)[high] * weight).sum() / weight.sum())
        fit["nonlinearity_error_percent"] = float(100 * np.hypot(1 / np.sqrt(weight.sum()), of_fit))
    return PhotonTransfer(covariance=covariance * max(chi2, 1), bend_sigma=sigma, points=points, **fit), ""


def _solve(normal, right, bend_error):
    """Solution and covariance with a bend of that size expected, and the significance of the bend without that."""
    scale = 1 / np.sqrt(np.diag(normal))
    if not bend_error > 0:
        inverse = np.zeros((3, 3))
        inverse[:2, :2] = np.linalg.inv(normal[:2, :2])
        return inverse @ right, inverse, 0.0
    expected = normal.copy()
    expected[2, 2] += bend_error**-2
    inverse = np.linalg.inv(expected * np.outer(scale, scale)) * np.outer(scale, scale)
    solution = inverse @ right
    # the posterior is prior times likelihood: what the data alone say of the bend
    information = 1 / inverse[2, 2] - bend_error**-2
    alone = solution[2] / inverse[2, 2] / information if information > 0 else 0.0
    return solution, inverse, float(abs(alone) * np.sqrt(max(information, 0)))


def _average_levels(level, variance, count, limit):
    """Means of tiles in groups of equal level, none of them across the limit of what is fitted."""
    order = np.argsort(level, kind="stable")
    below, groups, points = np.searchsorted(level[order], limit), [], []
    for part in (order[:below], order[below:]):
        if len(part):
            groups += np.array_split(part, min(-(-LEVELS * len(part) // len(order)), len(part)))
    for group in groups:
        freedom = count[group] - 1
        if freedom.sum() > 1:
            points.append(
                {
                    "level_dn": float(np.average(level[group], weights=freedom)),
                    "variance_dn2": float(np.average(variance[group], weights=freedom)),
                    "count": float(freedom.sum()) + 1,
                }
            )
    return points


def gain_and_read_noise(fit, of_variance=None, measured=None):
    """Gain, and read noise, each with its error, from fits.

    Parameters
    ----------
    fit : PhotonTransfer
        Of the variance and the covariances of neighbours, which gives the gain.
    of_variance : PhotonTransfer, optional
        Of the variance alone, which gives the read noise of a pixel, where it is another fit.
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
    zero = of_variance or fit
    variance, error = measured or (zero.intercept, float(np.sqrt(zero.covariance[0, 0])))
    if variance <= 0 or error > 2 * READ_NOISE_ERROR * variance:
        return values, [f"read noise: its variance is {variance:.3g} +- {error:.2g} DN^2; give the set bias frames"]
    noise = float(np.sqrt(variance))
    # the errors of slope and intercept are correlated where both come from one fit
    mixed = 0.0 if measured else float(fit.covariance[0, 1]) / (variance * slope)
    relative = (error / (2 * variance)) ** 2 + (slope_error / slope) ** 2 - mixed
    values.update(read_noise_e=noise * gain, read_noise_error=noise * gain * float(np.sqrt(max(relative, 0))))
    return values, []
