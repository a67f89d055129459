"""XISF files, the format of PixInsight.

Source: XISF version 1.0 specification (pixinsight.com/doc/docs/XISF-1.0-spec): a monolithic file is a signature, the
length of the header, the header in XML, and the pixels as an attached block, from the top left corner row by row.
"""

from xml.etree import ElementTree

import numpy as np

from flatfield.files.version import VERSION
from flatfield.files.writing import completed

SIGNATURE = b"XISF0100"
NAMESPACE = "http://www.pixinsight.com/xisf"
#: Bytes to whose multiples blocks are aligned.
ALIGNMENT = 4096


def write_xisf(path, image, image_type):
    """Write an image as the only one of a monolithic XISF file, uncompressed, complete or not at all.

    Parameters
    ----------
    path : str
    image : flatfield.raw.mosaic.Mosaic
        From 0 to 1, first row at the top; its header goes with it as FITS keywords.
    image_type : str
        ``MasterFlat``, ``MasterBias`` ...
    """
    pixels = np.ascontiguousarray(image.value, "<f4").tobytes()
    place = ALIGNMENT
    while len(header := _describe(image, image_type, place, len(pixels))) + 16 > place:
        place += ALIGNMENT
    with completed(path) as file:
        file.write(SIGNATURE + len(header).to_bytes(4, "little") + bytes(4) + header)
        file.write(bytes(place - 16 - len(header)) + pixels)


def _describe(image, image_type, place, size):
    """The header of a file, whose pixels begin at a place."""
    rows, columns = image.shape
    root = ElementTree.Element("xisf", version="1.0", xmlns=NAMESPACE)
    element = ElementTree.SubElement(
        root, "Image", geometry=f"{columns}:{rows}:1", sampleFormat="Float32", bounds="0:1", colorSpace="Gray",
        imageType=image_type, location=f"attachment:{place}:{size}",
    )  # fmt: skip
    if not image.cfa.is_mono:
        period = str(image.cfa.period)
        ElementTree.SubElement(element, "ColorFilterArray", pattern=image.cfa.name, width=period, height=period)
    for card in image.header.cards:
        said = (card.value, "") if card.keyword in ("HISTORY", "COMMENT") else (card.comment, _text(card.value))
        ElementTree.SubElement(element, "FITSKeyword", name=card.keyword, value=said[1], comment=said[0])
    about = ElementTree.SubElement(root, "Metadata")
    made = str(image.header.get("DATE", "1970-01-01T00:00:00"))  # of the last frame: products hold no wall clock
    ElementTree.SubElement(about, "Property", id="XISF:CreationTime", type="TimePoint", value=f"{made}Z")
    creator = ElementTree.SubElement(about, "Property", id="XISF:CreatorApplication", type="String")
    creator.text = f"flatfield {VERSION}"
    return ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)


def _text(value):
    """A value as in a FITS card."""
    if isinstance(value, bool):
        return "T" if value else "F"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)
