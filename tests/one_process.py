"""Snakemake in this process, and its scripts too: a job costs what it computes, not two seconds of imports.

Everything but the start of a new Python for each job is as in a run from the command line: the Snakefile is read, jobs
are planned, chosen and recorded by Snakemake, and `main` of a script gets its arguments from the rule. What a process
of its own does beside (`flatfield.files.job.logged_job`) is tested by runs that are started as users start them.
"""

import io
import os
import sys
import threading
import traceback
import warnings
from contextlib import chdir, contextmanager, nullcontext, redirect_stderr, redirect_stdout
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from snakemake import cli
from snakemake.benchmark import benchmarked
from snakemake.exceptions import WorkflowError
from snakemake.script import PythonScript

from flatfield.files.errors import FlatfieldError
from flatfield.files.job import arguments_of
from flatfield.plan import tracking

SCRIPTS = Path(__file__).parent.parent / "workflow/scripts"
ONE_AT_A_TIME = threading.Lock()


@cache
def main_of(script):
    """The function `main` of a script, by its name without ``.py``."""
    spec = spec_from_file_location(script, SCRIPTS / f"{script}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def execute_script(job, name, edit=False):
    """Call `main` of the script of a job, as `flatfield.files.job.run` does, with the messages in the job's log."""
    with ONE_AT_A_TIME, open(job.log[0], "w") as log, redirect_stdout(log), redirect_stderr(log):
        main = main_of(Path(job.path.get_path_or_uri(secret_free=True)).stem)
        _number_again()
        try:
            with benchmarked(benchmark_record=job.bench_record) if job.bench_record else nullcontext():
                main(**arguments_of(main, job))
        except Exception as error:
            print(f"error: {error}" if isinstance(error, FlatfieldError) else traceback.format_exc(), file=log)
            raise WorkflowError("the script failed") from None


@contextmanager
def surroundings(folder):
    """The folder of a project, and what a run changes for good in its process."""
    path, environment = list(sys.path), dict(os.environ)
    try:
        with chdir(folder):
            yield
    finally:
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(environment)


def snakemake(folder, *arguments, cores=2, own_code=False):
    """Run ``snakemake`` in a folder; its exit code, and all that it prints.

    With `own_code` the digests are those of the scripts in the folder, to plan a run and not to run it.
    """
    output, code = io.StringIO(), 0
    if own_code:
        _forget_digests()
    with (
        mock.patch.object(tracking, "SCRIPTS", Path(folder) / "workflow/scripts" if own_code else SCRIPTS),
        warnings.catch_warnings(),
        surroundings(folder),
        mock.patch.object(PythonScript, "execute_script", execute_script),
        redirect_stdout(output),
        redirect_stderr(output),
    ):
        try:
            cli.main(["--cores", str(cores), *arguments])
        except SystemExit as end:
            code = end.code
    if own_code:
        _forget_digests()
    if isinstance(code, str):
        print(code, file=output)
    return SimpleNamespace(returncode=code if isinstance(code, int) else int(bool(code)), stdout=output.getvalue())


def _number_again():
    """Number what is on a page as in a process of its own, from what Bokeh has used up when it is there."""
    numbers = sys.modules.get("bokeh.util.serialization")
    if numbers:
        numbers._simple_id = _first_number(numbers)


@cache
def _first_number(numbers):
    return numbers._simple_id


def _forget_digests():
    tracking.digest_code.cache_clear()
    tracking._read_code.cache_clear()
