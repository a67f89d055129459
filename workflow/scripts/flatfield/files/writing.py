"""Writing files: complete in their place, or not at all."""

import glob
import os
from contextlib import contextmanager, suppress
from pathlib import Path

from flatfield.files.errors import ResourceError


@contextmanager
def completed(path):
    """A file to write to, which takes the place of `path` when the block ends without an error.

    Where the system knows files without a name (Linux, on most local file systems), nothing is left of it if the
    process is killed. Elsewhere it lies beside `path` as ``.<name>.<process>.part`` until the next one who writes
    `path` removes it. Of several processes that write at a time each has a file of its own.

    Parameters
    ----------
    path : str or pathlib.Path

    Yields
    ------
    io.BufferedRandom

    Raises
    ------
    ResourceError
        If the system does not let it be written: a full disk, a folder that is read-only.
    """
    path = Path(path)
    beginning = f".{path.name[:50]}."  # a name has 255 bytes at most
    part = path.with_name(f"{beginning}{os.getpid()}.part")
    try:
        for left in path.parent.glob(f"{glob.escape(beginning)}*.part"):
            left.unlink(missing_ok=True)
        with _open_unnamed(path.parent) or open(part, "xb+") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # or a loss of power might leave the name without the content
            if not part.exists():  # with a folder given, Python's link follows the one in /proc to the file
                os.link(f"/proc/self/fd/{file.fileno()}", part, src_dir_fd=file.fileno())
        os.replace(part, path)
    except OSError as error:
        reason = error.strerror or str(error).partition(". ")[0]  # astropy says the same three times
        raise ResourceError(f"{path} cannot be written ({reason}); make room or allow it, and run again") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _open_unnamed(folder):
    """A file without a name in a folder; None where the system cannot make one and give it a name later."""
    if not (hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd")):
        return None
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666)
    except OSError:  # network file systems above all; what else is wrong shows when a named one is made
        return None
    try:
        return open(f"/proc/self/fd/{descriptor}", "wb+")  # libraries want a name that is text
    finally:
        os.close(descriptor)


def write_text(path, text):
    """Write a text file (UTF-8), complete or not at all."""
    with completed(path) as file:
        file.write(text.encode())
