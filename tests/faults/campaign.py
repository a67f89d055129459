"""Faults while the workflow runs: what is killed, full, damaged or gone must cost nothing but the time to run again.

    python tests/faults/campaign.py --runs 200 --seed 1        (make faults)

Each round takes a small project that has not run, starts the workflow, and lets one fault happen at a random moment.
Then every product that is there must be the right one, byte for byte, and nothing half-written or forgotten may lie
about; what a user would do is done (the frame copied again, room made, the lock taken off), and the next run must end
with the products of a run that was not disturbed.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS), str(TESTS.parent / "workflow/scripts")]
from conftest import build_project  # noqa: E402

#: Products of which each round asks for one.
TARGETS = [
    f"results/{name}"
    for name in (
        *("first/flat.fits", "first/flat_cfa.fits", "first/differences/A-B.fits", "first/stats.tsv"),
        "lights/night/sky.fits",
    )
]
#: Of the results, what tells of runs and not of frames.
RECORDS = ("logs", "benchmarks")


class Lost(AssertionError):
    """A fault that left something wrong."""


@dataclass
class Round:
    """A project, the products it should have, and chance."""

    folder: Path
    expected: dict
    duration: float
    chance: random.Random
    targets: list

    @property
    def results(self):
        return self.folder / "results"

    def start(self, before=lambda: None):
        """Start the workflow as the leader of a group of processes of its own; `before` is called in it first."""

        def prepare():
            heed_interrupts()
            before()

        (self.folder / "scratch").mkdir(exist_ok=True)
        with open(self.folder / "output.txt", "w") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "snakemake", "--cores", "2", *self.targets],
                cwd=self.folder,
                env=os.environ | {"TMPDIR": str(self.folder / "scratch")},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=prepare,
            )

    def end(self, process):
        """Wait for a run.

        Returns
        -------
        int
            Its exit code.
        """
        try:
            return process.wait(timeout=300)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise Lost("the run did not end within 300 s") from None

    def output(self):
        return (self.folder / "output.txt").read_text()

    def wait(self, process):
        """Let a random part of the usual duration pass; whether the run goes on then."""
        end = time.monotonic() + self.chance.uniform(0, self.duration / 3)  # one of five targets
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.02)
        return process.poll() is None

    def wait_for(self, name, process):
        """Wait until a product is there; whether the run goes on then."""
        while process.poll() is None:
            if (self.results / name).exists():
                return True
            time.sleep(0.01)
        return False

    def frame(self):
        """One of the raw frames."""
        return self.chance.choice(sorted(self.folder.glob("raws/first/*.dng")))


def heed_interrupts():
    """Let Ctrl-C have its effect, which is ignored by what a shell starts in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def digests(folder, but=()):
    """Digest of each file of a folder by its name."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in but
    }


def jobs_of(process):
    """Processes of jobs that run now."""
    with suppress(psutil.Error):
        started = psutil.Process(process.pid).children()
        servers = [child for child in started if "job_server.py" in " ".join(child.cmdline())]
        return [job for server in servers for job in server.children()]
    return []


def kill_all(it):
    """Everything is killed at once, as by a loss of power."""
    process = it.start()
    hit = it.wait(process)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    it.end(process)
    return hit


def kill_head(it):
    """Snakemake is killed, its jobs go on while the next run begins: two writers."""
    process = it.start()
    hit = it.wait(process)
    process.kill()
    it.end(process)
    return hit


def kill_job(it, numbers=(signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS)):
    """One job dies by a signal, as by a crash of the decoder or for want of memory."""
    process = it.start()
    it.wait(process)
    found = []
    while process.poll() is None and not (found := jobs_of(process)):
        time.sleep(0.02)
    with suppress(psutil.Error):
        if found:
            it.chance.choice(found).send_signal(it.chance.choice(numbers))
    return it.end(process) != 0


def interrupt(it):
    """Ctrl-C, or an orderly end of the session."""
    process = it.start()
    hit = it.wait(process)
    if it.chance.random() < 0.5:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
    else:
        process.terminate()
    return it.end(process) != 0 and hit


def fill_disk(it):
    """The disk of the results is full."""
    it.results.mkdir()
    size = it.chance.randrange(4096, 110_000)  # what is asked for takes at least that
    mount(it.results, f"size={size}")
    process = it.start()
    failed = it.end(process) != 0
    if failed and " space " not in it.output():
        raise Lost(f"a full disk is not named: {it.output()[-500:]}")
    return failed


def limit_files(it):
    """No file may be longer than so much, as with a quota."""
    import resource

    size = it.chance.randrange(1000, 200_000)
    process = it.start(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
    return it.end(process) != 0


def forbid_writing(it):
    """The results become read-only at some moment."""
    it.results.mkdir()
    mount(it.results, "size=100m")
    process = it.start()
    it.wait(process)
    while process.poll() is None:
        with suppress(subprocess.CalledProcessError):  # not while a file is open
            mount(it.results, "remount,ro")
            return it.end(process) != 0
    return False


def truncate_frame(it):
    """A frame ends early, as after a copy that was broken off."""
    path = it.frame()
    content = path.read_bytes()
    path.write_bytes(content[: it.chance.randrange(len(content) - 2 * 108)])  # not within its last row
    if it.end(it.start()) == 0:
        raise Lost(f"{path.name} was taken with {path.stat().st_size} of {len(content)} bytes")
    if path.name not in it.output():
        raise Lost(f"{path.name} is not named: {it.output()[-500:]}")
    return True


def flip_bits(it):
    """Bits of a frame are wrong; it may look right."""
    path = it.frame()
    content = bytearray(path.read_bytes())
    for _ in range(it.chance.randrange(1, 20)):
        content[it.chance.randrange(len(content))] ^= 1 << it.chance.randrange(8)
    path.write_bytes(content)
    it.end(it.start())
    return True


def lose_frame(it):
    """A frame is gone after it was inspected."""
    process = it.start()
    hit = it.wait_for("first/inspected.tsv", process)
    it.frame().unlink()
    it.end(process)
    return hit


def change_frame(it):
    """A frame becomes another one after it was inspected, and looks older than the results."""
    process = it.start()
    hit = it.wait_for("first/inspected.tsv", process)
    path, other = it.frame(), it.folder / "raws/second/DSC1.dng"
    path.write_bytes(other.read_bytes())
    os.utime(path, (1e9, 1e9))
    it.end(process)
    return hit


FAULTS = {
    each.__name__: each
    for each in (
        *(kill_all, kill_head, kill_job, interrupt, fill_disk, limit_files, forbid_writing),
        *(truncate_frame, flip_bits, lose_frame, change_frame),
    )
}
MOUNTING = (fill_disk.__name__, forbid_writing.__name__)


def mount(folder, options):
    """Mount a small disk; needs root."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True, capture_output=True)


