"""Inventory of a light: each frame read once."""

from flatfield.files.errors import FrameError
from flatfield.files.frame_table import used_frames, write_frames
from flatfield.files.job import run
from flatfield.measure.inspection import inspect_frames
from flatfield.measure.offset import Offset
from flatfield.raw.cfa import ColorFilterArray


def main(frames, inventory, files, reading, exclude, threads, bias=None, dark=None, dark_inventory=None):
    """Write ``frames.tsv`` of a light: one row per frame.

    Parameters
    ----------
    frames : list of str
    inventory : str
        Table to write.
    files : list of str
        Names of the frames for the table.
    reading : bool or dict
        How frames are read, see `flatfield.raw.decode.Reading`.
    exclude : bool
        Whether frames that cannot be read are listed as not used.
    threads : int
    bias, dark, dark_inventory : str, optional
        Masters of the offset and dark frames, and ``dark.tsv``.

    Raises
    ------
    FrameError
        If a light cannot be read, or with `exclude` if none can.
    """
    offset = Offset(bias, dark, dark_inventory)
    records, _ = inspect_frames(frames, files, reading, lambda exposure: offset.at(exposure)[0], threads)
    unreadable = next((record for record in records if not record.used), None)
    used = used_frames(records)
    if unreadable and not (exclude and used):
        raise FrameError(unreadable.reason)
    write_frames(inventory, records, ColorFilterArray.from_name(used[0].cfa).channels)


if "snakemake" in globals():
    run(main, snakemake)
