"""`make verify` makes results again elsewhere and tells what differs; nothing else runs beside a run."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import one_process
import pytest
from conftest import LONG, REPOSITORY


@pytest.fixture
def verify(monkeypatch):
    """Verifies a project as `make verify` does, with the run that it starts in this process."""
    monkeypatch.syspath_prepend(REPOSITORY / "tools")
    import verify as tool

    def run(command, cwd, **_):
        assert command[1:3] == ["-m", "snakemake"] and not list(Path(cwd).glob("results"))
        return one_process.snakemake(cwd, *command[5:])

    def start(project):
        monkeypatch.setattr(tool.subprocess, "run", run)
        monkeypatch.chdir(project.folder)
        return tool.main("config.yaml", 2)

    return start


@pytest.mark.skipif(not LONG, reason="takes three minutes: make test-long")
def test_results_of_one_machine_are_made_again(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    command = [sys.executable, REPOSITORY / "tools/verify.py", "--cores", "2"]
    done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0 and "differs" not in done.stdout, done.stdout + done.stderr


def test_what_differs_is_told(finished, tmp_path, verify, capsys):
    project = finished.copy(tmp_path / "project")
    path = project.path("first/flat_cfa.fits")
    content = bytearray(path.read_bytes())
    content[-3000] ^= 1
    path.write_bytes(content)
    project.path("second/extra.txt").write_text("not of this run")
    project.path("first/stats.tsv").unlink()
    assert verify(project) == 3
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines[0].startswith("differs: first/flat_cfa.fits (")
    assert lines[1:3] == ["not made again: second/extra.txt", "was missing: first/stats.tsv"]
    assert lines[3].endswith("files are the same, byte for byte.") and len(lines) == 4


def test_what_other_programs_make_of_what_is_handed_over_does_not_count(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(REPOSITORY / "tools")
    import verify as tool

    for folder in ("old", "new"):
        (tmp_path / folder / "a/for_siril/process").mkdir(parents=True)
        (tmp_path / folder / "a/for_siril/pp_flat_stacked.fit").write_text("master")
    (tmp_path / "old/a/for_siril/process/light_00001.fit").write_text("of Siril")
    assert tool.compare_results(tmp_path / "old", tmp_path / "new") == 0
    assert capsys.readouterr().out.startswith("1 of 1 files are the same")
    (tmp_path / "new/a/for_siril/pp_flat_stacked.fit").write_text("another")
    assert tool.compare_results(tmp_path / "old", tmp_path / "new") == 1


def test_another_configuration_is_not_compared(finished, tmp_path):
    command = [sys.executable, REPOSITORY / "tools/verify.py", "--cores", "2"]
    project = finished.copy(tmp_path / "project")
    project.change_config(lambda config: config.update(combine={"method": "mean"}))
    done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1 and "made with another `combine`" in done.stderr


def test_a_second_run_in_the_same_folder_is_refused(project):
    first = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "1", "results/first/flat_cfa.fits"],
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    locks = project.folder / ".snakemake/locks"
    end = time.monotonic() + 60
    while not any(lock.stat().st_size for lock in locks.glob("*.output.lock")):
        assert time.monotonic() < end and first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)  # it must not end before the second has asked
    second = project.start("results/first/flat_cfa.fits")
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 1 and "LockException" in second.stdout and "--unlock" in second.stdout
    assert first.wait(timeout=300) == 0
    assert project.path("first/flat_cfa.fits").exists()
