"""Scratch folder of a run: decoded frames that later jobs read back instead of decoding them again.

The inspection decodes every frame once. Where the pixels lie in the file as they are decoded (most uncompressed raws),
an entry says only where; otherwise they are written to the folder. Later jobs map them into memory, which jobs side by
side share. Entries are found by the sha256 of the file. The folder is no product: without it, or where an entry is
missing, damaged or of a file that changed, frames are decoded again, with the same result.
"""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil

from flatfield.files.reading import state_of

#: Variables of the environment by which jobs of a run find the folder, and its limit in bytes.
FOLDER, LIMIT = "FLATFIELD_DECODED", "FLATFIELD_DECODED_BYTES"


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
        elif _used(folder) + pixels.nbytes <= int(os.environ.get(LIMIT, 0)):
            _write(os.path.join(folder, f"{sha256}.pixels"), np.ascontiguousarray(pixels).data.cast("B"))
            entry |= {"sums": checksums(pixels)}
        _write(os.path.join(folder, f"{sha256}.json"), json.dumps(entry).encode())


def find_entry(sha256, path):
    """What was kept of a file, if it is still the one that was inspected; None otherwise.

    Parameters
    ----------
    sha256 : str
        That the file had when it was inspected.
    path : str
    """
    folder = os.environ.get(FOLDER)
    if not folder:
        return None
    with suppress(OSError, ValueError, KeyError, TypeError):
        entry = json.loads(Path(folder, f"{sha256}.json").read_bytes())
        if entry["path"] == os.path.abspath(path) and entry["state"] == list(state_of(path)):
            return entry
    return None


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


def make_folder(limit_mb=None):
    """Make the scratch folder of a run, and remove those of runs that were killed.

    Parameters
    ----------
    limit_mb : int, optional
        Most that it may hold, megabytes; half of the free disk where left out, nothing for 0.

    Returns
    -------
    str or None
        The folder, which jobs find by the environment.
    """
    if limit_mb == 0:
        return None
    try:
        parent = os.environ.get("TMPDIR") or ("/var/tmp" if os.access("/var/tmp", os.W_OK) else "/tmp")
        base = os.path.join(parent, f"flatfield-decoded-{os.getuid()}")
        os.makedirs(base, mode=0o700, exist_ok=True)
        for name in os.listdir(base):
            if not (name.isdigit() and psutil.pid_exists(int(name))):
                shutil.rmtree(os.path.join(base, name), ignore_errors=True)
        folder = os.path.join(base, str(os.getpid()))
        os.makedirs(folder, mode=0o700, exist_ok=True)
        limit = limit_mb * 1_000_000 if limit_mb else shutil.disk_usage(base).free // 2
    except (OSError, AttributeError):  # no such folder, or no such system: frames are decoded again
        return None
    os.environ[FOLDER], os.environ[LIMIT] = folder, str(limit)
    return folder


def remove_folder():
    """Remove the scratch folder of this run."""
    folder = os.environ.pop(FOLDER, None)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def _used(folder):
    return sum(entry.stat().st_size for entry in os.scandir(folder))


def _write(path, content):
    part = f"{path}.{os.getpid()}.part"
    try:
        with open(part, "wb") as file:
            file.write(content)
        os.replace(part, path)
    finally:
        with suppress(OSError):
            os.unlink(part)
