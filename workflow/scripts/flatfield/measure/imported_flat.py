"""A master flat of any program, brought into the form of ours."""

import hashlib

import numpy as np
from astropy.io import fits

from flatfield.files.errors import CalibrationError
from flatfield.files.fits import describe_mosaic
from flatfield.files.frame_table import FrameRecord
from flatfield.files.reading import read_content
from flatfield.measure.old_flat import companions
from flatfield.raw.cfa import ColorFilterArray
from flatfield.raw.decode import read_signal
from flatfield.raw.metadata import COLUMNS
from flatfield.raw.mosaic import Mosaic

#: Why its noise and its light source are not known.
NOISE_REASON = "the flat is a master whose frames are not there"
SOURCE_REASON = "the flat is a master whose subsets are not there"


def import_flat(path, file, cfa=None):
    """Read a master flat, from which bias or dark have been subtracted already.

    Parameters
    ----------
    path : str
        FITS or XISF file of one image; of ours with its error and mask.
    file : str
        Its name in tables.
    cfa : str, optional
        Name of its colour pattern, where the file has none.

    Returns
    -------
    mosaic : Mosaic
        With error, which is not finite where the file has none.
    record : FrameRecord
        What the file says of how it was taken.

    Raises
    ------
    FrameError
        If it cannot be read, or is not one image.
    CalibrationError
        If no pixel is above 0.
    """
    value, frame = read_signal(path)
    if not (value > 0).any():
        raise CalibrationError(f"{path} has no pixel above 0 and can be no flat; name another one")
    pattern = ColorFilterArray.from_name(cfa) if cfa and frame.cfa.is_mono else frame.cfa
    error, mask = companions(path, value.shape, frame.metadata.row_order)
    error = np.full(value.shape, np.nan, np.float32) if error is None else error
    meta = frame.metadata
    header = fits.Header([("IMAGETYP", "Master Flat"), ("FLATSRC", file.rpartition("/")[2], "read from this file")])
    if meta.iso is not None:
        header["ISOSPEED"] = meta.iso
    if meta.exposure is not None:
        header["EXPTIME"] = meta.exposure
    header.update(describe_mosaic(pattern.name))
    record = FrameRecord(
        file,
        time=meta.time,
        **{column: getattr(meta, attribute) for attribute, column in COLUMNS.items()},
        rows=value.shape[0],
        columns=value.shape[1],
        cfa=pattern.name,
        sha256=hashlib.sha256(read_content(path)).hexdigest(),
    )
    return Mosaic(value, pattern, header, error, mask), record
