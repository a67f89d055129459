"""Black level and linearity of flats, from frames of unequal level: only if both are right is their shape one."""

import numpy as np

#: Rings about the centre in which frames are compared; what turns with the camera is the same in each of them.
RINGS, FEWEST_BLOCKS = 10, 8
#: Degrees of freedom that are enough for the scatter of frames.
ENOUGH = 4
#: By how much a ring of a subset may differ from that of another without being noticed, relative: a centre that moved.
REPEATABLE = 1e-4
#: Error of the linear equation, relative.
LINEARISED = 0.02
#: Errors from which a wrong black is significant, and the largest useful error, relative to the level.
SIGNIFICANT, USELESS = 4.0, 0.05


def measure_black(maps, owners, frames=(), channels=()):
    """Pedestal that is left in the signal of each channel.

    Parameters
    ----------
    maps : numpy.ndarray, ``(frames, channels, rows, columns)``
        Mean signal in blocks, DN above black.
    owners : list of str
        Subset of each frame.
    frames : list of FrameRecord, optional
        Channels that saturate in one of them are not measured.
    channels : sequence of str, optional
        Names of the channels, which `frames` need.

    Returns
    -------
    list of tuple of float, or None
        Pedestal and its error, DN; None where the levels differ too little, or the light does not fall off.

    Notes
    -----
    Frame k is s_k (M - p) + p, with the mean M of all frames and the pedestal p, so that M_k - s_k M = p (1 - s_k).
    Means over whole rings within the inscribed circle are compared, as those of a light source which turns do not
    change. A sensor that is not linear, M + q M^2, looks the same; they do not show which of the two it is.
    """
    rows, columns = maps.shape[2:]
    y, x = np.mgrid[:rows, :columns]
    radius = np.hypot(y - (rows - 1) / 2, x - (columns - 1) / 2) / (min(rows, columns) / 2)
    rings = [ring for k in range(RINGS) if (ring := (radius >= k / RINGS) & (radius < (k + 1) / RINGS)).any()]
    rings = [ring for ring in rings if ring.sum() >= FEWEST_BLOCKS]
    if len(maps) - len(set(owners)) - 1 < ENOUGH or len(rings) < 3:
        return [None] * maps.shape[1]
    means = np.array([maps[:, :, ring].mean(axis=-1) for ring in rings])  # (rings, frames, channels)
    weights = np.array([ring.sum() for ring in rings], float)
    clipped = {channel for frame in frames for channel in frame.saturations_dn}
    return [
        None if index < len(channels) and channels[index] in clipped else _pedestal(means[:, :, index], weights, owners)
        for index in range(maps.shape[1])
    ]


def _pedestal(means, weights, owners):
    """Pedestal of one channel from ``(rings, frames)``."""
    usual = means.mean(axis=1)
    if not (usual > 0).all():
        return None
    weights = weights / usual / (weights / usual).sum()  # photon noise
    norm = weights @ usual**2
    scale = (weights * usual) @ means / norm
    shape = 1 - (weights @ usual) / norm * usual  # a constant, without what a factor takes up
    length = weights @ shape**2
    if length < 1e-6:
        return None
    found = (weights * shape) @ (means - np.outer(usual, scale)) / length
    change = 1 - scale
    names = list(dict.fromkeys(owners))
    member = np.array([[owner == name for name in names] for owner in owners], float)
    # what frames of a subset scatter by about its mean
    freedom = len(owners) - len(names) - 1
    inside = np.eye(len(owners)) - member @ np.diag(1 / member.sum(axis=0)) @ member.T
    rest, steps = inside @ found, inside @ change
    slope = rest @ steps / (steps @ steps) if steps @ steps > 1e-12 else 0.0
    variance = ((rest - slope * steps) ** 2).sum() / freedom
    common = (REPEATABLE * usual.mean()) ** 2 / length
    inverse = np.linalg.inv(variance * np.eye(len(owners)) + common * member @ member.T + 1e-12 * np.eye(len(owners)))
    information = change @ inverse @ change
    if not information > 0:
        return None
    pedestal = change @ inverse @ found / information
    excess = (found - pedestal * change) @ inverse @ (found - pedestal * change) / max(len(owners) - 1, 1)
    error = np.hypot(np.sqrt(max(excess, 1) / information), LINEARISED * pedestal)
    return (float(pedestal), float(error)) if error < USELESS * usual.mean() else None


def describe_black(found):
    """Sentence on a pedestal that is significant; empty otherwise."""
    if found is None or abs(found[0]) <= SIGNIFICANT * found[1]:
        return ""
    return (
        f"bright and faint frames differ in shape, as if {found[0]:+.3g} +- {found[1]:.1g} DN of the black level were "
        "left in them, or the sensor were not linear"
    )
