"""Black level and linearity from levels: blocks against the level of the frame, over frames, subsets and sets."""

from dataclasses import dataclass

import numpy as np

from flatfield.measure.photon_transfer import NONLINEARITY
from flatfield.measure.straightening import straighten

#: Rings about the centre in which frames are compared; what turns with the camera is the same in each of them.
RINGS, FEWEST_BLOCKS, FEWEST_RINGS = 10, 8, 4
#: Degrees of freedom that are enough for the scatter of frames.
ENOUGH = 30
#: By how much a ring of a subset may differ from that of another, or drift over a subset, unnoticed: relative.
REPEATABLE = 1e-4
#: Errors from which a wrong black level is significant, and the largest useful error, relative to the highest level.
SIGNIFICANT, USELESS = 4.0, 0.05
#: Saturated pixels (hot ones, stars) of a channel, percent, that change no mean.
FEW_SATURATED = 1e-3
#: Rounds of the fit, which is not quite linear.
ROUNDS = 4
#: Black level left and curvature about which the fit is expanded: relative to the level, and at the highest level.
PLAUSIBLE = 0.02, 0.05
#: Frames that are fitted at most, taken evenly: more add little.
MOST_FRAMES = 120


@dataclass(frozen=True)
class LevelEvidence:
    """What frames of unequal level show, as a normal distribution: information matrix, and that times the solution.

    Attributes
    ----------
    information : numpy.ndarray, ``(channels + 1, channels + 1)``
        Of the pedestal of each channel (DN) and the curvature (1/DN).
    weighted : numpy.ndarray, ``(channels + 1,)``
    lowest, highest : float
        Levels that were compared, DN.
    """

    information: np.ndarray
    weighted: np.ndarray
    lowest: float
    highest: float

    def __add__(self, other):
        """Of two sets of one camera, with one black level."""
        return LevelEvidence(
            self.information + other.information,
            self.weighted + other.weighted,
            min(self.lowest, other.lowest),
            max(self.highest, other.highest),
        )

    def solve(self, black_error=np.inf, curvature_error=np.inf):
        """Pedestals and curvature, and their errors, where both are expected to be 0 within these (DN, 1/DN)."""
        # what nothing shows has a large error, not an infinite one
        widest = 10 * self.highest, 10 / self.highest
        expected = np.full(len(self.weighted), min(black_error, widest[0]))
        expected[-1] = min(curvature_error, widest[1])
        # scaled by what is expected, as the units differ
        covariance = np.linalg.inv(self.information * np.outer(expected, expected) + np.eye(len(expected)))
        covariance *= np.outer(expected, expected)
        return covariance @ self.weighted, np.sqrt(np.diag(covariance))

    def without_black(self, black_error):
        """What it shows of the curvature alone, where the pedestals are 0 within `black_error`, DN."""
        inner = self.information[:-1, :-1] + np.eye(len(self.weighted) - 1) * black_error**-2.0
        taken = np.linalg.solve(inner, np.column_stack([self.information[:-1, -1], self.weighted[:-1]]))
        information, weighted = np.zeros_like(self.information), np.zeros_like(self.weighted)
        information[-1, -1] = self.information[-1, -1] - self.information[-1, :-1] @ taken[:, 0]
        weighted[-1] = self.weighted[-1] - self.information[-1, :-1] @ taken[:, 1]
        return LevelEvidence(information, weighted, self.lowest, self.highest)


