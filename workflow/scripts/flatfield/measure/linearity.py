"""Is the sensor linear? Two witnesses: levels of frames against each other, and their noise."""

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from flatfield.files.tables import UNKNOWN
from flatfield.measure.level_fit import LevelEvidence
from flatfield.measure.noise_table import full_signal
from flatfield.measure.pair_evidence import PairEvidence
from flatfield.raw.cfa import ColorFilterArray

LINEARITY_COLUMNS = [
    *["percent", "error", "noise_percent", "noise_error", "full_dn", "lowest_dn", "highest_dn"],
    *["level_scatter_percent", "sets", "verdict", "meaning"],
]
#: Errors from which on a curvature is found; it is excluded if it is below this with two errors, percent at saturation.
FOUND, LIMIT = 5.0, 2.0
#: Errors by which levels and noise may differ, and what charge that spreads unseen does to the noise, percent.
AGREE, SPREADING = 4.0, 0.3
#: What may be left of the black level: DN, and without offset frames relative to the level.
BLACK_LEFT_DN, BLACK_LEFT = 1.0, 0.005
#: Fields in which sets of one camera agree, and those of its optics.
CAMERA = (
    *("maker", "camera", "body", "iso", "gain", "offset", "egain_e_per_dn", "readout_mode", "binning"),
    *("bits", "rows", "columns", "cfa", "zero_level"),
)
OPTICS = "lens", "telescope", "focal_length_mm", "aperture", "filter"
KNOWN_OPTICS = OPTICS[:3]


def is_of_camera(own, other):
    """Whether two frames are of one camera, read in one way, so that one black level and linearity hold for both.

    Parameters
    ----------
    own, other : flatfield.files.frame_table.FrameRecord
    """
    if not own.camera or own.camera == UNKNOWN or any(getattr(own, each) != getattr(other, each) for each in CAMERA):
        return False
    return own.zero_level != "metadata" or own.black_dn == other.black_dn


def is_of_optics(own, other):
    """Whether they were taken through the same optics as well, as far as these are recorded, which some must be."""
    known = any(getattr(own, each) not in (None, UNKNOWN) for each in KNOWN_OPTICS)
    return known and all(getattr(own, each) == getattr(other, each) for each in OPTICS)


def agree(own, other):
    """Whether two sets show one curvature, within their errors; another camera of the same name may not."""
    if not own or not other:
        return True
    (first, error), (second, further) = ((each[-1] for each in evidence.solve()) for evidence in (own, other))
    return abs(first - second) < AGREE * np.hypot(error, further)


@dataclass(frozen=True)
class CameraEvidence:
    """What the flats of a set, and of others of its camera, show.

    Attributes
    ----------
    pairs : flatfield.measure.pair_evidence.PairEvidence
        Of the set.
    cfa : ColorFilterArray
    full : list of float or None
        Signal at saturation of each channel, DN above black.
    has_black : bool
        Whether the black level is known.
    zero_level : str
        Where it is from, see `flatfield.files.frame_table.FrameRecord`.
    level_scatter : float
        Of the frames, relative.
    tiles : numpy.ndarray
        As in `pairs`, with those of further sets of the same optics.
    levels : flatfield.measure.level_fit.LevelEvidence or None
        With those of further sets of the camera.
    sets : list of str
        Names of the sets of the camera, its own first.
    """

    pairs: PairEvidence
    cfa: ColorFilterArray
    full: list
    has_black: bool = True
    zero_level: str = "metadata"
    level_scatter: float = 0.0
    tiles: np.ndarray | None = None
    levels: LevelEvidence | None = None
    sets: list = field(default_factory=list)


