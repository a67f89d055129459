"""Rows of the tables of frames (``frames.tsv``, ``inspected.tsv``, ``bias.tsv`` ...), with types on both sides."""

import hashlib
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from flatfield.files.errors import FrameError, InventoryError
from flatfield.files.reading import read_content, state_of
from flatfield.files.scratch import find_entry
from flatfield.files.tables import read_table, write_table

#: Seconds by which the time of a table may be too late: Snakemake sets it when it sees the end of the job, and frames
#: may lie on another computer with a clock of its own.
MARGIN = 3600


@dataclass(eq=False)  # two records are the same if they are one
class FrameRecord:
    """What is known of a frame; None where it is not.

    Attributes
    ----------
    file : str
        Name in tables.
    subset : str
        Empty where no subset claims the frame.
    rotation_deg : float
        Of the camera in that subset.
    time, maker, camera, body, lens, telescope, filter, distance_m, orientation, row_order
    focal_length_mm, aperture, iso, exposure_s, gain, offset, egain_e_per_dn, readout_mode, binning, temperature_c
    rotator_deg, focus_position, pier_side, combined, calibrated
        See `flatfield.raw.metadata.Metadata` and `flatfield.files.fields`.
    bits : int
        Bit depth of the numbers, from the white level.
    rows, columns : int
        Visible pixels.
    cfa : str
        Name of the colour filter array.
    black_dn : tuple of float
        Black level of each colour that is subtracted, DN.
    zero_level : str
        Where the zero level comes from: ``bias`` (a master), ``overscan``, ``metadata``, ``pedestal``, ``unknown``.
    black_off_dn : float
        Covered pixels less that level, DN.
    white_dn : float
        White level of the metadata, DN.
    level_dn : float
        Median signal over the central quarter, DN above black.
    levels_dn : dict
        The same by channel.
    saturation_dn : float
        Least level from which pixels of a channel are saturated, DN.
    saturations_dn : dict
        Such levels by channel, of those that saturate.
    saturated : float
        Fraction of such pixels.
    saturated_percent : dict
        Their percentage by channel.
    snr : float
        Signal over noise of a pixel in the centre.
    departure_percent, departure_sigma : float
        Largest departure from the other frames of the subset.
    remark : str
        What was done to read the frame.
    doubt : str
        What should be looked at.
    sha256 : str
        Of the file.
    used : bool
    reason : str
        Why it is not used, or is used although a test failed.
    """

    file: str
    subset: str | None = None
    rotation_deg: float | None = None
    time: str | None = None
    maker: str | None = None
    camera: str | None = None
    body: str | None = None
    lens: str | None = None
    telescope: str | None = None
    filter: str | None = None
    distance_m: float | None = None
    orientation: int | None = None
    row_order: str | None = None
    focal_length_mm: float | None = None
    aperture: float | None = None
    iso: float | None = None
    exposure_s: float | None = None
    gain: float | None = None
    offset: float | None = None
    egain_e_per_dn: float | None = None
    readout_mode: str | None = None
    binning: str | None = None
    temperature_c: float | None = None
    rotator_deg: float | None = None
    focus_position: float | None = None
    pier_side: str | None = None
    bits: int | None = None
    combined: int | None = None
    calibrated: str | None = None
    rows: int | None = None
    columns: int | None = None
    cfa: str | None = None
    black_dn: tuple | None = None
    zero_level: str | None = None
    black_off_dn: float | None = None
    white_dn: float | None = None
    level_dn: float | None = None
    levels_dn: dict = field(default_factory=dict)
    saturation_dn: float | None = None
    saturations_dn: dict = field(default_factory=dict)
    saturated: float | None = None
    saturated_percent: dict = field(default_factory=dict)
    snr: float | None = None
    departure_percent: float | None = None
    departure_sigma: float | None = None
    remark: str = ""
    doubt: str = ""
    sha256: str | None = None
    used: bool = True
    reason: str = ""

    @property
    def shape(self):
        """Rows and columns."""
        return self.rows, self.columns

    @property
    def size(self):
        """Rows and columns in words; None where they are not known."""
        return None if self.rows is None else f"{self.rows} x {self.columns}"

    def add_doubt(self, text):
        """Say something more that should be looked at."""
        self.doubt = "; ".join(part for part in (self.doubt, text) if part)

    def leave_out(self, reason):
        """Do not use the frame."""
        self.used, self.reason = False, reason


#: Columns by channel: beginning and end of their names.
BY_CHANNEL = {
    "levels_dn": ("level_", "_dn"),
    "saturations_dn": ("saturation_", "_dn"),
    "saturated_percent": ("saturated_", "_percent"),
}
#: Columns of frames that have a place in a set, and of flats, which are tested.
PLACE, TESTS = ("subset", "rotation_deg"), ("saturated_percent", "snr", "departure_percent", "departure_sigma")


