"""Tags of raws of the TIFF family that LibRaw does not hand on, and what is wrong with files that it does not decode.

Source: Adobe, DNG specification 1.7, chapter 4 (BlackLevelRepeatDim, CFARepeatPatternDim, ActiveArea, Compression).
"""

from dataclasses import dataclass
from math import lcm

import numpy as np
import rawpy
import tifffile

from flatfield.files.errors import FrameError
from flatfield.raw.cfa import ColorFilterArray

DNG_VERSION, CFA_DIM, CFA_PATTERN, BLACK_DIM, BLACK, ACTIVE = 50706, 33421, 33422, 50713, 50714, 50829
COLOUR_FILTERS, LINEAR_RAW = 32803, 34892
#: Compressions that decoders may not know, by their number in the file.
COMPRESSIONS = {
    52546: "JPEG XL",
    34892: "lossy JPEG",
    34713: "Nikon's own compression",
    32767: "Sony's own compression",
}


@dataclass(frozen=True)
class DngTags:
    """What the raw image of a DNG says of itself.

    Attributes
    ----------
    cfa_dim : tuple of int
        Rows and columns of the repeating colours; (0, 0) without filters.
    cfa : tuple of int
        0 red, 1 green, 2 blue, from the first pixel of the active area.
    black : numpy.ndarray, float64, ``(rows, columns)``
        Black levels that repeat, DN, from the same pixel.
    active : tuple of int
        First row and column of the active area.
    """

    cfa_dim: tuple
    cfa: tuple
    black: np.ndarray
    active: tuple


def read_dng_tags(path):
    """Tags of the raw image of a DNG.

    Returns
    -------
    DngTags or None
        None for what is no DNG.
    """
    try:
        with tifffile.TiffFile(path) as file:
            if DNG_VERSION not in file.pages.first.tags:
                return None
            pages = [page for each in file.pages for page in (each, *(each.pages or ()))]
            page = next(each for each in pages if each.photometric in (COLOUR_FILTERS, LINEAR_RAW))
            tags = {
                code: page.tags[code].value
                for code in (CFA_DIM, CFA_PATTERN, BLACK_DIM, BLACK, ACTIVE)
                if code in page.tags
            }
    except Exception:  # what tifffile cannot read is left to LibRaw
        return None
    return DngTags(
        tuple(tags.get(CFA_DIM, (0, 0))),
        tuple(tags.get(CFA_PATTERN, ())),
        _black_tile(tags.get(BLACK_DIM, (1, 1)), tags.get(BLACK, 0)),
        tuple(tags.get(ACTIVE, (0, 0)))[:2],
    )


def _black_tile(dim, levels):
    values = np.ravel(levels).astype(np.float64)
    if values.size == 2 * dim[0] * dim[1]:  # ratios
        values = values[::2] / np.maximum(values[1::2], 1)
    return values.reshape(dim) if values.size == dim[0] * dim[1] else values[:1].reshape(1, 1)


def pattern_of_dng(tags, sizes):
    """Colour filter array of a DNG from its first visible pixel, for where LibRaw has none that can be.

    Parameters
    ----------
    tags : DngTags
    sizes : object
        LibRaw's, with top_margin and left_margin.

    Returns
    -------
    ColorFilterArray or None
    """
    rows, columns = tags.cfa_dim
    if rows != columns or len(tags.cfa) != rows * columns or rows not in (2, 6) or set(tags.cfa) != {0, 1, 2}:
        return None
    tile = ColorFilterArray(tuple(tuple(tags.cfa[i * columns : (i + 1) * columns]) for i in range(rows)))
    return tile.shifted(sizes.top_margin - tags.active[0], sizes.left_margin - tags.active[1])


def black_of_dng(tags, sizes, cfa):
    """Black levels that repeat over more than 2 x 2 pixels, which LibRaw does not hand on.

    Parameters
    ----------
    tags : DngTags
    sizes : object
        LibRaw's.
    cfa : ColorFilterArray
        From the first visible pixel.

    Returns
    -------
    black : numpy.ndarray, float32, ``(4,)``
        The least of each colour, DN.
    further : numpy.ndarray, float64, ``(rows, columns)``, or None
        What repeats beyond that, DN; None where the black level of each colour is one number.
    """
    rows, columns = tags.black.shape
    shift = (sizes.top_margin - tags.active[0]) % rows, (sizes.left_margin - tags.active[1]) % columns
    whole = lcm(rows, cfa.period), lcm(columns, cfa.period)
    tile = np.roll(tags.black, (-shift[0], -shift[1]), axis=(0, 1))
    tile = np.tile(tile, (whole[0] // rows, whole[1] // columns))
    colors = np.tile(np.array(cfa.tile), (whole[0] // cfa.period, whole[1] // cfa.period))
    black = np.array([tile[colors == color].min() if (colors == color).any() else tile.min() for color in range(4)])
    further = tile - black[colors]
    return black.astype(np.float32), further if further.any() else None


def subtract_tile(mosaic, tile):
    """A mosaic less a tile that repeats; integers stay integers where the tile holds some, and do not fall below 0."""
    whole = np.tile(tile, [-(-length // step) for length, step in zip(mosaic.shape, tile.shape, strict=True)])
    whole = whole[: mosaic.shape[0], : mosaic.shape[1]]
    if (tile == np.rint(tile)).all():
        whole = whole.astype(np.uint16)
        return np.maximum(mosaic, whole) - whole
    return mosaic.astype(np.float32) - whole.astype(np.float32)


def check_quad(tags, path):
    """Refuse sensors whose colours lie in blocks of 2 x 2 pixels, which LibRaw takes for another pattern.

    Raises
    ------
    FrameError
    """
    if tags is not None and max(tags.cfa_dim) > 2 and tags.cfa_dim != (6, 6):
        shape = " x ".join(map(str, tags.cfa_dim))
        raise FrameError(
            f"{path} has colours that repeat over {shape} pixels (quad Bayer); only Bayer (2 x 2) and X-Trans (6 x 6) "
            "are supported: set the camera to its binned raw, or convert it to Bayer"
        )


def explain_undecoded(path, reason):
    """Why a raw cannot be decoded, and what to do.

    Returns
    -------
    str
        Sentence. A file of the TIFF family that has all its bytes is probably intact and of a kind that LibRaw does not
        know.
    """
    try:
        with tifffile.TiffFile(path) as file:
            pages = [page for each in file.pages for page in (each, *(each.pages or ()))]
            pages = [page for page in pages if page.dataoffsets and sum(page.databytecounts)]
            page = max(pages, key=lambda each: each.imagewidth * each.imagelength)
            lacking = max(sum(part) for part in zip(page.dataoffsets, page.databytecounts, strict=False))
            lacking -= file.filehandle.size
            number = int(page.compression)
    except Exception:
        return f"{path} cannot be decoded ({reason}); copy it again"
    if lacking > 0:
        return f"{path} ends {lacking} bytes too early; copy it again"
    if number in (0, 1):
        return f"{path} cannot be decoded ({reason}); copy it again"
    name = COMPRESSIONS.get(number, f"the compression {number}")
    version = ".".join(map(str, rawpy.libraw_version))
    return (
        f"{path} has all its bytes, but LibRaw {version} cannot decode {name} ({reason}): set the camera to "
        "uncompressed or lossless raws, or convert it to an uncompressed DNG; where others of it decode, copy it "
        "again"
    )
