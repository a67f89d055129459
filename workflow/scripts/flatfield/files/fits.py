"""FITS products: self-describing headers, and files that depend on their inputs only."""

import os
from importlib.metadata import version
from pathlib import Path

import numpy as np
from astropy.io import fits

from flatfield.files.errors import ResourceError
from flatfield.files.fields import FIELDS
from flatfield.files.version import VERSION
from flatfield.files.writing import completed

#: Characters of a frame's sha256 in its HISTORY line.
DIGEST_LENGTH = 16
#: Column in which a value ends at the earliest, by the standard.
VALUE_END = 30


def describe_frames(frames):
    """Header cards common to all products of some frames.

    Parameters
    ----------
    frames : list of FrameRecord
        A field that no frame knows gives no card.

    Returns
    -------
    astropy.io.fits.Header
        Instrument, exposure (median), capture times, colour pattern, black level (mean of the four
        colours, and each where they differ), frames with the start of their sha256, program versions.
    """
    header = fits.Header()
    times, number = sorted(frame.time for frame in frames if frame.time), sum(frame.combined or 1 for frame in frames)
    blacks = np.array([frame.black_dn for frame in frames]).mean(axis=0)
    cards = [
        ("EXPTIME", _median(frames, "exposure_s"), "[s] exposure time, median of the frames"),
        *_carried_on(frames),
        ("DATE-OBS", times[0] if times else None, "first capture, clock of the camera"),
        ("DATE-END", times[-1] if times else None, "last capture, clock of the camera"),
        ("DATE", times[-1] if times else None, "last capture: products hold no wall clock"),
        ("PATH", _common_folder(frames), "folder of the frames, relative"),
        ("NCOMBINE", number, "number of frames"),
        ("STACKCNT", number, "number of frames"),
        ("BLACKLVL", float(blacks.mean()), "[DN] mean black level subtracted"),
    ]
    if np.ptp(blacks) > 0:
        names = ("red", "green", "blue", "second green")
        cards += [(f"BLACK{i}", float(blacks[i]), f"[DN] black level of {names[i]}") for i in range(4)]
    for name, value, comment in cards:
        if value is not None:
            header[name] = with_comment(name, _ascii(value), comment)
    header["CREATOR"] = (f"flatfield {VERSION}", "program")
    for package in ("numpy", "rawpy", "astropy"):
        header["HISTORY"] = f"{package} {version(package)}"
    for frame in frames:
        header["HISTORY"] = _ascii(f"{frame.file} sha256 {frame.sha256[:DIGEST_LENGTH]}")
    return header


def _carried_on(frames):
    """Cards of the fields that products carry on: medians of numbers that vary, the text of the first frame."""
    cards = {}
    for field in FIELDS:
        values = [value for value in (getattr(frame, field.name, None) for frame in frames) if value is not None]
        if field.card and values:
            value = values[0] if isinstance(values[0], str) else _median(frames, field.name)
            cards.setdefault(field.card, (field.card, value, field.comment))
    binning = frames[0].binning and frames[0].binning.split(" x ")
    for name, number in zip(("XBINNING", "YBINNING"), binning or (), strict=False):
        cards[name] = (name, int(number), "pixels of the sensor in one")
    return cards.values()


def describe_mosaic(cfa_name):
    """Header cards of a mosaic: colour pattern as seen from the first pixel, first row at the top."""
    header = fits.Header()
    if cfa_name != "MONO":
        header["BAYERPAT"] = (cfa_name, "colour filters, row by row")
        header["XBAYROFF"] = (0, "column offset of the pattern")
        header["YBAYROFF"] = (0, "row offset of the pattern")
    header["ROWORDER"] = ("TOP-DOWN", "first row is the top of the picture")
    return header


def describe_combination(options, debayer=None):
    """Header cards that say how frames were combined.

    Parameters
    ----------
    options : dict
        The section ``combine`` of the configuration.
    debayer : dict, optional
        The section ``debayer``.
    """
    parameters = {
        "sigma_clip": ["kappa_low", "kappa_high", "iterations"],
        "ccd_clip": ["kappa_low", "kappa_high", "iterations", "gain_e_per_dn", "read_noise_e"],
        "minmax": ["nlow", "nhigh"],
    }.get(options["method"], [])
    header = fits.Header()
    header["COMBINE"] = (options["method"], "combination of the frames")
    header["SCALE"] = (options["scale"], "frames brought to a common level by")
    header["NORMALIS"] = ("none", "what was made 1")
    for name in parameters:
        header["HISTORY"] = f"{options['method']} {name} = {options[name]}"
    if debayer is not None:
        header["DEBAYER"] = (debayer["algorithm"], "interpolation of the colours")
        header["STEP"] = (debayer["step"], "every n-th frame was used")
    return header


