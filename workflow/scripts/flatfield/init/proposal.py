"""What a folder of frames is for: sets, subsets and their turns, bias, darks and lights, and what is not sure."""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from flatfield.files.names import is_fits
from flatfield.files.tables import format_exposure
from flatfield.init.catalogue import BIAS, DARK, EXPOSURE_STEP, FLAT, LIGHT, SESSION_HOURS

#: Turn of the camera, degrees counter-clockwise seen from behind, for EXIF orientations without mirroring.
TURN_OF_ORIENTATION = {1: 0, 8: 90, 3: 180, 6: 270}
#: Folder names that number or letter subsets, or give their angle.
SUBSET_FOLDER = re.compile(
    r"(rot|rotation|angle|deg|pos|position|subset|set|part)?[-_ ]?(\d{1,3}|[a-f])(deg|°)?", re.IGNORECASE
)
ANGLE_FOLDER = re.compile(r"(?:rot|rotation|angle)?[-_ ]?(\d{1,3})(?:deg|°)?", re.I)
FEWEST = 3  # frames of a subset
MOST_SUBSETS = 12
CLOSE = 0.05  # relative difference of apertures and exposures that are the same


@dataclass
class Part:
    """Subset, light, or offset frames: name, entries in order, turn of the camera, and what is not sure of it."""

    name: str
    entries: list
    rotation: float | None = None
    doubts: list = field(default_factory=list)


@dataclass
class SetProposal:
    """A set of flats, or a light with `flat`, the name of its set (None where none fits)."""

    name: str
    parts: list
    doubts: list = field(default_factory=list)
    bias: list = field(default_factory=list)
    dark: list = field(default_factory=list)
    flat: str | None = None

    @property
    def entries(self):
        return [entry for part in self.parts for entry in part.entries]

    @property
    def first(self):
        return self.parts[0].entries[0]


@dataclass
class Proposal:
    """Sets, lights, and the files that no set or light uses, with the reason."""

    sets: list
    lights: list
    unused: dict


def propose(catalogue):
    """Propose sets and lights for the runs of a folder.

    Parameters
    ----------
    catalogue : flatfield.init.catalogue.Catalogue

    Returns
    -------
    Proposal
    """
    runs = {kind: [run for run in catalogue.runs if run[0].kind == kind] for kind in (FLAT, BIAS, DARK, LIGHT)}
    sets = [_propose_set(group) for group in _group(runs[FLAT], _folder_of_subset)]
    lights = [SetProposal("", [Part("", _in_order(group))]) for group in _group(runs[LIGHT], lambda run: run[0].folder)]
    _name(sets, "flats")
    _name(lights, "lights")
    offsets = {kind: _group(runs[kind], lambda run: run[0].folder) for kind in (BIAS, DARK)}
    taken = set()
    for each in (*sets, *lights):
        each.doubts += sorted({entry.doubt for entry in each.entries if entry.doubt})
        group = _nearest(each, [group for group in offsets[BIAS] if _same_camera(each.first, group[0][0])])
        each.bias = _in_order(group or [])
    for light in lights:
        light.flat = _flat_for(light, sets)
        exposure = light.first.metadata.exposure
        fitting = [group for group in offsets[DARK] if _same_camera(light.first, group[0][0])]
        fitting = [group for group in fitting if _close(group[0][0].metadata.exposure, exposure)]
        light.dark = _in_order(_nearest(light, fitting) or [])
    for each in (*sets, *lights):
        taken |= {entry.path for entry in (*each.bias, *each.dark)}
    unused = {
        entry.path: f"{kind} frames that no light needs (another camera, ISO or exposure)"
        for kind in (BIAS, DARK)
        for run in runs[kind]
        for entry in run
        if entry.path not in taken
    }
    for light in lights:
        if light.flat is None:
            unused |= dict.fromkeys((entry.path for entry in light.entries), "light frames without flats for them")
    return Proposal(sets, lights, unused)


def _group(runs, place):
    """Join runs with the same settings and place, taken in one session, and of similar exposure."""
    groups = []
    for run in runs:
        fitting = [group for group in groups if _belong(group, run) and place(group[-1]) == place(run)]
        if fitting:
            fitting[-1].append(run)
        else:
            groups.append([run])
    return groups


