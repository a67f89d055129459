"""Collect the causes and the falloff of the frames of a light."""

from flatfield.files.job import run
from flatfield.files.tables import collect_tables


def main(diagnoses, falloffs, diagnosis, falloff):
    """Join the tables of the frames: one row per frame and cause; one per frame, channel and place."""
    collect_tables(diagnoses, diagnosis)
    collect_tables(falloffs, falloff)


if "snakemake" in globals():
    run(main, snakemake)
