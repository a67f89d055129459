"""Make the inventory of the offset or dark frames of a set or light, and check that they belong together."""

from flatfield.raw.cfa import ColorFilterArray
from flatfield.measure.inspection import columns, inspect_frames
from flatfield.measure.consistency import reject_mismatches
from flatfield.files.job import logged_job
from flatfield.measure.screening import find_copies
from flatfield.files.tables import write_table


#: Longest exposure of darks as a multiple of the shortest; that of bias frames does not matter.
EXPOSURE_SPANS = {"dark": 1.01, "bias": float("inf")}


def main(kind, frames, inventory, options, threads):
    """Write ``bias.tsv`` or ``dark.tsv``: ``frames.tsv`` but for subset and rotation.

    Parameters
    ----------
    kind : {"bias", "dark"}
    frames : list of str
        In natural order.
    inventory : str
        Table to write.
    options : dict
        files (names for the table), overscan.
    threads : int

    Raises
    ------
    InventoryError
        If a frame cannot be read, or the frames do not belong together.
    """
    rows = inspect_frames(frames, options["files"], options["overscan"], None, threads)
    reject_mismatches(rows, EXPOSURE_SPANS[kind], "error", "take out those that do not belong")
    copies = find_copies(rows, "sha256")
    for row in rows:
        if id(row) in copies:
            row.update(used=False, reason=copies[id(row)])
    write_table(inventory, rows, columns(ColorFilterArray.from_name(rows[0]["cfa"]).channels))


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.wildcards.offset,
            snakemake.input.frames,
            snakemake.output.inventory,
            snakemake.params.options,
            snakemake.threads,
        )
