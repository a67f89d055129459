"""The structure of the library: which wing may import which, and what planning a run must not load."""

import ast
import re
import subprocess
import sys

import pytest
from conftest import REPOSITORY

SCRIPTS = REPOSITORY / "workflow/scripts"
#: Wings of the library, and those that each may import.
WINGS = {
    "files": set(),
    "plan": {"files", "demo"},
    "raw": {"files"},
    "combine": {"files", "raw"},
    "measure": {"files", "raw", "combine"},
    "report": {"files", "raw", "combine", "measure"},
    "demo": {"files", "raw", "combine", "measure"},
    "init": {"files", "plan", "raw"},
}


def imported_modules(path):
    """Names of our modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("wing", WINGS)
def test_wings_import_one_way(wing):
    folder = SCRIPTS / "flatfield" / wing
    for path in folder.glob("*.py"):
        imported = {name.split(".")[1] for name in imported_modules(path) if name.startswith("flatfield.")}
        assert imported <= WINGS[wing] | {wing}, path


def test_each_module_is_in_a_wing():
    assert {path.name for path in (SCRIPTS / "flatfield").iterdir() if path.name != "__pycache__"} == {
        "__init__.py",
        *WINGS,
    }


def test_scripts_do_not_import_each_other():
    scripts = {path.stem for path in SCRIPTS.glob("*.py")}
    for path in SCRIPTS.glob("*.py"):
        assert not scripts & {name.split(".")[0] for name in imported_modules(path)}, path


def test_planning_a_run_loads_no_numpy():
    """Snakemake reads the workflow again for each job on a cluster: its start-up must stay short."""
    modules = [f"flatfield.plan.{path.stem}" for path in (SCRIPTS / "flatfield/plan").glob("*.py")]
    modules += ["flatfield.demo.names"]
    code = f"import sys; import {', '.join(modules)}; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, check=False).returncode == 0


def test_groups_hold_the_jobs_of_one_frame_or_set():
    """A job that gathers all frames would join them to one job of a cluster, and planning takes the square of them."""
    found = 0
    for path in (SCRIPTS.parent / "rules").glob("*.smk"):
        for rule in path.read_text().split("\n\n\n"):
            group = re.search(r"group:\s+\"(\w+)\"", rule)
            if group:
                outputs = rule.partition("output:")[2].partition("log:")[0]
                assert "{frame}" in outputs or "{light}" not in outputs, rule
                found += 1
    assert found > 20
