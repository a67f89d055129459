"""The workflow used from another folder, as a module of another workflow, and deployed from a git repository."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
import yaml
from conftest import BASE_CONFIG, REPOSITORY, compile_kernels, write_flats
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HOST = """
configfile: "host.yaml"

rule all:
    input:
        "greeting.txt",
        "results/first/frames.tsv",

rule greet:
    output:
        "greeting.txt",
    log:
        "greeting.log",
    script:
        "greet.py"
{more}
module flatfield:
    snakefile:
        "{snakefile}"
    config:
        config["flatfield"]

use rule * from flatfield exclude all as flatfield_*
"""
OTHER = """
module other:
    snakefile:
        "git+file://{repository}/workflow/Snakefile@main"

use rule * from other
"""
#: What `snakedeploy deploy-workflow ADDRESS . --tag v0.1.0` (0.17) writes as workflow/Snakefile, without comments.
DEPLOYED = """
from snakemake.utils import min_version
min_version("6.10.0")
configfile: "config/config.yaml"
module flatfield:
    snakefile:
        github("someone/flatfield", path="workflow/Snakefile", tag="v0.1.0")
    config:
        config
use rule * from flatfield
"""
ADDRESS = "https://github.com/someone/flatfield"
GREET = "open(snakemake.output[0], 'w').write(str(dict(snakemake.params.items())))"


def frames_in(folder):
    """A configuration of one set without lights, and its frames."""
    write_flats(folder / "raws/first", 4)
    return {"raw_root": "raws", "sets": {"first": {"frames": "first/*.dng"}}, "regions": BASE_CONFIG["regions"]}


def start(folder, *arguments, environment=None):
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def snakemake(folder, *arguments, environment=None):
    compile_kernels()
    done = start(folder, *arguments, environment=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def visible_in(folder):
    """Names in a folder, without caches that other tests may write at the same time."""
    return {path.name for path in folder.iterdir() if not path.name.startswith((".", "flatfield-shared"))}


def commit(folder):
    """Make a git repository of a folder, with one commit on `main` that has the tag of a release."""
    who = ("-c", "user.name=Someone", "-c", "user.email=someone@example.org")
    for command in (
        ("init", "-q", "-b", "main"),
        ("add", "-A"),
        (*who, "commit", "-q", "-m", "All"),
        ("tag", "v0.1.0"),
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository with the files of this one as they are now."""
    folder = tmp_path_factory.mktemp("repository")
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("the tests are not in a git repository")
    for name in done.stdout.splitlines():
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    commit(folder)
    return folder


@pytest.fixture
def redirected(repository, tmp_path):
    """Environment in which git finds that repository at the public address, and Snakemake has an empty cache."""
    kept = {key: value for key, value in os.environ.items() if key != "GITHUB_TOKEN"}
    instead = {"GIT_CONFIG_KEY_0": f"url.{repository}.insteadOf", "GIT_CONFIG_VALUE_0": ADDRESS}
    return {**kept, **instead, "GIT_CONFIG_COUNT": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}


def host_in(folder, snakefile, config, more=""):
    (folder / "host.yaml").write_text(yaml.safe_dump({"flatfield": config, "own": {"key": 1}}))
    (folder / "Snakefile").write_text(HOST.format(snakefile=snakefile, more=more))
    (folder / "greet.py").write_text(GREET)


def test_a_project_in_a_folder_of_its_own(tmp_path):
    """Results and records lie in the project, the page finds its templates, and the checkout is left alone."""
    project = tmp_path / "night"
    project.mkdir()
    (project / "config.yaml").write_text(yaml.safe_dump(frames_in(project)))
    before = visible_in(REPOSITORY)
    where = ("-s", str(REPOSITORY / "Snakefile"), "-d", str(project))
    snakemake(tmp_path, *where, "results/first/frames.tsv")
    assert (project / "results/first/frames.tsv").exists() and (project / ".snakemake").is_dir()
    assert visible_in(REPOSITORY) == before
    assert "write_report" in snakemake(tmp_path, *where, "--dry-run")


