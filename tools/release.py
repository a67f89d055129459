"""Check that a release is ready, and print its notes from the changelog: `python tools/release.py v0.1.0`.

Needs nothing but Python: the version in each file is found by its line.
"""

import argparse
import re
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
#: Files that name the version, and how. The first one is where it is changed first; products have it from there.
VERSIONS = {
    "workflow/scripts/flatfield/files/version.py": r'^VERSION = "(.+)"$',
    "CITATION.cff": r"^version: (.+)$",
}


def main(tag, project=PROJECT):
    """The notes of a release.

    Parameters
    ----------
    tag : str
        ``v`` and the version.
    project : pathlib.Path

    Returns
    -------
    str
        Its section of the changelog, without the heading.

    Raises
    ------
    ValueError
        If a file names another version, or the changelog has no dated section of it.
    """
    version = tag.removeprefix("v")
    for name, pattern in VERSIONS.items():
        found = re.search(pattern, (project / name).read_text(encoding="utf-8"), re.MULTILINE)
        if not found or found[1] != version:
            raise ValueError(f"{name} has version {found[1] if found else 'none'}, and not {version}")
    dated = re.search(r"^date-released: (\S+)$", (project / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    sections = re.split(r"^## ", (project / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    heading = re.compile(rf"\[?{re.escape(version)}\]? - (\d{{4}}-\d\d-\d\d)\n")
    for section in sections:
        if match := heading.match(section):
            if not dated or dated[1] != match[1]:
                raise ValueError(f"CITATION.cff must have `date-released: {match[1]}`, as the changelog")
            return section[match.end() :].strip() + "\n"
    raise ValueError(f"CHANGELOG.md has no section `## [{version}] - year-month-day`; rename [Unreleased]")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tag", help="of the release, such as v0.1.0")
    try:
        sys.stdout.write(main(parser.parse_args().tag))
    except ValueError as error:
        sys.exit(f"error: {error}")
