"""Read the debayered master back and check it."""

from flatfield.files.fits_check import check_planes
from flatfield.files.job import run
from flatfield.files.tables import write_table


def main(flat, check):
    """Write one row per HDU of ``flat.fits``; see `flatfield.files.fits_check.check_planes`."""
    rows = check_planes(flat)
    write_table(check, rows, list(rows[0]))


if "snakemake" in globals():
    run(main, snakemake)
