"""What every script does as a Snakemake job: arguments from the rule, output to the log, errors in one sentence."""

import os
import resource
import sys
import time
import traceback
from contextlib import contextmanager, suppress
from inspect import signature

from flatfield.files.errors import FlatfieldError


class Terminal:
    """Progress lines on the user's terminal."""

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
        With code 1 after an error, which is logged (by its sentence alone if it is one of this library), or on
        the terminal where the log cannot be written.
    """
    visible = os.dup(2)
    terminal.name, terminal.descriptor = log, visible
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)
        started = time.perf_counter()
        yield
        print(describe_usage(time.perf_counter() - started), flush=True)
    except Exception as error:
        expected = isinstance(error, FlatfieldError)
        try:
            print(f"error: {error}" if expected else traceback.format_exc(), file=sys.stderr, flush=True)
        except OSError as problem:  # the log lies on the disk that is full
            last = f"error: {error}" if expected else traceback.format_exception_only(error)[-1].strip()
            told = f"{last}\nerror: {log} cannot be written ({problem.strerror}); make room, and run again\n"
            os.write(visible, told.encode())
        sys.exit(1)


def describe_usage(wall_s):
    """Processor time and memory of this process in words; the last line of a log."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    peak_mb = own.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return f"{own.ru_utime + own.ru_stime:.1f} s of processor time in {wall_s:.1f} s, {peak_mb:.0f} MB at most"


def run(main, job):
    """Run the script of a rule, with everything that it prints in the rule's log.

    Parameters
    ----------
    main : callable
        Its parameters are named as what they get, see `arguments_of`.
    job : snakemake.script.Snakemake
    """
    with logged_job(job.log[0]):
        main(**arguments_of(main, job))


def arguments_of(main, job):
    """Arguments of the function `main` of a script, by name.

    They are the files of the rule's output and input, the entries of its parameter ``options``, its ``threads``, and
    ``limits``: what a combining job may use (threads, memory_mb, and scratch, Snakemake's ``tmpdir``). An input that a
    job does not have is left to its default.

    Raises
    ------
    ValueError
        If a name is there twice, or one that `main` needs is not there.
    """
    limits = {"memory_mb": getattr(job.resources, "memory_mb", None), "scratch": getattr(job.resources, "tmpdir", None)}
    given = [*_files(job.output), *_files(job.input), *dict(job.params.get("options") or {}).items()]
    given += [("threads", job.threads), ("limits", {"threads": job.threads, **limits})]
    names = [name for name, _ in given]
    twice = {name for name in names if names.count(name) > 1}
    wanted = signature(main).parameters
    arguments = {name: value for name, value in given if name in wanted}
    for name, parameter in wanted.items():
        if parameter.default is not parameter.empty and arguments.get(name) == []:
            del arguments[name]
    lacking = {name for name, parameter in wanted.items() if parameter.default is parameter.empty} - set(arguments)
    if twice or lacking:
        raise ValueError(f"the rule of {main.__module__} names {sorted(twice)} twice and lacks {sorted(lacking)}")
    return arguments


def _files(files):
    """Names and paths of the input or output of a job; several of one name as a list."""
    return [(name, value if isinstance(value, str) else list(value)) for name, value in files.items()]
