"""The documentation: every column of every table is explained, and no link leads nowhere."""

import re
import subprocess

import pytest
from conftest import REPOSITORY

from flatfield.demo.truth import TRUTH_COLUMNS
from flatfield.files.frame_table import columns_of
from flatfield.measure.star_agreement import STAR_COLUMNS
from flatfield.measure.stars import columns_of_stars
from flatfield.measure.validity import VALIDITY_COLUMNS

PAGES = [
    *(REPOSITORY / name for name in ("README.md", "CHANGELOG.md", "config/README.md", "benchmarks/results.md")),
    *sorted((REPOSITORY / "docs").glob("*.md")),
]
#: Tables that only other input has (no colour filters, bias frames, the demo, several lights), with their columns.
OTHER_INPUT = {
    "mono/frames.tsv": columns_of(("MONO",), placed=True, tested=True),
    "mono/bias.tsv": columns_of(("MONO",)),
    "demo.tsv": TRUTH_COLUMNS,
    "lights/night/stars.tsv": STAR_COLUMNS,
    "lights/night/stars/sky.tsv": columns_of_stars(("RED", "GREEN", "BLUE")),
    "mono/validity.tsv": VALIDITY_COLUMNS,
    "lights/night/left_out.tsv": ["frame", "reason"],
}


def pattern_of(name):
    """Regular expression of a name with placeholders."""
    placeholders = {"<path>": ".+", "<frame>": ".+"}  # which may be in folders
    return re.sub(r"<\w+>|\\\*", lambda found: placeholders.get(found[0], "[^/]+"), re.escape(name))


def documented_columns():
    """Columns that docs/tables.md documents, by the pattern of the tables of a section."""
    sections = re.split(r"^## ", (REPOSITORY / "docs/tables.md").read_text(), flags=re.MULTILINE)[1:]
    documented = {}
    for heading, _, text in (section.partition("\n") for section in sections):
        table = text[text.index("| column | unit | meaning |") :].split("\n\n")[0]
        names = "|".join(pattern_of(name) for name in re.findall(r"`(.+?)`", heading))
        documented[names] = re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)
    return documented


def test_every_column_is_documented_and_exists(finished):
    results, documented = finished.path(""), documented_columns()
    paths = {str(path.relative_to(results)): path for path in results.rglob("*.tsv")}
    tables = {name: path.read_text().partition("\n")[0].split("\t") for name, path in paths.items()}
    assert len(tables) > 30
    seen = {names: set() for names in documented}
    for table, header in (tables | OTHER_INPUT).items():
        section = [names for names in documented if re.fullmatch(names, table)]
        assert len(section) == 1, f"{table} has {len(section)} sections in docs/tables.md"
        for column in header:
            found = [name for name in documented[section[0]] if re.fullmatch(pattern_of(name), column)]
            assert found, f"docs/tables.md does not explain {column} of {table}"
            seen[section[0]].update(found)
    for names, found in seen.items():
        missing = [name for name in documented[names] if name not in found | {"snr_mono"}]
        assert not missing, f"docs/tables.md explains {missing}, which no table {names} has"


def slugs_of(page):
    """Anchors of the headings of a page, by GitHub's rules."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\((?![a-z]+:)([^)\s]+)\)", page.read_text()):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in slugs_of(target), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_there(page):
    """Targets of make exist, and packages to be installed beside the requirements are those that are tested."""
    text = page.read_text()
    targets = re.search(r"^\.PHONY: (.*)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert set(re.findall(r"`make ([a-z][a-z-]*)", text)) <= set(targets)
    tested = (REPOSITORY / "envs/requirements-test.txt").read_text()
    for pin in re.findall(r"[\w-]+==[\d.]+", text):
        assert f"\n{pin} " in tested


def test_each_target_of_make_has_its_line_without_it():
    """What docs/platforms.md says instead of a target is what make would run."""
    targets = re.search(r"^\.PHONY: (.*)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)[1].split()
    text = (REPOSITORY / "docs/platforms.md").read_text()
    rows = dict(re.findall(r"^\| (?:`make` \()?`make ([\w-]+)`\)? \| (.+) \|$", text, re.MULTILINE))
    assert set(rows) == set(targets)
    instead = {target: re.findall(r"`((?:\.venv/bin/|python3 )[^`]+)`", words) for target, words in rows.items()}
    assert sum(map(bool, instead.values())) > 12
    for target, commands in instead.items():
        command = ["make", "-n", target, "FRAMES=FRAMES", "FLAT=old/flat_cfa.fits"]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        run = " ".join(done.stdout.replace('"', "").split())
        for words in commands:
            assert words.replace('"', "") in run, f"make {target}: {words}"
