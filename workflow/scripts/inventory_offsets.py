"""Make the inventory of the offset or dark frames of a set or light, and check that they belong together."""

from flatfield.cfa import ColorFilterArray
from flatfield.inspection import columns, inspect_frames
from flatfield.inventory import reject_mismatches
from flatfield.job import logged_job
from flatfield.tables import write_table


def main(frames, inventory, options, threads):
    """Write ``bias.tsv`` or ``dark.tsv``: ``frames.tsv`` but for subset and rotation.

    Parameters
    ----------
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
    reject_mismatches(rows, float("inf"), "error")
    write_table(inventory, rows, columns(ColorFilterArray.from_name(rows[0]["cfa"]).channels))


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.frames,
            snakemake.output.inventory,
            snakemake.params.options,
            snakemake.threads,
        )
