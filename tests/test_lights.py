"""Lights: calibrated against the true scene, masked, guarded, handed over to other programs."""

import os
import shutil
import subprocess
from itertools import product

import numpy as np
import pytest
import rawpy
import tifffile
from astropy.io import fits
from astropy.nddata import CCDData
from conftest import ALL_PRODUCTS, LONG, Project, exif
from PIL import Image
from test_workflow import table

from flatfield.combine.demosaicing import interpolate_bilinear, interpolate_box
from flatfield.demo.simulation import coordinates, write_dng
from flatfield.measure import calibration
from flatfield.raw import dng
from flatfield.raw.cfa import ColorFilterArray

SHAPE, GAIN, BLACK = (288, 432), 4.0, 512  # RawTherapee does not open smaller ones
X_TRANS = "RBGBRGGGRGGBGGBGGRBRGRBGGGBGGRGGRGGB"


def response(cfa):
    """Vignetting, pixel response and a dust speck."""
    x, y = coordinates(*SHAPE)
    falloff = np.array([1.2, 1.0, 1.1])[cfa.channel_map(SHAPE)]
    pixels = 1 + 0.006 * np.random.default_rng(11).standard_normal(SHAPE)
    return (1 + falloff * (x * x + y * y)) ** -2 * pixels * (1 - 0.1 * np.exp(-((x - 0.2) ** 2 + y**2) / 0.001))


def sensitivity(cfa):
    return np.array([0.5, 1.0, 0.6])[cfa.channel_map(SHAPE)]


def expose(path, signal, cfa, rng, index, white=16383, **fields):
    recorded = np.rint(rng.poisson(np.maximum(signal, 0) * GAIN) / GAIN + BLACK)
    mosaic = np.clip(recorded, 0, white).astype(np.uint16)
    write_dng(path, mosaic, exif(index, **fields), cfa=cfa, margins=(0, 0), black=(BLACK,) * 4, white=white)


def make_project(folder, pattern="RGGB", scene=None, lights=1, frames=16, level=9000, **light_fields):
    """A set of one subset, and lights of a scene (relative to the flat's level)."""
    project, cfa = Project.create(folder), ColorFilterArray.from_name(pattern)
    rng = np.random.default_rng(5)
    for name in ("flats", "lights"):
        (project.folder / "raws" / name).mkdir(parents=True)
    for index in range(frames):
        expose(project.folder / f"raws/flats/F{index}.dng", level * sensitivity(cfa) * response(cfa), cfa, rng, index)
    scene = np.full(SHAPE, 4000.0) if scene is None else scene
    for index in range(lights):
        signal = scene * sensitivity(cfa) * response(cfa)
        expose(project.folder / f"raws/lights/L{index}.dng", signal, cfa, rng, 50 + index, **light_fields)
    project.configure(
        {
            "raw_root": "raws",
            "sets": {"a": {"frames": "flats/*.dng"}},
            "regions": {"center": {"size": 36}, "corner": {"row": 0, "column": 0, "size": 36}},
            "lights": {"sky": {"frames": "lights/*.dng", "flat": "a"}},
            "apply": {"products": ALL_PRODUCTS},
        }
    )
    return project


