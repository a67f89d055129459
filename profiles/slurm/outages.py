"""Slurm: wait for a controller that is away, and cancel what an earlier run left in the queue.

The executor plugin (snakemake-executor-plugin-slurm 2.8) asks `sacct` once the controller does not answer; without
accounting it then forgets the jobs that it asked about, and waits for them for ever. Here it asks only while the
controller answers. It also waits ten seconds longer each time that no job has ended, up to three minutes, whatever
Snakemake's `seconds-between-status-checks` says; here not longer than that.
"""

import asyncio
import os
import subprocess
import sys
import time

#: Seconds without an answer of the controller after which the run ends.
PATIENCE = int(os.environ.get("FLATFIELD_PATIENCE", "150"))
#: Seconds between two questions whether it is back.
INTERVAL = 2
#: Beginning of the names of our jobs, as in profiles/slurm.
PREFIX = "flatfield"


def answers():
    """Whether the controller of the cluster answers."""
    try:
        done = subprocess.run(["scontrol", "ping"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and " is UP" in done.stdout


class Outage:
    """How long the controller has been away, reported once."""

    def __init__(self):
        self.since = None

    def still_waiting(self):
        """Whether to wait longer.

        Raises
        ------
        RuntimeError
            After `PATIENCE`.
        """
        if answers():
            if self.since is not None:
                tell(f"The Slurm controller is back after {time.monotonic() - self.since:.0f} s.")
            self.since = None
            return False
        if self.since is None:
            self.since = time.monotonic()
            tell(f"The Slurm controller does not answer; waiting for up to {PATIENCE} s.")
        if time.monotonic() - self.since > PATIENCE:
            raise RuntimeError(
                f"the Slurm controller has not answered for {PATIENCE} s: this run ends here, and its jobs may go on; "
                "once the controller is back, start again, which cancels what is left of this run"
            )
        return True


def tell(text):
    print(text, file=sys.stderr, flush=True)


def tolerate_outages(executor):
    """Make the executor plugin wait while the controller is away, and otherwise ask as often as Snakemake wants.

    Parameters
    ----------
    executor : type
        The plugin's class; changed.
    """
    ask, submit = executor.check_active_jobs, executor.run_jobs

    async def check_active_jobs(self, active_jobs):
        while True:
            outage = Outage()
            while outage.still_waiting():
                await asyncio.sleep(INTERVAL)
            running = [job async for job in ask(self, active_jobs)]
            if running or answers():
                break
        longest = self.workflow.remote_execution_settings.seconds_between_status_checks
        self.next_seconds_between_status_checks = min(self.next_seconds_between_status_checks, longest)
        for job in running:
            yield job

    def run_jobs(self, jobs):
        outage = Outage()
        while outage.still_waiting():
            time.sleep(INTERVAL)
        submit(self, jobs)

    executor.check_active_jobs, executor.run_jobs = check_active_jobs, run_jobs


def cancel_orphans(folder):
    """Cancel jobs that a run of the same folder left behind when it was killed: two would write the same files.

    Only called by the run that holds the lock of the folder, before it submits its first job.

    Parameters
    ----------
    folder : str
        Working folder.
    """

    def orphans():
        queue = ["squeue", "--me", "--noheader", "--states=PD,R,CG,S,CF", "--format=%i|%j|%Z"]
        listed = subprocess.run(queue, capture_output=True, text=True, timeout=60, check=True).stdout
        rows = [line.split("|", 2) for line in listed.splitlines()]
        ours = os.path.realpath(folder)
        return [job for job, name, place in rows if name.startswith(PREFIX) and os.path.realpath(place) == ours]

    found = orphans()
    if not found:
        return
    tell(f"Cancelling {len(found)} jobs that an earlier run of this folder left: {' '.join(found)}")
    subprocess.run(["scancel", *found], timeout=60, check=False)
    end = time.monotonic() + PATIENCE
    while orphans():
        if time.monotonic() > end:
            raise RuntimeError(f"jobs of an earlier run cannot be cancelled: {' '.join(orphans())}; see `squeue --me`")
        time.sleep(INTERVAL)
