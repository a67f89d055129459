"""Frames: one reader for camera raws (LibRaw) and FITS files, and the signal above black."""

from dataclasses import dataclass, field

import numpy as np
import rawpy
import tifffile
from PIL import Image

from flatfield.files.errors import FlatfieldError, FrameError
from flatfield.files.names import is_fits, is_picture
from flatfield.raw import dng_tags
from flatfield.raw.cfa import CHANNEL_OF_COLOR, CHANNELS, ColorFilterArray
from flatfield.raw.fits_image import mean_overscan, read_stored, section
from flatfield.raw.metadata import Metadata, from_exif, from_header
from flatfield.raw.pattern_cards import pattern_of_header
from flatfield.raw.robust import robust_deviation

#: Number of pixels that suffices to measure the level of those that the maker covered.
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
        Level of the pixels that the maker covered, beside the visible area, DN; None where none are known.
    white_balance : tuple of float
        Factors for red, green, blue that the camera chose, green 1; all 1 where it says nothing.
    color_matrix : numpy.ndarray, ``(3, 3)``, or None
        From XYZ to the camera's colours, as LibRaw knows it.
    zero_level : str
        Where the black level is from: ``metadata``, ``overscan``, ``pedestal`` (of a frame that was calibrated), or
        ``unknown``, where it is 0 for want of a better one.
    remarks : list of str
        What was done to read it.
    """

    mosaic: np.ndarray
    cfa: ColorFilterArray
    black: np.ndarray
    white: float | None
    metadata: Metadata
    masked: float | None = None
    white_balance: tuple = (1.0, 1.0, 1.0)
    color_matrix: np.ndarray | None = None
    zero_level: str = "metadata"
    remarks: list = field(default_factory=list)


@dataclass(frozen=True)
class Reading:
    """How the frames of a set are read.

    Attributes
    ----------
    overscan : bool
        Subtract the mean of BIASSEC of each FITS frame.
    cfa : str or None
        Name of the colour pattern, in the place of what the file says: seen from the first pixel that is read without
        `area`, the top row first.
    area : sequence of int or None
        First row, last row, first column, last column (the last ones excluded) of what is kept.
    """

    overscan: bool = False
    cfa: str | None = None
    area: tuple | None = None

    @classmethod
    def of(cls, options):
        """From what the plan hands on: whether there is an overscan, or a dict with these attributes."""
        return cls(**options) if isinstance(options, dict) else cls(bool(options))

    def cut(self, path, mosaic, cfa):
        """The part of a mosaic that is kept, and its colour filter array.

        Raises
        ------
        FrameError
            If the area is not within the frame.
        """
        if not self.area:
            return mosaic, cfa
        top, bottom, left, right = self.area
        if not (0 <= top < bottom <= mosaic.shape[0] and 0 <= left < right <= mosaic.shape[1]):
            raise FrameError(
                f"{path} has {mosaic.shape[0]} x {mosaic.shape[1]} pixels; `area` {list(self.area)} is not within"
            )
        return mosaic[top:bottom, left:right], cfa.shifted(top, left)


def read_frame(path, reading=False, keep=np.array, with_metadata=True):
    """Read and decode a frame.

    Parameters
    ----------
    path : str or pathlib.Path
        Any raw that LibRaw reads, FITS or XISF (mono, or a mosaic when ``BAYERPAT`` says so).
    reading : bool or dict
        Whether the black level of a FITS frame is from its ``BIASSEC`` (clipped mean); or all of `Reading`.
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
    reading = Reading.of(reading)
    try:
        if is_fits(path):
            return _read_fits(path, reading, keep)
        if is_picture(path):
            raise FrameError(
                f"{path} is a picture (TIFF, JPEG or PNG), whose numbers are not known to be linear; give the camera's "
                "raw, or write linear numbers of one plane as FITS"
            )
        if reading.overscan:
            raise FrameError(f"{path} is a camera raw and has no BIASSEC; `overscan: true` is for FITS frames")
        with rawpy.imread(str(path)) as raw:  # from memory, LibRaw would not notice that a file ends early
            return _read_raw(path, raw, reading, keep, with_metadata)
    except FlatfieldError:
        raise
    except rawpy.LibRawError as error:
        raise FrameError(dng_tags.explain_undecoded(path, reason_of(error))) from error
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


