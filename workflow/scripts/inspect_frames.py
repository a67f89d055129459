"""Read each frame of a set once: what it is, and whether it belongs with the others."""

from flatfield.raw.cfa import ColorFilterArray
from flatfield.measure.inspection import columns, inspect_frames
from flatfield.measure.consistency import check_offsets, reject_mismatches
from flatfield.files.job import logged_job
from flatfield.files.fits import read_image
from flatfield.measure.screening import compare_halves, screen_frames
from flatfield.files.tables import NOT_DETERMINED, read_table, write_table


DRIFT_COLUMNS = [
    *["subset", "channel", "rms_percent", "noise_percent", "gradient_percent", "gradient_error", "direction_deg"],
    *["direction_error", "significant", "reason"],
]


def main(frames, bias, bias_inventory, inspected, drift, options, threads):
    """Write ``inspected.tsv`` (``frames.tsv`` but for subset and rotation) and ``drift.tsv``.

    Parameters
    ----------
    frames : list of str
        In natural order.
    bias, bias_inventory : str or None
        Master of the offset frames, and their table.
    inspected, drift : str
        Tables to write: a row a frame; and how the second half of each subset differs from the first.
    options : dict
        files (names for the table), overscan, mismatch, exposure_span, subsets (of each frame; frames are
        compared within), bad_frames, min_frames, tests (section ``frame_tests`` of the configuration).
    threads : int

    Raises
    ------
    InventoryError
        If frames do not belong together, or the offset frames not to them.
    """
    master = read_image(bias)[0] if bias else None
    rows = inspect_frames(frames, options["files"], options["overscan"], master, threads, look=True)
    reject_mismatches(rows, options["exposure_span"], options["mismatch"])
    if bias_inventory:
        check_offsets(rows, read_table(bias_inventory))
    screen_frames(rows, options["subsets"], options["tests"], options["min_frames"], options["bad_frames"])
    cfa = ColorFilterArray.from_name(next(row["cfa"] for row in rows if row["used"]))
    write_table(inspected, rows, columns(cfa.channels, screened=True))
    write_table(drift, compare_subset_halves(rows, options["subsets"], cfa), DRIFT_COLUMNS)


def compare_subset_halves(frames, owners, cfa):
    """Rows of ``drift.tsv``: for each subset and channel what changed between its halves."""
    rows = []
    for subset in filter(None, dict.fromkeys(owners)):
        members = [row for row, owner in zip(frames, owners, strict=True) if owner == subset and row["used"]]
        if members:
            measured = compare_halves(members, cfa, (members[0]["rows"], members[0]["columns"]))
            rows += [
                {"subset": subset, "channel": name} | row for name, row in zip(cfa.channels, measured, strict=True)
            ]
    for row in rows:
        row.update({name: NOT_DETERMINED for name in DRIFT_COLUMNS if row[name] is None})
    return rows


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.frames,
            snakemake.input.bias or None,
            snakemake.input.bias_inventory or None,
            snakemake.output.inspected,
            snakemake.output.drift,
            snakemake.params.options,
            snakemake.threads,
        )
