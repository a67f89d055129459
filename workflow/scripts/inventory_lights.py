"""Make the inventory of a light: read each frame once."""

from flatfield.raw.cfa import ColorFilterArray
from flatfield.files.errors import FrameError
from flatfield.measure.inspection import columns, inspect_frames
from flatfield.files.job import logged_job
from flatfield.files.fits import read_image
from flatfield.files.tables import write_table


def main(frames, offset, inventory, options, threads):
    """Write ``frames.tsv`` of a light, without subset and rotation.

    Parameters
    ----------
    frames : list of str
    offset : str or None
        Master of the offset or dark frames.
    inventory : str
        Table to write.
    options : dict
        files (names for the table), overscan.
    threads : int

    Raises
    ------
    FrameError
        If a light cannot be read.
    """
    master = read_image(offset)[0] if offset else None
    rows = inspect_frames(frames, options["files"], options["overscan"], master, threads)
    unreadable = next((row for row in rows if not row["used"]), None)
    if unreadable:
        raise FrameError(unreadable["reason"])
    write_table(inventory, rows, columns(ColorFilterArray.from_name(rows[0]["cfa"]).channels))


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.frames,
            snakemake.input.offset or None,
            snakemake.output.inventory,
            snakemake.params.options,
            snakemake.threads,
        )
