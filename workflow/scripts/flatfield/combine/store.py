"""Where the frames of a stack are kept: in memory, or, above the memory that a job may use, in a scratch file."""

import os
import shutil
import tempfile
from threading import local
from typing import Any

import numpy as np

from flatfield.files.errors import ResourceError


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


class MappedStore:
    """Frames that are mapped into memory from files, and others that a `FrameStore` holds.

    Parameters
    ----------
    mapped : dict
        Frames ``(rows, columns)`` of equal size and type by their index.
    others : FrameStore, optional
        The frames with all other indices, in order.
    """

    def __init__(self, mapped, others=None):
        first = next(iter(mapped.values()))
        self.mapped, self.others = mapped, others
        self.frames = len(mapped) + (others.frames if others else 0)
        self.shape, self.dtype = first.shape, first.dtype
        self.missing = [index for index in range(self.frames) if index not in mapped]
        self.buffers = local()

    def read(self, start, stop):
        """Rows `start` to `stop` of all frames, in a buffer that the thread's next call uses again.

        Returns
        -------
        block : numpy.ndarray, ``(frames, rows, columns)``
        first : int
            `start`.
        """
        count = self.frames * (stop - start) * self.shape[1]
        if getattr(self.buffers, "pixels", np.empty(0)).size < count:  # fresh memory costs more than the copy
            self.buffers.pixels = np.empty(count, self.dtype)
        block = self.buffers.pixels[:count].reshape(self.frames, stop - start, self.shape[1])
        for index, frame in self.mapped.items():
            block[index] = frame[start:stop]
        if self.missing:
            others, first = self.others.read(start, stop)
            block[self.missing] = others[:, start - first : stop - first]
        return block, start


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
