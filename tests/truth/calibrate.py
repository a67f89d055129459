"""What the numbers of the workflow are worth: worlds drawn at random, analysed as a run does, and one page.

    python tests/truth/calibrate.py --worlds 0:300 --page docs/truth.md        (make truth)

Each world is written as FITS frames, the scripts of the workflow are called on them with what its rules give them, and
each quoted error and each yes or no is compared with the truth of the world. A world leaves a file in the folder;
those that are there are not played again, so that a campaign may be stopped and go on. The page is made of all of them.
"""

import argparse
import contextlib
import importlib
import io
import json
import sys
import tempfile
import warnings
from inspect import signature
from pathlib import Path

import numpy as np
from astropy.io import fits

REPOSITORY = Path(__file__).parent.parent.parent
sys.path[:0] = [str(Path(__file__).parent), str(REPOSITORY / "workflow/scripts")]
import judge  # noqa: E402
import page  # noqa: E402
import worlds  # noqa: E402

from flatfield.files.errors import FlatfieldError  # noqa: E402
from flatfield.plan import configuration  # noqa: E402
from flatfield.plan.plan import Plan  # noqa: E402

SCHEMA = configuration.read_yaml(REPOSITORY / "workflow/schemas/config.schema.yaml")
LIMITS = {"threads": 1, "memory_mb": None, "scratch": None}


