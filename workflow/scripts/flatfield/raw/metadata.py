"""What a camera wrote about a frame: EXIF for raw files, header cards for FITS. Missing is `None`, never 0.

Which cards and tags are read, and in which order, stands in `flatfield.files.fields`.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import exifread

from flatfield.files.fields import FIELDS

#: Characters of a name that are kept; the longest that cameras write are half as long.
TEXT_LENGTH = 120
#: Numbers beyond these, other than 0, are no measure of anything: seconds, millimetres, metres, f-numbers, ISO.
LEAST, MOST = 1e-9, 1e9
#: Texts that stand for nothing: a lens without contacts, a device that is not there.
NO_TEXT = {"", "unknown", "n/a", "na", "nan", "null", "undefined", "not set", "not available", "no lens"}
#: Positions of a filter wheel that count only where no other card names a filter.
OPEN_FILTERS = {"nofilter", "none", "open", "empty", "air", "clear", "free", "blank", "0"}
#: What EXIF writes where ISO is too large for its 16 bits, and the tags that have it then.
ISO_BEYOND = 65535
ISO_TAGS = ("RecommendedExposureIndex", "StandardOutputSensitivity", "ISOSpeed")
#: F-numbers of FITS headers above this are diameters in millimetres.
LARGEST_F_NUMBER = 64
#: Day 0 of the modified Julian date.
MJD_ZERO = datetime(1858, 11, 17)
#: Temperatures of sensors outside of these are errors of drivers, degrees C.
COLDEST, WARMEST = -200, 100
#: Letters of CALSTAT for the cards that say the same.
CORRECTIONS = {"ZEROCOR": "B", "DARKCOR": "D", "FLATCOR": "F", "FLATFILE": "F"}


@dataclass(frozen=True)
class Metadata:
    """Capture data of one frame; a field is None where the camera wrote nothing.

    Attributes
    ----------
    time : str
        Capture time, ISO 8601 (``2026-05-01T10:00:00``), in the camera's own clock; UTC where a header has an offset.
    maker, camera, lens, telescope, filter : str
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
        Start of the sha256 of the camera's serial number, which distinguishes two of one model.
    gain, offset : float
        Settings of the camera, in its own units.
    egain : float
        Electrons per DN, as the driver says.
    readout_mode, binning, pier_side : str
    temperature : float
        Of the sensor, degrees C.
    rotator : float
        Degrees.
    focus_position : float
    combined : int
        Number of frames that it was made of; None for a single one.
    calibrated : str
        Letters of what was corrected before: B bias, D dark, F flat.
    pedestal : float
        What was added to keep numbers positive, DN.
    """

    time: str | None = None
    maker: str | None = None
    camera: str | None = None
    lens: str | None = None
    telescope: str | None = None
    focal_length: float | None = None
    aperture: float | None = None
    iso: float | None = None
    exposure: float | None = None
    filter: str | None = None
    distance: float | None = None
    orientation: int | None = None
    row_order: str | None = None
    body: str | None = None
    gain: float | None = None
    offset: float | None = None
    egain: float | None = None
    readout_mode: str | None = None
    binning: str | None = None
    temperature: float | None = None
    rotator: float | None = None
    focus_position: float | None = None
    pier_side: str | None = None
    combined: int | None = None
    calibrated: str | None = None
    pedestal: float | None = None

    @property
    def has_no_offset(self):
        """Whether the zero level was subtracted before."""
        return bool(set("BD") & set(self.calibrated or ""))


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

    from_libraw = {
        "lens": lambda: libraw.lens.model,
        "focal_length": lambda: libraw.other.focal_length,
        "aperture": lambda: libraw.other.aperture,
        "iso": lambda: libraw.other.iso_speed,
        "exposure": lambda: libraw.other.shutter_speed,
    }
    values = {
        field.attribute: first(field.tags, PARSERS[field.kind], from_libraw.get(field.attribute, lambda: None))
        for field in FIELDS
        if field.tags
    }
    values["exposure"] = values["exposure"] or None  # a shutter that opened was open
    if values["iso"] == ISO_BEYOND:
        values["iso"] = first(ISO_TAGS, _positive, lambda: None)
    time = first(["DateTimeOriginal", "DateTimeDigitized", "DateTime"], _time, lambda: libraw.other.timestamp)
    return Metadata(time=time, row_order="TOP-DOWN", **values)


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

    whole = {"filter": _filter, "binning": _binning, "count": _count, "calibrated": _calibrated}
    values = {}
    for field in FIELDS:
        if field.kind in whole:
            values[field.attribute] = whole[field.kind](header, field.cards)
        elif field.cards and field.kind:
            values[field.attribute] = first(field.cards, PARSERS[field.kind])
    if values["aperture"] is not None and values["aperture"] > LARGEST_F_NUMBER:
        values["aperture"] = None
    if values["temperature"] is not None and not COLDEST < values["temperature"] < WARMEST:
        values["temperature"] = None
    pedestal = first(["PEDESTAL"], _number)
    return Metadata(time=_header_time(header), pedestal=None if pedestal is None else abs(pedestal), **values)


def _digest(value):
    """Tells cameras of one model apart without giving away the serial number."""
    text = _text(value)
    return hashlib.sha256(text.encode()).hexdigest()[:8] if text and text.strip("0 ") else None


def _number(value):
    """A sensible number from an EXIF tag (ratio or integer), a header card (text too) or LibRaw; else None."""
    values = getattr(value, "values", value)
    if isinstance(values, list | tuple):
        values = values[0] if values else None
    if isinstance(values, bool):
        return None
    try:
        number = float(values)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if number == 0 or LEAST <= abs(number) <= MOST else None


def _positive(value):
    number = _number(value)
    return number if number is not None and number > 0 else None


def _exposure(value):
    """Seconds; also of text such as ``0.5 s`` or ``1/50``. A bias frame truly has 0 s."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([\d.]+(?:[eE][-+]?\d+)?)(?:/([\d.]+))?\s*(ms|s|sec|seconds?)?\s*", value)
        try:
            value = float(match[1]) / float(match[2] or 1) / (1000 if match[3] == "ms" else 1) if match else None
        except (ValueError, ZeroDivisionError):
            value = None
    number = _number(value)
    return number if number is not None and number >= 0 else None


