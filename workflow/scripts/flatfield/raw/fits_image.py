"""The image of a FITS or XISF file: which one it is, its parts put together, its numbers on one scale."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.io import fits

from flatfield.files.errors import FrameError
from flatfield.files.reading import read_content
from flatfield.raw.robust import robust_deviation
from flatfield.raw.xisf import read_xisf, read_xisf_header

#: Overscan pixels further from the median, in robust standard deviations (and further than 1 DN), do not count.
OVERSCAN_DEVIATIONS = 5
#: Axes that a FITS image may have.
MOST_AXES = 999
#: Extensions that belong to an image and are none of their own.
COMPANIONS = {"MASK", "UNCERT", "UNCERTAINTY", "NUSED", "ERR", "ERROR", "VAR", "DQ", "BPM", "WEIGHT", "PERCENT"}
#: Pixels below this, DN, and this part of all, are numbers that wrapped around.
WRAPPED_DN, WRAPPED_PART = -1000, 1e-3
#: Numbers of programs that keep images from 0 to 1 are multiplied by this; a little below 0 is noise.
FULL_SCALE, LEAST_OF_UNIT = 65535, -0.05
#: Cards of places in the stored image, which do not hold of the image put together.
SECTIONS = ("DETSEC", "CCDSEC", "AMPSEC", "DATASEC", "TRIMSEC", "BIASSEC", "NAXIS3", "NAXIS4")


@dataclass
class StoredImage:
    """An image as it is stored.

    Attributes
    ----------
    data : numpy.ndarray, uint16 or float32, ``(rows, columns)``
        DN.
    header : astropy.io.fits.Header
        Of the image, completed by that of the primary HDU.
    white : float or None
        Level at which it saturates, DN, if the header gives it.
    remarks : list of str
        What was done.
    without_overscan : bool
        Whether the overscan of each part was subtracted already.
    """

    data: np.ndarray
    header: fits.Header
    white: float | None = None
    remarks: list = field(default_factory=list)
    without_overscan: bool = False


def is_xisf(path):
    """Whether a file is read as XISF, by the end of its name."""
    return Path(path).suffix.lower() == ".xisf"


def read_image_header(path):
    """Header of the image of a FITS or XISF file, completed by that of the primary HDU; pixels are not read.

    Raises
    ------
    FrameError
        If it holds no image, or several that cannot be put together.
    """
    if is_xisf(path):
        return read_xisf_header(path)[0]
    _check_axes(path)
    with fits.open(path) as hdus:
        chosen = _choose(hdus, path)
        header = _whole_header(hdus, chosen[0])
        if len(chosen) > 1:
            (rows, columns), _ = _place(chosen, path)
            header["NAXIS1"], header["NAXIS2"] = columns, rows
        return header


def read_stored(path, overscan=False):
    """Read the image of a FITS or XISF file.

    Parameters
    ----------
    path : str or pathlib.Path
    overscan : bool
        Subtract the overscan of each part, where it consists of several.

    Returns
    -------
    StoredImage

    Raises
    ------
    FrameError
        If it holds no image, several, or numbers that cannot be right.
    """
    if is_xisf(path):
        image = StoredImage(*reversed(read_xisf(path)))
    else:
        _check_axes(path)
        with fits.open(path, memmap=False) as hdus:
            chosen = _choose(hdus, path)
            header = _whole_header(hdus, chosen[0])
            for hdu in chosen:
                if 0 in (hdu.verify_checksum(), hdu.verify_datasum()):
                    raise FrameError(f"{path} is damaged: its checksum is wrong; copy it again")
            if len(chosen) == 1:
                image = StoredImage(_plane(chosen[0].data), header)
            else:
                image = _put_together(chosen, header, path, overscan)
    _bring_to_scale(image, path)
    return image


def _check_axes(path):
    """Refuse numbers of axes beyond the standard (section 4.4.1), through which astropy would count one by one."""
    content, start = read_content(path), -1
    while (start := content.find(b"NAXIS   =", start + 1)) >= 0:
        number = re.match(rb" *([0-9]+)", content[start + 9 : start + 80])
        if number and int(number[1]) > MOST_AXES:
            raise FrameError(f"{path} is damaged: it has NAXIS {int(number[1])}; copy it again")


def _choose(hdus, path):
    """The HDUs of the image; several where they are parts of one."""
    images = [hdu for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS", 0) > 1]
    images = [hdu for hdu in images if hdu.name not in COMPANIONS] or images
    flat = [hdu for hdu in images if len(_lengths(hdu)) == 2]
    if images and not flat:
        planes = " x ".join(map(str, _lengths(images[0])))
        raise FrameError(
            f"{path} holds no two-dimensional image but {planes} pixels (debayered, or a film); give frames as recorded"
        )
    if not flat:
        raise FrameError(f"{path} holds no two-dimensional image; only single-plane FITS frames are supported")
    if len(flat) > 1 and not all("DETSEC" in hdu.header for hdu in flat):
        names = ", ".join(hdu.name or str(hdus.index(hdu)) for hdu in flat)
        raise FrameError(
            f"{path} holds {len(flat)} images ({names}) and not where they belong (DETSEC); put them together, or save "
            "one per file"
        )
    return flat


def _lengths(hdu):
    """Lengths of the axes that are longer than 1, columns first."""
    lengths = [hdu.header[f"NAXIS{axis}"] for axis in range(1, hdu.header["NAXIS"] + 1)]
    return lengths[:2] + [length for length in lengths[2:] if length > 1]


def _plane(data):
    return data.reshape(data.shape[-2:])


def _whole_header(hdus, hdu):
    header = hdus[0].header.copy()
    if hdu is not hdus[0]:
        header.update(hdu.header)
    return header


def _put_together(hdus, header, path, overscan):
    """Amplifiers of one detector, each where its DETSEC says."""
    shape, places = _place(hdus, path)
    whole, subtracted = np.zeros(shape, np.float32), False
    for hdu, (rows, columns, turned) in zip(hdus, places, strict=True):
        data = _plane(hdu.data)
        part = data[_data_section(hdu, path)].astype(np.float32)
        if overscan and "BIASSEC" in hdu.header:
            part -= np.float32(mean_overscan(data, hdu.header, path))
            subtracted = True
        whole[rows, columns] = part[tuple(slice(None, None, -1 if turn else 1) for turn in turned)]
    for name in SECTIONS:
        header.remove(name, ignore_missing=True)
    kinds = {hdu.data.dtype for hdu in hdus}
    data = whole.astype(np.uint16) if kinds == {np.dtype(np.uint16)} and not subtracted else whole
    names = ", ".join(hdu.name or "?" for hdu in hdus)
    return StoredImage(data, header, remarks=[f"put together of the extensions {names}"], without_overscan=subtracted)


def _data_section(hdu, path):
    shape = tuple(_lengths(hdu)[::-1])
    for name in ("DATASEC", "TRIMSEC"):
        found = section(hdu.header, name, shape, path)
        if found:
            return found
    return slice(0, shape[0]), slice(0, shape[1])


def _place(hdus, path):
    """Shape of the whole, and rows, columns and turned axes of each part."""
    boxes = []
    for hdu in hdus:
        match = re.fullmatch(r"\[(\d+):(\d+),(\d+):(\d+)\]", str(hdu.header["DETSEC"]).replace(" ", ""))
        if not match:
            raise FrameError(f"{path}: DETSEC '{hdu.header['DETSEC']}' is not a section")
        left, right, bottom, top = map(int, match.groups())
        turned = bottom > top, left > right
        rows, columns = _data_section(hdu, path)
        size = rows.stop - rows.start, columns.stop - columns.start
        bottom, top, left, right = min(bottom, top), max(bottom, top), min(left, right), max(left, right)
        binning = (top - bottom + 1) / size[0], (right - left + 1) / size[1]
        if any(each != int(each) or each < 1 for each in binning):
            raise FrameError(f"{path}: DETSEC of {hdu.name} is not as large as its {size[0]} x {size[1]} pixels")
        boxes.append(((bottom - 1) / binning[0], (left - 1) / binning[1], size, turned))
    first = [min(box[axis] for box in boxes) for axis in (0, 1)]
    last = [max(box[axis] + box[2][axis] for box in boxes) for axis in (0, 1)]
    shape = tuple(int(stop - start) for start, stop in zip(first, last, strict=True))
    if shape[0] * shape[1] != sum(box[2][0] * box[2][1] for box in boxes):
        raise FrameError(f"{path} holds {len(boxes)} detectors with gaps between them; save one per file")
    places = []
    for row, column, size, turned in boxes:
        start = int(row - first[0]), int(column - first[1])
        places.append((slice(start[0], start[0] + size[0]), slice(start[1], start[1] + size[1]), turned))
    return shape, places


def section(header, name, shape, path):
    """Row and column slices of a section card such as ``[18:1382,1:1370]`` (columns first, from 1); None without."""
    if name not in header:
        return None
    match = re.fullmatch(r"\[(\d+):(\d+),(\d+):(\d+)\]", str(header[name]).replace(" ", ""))
    left, right, bottom, top = map(int, match.groups()) if match else (0, 0, 0, 0)
    if not (1 <= left <= right <= shape[1] and 1 <= bottom <= top <= shape[0]):
        raise FrameError(f"{path}: {name} '{header[name]}' is not a section of its {shape[1]} x {shape[0]} pixels")
    return slice(bottom - 1, top), slice(left - 1, right)


def mean_overscan(data, header, path):
    """Mean of the overscan, DN, bleeding and cosmic rays left out.

    Raises
    ------
    FrameError
        If there is none.
    """
    found = section(header, "BIASSEC", data.shape, path)
    if found is None:
        raise FrameError(f"{path} has no BIASSEC card, so `overscan: true` is not possible; remove the key")
    values = data[found].astype(np.float64)
    median, deviation = robust_deviation(values)
    return values[np.abs(values - median) <= max(OVERSCAN_DEVIATIONS * deviation, 1.0)].mean()


def _bring_to_scale(image, path):
    """Integers stay as they are; numbers from 0 to 1 become those of 16 bits; what cannot be right is refused."""
    data = image.data
    if data.dtype.kind == "i" and data.dtype.itemsize == 2 and (data < WRAPPED_DN).mean() > WRAPPED_PART:
        raise FrameError(
            f"{path} holds numbers down to {data.min()}: it was written as signed 16 bits without BZERO, so that what "
            "is above 32767 became negative and cannot be recovered; save it again as unsigned 16 bits"
        )
    is_integer = data.dtype.kind in "iu"
    if data.dtype != np.uint16:
        image.data = data = data.astype(np.float32)
        if not np.isfinite(data).all():
            raise FrameError(f"{path} holds pixels that are not finite; repair or remove the frame")
    unit = not is_integer and data.min() >= LEAST_OF_UNIT and 0 < data.max() <= 1
    if unit:
        image.data = data * np.float32(FULL_SCALE)
        image.remarks.append(f"its numbers from 0 to 1 were multiplied by {FULL_SCALE}")
    image.white = _white(image.header, FULL_SCALE if unit or data.dtype == np.uint16 else None)


def _white(header, otherwise):
    """Level at which an image saturates; DATAMAX counts where it is the largest number of some number of bits."""
    saturate, largest = header.get("SATURATE"), header.get("DATAMAX")
    if isinstance(saturate, int | float) and not isinstance(saturate, bool) and saturate > 0:
        return float(saturate)
    if isinstance(largest, int | float) and largest >= 255 and (int(largest) + 1) & int(largest) == 0:
        return float(largest)
    return None if otherwise is None else float(otherwise)
