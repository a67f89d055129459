"""Reading many files: the next ones come from the disk while threads decode, and progress is reported."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock, Semaphore

from flatfield.files.errors import FrameError
from flatfield.files.job import terminal

#: Seconds between two lines of progress.
PROGRESS_INTERVAL = 5
#: Bytes asked for at a time: Linux fetches no more than its read-ahead window for one request.
FETCHED = 1 << 17


class Progress:
    """Lines in the log and on the terminal every few seconds: files done, rate, time left.

    Parameters
    ----------
    total : int
        Files to do.
    """

    def __init__(self, total):
        self.total, self.done = total, 0
        self.started = self.told = time.monotonic()
        self.lock = Lock()

    def step(self):
        """Count one more file."""
        with self.lock:
            self.done += 1
            now = time.monotonic()
            rate = self.done / max(now - self.started, 1e-9)
            if self.done == self.total:
                print(f"{self.total} files in {now - self.started:.1f} s, {rate:.1f} a second", flush=True)
            elif now - self.told >= PROGRESS_INTERVAL:
                self.told = now
                left = (self.total - self.done) / rate
                terminal.tell(f"{self.done} of {self.total} files, {rate:.1f} a second, {left:.0f} s left")


def read_each(paths, work, threads):
    """Work on many files, several at a time; the next ones are fetched from the disk meanwhile.

    Parameters
    ----------
    paths : list of str
    work : callable
        Takes the index of a file, and reads it.
    threads : int
        Files worked on at the same time; as many more are fetched ahead.

    Returns
    -------
    list
        What `work` returned for each file.
    """
    progress = Progress(len(paths))
    slots = Semaphore(2 * threads)
    failed = False

    def run(index):
        nonlocal failed
        try:
            result = work(index)
            progress.step()
            return result
        except BaseException:
            failed = True
            raise
        finally:
            slots.release()

    with ThreadPoolExecutor(threads) as pool:
        jobs = []
        for index, path in enumerate(paths):
            slots.acquire()
            if failed:
                break
            fetch(path)
            jobs.append(pool.submit(run, index))
        return [job.result() for job in jobs]


def fetch(path):
    """Tell the system that a file will be read soon; where this is impossible, nothing is lost."""
    with suppress(OSError, AttributeError), open(path, "rb") as file:
        for offset in range(0, os.fstat(file.fileno()).st_size, FETCHED):
            os.posix_fadvise(file.fileno(), offset, FETCHED, os.POSIX_FADV_WILLNEED)


def state_of(path):
    """What changes when a file does: size and times, nanoseconds; None where it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def read_content(path):
    """Content of a file, bytes.

    Raises
    ------
    FrameError
        If it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise FrameError(f"{path} cannot be read ({error.strerror or error}); copy it again") from error
