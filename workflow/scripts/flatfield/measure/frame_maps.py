"""Frames in coarse blocks, kept on disk, so that how halves of a subset are compared combines no frame again."""

import numpy as np
from astropy.io import fits

from flatfield.files.fits import write_fits
from flatfield.measure.screening import COARSENINGS, coarsen


def write_maps(path, frames, statistics):
    """Write the frames that count in coarse blocks, in which halves of a subset are compared.

    Parameters
    ----------
    path : str
        FITS file, float64, ``(frames, channels, rows, columns)``, DN above black; 0 for frames that do not
        count.
    frames : list of FrameRecord
    statistics : list of flatfield.measure.screening.FrameStatistics
    """
    shape = next(each.map.shape for frame, each in zip(frames, statistics, strict=True) if frame.used)
    step = min(COARSENINGS[-1], *shape[1:])
    empty = np.zeros((shape[0], *(length // step for length in shape[1:])))
    coarse = [coarsen(each.map, step) if frame.used else empty for frame, each in zip(frames, statistics, strict=True)]
    hdu = fits.PrimaryHDU(np.array(coarse))
    hdu.header["STEP"] = (step, "blocks of the screening in one of these, a side")
    write_fits(path, [hdu])


def read_maps(path):
    """Read a file of `write_maps`.

    Returns
    -------
    maps : numpy.ndarray, float64, ``(frames, channels, rows, columns)``
        DN above black.
    step : int
        Blocks of `flatfield.measure.screening` in one of these, a side.
    """
    with fits.open(path, memmap=False) as hdus:
        return hdus[0].data.astype(np.float64), hdus[0].header["STEP"]