def read_signal(path, bias=None, reading=False, frame=None):
    """Decode one frame and subtract its black level, or the master `bias`.

    Parameters
    ----------
    path : str
    bias : numpy.ndarray, float32, ``(rows, columns)``, optional
    reading : bool or dict
        How frames are read, see `flatfield.raw.decode.Reading`.
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
    frame = frame or read_frame(path, reading)
    black = black_beside_bias(frame.black, bias is not None, reading)
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


def black_beside_bias(black, has_bias, reading):
    """Black level that is subtracted: a master bias takes the place of that of the metadata, not of the overscan."""
    return np.zeros_like(black) if has_bias and not Reading.of(reading).overscan else black


def reason_of(error):
    """Text of an exception in one line; LibRaw gives bytes."""
    reason = error.args[0] if error.args else type(error).__name__
    if isinstance(reason, bytes):
        reason = reason.decode(errors="replace")
    return " ".join(str(reason).split())[:200]


def _read_raw(path, raw, reading, keep, with_metadata):
    if with_metadata:
        _check_length(path)
    tags, remarks = dng_tags.read_dng_tags(path), []
    if raw.raw_type != rawpy.RawType.Flat or raw.raw_image_visible.ndim != 2:
        raise FrameError(f"{path} holds no mosaic but several planes (a linear DNG or a scan); use the camera's raw")
    if not reading.cfa:
        dng_tags.check_quad(tags, path)
    cfa = ColorFilterArray.from_name(reading.cfa) if reading.cfa else _raw_cfa(raw, path, tags, remarks)
    mosaic = raw.raw_image_visible
    if mosaic.shape != (raw.sizes.height, raw.sizes.width):
        raise FrameError(f"{path} is damaged: its visible area reaches beyond its pixels; copy it again")
    _check_signal(path, mosaic)
    black = np.array((list(raw.black_level_per_channel) + [0] * 4)[:4], np.float32)
    if tags is not None and max(tags.black.shape) > 2:
        black, further = dng_tags.black_of_dng(tags, raw.sizes, cfa)
        if further is not None:
            mosaic = dng_tags.subtract_tile(mosaic, further)
            remarks.append(f"black level of {' x '.join(map(str, tags.black.shape))} pixels")
    white = float(raw.white_level) or None
    red, green, blue = raw.camera_whitebalance[:3]
    balance = (red / green, 1.0, blue / green) if min(red, green, blue) > 0 else (1.0, 1.0, 1.0)
    metadata = from_exif(path, raw) if with_metadata else Metadata()
    matrix = raw.rgb_xyz_matrix[:3] if with_metadata else np.zeros((3, 3))
    masked = measure_masked(raw.raw_image, raw.sizes, float(black.mean()), white) if with_metadata else None
    matrix = matrix.copy() if matrix.any() else None
    mosaic, cfa = reading.cut(path, mosaic, cfa)
    return Frame(keep(mosaic), cfa, black, white, metadata, masked, balance, matrix, remarks=remarks)


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


def _raw_cfa(raw, path, tags, remarks):
    """Colour filter array as seen from the first visible pixel.

    `raw_pattern` belongs to the full frame, and is garbage for X-Trans with a masked border (as is
    `raw_colors_visible`, rawpy 0.28); `raw_color` is right where it is asked for visible pixels.
    """
    if raw.num_colors == 1:
        return ColorFilterArray(((0,),))
    if raw.raw_pattern is None:
        raise FrameError(f"{path} holds no mosaic (its colour pattern is unknown); use the camera's raw")
    if raw.color_desc.decode() not in ("RGBG", "RGB"):
        raise FrameError(f"{path} has the colours {raw.color_desc.decode()}; only red, green, blue are supported")
    p, top, left = raw.raw_pattern.shape[0], raw.sizes.top_margin, raw.sizes.left_margin
    cfa = ColorFilterArray(tuple(tuple(int(raw.raw_color(top + i, left + j)) for j in range(p)) for i in range(p)))
    if {CHANNEL_OF_COLOR[color] for _, _, color in cfa.phases()} != set(range(len(CHANNELS))):
        found = tags and dng_tags.pattern_of_dng(tags, raw.sizes)
        if not found:
            raise FrameError(
                f"{path} has the colour pattern {cfa.name}, which lacks a colour: LibRaw does not know its sensor; "
                "convert it to DNG, set the key `cfa`, or copy it again"
            )
        remarks.append("colour pattern of the DNG's own tags, as LibRaw has none")
        return found
    return cfa


def _read_fits(path, reading, keep):
    image = read_stored(path, reading.overscan)
    data, header, shape = image.data, image.header, image.data.shape
    metadata, offset = from_header(header), 0.0
    if reading.overscan and not image.without_overscan:
        offset = mean_overscan(data, header, path)
    rows, columns = section(header, "TRIMSEC", shape, path) or (slice(0, shape[0]), slice(0, shape[1]))
    mosaic = data[rows, columns]
    _check_signal(path, mosaic)
    remarks, upward = list(image.remarks), metadata.row_order == "BOTTOM-UP"
    if upward:
        mosaic = mosaic[::-1]
        remarks.append("rows put the right way round (BOTTOM-UP)")
    if reading.cfa:
        cfa = ColorFilterArray.from_name(reading.cfa)
    else:
        cfa, remark = pattern_of_header(header, path)
        remarks += [remark] if remark else []
        # the pattern is seen from the top row; sections count from the first row that is stored
        top = shape[0] - rows.stop if upward else rows.start
        cfa = cfa.shifted(top + _offset_of(header, "YBAYROFF"), columns.start + _offset_of(header, "XBAYROFF"))
    zero_level = "overscan" if reading.overscan else "unknown"
    if metadata.has_no_offset and zero_level == "unknown":
        offset, zero_level = metadata.pedestal or 0.0, "pedestal"
        remarks.append(f"its zero level was subtracted before; a pedestal of {offset:g} DN was taken off")
    mosaic, cfa = reading.cut(path, mosaic, cfa)
    black = np.full(4, offset, np.float32)
    return Frame(keep(mosaic), cfa, black, image.white, metadata, zero_level=zero_level, remarks=remarks)


def _offset_of(header, name):
    value = header.get(name, 0)
    return int(value) if isinstance(value, int | float) else 0
