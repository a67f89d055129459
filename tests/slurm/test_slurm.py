"""The workflow on a real Slurm of two nodes, started here: the products of a local run, whatever befalls it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from campaign import RECORDS, digests, heed_interrupts
from conftest import Project

HERE = Path(__file__).parent
NEEDED = ("slurmctld", "slurmd", "sbatch", "munged", "runuser")
MISSING = [name for name in NEEDED if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")]
pytestmark = [
    pytest.mark.xdist_group("slurm"),
    pytest.mark.skipif(
        bool(MISSING), reason=f"needs {', '.join(MISSING)} (Debian: slurmctld slurmd slurm-client munge)"
    ),
    pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="needs root to start a cluster"),
]
#: What the tests of faults ask for: a few jobs one after the other.
TARGETS = ["results/first/flat.fits", "results/first/stats.tsv", "results/first/differences/A-B.fits"]
#: Options of all runs here: nodes have two cores, and tests do not wait longer than they must.
OPTIONS = (
    *("--profile", "profiles/slurm", "--max-threads", "2"),
    *("--seconds-between-status-checks", "1", "--slurm-init-seconds-before-status-checks", "1"),
)
#: Seconds after which a run without a controller ends, in these tests.
PATIENCE = 30


class Cluster:
    """Two nodes on the loopback interface, with daemons and files of their own."""

    def __init__(self, folder):
        self.folder, self.held = folder, []
        port = str(20000 + os.getpid() % 20000)
        subprocess.run([HERE / "slurm-up", folder, "2"], env=os.environ | {"BASE_PORT": port}, check=True, timeout=120)
        lines = (folder / "env.sh").read_text()
        conf, path = re.search(r"SLURM_CONF=(\S+) PATH=(\S+):\$PATH", lines).groups()
        self.environment = {
            "SLURM_CONF": conf,
            "PATH": f"{path}:{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin",
            "FLATFIELD_PATIENCE": str(PATIENCE),
        }

    def daemon(self, name):
        return int((self.folder / f"run/{name}.pid").read_text())

    def start_controller(self):
        subprocess.run(["slurmctld"], env=os.environ | self.environment, check=True, timeout=60)

    def stop(self):
        subprocess.run([HERE / "slurm-down", self.folder], check=True, timeout=120)

    def jobs(self, state="PD,R"):
        queue = ["squeue", "--noheader", f"--states={state}", "--format=%i"]
        done = subprocess.run(queue, env=os.environ | self.environment, capture_output=True, text=True, timeout=60)
        return done.stdout.split()

    def work(self, node=None):
        """Processes of jobs, on all nodes or one: the daemon of each job step first."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                variables = process.environ()
                if "SLURM_JOB_ID" in variables and node in (None, variables.get("SLURMD_NODENAME")):
                    found += [each for each in process.parents() if each.name() == "slurmstepd"] + [process]
        return found

    def scripts(self, node=None):
        """Processes of our scripts."""
        found = []
        for process in self.work(node):
            with suppress(psutil.Error):
                found += [process] if ".snakemake/scripts" in " ".join(process.cmdline()) else []
        return found

    def hold(self, node=None):
        """Suspend our scripts."""
        for process in self.scripts(node):
            with suppress(psutil.Error):
                process.suspend()
                self.held.append(process)

    def release(self):
        """Let those go on that are still there, and wait for them."""
        for process in self.held:
            with suppress(psutil.Error):
                process.resume()
                process.wait(120)


@pytest.fixture
def cluster():
    folder = Path(tempfile.mkdtemp(prefix="slurm"))
    folder.chmod(0o755)  # munge has a user of its own
    try:
        cluster = Cluster(folder)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        subprocess.run([HERE / "slurm-down", folder], timeout=120)
        pytest.skip(f"Slurm does not start on this machine: {error}")
    yield cluster
    cluster.stop()
    shutil.rmtree(folder)


class Head:
    """Snakemake, running on the cluster."""

    def __init__(self, project, cluster, targets, *options):
        self.output = project.folder / "head.txt"
        with open(self.output, "a") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "snakemake", *OPTIONS, *options, "--", *targets],
                cwd=project.folder,
                env=os.environ | cluster.environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=heed_interrupts,
            )

    def end(self, timeout=900):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError(f"the run did not end: {self.text()[-3000:]}") from None

    def text(self):
        return self.output.read_text()

    def wait_until(self, happened, timeout=180):
        end = time.monotonic() + timeout
        while not happened():
            assert self.process.poll() is None and time.monotonic() < end, self.text()[-3000:]
            time.sleep(0.2)


def check(project, finished, targets=TARGETS):
    """Compare all that is there, which must hold what was asked for, with a local run."""
    expected, found = digests(finished.path(""), RECORDS), digests(project.path(""), RECORDS)
    assert {name.removeprefix("results/") for name in targets} <= set(found)
    assert [name for name in found if found[name] != expected[name]] == []


def test_products_are_those_of_a_local_run(cluster, project, finished):
    head = Head(project, cluster, [])
    assert head.end() == 0, head.text()[-5000:]
    assert digests(project.path(""), RECORDS) == digests(finished.path(""), RECORDS)
    assert len(re.findall("submitted with SLURM jobid", head.text())) < 35  # 52 jobs
    assert "Nothing to be done" in project.run("--dry-run")


