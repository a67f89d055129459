"""What the next run would do, and why, in a few lines: `make plan`."""

import argparse
import ast
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

JOB = re.compile(r"^ *(?:local)?rule (\w+):$|^ *reason: (.*)$", re.MULTILINE)
#: Snakemake's words for a reason, and ours, in the order in which the first that fits is taken.
REASONS = (
    ("Missing output files", "not made yet"),
    ("Params have changed", ""),
    ("Updated input files", "frames or other files changed"),
    ("Set of input files has changed", "other files belong to it"),
    ("Software environment", "other versions of the software"),
    ("Input files updated by another job", "what it is made of is made again"),
)
CHANGED = re.compile(r"before: (?P<before>.*?) now: (?P<now>.*?)\s*(?:; |$)")


def main(project, config):
    """Print the plan.

    Parameters
    ----------
    project : str
        Its folder.
    config : str
        Its configuration.

    Returns
    -------
    int
        Exit code of Snakemake, whose words are printed where it fails.
    """
    command = [str(Path(sys.executable).parent / "snakemake"), "--dry-run", "--directory", project]
    command += ["--configfile", str(Path(project, config))] if config != "config.yaml" else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        return done.returncode
    rules: defaultdict[str, Counter] = defaultdict(Counter)
    current = ""
    for rule, reason in JOB.findall(done.stdout + done.stderr):
        current = rule or current
        if reason and current != "all":
            rules[explain(reason)][current] += 1
    total = sum(sum(counts.values()) for counts in rules.values())
    steps = f"{total} {'step' if total == 1 else 'steps'} would run:"
    print(steps if total else "Nothing to be done: all results are up to date.")
    for reason, counts in sorted(rules.items(), key=lambda each: -sum(each[1].values())):
        names = ", ".join(rule if count == 1 else f"{count} {rule}" for rule, count in counts.items())
        print(f"{sum(counts.values()):5d}  {reason}: {names}")
    return 0


def explain(reason):
    """Snakemake's reason in a few words; of options that changed, their names.

    Parameters
    ----------
    reason : str

    Examples
    --------
    >>> explain("Params have changed: before: {'title': 'a', 'step': 1} now: {'title': 'b', 'step': 1}")
    '`title` changed'
    """
    ours = next((words for theirs, words in REASONS if theirs in reason), reason)
    if ours:
        return ours
    found = CHANGED.search(reason)
    try:
        before, now = map(ast.literal_eval, found.groups()) if found else ({}, {})
        keys = sorted(differences(before, now))
    except (SyntaxError, ValueError, TypeError, AttributeError):
        keys = []
    if not keys:
        return "options changed"
    return "its code changed" if keys == ["code"] else f"{', '.join(f'`{key}`' for key in keys)} changed"


def differences(before, now):
    """Keys whose values differ, of dictionaries in them with a dot between."""
    for key in {*before, *now}:
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from (f"{key}.{inner}" for inner in differences(old, new))
        elif old != new:
            yield str(key)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make plan", description=__doc__)
    parser.add_argument("folder", nargs="?", default=".", help="of the project")
    parser.add_argument("--config", default="config.yaml", help="configuration, in that folder")
    arguments = parser.parse_args()
    sys.exit(main(arguments.folder, arguments.config))
