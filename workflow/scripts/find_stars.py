"""Find the stars of a calibrated light and measure them."""

from flatfield.files.job import run
from flatfield.files.tables import write_table
from flatfield.measure.stars import columns_of_stars, find_stars, rows_of_stars
from flatfield.raw.mosaic import read_mosaic


def main(mosaic, stars):
    """Write the table of the stars of a frame, the brightest first; without rows where there are none.

    Parameters
    ----------
    mosaic : str
        Calibrated light, DN above black.
    stars : str
        Table to write.
    """
    light = read_mosaic(mosaic, mask=True)
    write_table(stars, rows_of_stars(find_stars(light)), columns_of_stars(light.cfa.channels))


if "snakemake" in globals():
    run(main, snakemake)
