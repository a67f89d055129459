"""What is shared describes itself by the profile, and a second person gets the same bytes from it."""

import hashlib
import json
import subprocess
import sys
import zipfile
from importlib import resources

import pytest
import yaml
from conftest import REPOSITORY, Project
from rdflib.plugins.shared.jsonld.context import Context
from rocrate_validator import services
from rocrate_validator.models import ValidationSettings

PROFILE = "workflow-run-crate-0.5"
#: Checks that fetch the contexts over the network.
ONLINE = {"ro-crate-1.1_3.1", "ro-crate-1.1_3.2"}


def share(project, *arguments):
    command = [sys.executable, "tools/share.py", *arguments]
    return subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def shared(finished, tmp_path_factory):
    """A finished project whose frames lie at an absolute path, and its archive unpacked."""
    folder = tmp_path_factory.mktemp("shared")
    project = finished.copy(folder / "first")
    for name in ("tools", "docs", "Makefile", "README.md", "LICENSE"):
        subprocess.run(["cp", "-r", REPOSITORY / name, project.folder], check=True)
    project.change_config(lambda config: config.update(raw_root=str(project.folder / "raws")))
    done = share(project)
    assert done.returncode == 0 and "15 raw frames by checksum only" in done.stdout, done.stderr
    with zipfile.ZipFile(project.folder / "flatfield-shared.zip") as archive:
        archive.extractall(folder / "second")
    return project, folder / "second/flatfield-shared"


def test_the_profile_holds(shared, monkeypatch):
    context = json.loads((resources.files("rocrate") / "data/ro-crate.jsonld").read_text())
    context["@context"]["ComputationalWorkflow"] = (
        "https://bioschemas.org/ComputationalWorkflow"  # as RO-Crate 1.1 has it
    )
    monkeypatch.setattr(Context, "_fetch_context", lambda *arguments: context)
    settings = ValidationSettings(
        rocrate_uri=str(shared[1]), profile_identifier=PROFILE, requirement_severity="REQUIRED"
    )
    issues = [f"{issue.check.identifier}: {issue.message}" for issue in services.validate(settings).get_issues()]
    assert not [issue for issue in issues if issue.partition(":")[0] not in ONLINE]
    description = json.loads((shared[1] / "ro-crate-metadata.json").read_text())
    entities = {entity["@id"]: entity for entity in description["@graph"]}
    assert len(entities["#run"]["object"]) == 1 + 15 and "results/first/flat.fits" in json.dumps(
        entities["#run"]["result"]
    )


def test_no_frame_no_calibrated_light_and_no_private_path_is_in_it(shared):
    project, folder = shared
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    assert not [name for name in names if name.endswith((".dng", ".pyc")) or name.startswith("results/logs")]
    assert "results/lights/night/sky.png" in names and "results/lights/night/sky.fits" not in names
    assert yaml.safe_load((folder / "config.yaml").read_text())["raw_root"] == "frames"
    for name in names:
        assert str(project.folder).encode() not in (folder / name).read_bytes(), name


def test_a_second_person_gets_the_same_bytes(shared):
    project, folder = shared
    (project.folder / "raws").rename(folder / "frames")
    for line in (folder / "frames.sha256").read_text().splitlines():
        value, _, name = line.partition("  ")
        assert hashlib.sha256((folder / "frames" / name).read_bytes()).hexdigest() == value
    expected = dict(reversed(line.split("  ")) for line in (folder / "results.sha256").read_text().splitlines())
    (folder / "results").rename(folder / "theirs")
    masters = [
        name for name in expected if name.endswith(("flat.fits", "flat_cfa.fits", "response.fits", "model.fits"))
    ]
    Project(folder).run(*masters)
    assert len(expected) > 60 and len(masters) == 8
    for name, value in expected.items():
        if not (folder / name).exists():  # not needed for the masters
            continue
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == value, name


def test_the_same_results_give_the_same_archive_and_unfinished_ones_none(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    subprocess.run(["cp", "-r", REPOSITORY / "tools", project.folder], check=True)
    for name in ("docs", "Makefile", "README.md", "LICENSE"):
        subprocess.run(["cp", "-r", REPOSITORY / name, project.folder], check=True)
    for name in ("a.zip", "b.zip"):
        assert share(project, "--archive", name).returncode == 0
    assert (project.folder / "a.zip").read_bytes() == (project.folder / "b.zip").read_bytes()
    project.path("report.html").unlink()
    done = share(project)
    assert done.returncode == 1 and "error: there is no results/report.html; finish the run first" in done.stderr
    assert not (project.folder / "flatfield-shared.zip").exists()
