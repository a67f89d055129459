"""Simulated raws with known content, and a copy of the workflow to run them through."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # tests run side by side: before numpy is there

import numpy as np
import one_process
import pytest
import yaml
from browsing import browser  # noqa: F401  # a fixture of all tests
from filelock import FileLock

from flatfield.combine.methods import combine_interpolated, combine_stack
from flatfield.combine.stack import stack_frames
from flatfield.demo.simulation import write_dng
from flatfield.raw.cfa import ColorFilterArray

REPOSITORY = Path(__file__).parent.parent
#: Real frames that are not part of the project, see the README of that folder.
REAL_DATA = Path(os.environ.get("FLATFIELD_DATA", REPOSITORY.parent / "shared" / "data"))
#: Campaigns of simulations in full (`make test-long`), not in their short form.
LONG = bool(os.environ.get("FLATFIELD_LONG"))
SHAPE = (72, 108)  # small, but with room for boxes, blocks and 6 x 6 tiles
MARGINS = (4, 6)
BLACK = (500, 510, 520, 530)  # of the 2 x 2 tile, row by row: unequal, so that mixing them up shows


@pytest.fixture(scope="session")
def real_data():
    if not REAL_DATA.is_dir():
        pytest.skip(f"needs the real frames in {REAL_DATA} (set FLATFIELD_DATA to their folder)")
    return REAL_DATA


def exif(index=0, iso=100, exposure="1/50", start=datetime(2026, 1, 1, 12), **further):
    """EXIF fields of a frame of a sequence, 2 s apart."""
    time = start + timedelta(seconds=2 * index)
    return {
        "Exif.Photo.ExposureTime": exposure,
        "Exif.Photo.FNumber": "28/10",
        "Exif.Photo.ISOSpeedRatings": str(iso),
        "Exif.Photo.FocalLength": "14/1",
        "Exif.Photo.LensModel": "Test 14mm",
        "Exif.Photo.DateTimeOriginal": time.strftime("%Y:%m:%d %H:%M:%S"),
        **further,
    }


def simulate_mosaic(rng, cfa, shape=SHAPE, level=4000.0, margins=MARGINS, black=BLACK):
    """Noisy vignetted mosaic with margins; the masked border is at black."""
    rows, columns = shape
    y, x = np.mgrid[0:rows, 0:columns]
    radius = ((x - columns / 2) ** 2 + (y - rows / 2) ** 2) / ((rows**2 + columns**2) / 4)
    color = np.array([0.5, 1.0, 0.6])[cfa.channel_map(shape)]
    flat = level * color / (1 + 0.8 * radius) ** 2
    visible = flat + np.sqrt(flat) * rng.standard_normal(shape)
    whole = np.pad(visible, [(margins[0], 0), (margins[1], 0)])
    # the black of a DNG repeats from the first visible pixel
    i, j = np.mgrid[0 : whole.shape[0], 0 : whole.shape[1]]
    pedestal = np.array(black).reshape(2, 2)[(i - margins[0]) % 2, (j - margins[1]) % 2]
    return np.clip(np.rint(whole + pedestal), 0, 16383).astype(np.uint16)


def write_flats(folder, count, seed=1, cfa="RGGB", drift=0.0, iso=100, **options):
    """Write a sequence of flats, DSC1.dng ... (numbers without leading zeros); the level drifts linearly."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, pattern = np.random.default_rng(seed), ColorFilterArray.from_name(cfa)
    paths = []
    for index in range(count):
        level = 4000 * (1 + drift * index / max(count - 1, 1))
        mosaic = simulate_mosaic(rng, pattern, level=level, **options)
        paths.append(folder / f"DSC{index + 1}.dng")
        write_dng(
            paths[-1],
            mosaic,
            exif(index, iso=iso),
            cfa=pattern,
            margins=options.get("margins", MARGINS),
            black=options.get("black", BLACK),
        )
    return paths


@cache
def compile_kernels():
    """Leave the machine code of the kernels beside them, to be copied with them; compiling takes ten seconds."""
    levels = np.ones((1, 4), np.float32)
    stack = stack_frames(np.ones((1, 2, 2), np.uint16), levels, levels, ColorFilterArray.from_name("MONO"))
    with FileLock(Path(tempfile.gettempdir()) / f"flatfield-kernels-{os.getuid()}.lock"):  # once, not in each worker
        combine_stack(stack, {"method": "mean"})
        combine_interpolated(stack, {"method": "mean"})


def succeeded(done):
    assert done.returncode == 0, done.stdout[-5000:]
    return done.stdout


