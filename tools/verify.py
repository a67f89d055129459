"""Make all results again in another folder, from the same frames, and compare: `make verify`."""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from astropy.io import fits

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from flatfield.files.errors import ConfigurationError, FlatfieldError  # noqa: E402
from flatfield.plan import configuration, handover  # noqa: E402
from flatfield.plan.claims import is_claimed, unclaimed_results  # noqa: E402

CODE = ("Snakefile", "workflow", "profiles", "envs", "CITATION.cff", "config")
#: Results that describe the run and not the frames.
RECORDS = ("logs", "benchmarks")
#: Name of what `make check` makes.
CHECKED = "validity"
#: Files that differ and are named.
SHOWN = 20


def main(config, cores):
    """Make the results again and print how they compare.

    Parameters
    ----------
    config : str
        Configuration of the results.
    cores : int

    Returns
    -------
    int
        Number of files that differ, are missing, or are there for no reason.

    Raises
    ------
    ConfigurationError
        If there are no finished results, they belong to another configuration, or the run fails.
    """
    options, results, record = configuration.read_finished(config, "provenance.yaml")
    if results.is_absolute():
        raise ConfigurationError(f"results in an absolute folder ({results}) cannot be made beside it; move them here")
    compare_records(configuration.read_yaml(record), options, record)
    with tempfile.TemporaryDirectory(prefix="flatfield-verify-") as folder:
        copy_project(Path(folder), config, options)
        command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--quiet", "all"]
        command += ["handover"] if any(map(is_handed_over, files_of(results))) else []
        print(f"Making all results again in {folder} ...", flush=True)
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            why = done.stdout[-2000:].strip().rpartition("\n\n")[2].removeprefix("error: ")
            raise ConfigurationError(f"the results cannot be made again: {why}")
        return compare_results(results, Path(folder) / results, unclaimed_results(options, results))


def compare_records(record, options, path):
    """Refuse other configurations; name other programs."""
    schema = configuration.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")
    asked = configuration.hide_absolute_paths(configuration.validate(options, schema))
    changed = [key for key in asked if asked[key] != record["config"].get(key)]
    if changed:
        raise ConfigurationError(
            f"the results were made with another `{changed[0]}` than the configuration has now; run `make` first"
        )
    for package, then in record["packages"].items():
        try:
            now = version(package)
        except PackageNotFoundError:
            now = "none"
        if now != then:
            print(f"{package} was {then} and is {now}: headers differ for that alone ({path})")


def copy_project(folder, config, options):
    """Copy what makes the results, and link to the frames."""
    for name in CODE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy2(source, folder / name)
    shutil.copy2(config, folder / "config.yaml")
    preset = options.get("compare")
    if preset and not (folder / preset).exists():
        (folder / preset).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(preset, folder / preset)
    for path in configuration.old_flats(options):
        place = folder / path
        if folder in Path(os.path.normpath(place)).parents and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)
    root = Path(os.path.expanduser(options.get("raw_root", ".")))
    if not root.is_absolute() and root.is_dir():
        place = Path(os.path.normpath(folder / root))
        if place == folder or folder not in place.parents:
            raise ConfigurationError(
                f"`raw_root: {root}` must be a folder within this one, or absolute, to be verified"
            )
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(root.absolute())


def files_of(results):
    """Products by name, without the records of runs."""
    files = (path for path in sorted(results.rglob("*")) if path.is_file())
    named = ((path.relative_to(results), path) for path in files)
    return {name.as_posix(): path for name, path in named if name.parts[0] not in RECORDS}


def is_handed_over(name):
    """Whether a product, or what another program made of it, lies in a folder for that program."""
    return not set(handover.FOLDERS.values()).isdisjoint(name.split("/"))


def is_on_demand(name):
    """Whether `make handover` or `make check` may have made a product, or another program made it of one of these."""
    return is_handed_over(name) or Path(name).stem == CHECKED


def compare_results(old, new, unclaimed=()):
    """Print how two folders of results compare; the number of differences.

    What was made on demand does not count, nor do folders that the configuration does not claim, which are named.
    """
    ours, again = files_of(old), files_of(new)
    ours = {name: path for name, path in ours.items() if name in again or not is_on_demand(name)}
    ours = {name: path for name, path in ours.items() if is_claimed(path, unclaimed)}
    differing = [name for name in ours if name in again and digest(ours[name]) != digest(again[name])]
    lines = [f"differs: {name}{describe(ours[name], again[name])}" for name in differing]
    lines += [f"not made again: {name}" for name in ours if name not in again]
    lines += [f"was missing: {name}" for name in again if name not in ours]
    same = len([name for name in ours if name in again]) - len(differing)
    print(
        *lines[:SHOWN], *[f"... and {len(lines) - SHOWN} more"] * (len(lines) > SHOWN), sep="\n", end="\n" * bool(lines)
    )
    if unclaimed:
        print(f"Not compared, as the configuration does not name them: {', '.join(map(str, unclaimed))}")
    print(f"{same} of {len(ours)} files are the same, byte for byte.")
    return len(lines)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe(old, new):
    """How much two FITS files differ."""
    if old.suffix != ".fits":
        return ""
    try:
        with fits.open(old) as ours, fits.open(new) as others:
            pairs = [(a.data, b.data) for a, b in zip(ours, others, strict=True) if a.data is not None]
            largest = max(float(np.nanmax(np.abs(a.astype(float) - b.astype(float)))) for a, b in pairs)
        return " (in its header only)" if largest == 0 else f" (by up to {largest:.3g})"
    except (OSError, ValueError, TypeError, AttributeError) as error:
        return f" (and cannot be compared: {error})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make verify", description=__doc__)
    parser.add_argument("--config", default="config.yaml", help="configuration of the results")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--project", default=".", help="folder of the project")
    arguments = vars(parser.parse_args())
    try:
        os.chdir(arguments.pop("project"))
        sys.exit(main(**arguments) > 0)
    except FlatfieldError as error:
        sys.exit(f"error: {error}")
