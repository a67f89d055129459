"""A FITS file read back: extensions, bands, sizes, types, checksums."""

import warnings

import numpy as np
from astropy.io import fits

from flatfield.files.errors import CalibrationError


def check_fits(path):
    """Read a file back and check it.

    Returns
    -------
    list of dict
        One row an HDU: hdu, name, band, rows, columns, dtype, minimum, maximum.

    Raises
    ------
    CalibrationError
        If a checksum is missing or wrong, or a pixel is not finite.
    """
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with fits.open(path, memmap=False, checksum=True) as hdus:
                for index, hdu in enumerate(hdus):
                    if "CHECKSUM" not in hdu.header or "DATASUM" not in hdu.header:
                        raise CalibrationError(f"HDU {index} of {path} has no CHECKSUM; make the file again")
                    rows.append(_describe_hdu(index, hdu, path))
        except (Warning, OSError) as error:
            raise CalibrationError(f"{path} does not read back as written ({error}); make it again") from error
    return rows


def _describe_hdu(index, hdu, path):
    data = hdu.data
    if data is not None and not np.isfinite(data).all():
        raise CalibrationError(f"HDU {index} of {path} holds pixels that are not finite")
    rows, columns = (None, None) if data is None else data.shape
    return {
        "hdu": index,
        "name": hdu.name,
        "band": hdu.header.get("BAND"),
        "rows": rows,
        "columns": columns,
        "dtype": None if data is None else data.dtype.newbyteorder("=").name,
        "minimum_dn": None if data is None else float(data.min()),
        "maximum_dn": None if data is None else float(data.max()),
    }


def check_planes(path):
    """Check a file of debayered planes.

    Returns
    -------
    list of dict
        See `check_fits`.

    Raises
    ------
    CalibrationError
        If the file is damaged, or its extensions are not the channels.
    """
    rows = check_fits(path)
    bands = [row["band"] for row in rows[1:]]
    if rows[0]["rows"] is not None or bands not in (["RED", "GREEN", "BLUE"], ["MONO"]):
        raise CalibrationError(f"{path} holds the extensions {bands}, not RED, GREEN, BLUE or MONO; make it again")
    return rows
