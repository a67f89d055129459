"""Collect the centre/corner ratios of the frames of a light."""

from flatfield.files.job import logged_job
from flatfield.files.tables import collect_tables

if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        collect_tables(snakemake.input.tables, snakemake.output.vignetting)
