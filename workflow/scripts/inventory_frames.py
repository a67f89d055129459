"""Make the inventory of a set: which subset each frame belongs to, and whether the order is right."""

from flatfield.raw.cfa import ColorFilterArray
from flatfield.files.errors import InventoryError
from flatfield.measure.inspection import columns
from flatfield.files.frame_table import used_frames
from flatfield.measure.consistency import check_order
from flatfield.files.job import logged_job
from flatfield.files.tables import read_table, write_table


def main(inspected, inventory, options):
    """Write ``frames.tsv``.

    Parameters
    ----------
    inspected : str
        ``inspected.tsv`` of the set.
    inventory : str
        Table to write.
    options : dict
        subsets and rotations of the frames, in the order of the table; sliced, check_times.

    Raises
    ------
    InventoryError
        If frames are out of order, or a subset is left without a frame.
    """
    rows = read_table(inspected)
    for row, subset, rotation in zip(rows, options["subsets"], options["rotations"], strict=True):
        row.update(subset=subset, rotation_deg=rotation)
    used = used_frames(rows)
    if options["sliced"] and options["check_times"]:
        check_order(used)
    empty = set(options["subsets"]) - {row["subset"] for row in used} - {""}
    if empty:
        reason = next(row["reason"] for row in rows if row["subset"] in empty)
        raise InventoryError(f"no usable frame is left in subset {min(empty)}: {reason}")
    write_table(
        inventory, rows, columns(ColorFilterArray.from_name(used[0]["cfa"]).channels, placed=True, screened=True)
    )


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(snakemake.input.inspected, snakemake.output.inventory, snakemake.params.options)
