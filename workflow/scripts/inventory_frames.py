"""Make the inventory of a set: read each frame once, and check that the frames belong together."""

from flatfield.cfa import ColorFilterArray
from flatfield.errors import InventoryError
from flatfield.inventory import check_order, columns, inspect_frames, reject_mismatches
from flatfield.job import logged_job
from flatfield.products import read_image
from flatfield.tables import write_table


def main(frames, bias, inventory, options, threads):
    """Write ``frames.tsv``.

    Parameters
    ----------
    frames : list of str
        In natural order.
    bias : str or None
        Master of the offset frames.
    inventory : str
        Table to write.
    options : dict
        files (names for the table), subsets and rotations of the frames; sliced, overscan, mismatch,
        exposure_span, check_times.
    threads : int

    Raises
    ------
    InventoryError
        If frames do not belong together, are out of order, or a subset is left without a frame.
    """
    rows = inspect_frames(frames, options["overscan"], read_image(bias)[0] if bias else None, threads)
    for row, file, subset, rotation in zip(
        rows, options["files"], options["subsets"], options["rotations"], strict=True
    ):
        row.update(file=file, subset=subset, rotation_deg=rotation)
    reject_mismatches(rows, options["exposure_span"], options["mismatch"])
    if options["sliced"] and options["check_times"]:
        check_order([row for row in rows if row["used"]])
    empty = set(options["subsets"]) - {row["subset"] for row in rows if row["used"]} - {""}
    if empty:
        reasons = next(row["reason"] for row in rows if row["subset"] in empty)
        raise InventoryError(f"no usable frame is left in subset {sorted(empty)[0]}: {reasons}")
    cfa = ColorFilterArray.from_name(next(row["cfa"] for row in rows if row["used"]))
    write_table(inventory, rows, columns(cfa.channels))


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.frames,
            snakemake.input.bias or None,
            snakemake.output.inventory,
            snakemake.params.options,
            snakemake.threads,
        )