def test_as_a_module_of_another_workflow(tmp_path):
    """The host's rules get neither our software nor our digests, and our rules run beside them; captions are found."""
    host_in(tmp_path, REPOSITORY / "workflow/Snakefile", frames_in(tmp_path))
    snakemake(tmp_path)
    assert (tmp_path / "greeting.txt").read_text() == "{}"
    assert (tmp_path / "results/first/frames.tsv").exists()
    assert "Nothing to be done" in snakemake(tmp_path)
    assert "flatfield_write_report" in snakemake(tmp_path, "--dry-run", "results/report.html")
    figure = "results/first/plots/flat.png"
    snakemake(tmp_path, figure)
    snakemake(tmp_path, figure, "--report", "report.html")
    caption = (REPOSITORY / "workflow/report/flat.rst").read_text().split()
    assert " ".join(caption[:3]) in (tmp_path / "report.html").read_text()


def test_rules_of_other_modules_are_left_alone(tmp_path):
    """A host may take rules from elsewhere, whose folder is none on this disk."""
    other = tmp_path / "other"
    (other / "workflow").mkdir(parents=True)
    (other / "workflow/greet.py").write_text(GREET)
    rule = 'rule greet_too:\n    output: "too.txt"\n    log: "too.log"\n    script: "greet.py"\n'
    (other / "workflow/Snakefile").write_text(rule)
    commit(other)
    more = OTHER.format(repository=other)
    host_in(tmp_path, REPOSITORY / "workflow/Snakefile", frames_in(tmp_path), more)
    snakemake(tmp_path, "too.txt")
    assert (tmp_path / "too.txt").read_text() == "{}"


def test_a_mistake_in_the_configuration_of_a_module_is_a_sentence(tmp_path):
    """It is an error of Snakemake's, which does not end the process of the host."""
    host_in(tmp_path, REPOSITORY / "workflow/Snakefile", {"sets": {"first": {"frames": "nothing/*.dng"}}})
    done = start(tmp_path, "greeting.txt")
    assert done.returncode == 1
    assert "nothing matches nothing/*.dng" in done.stderr and "Traceback" not in done.stderr
    assert "WorkflowError" in done.stderr


def test_as_a_module_from_a_commit_of_a_clone(repository, tmp_path):
    host_in(tmp_path, f"git+file://{repository}/workflow/Snakefile@v0.1.0", frames_in(tmp_path))
    snakemake(tmp_path)
    assert (tmp_path / "greeting.txt").read_text() == "{}"
    assert (tmp_path / "results/first/frames.tsv").exists()
    assert "Nothing to be done" in snakemake(tmp_path)


# Deployed


def deploy_by_hand(repository, project):
    """What snakedeploy makes of a release."""
    (project / "workflow").mkdir(parents=True)
    (project / "workflow/Snakefile").write_text(DEPLOYED)
    for name in ("config", "profiles"):
        shutil.copytree(repository / name, project / name)
    shutil.copy(repository / "LICENSE", project)


def test_a_deployed_project_runs(repository, redirected, tmp_path):
    """The catalogue's two commands, of which the second plans the demo; then a set of one's own."""
    project = tmp_path / "project"
    deploy_by_hand(repository, project)
    planned = snakemake(project, "--dry-run", environment=redirected)
    assert "write_report" in planned and "preset_apply_flat_to_picture" in planned
    (project / "config/config.yaml").write_text(yaml.safe_dump(frames_in(project)))
    snakemake(project, "results/first/frames.tsv", environment=redirected)
    assert (project / "results/first/frames.tsv").exists()
    assert "Nothing to be done" in snakemake(project, "results/first/frames.tsv", environment=redirected)
    assert {path.name for path in project.iterdir()} == {
        *("workflow", "config", "profiles", "LICENSE"),  # of snakedeploy
        *("raws", "results", ".snakemake"),
    }


