"""Frames: one reader for camera raws (LibRaw) and FITS files, and the signal above black."""

import re
from dataclasses import dataclass

import numpy as np
import rawpy
import tifffile
from astropy.io import fits
from PIL import Image

from flatfield.files.errors import FlatfieldError, FrameError
from flatfield.files.names import is_fits
from flatfield.files.reading import read_content
from flatfield.raw.cfa import CHANNEL_OF_COLOR, CHANNELS, ColorFilterArray
from flatfield.raw.metadata import Metadata, from_exif, from_header
from flatfield.raw.robust import robust_deviation

#: Overscan pixels further from the median, in robust standard deviations (and further than 1 DN), do not count.
OVERSCAN_DEVIATIONS = 5
#: Axes that a FITS image may have.
MOST_AXES = 999
#: Pixels that are enough to tell the level of those that the maker covered.
ENOUGH_MASKED = 500
#: Covered pixels are this near to black, and scatter as little, as a part of the range to white.
COVERED = 0.02


@dataclass(frozen=True)
class Frame:
    """One decoded frame.

    Attributes
    ----------
    mosaic : numpy.ndarray, uint16 or float32, ``(rows, columns)``
        Visible pixels as recorded, DN, sensor orientation (never flipped), black not subtracted.
    cfa : ColorFilterArray
    black : numpy.ndarray, float32, ``(4,)``
        Black level of each colour (0 red, 1 green, 2 blue, 3 second green), DN.
    white : float or None
        Level at which the camera says that it saturates, DN. Do not trust it.
    metadata : Metadata
    masked : float or None
        Level of the pixels that the maker covered, beside the visible area, DN; None where there are none to be told.
    white_balance : tuple of float
        Factors for red, green, blue that the camera chose, green 1; all 1 where it says nothing.
    color_matrix : numpy.ndarray, ``(3, 3)``, or None
        From XYZ to the camera's colours, as LibRaw knows it.
    """

    mosaic: np.ndarray
    cfa: ColorFilterArray
    black: np.ndarray
    white: float | None
    metadata: Metadata
    masked: float | None = None
    white_balance: tuple = (1.0, 1.0, 1.0)
    color_matrix: np.ndarray | None = None


def read_frame(path, overscan=False, keep=np.array, with_metadata=True):
    """Read and decode a frame.

    Parameters
    ----------
    path : str or pathlib.Path
        Any raw that LibRaw reads, or FITS (mono, or a mosaic when ``BAYERPAT`` says so).
    overscan : bool
        Take the black level of a FITS frame from its ``BIASSEC`` (clipped mean).
    keep : callable
        Takes the visible pixels, which end with the open file, and returns the mosaic to keep; by default a copy.
    with_metadata : bool
        Parse the metadata of a raw; combining needs none.

    Returns
    -------
    Frame

    Raises
    ------
    FrameError
        If the file cannot be read or decoded, holds no mosaic, or no signal (all pixels, or the last row, 0).
    """
    try:
        if is_fits(path):
            return _read_fits(path, overscan, keep)
        if overscan:
            raise FrameError(f"{path} is a camera raw and has no BIASSEC; `overscan: true` is for FITS frames")
        with rawpy.imread(str(path)) as raw:  # from memory, LibRaw would not notice that a file ends early
            return _read_raw(path, raw, keep, with_metadata)
    except FlatfieldError:
        raise
    except Exception as error:  # decoders raise all kinds on files that are damaged
        raise FrameError(f"{path} cannot be decoded ({reason_of(error)}); copy it again") from error


def _check_signal(path, mosaic):
    """Refuse what decodes without an error and holds nothing."""
    if not mosaic.any():
        raise FrameError(f"every pixel of {path} is 0; the file is probably damaged, copy it again")
    if not is_fits(path) and not mosaic[-1].any():
        raise FrameError(f"the last rows of {path} are all 0; the file is probably truncated, copy it again")


def signal(mosaics, blacks, cfa, bias=None):
    """Subtract the black level of each colour: S = M - black (- bias).

    Parameters
    ----------
    mosaics : numpy.ndarray, ``(frames, rows, columns)``
        DN; the first pixel is the first of the tile of `cfa`.
    blacks : numpy.ndarray, float32, ``(frames, 4)``
    cfa : ColorFilterArray
    bias : numpy.ndarray, float32, ``(rows, columns)``, optional
        Master of offset frames, subtracted too.

    Returns
    -------
    numpy.ndarray, float32, ``(frames, rows, columns)``
        DN above black; may be negative.
    """
    result = mosaics.astype(np.float32)
    p = cfa.period
    for i, j, color in cfa.phases():
        result[:, i::p, j::p] -= blacks[:, color, None, None]
    if bias is not None:
        result -= bias
    return result


