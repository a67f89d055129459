"""Development of raw files by LibRaw: its demosaicing to linear camera RGB, and its default pictures."""

import numpy as np
import rawpy

from flatfield.files.errors import FrameError
from flatfield.files.names import is_fits
from flatfield.raw.decode import reason_of


def develop(path, algorithm):
    """Debayer a raw file by one of LibRaw's algorithms, to linear camera RGB.

    No white balance, gamma, automatic scaling or brightness, camera colour space, never flipped. LibRaw
    subtracts the black level, clips at 0 and rounds.

    Parameters
    ----------
    path : str
    algorithm : str
        Name of a `rawpy.DemosaicAlgorithm`, such as AHD.

    Returns
    -------
    numpy.ndarray, uint16, ``(3, rows, columns)``
        DN above black.

    Raises
    ------
    FrameError
        For FITS frames, algorithms that this LibRaw lacks, and files it cannot decode.
    """
    return _postprocess(
        path,
        demosaic_algorithm=rawpy.DemosaicAlgorithm[algorithm],
        gamma=(1, 1),
        output_bps=16,
        no_auto_bright=True,
        no_auto_scale=True,
        output_color=rawpy.ColorSpace.raw,
        use_camera_wb=False,
        use_auto_wb=False,
        adjust_maximum_thr=0,
    )


def develop_picture(path):
    """Develop a raw file with LibRaw's defaults, as the notebook did with its lights.

    8 bit, sRGB with its gamma, automatic brightness, daylight white balance: not a linear measure of light.

    Returns
    -------
    numpy.ndarray, uint8, ``(3, rows, columns)``

    Raises
    ------
    FrameError
        For FITS frames and files that LibRaw cannot decode.
    """
    return _postprocess(path)


def _postprocess(path, **options):
    if is_fits(path):
        raise FrameError(f"{path} is FITS, which LibRaw cannot debayer; set `debayer: {{algorithm: bilinear}}`")
    try:
        with rawpy.imread(str(path)) as raw:
            return np.ascontiguousarray(raw.postprocess(user_flip=0, **options).transpose(2, 0, 1))
    except (rawpy.LibRawError, rawpy.NotSupportedError) as error:
        raise FrameError(f"{path} cannot be debayered ({reason_of(error)})") from error
