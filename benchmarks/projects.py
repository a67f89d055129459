"""Frames to measure with, and configurations of the workflow for them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
SETS = ("one", "two", "three")


def start(command, **options):
    """Run what is not measured."""
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT, **options)


def simulate(folder, shape, frames):
    """Simulate frames of one set, and two lights, by the rule of the demo.

    Parameters
    ----------
    folder : pathlib.Path
        They are made where they are not there.
    shape : tuple of int
        Visible rows and columns.
    frames : int
        Of each of three subsets.

    Returns
    -------
    flats, lights : list of pathlib.Path
    """
    flats, lights = folder / "demo/outdoors", folder / "demo/lights"
    if not (lights / "DSC09001.dng").exists():
        demo = {"rows": shape[0], "columns": shape[1], "frames": frames}
        text = {"raw_root": str(folder / "demo"), "sets": {"outdoors": set_of("outdoors", frames)}, "demo": demo}
        path = write_config(folder, {**text, "pathvars": {"resources": str(folder)}})
        targets = [flats / "DSC00001.dng", lights / "DSC09001.dng"]
        start([BIN / "snakemake", "--cores", "2", "--configfile", path, "--quiet", "all", "--", *targets])
    return sorted(flats.glob("*.dng")), sorted(lights.glob("*.dng"))


def copy(frames, folder, count, mark=0):
    """As many frames as asked for: copies of those that there are, which differ in what stands behind their end."""
    if not folder.exists():
        folder.mkdir(parents=True)
        for index in range(count):
            path = folder / f"DSC{index + 1:05d}.dng"
            with open(shutil.copyfile(frames[index % len(frames)], path), "ab") as file:
                file.write(bytes([mark, index // len(frames)]))
    return folder


def link(frames, folder, count):
    """Links to the first of some frames."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in frames[:count]:
        (folder / path.name).symlink_to(path)
    return folder


def pretend(folder, count):
    """Empty files, with which a run can be planned."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        (folder / f"DSC{index + 1:05d}.dng").touch()
    return folder


def compress(frames, folder):
    """The same frames with lossless JPEG, as most cameras and converters write them."""
    import imagecodecs
    import tifffile

    if not folder.exists():
        folder.mkdir(parents=True)
        for path in frames:
            copy = Path(shutil.copyfile(path, folder / path.name))
            with tifffile.TiffFile(copy, mode="r+b") as tiff:
                page = tiff.pages[0]
                content, first = imagecodecs.ljpeg_encode(page.asarray()), page.tags["StripOffsets"].value[0]
                page.tags["Compression"].overwrite(7)
                page.tags["StripByteCounts"].overwrite(len(content))
            with open(copy, "r+b") as file:
                file.seek(first)
                file.write(content)
                file.truncate()
    return folder


def set_of(folder, frames):
    """Configuration of a set of three subsets."""
    cuts = {label: {"slice": f"{i * frames}:{(i + 1) * frames}", "rotation": 90 * i} for i, label in enumerate("ABC")}
    return {"frames": f"{folder}/*.dng", "subsets": cuts}


def write_config(folder, config):
    """Write a configuration, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


class Project:
    """A configuration of the workflow with results of its own.

    Parameters
    ----------
    folder : pathlib.Path
    sets : dict
        Folder of the frames by name of the set.
    frames : int
        Of each of three subsets.
    lights : pathlib.Path, optional
        Folder of lights, calibrated with the first set.
    products : list of str, optional
        Of lights: `apply.products`.
    """

    def __init__(self, folder, sets, frames, lights=None, products=None):
        self.results = folder / "results"
        config = {"raw_root": "/", "sets": {name: set_of(path, frames) for name, path in sets.items()}}
        config["lights"] = {"sky": {"frames": f"{lights}/*.dng", "flat": next(iter(sets))}} if lights else {}
        config |= {"apply": {"products": products}} if products else {}
        self.config = write_config(folder, {**config, "pathvars": {"results": str(self.results)}})

    def command(self, code, *arguments):
        """Command that runs it with the workflow of a checkout."""
        return [BIN / "snakemake", "-s", code / "Snakefile", "--cores", "2", "--configfile", self.config, *arguments]

    def clean(self):
        shutil.rmtree(self.results, ignore_errors=True)

    def seconds_of(self, *logs):
        """Processor time of jobs, by the last lines of their logs; None where one does not say it."""
        total = 0.0
        for log in logs:
            path = self.results / "logs" / log
            words = path.read_text().strip().splitlines()[-1].split(" s of processor time") if path.exists() else []
            if len(words) != 2:
                return None
            total += float(words[0])
        return total


def check_out(commit, folder):
    """The workflow as of a commit, in a folder of its own."""
    if not folder.exists():
        archive = folder.with_suffix(".tar")
        start(["git", "archive", f"--output={archive}", commit])
        shutil.unpack_archive(archive, folder)
    return folder


def own_settings(folder):
    """Environment in which Siril has settings of its own."""
    return [f"{name}={folder}" for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")]


def machine():
    """Processor and cores."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'unknown processor'}, {os.cpu_count()} cores"