def can_mount():
    """Whether this process may mount."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            mount(folder, "size=4096")
        except (OSError, subprocess.CalledProcessError):
            return False
        subprocess.run(["umount", folder], check=True)
    return True


def unmount(folder):
    """Take a small disk away, what is on it into the folder below."""
    if not os.path.ismount(folder):
        return
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept)
    subprocess.run(["umount", "--lazy", folder], check=True)
    shutil.rmtree(folder)
    kept.rename(folder)


def play(name, it):
    """One round.

    Returns
    -------
    bool
        Whether the fault happened while the workflow ran.

    Raises
    ------
    Lost
        If something wrong is left, or the next run does not mend it.
    """
    raws = it.folder / "raws"
    originals = {path: path.read_bytes() for path in raws.rglob("*.dng")}
    times = {path: path.stat().st_mtime_ns for path in originals}
    hit = FAULTS[name](it)
    unmount(it.results)
    if name != "flip_bits":  # which may have been taken for other pixels
        check_products(it, complete=False)
    changed = [path for path, content in originals.items() if not path.exists() or path.read_bytes() != content]
    if len(changed) > (name in ("truncate_frame", "flip_bits", "lose_frame", "change_frame")):
        raise Lost(f"raw frames were changed: {changed}")
    for path in changed:
        path.write_bytes(originals[path])  # copied again: the time is that of the copy
    if any(path.stat().st_mtime_ns != times[path] for path in originals if path not in changed):
        raise Lost("raw frames were touched")
    if it.end(it.start()) != 0 and "--unlock" in it.output():
        subprocess.run([sys.executable, "-m", "snakemake", "--unlock"], cwd=it.folder, check=True, capture_output=True)
        it.end(it.start())
    check_products(it, complete=True)
    return hit


def check_products(it, complete):
    """Compare what is there with what should be; all of it if `complete`."""
    found = digests(it.results, RECORDS) if it.results.exists() else {}
    wrong = [name for name, digest in found.items() if it.expected.get(name) != digest]
    if wrong:
        raise Lost(f"wrong or half-written: {wrong}")
    missing = [name for name in it.targets if not (it.folder / name).exists()]
    if complete and missing:
        raise Lost(f"not made again: {missing}; {it.output()[-3000:]}")
    if complete and (left := [path for path in (it.folder / "scratch").iterdir() if path.is_file()]):
        raise Lost(f"left in the scratch folder: {left}")


def run_campaign(folder, fresh, expected, duration, faults, seed, tell=print):
    """Play rounds.

    Parameters
    ----------
    folder : pathlib.Path
        To work in.
    fresh : pathlib.Path
        A project that has not run.
    expected : dict
        Digests of what it makes.
    duration : float
        Of an undisturbed run for all `TARGETS`, seconds.
    faults : list of str
        Names of faults, one a round.
    seed : int
    tell : callable
        Takes a line of progress.

    Returns
    -------
    dict
        By fault: rounds, those in which it happened while the workflow ran, and what was lost (a list of texts).
    """
    tally = {name: (Counter(), []) for name in dict.fromkeys(faults)}
    for number, name in enumerate(faults):
        chance = random.Random(1000 * seed + number)
        it = Round(folder / f"round-{number}", expected, duration, chance, [chance.choice(TARGETS)])
        shutil.copytree(fresh, it.folder)
        started = time.monotonic()
        counts, lost = tally[name]
        counts["rounds"] += 1
        try:
            counts["hit"] += play(name, it)
            shutil.rmtree(it.folder)
        except Lost as error:
            lost.append(f"round {number}: {error}")
        finally:
            unmount(it.results)
        tell(f"{number + 1} of {len(faults)}: {name}, {time.monotonic() - started:.0f} s {' '.join(lost[-1:])}")
    return {name: (counts["rounds"], counts["hit"], lost) for name, (counts, lost) in tally.items()}


def main():
    """Play rounds of all faults in turn and print the tally; exit code 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    names = [name for name in FAULTS if can_mount() or name not in MOUNTING]
    chosen = [names[number % len(names)] for number in range(options.runs)]
    with tempfile.TemporaryDirectory() as folder:
        fresh, folder = Path(folder) / "fresh", Path(folder)
        build_project(fresh)
        shutil.copytree(fresh, folder / "undisturbed")
        started, whole = time.monotonic(), Round(folder / "undisturbed", {}, 0, random.Random(), TARGETS)
        if whole.end(whole.start()) != 0:
            raise Lost(whole.output())
        expected, duration = digests(whole.results, RECORDS), time.monotonic() - started
        tell = partial(print, flush=True)
        tally = run_campaign(folder, fresh, expected, duration, chosen, options.seed, tell)
    print("| fault | rounds | while it ran | lost |\n| --- | --- | --- | --- |")
    for name, (rounds, hit, lost) in tally.items():
        print(f"| {name.replace('_', ' ')} | {rounds} | {hit} | {len(lost)} |")
    texts = [text for _, _, lost in tally.values() for text in lost]
    print(*texts, *[f"not tried, as it needs root: {name}" for name in FAULTS if name not in names], sep="\n")
    sys.exit(bool(texts))


if __name__ == "__main__":
    main()