def read_signal(path, bias=None, overscan=False, frame=None):
    """Decode one frame and subtract its black level, or the master `bias`.

    Parameters
    ----------
    path : str
    bias : numpy.ndarray, float32, ``(rows, columns)``, optional
    overscan : bool
    frame : Frame, optional
        As it was decoded before.

    Returns
    -------
    signal : numpy.ndarray, float32, ``(rows, columns)``
        DN above black.
    frame : Frame

    Raises
    ------
    FrameError
        See `read_frame`.
    """
    frame = frame or read_frame(path, overscan)
    black = black_beside_bias(frame.black, bias is not None, overscan)
    return signal(frame.mosaic[None], black[None], frame.cfa, bias)[0], frame


def read_picture(path):
    """Read a developed picture, as it is stored (never turned).

    Returns
    -------
    numpy.ndarray, float32, ``(channels, rows, columns)``
        0 to 255; one channel if it is grey.

    Raises
    ------
    FrameError
        If it cannot be read.
    """
    try:
        with Image.open(path) as picture:
            deep = picture.mode.startswith("I")
            values = np.asarray(picture if deep or picture.mode == "L" else picture.convert("RGB"), np.float32)
    except Exception as error:  # decoders raise all kinds on files that are damaged
        raise FrameError(f"{path} cannot be read as a picture ({reason_of(error)})") from error
    values = values / np.float32(257) if deep else values
    return values[None] if values.ndim == 2 else np.ascontiguousarray(values.transpose(2, 0, 1))


def black_beside_bias(black, has_bias, overscan):
    """Black level that is subtracted: a master bias takes the place of that of the metadata, not of the overscan."""
    return np.zeros_like(black) if has_bias and not overscan else black


def reason_of(error):
    """Text of an exception in one line; LibRaw gives bytes."""
    reason = error.args[0] if error.args else type(error).__name__
    if isinstance(reason, bytes):
        reason = reason.decode(errors="replace")
    return " ".join(str(reason).split())[:200]


def _read_raw(path, raw, keep, with_metadata):
    if with_metadata:
        _check_length(path)
    cfa = _raw_cfa(raw, path)
    if raw.raw_image_visible.shape != (raw.sizes.height, raw.sizes.width):
        raise FrameError(f"{path} is damaged: its visible area reaches beyond its pixels; copy it again")
    _check_signal(path, raw.raw_image_visible)
    black = np.array((list(raw.black_level_per_channel) + [0] * 4)[:4], np.float32)
    white = float(raw.white_level) or None
    red, green, blue = raw.camera_whitebalance[:3]
    balance = (red / green, 1.0, blue / green) if min(red, green, blue) > 0 else (1.0, 1.0, 1.0)
    metadata = from_exif(path, raw) if with_metadata else Metadata()
    matrix = raw.rgb_xyz_matrix[:3] if with_metadata else np.zeros((3, 3))
    masked = measure_masked(raw.raw_image, raw.sizes, float(black.mean()), white) if with_metadata else None
    matrix = matrix.copy() if matrix.any() else None
    return Frame(keep(raw.raw_image_visible), cfa, black, white, metadata, masked, balance, matrix)


def measure_masked(mosaic, sizes, black, white):
    """Level of the covered pixels above and to the left of the visible area.

    Parameters
    ----------
    mosaic : numpy.ndarray, uint16, ``(rows, columns)``, DN
        The whole sensor.
    sizes : object
        LibRaw's, with top_margin, left_margin, height, width.
    black, white : float
        Of the metadata, DN; white may be None.

    Returns
    -------
    float or None
        Mean over the colours of the median, DN; None with fewer than `ENOUGH_MASKED` pixels, or where these pixels
        are lit or unused (far from `black`, or more scattered than noise).
    """
    top, left = sizes.top_margin, sizes.left_margin
    covered = [mosaic[:top, left : left + sizes.width], mosaic[top : top + sizes.height, :left]]
    if sum(part.size for part in covered) < ENOUGH_MASKED or white is None:
        return None
    phases = [np.concatenate([part[i::2, j::2].ravel() for part in covered]) for i in (0, 1) for j in (0, 1)]
    found = [robust_deviation(pixels.astype(np.float32)) for pixels in phases if pixels.size]
    near = all(
        abs(median - black) < COVERED * (white - black) and deviation < COVERED * (white - black)
        for median, deviation in found
    )
    return float(np.mean([median for median, _ in found])) if near else None


def _check_length(path):
    """Refuse a raw of the TIFF family that ends before the pixels do that it lists, which LibRaw may let pass."""
    try:
        with tifffile.TiffFile(path) as file:
            pages = [page for each in file.pages for page in (each, *(each.pages or ()))]
            parts = [part for page in pages for part in zip(page.dataoffsets, page.databytecounts, strict=False)]
            lacking = max((offset + count for offset, count in parts), default=0) - file.filehandle.size
    except Exception:  # what tifffile cannot read is left to LibRaw
        return
    if lacking > 0:
        raise FrameError(f"{path} ends {lacking} bytes too early; copy it again")


