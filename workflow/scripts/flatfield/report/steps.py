"""What a run shows of its jobs at a terminal: one line for each that is finished."""

import logging
import sys

#: Events of Snakemake (`snakemake_interface_logger_plugins.common.LogEvent`) that tell of jobs and of the machine.
HIDDEN = ("workflow_started", "run_info", "resources_info", "job_info", "job_started", "job_finished", "progress")
#: Beginnings of its lines between them.
BETWEEN = ("Select jobs to execute", "Assuming unrestricted", "Building DAG", "Using shell", "Conda environments")


class Steps:
    """Takes the place of Snakemake's lines about jobs and the machine. Its log file has these.

    Attributes
    ----------
    names : dict
        Rule and wildcards of each job that was started, by its number.
    finished : list of str
        Those that finished since the last line.
    """

    def __init__(self):
        self.names, self.finished = {}, []

    @classmethod
    def attach(cls, manager):
        """Show steps on the terminal, if Snakemake writes there itself; a dry run shows what it always does.

        Parameters
        ----------
        manager : snakemake.logging.LoggerManager
            Of the run; `manager.logger`'s handlers for the terminal are changed.
        """
        terminals = [each for each in manager.logger.handlers if each.name == "DefaultStreamHandler"]
        for handler in [] if manager.settings.dryrun else terminals:
            handler.addFilter(cls().is_shown)

    def is_shown(self, record):
        """Whether Snakemake is to write a record itself; of jobs that finished, a line is written here."""
        event = getattr(record, "event", None)
        if event == "run_info":
            total = record.stats.get("total", 0)
            print(f"{total} {'step' if total == 1 else 'steps'} to do", file=sys.stderr, flush=True)
        elif event == "job_info":
            self.names[record.jobid] = " ".join([record.rule_name, *map(str, dict(record.wildcards or {}).values())])
        elif event == "job_finished":
            self.finished.append(self.names.get(record.job_id, "a job"))
        elif event == "progress":
            print(f"{record.done} of {record.total} steps: {', '.join(self.finished)}", file=sys.stderr, flush=True)
            self.finished = []
        if event in HIDDEN or getattr(record, "quietness", None) == "host":
            return False
        return record.levelno > logging.INFO or not record.getMessage().lstrip().startswith(BETWEEN)
