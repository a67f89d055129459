"""What happens where a run starts and ends."""

import shutil
import textwrap
import time

from flatfield.files import scratch
from flatfield.plan import job_server
from flatfield.plan.claims import unclaimed_results
from flatfield.report import conclusions
from flatfield.report.failures import Failures
from flatfield.report.steps import Steps

STARTED = time.time()

if not workflow.modifier.parent_modifier and not workflow.remote_exec:  # neither part of another workflow nor of a run
    Steps.attach(workflow.logger_manager, lambda: print_summary())


def print_summary():
    """The end of a run of all, or of one that made the report: the best set, warnings, where results are."""
    results = Path(RESULTS).absolute() if workflow.overwrite_workdir else Path(RESULTS)  # a project elsewhere
    page, story = results / "report.html", results / "conclusions.yaml"
    is_new = page.exists() and (page.stat().st_mtime >= STARTED or not workflow.dag_settings.targets)
    if is_new and story.exists():
        told = conclusions.summarize(configuration.read_yaml(story), results, [light.name for light in PLAN.raw_lights])
        width = shutil.get_terminal_size().columns if sys.stderr.isatty() else len(told)
        print(
            "",
            *(textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False) for line in told.splitlines()),
            sep="\n",
            file=sys.stderr,
        )
    if unclaimed := unclaimed_results(config, Path(RESULTS)):
        names = ", ".join(map(str, unclaimed))
        print(f"Results that no set or light claims (make tidy moves them away): {names}", file=sys.stderr)


def start_run():
    """Make room for decoded frames; on Slurm, outlast controller outages and cancel jobs of a run that was killed."""
    if machine().cores:
        scratch.make_folder(config["scratch_mb"])
        job_server.use()
    if workflow.executor_plugin.name == "slurm":
        sys.path.append(str(WORKFLOW.parent / "profiles/slurm"))
        import outages

        outages.tolerate_outages(workflow.executor_plugin.executor)
        outages.cancel_orphans(os.getcwd())


onstart:
    Failures.attach(workflow.logger_manager)
    start_run()


onsuccess:
    scratch.remove_folder()
    print_summary()


onerror:
    scratch.remove_folder()
