"""Bands of rows: parts of a combination that jobs of their own make, for sets too large for one node."""

import numpy as np
from astropy.io import fits

from flatfield.files.errors import CombinationError
from flatfield.files.fits import image_hdu, write_fits
from flatfield.files.memory import band_height


def cut_band(rows, band, halo=0):
    """Rows of a band.

    Parameters
    ----------
    rows : int
        Of the frames.
    band : tuple of int, or None
        Number of the band, from 0, and how many there are; all rows without.
    halo : int
        Rows above and below that are needed too, as far as the frames have them.

    Returns
    -------
    needed : slice
        Rows of the frames to read.
    inner : slice
        Of these, the rows of the band.

    Raises
    ------
    CombinationError
        If a band would have no rows.

    Examples
    --------
    >>> cut_band(100, (1, 3), halo=2)
    (slice(34, 74, None), slice(2, 38, None))
    """
    if band is None:
        return slice(0, rows), slice(0, rows)
    number, count = band
    height = band_height(rows, count)
    start, stop = number * height, min((number + 1) * height, rows)
    if start >= stop:
        raise CombinationError(f"{rows} rows cannot be cut into {count} bands of whole tiles; lower `bands`")
    first, last = max(start - halo, 0), min(stop + halo, rows)
    return slice(first, last), slice(start - first, stop - first)


def write_band(path, arrays):
    """Write the parts of a combination in a band; equal input gives equal bytes.

    Parameters
    ----------
    path : str
    arrays : dict
        2-D arrays by name; empty ones are left out.
    """
    hdus = [image_hdu(None)] + [image_hdu(array, name=name) for name, array in arrays.items() if array.size]
    write_fits(path, hdus)


def join_bands(paths):
    """Put bands together.

    Parameters
    ----------
    paths : list of str
        Of all bands, from the top.

    Returns
    -------
    dict
        Arrays of the whole frames by name, as they were written; those left out are empty.
    """
    parts = {}
    for path in paths:
        with fits.open(path, memmap=False) as hdus:
            for hdu in hdus[1:]:
                parts.setdefault(hdu.name.lower(), []).append(hdu.data.astype(hdu.data.dtype.newbyteorder("=")))
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}
