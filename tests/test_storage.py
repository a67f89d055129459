"""Frames from and results to an S3 storage: the same products as on the disk, and nothing left behind."""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import LONG, Project

NEEDED = "needs snakemake-storage-plugin-s3 and moto[server], which are not among the requirements"
for package in ("snakemake_storage_plugin_s3", "moto", "flask"):
    pytest.importorskip(package, reason=NEEDED)
boto3 = pytest.importorskip("boto3", reason=NEEDED)

KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
PROFILE = ("--profile", "profiles/s3", "--default-storage-prefix", "s3://flats/tiny")
UNCOMPARED = ("logs", "benchmarks")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Address of an S3 server on this machine."""
    port = free_port()
    with (tmp_path_factory.mktemp("server") / "log").open("w") as log:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            for _ in range(300):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert process.poll() is None, Path(log.name).read_text()
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture
def bucket(server, monkeypatch):
    """An empty bucket, and what Snakemake must know of its server."""
    bucket = boto3.resource("s3", endpoint_url=server, **KEYS).create_bucket(Bucket="flats")
    bucket.objects.all().delete()
    monkeypatch.setenv("SNAKEMAKE_STORAGE_S3_ENDPOINT_URL", server)
    monkeypatch.setenv("SNAKEMAKE_STORAGE_S3_ACCESS_KEY", KEYS["aws_access_key_id"])
    monkeypatch.setenv("SNAKEMAKE_STORAGE_S3_SECRET_KEY", KEYS["aws_secret_access_key"])
    return bucket


@pytest.fixture
def stored(project, bucket):
    """A project without frames and without results, and the bucket that has the frames."""
    for path in (project.folder / "raws").rglob("*.dng"):
        bucket.upload_file(str(path), f"tiny/{path.relative_to(project.folder)}")
    shutil.rmtree(project.folder / "raws")
    return project, bucket


def products_on_disk(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: path.read_bytes() for name, path in names.items() if not name.startswith(UNCOMPARED)}


def products_in_bucket(bucket):
    names = {each.key.removeprefix("tiny/results/"): each for each in bucket.objects.filter(Prefix="tiny/results/")}
    return {name: each.get()["Body"].read() for name, each in names.items() if not name.startswith(UNCOMPARED)}


def test_products_are_those_of_a_local_run(stored, finished):
    project, bucket = stored
    targets = () if LONG else ("results/first/stats.tsv", "results/first/plots/flat.png")
    project.run_apart(*PROFILE, *targets, timeout=1800)
    expected, found = products_on_disk(finished.folder / "results"), products_in_bucket(bucket)
    assert sorted(found) == sorted(expected) if LONG else "first/plots/flat.png" in found
    assert [name for name in found if found[name] != expected[name]] == []
    assert not (project.folder / "results").exists()
    copies = project.folder / ".snakemake/storage/s3/flats/tiny"
    left = {path.relative_to(copies).parts[:2] for path in copies.rglob("*") if path.is_file()}
    assert left <= {("results", name) for name in UNCOMPARED}
    assert "Nothing to be done" in project.run_apart("--dry-run", *PROFILE, *targets)

    bucket.Object("tiny/results/first/subsets/A.fits").delete()  # its table of frames is in the bucket only
    project.run_apart(*PROFILE, "results/first/subsets/A.fits")
    assert products_in_bucket(bucket)["first/subsets/A.fits"] == expected["first/subsets/A.fits"]


@pytest.mark.skipif(not LONG, reason="takes five minutes: make test-demo")
def test_the_demo_is_that_of_a_local_run(demo, bucket, tmp_path):
    """Its frames are made in the bucket too."""
    project = Project.create(tmp_path / "project")
    project.run_apart(*PROFILE, timeout=1800)
    expected, found = products_on_disk(demo.folder / "results"), products_in_bucket(bucket)
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []
    assert not (project.folder / "results").exists() and not (project.folder / "resources").exists()


def test_pattern_without_frames_is_told(stored):
    project, _ = stored
    project.change_config(lambda config: config["sets"]["second"].update(frames="*.dng"))
    done = project.start("--dry-run", *PROFILE)
    assert done.returncode != 0
    assert "key `sets.second.frames`: nothing matches raws/*.dng" in done.stdout
