"""Debayering: bilinear interpolation of a mosaic, and LibRaw's algorithms to linear camera RGB."""

import numpy as np
import rawpy

from flatfield.errors import FrameError
from flatfield.frames import reason_of
from flatfield.names import is_fits

#: Rows and columns around a pixel that its interpolation can reach.
REACH = 2


def interpolate_bilinear(mosaic, cfa):
    """Interpolate each channel of a mosaic from its neighbours.

    Where a channel was recorded its value is kept; elsewhere it is the mean of the pixels of that channel
    among the eight neighbours, those beside and above counting twice those at the corners (LibRaw's
    linear interpolation). At the border the neighbours that exist are used; where there is none (corners of
    X-Trans), those within two pixels.

    Parameters
    ----------
    mosaic : numpy.ndarray, float32, ``(..., rows, columns)``
        At least 2 x 2 pixels (Bayer) or 6 x 6 (X-Trans); the first is the first of the tile of `cfa`.
    cfa : ColorFilterArray

    Returns
    -------
    numpy.ndarray, float32, ``(channels, ..., rows, columns)``
        In the unit of `mosaic`.

    Examples
    --------
    >>> from flatfield.cfa import ColorFilterArray
    >>> mosaic = np.array([[1, 2, 1, 2], [3, 4, 3, 4]], np.float32)
    >>> interpolate_bilinear(mosaic, ColorFilterArray.from_name("RGGB"))[0]
    array([[1., 1., 1., 1.],
           [1., 1., 1., 1.]], dtype=float32)
    """
    if cfa.is_mono:
        return mosaic[None].astype(np.float32)
    rows, columns = mosaic.shape[-2:]
    channel = cfa.channel_map((rows, columns))
    planes = np.empty((len(cfa.channels), *mosaic.shape), np.float32)
    for index, plane in enumerate(planes):
        here = channel == index
        weight = _weigh_neighbours(here.astype(np.float32))
        total = _weigh_neighbours(np.where(here, mosaic, np.float32(0)))
        if not weight.all():
            far = weight == 0
            weight[far] = _weigh_neighbours(_weigh_neighbours(here.astype(np.float32)))[far]
            total[..., far] = _weigh_neighbours(_weigh_neighbours(np.where(here, mosaic, np.float32(0))))[..., far]
        plane[...] = total / weight
        plane[..., here] = mosaic[..., here]
    return planes


def _weigh_neighbours(image):
    """Convolve with [1 2 1; 2 4 2; 1 2 1], zeros beyond the border."""
    padded = np.pad(image, [(0, 0)] * (image.ndim - 2) + [(1, 1), (1, 1)])
    rows = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    return rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]


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
