"""Frames that were decoded before in a run, see `flatfield.files.scratch`."""

import json
from dataclasses import asdict

import numpy as np

from flatfield.files.kept_pixels import keep_pixels, map_pixels
from flatfield.files.scratch import find_entry
from flatfield.raw.cfa import ColorFilterArray
from flatfield.raw.decode import Frame, read_frame
from flatfield.raw.metadata import Metadata


def remember(sha256, path, state, content, frame, reading):
    """Keep a decoded frame for later jobs.

    Parameters
    ----------
    sha256 : str
        Of the file.
    path : str
    state : tuple
        Of the file before it was read, see `flatfield.files.reading.state_of`.
    content : bytes
        Of the file.
    frame : Frame
    reading : bool or dict
        How it was read, see `flatfield.raw.decode.Reading`.
    """
    notes = {
        "reading": reading,
        "zero_level": frame.zero_level,
        "remarks": list(frame.remarks),
        "tile": frame.cfa.tile,
        "black": [float(level) for level in frame.black],
        "white": frame.white,
        "masked": frame.masked,
        "white_balance": [float(factor) for factor in frame.white_balance],
        "color_matrix": None if frame.color_matrix is None else np.asarray(frame.color_matrix, float).tolist(),
        "metadata": asdict(frame.metadata),
    }
    keep_pixels(sha256, path, state, content, frame.mosaic, **notes)


def recall(sha256, path, reading):
    """A frame that was kept, its mosaic mapped into memory (read-only); None where it must be decoded.

    Parameters
    ----------
    sha256 : str
        That the file had when it was inspected.
    path : str
    reading : bool or dict
        How it is to be read.
    """
    entry = find_entry(sha256, path)
    same = entry is not None and json.dumps(entry["reading"]) == json.dumps(reading)
    pixels = map_pixels(entry, sha256) if same else None
    if pixels is None:
        return None
    matrix = entry["color_matrix"]
    return Frame(
        pixels,
        ColorFilterArray(tuple(map(tuple, entry["tile"]))),
        np.array(entry["black"], np.float32),
        entry["white"],
        Metadata(**entry["metadata"]),
        entry["masked"],
        tuple(entry["white_balance"]),
        None if matrix is None else np.array(matrix, np.float32),
        zero_level=entry["zero_level"],
        remarks=entry["remarks"],
    )


def read_again(path, sha256, reading=False):
    """A frame that was inspected: as it was kept, or decoded again; see `flatfield.raw.decode.read_frame`."""
    return recall(sha256, path, reading) or read_frame(path, reading)