def test_bands_on_many_nodes_are_those_of_one(cluster, project, finished):
    project.change_config(lambda config: config.update(bands=3))
    head = Head(project, cluster, TARGETS)
    assert head.end() == 0, head.text()[-5000:]
    shutil.rmtree(project.path("first/bands"))
    check(project, finished)


def test_the_demo_is_that_of_a_local_run(cluster, demo, tmp_path):
    """Whole, and then its masters in bands."""
    project = Project.create(tmp_path / "project")
    head = Head(project, cluster, [])
    assert head.end(1800) == 0, head.text()[-5000:]
    expected = digests(demo.path(""), RECORDS)
    assert digests(project.path(""), RECORDS) == expected

    names = ("flat_cfa.fits", "flat.fits", "flat_uncert.fits", "subsets/A.fits", "subsets/B.fits", "subsets/C.fits")
    masters = [f"results/{each}/{name}" for each in demo.configured()["sets"] for name in names]
    for name in masters:
        (project.folder / name).unlink()
    project.change_config(lambda config: config.update(bands=2))
    head = Head(project, cluster, masters)
    assert head.end(1800) == 0, head.text()[-5000:]
    assert len(list(project.path("").glob("*/bands/**/*.fits"))) == 3 * 5 * 2
    for folder in project.path("").glob("*/bands"):
        shutil.rmtree(folder)
    assert digests(project.path(""), RECORDS) == expected


def lose_controller(cluster, head, seconds=20):
    os.kill(cluster.daemon("slurmctld"), signal.SIGKILL)
    time.sleep(seconds)
    cluster.start_controller()
    return True


def restart_controller(cluster, head):
    os.kill(cluster.daemon("slurmctld"), signal.SIGTERM)
    time.sleep(2)
    cluster.start_controller()
    return True


def lose_controller_for_good(cluster, head):
    os.kill(cluster.daemon("slurmctld"), signal.SIGKILL)
    assert head.end(PATIENCE + 200) != 0
    assert f"controller has not answered for {PATIENCE} s" in head.text()
    cluster.start_controller()
    return False


def kill_head(cluster, head):
    """Its jobs would go on; they are stopped, so that they are still there when the next run starts."""
    head.wait_until(cluster.scripts)
    cluster.hold()
    head.process.kill()
    head.end()
    assert cluster.jobs()
    return False


def interrupt_head(cluster, head):
    head.process.send_signal(signal.SIGINT)
    assert head.end(120) != 0
    end = time.monotonic() + 60
    while cluster.jobs():
        assert time.monotonic() < end
        time.sleep(1)
    return False


def kill_job(cluster, head):
    """As for want of memory."""
    head.wait_until(cluster.scripts)
    with suppress(psutil.Error):
        cluster.scripts()[0].kill()
    return True


def lose_node(cluster, head):
    os.kill(cluster.daemon("slurmd.node1"), signal.SIGKILL)
    for process in cluster.work("node1"):
        with suppress(psutil.Error):
            process.kill()
    return True


def lose_sight_of_node(cluster, head):
    """Its daemon is gone but its jobs are not: they end after those that take their place, two writers."""
    head.wait_until(lambda: cluster.scripts("node1"))
    cluster.hold("node1")
    os.kill(cluster.daemon("slurmd.node1"), signal.SIGKILL)
    return True


FAULTS = (
    *(lose_controller, restart_controller, lose_controller_for_good),
    *(kill_head, interrupt_head, lose_node, lose_sight_of_node, kill_job),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_nothing_is_lost(cluster, project, finished, fault):
    head = Head(project, cluster, TARGETS)
    head.wait_until(lambda: cluster.jobs("R"))
    goes_on = fault(cluster, head)
    if goes_on:
        assert head.end() == 0, head.text()[-5000:]
    else:
        project.snakemake("--unlock")
        again = Head(project, cluster, TARGETS)
        assert again.end() == 0, again.text()[-5000:]
        if fault is kill_head:
            assert "that an earlier run of this folder left" in again.text()
    if fault is lose_sight_of_node:
        assert any(process.is_running() for process in cluster.held)
    cluster.release()
    check(project, finished)


def test_a_job_that_takes_too_much_memory_gets_more(cluster, project, finished):
    """A Snakemake takes 100 MB alone, and less than 900 with any script here."""
    resources = ("--default-resources", "mem_mb=60 * attempt ** 4", "runtime=10", "slot=1")
    head = Head(project, cluster, TARGETS, *resources)
    assert head.end() == 0, head.text()[-5000:]
    assert "exceeded memory limit" in head.text()
    check(project, finished)


def test_a_job_that_takes_too_much_time_gets_more(cluster, project, finished):
    resources = ("--default-resources", "mem_mb=1000", "runtime=attempt ** 3", "slot=1")  # minutes
    head = Head(project, cluster, TARGETS, *resources)
    head.wait_until(cluster.scripts)
    cluster.hold()
    assert head.end() == 0, head.text()[-5000:]
    assert "TIMEOUT" in head.text()
    check(project, finished)