def _belong(group, run):
    before, after = group[-1][-1], run[0]
    if run[0].kind in (BIAS, DARK):
        if not _same_camera(before, after):  # lens and filter make no difference to them
            return False
    elif before.settings != after.settings or before.shape != after.shape:
        return False
    ratio = 1 + CLOSE if run[0].kind in (DARK, LIGHT) else EXPOSURE_STEP
    exposures = [entry.metadata.exposure for entry in (before, after)]
    if None not in exposures and max(exposures) > ratio * min(exposures):
        return False
    if before.moment and after.moment:
        return abs((after.moment - before.moment).total_seconds()) < SESSION_HOURS * 3600
    return True


def _folder_of_subset(run):
    """Folder of a set: that of its frames, or the one above where the name is that of a subset."""
    folder = Path(run[0].folder)
    return str(folder.parent) if SUBSET_FOLDER.fullmatch(folder.name) else str(folder)


def _in_order(runs):
    return [entry for run in runs for entry in run]


def _propose_set(runs):
    """Subsets of a set, and their turns, as far as something tells them."""
    proposal = SetProposal("", [])
    folders = {run[0].folder for run in runs}
    if len(runs) > MOST_SUBSETS or (len(runs) > 1 and min(map(len, runs)) < FEWEST and len(folders) == 1):
        proposal.doubts.append(f"taken in {len(runs)} parts, too irregular for subsets: tell subsets by slices")
        runs = [_in_order(runs)]
    elif len(runs) == 1:
        proposal.doubts.append("taken without a pause: if the camera was turned, tell where, by slices")
    for number, run in enumerate(runs):
        named = len(folders) == len(runs) > 1
        name = Path(run[0].folder).name if named else chr(ord("A") + number)
        proposal.parts.append(Part(clean_name(name), list(run)))
    if len(runs) > 1:
        _propose_turns(proposal)
    return proposal


def _propose_turns(proposal):
    """Turn of each subset: from folder names, else from the orientation tag; else asked for."""
    matches = [ANGLE_FOLDER.fullmatch(Path(part.entries[0].folder).name) for part in proposal.parts]
    tags = [part.entries[0].metadata.orientation for part in proposal.parts]
    degrees = [int(match[1]) for match in matches if match]
    if len(set(degrees)) == len(matches) and max(degrees) > 15:  # smaller ones are numbers
        for part, angle in zip(proposal.parts, degrees, strict=True):
            part.rotation = float(angle)
            part.doubts.append("from the name of the folder: is it counter-clockwise, seen from behind the camera?")
    elif len(set(tags)) > 1 and all(tag in TURN_OF_ORIENTATION for tag in tags):
        for part, tag in zip(proposal.parts, tags, strict=True):
            part.rotation = float(TURN_OF_ORIENTATION[tag])
            part.doubts.append("from the orientation tag, which is not reliable for a camera that looks up or down")
    else:
        proposal.parts[0].rotation = 0.0
        for part in proposal.parts[1:]:
            part.doubts.append(
                "ASK: fill in the angle; nothing tells it, and without it the light source cannot be solved for"
            )


def _same_camera(one, other):
    keys = ("camera", "iso")
    return one.shape == other.shape and all(getattr(one.metadata, key) == getattr(other.metadata, key) for key in keys)


def _close(one, other, ratio=CLOSE):
    """Whether two numbers are about the same; unknown is like unknown only."""
    if one is None or other is None:
        return one is other
    return abs(one - other) <= ratio * max(abs(one), abs(other))


def _nearest(target, groups):
    """The group of runs taken nearest to the frames of a set or light."""

    def distance(group):
        times = group[0][0].moment, target.first.moment
        return abs((times[0] - times[1]).total_seconds()) if all(times) else float("inf")

    return min(groups, key=distance, default=None)