def cite_file(keyword, path, comment):
    """Header cards that name another product and its DATASUM: ``BIASFILE`` and ``BIASSUM`` for the keyword BIAS."""
    with fits.open(path) as hdus:
        datasum = next(hdu.header["DATASUM"] for hdu in hdus if hdu.header["NAXIS"])
    header = fits.Header()
    name = f"{keyword}FILE"
    header[name] = with_comment(name, _ascii("/".join(Path(path).parts[-2:])), comment)
    header[f"{keyword}SUM"] = (datasum, "DATASUM of that file")
    return header


def with_comment(keyword, value, comment):
    """Value and comment of a card; the comment is cut where a text leaves it no room in the 80 characters.

    Examples
    --------
    >>> with_comment("LENS", "x" * 60, "name of the lens")
    ('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', 'name ')
    """
    used = max(len(str(fits.Card(keyword, value)).rstrip()), VALUE_END)
    room = max(fits.Card.length - used - len(" / "), 0)
    return value, comment if used > fits.Card.length else comment[:room]  # longer texts go on in further cards


def image_hdu(data, header=None, name=None, unit="DN", **cards):
    """Make an image HDU with unit and further cards; the primary one when it has no name.

    Parameters
    ----------
    data : numpy.ndarray or None
        Written as float32, masks as uint8, counts as int16.
    header : astropy.io.fits.Header, optional
        Copied.
    name : str, optional
    unit : str
        ``DN``, ``percent`` or empty for a ratio.
    **cards
        Further cards, such as ``BAND="RED"``.
    """
    header = fits.Header() if header is None else header.copy()
    if data is not None:
        kept = {np.dtype(bool): np.uint8, np.dtype(np.uint8): np.uint8, np.dtype(np.int16): np.int16}
        data = np.ascontiguousarray(data, kept.get(data.dtype, np.float32))
        if data.dtype == np.float32:
            header["BUNIT"] = (unit, "unit of the pixels")
    header.update({key.upper(): value for key, value in cards.items()})
    if name is None:
        return fits.PrimaryHDU(data, header)
    return fits.ImageHDU(data, header, name=name)


def write_fits(path, hdus):
    """Write HDUs with CHECKSUM and DATASUM, complete or not at all; equal input gives equal bytes.

    Parameters
    ----------
    path : str or pathlib.Path
    hdus : list of astropy.io.fits.PrimaryHDU or ImageHDU
    """
    hdus = fits.HDUList(hdus)
    hdus.update_extend()
    for hdu in hdus:
        hdu.add_checksum(when=str(hdu.header.get("DATE", "unknown date")))  # astropy's default is the wall clock
    with completed(path) as file:
        hdus.writeto(file)
        file.flush()
        _read_back(path, file)


def _read_back(path, file):
    """Compare what was written with its checksums."""
    file.seek(0)
    with open(file.fileno(), "rb", closefd=False) as again, fits.open(again, memmap=False) as hdus:
        if not all(hdu.verify_checksum() == 1 and hdu.verify_datasum() == 1 for hdu in hdus):
            raise ResourceError(f"{path} is not what was written to it; look at the disk")


def write_planes(path, planes, channels, header, imagetyp, unit="DN"):
    """Write the notebook's product: a primary HDU without data, one float32 extension a channel.

    Parameters
    ----------
    path : str
    planes : numpy.ndarray, float32, ``(channels, rows, columns)``
    channels : sequence of str
        Names of the extensions, and their BAND.
    header : astropy.io.fits.Header
    imagetyp : str
    unit : str
    """
    primary = image_hdu(None, header, imagetyp=imagetyp)
    layout = describe_mosaic("MONO")
    layout.extend((card for card in header.cards if card.keyword in ("DATE", "NORMALIS")), strip=False)
    bands = [image_hdu(plane, layout, name, unit, band=name) for name, plane in zip(channels, planes, strict=True)]
    write_fits(path, [primary, *bands])


def read_planes(path):
    """Read a file of `write_planes`.

    Returns
    -------
    planes : numpy.ndarray, float32, ``(channels, rows, columns)``
    channels : tuple of str
    header : astropy.io.fits.Header
        Of the primary HDU.
    """
    with fits.open(path, memmap=True) as hdus:
        planes = np.empty((len(hdus) - 1, *hdus[1].shape), np.float32)
        for plane, hdu in zip(planes, hdus[1:], strict=True):
            plane[...] = hdu.data
        return planes, tuple(hdu.header["BAND"] for hdu in hdus[1:]), hdus[0].header.copy()


def read_image(path, extension=0):
    """Read one image as float32 ``(rows, columns)``, with its header."""
    with fits.open(path, memmap=True) as hdus:
        return hdus[extension].data.astype(np.float32), hdus[extension].header.copy()


def _median(frames, name):
    numbers = [getattr(frame, name) for frame in frames if getattr(frame, name) is not None]
    return float(np.median(numbers)) if numbers else None


def _common_folder(frames):
    folders = {os.path.dirname(frame.file) for frame in frames}
    return os.path.commonpath(folders) or "." if len(folders) > 1 else folders.pop() or "."


def _ascii(value):
    """FITS cards hold printable ASCII only."""
    if not isinstance(value, str):
        return value
    return "".join(c if " " <= c <= "~" else "?" for c in value)
