"""Mosaics as DNG files, which LibRaw, darktable, RawTherapee, Siril and others open."""

from fractions import Fraction
from io import BytesIO

import exiv2
import numpy as np
import tifffile

from flatfield.files.version import VERSION
from flatfield.files.writing import completed
from flatfield.raw.cfa import CHANNEL_OF_COLOR

#: Groups of EXIF fields that go from an original to what is made of it.
COPIED = ("Exif.Photo.", "Exif.GPSInfo.")
COPIED_FIELDS = ("Make", "Model", "Orientation", "DateTime", "Artist", "Copyright", "ImageDescription")
#: Black level of the DNG of a light where that of the camera leaves no room for noise below it, DN.
LEAST_BLACK = 256


def write_dng(path, mosaic, cfa, sensor, exif):
    """Write a mosaic as an uncompressed DNG 1.4 (Adobe, DNG specification, chapter 4), complete or not at all.

    Parameters
    ----------
    path : str
    mosaic : numpy.ndarray, uint16, ``(rows, columns)``
        The whole sensor; the visible area is what is left below and right of the margins.
    cfa : ColorFilterArray
        Seen from the first visible pixel.
    sensor : dict
        ``margins`` (masked rows above and columns to the left), ``black`` (of each pixel of a 2 x 2 tile, row by row,
        DN), ``white`` (DN), ``color_matrix`` (XYZ to camera, 3 x 3, or None), ``neutral`` (camera values of grey).
    exif : dict
        Exiv2 keys (``Exif.Photo.ISOSpeedRatings``) and values as text.
    """
    letters = bytes(CHANNEL_OF_COLOR[color] for row in cfa.tile for color in row)
    black = [Fraction(float(level)).limit_denominator(100) for level in sensor["black"]]
    name = " ".join(exif.get(f"Exif.Image.{key}", "") for key in ("Make", "Model")).strip() or "unknown"
    neutral = [Fraction(float(value)).limit_denominator(10000) for value in sensor["neutral"]]
    tags = [
        (271, "s", 0, _ascii(exif.get("Exif.Image.Make", "")), True),  # Make
        (272, "s", 0, _ascii(exif.get("Exif.Image.Model", "")), True),  # Model
        (274, "H", 1, int(exif.get("Exif.Image.Orientation", "1")), True),  # Orientation
        (50706, "B", 4, b"\1\4\0\0", True),  # DNGVersion
        (50707, "B", 4, b"\1\1\0\0", True),  # DNGBackwardVersion
        (50708, "s", 0, _ascii(name), True),  # UniqueCameraModel
        (50713, "H", 2, (2, 2), True),  # BlackLevelRepeatDim
        (50714, "2I", 4, [n for level in black for n in level.as_integer_ratio()], True),  # BlackLevel
        (50717, "I", 1, int(sensor["white"]), True),  # WhiteLevel
        (50829, "I", 4, (*sensor["margins"], *mosaic.shape), True),  # ActiveArea
        (33421, "H", 2, (cfa.period, cfa.period), True),  # CFARepeatPatternDim
        (33422, "B", len(letters), letters, True),  # CFAPattern
        (50710, "B", 3, b"\0\1\2", True),  # CFAPlaneColor
        (50711, "H", 1, 1, True),  # CFALayout
        (50728, "2I", 3, [n for value in neutral for n in value.as_integer_ratio()], True),  # AsShotNeutral
        (50778, "H", 1, 21, True),  # CalibrationIlluminant1: D65
    ]
    if sensor["color_matrix"] is not None:
        values = np.rint(10000 * np.ravel(sensor["color_matrix"])).astype(int)
        tags.append((50721, "2i", 9, [n for value in values for n in (int(value), 10000)], True))  # ColorMatrix1
    content = BytesIO()
    tifffile.imwrite(
        content, mosaic, photometric=32803, extratags=tags, metadata=None, software=False, rowsperstrip=len(mosaic)
    )
    image = exiv2.ImageFactory.open(content.getvalue())
    image.readMetadata()
    for key, value in exif.items():
        if not key.startswith("Exif.Image.") or key.endswith(("Software", "DateTime", "Artist", "Copyright")):
            image.exifData()[key] = value
    image.writeMetadata()
    memory = image.io()
    memory.open()
    with completed(path) as file:
        file.write(memory.mmap())


def _ascii(text):
    return "".join(c if " " <= c <= "~" else "?" for c in text)


def read_color_matrix(path):
    """Matrix from XYZ to the camera's colours of a DNG, ``(3, 3)``; None where there is none."""
    try:
        image = exiv2.ImageFactory.open(str(path))
        image.readMetadata()
        text = next((str(each.value()) for each in image.exifData() if each.key() == "Exif.Image.ColorMatrix1"), "")
        values = [float(Fraction(part)) for part in text.split()]
    except (exiv2.Exiv2Error, ValueError, ZeroDivisionError):
        return None
    return np.reshape(values, (3, 3)) if len(values) == 9 else None


def read_exif(path):
    """EXIF fields of a raw file that belong into files made of it; none where Exiv2 cannot read them.

    Returns
    -------
    dict
        Exiv2 keys and values as text.
    """
    try:
        image = exiv2.ImageFactory.open(str(path))
        image.readMetadata()
        data = image.exifData()
    except exiv2.Exiv2Error:
        return {}
    fields = {}
    for datum in data:
        key, value = datum.key(), str(datum.value())
        wanted = key.startswith(COPIED) or (key.startswith("Exif.Image.") and key.split(".")[2] in COPIED_FIELDS)
        if wanted and "MakerNote" not in key and "0x" not in key and len(value) < 500:
            fields[key] = value
    return fields


def write_calibrated(path, light, original, source):
    """Write a calibrated light, with colours, white balance and EXIF of its raw file.

    Parameters
    ----------
    path : str
    light : flatfield.raw.mosaic.Mosaic
        DN above black.
    original : flatfield.raw.decode.Frame
    source : str
        The raw file.
    """
    value, black = light.value, max(round(float(np.mean(original.black))), LEAST_BLACK)
    saturation = light.header.get("SATURATE", float(np.nanmax(value)))
    data = np.rint(np.clip(np.nan_to_num(value, nan=0.0, posinf=65535.0) + black, 0, 65535)).astype(np.uint16)
    print(f"{np.count_nonzero(value + black > 65535)} pixels are brighter than 16 bits hold and are 65535")
    print(f"{np.count_nonzero(value + black < 0)} pixels are more than {black} DN below black and are 0")
    sensor = {
        "margins": (0, 0),
        "black": (black,) * 4,
        "white": min(round(saturation + black), 65535),
        "color_matrix": original.color_matrix if original.color_matrix is not None else read_color_matrix(source),
        "neutral": [1 / factor for factor in original.white_balance],
    }
    exif = read_exif(source) | {"Exif.Image.Software": f"flatfield {VERSION}"}
    write_dng(path, data, light.cfa, sensor, exif)
