"""Compare old masters with the new one: do they still hold?"""

from pathlib import Path

from flatfield.files.fits import image_hdu, write_fits
from flatfield.files.job import run
from flatfield.files.tables import write_table
from flatfield.measure.old_flat import read_old_flat
from flatfield.measure.validity import VALIDITY_COLUMNS, compare_flats
from flatfield.raw.mosaic import read_mosaic


def main(flat, old, validity, quotients):
    """Write the table, and each old master over the new one.

    Parameters
    ----------
    flat : str
        ``flat_cfa.fits``.
    old : list of str
        Old masters.
    validity : str
        Table to write: its rows for each old master.
    quotients : str
        FITS file to write: old over new, percent, in blocks, an extension for each old master.
    """
    new, rows, hdus = read_mosaic(flat, error=True, mask=True), [], [image_hdu(None)]
    shape = {"frows": new.shape[0], "fcolumns": new.shape[1]}
    for number, path in enumerate(old, 1):
        name = "/".join(Path(path).parts[-2:])
        found = compare_flats(read_old_flat(path, new), new)
        rows += [{"flat": name, **row} for row in found.rows]
        hdus.append(image_hdu(found.quotient, name=f"OLD{number}", unit="percent", **shape))
        print(f"{path}: {found.rows[0]['verdict']} ({found.rows[0]['meaning']})")
    write_table(validity, rows, VALIDITY_COLUMNS)
    write_fits(quotients, hdus)


if "snakemake" in globals():
    run(main, snakemake)