def columns_of(channels, placed=False, tested=False):
    """Header line of a table of frames with these channels.

    Parameters
    ----------
    channels : sequence of str
    placed : bool
        With subset and rotation.
    tested : bool
        With the tests that flats must pass.
    """
    columns = []
    for each in fields(FrameRecord):
        if (each.name in PLACE and not placed) or (each.name in TESTS and not tested):
            continue
        begin, end = BY_CHANNEL.get(each.name, (None, None))
        columns += [f"{begin}{channel.lower()}{end}" for channel in channels] if begin else [each.name]
    return columns


def write_frames(path, frames, channels, placed=False, tested=False):
    """Write a table of frames; `columns_of` gives its columns.

    Parameters
    ----------
    path : str
    frames : list of FrameRecord
    channels : sequence of str
    placed, tested : bool
    """
    write_table(path, [_row_of(frame, channels) for frame in frames], columns_of(channels, placed, tested))


def _row_of(frame, channels):
    row = {each.name: getattr(frame, each.name) for each in fields(frame)}
    row["black_dn"] = None if frame.black_dn is None else " ".join(f"{level:.9g}" for level in frame.black_dn)
    for name, (begin, end) in BY_CHANNEL.items():
        row |= {f"{begin}{channel.lower()}{end}": row[name].get(channel) for channel in channels}
    return row


def read_frames(path):
    """Read a table of frames.

    Returns
    -------
    list of FrameRecord
    """
    return [_record_of(row) for row in read_table(path)]


def _record_of(row):
    values: dict[str, Any] = {}
    for each in fields(FrameRecord):
        if each.name in BY_CHANNEL:
            begin, end = BY_CHANNEL[each.name]
            values[each.name] = {
                name[len(begin) : -len(end)].upper(): float(text)
                for name, text in row.items()
                if name.startswith(begin) and name.endswith(end) and len(name) > len(begin) + len(end) and text
            }
        elif row.get(each.name) is not None:
            kind = (get_args(each.type) or (each.type,))[0]
            values[each.name] = READERS.get(kind, str)(row[each.name])
    return FrameRecord(**values)


#: How the text of a table is read, by the type of the field.
READERS: dict[Any, Any] = {
    int: int,
    float: float,
    bool: lambda text: text == "yes",
    tuple: lambda text: tuple(map(float, text.split())),
}


def gather_frames(paths):
    """Frames of several tables by the name of their folder."""
    return {Path(path).parent.name: read_frames(path) for path in paths}


def used_frames(frames):
    """Frames that count."""
    return [frame for frame in frames if frame.used]


def find_frame(frames, file):
    """Record of a file, by its name in the table."""
    return next(frame for frame in frames if frame.file == file)


def list_files(frames, most=3):
    """Names of the files of some frames, for messages: the first ones, and how many more there are."""
    names = [frame.file for frame in frames]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


@dataclass(frozen=True)
class Selection:
    """Files of which a table says whether they count, and what is subtracted from them.

    Attributes
    ----------
    paths : list of str
        None where bands of them were combined before.
    files : list of str
        Their names in the table.
    table : str
        ``inspected.tsv`` of a set, or ``bias.tsv`` and the like.
    bias : str, optional
        Master of the offset frames, which takes the place of the black level of the metadata.
    reading : bool or dict
        How frames are read, see `flatfield.raw.decode.Reading`.
    step : int
        Every n-th of the frames that count.
    """

    paths: list
    files: list
    table: str
    bias: str | None = None
    reading: bool = False
    step: int = 1

    def choose(self):
        """Paths and records of the files that count.

        Raises
        ------
        InventoryError
            If the table lacks a file.
        """
        frames = {frame.file: frame for frame in read_frames(self.table)}
        lost = next((file for file in self.files if file not in frames), None)
        if lost is not None:
            raise InventoryError(f"{self.table} does not list {lost}; remove that table and run the workflow again")
        chosen = [index for index, file in enumerate(self.files) if frames[file].used][:: self.step]
        paths = [self.paths[index] for index in chosen] if self.paths else []
        return paths, [frames[self.files[index]] for index in chosen]

    def used_of_table(self):
        """All frames of the table that count, whether they are among the files or not."""
        return used_frames(read_frames(self.table))


def check_unchanged(paths, frames, table):
    """Check, after they were read, that files are still what a table says.

    Only files that were touched less than `MARGIN` before the table was made, or later, and since they were inspected
    in this run, are read again and compared with their checksum.

    Parameters
    ----------
    paths : list of str
    frames : list of FrameRecord
    table : str
        Where they are from.

    Raises
    ------
    FrameError
        If one changed or is gone.
    """
    made = os.stat(table).st_mtime_ns - MARGIN * 10**9
    for path, frame in zip(paths, frames, strict=True):
        state = state_of(path)
        touched = state is None or (max(state[1:]) >= made and find_entry(frame.sha256, path) is None)
        if touched and (state is None or hashlib.sha256(read_content(path)).hexdigest() != frame.sha256):
            raise FrameError(
                f"{path} is not the file that was inspected for {table}; if it is right as it is now, touch it and run "
                "again"
            )