@dataclass
class Project:
    """A copy of the workflow in a folder of its own."""

    folder: Path

    @classmethod
    def create(cls, folder):
        folder.mkdir(parents=True, exist_ok=True)
        compile_kernels()
        for name in ("Snakefile", "config.yaml", "config", "workflow", "profiles", "envs", "CITATION.cff"):
            source = REPOSITORY / name
            if source.is_dir():
                shutil.copytree(source, folder / name)
            else:
                shutil.copy2(source, folder / name)
        return cls(folder)

    def copy(self, folder):
        """Copy with results and Snakemake's records, file times included."""
        shutil.copytree(self.folder, folder)
        return Project(folder)

    def configure(self, config):
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    def configured(self):
        return yaml.safe_load((self.folder / "config.yaml").read_text())

    def change_config(self, change):
        config = self.configured()
        change(config)
        self.configure(config)

    def snakemake(self, *arguments, cores=2, own_code=False):
        """Run snakemake in this process, see `one_process`; all output in `stdout`, the exit code in `returncode`."""
        return one_process.snakemake(self.folder, *arguments, cores=cores, own_code=own_code)

    def start(self, *arguments, cores=2, timeout=600, **environment):
        """Run snakemake as a user does, with further variables of the environment; results as of `snakemake`."""
        return subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments],
            cwd=self.folder,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )

    def run(self, *arguments, **options):
        """Run snakemake in this process and expect success."""
        return succeeded(self.snakemake(*arguments, **options))

    def run_apart(self, *arguments, **options):
        """Run snakemake as a user does and expect success."""
        return succeeded(self.start(*arguments, **options))

    def planned(self, *arguments, **options):
        """Rules that a run would execute now, with the number of jobs of each."""
        output = self.run("--dry-run", *arguments, **options)
        table = re.search(r"^job +count\n[- ]+\n(.*?)^total", output, re.MULTILINE | re.DOTALL)
        jobs = dict(re.findall(r"^(\w+) +(\d+)$", table[1], re.MULTILINE)) if table else {}
        return Counter({name: int(count) for name, count in jobs.items() if name != "all"})

    def conclusions(self):
        """What the front page of the report says."""
        return yaml.safe_load(self.path("conclusions.yaml").read_text())

    def path(self, name):
        return self.folder / "results" / name


#: Of lights.
ALL_PRODUCTS = ["mosaic", "rgb", "tiff", "dng", "picture"]
BASE_CONFIG = {
    "raw_root": "raws",
    "sets": {
        "first": {
            "title": "first set",
            "frames": "first/*.dng",
            "subsets": {
                "A": {"slice": "0:3", "rotation": 0},
                "B": {"slice": "3:6", "rotation": 90},
                "C": {"slice": "6:10", "rotation": 180},
            },
        },
        "second": {"frames": "second/*.dng"},
    },
    "regions": {
        "center": {"row": "center", "column": "center", "size": 20},
        "corner": {"row": 4, "column": 6, "size": 12},
    },
    "lights": {"night": {"frames": "lights/*.dng", "flat": "first"}},
    "apply": {"products": ALL_PRODUCTS},
}


def build_project(folder):
    """A project with two sets (10 frames in three subsets, drifting; 4 frames) and a light."""
    project = Project.create(folder)
    write_flats(folder / "raws/first", 10, seed=1, drift=0.05)
    write_flats(folder / "raws/second", 4, seed=2)
    (folder / "raws/lights").mkdir()
    mosaic = simulate_mosaic(np.random.default_rng(3), ColorFilterArray.from_name("RGGB"), level=2000)
    write_dng(folder / "raws/lights/sky.dng", mosaic, exif(iso=3200), margins=MARGINS, black=BLACK)
    project.configure(BASE_CONFIG)
    return project


def make_once(name, make, tmp_path_factory, worker_id):
    """A project that is made once, by a function of its folder, and shared by tests that run side by side."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / name
    with FileLock(f"{folder}.lock"):
        if not (folder / "done").exists():
            make(folder / "project")
            (folder / "done").touch()
    return Project(folder / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id):
    """A project that has run; do not change it, `copy` it."""
    return make_once("finished", lambda folder: build_project(folder).run(), tmp_path_factory, worker_id)


#: A locale, a time zone and a seed in which nothing may turn out otherwise; a locale that is not installed counts as C.
ELSEWHERE = {"LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "77", "LANG": "C"}


def start_elsewhere(folder):
    """Run the project of `finished` as a user does, on eight cores, in other surroundings, frames listed backwards."""
    project = build_project(folder)
    usual = os.umask(0o077)
    try:
        for place in folder.glob("raws/*"):  # made anew, the last first
            frames = [(path, path.read_bytes()) for path in sorted(place.iterdir())]
            for path, _ in frames:
                path.unlink()
            for path, content in reversed(frames):
                path.write_bytes(content)
        project.run_apart(cores=8, timeout=1800, **ELSEWHERE)
    finally:
        os.umask(usual)


@pytest.fixture(scope="session")
def started(tmp_path_factory, worker_id):
    """The project of `finished`, run from the command line; do not change it, `copy` it."""
    return make_once("started", start_elsewhere, tmp_path_factory, worker_id)


@pytest.fixture(scope="session")
def demo(tmp_path_factory, worker_id):
    """The project as it is, with `config.yaml` of the demo, that has run; do not change it, `copy` it."""

    def make(folder):
        project = Project.create(folder)
        project.run_apart(timeout=1800) if LONG else project.run()

    return make_once("demo", make, tmp_path_factory, worker_id)


@pytest.fixture(scope="session")
def fresh(tmp_path_factory):
    """A project that has not run; do not change it, `copy` it."""
    return build_project(tmp_path_factory.mktemp("fresh") / "project")


@pytest.fixture
def project(fresh, tmp_path):
    """A project that has not run, to be changed."""
    return fresh.copy(tmp_path / "project")
