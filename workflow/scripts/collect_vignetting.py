"""Collect the centre/corner ratios of the frames of a light."""

from pathlib import Path

from flatfield.job import logged_job
from flatfield.tables import read_table, write_table


def main(tables, vignetting):
    """Write ``vignetting.tsv``.

    Parameters
    ----------
    tables : list of str
        A table a frame, named as the frame.
    vignetting : str
        Table to write: frame, channel, stage, center, corner, ratio.
    """
    rows = [{"frame": Path(path).stem, **row} for path in tables for row in read_table(path)]
    write_table(vignetting, rows, list(rows[0]))


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(snakemake.input.tables, snakemake.output.vignetting)