def _flat_for(light, sets):
    """Name of the set whose flat belongs to a light: same camera and optics, nearest in time."""
    meta, best, fewest = light.first.metadata, [], None
    for each in sets:
        other = each.first.metadata
        if each.first.shape != light.first.shape or (meta.camera and other.camera and meta.camera != other.camera):
            continue
        texts = [(meta.lens, other.lens), (meta.filter, other.filter)]
        numbers = [(meta.focal_length, other.focal_length), (meta.aperture, other.aperture)]
        if any(a and b and a != b for a, b in texts) or any(a and b and not _close(a, b) for a, b in numbers):
            continue
        # an astronomical camera records the telescope (as lens) and the filter, no aperture
        unknown = sum(not (a and b) for a, b in texts[:1] + numbers * (not is_fits(light.first.path)))
        if fewest is None or unknown < fewest:
            best, fewest = [], unknown
        if unknown == fewest:
            best.append(each)
    if not best:
        return None
    if fewest:
        light.doubts.append("lens or aperture is not recorded: does this flat belong to it?")
    chosen = _nearest_set(light, best)
    others = [each.name for each in best if each is not chosen]
    if others:
        light.doubts.append(f"nearest in time; {', '.join(others)} would do too")
    return chosen.name


def _nearest_set(light, sets):
    moments = [(each, each.first.moment) for each in sets]
    if not light.first.moment or not all(moment for _, moment in moments):
        return sets[0]
    return min(moments, key=lambda pair: abs((pair[1] - light.first.moment).total_seconds()))[0]


def clean_name(text):
    """A name that sets and lights may have: letters, digits, ``_``, ``-``, ``.``."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("_.-")


def _name(proposals, default):
    """Name sets or lights by their folder, and by what tells those of one folder apart."""
    folders = Counter(_folder_name(each, default) for each in proposals)
    used = set()
    for each in proposals:
        name = _folder_name(each, default)
        same = [other for other in proposals if _folder_name(other, default) == name]
        if folders[name] > 1:
            name = "_".join([name, *_telling_facts(each, same)])
        name = clean_name(name) or default
        free = (f"{name}{ending}" for ending in ("", *(f"_{number}" for number in range(2, 10_000))))
        each.name = next(candidate for candidate in free if candidate not in used)
        used.add(each.name)


def _telling_facts(each, others):
    """The fewest facts of a set that tell it from others."""
    told, like = [], others
    for index, fact in enumerate(_facts(each)):
        same = [other for other in like if _facts(other)[index] == fact]
        if len(same) < len(like):
            told.append(fact)
            like = same
    return [fact for fact in told if fact]


def _folder_name(each, default):
    folder = _folder_of_subset([each.first]) if each.first.kind == FLAT else each.first.folder
    return clean_name(Path(folder).name) or default


def _facts(each):
    """Short texts that may tell a set from others: focal length, aperture, filter, ISO, exposure, day, camera."""
    meta = each.first.metadata
    day = (meta.time or "")[:10]
    return (
        f"{meta.focal_length:g}mm" if meta.focal_length else "",
        f"f{meta.aperture:.2g}" if meta.aperture else "",
        meta.filter or "",
        f"iso{meta.iso:g}" if meta.iso else "",
        format_exposure(meta.exposure).replace("/", "_").replace(" ", "") if meta.exposure else "",
        day,
        meta.camera or "",
    )


def title_of(each):
    """Title for plots: ``14 mm f/2.8, outdoors``."""
    meta = each.first.metadata
    return ", ".join(part for part in (_optics(meta), meta.filter, each.name) if part)


def _optics(meta):
    """``14 mm f/2.8``, as far as it is known."""
    focal_length = f"{meta.focal_length:g} mm" if meta.focal_length else ""
    return f"{focal_length} {f'f/{meta.aperture:.2g}' if meta.aperture else ''}".strip()


def describe(each):
    """What frames of a set or light are, for the table."""
    meta, entries = each.first.metadata, each.entries
    exposures = sorted({entry.metadata.exposure for entry in entries if entry.metadata.exposure})
    shown = " to ".join(dict.fromkeys(format_exposure(value) for value in (exposures[:1] + exposures[-1:])))
    optics = " ".join(part for part in (meta.lens, _optics(meta)) if part)
    settings = ", ".join(part for part in (shown, f"ISO {meta.iso:g}" if meta.iso else "", meta.filter or "") if part)
    return {
        "camera": meta.camera or "unknown",
        "optics": optics or "unknown",
        "settings": settings or "unknown",
        "taken": (meta.time or "unknown").replace("T", " ")[:16],
    }