def _raw_cfa(raw, path):
    """Colour filter array as seen from the first visible pixel.

    `raw_pattern` belongs to the full frame, and is garbage for X-Trans with a masked border (as is
    `raw_colors_visible`, rawpy 0.28); `raw_color` is right where it is asked for visible pixels.
    """
    if raw.raw_type != rawpy.RawType.Flat or raw.raw_image_visible.ndim != 2:
        raise FrameError(f"{path} holds no mosaic but several planes (a linear DNG or a scan); use the camera's raw")
    if raw.raw_pattern is None:
        if raw.num_colors != 1:
            raise FrameError(f"{path} holds no mosaic (its colour pattern is unknown); use the camera's raw")
        return ColorFilterArray(((0,),))
    if raw.color_desc.decode() not in ("RGBG", "RGB"):
        raise FrameError(f"{path} has the colours {raw.color_desc.decode()}; only red, green, blue are supported")
    p, top, left = raw.raw_pattern.shape[0], raw.sizes.top_margin, raw.sizes.left_margin
    cfa = ColorFilterArray(tuple(tuple(int(raw.raw_color(top + i, left + j)) for j in range(p)) for i in range(p)))
    if {CHANNEL_OF_COLOR[color] for _, _, color in cfa.phases()} != set(range(len(CHANNELS))):
        raise FrameError(f"{path} is damaged: its colour pattern {cfa.name} lacks a colour; copy it again")
    return cfa


def _read_fits(path, overscan, keep):
    _check_axes(path)
    with fits.open(path, memmap=False) as hdus:
        hdu = next((hdu for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS") == 2), None)
        if hdu is None:
            raise FrameError(f"{path} holds no two-dimensional image; only single-plane FITS frames are supported")
        if 0 in (hdu.verify_checksum(), hdu.verify_datasum()):
            raise FrameError(f"{path} is damaged: its checksum is wrong; copy it again")
        header, data = hdu.header, hdu.data
    if data.dtype != np.uint16:
        data = data.astype(np.float32)
        if not np.isfinite(data).all():
            raise FrameError(f"{path} holds pixels that are not finite; repair or take out the frame")
    offset = _mean_overscan(data, header, path) if overscan else 0.0
    rows, columns = _section(header, "TRIMSEC", data.shape, path) or (slice(0, None), slice(0, None))
    mosaic = data[rows, columns]
    _check_signal(path, mosaic)
    cfa = _fits_cfa(header, data.shape, path).shifted(rows.start, columns.start)
    white = header.get("SATURATE", 65535 if data.dtype == np.uint16 else None)
    black = np.full(4, offset, np.float32)
    return Frame(keep(mosaic), cfa, black, None if white is None else float(white), from_header(header))


def _check_axes(path):
    """Refuse numbers of axes beyond the standard (section 4.4.1), through which astropy would count one by one."""
    content, start = read_content(path), -1
    while (start := content.find(b"NAXIS   =", start + 1)) >= 0:
        number = re.match(rb" *([0-9]+)", content[start + 9 : start + 80])
        if number and int(number[1]) > MOST_AXES:
            raise FrameError(f"{path} is damaged: it has NAXIS {int(number[1])}; copy it again")


def _fits_cfa(header, shape, path):
    """Colour filter array of the whole stored image; `BAYERPAT` describes it as seen with the top row first."""
    name = str(header.get("BAYERPAT", "MONO"))
    try:
        cfa = ColorFilterArray.from_name(name)
    except ValueError as error:
        raise FrameError(f"{path}: BAYERPAT {error}") from error
    cfa = cfa.shifted(int(header.get("YBAYROFF", 0)), int(header.get("XBAYROFF", 0)))
    if str(header.get("ROWORDER", "")).strip().upper() == "BOTTOM-UP":
        p = cfa.period
        cfa = ColorFilterArray(tuple(cfa.tile[(shape[0] - 1 - i) % p] for i in range(p)))
    return cfa


def _section(header, name, shape, path):
    """Row and column slices of a section card such as ``[18:1382,1:1370]`` (columns first, from 1)."""
    if name not in header:
        return None
    match = re.fullmatch(r"\[(\d+):(\d+),(\d+):(\d+)\]", str(header[name]).replace(" ", ""))
    left, right, bottom, top = map(int, match.groups()) if match else (0, 0, 0, 0)
    if not (1 <= left <= right <= shape[1] and 1 <= bottom <= top <= shape[0]):
        raise FrameError(f"{path}: {name} '{header[name]}' is not a section of its {shape[1]} x {shape[0]} pixels")
    return slice(bottom - 1, top), slice(left - 1, right)


def _mean_overscan(data, header, path):
    """Mean of the overscan, bleeding and cosmic rays left out."""
    section = _section(header, "BIASSEC", data.shape, path)
    if section is None:
        raise FrameError(f"{path} has no BIASSEC card, so that `overscan: true` cannot be done; take the key out")
    values = data[section].astype(np.float64)
    median, deviation = robust_deviation(values)
    return values[np.abs(values - median) <= max(OVERSCAN_DEVIATIONS * deviation, 1.0)].mean()
