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
        started = time.perf_counter()
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(command, cwd=folder, **streams)
        watch = Timer(limit, process.kill)
        watch.start()
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - started
        process.returncode = status
        watch.cancel()
        if took >= limit:
            print(f"killed after {limit} s: {' '.join(command)[:120]}", flush=True)
        elif status:
            sys.exit(f"{' '.join(command)[:300]} failed:\n{output.decode()[-3000:]}")
        else:
            found.append(Usage(took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000, size_of(written)))
    result = Usage(*(median(values) for values in zip(*found[-repeats:], strict=True)))
    print(f"{result.cpu:7.2f} s of processor time {result.wall:7.2f} s  {' '.join(command)[:120]}", flush=True)
    return result


def size_of(folder):
    """Size of the files in a folder, MB."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6 if folder else 0.0
