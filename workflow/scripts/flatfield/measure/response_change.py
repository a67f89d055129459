"""Whether two flats show the same pixel response: the fine detail that both have in common, beyond noise."""

import numpy as np
from scipy.ndimage import uniform_filter

from flatfield.raw.cfa import CHANNEL_OF_COLOR

#: Side of the box, pixels of one colour, whose mean is not pixel response.
SMOOTHING = 5
#: Pixels further off than this many standard deviations are defects or dust.
OUTLIER = 5.0
#: Pixels that suffice: rows about the middle of the frame.
ENOUGH = 3_000_000
#: Errors above which the detail of a flat is more than its noise, and the largest error of the part in common.
SIGNIFICANT, WORST = 5.0, 0.15
#: The response is the same where this part of it is in both.
SAME = 0.9


def compare_response(old, new, good):
    """Part of the pixel response of one flat that the other has too, for each channel.

    The slope of the detail of one on that of the other, of whose variance the noise (``UNCERT``) is taken off: 1 for
    one sensor, however noisy the other flat, 0 for another sensor. Where both errors are known, the smaller slope.

    Parameters
    ----------
    old, new : flatfield.raw.mosaic.Mosaic
    good : numpy.ndarray of bool, ``(rows, columns)``

    Returns
    -------
    list of tuple
        Of each channel: part and error (None where there is no detail above the noise, or no error), verdict ``same``,
        ``changed`` or ``not told``, and the reason.
    """
    rows, p = new.shape[0], new.cfa.period
    wanted = min(rows, ENOUGH // new.shape[1])
    first = (rows - wanted) // 2 // p * p
    part = slice(first, first + wanted)
    details = {name: {} for name in ("old", "new")}
    for i, j, color in new.cfa.phases():
        channel = CHANNEL_OF_COLOR[color]
        kept = good[part][i::p, j::p]
        if min(kept.shape) <= 2 * SMOOTHING:
            continue
        near = uniform_filter(kept.astype(np.float32), SMOOTHING)[SMOOTHING:-SMOOTHING, SMOOTHING:-SMOOTHING] > 0.999
        for name, flat in (("old", old), ("new", new)):
            error = None if flat.error is None else flat.error[part][i::p, j::p]
            detail, noise = _detail(np.where(kept, flat.value[part][i::p, j::p], np.float32(1)), error)
            details[name].setdefault(channel, []).append((detail[near], None if noise is None else noise[near]))
    return [_judge(details["old"].get(c, []), details["new"].get(c, [])) for c in range(len(new.cfa.channels))]


def _detail(plane, error):
    """What a plane of one colour has beside its mean in boxes, relative; and the variance of its noise."""
    inner = (slice(SMOOTHING, -SMOOTHING),) * 2
    smooth = np.maximum(uniform_filter(plane, SMOOTHING), 1e-9)
    left = 1 - 1 / SMOOTHING**2
    noise = None if error is None else (left * (error / smooth) ** 2)[inner]
    return (plane / smooth - 1)[inner], noise


def _judge(old, new):
    a, b = (np.concatenate([each[0] for each in parts]) if parts else np.zeros(0) for parts in (old, new))
    kept = np.isfinite(a) & np.isfinite(b)
    for _ in range(3):
        if kept.sum() < 100:
            return None, None, "not told", "too few pixels"
        kept &= (np.abs(a) <= OUTLIER * a[kept].std()) & (np.abs(b) <= OUTLIER * b[kept].std())
    a, b = (each[kept].astype(np.float64) - each[kept].mean(dtype=np.float64) for each in (a, b))
    product, found, reason = (a * b).mean(), [], "the errors of both flats are not known"
    for values, parts in ((a, old), (b, new)):
        if parts[0][1] is None:
            continue
        noise = np.concatenate([each[1] for each in parts])[kept]
        if not np.isfinite(noise).all() or not noise.any():
            continue
        response = (values**2).mean() - noise.mean(dtype=np.float64)
        spread = np.sqrt(1.5 / len(values))  # neighbours are not independent: their box is the same
        if response < SIGNIFICANT * (values**2).mean() * np.sqrt(2) * spread:
            reason = "no pixel response above the noise"
            continue
        slope = product / response
        scatter = np.hypot((a * b).std(), slope * (values**2).std()) * spread / response
        found.append((float(slope), float(scatter)))
    if not found:
        return None, None, "not told", reason
    slope, error = min(found)
    if error > WORST:
        return slope, error, "not told", "too noisy"
    return slope, error, "changed" if slope + 3 * error < SAME else "same", ""
