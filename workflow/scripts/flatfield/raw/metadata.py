"""What a camera wrote about a frame: EXIF for raw files, header cards for FITS. Missing is `None`, never 0."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime

import exifread

#: Characters of a name that are kept; the longest that cameras write are half as long.
TEXT_LENGTH = 120
#: Numbers beyond these, other than 0, are no measure of anything: seconds, millimetres, metres, f-numbers, ISO.
LEAST, MOST = 1e-9, 1e9


@dataclass(frozen=True)
class Metadata:
    """Capture data of one frame; a field is None where the camera wrote nothing.

    Attributes
    ----------
    time : str
        Capture time, ISO 8601 (``2026-05-01T10:00:00``), in the camera's own clock.
    maker, camera, lens, filter : str
    focal_length : float
        Millimetres.
    aperture : float
        F-number.
    iso : float
    exposure : float
        Seconds.
    distance : float
        Focus distance, metres.
    orientation : int
        How the camera was held, 1 to 8 as in EXIF.
    row_order : str
        ``TOP-DOWN`` or ``BOTTOM-UP``: which row is stored first.
    body : str
        Start of the sha256 of the camera's serial number, which tells two of one model apart.
    """

    time: str | None = None
    maker: str | None = None
    camera: str | None = None
    lens: str | None = None
    focal_length: float | None = None
    aperture: float | None = None
    iso: float | None = None
    exposure: float | None = None
    filter: str | None = None
    distance: float | None = None
    orientation: int | None = None
    row_order: str | None = None
    body: str | None = None


def from_exif(path, libraw=None):
    """Read the metadata of a raw file.

    Parameters
    ----------
    path : str or pathlib.Path
    libraw : rawpy.RawPy, optional
        The open file; fills only the fields for which the file has no EXIF tag that exifread can read.
        (A tag that is present and 0 or empty means that the camera did not know; LibRaw would turn
        an exposure of 0 into 1 s.)

    Returns
    -------
    Metadata
    """
    try:
        with open(path, "rb") as file:
            tags = exifread.process_file(file, details=False)
    except Exception:  # exifread raises many kinds on odd files; the frame itself may still be good
        tags = {}

    def first(names, parse, fallback):
        """Parse the first tag present, in the EXIF directory or the main one."""
        found = [tags[f"{ifd} {name}"] for name in names for ifd in ("EXIF", "Image") if f"{ifd} {name}" in tags]
        values = [value for value in map(parse, found) if value is not None]
        if found:
            return values[0] if values else None
        return parse(fallback()) if libraw is not None else None

    return Metadata(
        time=first(["DateTimeOriginal", "DateTimeDigitized", "DateTime"], _time, lambda: libraw.other.timestamp),
        maker=first(["Make"], _text, lambda: None),
        camera=first(["Model"], _text, lambda: None),
        lens=first(["LensModel"], _text, lambda: libraw.lens.model),
        focal_length=first(["FocalLength"], _positive, lambda: libraw.other.focal_length),
        aperture=first(["FNumber"], _positive, lambda: libraw.other.aperture),
        iso=first(["ISOSpeedRatings", "PhotographicSensitivity"], _positive, lambda: libraw.other.iso_speed),
        exposure=first(["ExposureTime"], _positive, lambda: libraw.other.shutter_speed),
        distance=first(["SubjectDistance"], _positive, lambda: None),
        orientation=first(["Orientation"], _orientation, lambda: None),
        row_order="TOP-DOWN",
        body=first(["BodySerialNumber", "CameraSerialNumber"], _digest, lambda: None),
    )


def from_header(header):
    """Read the metadata of a FITS frame.

    Parameters
    ----------
    header : astropy.io.fits.Header

    Returns
    -------
    Metadata
    """

    def first(names, parse):
        values = (parse(header[name]) for name in names if name in header)
        return next((value for value in values if value is not None), None)

    exposure = first(["EXPTIME", "EXPOSURE"], _number)
    return Metadata(
        time=_header_time(header),
        camera=first(["INSTRUME", "DETECTOR", "CAMERA"], _text),
        lens=first(["LENS", "TELESCOP"], _text),
        focal_length=first(["FOCALLEN"], _positive),
        aperture=first(["APERTURE"], _positive),
        iso=first(["ISOSPEED", "ISO"], _positive),
        exposure=exposure if exposure is None or exposure >= 0 else None,  # a bias frame truly has 0 s
        filter=first(["FILTER", "FILTNAME", "FILTER1"], _text),
        row_order=first(["ROWORDER"], lambda value: (_text(value) or "").upper() or None),
        body=first(["SERIALNO", "CAMSERNO", "SERIAL"], _digest),
    )


def _digest(value):
    """Tells cameras of one model apart without giving away the serial number."""
    text = _text(value)
    return hashlib.sha256(text.encode()).hexdigest()[:8] if text and text.strip("0 ") else None


def _number(value):
    """A sensible number from an EXIF tag (ratio or integer), a header card or LibRaw; None for anything else."""
    values = getattr(value, "values", value)
    if isinstance(values, list | tuple):
        values = values[0] if values else None
    try:
        number = float(values)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if number == 0 or LEAST <= abs(number) <= MOST else None


def _positive(value):
    number = _number(value)
    return number if number is not None and number > 0 else None


def _orientation(value):
    number = _number(value)
    return int(number) if number in range(1, 9) else None


def _text(value):
    """Printable text of a sensible length, white space folded; None when nothing is left."""
    text = "".join(c if c.isprintable() else " " for c in str(value if value is not None else "")[: 2 * TEXT_LENGTH])
    return " ".join(text.split())[:TEXT_LENGTH] or None


def _time(value):
    """ISO 8601 from an EXIF tag or a datetime; None for empty or impossible dates and LibRaw's epoch."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds") if value.year > 1970 else None
    match = re.match(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)", str(value))
    try:
        return datetime.fromisoformat("{}-{}-{}T{}:{}:{}".format(*match.groups())).isoformat() if match else None
    except ValueError:
        return None


def _header_time(header):
    """DATE-OBS, completed by a time-of-day card where it is a date only.

    The old form DD/MM/YY stands for 19YY (FITS standard, section 4.4.2); before 1970 no camera had pixels,
    so that such a date is taken as unknown.
    """
    date = str(header.get("DATE-OBS", "")).strip()
    old = re.fullmatch(r"(\d\d)/(\d\d)/([7-9]\d)", date)
    if old:
        date = f"19{old[3]}-{old[2]}-{old[1]}"
    if "T" not in date:
        clocks = (str(header.get(name, "")).strip() for name in ("TIME-OBS", "UTC-OBS", "UTCSTART", "UT"))
        date += "T" + next((clock for clock in clocks if clock), "00:00:00")
    try:
        return datetime.fromisoformat(date).isoformat()
    except ValueError:
        return None
