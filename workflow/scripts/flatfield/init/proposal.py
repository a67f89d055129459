"""What a folder of frames is for: sets, subsets and their turns, bias, darks and lights, and what is uncertain."""

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from flatfield.files.fields import REFUSE, WARN
from flatfield.files.names import is_fits
from flatfield.files.tables import format_exposure
from flatfield.init.catalogue import is_turned
from flatfield.init.kinds import BIAS, DARK, FLAT, FLAT_DARK, LIGHT
from flatfield.init.matching import (
    dark_problems,
    differences,
    group_runs,
    nearest,
    offset_problems,
    seconds_apart,
)
from flatfield.init.path_facts import describe_master, keywords_of_path
from flatfield.plan.selection import natural_key

#: Turn of the camera, degrees counter-clockwise seen from behind, for EXIF orientations without mirroring.
TURN_OF_ORIENTATION = {1: 0, 8: 90, 3: 180, 6: 270}
#: Names of folders of a subset for which the camera was aimed aside.
AIMED = r"(?:aimed?|panned|pan|shift(?:ed)?|slid|aside)(?:[-_ ]?\w{1,5})?"
AIM_FOLDER = re.compile(AIMED, re.IGNORECASE)
#: Folder names that number or letter subsets, or give their angle.
SUBSET_FOLDER = re.compile(
    AIMED
    + r"|(rot|rotation|angle|deg|pos|position|subset|set|part)?[-_ ]?(\d{1,3}|[a-f])(deg|°)?|\d\d[_-]\d\d[_-]\d\d",
    re.IGNORECASE,
)
ANGLE_FOLDER = re.compile(r"(?:rot|rotation|angle)?[-_ ]?(\d{1,3})(?:deg|°)?", re.I)
FEWEST = 3  # frames of a subset
MOST_SUBSETS = 12
DAY_S = 86400
MOST_NAMED = 2  # reasons that are given for a file


@dataclass
class Part:
    """Subset, light, or offset frames: name, entries in order, turn of the camera, and what is not sure of it.

    `aimed`: the camera was aimed aside, so far as the name of the folder says.
    """

    name: str
    entries: list
    rotation: float | None = None
    aimed: bool = False
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
    overscan: bool = False

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
    runs = {kind: [run for run in catalogue.runs if run[0].kind == kind] for kind in KINDS_OF_RUNS}
    sets = [_propose_set(group) for group in group_runs(runs[FLAT], _folder_of_subset)]
    lights = [SetProposal("", [Part("", _in_order(group))]) for group in group_runs(runs[LIGHT], _folder)]
    _name(sets, "flats")
    _name(lights, "lights")
    offsets = {kind: group_runs(runs[kind], _folder) for kind in (BIAS, FLAT_DARK, DARK)}
    for each in (*sets, *lights):
        each.doubts += sorted({entry.doubt for entry in each.entries if entry.doubt}) + _clock_doubts(each.entries)
    for each in sets:
        each.bias = _offsets_for(each.first, offsets, (FLAT_DARK, DARK), each.doubts)
        each.overscan = not each.bias and all(entry.has_overscan for entry in each.entries)
        if not each.bias and not each.overscan and is_fits(each.first.path):
            each.doubts.append(
                "no offset frames of its settings: the zero level is not known, and corners come out too bright"
            )
    unused = {}
    for light in lights:
        light.bias = _offsets_for(light.first, offsets, (), light.doubts)
        fitting = [group for group in offsets[DARK] if not dark_problems(light.first, group[0][0], "")]
        light.dark = _in_order(_prefer_singles(light.first, fitting))
        reason = _choose_flat(light, sets)
        if reason:
            unused |= dict.fromkeys((entry.path for entry in light.entries), reason)
    taken = {entry.path for each in (*sets, *lights) for entry in (*each.bias, *each.dark)}
    for kind, groups in offsets.items():
        for group in groups:
            left = [entry for entry in _in_order(group) if entry.path not in taken]
            unused |= {entry.path: _why_unused(kind, entry, sets, lights) for entry in left}
    return Proposal(sets, lights, unused)


