"""The frame around each script: its output goes to the log, a user's mistake becomes one sentence."""

import os
import sys
import traceback
from contextlib import contextmanager, suppress

from flatfield.files.errors import FlatfieldError


class Terminal:
    """Where the person who waits sees lines of progress, beside the log."""

    name = ""
    descriptor: int | None = None

    def tell(self, text):
        """Print a line in the log, and on the terminal with the name of the log."""
        print(text, flush=True)
        if self.descriptor is not None:
            with suppress(OSError):  # nobody is there any more
                os.write(self.descriptor, f"{self.name}: {text}\n".encode())


terminal = Terminal()


@contextmanager
def logged_job(log):
    """Run a job with everything that it prints in its log file, C libraries and tracebacks included.

    Parameters
    ----------
    log : str
        Path of the log file; Snakemake has made its folder.

    Raises
    ------
    SystemExit
        With code 1 after an error, which is told in the log (by its sentence alone if it is one of this library), or on
        the terminal where the log cannot be written.
    """
    visible = os.dup(2)
    if os.environ.get("FLATFIELD_PROGRESS") != "log":  # a display that draws over lines of others asks for that
        terminal.name, terminal.descriptor = log, visible
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)
        yield
        sys.stdout.flush()
    except Exception as error:
        expected = isinstance(error, FlatfieldError)
        try:
            print(f"error: {error}" if expected else traceback.format_exc(), file=sys.stderr, flush=True)
        except OSError as problem:  # the log lies on the disk that is full
            last = f"error: {error}" if expected else traceback.format_exception_only(error)[-1].strip()
            told = f"{last}\nerror: {log} cannot be written ({problem.strerror}); make room, and run again\n"
            os.write(visible, told.encode())
        sys.exit(1)


def limits_of(snakemake):
    """What a combining job may use: threads, memory_mb (as its rule declares), scratch (Snakemake's ``tmpdir``)."""
    resources = snakemake.resources
    return {"threads": snakemake.threads, "memory_mb": resources.memory_mb, "scratch": resources.tmpdir}


def source_of(snakemake):
    """Where a combining job takes its frames from: frames, files, inspected, bias, and what its rule adds."""
    inputs = snakemake.input
    given = {"frames": inputs.frames, "inspected": inputs.inspected, "bias": inputs.bias or None}
    return given | snakemake.params.source
