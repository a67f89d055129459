"""Digests of code: what a script is made of, so that a change re-runs exactly the rules that depend on it."""

import ast
import hashlib
from functools import cache
from pathlib import Path

SCRIPTS = Path(__file__).parent.parent.parent


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
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    paths = [SCRIPTS.joinpath(*name.split(".")) for name in names]
    places = {(path.with_suffix(".py"), path / "__init__.py", path.parent / "__init__.py") for path in paths}
    files = {file for place in places for file in place if file.is_file()}
    return hashlib.sha256(ast.dump(_without_docstrings(tree)).encode()).hexdigest(), files


def _without_docstrings(tree):
    """The tree without the texts that document modules, classes and functions, which nothing here reads at run time."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node, clean=False) is not None:
                del node.body[0]
    return tree