def gather_sets(name, frames, read_evidence):
    """Evidence of a set, and of others of the same camera.

    Parameters
    ----------
    name : str
        Of the set.
    frames : dict
        `FrameRecord` of each used flat by set.
    read_evidence : callable
        Takes the name of a set, and returns its `PairEvidence`.

    Returns
    -------
    CameraEvidence
        Without sets of the same camera whose curvature is another one; without any where these contradict each other.
    """
    own, evidence = frames[name], read_evidence(name)
    cfa = ColorFilterArray.from_name(own[0].cfa)
    by_file = {frame.file: frame for frame in own}
    peers = [other for other in frames if other != name and is_of_camera(own[0], frames[other][0])]
    further = {other: more for other in peers if agree(evidence.levels, (more := read_evidence(other)).levels)}
    if not all(agree(a.levels, b.levels) for a, b in combinations(further.values(), 2)):
        further = {}
    tiles, levels = [evidence.tiles], evidence.levels
    for other, more in further.items():
        if more.levels:
            # sets with offset frames of their own have black levels of their own
            apart = own[0].zero_level == "bias"
            found = more.levels.without_black(BLACK_LEFT_DN) if apart else more.levels
            levels = levels + found if levels else found
        if evidence.pairs and more.pairs and is_of_optics(own[0], frames[other][0]):
            tiles.append(more.tiles)
    known = [frame.level_dn for frame in own if frame.level_dn]
    return CameraEvidence(
        evidence,
        cfa,
        [full_signal(by_file, channel) for channel in cfa.channels],
        any(own[0].black_dn),
        own[0].zero_level,
        float(np.std(known) / np.mean(known)) if known else 0.0,
        np.concatenate(tiles),
        levels,
        [name, *further],
    )


def black_error(level, zero_level):
    """How far the black level may be off, DN, before the flats are asked.

    Parameters
    ----------
    level : float
        Of the flats, DN.
    zero_level : str
        See `flatfield.files.frame_table.FrameRecord`.
    """
    if zero_level in ("bias", "overscan"):
        return BLACK_LEFT_DN
    return float(np.hypot(BLACK_LEFT * level, BLACK_LEFT_DN)) if zero_level == "metadata" else level


def judge_linearity(camera, noise):
    """Row of ``linearity.tsv``.

    Parameters
    ----------
    camera : CameraEvidence
    noise : tuple of float, or None
        Signal at saturation against a straight line as variances have it, and its error, percent.

    Returns
    -------
    dict
        Of `LINEARITY_COLUMNS`; None for what is not known. The verdict is that of ``camera.tsv``: *found* is what
        lights can be corrected by.
    """
    levels, full = camera.levels, max(filter(None, camera.full), default=None)
    row = dict.fromkeys(LINEARITY_COLUMNS) | {"verdict": "not told", "sets": ", ".join(camera.sets)}
    row["level_scatter_percent"] = 100 * camera.level_scatter
    noise, noise_error = noise and noise[0], noise and float(np.hypot(noise[1], SPREADING))
    row.update(noise_percent=noise, noise_error=noise_error)
    if levels is None:
        return row | {"meaning": f"levels do not show whether the sensor is linear: {camera.pairs.why or 'no flats'}"}
    full = full or levels.highest
    solution, errors = levels.solve(black_error((levels.lowest + levels.highest) / 2, camera.zero_level))
    value, error = -100 * float(solution[-1]) * full, 100 * float(errors[-1]) * full
    row.update(percent=value, error=error, full_dn=full, lowest_dn=levels.lowest, highest_dn=levels.highest)
    size = f"{value:+.2g} +- {error:.2g} %"
    where = f"at saturation, from levels of {levels.lowest:.5g} to {levels.highest:.5g} DN"
    if abs(value) <= FOUND * error:
        most = abs(value) + 2 * error
        if most < LIMIT:
            meaning = f"the signal is less than {most:.2g} % off a straight line {where}"
            return row | {"verdict": "excluded", "meaning": meaning}
        unsure = "frames of three levels (a quarter, a half, and all of the light) in one set show it better"
        return row | {"meaning": f"levels leave open whether the sensor is linear ({size} {where}): {unsure}"}
    begin = f"levels have the signal {size} off a straight line {where}"
    if noise_error is None or noise_error > abs(value) / 2:
        return row | {"meaning": f"{begin}, but the noise of the frames is no second witness: give it more frames"}
    of_noise = f"{noise:+.2g} +- {noise_error:.2g} %"
    if abs(noise - value) > AGREE * np.hypot(error, noise_error):
        meaning = f"{begin}, the noise {of_noise}: a light that changed between the frames, or charge that spreads"
        return row | {"meaning": meaning}
    meaning = f"the signal is {size} off a straight line {where} (noise: {of_noise})"
    return row | {"verdict": "found", "meaning": meaning}
