"""Read the debayered master back and check it."""

from flatfield.files.errors import CalibrationError
from flatfield.files.job import logged_job
from flatfield.files.fits_check import check_fits
from flatfield.files.tables import write_table


def main(flat, check):
    """Write a row an HDU.

    Parameters
    ----------
    flat : str
        ``flat.fits``.
    check : str
        Table to write.

    Raises
    ------
    CalibrationError
        If the file is damaged, or its extensions are not the channels.
    """
    rows = check_fits(flat)
    bands = [row["band"] for row in rows[1:]]
    if rows[0]["rows"] is not None or bands not in (["RED", "GREEN", "BLUE"], ["MONO"]):
        raise CalibrationError(f"{flat} holds the extensions {bands}, not RED, GREEN, BLUE or MONO; make it again")
    write_table(check, rows, list(rows[0]))


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(snakemake.input.flat, snakemake.output.check)
