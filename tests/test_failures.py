"""The terminal of a run that failed ends with what the failed jobs said; Snakemake's own lines are in its log."""

import io
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr
from pathlib import Path

import one_process
import pytest
from campaign import heed_interrupts
from conftest import REPOSITORY
from snakemake_interface_logger_plugins.common import LogEvent

from flatfield.report.failures import Failures
from flatfield.report.steps import Steps

#: Commands of jobs that fail in as many ways, by the name of the rule.
COMMANDS = {
    "short": "echo 'reading' > {log}; echo 'error: a.dng ends 100 bytes too early; copy it again' >> {log}; exit 1",
    "wrong": "echo 'error: b.dng is damaged; copy it again' > {log}; exit 1",
    "same": "echo 'error: b.dng is damaged; copy it again' > {log}; exit 1",
    "bug": "python -c '1 / 0' 2> {log}",
    "killed": "exec > {log}; echo 'half way'; kill -9 $$",
    "mute": "echo 'half way' > {log}; exit 3",
    "without": "echo 'no such program' >&2; exit 1",
    "missing": "echo 'done' > {log}",
    "good": "touch {output}",
    "second": "if [ {resources.attempt} = 1 ]; then echo 'error: too soon' > {log}; exit 1; fi; touch {output}",
    "slow": "touch started; sleep 60",
}
HEAD = f"""
import sys

sys.path.insert(0, "{REPOSITORY}/workflow/scripts")
from flatfield.report.failures import Failures
from flatfield.report.steps import Steps
from flatfield.report.steps import Steps

Steps.attach(workflow.logger_manager)

onstart:
    Failures.attach(workflow.logger_manager)
"""
RULE = """
rule {name}:
    output: "{name}.out"
    log: "{name}.log"
    retries: {retries}
    resources: attempt=lambda wildcards, attempt: attempt
    shell: "{command}"
"""
#: Words of Snakemake's lines about failures.
NOISE = ("RuleException", "CalledProcessError", "WorkflowError", "Shutting down", "Exiting because", "Error in rule")
SHORT = "error: a.dng ends 100 bytes too early; copy it again"
WRONG = "error: b.dng is damaged; copy it again"


@pytest.fixture
def folder(tmp_path):
    rules = [
        RULE.format(name=name, command=command, retries=int(name == "second")) for name, command in COMMANDS.items()
    ]
    (tmp_path / "Snakefile").write_text("".join([HEAD, *rules]))
    return tmp_path


def run(folder, *arguments):
    """What stands on the terminal after the last empty line, and Snakemake's log."""
    done = one_process.snakemake(folder, *arguments, cores=1)
    log = max((folder / ".snakemake/log").iterdir()).read_text()
    assert done.returncode == 1 and not [word for word in NOISE if word in done.stdout], done.stdout
    assert "WorkflowError" in log and "At least one job did not complete" in log
    return done.stdout.rstrip("\n").split("\n\n")[-1].splitlines(), log


def test_the_sentence_of_a_job_stands_last_and_alone(folder):
    end, log = run(folder, "short.out", "--show-failed-logs")
    assert end == [SHORT]
    assert [word for word in NOISE if word not in log] == [] and SHORT in log and "reading" in log


def test_a_finished_job_is_one_line_and_reasons_are_in_the_plan(folder):
    done = one_process.snakemake(folder, "--dry-run", "good.out", cores=1)
    assert "reason: Missing output files: good.out" in done.stdout
    done = one_process.snakemake(folder, "good.out", cores=1)
    log = max((folder / ".snakemake/log").iterdir()).read_text()
    assert done.returncode == 0 and done.stdout.startswith("1 step to do\n1 of 1 steps: good\n")
    hidden = ("reason:", "output:", "jobid:", "Select jobs", "Job stats", "Building DAG", "Provided cores", "Host:")
    assert [word for word in hidden if word in done.stdout] == []
    assert "reason: Missing output files: good.out" in log


def test_the_time_left_is_estimated_once_the_rules_that_are_left_were_seen():
    """Two at a time, 4 s each for 20 lights, after a rule of another length."""
    now, idle, lines = [0.0], [], io.StringIO()
    steps = Steps(lambda: idle.append(1), lambda: now[0])

    def tell(event, message="", **fields):
        record = logging.makeLogRecord({"event": event, "levelno": logging.INFO, "msg": message, **fields})
        with redirect_stderr(lines):
            return steps.is_shown(record)

    tell("run_info", stats={"combine": 2, "light": 20, "all": 1, "total": 23})
    for number in range(22):
        rule = "combine" if number < 2 else "light"
        tell("job_info", jobid=number, rule_name=rule, wildcards={"n": number})
        if number % 2:
            now[0] += 10 if rule == "combine" else 4
            for job in (number - 1, number):
                tell("job_finished", job_id=job)
                tell("progress", done=job + 1, total=23)
    shown = lines.getvalue().splitlines()
    assert shown[1] == "1 of 23 steps: combine 0" and "left" not in shown[2]  # nothing is known of lights
    assert shown[4] == "4 of 23 steps: light 3; about 40 s left"  # 18 of 4 s, two at a time: 36 s
    assert shown[14].endswith("about 20 s left")  # 8 of 4 s: 16 s
    assert not tell(None, "Nothing to be done (all requested files are present).") and idle == [1]


