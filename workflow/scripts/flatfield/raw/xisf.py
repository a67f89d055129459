"""XISF files (PixInsight, N.I.N.A.): one monolithic image with its FITS keywords.

Uncompressed and zlib blocks are read here; for the other compressions the package ``xisf`` is used where it is there.
Source: XISF version 1.0 specification (pixinsight.com/doc/docs/XISF-1.0-spec), sections 9 to 11.
"""

import zlib
from importlib import import_module
from xml.etree import ElementTree

import numpy as np
from astropy.io import fits

from flatfield.files.errors import FrameError

SIGNATURE = b"XISF0100"
NAMESPACE = "{http://www.pixinsight.com/xisf}"
TYPES = {"UInt8": "u1", "UInt16": "u2", "UInt32": "u4", "Float32": "f4", "Float64": "f8"}


def read_xisf_header(path):
    """Header of the only image of an XISF file.

    Returns
    -------
    header : astropy.io.fits.Header
        Its FITS keywords; BAYERPAT from its ColorFilterArray where no keyword has it; ROWORDER is always TOP-DOWN.
    image : xml.etree.ElementTree.Element
        With geometry, sampleFormat, location ...

    Raises
    ------
    FrameError
        If it is no XISF file, or holds several images or planes.
    """
    with open(path, "rb") as file:
        start = file.read(16)
        if start[:8] != SIGNATURE:
            raise FrameError(f"{path} is not an XISF file; copy it again")
        text = file.read(int.from_bytes(start[8:12], "little"))
    try:
        images = ElementTree.fromstring(text.rstrip(b"\0")).findall(f"{NAMESPACE}Image")
    except ElementTree.ParseError as error:
        raise FrameError(f"{path} is damaged: its header is not XML ({error}); copy it again") from error
    if len(images) != 1:
        raise FrameError(f"{path} holds {len(images)} images; save one image per file")
    (image,) = images
    columns, rows, planes = map(int, image.get("geometry", "0:0:0").split(":"))
    if planes != 1:
        raise FrameError(
            f"{path} holds no two-dimensional image but {planes} planes; give frames that are not debayered"
        )
    header = fits.Header()
    for card in image.findall(f"{NAMESPACE}FITSKeyword"):
        name, value = card.get("name", ""), card.get("value", "").strip()
        if name == "HISTORY":  # PixInsight writes it as the comment of an empty value
            header.add_history((value or card.get("comment", "")).encode("ascii", "ignore").decode())
        if name and name not in ("HISTORY", "COMMENT", "SIMPLE", "BZERO", "BSCALE"):
            header[name[:8]] = _value_of(value)
    header["NAXIS1"], header["NAXIS2"] = columns, rows
    pattern = image.find(f"{NAMESPACE}ColorFilterArray")
    if pattern is not None and "BAYERPAT" not in header:
        header["BAYERPAT"] = pattern.get("pattern", "")
    header["ROWORDER"] = "TOP-DOWN"
    return header, image


def _value_of(text):
    if text.startswith("'"):
        return text.strip("'").strip()
    if text in ("T", "F"):
        return text == "T"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def read_xisf(path):
    """Read the only image of an XISF file.

    Returns
    -------
    header : astropy.io.fits.Header
    data : numpy.ndarray, ``(rows, columns)``

    Raises
    ------
    FrameError
        See `read_xisf_header`; or if its compression cannot be undone.
    """
    header, image = read_xisf_header(path)
    shape, kind = (header["NAXIS2"], header["NAXIS1"]), image.get("sampleFormat", "")
    place = image.get("location", "").split(":")
    codec, *sizes = image.get("compression", "none").split(":")
    if kind not in TYPES or place[0] != "attachment":
        raise FrameError(
            f"{path} holds samples of the type {kind} ({place[0]}), which are not supported; save it as FITS"
        )
    if codec.partition("+")[0] not in ("none", "zlib"):
        return header, _read_by_package(path, codec)
    with open(path, "rb") as file:
        file.seek(int(place[1]))
        content = file.read(int(place[2]))
    if len(content) < int(place[2]):
        raise FrameError(f"{path} ends {int(place[2]) - len(content)} bytes too early; copy it again")
    if codec != "none":
        content = zlib.decompress(content)
        if codec.endswith("+sh"):  # the first bytes of all samples, then the second ones
            content = np.frombuffer(content, np.uint8).reshape(int(sizes[1]), -1).T.tobytes()
    order = ">" if image.get("byteOrder") == "big" else "<"
    data = np.frombuffer(content, np.dtype(order + TYPES[kind])).reshape(shape)
    return header, data.astype(data.dtype.newbyteorder("="))


def _read_by_package(path, codec):
    try:
        package = import_module("xisf")
    except ImportError:
        raise FrameError(
            f"{path} is compressed by {codec}; save it uncompressed (or by zlib), or install the package xisf"
        ) from None
    return np.squeeze(package.XISF(str(path)).read_image(0))
