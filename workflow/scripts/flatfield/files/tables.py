"""Tab-separated tables with a header line; what is not known is written as `unknown`."""

import csv
from collections import defaultdict
from pathlib import Path

from flatfield.files.writing import write_text

UNKNOWN = "unknown"
#: What the data could determine but do not; the column ``reason`` says why.
NOT_DETERMINED = "not determined"


def write_table(path, rows, columns):
    """Write rows as a tab-separated table, complete or not at all.

    Parameters
    ----------
    path : str or pathlib.Path
    rows : list of dict
        Values may be None (written as ``unknown``), bool (``yes``/``no``), numbers or text.
    columns : list of str
        The header line; each row must have all of them.
    """
    lines = ["\t".join(columns)] + ["\t".join(format_value(row[name]) for name in columns) for row in rows]
    write_text(path, "\n".join(lines) + "\n")


def collect_tables(paths, target):
    """Join tables of the frames of a light, named as the frames, with the name in front of each row."""
    rows = [{"frame": Path(path).stem, **row} for path in paths for row in read_table(path)]
    write_table(target, rows, list(rows[0]))


def read_table(path):
    """Read a table as a list of dictionaries of text; ``unknown`` becomes None."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [{name: None if value == UNKNOWN else value for name, value in row.items()} for row in rows]


def gather_tables(paths):
    """Rows of tables by the stem of their name and the name of their folder: ``noise`` of ``outdoors``.

    Examples
    --------
    >>> gather_tables([])["noise"]
    {}
    """
    tables = defaultdict(dict)
    for path in map(Path, paths):
        tables[path.stem][path.parent.name] = read_table(path)
    return tables


def mark_undetermined(row):
    """A row in which what is None stands as not determined."""
    return {name: NOT_DETERMINED if value is None else value for name, value in row.items()}


def number_of(text):
    """Number of a field of a table; None where it is unknown or not determined."""
    return None if text in (None, "", NOT_DETERMINED) else float(text)


def numbers_of(row):
    """A row with its numbers as such, yes and no as bool, and other text as it is."""
    return {name: _value_of(text) for name, text in row.items()}


def _value_of(text):
    if text in ("yes", "no"):
        return text == "yes"
    try:
        return float(text)
    except (TypeError, ValueError):
        return text


def format_value(value):
    """Text of a value: numbers with 9 significant digits (float32 survives), text without tabs or line breaks."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return clean_text(value)
    number = float(value)
    if number != number:
        return UNKNOWN
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else f"{number:.9g}"


def clean_text(text):
    """Text on one line: what cannot be printed, tabs and line breaks above all, becomes a space."""
    return "".join(c if c.isprintable() else " " for c in text)


def format_exposure(seconds):
    """An exposure as photographers write it: ``1/30 s``, ``13 s``."""
    return f"1/{1 / seconds:.0f} s" if 0 < seconds < 0.3 else f"{seconds:g} s"
