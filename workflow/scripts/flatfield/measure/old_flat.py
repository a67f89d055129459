"""An old master flat, ours or another program's, brought beside a new one."""

import numpy as np
from astropy.io import fits

from flatfield.files.errors import CalibrationError
from flatfield.raw.decode import is_fits, read_signal
from flatfield.raw.mosaic import Mosaic


def read_old_flat(path, like):
    """Read an old master: a FITS or XISF file of one image; of ours with its error and mask.

    Parameters
    ----------
    path : str
    like : Mosaic
        The new master.

    Returns
    -------
    Mosaic
        Top row first, in the unit of the file (numbers from 0 to 1 times 65535); without a pattern of its own it has
        that of `like`. Its header has ``DATE-OBS`` where the file tells it.

    Raises
    ------
    CalibrationError
        If it is no FITS or XISF file, or differs from the new master in size or colour pattern.
    FrameError
        If it cannot be read, or is not one image.
    """
    if not is_fits(path):
        raise CalibrationError(f"{path} is no master flat in FITS or XISF; give one image that is not debayered")
    value, frame = read_signal(path)
    if value.shape != like.shape:
        ours, theirs = (" x ".join(map(str, each)) for each in (like.shape, value.shape))
        raise CalibrationError(
            f"{path} has {theirs} pixels and the new master {ours} (rows x columns); give an old master of the same "
            "camera and binning, without a border cut off"
        )
    if frame.cfa.name not in (like.cfa.name, "MONO"):
        raise CalibrationError(
            f"{path} has the colour pattern {frame.cfa.name} and the new master {like.cfa.name}; give an old master of "
            "the same camera, or correct BAYERPAT and ROWORDER in its header"
        )
    error, mask = companions(path, like.shape, frame.metadata.row_order)
    taken = frame.metadata.time
    return Mosaic(value, like.cfa, fits.Header([("DATE-OBS", taken)] if taken else []), error, mask)


def companions(path, shape, row_order):
    """Error and mask (1: bad) beside the image of a master, top row first; None where it has none.

    Parameters
    ----------
    path : str
    shape : tuple of int
        Of the image.
    row_order : str or None
        In which it is stored.
    """
    if not str(path).lower().endswith((".fits", ".fit", ".fts")):
        return None, None
    with fits.open(path, memmap=False) as hdus:
        error, mask = (_companion(hdus, name, shape) for name in ("UNCERT", "MASK"))
    if row_order == "BOTTOM-UP":
        error, mask = (each if each is None else each[::-1] for each in (error, mask))
    return error, None if mask is None else (mask != 0).astype(np.uint8)


def _companion(hdus, name, shape):
    """Data of an extension of the size of the image; None without one."""
    if name not in hdus or not hdus[name].is_image or hdus[name].shape != shape:
        return None
    return hdus[name].data.astype(np.float32)