def blocks(plane, size=12):
    rows, columns = (length // size for length in plane.shape)
    return plane[: rows * size, : columns * size].reshape(rows, size, columns, size).mean(axis=(1, 3))


@pytest.mark.parametrize("pattern", ["RGGB", "BGGR", "GRBG", "GBRG", X_TRANS] if LONG else ["GBRG", X_TRANS])
def test_the_scene_is_recovered(tmp_path, pattern):
    """Centre to corner, each channel: 0.1 % and noise; the colour of a neutral scene is the same everywhere."""
    project = make_project(tmp_path / "project", pattern, lights=2)
    project.run("results/lights/sky/vignetting.tsv", *[f"results/lights/sky/L{index}_rgb.fits" for index in range(2)])
    cfa = ColorFilterArray.from_name(pattern)
    planes = []
    for index in range(2):
        with fits.open(project.path(f"lights/sky/L{index}_rgb.fits")) as hdus:
            planes.append([hdu.data.astype(float) for hdu in hdus[1:]])
    planes = np.mean(planes, axis=0)
    ratios = []
    for plane, sensitive in zip(planes, (0.5, 1.0, 0.6), strict=True):
        # the flat is 1 on average over its centre, where the response is not 1: compare in shape
        relative = blocks(plane, 36) / (4000 * sensitive)
        ratios.append(relative / relative.mean())
        pixels = 36 * 36 / 4
        noise = np.sqrt(
            1 / (2 * 4000 * sensitive * 0.2 * GAIN) / pixels + 1 / (16 * 9000 * sensitive * 0.2 * GAIN) / pixels
        )
        assert np.abs(ratios[-1] - 1).max() < 1e-3 + 5 * noise
    for a, b in ((0, 1), (2, 1)):
        assert np.abs(ratios[a] / ratios[b] - 1).max() < 1e-3 + 7 * noise
    assert cfa.period in (2, 6)


def test_errors_of_lights_are_those_of_repeated_ones(tmp_path):
    """Scatter of 12 lights over the quoted error; that of the flat is common to all."""
    project = make_project(tmp_path / "project", lights=12, frames=24)
    project.run("results/lights/sky/vignetting.tsv")
    values, errors = [], []
    for index in range(12):
        with fits.open(project.path(f"lights/sky/L{index}.fits")) as hdus:
            values.append(hdus[0].data)
            errors.append(hdus["UNCERT"].data)
    flat = CCDData.read(project.path("a/response.fits"))
    flat_part = np.mean(values, axis=0) * flat.uncertainty.array / flat.data
    expected = np.sqrt(np.mean(np.square(errors), axis=0) - flat_part**2)
    ratio = np.std(values, axis=0, ddof=1) / expected
    assert np.sqrt(np.mean(ratio**2)) == pytest.approx(1, abs=0.03)


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """A project with a plain light, a saturated, a turned, a black and a white one, and a picture; all of it made."""
    project = make_project(tmp_path_factory.mktemp("night") / "project")
    cfa, rng, folder = ColorFilterArray.from_name("RGGB"), np.random.default_rng(6), project.folder / "raws"
    seen = sensitivity(cfa) * response(cfa)
    scene = np.full(SHAPE, 2000.0)
    scene[60:66, 100:106] = 1e6
    scene[4:8, 4:8] = 1e6  # in the corner, where the flat is low
    expose(folder / "lights/saturated.dng", scene * seen, cfa, rng, 60)
    scene = np.full(SHAPE, 3000.0)
    scene[: SHAPE[0] // 4] *= 2.5  # brighter at the top
    expose(folder / "lights/top.dng", scene * seen, cfa, rng, 61)
    expose(folder / "lights/turned.dng", 3000 * seen, cfa, rng, 62, **{"Exif.Image.Orientation": "6"})
    expose(folder / "lights/dark.dng", np.zeros(SHAPE), cfa, rng, 63)
    expose(folder / "lights/white.dng", np.full(SHAPE, 1e6), cfa, rng, 64)
    with rawpy.imread(str(folder / "lights/L0.dng")) as raw:
        picture = raw.postprocess(user_flip=0)
    (folder / "jpegs").mkdir()
    Image.fromarray(picture).save(folder / "jpegs/sky.jpg", quality=95)
    shutil.copytree(folder / "lights", folder / "other", ignore=shutil.ignore_patterns("[a-z]*"))
    more = {"jpeg": {"frames": "jpegs/*.jpg", "flat": "a"}, "again": {"frames": "other/*.dng", "flat": "a"}}
    project.change_config(lambda config: config["lights"].update(more))
    project.run()
    return project


def test_saturated_pixels_stay_so(night):
    with fits.open(night.path("lights/sky/saturated.fits")) as hdus:
        value, mask, level = hdus[0].data, hdus["MASK"].data, hdus[0].header["SATURATE"]
        assert [hdus["MASK"].header[name] for name in ("LOWFLAT", "SATUR", "UNKNOWN")] == [1, 2, 4]
    assert level == 16383 - BLACK
    assert (mask[60:66, 100:106] & 2).all() and (mask[4:8, 4:8] & 2).all() and (mask & 2 > 0).sum() == 36 + 16
    assert (value[(mask & 2) > 0] >= level).all()
    picture = tifffile.imread(night.path("lights/sky/saturated_rgb.tif"))
    assert picture.shape == (*SHAPE, 3) and picture.dtype == np.uint16 and (picture[62, 102] == 65535).all()
    with fits.open(night.path("lights/sky/saturated_rgb.fits")) as hdus:
        expected = np.clip(hdus["GREEN"].data.astype(float) * 65535 / level, 0, 65535)
    np.testing.assert_allclose(picture[..., 1], expected, atol=0.51)


def test_the_dng_is_the_calibrated_light(night):
    value = fits.getdata(night.path("lights/sky/turned.fits"))
    original, made = str(night.folder / "raws/lights/turned.dng"), str(night.path("lights/sky/turned.dng"))
    with rawpy.imread(made) as raw, rawpy.imread(original) as before:
        black = raw.black_level_per_channel
        assert len(set(black)) == 1 and raw.white_level == 16383
        assert raw.color_desc == before.color_desc and np.array_equal(raw.raw_pattern, before.raw_pattern)
        np.testing.assert_allclose(raw.camera_whitebalance[:3], before.camera_whitebalance[:3], rtol=1e-3)
        assert raw.sizes.flip == before.sizes.flip == 6
        np.testing.assert_allclose(raw.raw_image_visible.astype(float) - black[0], value, atol=0.501)
        assert raw.postprocess().shape[:2] == (SHAPE[1], SHAPE[0])
    found, expected = dng.read_exif(made), dng.read_exif(original)
    assert {key: found[key] for key in expected} == expected
    assert np.array_equal(dng.read_color_matrix(made), dng.read_color_matrix(original))


@pytest.mark.parametrize("scaled", [False, True])
def test_darks_and_bias_are_subtracted(tmp_path, scaled):
    """Hot pixels and an offset pattern of the lights alone; a dark of half the exposure is scaled by a bias."""
    project = make_project(tmp_path / "project", lights=0)
    rng, cfa = np.random.default_rng(8), ColorFilterArray.from_name("RGGB")
    current, offset = rng.exponential(100, SHAPE), rng.uniform(0, 60, SHAPE).round()
    light = 2000 * sensitivity(cfa) * response(cfa) + current + offset
    expose(project.folder / "raws/lights/L0.dng", light, cfa, rng, 50, exposure="10/1")
    for name, signal, exposure in (
        ("dark", current * (0.5 if scaled else 1) + offset, "5/1" if scaled else "10/1"),
        ("bias", offset, "1/8000"),
    ):
        (project.folder / f"raws/{name}").mkdir()
        for index in range(30):
            expose(project.folder / f"raws/{name}/{index}.dng", signal, cfa, rng, 60 + index, exposure=exposure)
    more = {"dark": "dark/*.dng"} | ({"bias": "bias/*.dng"} if scaled else {})
    project.change_config(lambda config: config["lights"]["sky"].update(more))
    project.run("results/lights/sky/L0.fits")
    value = fits.getdata(project.path("lights/sky/L0.fits"))
    header = fits.getheader(project.path("lights/sky/L0.fits"))
    assert header["DARKFILE"] == "offsets/dark.fits"
    ratio = blocks(value / sensitivity(cfa), 24)
    assert np.abs(ratio / ratio.mean() - 1).max() < 0.02
    rows = {row["quantity"]: row for row in table(project.path("lights/sky/agreement.tsv"))}
    assert rows["exposure of the dark"]["agreement"] == ("differs" if scaled else "same")
    error = fits.getdata(project.path("lights/sky/L0.fits"), "UNCERT")
    residual = (value / sensitivity(cfa) / np.median(value / sensitivity(cfa)) - 1) * value / error
    assert np.std(residual) < 1.5  # dark current adds photon noise of its own


def test_a_dark_of_another_exposure_without_bias_is_refused(tmp_path):
    project = make_project(tmp_path / "project", exposure="10/1")
    cfa = ColorFilterArray.from_name("RGGB")
    (project.folder / "raws/dark").mkdir()
    for index in range(3):
        path = project.folder / f"raws/dark/{index}.dng"
        expose(path, np.full(SHAPE, 20.0), cfa, np.random.default_rng(index), 60 + index, exposure="5/1")
    project.change_config(lambda config: config["lights"]["sky"].update({"dark": "dark/*.dng"}))
    done = project.snakemake("results/lights/sky/agreement.tsv")
    assert done.returncode and "no bias to scale it" in done.stdout and "Traceback" not in done.stdout


def test_color_and_brightness_are_both():
    """What colour alone and brightness alone divide by multiplies to what both do; each keeps the other."""
    cfa = ColorFilterArray.from_name("RGGB")
    whole = response(cfa).astype(np.float32)
    x, y = coordinates(*SHAPE)
    falloff = np.array([1.2, 1.0, 1.1])[cfa.channel_map(SHAPE)]
    model = ((1 + falloff * (x * x + y * y)) ** -2).astype(np.float32)
    mean = interpolate_bilinear(model, cfa).mean(axis=0)
    color, brightness = (calibration.part_colors(whole, model, mean, part) for part in ("color", "brightness"))
    np.testing.assert_allclose(color * brightness, whole, rtol=1e-5)
    planes = interpolate_bilinear(brightness, cfa)
    smooth = [blocks(plane, 36) for plane in planes]
    assert np.abs(smooth[0] / smooth[1] - 1).max() < 2e-3  # no colour of its own
    flat = interpolate_bilinear(color, cfa).mean(axis=0)
    assert np.abs(blocks(flat, 36) - 1).max() < 2e-3  # no brightness of its own


def test_parts_of_the_correction(night, tmp_path):
    project = night.copy(tmp_path / "project")
    for part in ("color", "brightness"):
        project.change_config(lambda config, part=part: config.update(apply={"correct": part}))
        project.run("results/lights/sky/vignetting.tsv")
        rows = [row for row in table(project.path("lights/sky/vignetting.tsv")) if row["frame"] == "L0"]
        ratios = {stage: np.array([float(row["ratio"]) for row in rows if row["stage"] == stage]) for stage in STAGES}
        before, after = ratios["before"], ratios["after"]
        if part == "color":
            assert np.ptp(after) / after.mean() < 0.01 < np.ptp(before) / before.mean() and after.mean() > 1.5
        else:
            assert abs(after.mean() - 1) < 0.02
            np.testing.assert_allclose(after / after.mean(), before / before.mean(), rtol=0.02)


STAGES = ("before", "flat", "after")


def test_a_flat_divided_by_itself_is_one(finished):
    for name in ("first", "second"):
        rows = [row for row in table(finished.path(f"{name}/cross.tsv")) if row["flat"] == "itself"]
        assert len(rows) == 3 and all(float(row["rms_percent"]) < 1e-4 for row in rows)
    cross = [row for row in table(finished.path("first/cross.tsv")) if row["flat"] != "itself"]
    assert {row["light"] for row in cross} == set("ABC") and len(cross) == 9
    assert not any(row["significant"] == "yes" for row in cross)
    for row in cross:
        assert float(row["rms_percent"]) == pytest.approx(float(row["noise_percent"]), rel=0.25)


@pytest.mark.parametrize("pattern", ["RGGB", "MONO", X_TRANS])
def test_a_box_is_interpolated_as_the_whole(pattern):
    cfa = ColorFilterArray.from_name(pattern)
    mosaic = np.random.default_rng(2).random((50, 62)).astype(np.float32)
    whole = interpolate_bilinear(mosaic, cfa)
    for top, left, size in product((0, 7, 31), (0, 13, 40), (5, 18)):
        box = (slice(top, top + size), slice(left, left + size))
        np.testing.assert_array_equal(interpolate_box(mosaic, cfa, box), whole[(slice(None), *box)])


GUARD = {
    "other camera": ({"Exif.Image.Model": "Other"}, "camera is Other"),
    "other lens": ({"Exif.Photo.LensModel": "Long 200mm"}, "lens is Long 200mm"),
    "other aperture": ({"Exif.Photo.FNumber": "80/10"}, "vignetting depends on the aperture"),
    "other focal length": ({"Exif.Photo.FocalLength": "20/1"}, "vignetting depends on the focal length"),
}


@pytest.mark.parametrize("name", GUARD)
def test_a_flat_that_does_not_belong_is_refused(tmp_path, name):
    fields, words = GUARD[name]
    project = make_project(tmp_path / "project", frames=4, **fields)
    done = project.snakemake("results/lights/sky/agreement.tsv")
    assert done.returncode and words in done.stdout and "Traceback" not in done.stdout
    project.change_config(lambda config: config["lights"]["sky"].update(mismatch="allow"))
    project.run("results/conclusions.yaml" if name == "other lens" else "results/lights/sky/agreement.tsv")
    assert any(row["agreement"] == "error" for row in table(project.path("lights/sky/agreement.tsv")))
    if name == "other lens":
        assert any("The flat is wrong for light sky" in text for text, _ in project.conclusions()["warnings"])


def test_unknown_metadata_is_said_to_be_unknown(tmp_path):
    project = make_project(tmp_path / "project", frames=4)
    cfa = ColorFilterArray.from_name("RGGB")
    path, mosaic = project.folder / "raws/lights/L0.dng", np.full(SHAPE, 2000, np.uint16)
    mosaic += np.random.default_rng(1).integers(0, 60, SHAPE, dtype=np.uint16)
    write_dng(path, mosaic, {}, cfa=cfa, margins=(0, 0), black=(BLACK,) * 4)
    project.run("results/lights/sky/L0.fits")
    rows = {row["quantity"]: row["agreement"] for row in table(project.path("lights/sky/agreement.tsv"))}
    assert rows["lens"] == rows["aperture"] == rows["iso"] == "unknown" and rows["size"] == "same"


def test_dark_and_overexposed_lights_give_no_infinity(night):
    """All at black, and all beyond saturation."""
    for name in ("dark", "white"):
        with fits.open(night.path(f"lights/sky/{name}.fits")) as hdus:
            assert np.isfinite(hdus[0].data).all()
            assert bool((hdus["MASK"].data & 2).all()) == (name == "white")
        rows = [row for row in table(night.path("lights/sky/diagnosis.tsv")) if row["frame"] == name]
        assert all(row["verdict"] != "supported" for row in rows)


def test_a_picture_is_diagnosed_and_not_calibrated(night):
    made = {path.name for path in night.path("lights/jpeg").iterdir() if path.is_file()}
    assert made == {"diagnosis.tsv", "falloff.tsv", "sky_diagnosis.png"}
    verdicts = {row["cause"]: row["verdict"] for row in table(night.path("lights/jpeg/diagnosis.tsv"))}
    assert verdicts["encoded"] == "supported"
    rows = [row for row in table(night.path("lights/sky/diagnosis.tsv")) if row["frame"] == "L0"]
    assert {row["verdict"] for row in rows} == {"excluded"}
    rows = [row for row in table(night.path("lights/sky/falloff.tsv")) if row["frame"] == "L0"]
    falloff = {(row["channel"], row["stage"], row["place"]): row for row in rows}
    for channel in ("RED", "GREEN", "BLUE"):
        row = falloff[channel, "result", "top left"]
        assert abs(float(row["ev"])) < 5 * float(row["ev_error"]) + 0.01
        assert float(falloff[channel, "light", "top left"]["ev"]) > 1.5


def test_two_lights_of_one_name_in_different_folders(night):
    """As two lights they do not meet."""
    same = [fits.getdata(night.path(f"lights/{name}/L0.fits")) for name in ("sky", "again")]
    np.testing.assert_array_equal(*same)


# Other programs


def run_program(folder, program, *arguments):
    """Run a program in a folder, with settings of its own: those of whoever runs the tests do not matter."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    places = {"HOME": "home", "XDG_CONFIG_HOME": "config", "XDG_CACHE_HOME": "cache", "XDG_DATA_HOME": "data"}
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    for name, place in places.items():
        (folder / place).mkdir(exist_ok=True)
        environment[name] = str(folder / place)
    command = [program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)


@pytest.mark.parametrize("program", ["siril-cli", "darktable-cli", "rawtherapee-cli"])
def test_programs_open_the_dng(night, tmp_path, program):
    """A grey sky comes out grey to the corners, and the right way up."""
    source, made = night.path("lights/sky/top.dng"), tmp_path / "out.tif"
    if program == "siril-cli":
        script = tmp_path / "run.ssf"
        script.write_text(f"requires 1.0.0\nload {source}\nsavetif {made.with_suffix('')}\nclose\n")
        arguments = ["-d", tmp_path, "-s", script]
    elif program == "darktable-cli":
        arguments = [source, made, "--core", "--configdir", tmp_path / "dt"]
    else:
        arguments = ["-o", made, "-t", "-Y", "-c", source]
    done = run_program(tmp_path, program, *arguments)
    assert made.exists(), done.stdout[-1500:] + done.stderr[-1500:]
    picture = tifffile.imread(made).astype(float)
    green = picture if picture.ndim == 2 else picture[..., 1]
    if abs(green.shape[0] - SHAPE[0]) > 20:
        pytest.fail(f"{program} made {picture.shape} of {SHAPE}")
    top, bottom = green[10 : SHAPE[0] // 4 - 10, 20:-20], green[SHAPE[0] // 2 : -10]
    assert top.mean() > 1.1 * bottom.mean()
    if program != "siril-cli":
        middle = SHAPE[1] // 2
        corner, centre = bottom[-20:, 10:40].mean(), bottom[:20, middle - 20 : middle + 20].mean()
        assert corner / centre == pytest.approx(1, abs=0.06)
