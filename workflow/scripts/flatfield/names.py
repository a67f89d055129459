"""File names: which are FITS, and what products of a frame are called."""

from pathlib import Path

FITS_SUFFIXES = (".fits", ".fit", ".fts")


def is_fits(path):
    """Whether a file is read as FITS, by the end of its name (compressed ``.fz`` and ``.gz`` included)."""
    return any(suffix.lower() in FITS_SUFFIXES for suffix in Path(path).suffixes[-2:])


def stem_of(path):
    """Name of a frame without its suffixes, from which its products are named.

    Examples
    --------
    >>> stem_of("night/a.b.fits.fz"), stem_of("night/DSC1.ARW")
    ('a.b', 'DSC1')
    """
    name = Path(path)
    return Path(name.stem).stem if name.suffix.lower() in (".fz", ".gz") else name.stem
