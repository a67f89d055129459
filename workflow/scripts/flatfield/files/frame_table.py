"""Rows of the tables of frames, and whether a frame is still the file that was inspected."""

import hashlib
import os

from flatfield.files.errors import FrameError
from flatfield.files.reading import read_content, state_of
from flatfield.files.tables import read_table

#: Seconds by which the time of a table may be too late: Snakemake sets it when it sees the end of the job, and frames
#: may lie on another computer with a clock of its own.
MARGIN = 3600


def check_unchanged(paths, rows, table):
    """Check, after they were read, that frames are still what a table says.

    Only frames that were touched less than `MARGIN` before the table was made, or later, are read again and compared
    with their checksum.

    Parameters
    ----------
    paths : list of str
    rows : list of dict
        Their rows of the table.
    table : str
        ``inspected.tsv`` or the like.

    Raises
    ------
    FrameError
        If one changed or is gone.
    """
    made = os.stat(table).st_mtime_ns - MARGIN * 10**9
    for path, row in zip(paths, rows, strict=True):
        state = state_of(path)
        if state is None or (
            max(state[1:]) >= made and hashlib.sha256(read_content(path)).hexdigest() != row["sha256"]
        ):
            raise FrameError(
                f"{path} is not the file that was inspected for {table}; if it is right as it is now, touch it and run "
                "again"
            )


def find_inspected(frame, file, table):
    """Row of a frame that was just read, which must be the file that was inspected.

    Parameters
    ----------
    frame : str
    file : str
        Its name in the table.
    table : str
        ``frames.tsv`` of a light or the like.

    Raises
    ------
    FrameError
        See `check_unchanged`.
    """
    row = find_row(read_table(table), file)
    check_unchanged([frame], [row], table)
    return row


def used_frames(table):
    """Rows of ``frames.tsv`` that count."""
    return [row for row in table if row["used"] == "yes"]


def find_row(rows, file):
    """Row of the inventory of a file, by its name there."""
    return next(row for row in rows if row["file"] == file)


def list_files(rows, most=3):
    """Names of the files of some rows, for messages: the first ones, and how many more there are."""
    names = [row["file"] for row in rows]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
