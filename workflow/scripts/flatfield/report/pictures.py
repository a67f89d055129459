"""Pictures to look at: white balance, stretch, PNG and TIFF."""

import numpy as np
import tifffile
from PIL import Image

from flatfield.files.version import VERSION
from flatfield.files.writing import completed
from flatfield.raw.robust import robust_deviation

#: Where the sky lies in a picture (1 is white), and how many robust standard deviations below it black lies.
SKY_LEVEL, BLACK_DEVIATIONS = 0.22, 2.8
#: Percentile of the signal that becomes white.
WHITE_PERCENTILE = 99.9
#: Pictures have at most this many columns: they are for looking at.
PICTURE_COLUMNS = 2048
#: Columns, at most, of the pictures before and after that the report compares.
COMPARED_COLUMNS = 1000


def shrink_planes(planes, columns=PICTURE_COLUMNS):
    """Means over blocks, so that planes have at most `columns` columns; NaN becomes 0."""
    size = -(-planes.shape[2] // columns)
    rows, columns = planes.shape[1] // size, planes.shape[2] // size
    small = np.empty((len(planes), rows, columns), np.float32)
    for plane, target in zip(planes, small, strict=True):
        whole = plane[: rows * size, : columns * size].reshape(rows, size, columns, size)
        target[:] = whole.mean(axis=(1, 3), dtype=np.float32)
    return np.nan_to_num(small, copy=False)


def measure_stretch(planes, white_balance):
    """Black, sky and white of a picture, see `render_picture`.

    Parameters
    ----------
    planes : numpy.ndarray, float32, ``(channels, rows, columns)``
        Linear, DN above black.
    white_balance : numpy.ndarray, ``(channels,)``
        Factors of the channels.

    Returns
    -------
    tuple of float
        DN, balanced.
    """
    balanced = planes * np.asarray(white_balance, np.float32)[:, None, None]
    median, deviation = robust_deviation(balanced)
    return median - BLACK_DEVIATIONS * deviation, median, float(np.percentile(balanced, WHITE_PERCENTILE))


def render_picture(planes, white_balance, stretch):
    """Make a picture that a person can look at: white balance, and a stretch that shows the sky.

    Black is `BLACK_DEVIATIONS` below the median of the sky, white the `WHITE_PERCENTILE`; between them the midtones
    transfer function m(x) = (b - 1) x / ((2 b - 1) x - b) lifts the median to `SKY_LEVEL` (PixInsight's
    histogram transformation).

    Parameters
    ----------
    planes : numpy.ndarray, float32, ``(channels, rows, columns)``
        Linear, DN above black; NaN becomes black.
    white_balance : numpy.ndarray, ``(channels,)``
        Factors of the channels.
    stretch : tuple of float
        As from `measure_stretch`, of this or of another picture that it is to be compared with.

    Returns
    -------
    numpy.ndarray, uint8, ``(rows, columns, 3)``
    """
    black, median, white = stretch
    if not white > black:
        return np.zeros((*planes.shape[1:], 3), np.uint8)
    balanced = np.nan_to_num(planes * np.asarray(white_balance, np.float32)[:, None, None])
    x, sky = np.clip((balanced - black) / (white - black), 0, 1), (median - black) / (white - black)
    if 0 < sky < 1:
        midtone = sky * (SKY_LEVEL - 1) / (2 * SKY_LEVEL * sky - SKY_LEVEL - sky)
        x = (midtone - 1) * x / ((2 * midtone - 1) * x - midtone)
    picture = np.rint(255 * x).astype(np.uint8).transpose(1, 2, 0)
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture


def render_alike(stages, white_balance):
    """Make pictures of several planes with one stretch, see `render_picture`: the largest range, the sky of the last.

    Parameters
    ----------
    stages : list of numpy.ndarray, float32, ``(channels, rows, columns)``
    white_balance : tuple of float
        Factors for red, green, blue.

    Returns
    -------
    list of numpy.ndarray, uint8, ``(rows, columns, 3)``
    """
    small, balance = [shrink_planes(each) for each in stages], white_balance[: len(stages[0])]
    blacks, skies, whites = zip(*(measure_stretch(each, balance) for each in small), strict=True)
    stretch = min(blacks), skies[-1], max(whites)
    return [render_picture(each, balance, stretch) for each in small]


def picture_of_maxima(planes):
    """Make a picture as the notebook did: each plane divided by its maximum.

    Parameters
    ----------
    planes : numpy.ndarray, float32, ``(3, rows, columns)``
        NaN becomes black.

    Returns
    -------
    numpy.ndarray, uint8, ``(rows, columns, 3)``
    """
    brightest = np.nanmax(planes, axis=(1, 2), keepdims=True)
    return np.rint(255 * np.clip(np.nan_to_num(planes / brightest), 0, 1)).astype(np.uint8).transpose(1, 2, 0)


def write_picture(path, picture):
    """Write a PNG, complete or not at all.

    Parameters
    ----------
    path : str
    picture : numpy.ndarray, uint8, ``(rows, columns, 3)``
    """
    with completed(path) as file:
        Image.fromarray(picture).save(file, format="png")


def write_tiff(path, planes, white):
    """Write planes as a 16-bit linear TIFF, complete or not at all.

    Parameters
    ----------
    path : str
    planes : numpy.ndarray, float32, ``(channels, rows, columns)``, DN above black
    white : float
        DN that becomes 65535. What is above is 65535, what is below black (or not finite) 0: TIFF has no more room.
    """
    picture = np.empty((*planes.shape[1:], len(planes)), np.uint16)
    for channel, plane in enumerate(planes):  # one after the other, to be spared copies of all
        scaled = plane * np.float32(65535 / white)
        scaled[~(scaled > 0)] = 0  # NaN too
        picture[..., channel] = np.rint(np.minimum(scaled, 65535, out=scaled), out=scaled)
    kind = "rgb" if len(planes) == 3 else "minisblack"
    picture = picture if len(planes) == 3 else picture[..., 0]
    text = f"linear camera colours, no white balance; 65535 is {white:.6g} DN above black"
    with completed(path) as file:
        tifffile.imwrite(
            file, picture, photometric=kind, description=text, software=f"flatfield {VERSION}", metadata=None
        )