def test_each_of_several_failures_is_said_once(folder):
    end, log = run(folder, "-k", "short.out", "wrong.out", "same.out", "good.out")
    assert sorted(end) == [SHORT, WRONG] and log.count("Error in rule") == 3
    assert (folder / "good.out").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bug", ("bug stopped at ZeroDivisionError: division by zero", "see bug.log")),
        ("killed", ("killed was ended by SIGKILL", "memory_mb", "see killed.log")),
        ("mute", ("returned non-zero exit status 3", "see mute.log")),
        ("without", ("wrote no log", ".snakemake/log/")),
    ],
)
def test_failures_that_are_not_ours(folder, name, words):
    end, _ = run(folder, f"{name}.out")
    assert len(end) == 1 and end[0].startswith("error: ") and all(word in end[0] for word in words), end
    assert "set -" not in end[0]  # no command


def test_what_belongs_to_no_job_is_shown_as_it_is(folder):
    end, _ = run(folder, "missing.out", "--latency-wait", "0")
    assert "MissingOutputException" in end[0] and "missing.out" in end[-1]


def test_a_failure_that_a_second_attempt_made_good_is_forgotten(folder):
    done = one_process.snakemake(folder, "second.out", cores=1)
    assert done.returncode == 0 and "too soon" not in done.stdout and "Complete log" in done.stdout
    (folder / "second.out").unlink()
    end, _ = run(folder, "-k", "wrong.out", "second.out")
    assert end == [WRONG]


def test_a_run_that_is_stopped_ends_with_what_to_do(folder):
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "slow.out"]
    with subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=heed_interrupts,
    ) as process:
        while not (folder / "started").exists() and process.poll() is None:
            time.sleep(0.1)
        time.sleep(1)  # the shell of the job has begun to sleep
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1 and not [word for word in NOISE if word in output], output
    assert output.rstrip().splitlines()[-1].startswith("Stopped."), output
    assert "error:" not in output and "Failed" not in output


def test_the_log_of_a_workflow_around_it_is_left_alone(folder):
    host = 'module inner:\n    snakefile: "Snakefile"\n\nuse rule * from inner\n'
    (folder / "host.smk").write_text(host)
    done = one_process.snakemake(folder, "-s", "host.smk", "short.out", cores=1)
    assert done.returncode == 1 and "RuleException" in done.stdout and f"\n{SHORT}" not in done.stdout
    assert done.stdout.endswith("WorkflowError:\nAt least one job did not complete successfully.\n")


def record(level, message, **fields):
    made = logging.LogRecord("snakemake.logging", level, "", 0, message, None, None)
    made.__dict__ |= fields
    return made


def test_groups_of_jobs_on_a_cluster(tmp_path, monkeypatch):
    """Of a group the job that failed speaks, and not a log that an earlier run left."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"first": "1.0 s of processor time", "third": "error: of yesterday", "slurm": "exit 1"}.items():
        Path(f"{name}.log").write_text(text)
    failures = Failures(logging.getLogger("a logger of nobody"), "snakemake.log")
    jobs = [
        {"jobid": number, "rule_name": name, "log": [f"{name}.log"]}
        for number, name in enumerate(("first", "other", "third"))
    ]
    for job in jobs:
        failures.emit(record(logging.INFO, "", event=LogEvent.JOB_INFO, indent=True, **job))
    Path("other.log").write_text(f"reading\n{SHORT}\n")
    failed = {"event": LogEvent.GROUP_ERROR, "aux_logs": ["slurm.log"], "job_error_info": jobs}
    failures.emit(record(logging.ERROR, "Error in group", groupid="numbers", **failed))
    for job in jobs:
        failures.emit(record(logging.ERROR, "", event=LogEvent.JOB_ERROR, indent=True, rule_msg=None, **job))
    assert failures.sentences() == [SHORT]
    Path("other.log").unlink()
    assert failures.sentences() == [
        "error: first or other or third gave no reason, Snakemake says: nothing; see slurm.log"
    ]
    Path("slurm.log").write_text("slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch.")
    assert "was ended by the cluster, as systems do that run out of memory" in failures.sentences()[0]
