"""The workflow used from another folder, and as a module of another workflow."""

import subprocess
import sys

import yaml
from conftest import BASE_CONFIG, REPOSITORY, compile_kernels, write_flats

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

module flatfield:
    snakefile:
        "{repository}/workflow/Snakefile"
    config:
        config["flatfield"]

use rule * from flatfield exclude all as flatfield_*
"""


def frames_in(folder):
    """A configuration of one set without lights, and its frames."""
    write_flats(folder / "raws/first", 4)
    return {"raw_root": "raws", "sets": {"first": {"frames": "first/*.dng"}}, "regions": BASE_CONFIG["regions"]}


def snakemake(folder, *arguments):
    compile_kernels()
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def visible_in(folder):
    """Names in a folder, without caches that other tests may write at the same time."""
    return {path.name for path in folder.iterdir() if not path.name.startswith((".", "flatfield-shared"))}


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
    """The host's rules get neither our software nor our digests, and our rules run beside them."""
    config = {"flatfield": frames_in(tmp_path), "own": {"key": 1}}
    (tmp_path / "host.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "Snakefile").write_text(HOST.format(repository=REPOSITORY))
    (tmp_path / "greet.py").write_text("open(snakemake.output[0], 'w').write(str(dict(snakemake.params.items())))")
    snakemake(tmp_path)
    assert (tmp_path / "greeting.txt").read_text() == "{}"
    assert (tmp_path / "results/first/frames.tsv").exists()
    assert "Nothing to be done" in snakemake(tmp_path)
    assert "flatfield_write_report" in snakemake(tmp_path, "--dry-run", "results/report.html")


def test_a_mistake_in_the_configuration_of_a_module_is_a_sentence(tmp_path):
    config = {"flatfield": {"sets": {"first": {"frames": "nothing/*.dng"}}}}
    (tmp_path / "host.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "Snakefile").write_text(HOST.format(repository=REPOSITORY))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "greeting.txt"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "nothing matches nothing/*.dng" in done.stderr and "Traceback" not in done.stderr