def measure_levels(maps, frames, channels, aimed=()):
    """Compare rings about the centre over frames of unequal level.

    Parameters
    ----------
    maps : numpy.ndarray, ``(frames, channels, rows, columns)``
        Mean signal in blocks, DN above black.
    frames : list of FrameRecord
        With their subset; those of none are one. Channels that saturate in one of them, but for a few pixels, are left
        out.
    channels : sequence of str
    aimed : collection of str
        Subsets with an aim of their own, in which the light source has another shape: compared within themselves only.

    Returns
    -------
    LevelEvidence or None
    reason : str
        Why there is none.

    Notes
    -----
    Ring r of frame k has the light t_k L_r and is recorded as S = t_k L_r - q (t_k L_r)^2 + p, so that

    ln S = ln t_k + ln L_r + p / S - q S + e_sr + d_sr time,

    which is fitted by weighted least squares (photon noise, its size from the scatter within subsets; errors widened
    where chi^2 exceeds its expectation), with two nuisances: rings of a subset s that differ from those of others, by
    `REPEATABLE` or what is found, and that drift by `REPEATABLE` while it is taken. The pedestal p is that of a
    channel, q that of all channels, as they have one amplifier and converter. A light source that turns does not
    change a ring within the inscribed circle.
    """
    clipped = {
        channel
        for frame in frames
        for channel in frame.saturations_dn
        if not (frame.saturated_percent.get(channel) or 100.0) < FEW_SATURATED
    }
    step = max(-(-len(maps) // MOST_FRAMES), 1)
    maps, owners = maps[::step], [frame.subset for frame in frames[::step]]
    rings = _rings(maps.shape[2:])
    if len(rings) < FEWEST_RINGS:
        return None, "the frames are too small for rings about the centre"
    means = np.array([maps[:, :, ring].mean(axis=-1) for ring in rings]).transpose(2, 1, 0)  # channel, frame, ring
    sizes = np.array([ring.sum() for ring in rings], float)
    used = [index for index, name in enumerate(channels) if name not in clipped and (means[index] > 0).all()]
    if not used:
        return None, "each channel saturates in a frame, or has no signal"
    information, weighted = np.zeros((len(channels) + 1,) * 2), np.zeros(len(channels) + 1)
    for index in used:
        found = _fit(means[index], sizes, owners, aimed)
        if found is None:
            return None, f"{len(maps)} frames are too few"
        solution, matrix = found
        places = [index, -1]
        information[np.ix_(places, places)] += matrix
        weighted[places] += matrix @ solution
    return LevelEvidence(information, weighted, float(means[used].min()), float(means[used].max())), ""


def _rings(shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    radius = np.hypot(y - (shape[0] - 1) / 2, x - (shape[1] - 1) / 2) / (min(shape) / 2)
    found = [(radius >= k / RINGS) & (radius < (k + 1) / RINGS) for k in range(RINGS)]
    return [ring for ring in found if ring.sum() >= FEWEST_BLOCKS]


def _fit(means, sizes, owners, aimed):
    """Pedestal and curvature of a channel, and their information, from ``(frames, rings)``; None of too few frames."""
    frames, rings = means.shape
    names = list(dict.fromkeys(owners))
    freedom = (frames - len(names)) * (rings - 1) - 2
    if freedom < ENOUGH:
        return None
    of_frame, of_ring, of_cell, time = _indicators(means.shape, owners, names)
    nuisances = np.hstack([of_frame, of_ring, of_cell, of_cell * time[:, None]])
    together = np.repeat([name not in aimed for name in names], rings)
    cells, free_cells = (
        slice(frames + rings, frames + rings + len(together)),
        (together.sum() // rings - 1) * (rings - 1) - 2,
    )
    held = np.full(nuisances.shape[1], REPEATABLE**-2.0)
    held[: frames + rings] = 1e-9
    signal, weight = means.ravel(), (means * sizes).ravel()
    weight = weight / weight.mean()
    solution, apart = np.zeros(2), REPEATABLE
    for _ in range(ROUNDS):
        held[cells] = np.where(together, apart**-2.0, 1.0)
        light = straighten(np.maximum(signal - solution[0], signal * 1e-3), solution[1])
        if not np.isfinite(light).all() or (light <= 0).any():
            return None
        values = np.log(light)
        # frames times rings: noise, or rings of one subset, would correlate with themselves
        smooth = np.exp(values - _residual(np.hstack([of_frame, of_ring]), values, weight))
        wanted = np.column_stack([1 / smooth, -smooth])
        # within subsets alone, whose rings are free: the size of the noise
        rest = _residual(np.hstack([of_frame, of_cell, wanted]), values, weight)
        kappa = max(float((weight * rest**2).sum()) / freedom, 1e-18)
        scale = np.array([light.mean(), 1 / light.mean()])  # of pedestal and curvature, whose units differ
        terms = np.hstack([nuisances, wanted * scale])
        fitted, matrix = _solve(terms, held, values, weight / kappa)
        matrix, found = matrix / np.outer(scale, scale), solution + fitted[-2:] * scale
        # about what to expand next: what is hardly determined stays near 0
        usual = np.diag([(PLAUSIBLE[0] * light.mean()) ** -2, (PLAUSIBLE[1] / light.max()) ** -2])
        solution = np.linalg.solve(matrix + usual, matrix @ found)
        apart = max(REPEATABLE, float(np.sqrt((fitted[cells][together] ** 2).sum() / max(free_cells, 1))))
    rest = values - terms @ fitted
    chi2 = float((weight / kappa * rest**2).sum() + (held * fitted[:-2] ** 2).sum())
    return found, matrix / max(chi2 / max(len(signal) - frames - rings - 1, 1), 1.0)


def _indicators(shape, owners, names):
    """1 where a value is of a frame, of a ring, of a ring of a subset; and time in its subset, -1 to 1."""
    frame, ring = (each.ravel() for each in np.indices(shape))
    cell = np.array([names.index(owner) for owner in owners])[frame] * shape[1] + ring
    order = [owners[:k].count(owner) / max(owners.count(owner) - 1, 1) for k, owner in enumerate(owners)]
    counts = (frame, shape[0]), (ring, shape[1]), (cell, len(names) * shape[1])
    indicators = [(index[:, None] == np.arange(count)).astype(float) for index, count in counts]
    return *indicators, 2 * np.array(order)[frame] - 1


def _solve(terms, held, values, weight):
    """Coefficients by least squares, all but the last two held near 0 by `held`; information of the last two alone."""
    normal = (terms.T * weight) @ terms
    normal[np.arange(len(held)), np.arange(len(held))] += held
    normal += 1e-12 * np.diag(np.diag(normal))
    inner, cross = normal[:-2, :-2], normal[:-2, -2:]
    matrix = normal[-2:, -2:] - cross.T @ np.linalg.solve(inner, cross)
    return np.linalg.solve(normal, (terms.T * weight) @ values), (matrix + matrix.T) / 2


def _residual(terms, values, weight):
    root = np.sqrt(weight)
    found = np.linalg.lstsq(terms * root[:, None], values * root, rcond=1e-10)[0]
    return values - terms @ found


def solve_blacks(levels, full):
    """What is left of the black level, for a sensor that is linear within `NONLINEARITY` beforehand.

    Parameters
    ----------
    levels : LevelEvidence or None
    full : list of float or None
        Signal at saturation of each channel, DN above black; the highest level stands for what is not known.

    Returns
    -------
    list of tuple of float, or None
        Pedestal of each channel and its error, DN; None where the frames do not show it.
    """
    if levels is None:
        return [None] * len(full)
    found = levels.solve(curvature_error=NONLINEARITY / (max(filter(None, full), default=0.0) or levels.highest))
    return [
        (float(value), float(error)) if error < USELESS * levels.highest else None
        for value, error in zip(*(each[:-1] for each in found), strict=True)
    ]


def describe_black(found):
    """Sentence on a pedestal that is significant; empty otherwise."""
    if found is None or abs(found[0]) <= SIGNIFICANT * found[1]:
        return ""
    return (
        f"bright and faint frames differ in shape, as if {found[0]:+.3g} +- {found[1]:.1g} DN of the black level were "
        "left in them"
    )
