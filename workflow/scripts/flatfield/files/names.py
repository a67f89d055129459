"""File names: which are FITS, and what products of a frame are called."""

from pathlib import Path

FITS_SUFFIXES = (".fits", ".fit", ".fts", ".fz", ".xisf")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")


def is_fits(path):
    """Whether a file is read as FITS or XISF, by the end of its name (compressed ``.fz`` and ``.gz`` included)."""
    return any(suffix.lower() in FITS_SUFFIXES for suffix in Path(path).suffixes[-2:])


def is_picture(path):
    """Whether a file is a developed picture (JPEG, PNG, TIFF), by the end of its name."""
    return Path(path).suffix.lower() in PICTURE_SUFFIXES


def stem_of(path):
    """Name of a frame without its suffixes, from which its products are named.

    Examples
    --------
    >>> stem_of("night/a.b.fits.fz"), stem_of("night/DSC1.ARW")
    ('a.b', 'DSC1')
    """
    name = Path(path)
    return Path(name.stem).stem if name.suffix.lower() in (".fz", ".gz") else name.stem