def test_snakedeploy_writes_what_is_tested(repository, redirected, tmp_path):
    program = shutil.which("snakedeploy") or Path(sys.executable).parent / "snakedeploy"
    if not Path(program).exists():
        pytest.skip("needs snakedeploy")
    command = [program, "deploy-workflow", ADDRESS, tmp_path / "theirs", "--tag", "v0.1.0"]
    done = subprocess.run(command, env=redirected, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    deploy_by_hand(repository, tmp_path / "ours")
    theirs, ours = (
        {path.relative_to(folder): path.read_text() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "theirs", tmp_path / "ours")
    )
    snakefile = Path("workflow/Snakefile")
    assert re.sub(r"#.*", "", theirs.pop(snakefile)).split() == ours.pop(snakefile).split()
    assert theirs == ours


def test_the_catalogue_finds_what_it_asks_for():
    """Its conditions for standardized usage, and the keys that its pages are made of."""
    readme = (REPOSITORY / "README.md").read_text().lower()
    assert "snakemake" in readme and "workflow" in readme
    for name in ("workflow/Snakefile", "config/README.md", "config/config.yaml", "LICENSE"):
        assert (REPOSITORY / name).exists(), name
    assert all(path.suffix == ".smk" for path in (REPOSITORY / "workflow/rules").iterdir() if path.is_file())
    usage = yaml.safe_load((REPOSITORY / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert set(usage["software-stack-deployment"]) <= {"conda", "apptainer", "apptainer+conda"}
    assert usage["software-stack-deployment"]["conda"] and (REPOSITORY / "envs/environment.yaml").exists()
    snakefiles = "".join(path.read_text() for path in (REPOSITORY / "workflow").rglob("*.smk"))
    assert usage["report"] == ("report(" in snakefiles)


def closure(package):
    """Names of a package and of all that it requires."""
    found, waiting = set(), {package}
    while waiting:
        name = waiting.pop()
        found.add(name)
        with_markers = [Requirement(text) for text in _requires(name)]
        needed = {each.name for each in with_markers if not each.marker or each.marker.evaluate({"extra": ""})}
        waiting |= {canonicalize_name(each) for each in needed} - found
    return found


def _requires(name):
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []


#: Stands for conda: an environment is the Python of the tests, and all that is asked and run is noted.
CONDA = """#!/bin/sh
echo "conda $*" >> {folder}/log
case "$1 $2" in
"info --json")
    echo '{{"conda_prefix": "{folder}", "conda_version": "24.7.1", "platform": "linux-64"}}' ;;
"config --get") echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
"env create")
    while [ "$1" != --prefix ]; do shift; done
    mkdir -p "$2/bin"
    printf '#!/bin/sh\\necho "job $*" >> {folder}/log\\nexec {python} "$@"\\n' > "$2/bin/python"
    chmod +x "$2/bin/python" ;;
--version*) echo "conda 24.7.1" ;;
esac
"""


def test_jobs_run_in_the_environment_that_conda_makes(tmp_path):
    """Each job has the Python of an environment that is made once, from the pinned file."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/conda").write_text(CONDA.format(folder=tmp_path, python=sys.executable))
    (tmp_path / "bin/conda").chmod(0o755)
    (tmp_path / "bin/activate").write_text('PATH="$1/bin:$PATH"\n')
    project = tmp_path / "project"
    project.mkdir()
    (project / "config.yaml").write_text(yaml.safe_dump(frames_in(project)))
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    where = ("-s", REPOSITORY / "Snakefile", "-d", project, "--sdm", "conda", "--cores", "1")
    snakemake(tmp_path, *where, "results/first/frames.tsv", environment=environment)
    asked = (tmp_path / "log").read_text()
    assert asked.count("conda env create") == 1
    (file,) = (project / ".snakemake/conda").glob("*.yaml")
    assert file.read_text() == (REPOSITORY / "envs/environment.yaml").read_text()
    for name in ("inspect_frames", "inventory_frames"):
        assert re.search(rf"^job .*{name}\.py", asked, re.MULTILINE), asked


def test_a_run_is_planned_by_snakemake_alone(tmp_path):
    """With `--sdm conda`, only jobs have the other packages: those who deploy it have installed Snakemake alone."""
    direct = re.findall(r"^([\w-]+)[><=]", (REPOSITORY / "envs/requirements.in").read_text(), re.MULTILINE)
    plugins = closure("snakemake-logger-plugin-rich") | {"python-dateutil"}  # of plugins that may be installed
    others = set(direct) - closure("snakemake") - plugins
    assert {"numpy", "astropy", "rawpy"} <= others
    blocked = sorted({"pillow": "PIL"}.get(name, name) for name in others)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(frames_in(tmp_path)))
    code = f"""
import sys
from snakemake.cli import main  # and its plugins that are installed, some of which need numpy
sys.modules.update(dict.fromkeys({blocked}))
main(["-s", {str(REPOSITORY / "Snakefile")!r}, "--dry-run"])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "write_report" in done.stdout + done.stderr, done.stdout + done.stderr
