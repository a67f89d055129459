"""Debayering: bilinear interpolation of a mosaic, and LibRaw's algorithms to linear camera RGB."""

import numpy as np
import rawpy
from scipy.ndimage import convolve

from flatfield.combine.methods import combine_interpolated
from flatfield.files.errors import FrameError
from flatfield.raw.decode import reason_of
from flatfield.files.names import is_fits
from flatfield.combine.stack import stack_frames


def interpolate_bilinear(mosaic, cfa, threads=1):
    """Interpolate each channel of a mosaic from its neighbours, see `flatfield.combine.kernels.combine_planes`.

    Parameters
    ----------
    mosaic : numpy.ndarray, float32, ``(rows, columns)``
        At least 2 x 2 pixels (Bayer) or 6 x 6 (X-Trans); the first is the first of the tile of `cfa`.
    cfa : ColorFilterArray
    threads : int

    Returns
    -------
    numpy.ndarray, float32, ``(channels, rows, columns)``
        In the unit of `mosaic`.

    Examples
    --------
    >>> from flatfield.cfa import ColorFilterArray
    >>> mosaic = np.array([[1, 2, 1, 2], [3, 4, 3, 4]], np.float32)
    >>> interpolate_bilinear(mosaic, ColorFilterArray.from_name("RGGB"))[0]
    array([[1., 1., 1., 1.],
           [1., 1., 1., 1.]], dtype=float32)
    """
    levels = np.zeros((1, 4), np.float32)
    stack = stack_frames([mosaic.astype(np.float32)], levels, levels + 1, cfa, threads=threads)
    return combine_interpolated(stack, {"method": "mean"}, with_error=False)[0]


def interpolate_box(mosaic, cfa, box):
    """Planes of a box of the frame: those of `interpolate_bilinear`, without the rest of them.

    Parameters
    ----------
    mosaic : numpy.ndarray, float32, ``(rows, columns)``
    cfa : ColorFilterArray
    box : tuple of slice
        Rows and columns.
    """
    p = cfa.period
    start = [max(part.start // p - 1, 0) * p for part in box]
    wide = tuple(slice(first, part.stop + 2 * p) for first, part in zip(start, box, strict=True))
    inner = tuple(slice(part.start - first, part.stop - first) for first, part in zip(start, box, strict=True))
    return interpolate_bilinear(mosaic[wide], cfa)[(slice(None), *inner)]


def interpolate_variance(variance, cfa):
    """Variance of bilinearly interpolated pixels, from that of the recorded ones, which are independent.

    Parameters
    ----------
    variance : numpy.ndarray, float32, ``(rows, columns)``
    cfa : ColorFilterArray

    Returns
    -------
    numpy.ndarray, float32, ``(channels, rows, columns)``
        Sum of w^2 variance over the square of the sum of w, with the weights w of `interpolate_bilinear`.
    """
    kernel, channel_map = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32), cfa.channel_map(variance.shape)
    planes = np.empty((len(cfa.channels), *variance.shape), np.float32)
    for channel, plane in enumerate(planes):
        here = (channel_map == channel).astype(np.float32)
        weights = convolve(here, kernel, mode="constant")
        spread = convolve(here * variance, kernel**2, mode="constant")
        plane[:] = np.where(here > 0, variance, spread / np.maximum(weights, 1) ** 2)
    return planes


def noise_of_interpolation(cfa):
    """Variance of a bilinearly interpolated pixel over that of a recorded one, the mean over the tile, per channel.

    Sum of the squared weights, found by interpolating single pixels.

    Examples
    --------
    >>> from flatfield.cfa import ColorFilterArray
    >>> noise_of_interpolation(ColorFilterArray.from_name("RGGB"))
    array([0.5625, 0.625 , 0.5625])
    """
    p = cfa.period
    middle, squares = slice(p, 2 * p), np.zeros(len(cfa.channels))
    for row, column in np.ndindex(3 * p, 3 * p):
        mosaic = np.zeros((3 * p, 3 * p), np.float32)
        mosaic[row, column] = 1
        squares += (interpolate_bilinear(mosaic, cfa)[:, middle, middle].astype(np.float64) ** 2).sum(axis=(1, 2))
    return squares / p**2


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
