"""The programs that do the same work: a master flat of a folder of frames, and lights calibrated with it.

Each takes the folders ``bias``, ``flats``, ``darks`` and ``lights`` as its documentation says; BaSiCPy a ``series`` of
lights in place of flats. Libraries have no command: `python flatbench_programs.py NAME FRAMES OUT` is theirs.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import usage
import yaml

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
#: Seconds after which a program is killed.
LIMIT = 1800
LIGHTS = ("night", "probe")
#: Whether runs of this workflow make all that it has; else master and lights alone.
WHOLE = True


@dataclass
class Result:
    """What a program made of a folder of frames.

    Attributes
    ----------
    taken : usage.Usage
    text : list of str
        The lines that it said.
    masters : dict
        Master flat by name: ``(rows, columns)``, or planes ``(rows, columns, 3)``, and its standard errors or None.
    lights : dict
        Calibrated lights by name, as masters.
    """

    taken: usage.Usage
    text: list
    masters: dict = field(default_factory=dict)
    lights: dict = field(default_factory=dict)


def frames_of(folder, name):
    """Frames of a kind, in order."""
    return sorted(path for path in (folder / name).glob("*") if path.suffix in (".dng", ".fits"))


# This workflow


def run_ours(frames, out, world, alone=False):
    """This workflow: all that a run makes, or its master and lights alone; of mistakes lights and conclusions."""
    suffix, side = world.kind, max(world.shape[0] // 8, 12)
    cuts = {label: f"{i * world.frames}:{(i + 1) * world.frames}" for i, label in enumerate("ABC")}
    subsets = {label: {"slice": cut, "rotation": 90 * i} for i, (label, cut) in enumerate(cuts.items())}
    flats = {"frames": f"flats/*.{suffix}", "subsets": subsets}
    flats |= {"bias": f"bias/*.{suffix}"} if frames_of(frames, "bias") else {}
    light = {"frames": f"lights/*.{suffix}", "flat": "flats"}
    light |= {"dark": f"darks/*.{suffix}"} if frames_of(frames, "darks") else {}
    regions = {"center": {"size": side}, "corner": {"row": 2, "column": 2, "size": side}}
    config = {"raw_root": str(frames), "sets": {"flats": flats}, "lights": {"sky": light}, "regions": regions}
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.yaml").write_text(yaml.safe_dump(config))
    results = out / "results"
    targets = [f"results/lights/sky/{name}.fits" for name in LIGHTS]
    targets += ["results/conclusions.yaml"] if world.mistake else ["results/flats/flat_cfa.fits"]
    command = [BIN / "snakemake", "-s", ROOT / "Snakefile", "-d", out, "--cores", "2", "--keep-going", "--quiet", "all"]
    done = usage.attempt(
        [*command, *(["--", *targets] if alone or world.mistake or not WHOLE else [])], out, results, LIMIT
    )
    text = [line for line in done.output.splitlines() if line.startswith(("error: ", "warning: "))]
    if (results / "conclusions.yaml").exists():
        text += sentences_of(yaml.safe_load((results / "conclusions.yaml").read_text()))
    masters = {f"{name}.fits": read_ours(results / f"flats/{name}.fits") for name in ("response", "flat_cfa")}
    lights = {name: read_ours(results / f"lights/sky/{name}.fits") for name in LIGHTS}
    return Result(done.taken, text, present(masters), present(lights))


def sentences_of(story):
    """All sentences of the conclusions."""
    if isinstance(story, dict):
        return [each for part in story.values() for each in sentences_of(part)]
    if isinstance(story, list):
        return [each for part in story for each in sentences_of(part)]
    return [story] if isinstance(story, str) else []


def present(found):
    return {name: each for name, each in found.items() if each is not None}


def read_ours(path):
    """Mosaic and error of a product; None where it was not made."""
    from astropy.io import fits

    if not path.exists():
        return None
    with fits.open(path) as hdus:
        return hdus[0].data.astype(np.float32), hdus["UNCERT"].data.astype(np.float32)


# Siril

#: Folders in the order of its script, and the names of its sequences.
SIRIL_NAMES = {"bias": "bias", "flats": "flat", "darks": "dark", "lights": "light"}


def run_siril(frames, out, world):
    """The script that Siril comes with (``OSC_Preprocessing.ssf``), up to the calibrated mosaic of the lights."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name in SIRIL_NAMES:
        (out / name).mkdir()
        for path in frames_of(frames, name):
            (out / name / path.name).symlink_to(path)
    there = {name for name in SIRIL_NAMES if frames_of(frames, name)}
    bias = " -bias=bias_stacked" if "bias" in there else ""
    offset = " -dark=dark_stacked" if "darks" in there else bias
    work = {
        "bias": ["stack bias rej 3 3 -nonorm"],
        "flats": [f"preprocess flat{bias}", "stack pp_flat rej 3 3 -norm=mul"],
        "darks": ["stack dark rej 3 3 -nonorm"],
        "lights": [f"preprocess light{offset} -flat=pp_flat_stacked -cfa -equalize_cfa"],
    }
    if not bias:
        work["flats"] = ["stack flat rej 3 3 -norm=mul -out=pp_flat_stacked"]
    lines = ["requires 1.0.0", "setcpu 2", "setext fit", "set32bits"]
    for folder, name in SIRIL_NAMES.items():
        if folder in there:
            lines += [f"cd {folder}", f"convert {name} -out=../process", "cd ../process", *work[folder], "cd .."]
    (out / "script.ssf").write_text("\n".join([*lines, "close", ""]))
    environment = [f"{name}={out / 'settings'}" for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")]
    command = ["env", "LC_ALL=C", *environment, "siril-cli", "-d", out, "-s", out / "script.ssf"]
    for _ in range(2):  # it hangs now and then
        shutil.rmtree(out / "process", ignore_errors=True)
        done = usage.attempt(command, out, out / "process", 300)
        if done.status is not None:
            break
    process = out / "process"
    flip = world.kind == "dng"  # raws are stored from the bottom up, FITS files left as they are
    lights = {name: read_siril(process / f"pp_light_0000{number}.fit", flip) for number, name in enumerate(LIGHTS, 1)}
    masters = present({"master": read_siril(process / "pp_flat_stacked.fit", flip)})
    return Result(done.taken, done.output.splitlines(), masters, present(lights))


def read_siril(path, flip):
    from astropy.io import fits

    if not path.exists():
        return None
    value = fits.getdata(path).astype(np.float32)
    return (value[::-1] if flip else value), None


# Libraries: ccdproc, BaSiCPy, and those of the notebook


def run_python(name, frames, out, python=sys.executable):
    """One of the functions below, in a process of its own."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    done = usage.attempt([python, Path(__file__), name, frames, out], out, out, LIMIT)
    result = Result(done.taken, done.output.splitlines())
    for path in sorted(out.glob("*.npz")):
        with np.load(path) as held:
            pair = held["value"], held["error"] if held["error"].size else None
        (result.lights if path.stem in LIGHTS else result.masters)[path.stem] = pair
    return result


def run_ccdproc(frames, out, world):
    return run_python("ccdproc", frames, out)


def run_notebook(frames, out, world):
    return run_python("notebook", frames, out)


def run_basicpy(frames, out, world):
    return run_python("basicpy", frames, out, BASICPY)


def save(out, name, value, error=None):
    np.savez(out / f"{name}.npz", value=np.float32(value), error=np.float32([] if error is None else error))


def ccdproc(frames, out):
    """As the CCD Data Reduction Guide of astropy does: averages with clipping, flats scaled to the inverse median."""
    import ccdproc
    import rawpy
    from astropy import units
    from astropy.nddata import CCDData
    from astropy.stats import mad_std

    raw = any(frames_of(frames, "flats")[0].suffix == end for end in (".dng",))
    gain, noise = (1.0, 4.0) if raw else (0.8, 3.0)

    def read(path):
        if not raw:
            return CCDData.read(path, unit="adu")
        with rawpy.imread(str(path)) as file:
            return CCDData(file.raw_image_visible.astype(np.float32), unit="adu", meta={"EXPTIME": file_exposure(path)})

    def with_errors(frame):
        return ccdproc.create_deviation(frame, gain * units.electron / units.adu, noise * units.electron)

    clip = {"sigma_clip": True, "sigma_clip_low_thresh": 5, "sigma_clip_high_thresh": 5}
    clip |= {"sigma_clip_func": np.ma.median, "sigma_clip_dev_func": mad_std, "mem_limit": 2e9, "dtype": np.float32}

    def combine(images, **options):
        return ccdproc.combine(images, method="average", **clip, **options)

    bias = [read(path) for path in frames_of(frames, "bias")]
    bias = combine(bias) if bias else None
    flats = [read(path) for path in frames_of(frames, "flats")]
    flats = [ccdproc.subtract_bias(each, bias) for each in flats] if bias else flats
    flat = combine(flats, scale=lambda values: 1 / np.median(values))
    del flats
    save(out, "master", flat.data, None if flat.uncertainty is None else flat.uncertainty.array)
    darks = [read(path) for path in frames_of(frames, "darks")]
    dark = combine(darks) if darks else None
    for path in frames_of(frames, "lights"):
        light = read(path)
        offset = dark if dark is not None else bias
        if offset is not None:
            light = CCDData(light.data.astype(np.float32), unit="adu", meta=light.meta)
            if dark is not None:
                seconds = {"dark_exposure": darks[0].header["EXPTIME"], "data_exposure": light.header["EXPTIME"]}
                seconds = {name: value * units.second for name, value in seconds.items()}
                light = ccdproc.subtract_dark(light, dark, **seconds, scale=False)
            else:
                light = ccdproc.subtract_bias(light, bias)
        light = ccdproc.flat_correct(with_errors(light), flat)
        save(out, path.stem, light.data, light.uncertainty.array)


def basicpy(frames, out):
    """As its documentation says: the offset subtracted, so no dark field to fit, and each colour by itself."""
    import rawpy
    from astropy.io import fits
    from basicpy import BaSiC

    def read(path):
        if path.suffix == ".fits":
            return fits.getdata(path).astype(np.float32)
        with rawpy.imread(str(path)) as raw:
            return raw.raw_image_visible.astype(np.float32)

    offset = np.mean([read(path) for path in frames_of(frames, "darks") or frames_of(frames, "bias")], axis=0)
    series = np.array([read(path) - offset for path in frames_of(frames, "series")])
    flat = np.empty_like(offset)
    for i, j in np.ndindex(2, 2):
        model = BaSiC(get_darkfield=False)
        model.fit(series[:, i::2, j::2])
        flat[i::2, j::2] = model.flatfield
    save(out, "master", flat)
    for path in frames_of(frames, "lights"):
        save(out, path.stem, (read(path) - offset) / flat)


def file_exposure(path):
    import exifread

    with open(path, "rb") as file:
        seconds = exifread.process_file(file, details=False)["EXIF ExposureTime"].values[0]
    return float(seconds)


def notebook(frames, out):
    """As `config/notebook.yaml` says: AHD, every second frame, not scaled, over the maximum, of an 8-bit picture."""
    import rawpy

    linear = {"gamma": (1, 1), "output_bps": 16, "use_camera_wb": False, "use_auto_wb": False}
    linear |= {"no_auto_bright": True, "no_auto_scale": True, "output_color": rawpy.ColorSpace.raw}
    stack = []
    for path in frames_of(frames, "flats")[::2]:
        with rawpy.imread(str(path)) as raw:
            stack.append(raw.postprocess(demosaic_algorithm=rawpy.DemosaicAlgorithm.AHD, **linear))
    flat = np.stack(
        [np.median(np.array([each[..., c] for each in stack], np.float32), axis=0) for c in range(3)], axis=2
    )
    save(out, "master", flat)
    for path in frames_of(frames, "lights"):
        with rawpy.imread(str(path)) as raw:
            save(out, path.stem, raw.postprocess() / (flat / flat.max(axis=(0, 1))))


# RawTherapee

#: All that is not flat-field correction is off; colours of the camera as they are, in a known curve.
PROFILE = """[Version]
AppVersion=5.9
Version=349

[Exposure]
Auto=false
Compensation=0
ClampOOG=false
Curve=0;
Curve2=0;

[HLRecovery]
Enabled=false

[Sharpening]
Enabled=false

[White Balance]
Enabled=true
Setting=Camera

[Color Management]
InputProfile=(none)
ToneCurve=false
ApplyLookTable=false
ApplyBaselineExposureOffset=false
ApplyHueSatMap=false
WorkingProfile=ProPhoto
WorkingTRC=none
OutputProfile=RTv4_Large
OutputProfileIntent=Relative
OutputBPC=false

[RAW]
FlatFieldFile=
FlatFieldAutoSelect=true
FlatFieldBlurRadius={radius}
FlatFieldBlurType=Area Flatfield
FlatFieldAutoClipControl=false
FlatFieldClipControl=0
CA=false
HotPixelFilter=false
DeadPixelFilter=false
PreExposure=1

[RAW Bayer]
Method=bilinear
Border=0
GreenEqThreshold=0
"""


def run_rawtherapee(frames, out, world, radius=0):
    """Flat-field correction of RawTherapee: flats chosen and averaged from a folder, blurred by a radius of pixels."""
    shutil.rmtree(out, ignore_errors=True)
    (out / "settings").mkdir(parents=True)
    (out / "pictures").mkdir()
    settings = f"[General]\nFlatFieldsPath={frames / 'flats'}\nVerbose=true\nMultiUser=true\n"
    (out / "settings/options").write_text(settings)
    (out / "profile.pp3").write_text(PROFILE.format(radius=radius))
    places = [f"{name}={out / 'settings'}" for name in ("HOME", "RT_SETTINGS", "RT_CACHE", "XDG_CONFIG_HOME")]
    command = ["env", "LC_ALL=C", "OMP_NUM_THREADS=2", *places, "rawtherapee-cli", "-o", out / "pictures", "-t", "-b32"]
    command += ["-Y", "-p", out / "profile.pp3", "-c", *frames_of(frames, "lights")]
    done = usage.attempt(command, out, out / "pictures", 600)
    lights = {name: read_rawtherapee(out / f"pictures/{name}.tif", world.shape) for name in LIGHTS}
    return Result(done.taken, done.output.splitlines(), {}, present(lights))


def run_rawtherapee_blurred(frames, out, world):
    """With the radius that it has by default, made for frames of 12 megapixels; on smaller ones in proportion."""
    return run_rawtherapee(frames, out, world, max(round(32 * world.shape[0] / 2840 / 2) * 2, 2))


def read_rawtherapee(path, shape):
    """Planes of a picture, linear: the curve of sRGB, which RTv4_Large has, taken back."""
    import tifffile

    if not path.exists():
        return None
    picture = tifffile.imread(path).astype(np.float32)
    linear = np.where(picture <= 0.04045, picture / 12.92, ((np.maximum(picture, 0) + 0.055) / 1.055) ** 2.4)
    edges = [(size - own) // 2 for size, own in zip(shape, linear.shape, strict=False)]
    padded = np.full((*shape, 3), np.nan, np.float32)
    padded[edges[0] : edges[0] + linear.shape[0], edges[1] : edges[1] + linear.shape[1]] = linear
    return padded, None


def said_by(command, pattern):
    """Version of a program, in what it says."""
    if shutil.which(command[0]) is None:
        return "unknown version"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(pattern, done.stdout + done.stderr)
    return found[0] if found else "unknown version"


@dataclass(frozen=True)
class Program:
    """A program, and how it is driven.

    Attributes
    ----------
    name, settings : str
    run : callable
        Of frames, out, world; see `run_ours`.
    kinds : tuple of str
        Of frames that it reads.
    missing : str
        Why it is not run; empty where it is.
    version : str
    """

    name: str
    settings: str
    run: object
    kinds: tuple
    missing: str
    version: str

    def meets(self, kind, mistake):
        """Whether a mistake in frames of a kind can befall it."""
        takes_them = self.run in BIAS_USERS or not mistake.startswith("bias frames")
        return kind in self.kinds and takes_them and self.run is not run_basicpy


#: Programs that subtract bias frames; the others take the black level of the metadata.
BIAS_USERS = (run_ours, run_siril, run_ccdproc)
#: A Python with BaSiCPy, which does not go with the pins of this workflow: ``pip install basicpy rawpy astropy pyyaml``
BASICPY = os.environ.get("FLATBENCH_BASICPY", "")


def programs():
    """All programs, those that are not run as well."""
    from flatbench_worlds import SERIES  # not where a program is run: it needs this workflow's library

    siril, converter = shutil.which("siril-cli"), shutil.which("rawtherapee-cli")
    commit = said_by(["git", "-C", ROOT, "log", "-1", "--format=%h", "--", "workflow"], r"^[0-9a-f]{7,}")
    python = f"Python {sys.version.split()[0]}, numpy {version('numpy')}, rawpy {version('rawpy')}"
    has_ccdproc = find_spec("ccdproc") is not None
    of_converter = said_by(["rawtherapee-cli", "-v"], r"RawTherapee, version [\d.]+") if converter else ""
    of_converter = of_converter.replace(", version", "")
    both, raws = ("dng", "fits"), ("dng",)
    scaled = "32 (its default; on small frames in proportion: 2)"
    flat_field = (
        "`-t -b32` with a profile in which all else is off: flats chosen and averaged from a folder, blur radius "
    )
    nothing = "has no correction by flat frames (its *lens correction* takes profiles of lenses)"
    of_basicpy = (
        "from importlib.metadata import version; print('basicpy', version('basicpy'), 'torch', version('torch'))"
    )
    of_basicpy = said_by([BASICPY, "-c", of_basicpy], r"basicpy [\d.]+ torch [\d.]+") if BASICPY else ""
    return [
        Program(
            OURS, "as configured by default, angles of the subsets given", run_ours, both, "", f"commit {commit}"
        ),
        Program(
            "Siril",
            "its own script `OSC_Preprocessing.ssf`: `stack rej 3 3 -nonorm`, of flats `-norm=mul`, `preprocess -cfa "
            "-equalize_cfa`; offset by bias frames, or darks",
            run_siril,
            both,
            "" if siril else "is not installed",
            said_by(["siril-cli", "--version"], r"siril [\d.]+") if siril else "",
        ),
        Program(
            "ccdproc",
            "as the CCD Data Reduction Guide: averages, clipped at 5 robust sigma, flats scaled by the inverse median; "
            "`create_deviation` with the true gain and read noise; raws by rawpy",
            run_ccdproc,
            both,
            "" if has_ccdproc else "is not installed",
            f"ccdproc {version('ccdproc')}, astropy {version('astropy')}" if has_ccdproc else "",
        ),
        Program(
            "RawTherapee, radius 0", flat_field + "0 (corrects dust)", run_rawtherapee, raws,
            "" if converter else "is not installed", of_converter,
        ),
        Program(
            "RawTherapee, radius 32", flat_field + scaled, run_rawtherapee_blurred, raws,
            "" if converter else "is not installed", of_converter,
        ),
        Program(
            "the notebook", "AHD, every second frame, median without scaling, maximum as 1, of an 8-bit picture",
            run_notebook, raws, "", python,
        ),
        Program(
            "BaSiCPy", f"no flats: from {SERIES} lights of as many fields, less the mean of darks or bias frames, each "
            "colour by itself; `BaSiC(get_darkfield=False)`, else its defaults: it works at 128 x 128 pixels",
            run_basicpy, both,
            "" if BASICPY else "is not installed: `FLATBENCH_BASICPY` names no Python that has it", of_basicpy,
        ),
        Program("darktable", "", None, (), nothing, ""),
        Program("PixInsight", "", None, (), "is sold", ""),
        Program("Astro Pixel Processor", "", None, (), "is sold", ""),
        Program("DeepSkyStacker", "", None, (), "runs on Windows", ""),
    ]  # fmt: skip


OURS = "this workflow"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    name, source, target = sys.argv[1:]
    {"ccdproc": ccdproc, "basicpy": basicpy, "notebook": notebook}[name](Path(source), Path(target))
