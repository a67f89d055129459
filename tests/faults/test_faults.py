"""Short forms of the campaigns of faults and hostile files; `make faults` runs the long ones."""

import os
import shutil
import subprocess
import sys

import campaign
import hostile
import pytest
from conftest import LONG, REPOSITORY

#: Seconds that an undisturbed run takes, about; a fault comes within.
DURATION = 20
#: Faults of the short form; that of a frame that changed is played without a whole run in `tests/test_plausible.py`.
SHORT = ("kill_all",)


@pytest.mark.parametrize("fault", campaign.FAULTS if LONG else SHORT)
def test_nothing_is_lost(fault, fresh, finished, tmp_path):
    if fault in campaign.MOUNTING and not campaign.can_mount():
        pytest.skip("needs the right to mount a small disk")
    expected = campaign.digests(finished.path(""), campaign.RECORDS)
    tally = campaign.run_campaign(tmp_path, fresh.folder, expected, DURATION, [fault], seed=7)
    assert tally == {fault: (1, tally[fault][1], [])}


def test_frames_that_cannot_be_written_are_enough(project, finished):
    """Of a card that is locked."""
    raws, copy = project.folder / "raws", project.folder / "copy"
    frames = campaign.digests(raws)
    if os.getuid():
        for path in (*raws.rglob("*"), raws):
            path.chmod(0o555 if path.is_dir() else 0o444)
    elif campaign.can_mount():  # permissions do not hold back root
        shutil.copytree(raws, copy)
        campaign.mount(raws, "size=100m")
        shutil.copytree(copy, raws, dirs_exist_ok=True)
        campaign.mount(raws, "remount,ro")
    else:
        pytest.skip("needs the right to mount a small disk, or not to be root")
    try:
        with pytest.raises(OSError):
            (raws / "first/DSC1.dng").open("r+b")
        project.run(*campaign.TARGETS)
        assert campaign.digests(raws) == frames
    finally:
        campaign.unmount(raws)
        for path in (raws, *raws.rglob("*")):
            path.chmod(0o755)
    expected = campaign.digests(finished.path(""), campaign.RECORDS)
    found = campaign.digests(project.path(""), campaign.RECORDS)
    assert [name for name in found if found[name] != expected[name]] == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("work", "sentences"),
    [
        ("print('done')", ["OSError: [Errno 28] No space left on device"]),
        ("print('going on', flush=True)", ["OSError: [Errno 28] No space left on device"]),
        ("raise FrameError('DSC1 is damaged')", ["error: DSC1 is damaged"]),
        ("{}['key']", ["KeyError: 'key'"]),
    ],
)
def test_errors_are_told_where_the_log_lies_on_a_full_disk(work, sentences):
    code = (
        f"from flatfield.files.errors import FrameError\nfrom flatfield.files.job import logged_job\n"
        f"with logged_job('/dev/full'):\n    {work}\n"
    )
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow/scripts")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    sentences = [*sentences, "error: /dev/full cannot be written (No space left on device); make room, and run again"]
    assert done.returncode and done.stderr.splitlines() == sentences


def test_hostile_files_are_read_right_or_refused(tmp_path):
    tally, failures = hostile.run_campaign(tmp_path, 2000 if LONG else 400, seed=7)
    assert not failures
    for name, counts in tally.items():
        assert counts["refused"] and counts["read"] + counts["compared"], name
