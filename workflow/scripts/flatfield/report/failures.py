"""How a run that failed ends: with what each failed job said, and without Snakemake's own lines about it.

Those lines (exceptions, inputs of the job, dumps of logs) are in Snakemake's log file.
"""

import logging
import os
import re
import sys
import threading

#: Events of Snakemake (`snakemake_interface_logger_plugins.common.LogEvent`) that tell of a failure.
FAILURES = ("error", "job_error", "group_error")
#: Beginnings of Snakemake's further lines about one.
ABOUT_FAILURES = (
    "Shutting down, this might take some time",
    "Exiting because a job execution failed",
    "Removing output files of failed job",
)
#: Beginnings of its lines at the end of any run.
AT_THE_END = ("Complete log(s):", "Elapsed time:")
#: Beginnings of its lines after Ctrl-C, and after SIGTERM.
INTERRUPTED = ("Terminating processes on user request", "Will exit after finishing currently running jobs")
#: How Snakemake and Slurm tell of a job that was killed.
ENDED = re.compile(r"died with <Signals\.(\w+)|oom_kill|OUT_OF_MEMORY")
#: In the exception that ends a run whose jobs have told already why they failed.
TOLD = "At least one job did not complete successfully"


class Failures(logging.Handler):
    """Collects failures from Snakemake's log records, and prints them when Snakemake closes its log.

    Attributes
    ----------
    logger : logging.Logger
        That of Snakemake.
    logfile : str
        Its log.
    jobs : dict
        Failed jobs, by the tuple of their numbers (several of a group): name, rules by log, what Snakemake said.
    errors : list
        Thread and text of Snakemake's exceptions that belong to no job.
    logs : dict
        State of the log of each job before it ran, by path.
    """

    def __init__(self, logger, logfile):
        super().__init__()
        self.logger, self.logfile, self.interrupted = logger, os.path.relpath(logfile), False
        self.jobs, self.errors, self.logs = {}, [], {}

    @classmethod
    def attach(cls, manager):
        """Keep Snakemake's lines about failures off the terminal, if a file has them, and print our own at the end.

        Parameters
        ----------
        manager : snakemake.logging.LoggerManager
            Of the run; `manager.logger` and the handlers that write to the terminal are changed.
        """
        if not manager.get_logfile():
            return
        failures = cls(manager.logger, manager.get_logfile()[-1])
        terminals = [each for each in manager.logger.handlers if each.name == "DefaultStreamHandler"]
        for handler in [*terminals, *(each for each in manager.plugin_handlers if each.writes_to_stream)]:
            handler.addFilter(failures.is_shown)
        manager.logger.addHandler(failures)

    def is_shown(self, record):
        """Whether a record is for the terminal."""
        hidden = ABOUT_FAILURES + (AT_THE_END if self.jobs or self.errors or self.interrupted else ())
        return getattr(record, "event", None) not in FAILURES and not record.getMessage().startswith(hidden)

    def emit(self, record):
        """Take a record of Snakemake; one that another version writes otherwise does not end the run."""
        try:
            self._note(record)
        except Exception:
            self.handleError(record)

    def _note(self, record):
        event = getattr(record, "event", None)
        if event == "job_info":
            self.logs |= {log: _state(log) for log in map(_local, record.log)}
        elif event == "job_finished":
            self.jobs = {numbers: job for numbers, job in self.jobs.items() if record.job_id not in numbers}
        elif event == "error":
            self.errors.append((threading.get_ident(), record.getMessage()))
        elif event == "job_error" and not record.indent:  # those of a group are indented, and follow it
            self._take((record.jobid,), dict.fromkeys(record.log, record.rule_name), record.rule_name, record.rule_msg)
        elif event == "group_error":
            jobs = record.job_error_info
            name = " or ".join(sorted({job["rule_name"] for job in jobs}))
            logs = {log: job["rule_name"] for job in jobs for log in job["log"]} | dict.fromkeys(record.aux_logs, name)
            self._take(tuple(job["jobid"] for job in jobs), logs, name, "")
        elif record.getMessage().startswith(INTERRUPTED):
            self.interrupted = True

    def _take(self, numbers, logs, name, message):
        """Keep a job that failed, with the exception that Snakemake logged just before in the same thread."""
        own = [error for error in self.errors if error[0] == threading.get_ident()][-1:]
        self.errors = [error for error in self.errors if error not in own]
        said = "\n".join(text for text in (message, *(text for _, text in own)) if text)
        self.jobs[numbers] = (name, {_local(log): rule for log, rule in logs.items()}, said)
        if not self.interrupted and "KeyboardInterrupt" not in self._sentence(self.jobs[numbers]):
            self.logger.error(f"Failed: {name} ({next(iter(self.jobs[numbers][1]), 'no log')})")

    def _sentence(self, job):
        """Why a job failed."""
        name, logs, said = job
        texts = {log: _read(log) for log in logs if _state(log) != self.logs.get(log)}  # others are of an earlier run
        texts = {log: text for log, text in texts.items() if text}
        if own := [lines[-1] for text in texts.values() if (lines := re.findall(r"^error: .+$", text, re.MULTILINE))]:
            return "\n".join(dict.fromkeys(own))
        for log, text in texts.items():
            if exception := _exception(text):
                return f"error: {logs[log]} stopped at {exception}; see {log}; please report it if it comes again"
        place = f"see {next(iter(texts))}" if texts else f"it wrote no log: see above, and {self.logfile}"
        if ended := ENDED.search("\n".join((said, *texts.values()))):
            memory = ", as systems do that run out of memory (`memory_mb` limits it)" * (ended[1] in (None, "SIGKILL"))
            return f"error: {name} was ended by {ended[1] or 'the cluster'}{memory}; {place}"
        return f"error: {name} gave no reason, Snakemake says: {_shorten(said)}; {place}"

    def sentences(self):
        """What went wrong, one sentence a failure.

        Returns
        -------
        list of str
            Of jobs that said the same, one.
        """
        found = [self._sentence(job) for job in self.jobs.values()]
        if self.interrupted:  # which ends jobs before they can say anything
            names = tuple(f"error: {rule} " for name, logs, _ in self.jobs.values() for rule in (name, *logs.values()))
            found = [each for each in found if not each.startswith(names)]
        for _, text in self.errors:
            if TOLD not in text:
                exception = _exception(text)
                found.append(f"error: {exception}; see {self.logfile}" if exception else text.strip())
        if self.interrupted:
            found.append("Stopped. What is finished stays, and the next run goes on from there.")
        return list(dict.fromkeys(found or [text for _, text in self.errors]))

    def close(self):
        """Print what went wrong, once: Snakemake has said its last."""
        found, self.jobs, self.errors, self.interrupted = self.sentences(), {}, [], False
        if found:
            print("", *found, sep="\n", file=sys.stderr, flush=True)
        super().close()


def _local(log):
    """Path of a log as Snakemake writes it, of a storage that of the local copy."""
    log = re.sub(r" \((?:[^()]*, )?send to storage\)$", "", log)
    return re.sub(r"^(\w+)://", r".snakemake/storage/\1/", log)


def _state(log):
    """When and how large a file was written; None if it is not there."""
    try:
        state = os.stat(log)
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size


def _read(log):
    try:
        with open(log, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _shorten(said):
    """The last line of what Snakemake said, without a command."""
    return re.sub(r"^Command '.*' (?=returned|died)", "it ", (said.splitlines() or ["nothing"])[-1]).rstrip(".")


def _exception(text):
    """The line of the exception after the last traceback in a text; empty without one."""
    _, found, after = text.rpartition("Traceback (most recent call last):\n")
    return next((line for line in after.splitlines() if line and not line.startswith(" ")), "") if found else ""
