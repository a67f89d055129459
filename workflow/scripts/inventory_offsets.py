"""Inventory of the offset or dark frames of a set or light: they must belong together."""

from flatfield.files.frame_table import write_frames
from flatfield.files.job import run
from flatfield.measure.consistency import reject_mismatches
from flatfield.measure.inspection import inspect_frames
from flatfield.measure.screening import find_copies
from flatfield.raw.cfa import ColorFilterArray

#: Longest exposure of darks as a multiple of the shortest; that of bias frames does not matter.
EXPOSURE_SPANS = {"dark": 1.01, "bias": float("inf")}


def main(frames, inventory, kind, files, reading, threads):
    """Write ``bias.tsv`` or ``dark.tsv``: one row per frame.

    Parameters
    ----------
    frames : list of str
        In natural order.
    inventory : str
        Table to write.
    kind : {"bias", "dark"}
    files : list of str
        Names of the frames for the table.
    reading : bool or dict
        How frames are read, see `flatfield.raw.decode.Reading`.
    threads : int
    """
    records, _ = inspect_frames(frames, files, reading, threads=threads)
    relation = {"bias": "offset", "dark": "dark"}[kind]
    reject_mismatches(records, EXPOSURE_SPANS[kind], "error", "take out those that do not belong", relation)
    for record, reason in find_copies({record: record.sha256 for record in records}).items():
        record.leave_out(reason)
    write_frames(inventory, records, ColorFilterArray.from_name(records[0].cfa).channels)


if "snakemake" in globals():
    run(main, snakemake)
