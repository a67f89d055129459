"""What a run shows of its jobs at a terminal: one line for each that is finished, and how long the rest will take."""

import logging
import sys
import time
from collections import Counter, defaultdict

#: Events of Snakemake (`snakemake_interface_logger_plugins.common.LogEvent`) that tell of jobs and of the machine.
HIDDEN = ("workflow_started", "run_info", "resources_info", "job_info", "job_started", "job_finished", "progress")
#: Beginnings of its lines between them.
BETWEEN = ("Select jobs to execute", "Assuming unrestricted", "Building DAG", "Using shell", "Conda environments")
#: Beginning of its line where all results are there, and what is said instead.
IDLE, IDLE_WORDS = "Nothing to be done", "Nothing to be done: all results are up to date."
#: Part of the jobs that are left whose rules must have been seen before their time is estimated.
KNOWN_PART = 0.5


class Steps:
    """Takes the place of Snakemake's lines about jobs and the machine. Its log file has these.

    Parameters
    ----------
    idle : callable, optional
        Called where nothing is to be done.
    clock : callable
        The time, s.

    Attributes
    ----------
    started : dict
        Rule, name (rule and wildcards) and time of the start of each job, by its number.
    waiting : collections.Counter
        Jobs of each rule that have not finished.
    took : dict
        Seconds of each job that finished, by rule.
    finished : list of str
        Those that finished since the last line.
    """

    def __init__(self, idle=None, clock=time.monotonic):
        self.idle, self.clock, self.begin = idle, clock, clock()
        self.started, self.waiting, self.took, self.finished = {}, Counter(), defaultdict(list), []

    @classmethod
    def attach(cls, manager, idle=None):
        """Show steps on the terminal, if Snakemake writes there itself; a dry run shows what it always does.

        Parameters
        ----------
        manager : snakemake.logging.LoggerManager
            Of the run; `manager.logger`'s handlers for the terminal are changed.
        idle : callable, optional
            See the class.
        """
        terminals = [each for each in manager.logger.handlers if each.name == "DefaultStreamHandler"]
        for handler in [] if manager.settings.dryrun else terminals:
            handler.addFilter(cls(idle).is_shown)

    def is_shown(self, record):
        """Whether Snakemake is to write a record itself; of jobs that finished, a line is written here."""
        event = getattr(record, "event", None)
        if event == "run_info":
            total = record.stats.get("total", 0)
            self.waiting = Counter({rule: count for rule, count in record.stats.items() if rule != "total"})
            self.begin = self.clock()
            _tell(f"{total} {'step' if total == 1 else 'steps'} to do")
        elif event == "job_info":
            name = " ".join([record.rule_name, *map(str, dict(record.wildcards or {}).values())])
            self.started[record.jobid] = record.rule_name, name, self.clock()
        elif event == "job_finished":
            rule, name, start = self.started.get(record.job_id, ("", "a job", self.clock()))
            self.took[rule].append(self.clock() - start)
            self.waiting[rule] -= 1
            self.finished.append(name)
        elif event == "progress":
            left = self.estimate()
            ending = "" if left is None else f"; about {show_time(left)} left"
            _tell(f"{record.done} of {record.total} steps: {', '.join(self.finished)}{ending}")
            self.finished = []
        elif record.getMessage().startswith(IDLE):
            _tell(IDLE_WORDS)
            if self.idle:
                self.idle()
            return False
        if event in HIDDEN or getattr(record, "quietness", None) == "host":
            return False
        return record.levelno > logging.INFO or not record.getMessage().lstrip().startswith(BETWEEN)

    def estimate(self):
        """Seconds that the jobs that are left will take; None where too few of their rules were seen.

        Each job takes as long as those of its rule before, and as many run side by side as did on average. (Jobs that
        run now count as if they began now.)
        """
        waiting = {rule: count for rule, count in self.waiting.items() if count > 0 and rule != "all"}
        known = {rule: count for rule, count in waiting.items() if rule in self.took}
        if not known or sum(known.values()) < KNOWN_PART * sum(waiting.values()):
            return None
        work = sum(count * sum(self.took[rule]) / len(self.took[rule]) for rule, count in known.items())
        work *= sum(waiting.values()) / sum(known.values())
        side_by_side = sum(map(sum, self.took.values())) / max(self.clock() - self.begin, 1e-9)
        return work / max(side_by_side, 1)


def show_time(seconds):
    """A time in words, no more exact than it is known.

    Examples
    --------
    >>> [show_time(seconds) for seconds in (7, 100, 4000)]
    ['10 s', '2 min', '1.1 h']
    """
    if seconds < 55:
        return f"{max(10 * round(seconds / 10), 10)} s"
    return f"{round(seconds / 60)} min" if seconds < 3570 else f"{seconds / 3600:.1f} h"


def _tell(text):
    print(text, file=sys.stderr, flush=True)
