"""Lights of many frames: a row a frame, the furthest from even first, and sentences on all of them."""

from collections import defaultdict
from statistics import median

from flatfield.files.tables import number_of

#: Frames of a light up to which each has sentences and rows of its own.
MOST_TOLD = 4
#: Verdicts on a cause, by the column of the row of a frame.
VERDICTS = {
    "supported": "supported",
    "small": "there, but small",
    "open": "not identifiable from these data",
}
#: Bars of the histogram.
BARS = 24


def frames_of(rows):
    """Rows of a table by their frame, in its order."""
    found = defaultdict(list)
    for row in rows:
        found[row["frame"]].append(row)
    return dict(found)


def is_long(rows):
    """Whether a table is of so many frames that they are told together."""
    return len(frames_of(rows)) > MOST_TOLD


def summarize_frames(vignetting, diagnosis):
    """One row a frame: how uneven it was and is, and why, the furthest from even first.

    Parameters
    ----------
    vignetting, diagnosis : list of dict
        ``vignetting.tsv`` and ``diagnosis.tsv`` of a light.

    Returns
    -------
    list of dict
        frame; before, after: corner against centre, percent, of the channel that is furthest from 0 after the
        division (None where it is not known); supported, small, open: causes.
    """
    ratios, rows = frames_of(vignetting), []
    for frame, causes in frames_of(diagnosis).items():
        off = defaultdict(dict)
        for row in ratios.get(frame, []):
            if number_of(row["ratio"]):
                off[row["stage"]][row["channel"]] = 100 * (1 / float(row["ratio"]) - 1)
        worst = max(off["after"], key=lambda channel: abs(off["after"][channel]), default=None)
        row = {"frame": frame, "before": off["before"].get(worst), "after": off["after"].get(worst)}
        for name, verdict in VERDICTS.items():
            row[name] = ", ".join(each["cause"] for each in causes if each["verdict"] == verdict)
        rows.append(row)
    return sorted(rows, key=lambda row: (row["after"] is None, -abs(row["after"] or 0), row["frame"]))


def describe_frames(rows, even_percent):
    """Sentences on many frames of a light.

    Parameters
    ----------
    rows : list of dict
        See `summarize_frames`.
    even_percent : float
        Corner against centre that is called even.

    Returns
    -------
    list of str
    """
    sentences = []
    known = [row for row in rows if row["after"] is not None]
    if known:
        before = [row["before"] for row in known if row["before"] is not None]
        values, first = [row["after"] for row in known], known[0]
        started = f"{_signed(median(before))} % before and " if before else ""
        even = sum(abs(value) <= even_percent for value in values)
        middle, low, high = (_signed(each) for each in (median(values), min(values), max(values)))
        sentences.append(
            f"{len(rows)} frames: the corner against the centre is {started}{middle} % after the division (median; "
            f"{low} to {high} %), within {even_percent:g} % in {even} of them; furthest off is {first['frame']} "
            f"({_signed(first['after'])} %)."
        )
    counted = [
        f"{words} {_count(rows, name)}"
        for name, words in (
            ("supported", "supported:"),
            ("small", "there, but small:"),
            ("open", "not identifiable:"),
        )
        if any(row[name] for row in rows)
    ]
    clean = sum(not (row["supported"] or row["small"] or row["open"]) for row in rows)
    counted += [f"none of the tested causes applies in {clean}"] if clean else []
    sentences.append(f"Causes of what is left, by frames: {'; '.join(counted)}.")
    return sentences


def _signed(value):
    return f"{value:+.0f}" if abs(value) >= 10 else f"{value:+.2g}"


def _count(rows, name):
    """Causes with the number of their frames, the most frequent first."""
    counts = defaultdict(int)
    for row in rows:
        for cause in filter(None, row[name].split(", ")):
            counts[cause] += 1
    return ", ".join(f"{cause} ({number})" for cause, number in sorted(counts.items(), key=lambda each: -each[1]))


def count_values(rows, name):
    """Histogram of a column: its range, and the frames in each of `BARS` bars; None where nothing is known."""
    values = [row[name] for row in rows if row[name] is not None]
    if not values:
        return None
    low, high = min(values), max(values)
    counts = [0] * BARS
    for value in values:
        counts[min(int((value - low) / (high - low or 1) * BARS), BARS - 1)] += 1
    return {"low": low, "high": high, "counts": counts, "most": max(counts)}


def join_agreement(rows):
    """What light and flat agree in, rows that say the same of many frames joined, with their number."""
    counts = defaultdict(int)
    for row in rows:
        counts[tuple((name, value) for name, value in row.items() if name != "frame")] += 1
    return [{"frames": number, **dict(key)} for key, number in counts.items()]
