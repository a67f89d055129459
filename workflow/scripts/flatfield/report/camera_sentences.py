"""Sentences on what a camera did to its raw frames."""

#: What to do about effects that stay in lights or in flats.
REMEDIES = {
    "shading": (
        "Switch off the correction of vignetting (shading, peripheral illumination) for raws, or take flats and lights "
        "with the same lens, aperture and focus."
    ),
    "codes": "Record raws without lossy compression, at the camera's native gain.",
}
#: Effects that somebody must have put there, by the beginning of their name, and the remedy.
DONE = {
    "shading": "shading",
    "missing codes": "codes",
    "overfull codes": "codes",
    "digital steps": None,
    "steps against radius": "shading",
    "noise shared": None,
    "amplifiers": None,
}
#: In the meaning of shared noise that is more than what sensors do themselves.
FILTERED = "noise was filtered"


def describe_camera(tables):
    """Whether each camera left its raws alone; what was found that needs no action.

    Parameters
    ----------
    tables : dict
        Rows of ``camera.tsv`` by set.

    Returns
    -------
    list of str
    """
    alike, further = {}, {}
    for name, rows in tables.items():
        begin, end = _describe(rows)
        alike.setdefault((begin, end), []).append(name)
        for found in _further(rows):
            further.setdefault(f"{_channels(found)}: {found[0]['meaning']}", []).append(name)
    sentences = [f"{begin} {_joined(names)} {end}." for (begin, end), names in alike.items() if begin]
    return sentences + [f"In {_joined(names)}, {text}." for text, names in further.items()]


def warn_of_camera(tables):
    """What was found that changes lights or flats, each with what to do about it.

    Parameters and result as for `describe_camera`, of pairs of str.
    """
    return [
        (f"In {name}, {_channels(rows)}: {rows[0]['meaning']}.", REMEDIES[kind])
        for name, table in tables.items()
        for kind, rows in _found(table).values()
        if kind
    ]


def _further(table):
    """Rows of each effect that was found and needs no action."""
    return [rows for kind, rows in _found(table).values() if not kind]


def _describe(table):
    """What was done to the raws of a set, before and after its name; empty where something was."""
    if any(_is_done(row) for _, rows in _found(table).values() for row in rows):
        return "", ""
    if all(row["verdict"] == "not told" for row in table):
        return "What was done to the raws of", f"is not known: {table[0]['meaning']}"
    open_ones = dict.fromkeys(
        row["effect"] for row in table if row["verdict"] == "not told" and _is_done(row) and _is_first(table, row)
    )
    rest = f" (not told: {', '.join(open_ones)})" if open_ones else ""
    return "Nothing was done to the raws of", f"beyond noise, as far as the flats tell{rest}"


def _joined(names):
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _found(table):
    """Kind of remedy and rows by effect, of what was found; effects of all channels stand for those of each."""
    found = {}
    for row in table:
        if row["verdict"] == "found":
            kind = next((kind for begin, kind in DONE.items() if row["effect"].startswith(begin)), None)
            found.setdefault(row["effect"], (kind, []))[1].append(row)
    return found


def _is_done(row):
    """Whether an effect is one that somebody must have put there."""
    if row["effect"].startswith("noise shared") and row["verdict"] == "found":
        return FILTERED in row["meaning"]
    return any(row["effect"].startswith(begin) for begin in DONE)


def _is_first(table, row):
    """Whether a row is the first of its effect: that of all channels, where there is one."""
    return row is next(each for each in table if each["effect"] == row["effect"])


def _channels(rows):
    return "all channels" if rows[0]["channel"] == "all" else ", ".join(row["channel"] for row in rows)