def write_frame(path, data, camera, kind, second):
    """A FITS frame as a camera's driver writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hdu = fits.PrimaryHDU(data)
    cards = {"INSTRUME": "Camera", "LENS": "Lens", "FOCALLEN": 50.0, "APERTURE": 4.0, "IMAGETYP": kind}
    cards |= {"EXPTIME": 0.5, "ISOSPEED": 100, "ROWORDER": "TOP-DOWN", "DATAMAX": camera.top}
    cards |= {"DATE-OBS": f"2026-01-01T{12 + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"}
    hdu.header.update(cards | ({"BAYERPAT": "RGGB"} if camera.colors else {}))
    hdu.writeto(path)


def write_world(world, folder):
    """All frames of a world; returns the configuration, and the bands in each flat by its path."""
    second, bands, sets = 0, {}, {}
    for number, flats in enumerate(world.sets):
        name, subsets = f"set{number}", {}
        for k, i, frame, amplitude in flats.expose():
            path = folder / f"raws/{name}/{k}/{i:02}.fits"
            write_frame(path, frame, world.camera, "Flat Field", second)
            bands[str(path)] = amplitude
            second += 2
        for k, (angle, *aim) in enumerate(flats.given):
            subsets[f"s{k}"] = {"frames": f"{name}/{k}/*.fits", "rotation": angle, "aim": list(aim)}
        sets[name] = {"bias": "bias/*.fits", "subsets": subsets}
    for i, frame in enumerate(world.bias()):
        write_frame(folder / f"raws/bias/{i:02}.fits", frame, world.camera, "Bias Frame", second + i)
    write_frame(folder / "raws/light.fits", world.light.expose(), world.camera, "Light Frame", second + 60)
    method = str(np.random.default_rng([world.seed, 30]).choice(["median", "mean", "sigma_clip"], p=[0.5, 0.3, 0.2]))
    lights = {"sky": {"frames": "light.fits", "flat": "set0"}}
    config = {"raw_root": str(folder / "raws"), "sets": sets, "lights": lights, "combine": {"method": method}}
    return configuration.validate(config, SCHEMA), bands


class Run:
    """The scripts of the workflow, called with files and options as its rules do.

    Attributes
    ----------
    folder : pathlib.Path
        Of the results.
    plan : flatfield.plan.plan.Plan
    """

    def __init__(self, folder, config):
        self.folder, self.plan = folder / "results", Plan.make(config)

    def place(self, value):
        """Paths of the plan, in the folder."""
        if isinstance(value, list):
            return [self.place(each) for each in value]
        path = value.replace("<results>", str(self.folder))
        if path != value:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        return path

    def play(self, script, options, **files):
        """Call the script of a rule."""
        main = importlib.import_module(script).main
        given = {name: self.place(path) for name, path in files.items() if path != []}
        given |= {"bands": [], "threads": 1, "limits": LIMITS} | options
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
            main(**{name: given[name] for name in signature(main).parameters if name in given})

    def analyse_set(self, name):
        """From the frames of a set to the errors of its response."""
        own = self.plan.sets[name]
        inspected, path = own.path("inspected.tsv"), own.path
        bias = {"bias": own.bias, "bias_inventory": own.bias_inventory}
        files = {"frames": own.bias_frames, "inventory": own.bias_inventory}
        self.play("inventory_offsets", own.offsets.inspecting("bias"), **files)
        self.play("combine_offsets", own.offsets.combining("bias"), **files, master=own.bias)
        frames = {"frames": own.frames, "inspected": inspected, "maps": path("maps.fits"), **bias}
        self.play("inspect_frames", own.inspecting, **frames)
        self.play("inventory_frames", own.inventorying, inspected=inspected, inventory=path("frames.tsv"))
        for subset, product in zip(own.subset_names, own.subsets, strict=True):
            files = own.found.subsets[subset].frames
            self.play("combine_subset", own.combining_subset(subset), **{**frames, "frames": files}, subset=product)
        flat = path("flat_cfa.fits")
        self.play("combine_flat", own.combining, **frames, flat=flat)
        first = own.subset_names[0]  # one subset alone: of the whole set no debayered truth is known
        options = own.debayering | {"files": own.combining_subset(first)["files"]}
        planes = {"flat": path("flat.fits"), "uncert": path("flat_uncert.fits")}
        self.play("debayer_flat", options, **{**frames, "frames": own.found.subsets[first].frames}, **planes)
        noise = {"noise": path("noise.tsv"), "transfer": path("photon_transfer.tsv"), "depth": path("depth.tsv")}
        noise["pairs"] = path("pairs.fits")
        self.play("measure_noise", own.measuring_noise, **frames, flat=flat, **noise, bias_frames=own.bias_frames)
        self.play("measure_drift", own.drifting, inspected=inspected, maps=frames["maps"], drift=path("drift.tsv"))
        names = ("illumination", "illumination_tests", "cross", "geometry")
        tables = dict(zip(("terms", "tests", "cross", "geometry"), own.tables(*names), strict=True))
        names = {"source": "illumination", "response": "response", "rgb": "response_rgb", "blocks": "response_blocks"}
        products = {key: path(f"{name}.fits") for key, name in names.items()}
        self.play("solve_illumination", own.separating, subsets=own.subsets, flat=flat, **tables, **products, **bias)

    def analyse_model(self, name):
        """A model of the flat as it was combined, whose truth is known."""
        own = self.plan.sets[name]
        products = {key: own.path(f"models/{key}.fits") for key in ("model", "detail")}
        files = {"flat": own.path("flat_cfa.fits"), "inspected": own.path("inspected.tsv")}
        self.play(
            "model_flat", self.plan.config["models"],
            **files, **products, models=own.path("models.tsv"), lensfun=own.path("models/lensfun.xml"),
        )  # fmt: skip

    def analyse_light(self, name):
        """A light divided by the response of its set, and why it is not even."""
        own = self.plan.lights[name]
        stem = next(iter(own.frames))
        files = {"bias": own.bias, "noise": own.noise, "inventory": own.inventory}
        self.play("inventory_lights", own.selecting, frames=own.paths, **files)
        products = {key: own.path(f"{key}/{stem}.tsv") for key in ("vignetting", "diagnosis", "falloff")}
        divisor = {"flat": own.divisor, "whole": own.whole_flat, "source": own.light_source}
        self.play(
            "apply_flat", own.applying(stem),
            frame=own.frame(stem), **divisor, **files, **products, mosaic=own.path(f"{stem}.fits"),
        )  # fmt: skip

    def compare_sets(self):
        """Which set to use."""
        for own in self.plan.sets.values():
            for name in own.pairs:
                self.play("subtract_subsets", {}, pair=own.pair(name), difference=own.path(f"differences/{name}.fits"))
            files = {"subsets": own.subsets, "differences": own.differences, "uniformity": own.path("uniformity.tsv")}
            self.play("measure_uniformity", own.comparing, **files)
            files = {"flat": own.path("flat.fits"), "uncert": own.path("flat_uncert.fits")}
            files |= {"noise": own.path("noise.tsv"), "inspected": own.path("inspected.tsv")}
            self.play("measure_flat", self.plan.measuring_boxes, **files, stats=own.path("stats.tsv"))
        tables = {"inventories": "frames.tsv", **{name: f"{name}.tsv" for name in ("stats", "uniformity", "noise")}}
        tables |= {"sources": "illumination_tests.tsv", "responses": "response_blocks.fits"}
        files = {key: self.plan.of_sets(name) for key, name in tables.items()}
        self.play("compare_sets", self.plan.comparing_sets, **files, sets="<results>/sets.tsv")


def play_world(seed, clean=False):
    """What was said of a world, and what is true: a list of `judge` records."""
    world = worlds.draw_world(seed, clean)
    with tempfile.TemporaryDirectory() as folder:
        config, bands = write_world(world, Path(folder))
        run, records, refused = Run(Path(folder), config), [], {}
        method = config["combine"]["method"]
        for (name, own), flats in zip(run.plan.sets.items(), world.sets, strict=True):
            try:
                run.analyse_set(name)
                if method == "mean":
                    run.analyse_model(name)
            except FlatfieldError as error:
                refused[name] = str(error).replace(folder, "")
                continue
            records.append(judge.judge_set(Path(run.place(own.path(""))), own, flats, bands, method))
        if "set0" not in refused:
            run.analyse_light("sky")
            folders = run.folder / "lights/sky", run.folder / "set0"
            records.append(judge.judge_light(*folders, world.light, world.sets[0]))
        if not refused:
            run.compare_sets()
            records.append(judge.judge_ranking(run.folder, world.sets))
    return {"world": seed, "refused": refused, "records": records}


def play(seeds, folder):
    """Play the worlds that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        path = folder / f"{seed:05}.json"
        if not path.exists():
            found = play_world(seed)
            path.with_suffix(".part").write_text(json.dumps(found))
            path.with_suffix(".part").rename(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--worlds", metavar="A:B", help="play worlds A to B - 1")
    parser.add_argument("--folder", type=Path, default=Path("resources/truth"), help="what was found of each world")
    parser.add_argument("--page", type=Path, help="write the page of all worlds in the folder")
    options = parser.parse_args()
    if options.worlds:
        play(range(*map(int, options.worlds.split(":"))), options.folder)
    if options.page:
        found = [json.loads(path.read_text()) for path in sorted(options.folder.glob("*.json"))]
        options.page.write_text(page.write_page(found))


if __name__ == "__main__":
    main()
