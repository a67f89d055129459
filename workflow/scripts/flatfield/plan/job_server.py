"""Jobs as forks of a server that has loaded their libraries, which else takes a second of each job.

The server is a Python of its own: it imports what the script of a job imports, then forks, so that each library is
loaded once a run. It computes nothing, has one thread, and ends with Snakemake. Used for runs on this machine, on Linux
(elsewhere libraries do not all survive a fork); a job with an environment or container of its own starts as ever.
"""

import atexit
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import nullcontext, suppress
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent.parent
#: Libraries read these when they are loaded, which is before a job can say how many threads it has.
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM", "NUMEXPR")}
#: Memory that is given back and asked for again costs more than what is done with it: it is kept, for all threads
#: together, in large pages (glibc heeds these).
KEPT_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "MALLOC_TOP_PAD_": str(1 << 26),
    "MALLOC_ARENA_MAX": "1",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
#: What Snakemake has each job import.
OF_ALL_JOBS = "snakemake.logging", "snakemake.iocontainers"
KILLED = 128 + signal.SIGKILL


class JobServer:
    """The server as seen by Snakemake, whose threads each start a job and wait for it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.process: subprocess.Popen | None = None
        self.requests: socket.socket

    def start(self):
        """Start the server, or start it again if it was killed."""
        self.stop()
        self.requests, theirs = socket.socketpair()
        command = [sys.executable, __file__, str(theirs.fileno())]
        environment = {**os.environ, **ONE_THREAD, **KEPT_MEMORY}
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env=environment)
        theirs.close()

    def stop(self):
        """End the server; jobs that run go on."""
        if self.process is not None:
            self.requests.close()
            self.process.wait()
            self.process = None

    def fork(self, request):
        """Have a job started.

        Parameters
        ----------
        request : dict
            File to run, name of the script that it was made of, folder to run it in and environment variables.

        Returns
        -------
        pid : int
            0 if the job was killed before it began.
        answer : socket.socket
            Gives the exit status of the job in a byte, and nothing if the job was killed.
        """
        with self.lock:
            if self.process is None or self.process.poll() is not None:
                self.start()
            answer, theirs = socket.socketpair()
            with theirs:
                socket.send_fds(self.requests, [b"."], [theirs.fileno()])
            answer.sendall(json.dumps(request).encode() + b"\n")
            return int.from_bytes(answer.recv(4, socket.MSG_WAITALL), "big"), answer

    def run(self, request, watch):
        """Run a job to its end; `watch` makes a context of its process number, for benchmarks.

        Raises
        ------
        subprocess.CalledProcessError
            If the job fails or is killed.
        """
        pid, answer = self.fork(request)
        with answer, watch(pid) if pid else nullcontext():
            status = answer.recv(1)
        code = status[0] if status else KILLED
        if code:
            raise subprocess.CalledProcessError(code, [sys.executable, request["file"]])


def use():
    """Let Snakemake start our scripts through a server, where that works."""
    from snakemake.benchmark import benchmarked
    from snakemake.script import PythonScript

    original, server = PythonScript.execute_script, JobServer()

    def execute_script(script, file, edit=False):
        """Run the file that Snakemake made of a script."""
        path = Path(script.path.get_path_or_uri(secret_free=True)).resolve()
        elsewhere = script.conda_env or script.container_img or script.env_modules or script.resources.get("shell_exec")
        if elsewhere or edit or path.parent != SCRIPTS:
            return original(script, file, edit)
        folders = dict.fromkeys(("TMPDIR", "TMP", "TEMPDIR", "TEMP"), script.resources.get("tmpdir"))
        environment = {**os.environ, **{name: folder for name, folder in folders.items() if folder}}
        request = {"file": file, "script": path.stem, "folder": os.getcwd(), "environment": environment}
        record = script.bench_record
        return server.run(request, lambda pid: nullcontext() if record is None else benchmarked(pid, record))

    if sys.platform == "linux" and original.__module__ == PythonScript.__module__:
        PythonScript.execute_script = execute_script
        atexit.register(server.stop)


def serve(requests):
    """Fork for each request, until Snakemake closes the other end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches jobs and Snakemake, which then ends this
    signal.signal(signal.SIGCHLD, bury)
    while descriptors := socket.recv_fds(requests, 1, 1)[1]:
        with socket.socket(fileno=descriptors[0]) as answer:
            request = json.loads(answer.makefile().readline())
            for name in (*OF_ALL_JOBS, request["script"]):
                with suppress(Exception):  # whatever is wrong with it, the job will say
                    importlib.import_module(name)
            if os.fork() == 0:
                requests.close()
                run_job(request, answer)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    bury(options=0)


def bury(*_, options=os.WNOHANG):
    """Wait for jobs that ended, so that their processor time counts; how they ended is seen at their sockets."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, options)[0]:
            pass


def run_job(request, answer):
    """Be the job, and end with it.

    It sends its number and its status itself, as the server may come to run again after the job has ended.
    """
    import runpy
    import traceback

    answer.sendall(os.getpid().to_bytes(4, "big"))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    code = 1
    try:
        Path("/proc/self/comm").write_text(request["script"])
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        sys.argv = [request["file"]]
        runpy.run_path(request["file"], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        answer.sendall(bytes([code & 255]))
        os._exit(code & 255)


if __name__ == "__main__":
    sys.path[0] = str(SCRIPTS)
    serve(socket.socket(fileno=int(sys.argv[1])))
