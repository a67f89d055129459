"""Mosaics: what travels between rules, value, error, mask, colour pattern and header in one FITS file."""

from dataclasses import dataclass

import numpy as np
from astropy.io import fits

from flatfield.files.fits import describe_mosaic, image_hdu, write_fits
from flatfield.raw.cfa import ColorFilterArray


@dataclass
class Mosaic:
    """An image that is not debayered; as astropy's ``CCDData``, which opens its files, without the copies.

    Attributes
    ----------
    value : numpy.ndarray, float32, ``(rows, columns)``
        DN above black.
    cfa : ColorFilterArray
    header : astropy.io.fits.Header
    error : numpy.ndarray, float32, ``(rows, columns)``, optional
        Standard error (``UNCERT``), in the unit of the value.
    mask : numpy.ndarray, uint8, ``(rows, columns)``, optional
        Not 0 where a pixel must not be trusted (``MASK``).
    used : numpy.ndarray, int16, ``(rows, columns)``, optional
        Number of frames that count (``NUSED``), where that varies.
    """

    value: np.ndarray
    cfa: ColorFilterArray
    header: fits.Header
    error: np.ndarray | None = None
    mask: np.ndarray | None = None
    used: np.ndarray | None = None

    @property
    def shape(self):
        """Rows and columns."""
        return self.value.shape

    @property
    def good(self):
        """Pixels that are not masked."""
        return np.ones(self.shape, bool) if self.mask is None else self.mask == 0


def read_mosaic(path, error=False, mask=False):
    """Read a mosaic.

    Parameters
    ----------
    path : str
    error, mask : bool
        Read these extensions too.

    Returns
    -------
    Mosaic
        Its header lacks the checksums, which are those of the file.
    """
    with fits.open(path, memmap=True) as hdus:
        header = hdus[0].header.copy()
        value = hdus[0].data.astype(np.float32)
        errors = hdus["UNCERT"].data.astype(np.float32) if error else None
        marks = hdus["MASK"].data.astype(np.uint8) if mask else None
    for name in ("CHECKSUM", "DATASUM"):
        header.remove(name, ignore_missing=True)
    cfa = ColorFilterArray.from_name(header.get("BAYERPAT", "MONO"))
    return Mosaic(value, cfa, header, errors, marks)


def write_mosaic(path, mosaic, unit="DN", **marks):
    """Write a mosaic with the extensions that it has; equal input gives equal bytes.

    Parameters
    ----------
    path : str
    mosaic : Mosaic
    unit : str
        ``DN``, or empty for a ratio.
    **marks
        What the values of the mask mean: cards for its header.
    """
    layout = describe_mosaic(mosaic.cfa.name)
    header = mosaic.header.copy()
    header.update(layout)
    hdus = [image_hdu(mosaic.value, header, unit=unit)]
    if mosaic.error is not None:
        hdus.append(image_hdu(mosaic.error, layout, "UNCERT", unit, utype="StdDevUncertainty"))
    if mosaic.mask is not None:
        hdus.append(image_hdu(mosaic.mask, layout, "MASK", **marks))
    if mosaic.used is not None and mosaic.used.size:
        hdus.append(image_hdu(mosaic.used, layout, "NUSED"))
    write_fits(path, hdus)


def header_of_planes(mosaic):
    """Header of debayered planes of a mosaic: without the cards of its colour pattern."""
    header = mosaic.header.copy()
    for name in describe_mosaic("RGGB"):
        header.remove(name, ignore_missing=True)
    return header
