"""Pixels of decoded frames in the scratch folder of a run, see `flatfield.files.scratch`.

A module of its own, as those that plan a run read entries of the folder and must do so where there is no numpy: in an
environment that has Snakemake alone, which makes those of the jobs.
"""

import json
import os
from contextlib import suppress

import numpy as np

from flatfield.files.scratch import FOLDER, LIMIT, used_bytes, write_whole


def keep_pixels(sha256, path, state, content, pixels, **notes):
    """Keep the pixels of a file.

    Parameters
    ----------
    sha256 : str
        Of the file.
    path : str
    state : tuple
        Of the file before it was read, see `flatfield.files.reading.state_of`.
    content : bytes
        Of the file.
    pixels : numpy.ndarray, ``(rows, columns)``
    **notes
        What else to keep, as JSON.
    """
    folder = os.environ.get(FOLDER)
    if not folder or not os.path.isdir(folder) or state is None:
        return
    entry = {"path": os.path.abspath(path), "state": state, "shape": pixels.shape, "dtype": pixels.dtype.str, **notes}
    window = find_window(content, pixels)
    with suppress(OSError):  # a full disk: the frame is decoded again
        if window is not None:
            entry |= {"offset": window[0], "stride": window[1]}
        elif used_bytes(folder) + pixels.nbytes <= int(os.environ.get(LIMIT, 0)):
            write_whole(os.path.join(folder, f"{sha256}.pixels"), np.ascontiguousarray(pixels).data.cast("B"))
            entry |= {"sums": checksums(pixels)}
        write_whole(os.path.join(folder, f"{sha256}.json"), json.dumps(entry).encode())


def map_pixels(entry, sha256):
    """Pixels of an entry, mapped into memory, read-only; None where they are not there or damaged."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        shape, dtype = tuple(entry["shape"]), np.dtype(entry["dtype"])
        if "offset" in entry:
            whole = np.memmap(entry["path"], np.uint8, "r")
            return np.ndarray(shape, dtype, whole, entry["offset"], (entry["stride"], dtype.itemsize))
        if "sums" in entry:
            pixels = np.memmap(os.path.join(os.environ[FOLDER], f"{sha256}.pixels"), dtype, "r", shape=shape)
            return pixels if checksums(pixels) == entry["sums"] else None
    return None


def find_window(content, mosaic):
    """Where the pixels of a frame lie in its file as they are decoded.

    Parameters
    ----------
    content : bytes
    mosaic : numpy.ndarray, ``(rows, columns)``

    Returns
    -------
    offset, stride : int
        Of the first pixel, and from row to row, bytes; None where they do not lie so.

    Examples
    --------
    >>> pixels = np.arange(6, dtype="<u2").reshape(2, 3)
    >>> find_window(b"head" + pixels[0].tobytes() + b"--" + pixels[1].tobytes(), pixels)
    (4, 8)
    """
    rows = len(mosaic)
    if mosaic.dtype.byteorder == ">" or rows < 2:
        return None
    offset = content.find(np.ascontiguousarray(mosaic[0]).data.cast("B"))
    if offset < 0:
        return None
    second = content.find(np.ascontiguousarray(mosaic[1]).data.cast("B"), offset + mosaic[0].nbytes)
    stride = second - offset
    if second < 0 or offset + (rows - 1) * stride + mosaic[0].nbytes > len(content):
        return None
    there = np.ndarray(mosaic.shape, mosaic.dtype, content, offset, (stride, mosaic.dtype.itemsize))
    return (offset, stride) if np.array_equal(there, mosaic) else None


def checksums(pixels):
    """Two sums by which damage is noticed: of the words of all pixels, and of their rows weighted by their number."""
    rows = np.array([_sum_of_words(row) for row in pixels], np.uint64)
    weights = np.arange(1, len(rows) + 1, dtype=np.uint64)
    return [int(rows.sum(dtype=np.uint64)), int((rows * weights).sum(dtype=np.uint64))]


def _sum_of_words(row):
    content = row.view(np.uint8)
    whole = len(content) // 8 * 8
    return content[:whole].view(np.uint64).sum(dtype=np.uint64) + content[whole:].sum(dtype=np.uint64)