#: Kinds of runs that a proposal is made of.
KINDS_OF_RUNS = (FLAT, BIAS, DARK, LIGHT, FLAT_DARK)


def _folder(run):
    return run[0].folder


def _offsets_for(target, offsets, exposed, doubts):
    """Offset frames for flats or lights: of their exposure (`exposed` kinds) if there are some, else bias frames."""
    for kinds in (exposed, (BIAS,)):
        groups = [group for kind in kinds for group in offsets[kind] if not offset_problems(target, group[0][0], "")]
        chosen = _in_order(_prefer_singles(target, groups))
        if chosen:
            if chosen[0].kind == DARK:
                exposure = format_exposure(chosen[0].metadata.exposure or 0)
                doubts.append(f"its offset frames are {len(chosen)} darks of {exposure}, the exposure of the flats")
            return chosen
    return []


def _prefer_singles(target, groups):
    """The group nearest in time, of single frames if there are some; of masters just one file."""
    singles = [group for group in groups if not group[0][0].metadata.combined]
    chosen = nearest(target, singles or groups)
    if chosen is None:
        return []
    return chosen if singles else [[chosen[0][0]]]


def _why_unused(kind, entry, sets, lights):
    """Why a bias or dark frame is not used: what differs from the set or light that it would fit best."""
    problems = []
    for name, targets in (("the flats", sets), ("the lights", lights))[:: -1 if kind == DARK else 1]:
        for each in targets:
            what = f"{name} {each.name}"
            if kind == DARK and each in lights:
                problems.append(dark_problems(each.first, entry, what))
            elif each in sets or kind == BIAS:
                problems.append(offset_problems(each.first, entry, what))
    if not problems:
        return f"{kind} frame, but there are no flats or lights for it"
    fewest = min(problems, key=len)
    if fewest:
        return f"{kind} frame that fits nothing: {'; '.join(fewest[:MOST_NAMED])}"
    if entry.metadata.combined:
        return f"{describe_master(entry.metadata.combined)} ({kind}), but there are single frames or another master"
    return f"{kind} frame, but others are used instead (nearer in time, or flat-darks)"


def _clock_doubts(entries):
    """Whether the clock and the numbers of files agree, where all lie in one folder."""
    ordered = sorted((entry for entry in entries if entry.moment), key=lambda entry: natural_key(entry.path))
    if len({entry.folder for entry in ordered}) != 1:
        return []
    back = [(one, other) for one, other in pairwise(ordered) if other.moment < one.moment]
    if not back:
        return []
    one, other = back[0]
    return [
        f"{Path(other.path).name} follows {Path(one.path).name} by name, but was taken before it by the clock: the "
        "numbers restarted, or the clock was set back; frames are in the order of the clock"
    ]


def _folder_of_subset(run):
    """Folder of a set: that of its frames, or the one above where the name is that of a subset."""
    folder = Path(run[0].folder)
    return str(folder.parent) if SUBSET_FOLDER.fullmatch(folder.name) else str(folder)


def _in_order(runs):
    return [entry for run in runs for entry in run]


def _propose_set(runs):
    """Subsets of a set, and their turns as far as the frames give them."""
    proposal = SetProposal("", [])
    folders = {run[0].folder for run in runs}
    if len(runs) > MOST_SUBSETS or (len(runs) > 1 and min(map(len, runs)) < FEWEST and len(folders) == 1):
        proposal.doubts.append(f"taken in {len(runs)} parts, too irregular for subsets: give the subsets by slices")
        runs = [_in_order(runs)]
    elif len(runs) == 1:
        proposal.doubts.append(
            f"{len(runs[0])} frames taken without a pause: if the camera was turned in between, give subsets by slices"
        )
    for number, run in enumerate(runs):
        named = len(folders) == len(runs) > 1
        name = Path(run[0].folder).name if named else chr(ord("A") + number)
        proposal.parts.append(Part(clean_name(name), list(run)))
    if len(runs) > 1:
        _propose_turns(proposal)
    return proposal


