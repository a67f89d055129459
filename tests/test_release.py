"""What a public host needs: an image, its automatic runs, and files that agree on version and names."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from conftest import REPOSITORY, compile_kernels, write_flats

from flatfield.files.version import VERSION

RUNS = sorted((REPOSITORY / ".github/workflows").glob("*.yml"))
CONTAINERFILE = (REPOSITORY / "Containerfile").read_text()
#: Of Containerfiles, those that are used.
INSTRUCTIONS = {"FROM", "LABEL", "COPY", "RUN", "ENV", "VOLUME", "WORKDIR", "ENTRYPOINT"}
HOME = "/opt/flatfield/"


# The image


def instructions():
    """Name and text of each instruction of the Containerfile."""
    text = re.sub(r"^#.*\n", "", CONTAINERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def copies():
    """Source in the repository, and target in the image, of all that is copied."""
    for name, text in instructions():
        if name == "COPY":
            *sources, target = text.split()
            yield from ((source, target + Path(source).name if target.endswith("/") else target) for source in sources)


def builder():
    """A program that can build images here, or None."""
    for name in ("podman", "docker", "buildah"):
        if shutil.which(name) and subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0:
            return name
    return None


def test_the_image_has_the_pinned_environment_alone():
    found = instructions()
    assert {name for name, _ in found} <= INSTRUCTIONS and found[0][0] == "FROM"
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+-slim", found[0][1])
    (run,) = (text for name, text in found if name == "RUN")  # nothing else is installed or fetched
    words = shlex.split(run)
    assert words[:4] == ["python", "-m", "pip", "install"] and "--require-hashes" in words
    assert [word for word in words[4:] if not word.startswith("-")] == [f"{HOME}envs/requirements.txt"]
    order = [text for name, text in found if name in ("COPY", "RUN")]
    assert order.index(f"envs/requirements.txt {HOME}envs/requirements.txt") < order.index(run)


def test_what_is_copied_into_the_image_is_there_and_is_sent_to_the_builder():
    ignored = [line for line in (REPOSITORY / ".containerignore").read_text().splitlines() if line[:1] not in ("", "#")]
    kept = [line[1:] for line in ignored if line.startswith("!")]
    assert ignored[0] == "*"
    for source, target in copies():
        assert (REPOSITORY / source).exists() and target.startswith(HOME), source
        assert any(fnmatch(source, pattern) or source.startswith(f"{pattern}/") for pattern in kept), source


@pytest.fixture
def layout(tmp_path):
    """The files of the image, laid out as it has them, a card of flats, and an empty project."""
    compile_kernels()
    for source, target in copies():
        place = tmp_path / "code" / target.removeprefix(HOME)
        place.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (REPOSITORY / source).is_dir() else shutil.copy2
        copy(REPOSITORY / source, place, **({"dirs_exist_ok": True} if (REPOSITORY / source).is_dir() else {}))
    write_flats(tmp_path / "frames/flats", 6, shape=(240, 360))  # room for boxes of the usual size
    (tmp_path / "project").mkdir()
    return tmp_path


def test_the_entry_point_makes_a_project_of_a_card(layout):
    """As the image starts it, but with other names of the three folders."""
    (entry,) = (json.loads(text) for name, text in instructions() if name == "ENTRYPOINT")
    script = layout / "code" / entry[1].removeprefix(HOME)
    folders = {f"FLATFIELD_{name.upper()}": str(layout / name) for name in ("code", "frames", "project")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, **folders, "PATH": path}

    def run(*arguments):
        command = [entry[0], script, *arguments]
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=300)

    done = run()
    config = layout / "project/config.yaml"
    assert done.returncode == 0 and "flats/*" in config.read_text(), done.stdout + done.stderr
    if "# ?" in config.read_text():
        assert "again" in done.stdout and not (layout / "project/results").exists()
    before = config.read_bytes()
    name = next(iter(yaml.safe_load(config.read_text())["sets"]))
    done = run(f"results/{name}/frames.tsv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (layout / f"project/results/{name}/frames.tsv").exists() and config.read_bytes() == before


def test_the_image_is_built_and_runs(layout):
    program = builder()
    if program is None:
        pytest.skip("needs podman, docker or buildah, and what it builds with")
    tag = "localhost/flatfield-test"
    build = ["bud", "-t", tag] if program == "buildah" else ["build", "-t", tag, "-f", "Containerfile"]
    subprocess.run([program, *build, "."], cwd=REPOSITORY, check=True, timeout=1800)
    if program == "buildah":
        return
    for _ in range(2):  # the first one may end with questions
        volumes = ("-v", f"{layout / 'frames'}:/frames:ro", "-v", f"{layout / 'project'}:/project")
        subprocess.run([program, "run", "--rm", *volumes, tag], check=True, timeout=1800)
    assert (layout / "project/results/report.html").exists()


# Automatic runs


def steps():
    for path in RUNS:
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            yield from ((path.name, step) for step in job["steps"])


def test_commands_of_automatic_runs_are_there():
    """Targets of make and scripts, with the options that they have; and nothing that would install beside the pins."""
    commands = [(name, step["run"]) for name, step in steps() if "run" in step]
    targets = re.search(r"^\.PHONY: (.*)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert {"test.yml", "pages.yml", "release.yml"} <= {name for name, _ in commands}
    for name, command in commands:
        program, *words = shlex.split(command)
        if program == "make":
            assert {word for word in words if "=" not in word} <= set(targets), f"{name}: {command}"
        elif program == "python":
            assert (REPOSITORY / words[0]).exists(), f"{name}: {command}"
        else:
            assert command.startswith("gh release create "), f"{name}: {command}"


def test_tests_of_form_are_chosen_by_names_that_exist():
    """A name that no test has any more would choose none, and pass."""
    (command,) = (step["run"] for _, step in steps() if "types_fit" in step.get("run", ""))
    names = re.search(r'-k "(.+)"', command)[1].split(" or ")
    functions = re.findall(r"^def (test_\w+)", (REPOSITORY / "tests/test_workflow.py").read_text(), re.MULTILINE)
    assert len(names) > 3
    for name in names:
        assert any(name in function for function in functions), name


def test_automatic_runs_have_few_rights_and_fixed_actions():
    for path in RUNS:
        content = yaml.safe_load(path.read_text())
        rights = content["permissions"]
        assert rights == {"contents": "write" if path.name == "release.yml" else "read"}, path.name
        for job in content["jobs"].values():
            assert set(job.get("permissions", {})) <= {"pages", "id-token"}
    for name, step in steps():
        assert "run" in step or re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]), f"{name}: {step}"


# Version and names


def test_files_agree_on_version_and_names():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    archive = json.loads((REPOSITORY / ".zenodo.json").read_text())
    assert citation["version"] == VERSION and "version" not in archive  # which has it from the tag
    assert {"cff-version", "message", "title", "authors", "abstract", "license", "type"} <= set(citation)
    assert archive["title"] == citation["title"] and archive["keywords"] == citation["keywords"]
    assert archive["description"] == citation["abstract"] and archive["license"] == citation["license"]
    assert [each["name"] for each in archive["creators"]] == [each["name"] for each in citation["authors"]]
    assert archive["upload_type"] == citation["type"] == "software"
    assert (REPOSITORY / "LICENSE").read_text().startswith("BSD 3-Clause License")


@pytest.fixture
def released(tmp_path):
    """The files that a release concerns, in the state in which 9.8.7 could be released."""
    for name in ("workflow/scripts/flatfield/files/version.py", "CITATION.cff"):
        text = (REPOSITORY / name).read_text().replace(VERSION, "9.8.7")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    citation = tmp_path / "CITATION.cff"
    text = re.sub(r"^date-released: .*\n", "", citation.read_text(), flags=re.MULTILINE)
    citation.write_text(f"{text}date-released: 2026-12-01\n")
    sections = ("[Unreleased]\n- No.", "[9.8.7] - 2026-12-01\n\n### Added\n- Yes.", "[9.8.6] - 2026-11-01\n- No.")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n" + "".join(f"\n## {text}\n" for text in sections))
    return tmp_path


def test_a_release_has_its_section_of_the_changelog_as_notes(released, monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "tools")
    import release

    assert release.main("v9.8.7", released) == "### Added\n- Yes.\n"
    with pytest.raises(ValueError, match=r"version\.py has version 9\.8\.7, and not 9\.8\.8"):
        release.main("v9.8.8", released)
    log = released / "CHANGELOG.md"
    text = log.read_text()
    log.write_text(text.replace("2026-12-01", "2026-12-02"))
    with pytest.raises(ValueError, match="date-released: 2026-12-02"):
        release.main("v9.8.7", released)
    log.write_text(text.replace("[9.8.7] - 2026-12-01", "[9.8.70]"))
    with pytest.raises(ValueError, match="no section"):
        release.main("v9.8.7", released)


def test_a_tag_that_does_not_fit_is_refused():
    """As the run for a release starts it."""
    command = [sys.executable, REPOSITORY / "tools/release.py", "v99.0.0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr == f"error: workflow/scripts/flatfield/files/version.py has version {VERSION}, and not 99.0.0\n"
