"""Jobs as forks of a server: each is a process of its own, whatever becomes of it or of the server."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext

import psutil
import pytest

from flatfield.plan.job_server import KILLED, JobServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked on Linux only")


@pytest.fixture
def server():
    started = JobServer()
    yield started
    started.stop()


@pytest.fixture
def run(server, tmp_path):
    """Run code as a job; its exit status."""

    def run(code, script="compare_sets", watch=lambda pid: nullcontext(), **environment):
        file = tmp_path / f"{threading.get_ident()}.py"
        file.write_text(code)
        environment = {**os.environ, **environment}
        request = {"file": str(file), "script": script, "folder": str(tmp_path), "environment": environment}
        try:
            server.run(request, watch)
        except subprocess.CalledProcessError as error:
            return error.returncode
        return 0

    return run


@pytest.mark.parametrize(
    "code, status",
    [
        ("pass", 0),
        ("raise SystemExit", 0),
        ("raise SystemExit(3)", 3),
        ("raise SystemExit('a sentence')", 1),
        ("1 / 0", 1),
        ("not Python", 1),
        ("raise KeyboardInterrupt", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", KILLED),
        ("import os; os.abort()", KILLED),
    ],
)
def test_status_is_that_of_the_job(run, code, status):
    assert run(code) == status
    assert run("pass") == 0


def test_status_is_that_of_a_job_that_ends_before_the_server_goes_on(run, tmp_path, monkeypatch):
    """The server is made to lose its turn at each fork."""
    code = """
import os, time
fork = os.fork
os.fork = lambda: (pid := fork()) and time.sleep(0.5) or pid
"""
    (tmp_path / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert run("raise SystemExit(3)") == 3


def test_job_has_its_own_folder_environment_and_modules(run, tmp_path):
    code = """
import os, sys
assert __name__ == "__main__" and os.getcwd() == os.environ["EXPECTED"] and len(sys.argv) == 1
assert "left" not in os.environ and "left" not in sys.modules
os.environ["left"] = sys.modules["left"] = "behind"
"""
    for _ in range(2):
        assert run(code, EXPECTED=str(tmp_path)) == 0


def test_libraries_of_a_script_are_loaded_before_its_job_and_others_are_not(run):
    assert run("import sys; assert 'matplotlib' not in sys.modules") == 0
    assert run("import sys; assert 'matplotlib' in sys.modules", script="plot_noise") == 0
    assert run("pass", script="there_is_no_such_script") == 0  # what is wrong with it, the job itself says


def test_server_computes_nothing_and_has_one_thread(run, server):
    """A fork has the thread alone that forked: a lock that another one held would stay locked for good."""
    for script in ("combine_subset", "solve_illumination", "plot_flat", "write_report", "plot_interactive"):
        run("pass", script=script)
    assert psutil.Process(server.process.pid).num_threads() == 1


def test_jobs_run_side_by_side(run, tmp_path):
    """Each waits for the other's sign."""
    code = """
import os, pathlib, time
pathlib.Path(os.environ["OWN"]).touch()
end = time.monotonic() + 60
while not pathlib.Path(os.environ["OTHER"]).exists():
    assert time.monotonic() < end
    time.sleep(0.01)
"""
    found = []
    names = [str(tmp_path / name) for name in "ab"]
    threads = [
        threading.Thread(target=lambda own=own, other=other: found.append(run(code, OWN=own, OTHER=other)))
        for own, other in (names, names[::-1])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [0, 0]


def test_killed_server_leaves_its_jobs_alone_and_is_started_again(run, server, tmp_path):
    code = "import os, time, pathlib\nwhile not pathlib.Path(os.environ['GO']).exists(): time.sleep(0.01)"
    started, found = threading.Event(), []

    def watch(pid):
        started.set()
        return nullcontext()

    go = tmp_path / "go"
    thread = threading.Thread(target=lambda: found.append(run(code, watch=watch, GO=str(go))))
    thread.start()
    assert started.wait(60)
    first = server.process.pid
    os.kill(first, signal.SIGKILL)
    server.process.wait()
    assert run("pass") == 0
    assert server.process.pid != first
    go.touch()
    thread.join()
    assert found == [0]


def test_server_ends_with_the_one_who_started_it(tmp_path):
    code = """
import sys; sys.path.insert(0, sys.argv[1])
from flatfield.plan.job_server import JobServer
server = JobServer()
server.start()
print(server.process.pid, flush=True)
sys.stdin.read()
"""
    scripts = os.path.dirname(os.path.dirname(os.path.dirname(sys.modules[JobServer.__module__].__file__)))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code, scripts], **pipes) as process:
        server = psutil.Process(int(process.stdout.readline()))
        process.kill()
    deadline = time.monotonic() + 60
    while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_processor_time_of_jobs_counts(run, server):
    """Else benchmarks would find jobs that cost nothing."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    assert run("import time\nwhile time.process_time() < 1: pass") == 0
    server.stop()
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before > 0.8