def _propose_turns(proposal):
    """Turn of each subset: from the rotator, folder names, else from the orientation tag; else asked for."""
    for part in proposal.parts[1:]:
        part.aimed = bool(AIM_FOLDER.fullmatch(Path(part.entries[0].folder).name))
        if part.aimed:
            part.rotation = 0.0
            part.doubts.append("as in the first subset?")
    turned = [part for part in proposal.parts if not part.aimed]
    if len(turned) > 1:
        _propose_angles(turned)
    else:
        turned[0].rotation = 0.0


def _propose_angles(parts):
    """Turns of subsets of one aim."""
    firsts = [part.entries[0] for part in parts]
    angles = [entry.metadata.rotator for entry in firsts]
    if None not in angles and any(is_turned(firsts[0], entry) for entry in firsts):
        for part, angle in zip(parts, angles, strict=True):
            part.rotation = round((angle - angles[0]) % 360, 1)
            part.doubts.append(
                f"the rotator stood at {angle:g} degrees: is that counter-clockwise, seen from behind the camera?"
            )
        return
    matches = [ANGLE_FOLDER.fullmatch(Path(part.entries[0].folder).name) for part in parts]
    tags = [part.entries[0].metadata.orientation for part in parts]
    degrees = [int(match[1]) for match in matches if match]
    if len(set(degrees)) == len(matches) and max(degrees) > 15:  # smaller ones are numbers
        for part, angle in zip(parts, degrees, strict=True):
            part.rotation = float(angle)
            part.doubts.append("from the name of the folder: is it counter-clockwise, seen from behind the camera?")
    elif len(set(tags)) > 1 and all(tag in TURN_OF_ORIENTATION for tag in tags):
        for part, tag in zip(parts, tags, strict=True):
            part.rotation = float(TURN_OF_ORIENTATION[tag])
            part.doubts.append("from the orientation tag, which is unreliable for a camera that points up or down")
    else:
        parts[0].rotation = 0.0
        for part in parts[1:]:
            part.doubts.append(
                "ASK: how was the camera turned? Fill in the angle, 0 if it was not: the lamp is found by it. "
                "Left at null it is solved for, which is less certain"
            )


def _choose_flat(light, sets):
    """Give a light the set whose flat belongs to it, nearest in time; else return why there is none."""
    first, fitting, reasons = light.first, [], []
    for each in sets:
        other, what = each.first, f"the flats {each.name}"
        against = differences(first, other, "light", (REFUSE,), what)
        doubts = differences(first, other, "light", (WARN,), what)
        readout = [text for text in doubts if text.startswith(READOUT)]
        if readout and not (light.bias or light.dark):
            against += [f"{text} (and there are no offset frames of the lights' settings)" for text in readout]
        if against:
            reasons.append(against)
            continue
        if any(not is_turned(first, entry) for entry in each.entries):
            doubts = [text for text in doubts if not text.startswith(ROTATOR)]
        apart = _other_keywords(first.path, other.path)
        fitting.append(
            (len(apart), _unknown(first, other), len(doubts), seconds_apart(first, other), each, doubts + apart)
        )
    if not fitting:
        return (
            f"light without flats: {'; '.join(min(reasons, key=len)[:MOST_NAMED])}" if reasons else "there are no flats"
        )
    fewest = min(each[:3] for each in fitting)
    best = sorted((each for each in fitting if each[:3] == fewest), key=lambda each: each[3])
    _, unknown, _, apart, chosen, doubts = best[0]
    light.flat = chosen.name
    if unknown:
        light.doubts.append("lens or aperture is not recorded: does this flat belong to it?")
    light.doubts += doubts
    others = [each[4].name for each in best[1:]]
    if others:
        light.doubts.append(f"nearest in time; {', '.join(others)} would do too")
    if DAY_S < apart < float("inf"):
        days = round(apart / DAY_S)
        plural = "s" * (days != 1)
        light.doubts.append(f"its flats were taken {days} day{plural} apart from it: was nothing turned or cleaned?")
    return ""