def _aperture(value):
    """F-number, also of text such as ``f/2.8``."""
    return _positive(re.sub(r"^\s*[fF]\s*/?\s*", "", value) if isinstance(value, str) else value)


def _orientation(value):
    number = _number(value)
    return int(number) if number in range(1, 9) else None


def _text(value):
    """Printable text of a sensible length, white space folded; None when nothing is left that says something."""
    text = "".join(c if c.isprintable() else " " for c in str(value if value is not None else "")[: 2 * TEXT_LENGTH])
    text = " ".join(text.split())[:TEXT_LENGTH]
    return text if text.lower() not in NO_TEXT and text.strip("-_.?* 0") else None


def _rows(value):
    text = (_text(value) or "").upper().replace("_", "-")
    return text if text in ("TOP-DOWN", "BOTTOM-UP") else None


def _filter(header, names):
    """Names of the filters in the light: of the wheels that are not open, else what the first card says."""
    texts = [text for text in (_text(header[name]) for name in names if name in header) if text]
    placed = [text for text in texts if re.sub("[^a-z0-9]", "", text.lower()) not in OPEN_FILTERS]
    return " + ".join(dict.fromkeys(placed)) or next(iter(texts), None)


def _binning(header, names):
    """``2 x 2`` (columns, rows) of two cards, or of one such as CCDSUM ``2 2``."""
    for x, y in zip(names[:6:2], names[1:6:2], strict=True):
        numbers = [_positive(header.get(name)) for name in (x, y)]
        if numbers[0]:
            return f"{numbers[0]:g} x {numbers[1] or numbers[0]:g}"
    for name in names[6:]:
        numbers = re.findall(r"\d+", str(header.get(name, "")))
        if numbers and int(numbers[0]):
            return f"{int(numbers[0])} x {int(numbers[-1])}"
    return None


def _count(header, names):
    """Number of frames that a master was made of; None for a single frame.

    ASTAP counts in a light also the flats and darks that it was calibrated with: of its cards only that of the frame's
    own kind counts.
    """
    kind = str(header.get("IMAGETYP", "")).upper()
    for name in names:
        own = "_CNT" not in name or name[:4].rstrip("_") in kind
        number = _number(header.get(name)) if own else None
        if number is not None and number > 1:
            return int(number)
    return None


#: In the HISTORY of frames that PixInsight calibrated.
PIXINSIGHT = re.compile(r"ImageCalibration\.master(Bias|Dark|Flat)\.enabled: *true", re.IGNORECASE)


def _calibrated(header, names):
    letters = set(str(header.get("CALSTAT", "")).upper()) & set("BDF")
    for line in header.get("HISTORY", ()):
        letters |= {kind[0] for kind in PIXINSIGHT.findall(str(line))}
    for name in names:
        value = header.get(name)
        if name in CORRECTIONS and value not in (None, False, "", "F", "no", "none", 0):
            letters.add(CORRECTIONS[name])
    return "".join(sorted(letters)) or None


#: How the text of a field is read, by its kind.
PARSERS = {
    "text": _text,
    "digest": _digest,
    "number": _number,
    "positive": _positive,
    "aperture": _aperture,
    "iso": _positive,
    "exposure": _exposure,
    "orientation": _orientation,
    "rows": _rows,
}


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
    """DATE-OBS, completed by a time-of-day card where it is a date only; else DATE-BEG, DATE-AVG or MJD-OBS.

    The old form DD/MM/YY stands for 19YY (FITS standard, section 4.4.2); before 1970 no camera had pixels,
    so that such a date is taken as unknown. A time with an offset becomes UTC, in which FITS counts.
    """
    for name in ("DATE-OBS", "DATE_OBS", "DATE-BEG", "DATE-AVG"):
        found = _moment(str(header.get(name, "")).strip(), header)
        if found:
            return found.isoformat()
    days = _number(header.get("MJD-OBS"))
    return (MJD_ZERO + timedelta(days=days)).isoformat(timespec="milliseconds") if days and days > 0 else None


def _moment(date, header):
    old = re.fullmatch(r"(\d\d)/(\d\d)/([7-9]\d)", date)
    if old:
        date = f"19{old[3]}-{old[2]}-{old[1]}"
    date = re.sub(r"^(\d{4})[/:](\d\d)[/:](\d\d)", r"\1-\2-\3", date)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", date):
        clocks = (str(header.get(name, "")).strip() for name in ("TIME-OBS", "UTC-OBS", "UTCSTART", "UT", "TIME"))
        date += "T" + next((clock for clock in clocks if re.match(r"\d\d:\d\d", clock)), "00:00:00")
    date = date if "T" in date else re.sub(r"\s+", "T", date, count=1)
    try:
        found = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", re.sub(r"\s", "", date)))
    except ValueError:
        return None
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


#: Fields of the metadata that tables of frames hold: column by attribute.
COLUMNS = {field.attribute: field.name for field in FIELDS if field.kind}
