"""The frame around each script: its output goes to the log, a user's mistake becomes one sentence."""

import os
import sys
from contextlib import contextmanager, suppress

from flatfield.errors import FlatfieldError


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
        With code 1, after printing the sentence, for errors of this library.
    """
    if os.environ.get("FLATFIELD_PROGRESS") != "log":  # a display that draws over lines of others asks for that
        terminal.name, terminal.descriptor = log, os.dup(2)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    try:
        yield
    except FlatfieldError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def limits_of(snakemake):
    """What a combining job may use: threads, memory_mb (as its rule declares), scratch (Snakemake's ``tmpdir``)."""
    resources = snakemake.resources
    return {"threads": snakemake.threads, "memory_mb": resources.memory_mb, "scratch": resources.tmpdir}


def source_of(snakemake):
    """Where a combining job takes its frames from: frames, files, inspected, bias, and what its rule adds."""
    inputs = snakemake.input
    given = {"frames": inputs.frames, "inspected": inputs.inspected, "bias": inputs.bias or None}
    return given | snakemake.params.source
