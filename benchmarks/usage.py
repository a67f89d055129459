"""Measure whole processes: wall time, processor time of all descendants, memory of the largest, bytes written."""

import json
import os
import signal
import subprocess
import sys
import tempfile
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


#: Runs a command and writes its exit status and what it took: between it and the one that measures, as a process counts
#: the memory that its parent had when it was started.
BETWEEN = """
import json, resource, subprocess, sys
try:
    status = subprocess.call(sys.argv[2:])
except OSError as error:
    print(error)
    status = 127
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    json.dump([status, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000], file)
"""


def attempt(command, folder, written=None, limit=3600):
    """Run a command once, whatever comes of it; parameters as of `measure`. What takes too long is killed for good."""
    with tempfile.TemporaryDirectory() as scratch:
        report, started = Path(scratch) / "used.json", time.perf_counter()
        command = [sys.executable, "-S", "-c", BETWEEN, report, *command]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        command = [str(part) for part in command]
        process = subprocess.Popen(command, cwd=folder, start_new_session=True, **streams)
        watch = Timer(limit, os.killpg, (process.pid, signal.SIGKILL))
        watch.start()
        try:
            output = process.stdout.read().decode(errors="replace")
            process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            watch.cancel()
        took = time.perf_counter() - started
        status, cpu, memory = json.loads(report.read_text()) if report.exists() else (None, 0.0, 0.0)
    return Attempt(status, output, Usage(took, cpu, memory, size_of(written)))


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
