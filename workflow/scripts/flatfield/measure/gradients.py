"""Gradients in maps of differences: size, direction, significance."""

import numpy as np
from scipy.special import chdtrc

#: Probability below which a difference is significant, and gradient over its error above which it is.
SIGNIFICANT, SIGNIFICANT_SIGMA = 1e-3, 4.0


def measure_map(percent, error, size, shape):
    """Scatter of a map of differences, and the plane in it, by least squares weighted with the errors.

    Parameters
    ----------
    percent, error : numpy.ndarray, ``(rows, columns)``
        Of blocks, and their standard errors; NaN where not known.
    size : int
        Side of a block, pixels.
    shape : tuple of int
        Of the frame.

    Returns
    -------
    dict
        rms_percent (of the blocks about their mean), noise_percent (what noise alone would give), gradient_percent
        (of the plane, its range over the frame) and gradient_error, direction_deg (in which it rises, counter-clockwise
        from the right) and direction_error, significant (True, False, or None where not determined), reason.
    """
    names = ("rms_percent", "noise_percent", "gradient_percent", "gradient_error", "direction_deg", "direction_error")
    row = dict.fromkeys((*names, "significant")) | {"reason": ""}
    if np.isfinite(percent).any():
        row["rms_percent"] = float(np.nanstd(percent))
    known = np.isfinite(percent) & np.isfinite(error) & (error > 0)
    if known.sum() < 4:
        row["reason"] = "the standard errors of a subset are not known: one frame, or one value kept, or no noise"
        return row
    values, weight = percent[known], 1 / error[known] ** 2
    row["noise_percent"] = float(np.sqrt(np.mean(error[known] ** 2)))
    # from the centre, in parts of the width and of the height
    y, x = np.mgrid[: percent.shape[0], : percent.shape[1]]
    y, x = 0.5 - size * (y + 0.5) / shape[0], size * (x + 0.5) / shape[1] - 0.5
    terms = np.column_stack([np.ones(values.size), x[known], y[known]])
    covariance = np.linalg.pinv(terms.T * weight @ terms)
    solution = covariance @ (terms.T * weight @ values)
    chance = chdtrc(values.size - 1, (weight * (values - np.average(values, weights=weight)) ** 2).sum())
    freedom = values.size - 3
    rest = (weight * (values - terms @ solution) ** 2).sum() / freedom if freedom else 1.0
    slope, errors = solution[1:], covariance[1:, 1:]
    sign = np.sign(slope)
    gradient, gradient_error = float(np.abs(slope).sum()), float(np.sqrt(sign @ errors @ sign))
    row["significant"] = bool(chance < SIGNIFICANT or gradient > SIGNIFICANT_SIGMA * gradient_error)
    errors = errors * max(rest, 1)  # what no plane describes makes it less certain
    gradient_error = float(np.sqrt(sign @ errors @ sign))
    row.update(gradient_percent=gradient, gradient_error=gradient_error)
    if gradient < 2 * gradient_error:
        row["reason"] = "direction: the gradient is less than twice its error"
        return row
    per_pixel = slope / (shape[1], shape[0])
    length = np.hypot(*per_pixel)
    if not length:
        row["reason"] = "direction: there is no gradient"
        return row
    across = np.array([-per_pixel[1], per_pixel[0]]) / length / (shape[1], shape[0])
    row["direction_deg"] = float(np.degrees(np.arctan2(per_pixel[1], per_pixel[0])))
    row["direction_error"] = float(np.degrees(np.sqrt(across @ errors @ across) / length))
    return row
