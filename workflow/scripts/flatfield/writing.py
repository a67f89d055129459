"""Writing files: complete in their place, or not at all."""

import os
from contextlib import contextmanager
from pathlib import Path

from flatfield.errors import ResourceError


@contextmanager
def completed(path):
    """A file beside `path` to write to, which takes its place when the block ends without an error.

    Parameters
    ----------
    path : str or pathlib.Path

    Yields
    ------
    pathlib.Path

    Raises
    ------
    ResourceError
        If the system does not let it be written: a full disk, a folder that is read-only.
    """
    part = Path(f"{path}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        reason = error.strerror or error
        raise ResourceError(f"{path} cannot be written ({reason}); make room or allow it, and run again") from error
    finally:
        part.unlink(missing_ok=True)


def write_text(path, text):
    """Write a text file (UTF-8), complete or not at all."""
    with completed(path) as part:
        part.write_text(text, encoding="utf-8")
