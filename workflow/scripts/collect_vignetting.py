"""Collect the centre/corner ratios of the frames of a light."""

from flatfield.files.job import run
from flatfield.files.tables import collect_tables


def main(tables, vignetting):
    """Join the tables of the frames: one row per frame, channel and stage."""
    collect_tables(tables, vignetting)


if "snakemake" in globals():
    run(main, snakemake)
