"""Kinds of frames: what names, headers and pixels say, and how this is weighed."""

import re
from pathlib import Path

FLAT, BIAS, DARK, LIGHT, FLAT_DARK = "flat", "bias", "dark", "light", "flat-dark"
KINDS = (FLAT, BIAS, DARK, LIGHT, FLAT_DARK)
#: Words of folder and file names, and of the card IMAGETYP, that name the kind.
WORDS = {
    FLAT: {"flat", "flats", "flatfield", "flatfields", "skyflat", "skyflats", "domeflat", "domeflats", "flatframes"},
    BIAS: {"bias", "biases", "offset", "offsets", "zero", "zeros", "biasframes"},
    DARK: {"dark", "darks", "darkframes"},
    LIGHT: {"light", "lights", "object", "objects", "science", "target", "lightframes"},
    FLAT_DARK: {"flatdark", "flatdarks", "darkflat", "darkflats", "flatsdark", "darksflat"},
}
#: Plural forms name a folder of frames; the others may be part of the name of a place or a target.
PLURAL = {word for words in WORDS.values() for word in words if word.endswith(("s", "field")) and word != "bias"} | {
    "bias"
}
#: Words that say nothing beside one of a kind.
NEUTRAL = {
    *(
        "frame",
        "frames",
        "field",
        "fields",
        "sub",
        "subs",
        "raw",
        "raws",
        "master",
        "masters",
        "img",
        "image",
        "images",
    ),
    *(
        "iso",
        "gain",
        "bin",
        "binning",
        "exp",
        "exposure",
        "exposures",
        "sec",
        "ms",
        "min",
        "deg",
        "temp",
        "rot",
        "rotation",
    ),
    *("cal", "calib", "calibration", "library", "lib", "set", "session", "night", "day", "date", "camera", "filter"),
    *(
        "x",
        "s",
        "f",
        "c",
        "t",
        "mm",
        "of",
        "for",
        "my",
        "the",
        "and",
        "new",
        "old",
        "type",
        "capture",
        "autorun",
        "plan",
        "dwarf",
    ),
    *(
        "l",
        "r",
        "g",
        "b",
        "v",
        "u",
        "i",
        "z",
        "h",
        "ha",
        "oiii",
        "sii",
        "o",
        "lum",
        "luminance",
        "red",
        "green",
        "blue",
    ),
}
#: Beginning of the doubt of pixels that may be those of a flat.
SMOOTH = "as smooth as a flat"
#: Words of IMAGETYP of what is none of these.
OTHER_FRAMES = {"arc", "comparison", "comp", "difference", "focus", "response", "truth", "snapshot"}


def _words_of(text):
    return re.findall(r"[a-z]+", text.lower().replace("master", " master "))


def kind_of_words(text):
    """Kind that a name states by a whole word; empty if none or several do.

    Examples
    --------
    >>> kind_of_words("2026-05-01_Flats_f2.8"), kind_of_words("Dark Flat"), kind_of_words("flatland")
    ('flat', 'flat-dark', '')
    """
    words = _words_of(text)
    found = [kind for kind in KINDS if set(words) & WORDS[kind]]
    if FLAT_DARK in found or (sorted(found) == [DARK, FLAT] and _neighbours(words)):
        return FLAT_DARK
    return found[0] if len(found) == 1 else ""


def _neighbours(words):
    """Whether a word for flats and one for darks stand beside each other, as in *dark flats*."""
    places = {kind: [index for index, word in enumerate(words) if word in WORDS[kind]] for kind in (FLAT, DARK)}
    return any(abs(one - other) == 1 for one in places[FLAT] for other in places[DARK])


def evidence_of_path(path):
    """Kind that the nearest folder, or the file itself, states in its name.

    Parameters
    ----------
    path : str

    Returns
    -------
    kind : str
        Empty if no part states one.
    sure : bool
        Whether that part says nothing else: *Dark Sky Reserve* is a place, *darks* and *Dark_300s* are darks.
    part : str
        That part of the path.
    """
    *folders, name = Path(path).parts
    first = next(
        (kind for kind in KINDS if re.match(rf"(master)?[_\W]?({'|'.join(WORDS[kind])})([_\W\d]|$)", name.lower())), ""
    )
    two = kind_of_words(" ".join([word for word in _words_of(name) if word != "master"][:2]))
    if first:
        return two if two == FLAT_DARK else first, True, name
    unsure = ("", False, "")
    for part in (Path(name).stem, *reversed(folders)):
        kind = kind_of_words(part)
        if not kind:
            continue
        words = set(_words_of(part))
        if words & PLURAL or words <= WORDS[kind] | WORDS[FLAT] | WORDS[DARK] | NEUTRAL:
            return kind, True, part
        if not unsure[0]:
            unsure = (kind, False, part)
    return unsure


def kind_of_path(path):
    """Kind that the nearest folder, or the file itself, states in its name."""
    return evidence_of_path(path)[0]


def contradicts(stated, seen):
    """Whether pixels speak against what is stated: bias and dark look alike, a dark sky looks like a dark."""
    dark = (BIAS, DARK, FLAT_DARK)
    return (stated == FLAT) != (seen == FLAT) or (stated in dark and seen not in dark)


def weigh(header, path, seen, doubt):
    """Weigh what header, name and pixels say of a frame.

    Parameters
    ----------
    header : str
        Kind that its header states; empty if none.
    path : str
    seen, doubt : str
        What its pixels say, and why that is not sure.

    Returns
    -------
    kind, evidence, doubt : str
    """
    named, sure, part = evidence_of_path(path)
    if header and named and sure and header != named and not {header, named} <= {BIAS, DARK, FLAT_DARK}:
        # both say something else: the pixels decide, and the header where they do not
        kind = named if not contradicts(named, seen) and contradicts(header, seen) else header
        return kind, "header", f"its header says {header}, its name ({part}) {named}; by its pixels it is a {seen}"
    if header and named == FLAT_DARK and header in (BIAS, DARK):
        return FLAT_DARK, "name", ""
    if header or (named and sure):
        kind, evidence = (header, "header") if header else (named, "name")
        smooth = kind == FLAT and doubt.startswith(SMOOTH)  # through a dense filter a flat is exposed long
        against = "" if smooth or not contradicts(kind, seen) else f"by its {evidence} a {kind}, by its pixels a {seen}"
        return kind, evidence, against
    if named and contradicts(named, seen):
        return seen, "pixels", f"{part!r} has a word for {named} frames, but by its pixels it is a {seen}"
    if named:
        return named, "name", doubt if named in (BIAS, DARK) else ""
    return seen, "pixels", doubt
