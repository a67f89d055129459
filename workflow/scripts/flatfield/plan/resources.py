"""What jobs that combine frames may take: threads, and memory in megabytes (10^6 bytes)."""

from dataclasses import dataclass

from flatfield.files import memory
from flatfield.files.errors import ConfigurationError

#: More threads do not make a job faster: writing and start-up remain.
MOST_THREADS = 8
#: Bytes that a job on a cluster reads for each of its threads: a few seconds of decoding.
BYTES_A_THREAD = 1_000_000_000
#: Bytes of a frame that takes no longer to decode than a thread to start.
SMALL_FRAME = 4_000_000


@dataclass(frozen=True)
class Machine:
    """Where jobs run.

    Attributes
    ----------
    cores : int or None
        That jobs share; None on a cluster, where their number is limited and not the cores.
    total_mb : int
        Memory of this machine.
    allowed_mb : int or None
        ``memory_mb`` of the configuration.
    """

    cores: int | None
    total_mb: int
    allowed_mb: int | None = None

    @property
    def all_cores(self):
        """As many threads as there are cores; one on a cluster, where `set-threads` gives more."""
        return self.cores or 1

    def threads(self, frames, frame_bytes, jobs):
        """Threads of a job that combines frames.

        On one machine jobs run side by side first, then each gets what cores are left, or one for small files, whose
        jobs are all start-up. On a cluster they are as many as the bytes that a job reads are worth.

        Parameters
        ----------
        frames : int
        frame_bytes : int
            Size of a file.
        jobs : int
            That could run side by side.

        Examples
        --------
        >>> Machine(8, 16000).threads(30, 24_000_000, jobs=5), Machine(8, 16000).threads(30, 100_000, jobs=5)
        (2, 1)
        >>> Machine(None, 16000).threads(90, 24_000_000, jobs=5)
        3
        """
        if self.cores is None:
            return min(1 + frame_bytes * frames // BYTES_A_THREAD, MOST_THREADS)
        return min(-(-self.cores // jobs), MOST_THREADS) if frame_bytes > SMALL_FRAME else 1

    def memory_mb(self, shape, frames, itemsize, threads, bands=1):
        """Memory of the arrays of such a job: what it needs, or what is allowed.

        Without ``memory_mb`` it is half of this machine's memory, shared by the jobs that can run side by side.

        Parameters
        ----------
        shape, frames, itemsize, threads, bands
            See `flatfield.files.memory.needed_mb`.
        """
        size = shape, max(frames, 1), itemsize, threads, bands  # no frames where bands were combined before
        needed = memory.needed_mb(*size)
        if self.cores is None:
            return min(needed, self.allowed_mb or needed)
        free = self.total_mb // 2 * threads // max(self.cores, threads)
        return min(needed, self.allowed_mb or max(free, memory.least_mb(*size)))

    def job_mb(self, arrays_mb, attempt):
        """Memory of a whole job: on a cluster with the Snakemake that starts it, more at each attempt."""
        return arrays_mb + (memory.STARTER_MB * attempt if self.cores is None else 0)

    def arrays_mb(self, records, paths, threads, itemsize=2, step=1, bands=1, a_thread=None):
        """Memory of the arrays of a job that combines frames which a table describes.

        Parameters
        ----------
        records : list of FrameRecord
        paths : list of str
            Of the frames; none where bands were combined before.
        threads, bands : int
        itemsize : int
            Bytes of a pixel; FITS frames may be floats.
        step : int
            Every n-th frame.
        a_thread : int, optional
            Frames that each thread holds, where not all are.

        Raises
        ------
        ConfigurationError
            If no frame is used.
        """
        shape = next((record.shape for record in records if record.used), None)
        if shape is None:
            raise ConfigurationError("a table of frames lists none that is used; remove it and run again")
        chosen = paths[::step]
        size = max(itemsize, memory.bytes_of_pixel(chosen[0]) if chosen else 0)
        return self.memory_mb(shape, len(chosen) if a_thread is None else a_thread * threads, size, threads, bands)
