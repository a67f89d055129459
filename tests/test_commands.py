"""Every command that the Makefile, the README and the documentation name, in a small form, so that none can rot."""

import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import one_process
import pytest
from conftest import LONG, REPOSITORY, Project, write_flats

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")), *REPOSITORY.glob("config/README.md")]
MAKEFILE = (REPOSITORY / "Makefile").read_text()
TARGETS = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split()
BEGIN = r"(?:\.venv/bin/)?(?:make|snakemake|python|conda|sha256sum)(?= |$)"


def commands_of(page):
    """Commands in fenced blocks of a page, and in its text between backquotes, without comments."""
    text = page.read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [re.sub(r"\s+#.*", "", line).strip() for block in blocks for line in block.splitlines()]
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [line for line in lines if line] + [each for each in inline if re.match(BEGIN, each)]


COMMANDS = sorted({command.replace(".venv/bin/", "") for page in PAGES for command in commands_of(page)})
#: Commands that need a network, a cluster or other software, of which only the files are checked.
ELSEWHERE = ("conda env create -f envs/environment.yaml", "sha256sum -c results.sha256", "git pull")


def of_program(program):
    return [command for command in COMMANDS if command.split()[0] == program]


def test_all_commands_are_known():
    known = {*of_program("make"), *of_program("snakemake"), *of_program("python"), *ELSEWHERE}
    assert set(COMMANDS) <= known and len(COMMANDS) > 25
    assert (REPOSITORY / "envs/environment.yaml").exists()


