"""Digests of code: what a script is made of, so that a change re-runs exactly the rules that depend on it."""

import ast
import hashlib
import json
import os
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

SCRIPTS = Path(__file__).parent.parent.parent
#: Parsing all modules takes most of a second, at each start of Snakemake.
RECORD = Path(".snakemake/flatfield_code.json")
DOCUMENTED = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef


@cache
def digest_code(script):
    """Digest of a script and of our modules that it imports, directly or not.

    Parameters
    ----------
    script : str
        File name, in the folder of the scripts.

    Returns
    -------
    str
        SHA-256, hexadecimal; comments, docstrings and layout do not count.
    """
    found, waiting = {}, {SCRIPTS / script}
    while waiting:
        path = waiting.pop()
        found[path], imported = _read_code(path)
        waiting |= imported - set(found)
    return hashlib.sha256("".join(found[path] for path in sorted(found)).encode()).hexdigest()


@cache
def _read_code(path):
    """Digest of a file's code, and the files of ours that it imports."""
    digest, names = _parse(path.read_bytes())
    paths = [SCRIPTS.joinpath(*name.split(".")) for name in names]
    places = {(path.with_suffix(".py"), path / "__init__.py", path.parent / "__init__.py") for path in paths}
    return digest, {file for place in places for file in place if file.is_file()}


def _parse(content):
    """Digest of code, and names that it imports; parsed once, and looked up in `RECORD` by all later runs."""
    record, key = _recorded(), hashlib.sha256(sys.version.encode() + content).hexdigest()
    if key not in record:
        tree, names = ast.parse(content), set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            if isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        record[key] = hashlib.sha256(ast.dump(_without_docstrings(tree)).encode()).hexdigest(), sorted(names)
        record.new = True
    return record[key]


class Record(dict):
    """What is known of files by the digest of their content."""

    new = False


@cache
def _recorded():
    """The record of earlier runs in this folder, empty where there is none that can be read."""
    try:
        return Record(json.loads(RECORD.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Record()


def keep_record():
    """Write what was parsed, for the next run; where nothing can be written, that parses again."""
    record = _recorded()
    if record.new:
        with suppress(OSError):
            RECORD.parent.mkdir(exist_ok=True)
            part = RECORD.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps(record), encoding="utf-8")
            part.replace(RECORD)


def _without_docstrings(tree):
    """The tree without the texts that document modules, classes and functions, which nothing here reads at run time."""
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return tree


def own_rules(workflow, folder):
    """Rules with a script that lie in a folder: ours, and not those of a workflow that uses them as a module."""
    ours = os.path.realpath(folder)  # the others may have no folder, but come from a repository
    return [each for each in workflow.rules if each.script and os.path.realpath(str(each.basedir)) == ours]


def describe_rules(workflow, folder):
    """What each of our rules makes, and the digest of its code."""
    return [
        {"rule": each.name, "makes": " ".join((each.docstring or "").split()), "code": _digest_of(each)}
        for each in own_rules(workflow, folder)
    ]


def equip_rules(workflow, folder, environment):
    """Give our rules the software that they need, and a digest of their code that re-runs them when it changes.

    Parameters
    ----------
    workflow : snakemake.workflow.Workflow
    folder : str or pathlib.Path
        Of our rules.
    environment : str
        Conda file, relative to that.
    """
    for each in own_rules(workflow, folder):
        if not hasattr(each.params, "code"):
            each.conda_env = environment
            each.set_params(code={"code": _digest_of(each)})
    keep_record()


def _digest_of(rule):
    return digest_code(Path(rule.script).name)