#: Beginnings of the words of fields that change the zero level, and of the angle of the rotator.
READOUT = ("the gain", "the offset setting", "the readout mode")
ROTATOR = "the angle of the rotator"


def _other_keywords(light, flat):
    """Doubts about grouping keywords that are not the same in two paths."""
    own, other = keywords_of_path(light), keywords_of_path(flat)
    return [
        f"it lies in {name}_{own[name]}, its flats in {name}_{other[name]}"
        for name in own
        if name != "FILTER" and other.get(name, own[name]) != own[name]
    ]


def _unknown(light, flat):
    """Number of fields that decide whether a flat belongs to a light and that one of the two lacks."""
    names = ("telescope",) if is_fits(light.path) else ("lens", "focal_length_mm", "aperture")
    if is_fits(light.path) and (light.record.lens or flat.record.lens):
        names = ("lens",)
    return sum(None in (getattr(light.record, name), getattr(flat.record, name)) for name in names)


def clean_name(text):
    """A name that sets and lights may have: letters, digits, ``_``, ``-``, ``.``."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("_.-")


def _name(proposals, default):
    """Name sets or lights by their folder, and by what distinguishes those of one folder."""
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
    """The fewest facts of a set that distinguish it from others."""
    chosen, like = [], others
    for index, fact in enumerate(_facts(each)):
        same = [other for other in like if _facts(other)[index] == fact]
        if len(same) < len(like):
            chosen.append(fact)
            like = same
    return [fact for fact in chosen if fact]


def _folder_name(each, default):
    folder = _folder_of_subset([each.first]) if each.first.kind == FLAT else each.first.folder
    return clean_name(Path(folder).name) or default


def _facts(each):
    """Short texts that may distinguish a set: focal length, aperture, filter, ISO, exposure, day, camera."""
    meta = each.first.metadata
    day = (meta.time or "")[:10]
    return (
        f"{meta.focal_length:g}mm" if meta.focal_length else "",
        f"f{meta.aperture:.2g}" if meta.aperture else "",
        meta.filter or "",
        f"iso{meta.iso:g}" if meta.iso else "",
        f"gain{meta.gain:g}" if meta.gain is not None else "",
        f"bin{meta.binning.replace(' ', '')}" if meta.binning else "",
        f"rot{meta.rotator:.0f}" if meta.rotator is not None else "",
        format_exposure(meta.exposure).replace("/", "_").replace(" ", "") if meta.exposure else "",
        day,
        meta.camera or "",
        f"body_{meta.body}" if meta.body else "",
    )


def name_of_project(proposal):
    """Name of a folder for what is proposed: the last day, and the optics of the first set that tells them."""
    frames = (entry for each in (*proposal.sets, *proposal.lights) for entry in each.entries)
    days = [entry.metadata.time[:10] for entry in frames if entry.metadata.time]
    optics = next(filter(None, (_optics(each.first.metadata) for each in proposal.sets)), "")
    return clean_name("_".join(filter(None, (max(days, default=""), optics.replace("/", "").replace(" mm", "mm")))))


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
    optics = " ".join(part for part in (meta.lens or meta.telescope, _optics(meta)) if part)
    facts = (
        shown,
        f"ISO {meta.iso:g}" if meta.iso else "",
        f"gain {meta.gain:g}" if meta.gain is not None else "",
        f"{meta.temperature:.0f} °C" if meta.temperature is not None else "",
        meta.filter or "",
    )
    settings = ", ".join(part for part in facts if part)
    return {
        "camera": meta.camera or "unknown",
        "optics": optics or "unknown",
        "settings": settings or "unknown",
        "taken": (meta.time or "unknown").replace("T", " ")[:16],
    }
