"""Compare the stars of a light at the places of the sensor that they came to."""

from flatfield.files.frame_table import read_frames, used_frames
from flatfield.files.job import run
from flatfield.files.tables import read_table, write_table
from flatfield.measure.star_agreement import STAR_COLUMNS, compare_stars
from flatfield.measure.stars import stars_of_rows
from flatfield.raw.cfa import ColorFilterArray


def main(tables, inventory, stars):
    """Write ``stars.tsv``: a row a channel and term of the error of the flat.

    Parameters
    ----------
    tables : list of str
        Stars of the frames, in their order.
    inventory : str
        ``frames.tsv`` of the light.
    stars : str
        Table to write.
    """
    first = used_frames(read_frames(inventory))[0]
    channels = ColorFilterArray.from_name(first.cfa).channels
    frames = [stars_of_rows(read_table(path), channels) for path in tables]
    write_table(stars, compare_stars(frames, first.shape, channels), STAR_COLUMNS)


if "snakemake" in globals():
    run(main, snakemake)
