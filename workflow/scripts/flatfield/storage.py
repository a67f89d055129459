"""Where the frames of a stack are kept: in memory, or, above the memory that a job may use, in a scratch file."""

import os
import shutil
import tempfile
from typing import Any

import numpy as np

from flatfield.errors import ResourceError
from flatfield.names import is_fits

#: Bytes that a combining job takes beside its frames: interpreter and libraries, and for each pixel of a frame what is
#: written (planes, their errors and copies). Upper bounds: measured were two thirds of the sum of all and less.
BASE, PRODUCTS = 250_000_000, 28
#: Memory of the Snakemake that starts a job on a node of a cluster, MB; measured were 100.
STARTER_MB = 250
#: Rows above and below a band that interpolation needs, and rows of the largest colour filter array.
HALO, TILE = 2, 6
#: Rows below which a band is not worth a job of its own.
LEAST_ROWS = 60


def bytes_of_pixel(path):
    """Bytes that a pixel of a frame takes in memory; those of FITS frames may be floats."""
    return 4 if is_fits(path) else 2


def needed_mb(shape, frames, itemsize, threads, bands=1):
    """Memory that a job takes to combine frames, all held in memory.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of a frame.
    frames : int
    itemsize : int
        Bytes of a pixel: 2 for raws, 4 for floats, 6 for LibRaw's three planes.
    threads : int
    bands : int
        Of the rows, one of which is kept, are there so many.

    Returns
    -------
    int
        Megabytes (10^6 bytes).
    """
    return _megabytes(_overhead(shape, itemsize, threads, bands) + frames * shape[0] * shape[1] * itemsize // bands)


def least_mb(shape, frames, itemsize, threads, bands=1):
    """The least memory that will do, with the frames in a scratch file; parameters as for `needed_mb`."""
    return _megabytes(
        _overhead(shape, itemsize, threads, bands) + threads * (2 * HALO + TILE) * shape[1] * frames * itemsize
    )


def affordable_threads(shape, frames, itemsize, threads, bands=1, *, limit_mb):
    """As many of `threads` as let the frames stay in memory within `limit_mb`, or else as many as will do at all.

    At least one; other parameters as for `needed_mb`.
    """
    numbers = range(threads, 0, -1)
    for size in (needed_mb, least_mb):
        for number in numbers:
            if size(shape, frames, itemsize, number, bands) <= limit_mb:
                return number
    return 1


def band_height(rows, count):
    """Rows of each of so many bands of a frame, whole tiles of the colour filter array; the last one may have less."""
    return -(-rows // (count * TILE)) * TILE


def enough_bands(shape, frames, itemsize, limit_mb):
    """Bands of which each can be held in memory by one thread within `limit_mb`; other parameters as for `needed_mb`.

    Returns
    -------
    int
        As few as will do; where none will, as many as are worth a job each.

    Examples
    --------
    >>> enough_bands((2840, 4244), 90, 2, 1000)
    4
    >>> enough_bands((2840, 4244), 90, 2, 100)
    44
    """
    most = max(shape[0] // LEAST_ROWS, 1)
    fitting = (count for count in range(1, most) if needed_mb(shape, frames, itemsize, 1, count) <= limit_mb)
    return -(-shape[0] // band_height(shape[0], next(fitting, most)))


def band_rows(shape, frames, itemsize, threads, bands=1, *, limit_mb):
    """Rows of all frames that each thread can take at a time within `limit_mb`; other parameters as for `needed_mb`."""
    left = (limit_mb * 1_000_000 - _overhead(shape, itemsize, threads, bands)) // threads
    return left // (shape[1] * frames * itemsize) - 2 * HALO


def _overhead(shape, itemsize, threads, bands):
    decoding = 4 + 2 * itemsize  # in each thread: the file, the decoder's copy and ours
    return BASE + shape[0] * shape[1] * (PRODUCTS // bands + decoding * threads)


def _megabytes(size):
    return -(-size // 1_000_000)


class FrameStore:
    """Frames of equal size and type.

    In a scratch file they lie one after the other. The file has no name (or loses it at once), so that nothing is
    left of it when the job ends, however it ends.

    Parameters
    ----------
    frames : int
    shape : tuple of int
        Rows and columns.
    dtype : numpy.dtype
    folder : str, optional
        Where to make a scratch file; in memory without.

    Raises
    ------
    ResourceError
        If `folder` has not enough space.
    """

    def __init__(self, frames, shape, dtype, folder=None):
        self.frames, self.shape, self.dtype = frames, tuple(shape), np.dtype(dtype)
        self.array = None
        self.file: Any = None
        if folder is None:
            self.array = np.empty((frames, *self.shape), self.dtype)
        else:
            self.file = _reserve(frames * self._size(*self.shape), folder)

    def _size(self, rows, columns):
        return rows * columns * self.dtype.itemsize

    def write(self, index, frame):
        """Keep a frame, ``(rows, columns)``."""
        if self.array is not None:
            self.array[index] = frame
            return
        content = np.ascontiguousarray(frame, self.dtype).data.cast("B")
        offset = index * len(content)
        while content:
            written = os.pwrite(self.file.fileno(), content, offset)
            content, offset = content[written:], offset + written

    def read(self, start, stop):
        """Rows `start` to `stop` of all frames.

        Returns
        -------
        block : numpy.ndarray, ``(frames, rows, columns)``
            At least these rows: all of them where the frames are in memory.
        first : int
            Row of the frames with which it begins.
        """
        if self.array is not None:
            return self.array, 0
        block = np.empty((self.frames, stop - start, self.shape[1]), self.dtype)
        for index, rows in enumerate(block):
            content = memoryview(rows).cast("B")
            offset = index * self._size(*self.shape) + self._size(start, self.shape[1])
            while content:
                count = os.preadv(self.file.fileno(), [content], offset)
                if not count:
                    raise OSError("the scratch file ended early")
                content, offset = content[count:], offset + count
        return block, start

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.array = None
        if self.file is not None:
            self.file.close()


def _reserve(size, folder):
    """A scratch file of `size` bytes; the space is taken at once where the system can do that."""
    problem = (
        f"{size / 1e9:.1f} GB of scratch space are needed in {folder}, which has {{free:.1f}} GB; make room, "
        "take another folder (snakemake --default-resources tmpdir=FOLDER), or raise `memory_mb`"
    )
    try:
        free = shutil.disk_usage(folder).free
        if free < size:
            raise ResourceError(problem.format(free=free / 1e9))
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (it stays open as long as its store)
    except OSError as error:
        raise ResourceError(f"no scratch file can be made in {folder} ({error.strerror}); see `memory_mb`") from error
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            os.truncate(file.fileno(), size)
    except OSError as error:
        file.close()
        raise ResourceError(problem.format(free=free / 1e9)) from error
    return file
