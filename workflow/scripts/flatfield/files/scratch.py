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

import psutil

from flatfield.files.reading import state_of

#: Variables of the environment by which jobs of a run find the folder, and its limit in bytes.
FOLDER, LIMIT = "FLATFIELD_DECODED", "FLATFIELD_DECODED_BYTES"


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


def used_bytes(folder):
    """Bytes that the files of a folder take."""
    return sum(entry.stat().st_size for entry in os.scandir(folder))


def write_whole(path, content):
    """Write a file that is complete or not there."""
    part = f"{path}.{os.getpid()}.part"
    try:
        with open(part, "wb") as file:
            file.write(content)
        os.replace(part, path)
    finally:
        with suppress(OSError):
            os.unlink(part)
