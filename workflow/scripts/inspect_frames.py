"""Read each frame of a set once: what it is, and whether it belongs with the others."""

from flatfield.cfa import ColorFilterArray
from flatfield.inventory import columns, inspect_frames, reject_mismatches
from flatfield.job import logged_job
from flatfield.products import read_image
from flatfield.screening import screen_frames
from flatfield.tables import write_table


def main(frames, bias, inspected, options, threads):
    """Write ``inspected.tsv``: ``frames.tsv`` but for subset and rotation.

    Parameters
    ----------
    frames : list of str
        In natural order.
    bias : str or None
        Master of the offset frames.
    inspected : str
        Table to write.
    options : dict
        files (names for the table), overscan, mismatch, exposure_span, subsets (of each frame; frames are
        compared within), bad_frames, min_frames, tests (section ``frame_tests`` of the configuration).
    threads : int

    Raises
    ------
    InventoryError
        If frames do not belong together.
    """
    master = read_image(bias)[0] if bias else None
    rows = inspect_frames(frames, options["files"], options["overscan"], master, threads, look=True)
    reject_mismatches(rows, options["exposure_span"], options["mismatch"])
    screen_frames(rows, options["subsets"], options["tests"], options["min_frames"], options["bad_frames"])
    cfa = ColorFilterArray.from_name(next(row["cfa"] for row in rows if row["used"]))
    write_table(inspected, rows, columns(cfa.channels, screened=True))


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.frames,
            snakemake.input.bias or None,
            snakemake.output.inspected,
            snakemake.params.options,
            snakemake.threads,
        )
