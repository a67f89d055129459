"""Measure the debayered master in boxes."""

from flatfield.job import logged_job
from flatfield.products import read_planes
from flatfield.regions import measure_boxes
from flatfield.tables import write_table


def main(flat, stats, regions):
    """Write ``stats.tsv``.

    Parameters
    ----------
    flat : str
        ``flat.fits``.
    stats : str
        Table to write.
    regions : dict
        Section ``regions`` of the configuration.
    """
    planes, channels, _ = read_planes(flat)
    rows = measure_boxes(planes, channels, regions)
    write_table(stats, rows, list(rows[0]))


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(snakemake.input.flat, snakemake.output.stats, snakemake.params.regions)
