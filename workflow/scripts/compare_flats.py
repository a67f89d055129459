"""Compare old masters with the new one: do they still hold?"""

from pathlib import Path

from flatfield.files.fits import image_hdu, write_fits
from flatfield.files.job import run
from flatfield.files.tables import UNKNOWN, write_table
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
        Table to write: its rows for each old master, the oldest first.
    quotients : str
        FITS file to write: old over new, percent, in blocks, an extension for each old master.
    """
    new, found = read_mosaic(flat, error=True, mask=True), []
    for path in old:
        master = read_old_flat(path, new)
        found.append((master.header.get("DATE-OBS", UNKNOWN), path, compare_flats(master, new)))
        print(f"{path}: {found[-1][2].rows[0]['verdict']} ({found[-1][2].rows[0]['meaning']})")
    found.sort(key=lambda each: (each[0] == UNKNOWN, each[0]))
    names = [{"flat": "/".join(Path(path).parts[-2:]), "taken": taken} for taken, path, _ in found]
    rows = [{**name, **row} for name, (_, _, each) in zip(names, found, strict=True) for row in each.rows]
    write_table(validity, rows, VALIDITY_COLUMNS)
    shape = {"frows": new.shape[0], "fcolumns": new.shape[1], "unit": "percent"}
    images = [image_hdu(each.quotient, name=f"OLD{number}", **shape) for number, (*_, each) in enumerate(found, 1)]
    write_fits(quotients, [image_hdu(None), *images])


if "snakemake" in globals():
    run(main, snakemake)
