"""Measure whole processes: wall time, processor time of all descendants, memory of the largest, bytes written."""

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from threading import Timer
from typing import NamedTuple


class Usage(NamedTuple):
    """What a command took: seconds of wall and processor time, MB of the largest process, MB that it left behind."""

    wall: float
    cpu: float
    memory: float
    disk: float


class Attempt(NamedTuple):
    """A command that was run once: exit status (None where it was killed), all that it printed, what it took."""

    status: int | None
    output: str
    taken: Usage


def attempt(command, folder, written=None, limit=3600):
    """Run a command once, whatever comes of it; parameters as of `measure`. What takes too long is killed for good."""
    started = time.perf_counter()
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen([str(part) for part in command], cwd=folder, **streams)
    watch = Timer(limit, process.kill)
    watch.start()
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - started
    process.returncode = code = os.waitstatus_to_exitcode(status)
    watch.cancel()
    taken = Usage(took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000, size_of(written))
    return Attempt(None if took >= limit else code, output.decode(errors="replace"), taken)


def measure(command, folder, repeats=1, before=None, written=None, limit=3600):
    """Medians of several runs of a command (of one, where it is long).

    Parameters
    ----------
    command : list of str
    folder : pathlib.Path
        Where it is started.
    repeats : int
        Runs that count; where there are several, one goes before that does not.
    before : callable, optional
        What is done before each run, and not measured.
    written : pathlib.Path, optional
        Folder whose size is taken afterwards.
    limit : float
        Seconds after which a run is killed and started again: some programs hang now and then.
    """
    command, found = [str(part) for part in command], []
    while len(found) < repeats + (repeats > 1):
        if before:
            before()
        status, output, taken = attempt(command, folder, written, limit)
        if status is None:
            print(f"killed after {limit} s: {' '.join(command)[:120]}", flush=True)
        elif status:
            sys.exit(f"{' '.join(command)[:300]} failed:\n{output[-3000:]}")
        else:
            found.append(taken)
    result = Usage(*(median(values) for values in zip(*found[-repeats:], strict=True)))
    print(f"{result.cpu:7.2f} s of processor time {result.wall:7.2f} s  {' '.join(command)[:120]}", flush=True)
    return result


def size_of(folder):
    """Size of the files in a folder, MB."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6 if folder else 0.0