def check_script(command):
    """A Python script (or module, by `-m`) is there, and knows the options that it is called with."""
    _, script, *arguments = shlex.split(command)
    program = [REPOSITORY / script] if script != "-m" else ["-m", arguments.pop(0)]
    done = subprocess.run(
        [sys.executable, *program, "--help"], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0 and "usage:" in done.stdout, done.stderr
    for option in (each.partition("=")[0] for each in arguments if each.startswith("--")):
        assert option in done.stdout, f"{script} has no {option}"


@pytest.mark.parametrize("command", [*of_program("make"), *(f"make {target}" for target in TARGETS)])
def test_make_knows_its_targets(command):
    """What it would do, without doing it; and the files that this needs are there."""
    _, *arguments = shlex.split(command)
    assert {each for each in arguments if "=" not in each} <= set(TARGETS)
    done = subprocess.run(["make", "-n", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in re.findall(r"(?<![\w./-])(?:tools|tests|benchmarks|envs)/[\w./-]+", done.stdout):
        assert (REPOSITORY / name).exists(), name


@pytest.mark.parametrize(
    "command", sorted(set(of_program("python")) | set(re.findall(r"python (\S+\.py.*)$", MAKEFILE)))
)
def test_scripts_know_their_options(command):
    command = command if command.startswith("python ") else f"python {command}"
    check_script(re.sub(r"\$\([^)]*\)+", "", command))


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """The project as it is, and a second configuration."""
    project = Project.create(tmp_path_factory.mktemp("planned") / "project")
    shutil.copy(project.folder / "config.yaml", project.folder / "mine.yaml")
    return project


@pytest.mark.parametrize("command", of_program("snakemake"))
def test_snakemake_knows_its_options(planned, command):
    names = {"PATH/Snakefile": str(REPOSITORY / "Snakefile"), "PROJECT": str(planned.folder)}
    arguments = [names.get(each, each) for each in shlex.split(command)[1:]]
    profile = arguments[arguments.index("--profile") + 1] if "--profile" in arguments else None
    if profile:
        documented = any(f"`{profile}/config.yaml`" in page.read_text() for page in PAGES)  # to be written by the user
        assert documented or (REPOSITORY / profile / "config.yaml").exists()
        return
    if "--report" in arguments or ("conda" in arguments and not shutil.which("conda")):  # the one makes a file
        from snakemake.cli import get_argument_parser

        assert get_argument_parser().parse_args(arguments)
        return
    if arguments[-1] == "--":
        arguments.append("results/indoors/flat.fits")
    place = arguments.index("--") if "--" in arguments else len(arguments)
    quiet = () if "--unlock" in arguments else ("--dry-run",)
    done = one_process.snakemake(planned.folder, *arguments[:place], *quiet, *arguments[place:])
    assert done.returncode == 0, done.stdout[-2000:]


# For real


@pytest.fixture
def installed(finished, tmp_path):
    """A finished project as a user has it: with the Makefile, the tools, and an environment that is installed."""
    project = finished.copy(tmp_path / "project")
    for name in ("Makefile", "README.md", "LICENSE", "docs", "tools"):
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy2
        copy(REPOSITORY / name, project.folder / name)
    (project.folder / ".venv/bin").mkdir(parents=True)
    for name in ("python", "snakemake"):
        script = project.folder / ".venv/bin" / name
        script.write_text(f'#!/bin/sh\nexec "{Path(sys.executable).parent / name}" "$@"\n')
        script.chmod(0o755)
    for name in ("installed", "installed-test"):
        (project.folder / ".venv" / name).touch()
    return project


def make(project, *arguments):
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_make_does_what_it_says(installed):
    """All that is quick: nothing is left to do, a proposal, an archive, and the way back to where one began."""
    done = make(installed, "CORES=2")
    assert done.returncode == 0 and "Nothing to be done" in done.stderr, done.stderr
    assert done.stderr.rstrip().splitlines()[-2:] == [
        "Calibrated lights: results/lights/night",
        "Report: results/report.html",
    ]
    done = make(installed, "init", "FRAMES=raws/second", "CONFIG=mine.yaml")
    assert done.returncode == 0 and "Next: make CONFIG=mine.yaml" in done.stdout, done.stderr
    own = installed.folder / "mine.yaml"
    own.write_text(own.read_text() + "pathvars: {results: results_mine}\n")
    assert "not made yet" in make(installed, "plan", "CONFIG=mine.yaml").stdout
    assert '--configfile "./mine.yaml"' in make(installed, "CONFIG=mine.yaml", "-n").stdout
    assert make(installed, "init").returncode != 0  # no folder
    assert "Nothing to be done" in make(installed, "plan").stdout
    installed.change_config(lambda config: config["sets"]["first"].update(title="new"))
    told = make(installed, "plan").stdout
    assert re.search(r"^ *7  `title` changed: .*plot_flat", told, re.MULTILINE) and "8 steps would run" in told, told
    installed.change_config(lambda config: config["sets"]["first"].pop("title"))
    assert set(re.findall(r"^make (\w[\w-]*)", make(installed, "help").stdout, re.MULTILINE)) >= {*TARGETS} - {
        "all",
        "test-long",
    }
    flat = "results/second/flat_cfa.fits"
    done = make(installed, "check", f"FLAT={flat}", "SET=first", "CORES=2")
    assert done.returncode == 0 and installed.path("first/validity.tsv").exists(), done.stderr
    assert not installed.path("second/validity.tsv").exists()
    done = installed.snakemake("check", "--config", f"compare_with={flat}", "--dry-run")
    assert done.returncode == 0 and "second/plots/validity.png" in done.stdout, done.stdout
    assert make(installed, "check").returncode != 0  # no flat
    done = make(installed, "share", "ARCHIVE=a.zip")
    assert done.returncode == 0 and (installed.folder / "a.zip").exists(), done.stderr
    assert make(installed, "clean").returncode == 0
    assert not installed.path("").exists() and (installed.folder / "raws").exists()


def test_make_works_in_the_folder_of_a_project(installed, tmp_path):
    """All lies in the project, the checkout is left as it is; results that nothing claims are not shared."""
    night = tmp_path / "nights of 2026/new moon"
    night.mkdir(parents=True)
    for name in ("config.yaml", "config", "raws", "results", ".snakemake"):
        shutil.move(installed.folder / name, night / name)
    shutil.copytree(REPOSITORY / "config", installed.folder / "config")
    before = sorted(installed.folder.iterdir())
    here = f"PROJECT={night}"
    done = make(installed, here, "CORES=2")  # the page alone: its templates lie elsewhere now
    assert done.returncode == 0 and f"Report: {night}/results/report.html" in done.stderr, done.stderr
    assert "Nothing to be done" in make(installed, here, "plan").stdout
    old = {night / "results/autumn/flat.fits", night / "results/lights/comet/frames.tsv"}
    for path in old:
        path.parent.mkdir()
        path.write_text("file\tsha256\nold.dng\t1234\n")
    own = night / "results/thoughts/of mine/note.txt"  # nothing that a run has made
    own.parent.mkdir(parents=True)
    own.touch()
    done = make(installed, here, "share")
    assert done.returncode == 0 and "results/autumn, results/lights/comet" in done.stdout, done.stderr
    with zipfile.ZipFile(night / "flatfield-shared.zip") as archive:
        names = archive.namelist()
        assert not [name for name in names if "autumn" in name or "comet" in name]
        assert {f"flatfield-shared/{name}" for name in ("Snakefile", "results/report.html", "tools/share.py")} < {
            *names
        }
        assert b"old.dng" not in archive.read("flatfield-shared/frames.sha256")
    for number in ("", "-2"):
        done = make(installed, here, "tidy")
        assert done.returncode == 0 and len(done.stdout.splitlines()) == (1 if number else 2), done.stderr
        assert (night / f"unclaimed/autumn{number}/flat.fits").read_text() == "file\tsha256\nold.dng\t1234\n"
        shutil.copytree(night / "unclaimed/autumn", night / "results/autumn")
    done = make(installed, here, "check", f"FLAT={night}/results/second/flat_cfa.fits", "SET=first", "CORES=2")
    assert done.returncode == 0 and (night / "results/first/validity.tsv").exists(), done.stderr
    assert own.exists()
    done = make(installed, here, "check", f"FLAT={own.parent}", "CORES=2")
    assert done.returncode != 0 and "no FITS or XISF file is there" in done.stderr, done.stderr
    assert make(installed, here, "clean").returncode == 0
    assert not (night / "results").exists() and (night / "raws").exists()
    # a new one, whose name is proposed
    done = make(installed, "init", f"FRAMES={night}/raws/second", f"PROJECT={tmp_path}/nights/")
    (made,) = (tmp_path / "nights").iterdir()
    assert re.fullmatch(r"20\d\d-\d\d-\d\d_\d+mm_f[\d.]+", made.name), made.name
    assert f"make PROJECT={made}" in done.stdout.replace("\n", ""), done.stdout
    done = make(installed, "plan", f"PROJECT={made}")
    assert done.returncode == 0 and "steps would run" in done.stdout, done.stderr
    assert sorted(installed.folder.iterdir()) == before


def test_truth_is_written(tmp_path):
    """One world, and the page of it."""
    command = [
        sys.executable,
        REPOSITORY / "tests/truth/calibrate.py",
        "--folder",
        tmp_path,
        "--page",
        tmp_path / "page.md",
    ]
    done = subprocess.run([*command, "--worlds", "5:6"], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "page.md").read_text()
    assert "\n# " in f"\n{text}" and "| gain |" in text and "| a channel saturates |" in text


# Benchmarks


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """The benchmark with small frames; what it would start as processes runs in this one."""
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    import bench as tool
    import programs
    import projects
    import usage

    def run(command, **_):
        command = [str(part) for part in command]
        if "programs.py" in command[1]:
            getattr(programs, command[2])(*command[3:])
        elif "siril-cli" in command:
            subprocess.run(command, check=False, capture_output=True)
        else:
            assert command[0].endswith("snakemake")
            done = one_process.snakemake(REPOSITORY, *command[1:])
            assert done.returncode == 0, done.stdout[-3000:]

    def measure(command, folder, repeats=1, before=None, written=None, limit=0):
        if before:
            before()
        run(command)
        return usage.Usage(1.0, 2.0, 100.0, usage.size_of(written))

    for name in ("SCRATCH", "RESULTS", "SHAPES", "FRAMES", "FEW", "LIGHTS", "PLANNED", "TARGETS"):
        monkeypatch.setattr(tool, name, getattr(tool, name))
    monkeypatch.setattr(usage, "measure", measure)
    monkeypatch.setattr(projects, "start", run)
    tool.shrink(tmp_path)
    return tool


def test_benchmarks_run(bench, tmp_path):
    bench.main()
    text = (tmp_path / "results.md").read_text()
    assert text.count("| reached |") + text.count("| missed |") >= 5 and "| one set | ours | 2.0 | 1.0 |" in text
    assert (tmp_path / "growth.png").stat().st_size > 1000


def test_usage_counts_descendants(monkeypatch, tmp_path):
    """A second of work in a process that a process starts."""
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    import usage

    busy = "import time\nwhile time.process_time() < 1: pass\nopen('made', 'wb').write(bytes(2_000_000))"
    found = usage.measure(["sh", "-c", f'{sys.executable} -c "{busy}"; true'], tmp_path, written=tmp_path)
    assert found.cpu > 0.9 and found.wall > 0.9 and found.disk == 2


def test_scale_of_any_number_of_frames(tmp_path):
    write_flats(tmp_path / "frames", 2, shape=(120, 180))
    command = [sys.executable, REPOSITORY / "benchmarks/scale.py", tmp_path / "frames", "3", "1000"]
    for more in (("--bands", "2", "--debayer"), ()) if LONG else (("--bands", "2", "--debayer"),):
        done = subprocess.run([*command, *more], capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0 and done.stdout.splitlines()[-1].startswith("| 3 | 0 | 1000 |"), done.stderr
