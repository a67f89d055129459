"""Hand-over to Siril and PixInsight, from the raw file on: what Siril makes of raws is what we make of them."""

import shutil
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import rawpy
from astropy.io import fits
from astropy.nddata import CCDData
from conftest import LONG, Project, exif
from test_lights import X_TRANS, run_program

import hand_over_flat
from flatfield.demo.simulation import coordinates, write_dng
from flatfield.files.frame_table import FrameRecord, write_frames
from flatfield.raw.cfa import ColorFilterArray
from flatfield.raw.decode import read_frame
from flatfield.raw.mosaic import Mosaic, read_mosaic, write_mosaic
from flatfield.raw.xisf import read_xisf
from flatfield.report.handover import FULL_SCALE_DN, scale_image, write_image
from flatfield.report.siril_script import script_to_stack

GAIN, LEVEL, BLACKS = 4.0, 9000, {"RGGB": (500, 510, 520, 530), "GBRG": (512,) * 4, X_TRANS: (512,) * 4}
SHAPES = {"RGGB": (241, 300), "GBRG": (180, 241), X_TRANS: (246, 306)}  # odd and even numbers of rows
DUST = (0.75, -0.55)  # near the upper right corner, half diagonals
SHIFTS = ((0, 0), (3, -5), (-4, 2))


def response(cfa, shape):
    """A gradient in two directions that differs by colour, vignetting, pixel response and a dust spot in one corner."""
    x, y = coordinates(*shape)
    slopes = np.array([[0.3, -0.2], [0.2, -0.3], [0.4, 0.1]])[cfa.channel_map(shape)]
    pixels = 1 + 0.01 * np.random.default_rng(11).standard_normal(shape)
    dust = 1 - 0.6 * np.exp(-((x - DUST[0]) ** 2 + (y - DUST[1]) ** 2) / 0.002)
    return (1 + x * slopes[..., 0] + y * slopes[..., 1]) / (1 + 0.5 * (x * x + y * y)) * pixels * dust


def sky(shape, shift):
    """A flat sky with stars that move."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    rng, scene = np.random.default_rng(4), np.full(shape, 1500.0)
    for _ in range(40):
        row, column, peak = rng.uniform(15, shape[0] - 15), rng.uniform(15, shape[1] - 15), rng.uniform(2000, 8000)
        where = (rows - row - shift[0]) ** 2 + (columns - column - shift[1]) ** 2
        scene += peak * np.exp(-where / (2 * 1.6**2))
    return scene


def expose(path, signal, pattern, rng, index):
    blacks, (rows, columns) = np.array(BLACKS[pattern]).reshape(2, 2), np.indices(signal.shape)
    recorded = rng.poisson(signal * GAIN) / GAIN + blacks[rows % 2, columns % 2]
    mosaic = np.clip(np.rint(recorded), 0, 16383).astype(np.uint16)
    cfa = ColorFilterArray.from_name(pattern)
    write_dng(path, mosaic, exif(index), cfa=cfa, margins=(0, 0), black=BLACKS[pattern], white=16383)


def make_night(folder, pattern, *targets):
    """Flats and lights of one camera, and what is asked for of them."""
    project, cfa, shape = Project.create(folder), ColorFilterArray.from_name(pattern), SHAPES[pattern]
    rng, seen = np.random.default_rng(5), response(cfa, shape) * np.array([0.5, 1.0, 0.6])[cfa.channel_map(shape)]
    for name in ("flats", "lights"):
        (project.folder / "raws" / name).mkdir(parents=True)
    for index in range(4):
        expose(project.folder / f"raws/flats/F{index}.dng", LEVEL * seen, pattern, rng, index)
    for index, shift in enumerate(SHIFTS):
        path = project.folder / f"raws/lights/L{index}.dng"
        expose(path, sky(shape, shift) * seen, pattern, rng, 50 + index)
    project.configure(
        {
            "raw_root": "raws",
            "sets": {"a": {"frames": "flats/*.dng"}},
            "regions": {"center": {"size": 36}, "corner": {"row": 0, "column": 0, "size": 24}},
            "lights": {"sky": {"frames": "lights/*.dng", "flat": "a"}},
        }
    )
    project.run(*targets, cores=1)
    return project


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """All that is handed over of a night with three lights, black levels that differ by colour, and odd rows."""
    return make_night(tmp_path_factory.mktemp("night") / "project", "RGGB", "handover")


def run_siril(folder, script):
    """Run a script of Siril in a folder; what it says."""
    done = run_program(folder.parent, "siril-cli", "-d", folder, "-s", script)
    assert done.returncode == 0 and "Script execution finished successfully" in done.stdout, done.stdout[-3000:]
    return done.stdout


def write_script(folder, *lines):
    path = folder / "run.ssf"
    path.write_text("\n".join(["requires 1.0.0", "setext fit", "set32bits", *lines, "close", ""]))
    return path


def ratio_by_channel(theirs, ours, cfa):
    """Mean of a ratio in each channel, and its spread relative to that."""
    ratios = [cfa.pixels(theirs, index) / cfa.pixels(ours, index) for index in range(len(cfa.channels))]
    return [(ratio.mean(), np.ptp(ratio) / ratio.mean()) for ratio in ratios]


@pytest.mark.parametrize("pattern", ["RGGB", "GBRG", X_TRANS] if LONG else ["RGGB", "GBRG"])
def test_siril_calibrates_raws_with_our_masters_as_we_do(request, tmp_path, pattern):
    """From the raws on: each pixel of a colour is ours times one factor, and dust in a corner is gone there."""
    if pattern == "RGGB":
        project = request.getfixturevalue("night")
    else:
        targets = ("results/a/for_siril/pp_flat_stacked.fit", "results/lights/sky/L0.fits")
        project = make_night(tmp_path / "project", pattern, *targets)
    folder, cfa = tmp_path / "siril", ColorFilterArray.from_name(pattern)
    shutil.copytree(project.path("a/for_siril"), folder)
    (folder / "lights").mkdir()
    for index in range(2):
        shutil.copy(project.folder / f"raws/lights/L{index}.dng", folder / "lights")
    offset = "-bias=../bias_stacked" if pattern == "RGGB" else '-bias="=512"'  # the level that calibrate.ssf says
    divide = f"preprocess light {offset} -flat=../pp_flat_stacked -cfa"
    run_siril(folder, write_script(folder, "cd lights", "convert light -out=../process", "cd ../process", divide))
    script, level = (folder / "calibrate.ssf").read_text(), "500, 510, 530, 520 DN" if pattern == "RGGB" else '"=512"'
    assert level in script and "response.fits" in script  # red, green, blue, second green
    theirs = fits.getdata(folder / "process/pp_light_00001.fit")[::-1].astype(float)
    with fits.open(project.path("lights/sky/L0.fits")) as hdus:
        ours = hdus[0].data.astype(float)
    for _, spread in ratio_by_channel(theirs, ours, cfa):
        assert spread < 2e-5  # single precision of either
    x, y = coordinates(*ours.shape)
    spot = (x - DUST[0]) ** 2 + (y - DUST[1]) ** 2 < 0.0015
    ring = ((x - DUST[0]) ** 2 + (y - DUST[1]) ** 2 < 0.02) & ~spot
    for index in range(3):
        colour = cfa.channel_map(ours.shape) == index
        inside, around = (theirs[where & colour] for where in (spot, ring))
        assert np.median(inside) / np.median(around) == pytest.approx(1, abs=5 * 0.05 / np.sqrt(inside.size))


def test_calibrated_lights_are_those_that_siril_makes_itself(night, tmp_path):
    """Each file is one image, the one of Siril from the raw, in its order of the rows; a sequence of as many images."""
    folder = tmp_path / "siril"
    shutil.copytree(night.path("lights/sky/for_siril"), folder)
    files = sorted(path.name for path in folder.iterdir())
    assert files == ["colour", "pp_L0.fit", "pp_L1.fit", "pp_L2.fit", "stack.ssf"]
    ours, header = fits.getdata(folder / "pp_L1.fit", header=True)
    raw = tmp_path / "raw"
    (raw / "lights").mkdir(parents=True)
    shutil.copy(night.folder / "raws/lights/L1.dng", raw / "lights")
    run_siril(raw, write_script(raw, "cd lights", "convert light -out=.."))
    own, card = fits.getdata(raw / "light_00001.fit", header=True)
    for name in ("BAYERPAT", "ROWORDER", "XBAYROFF", "YBAYROFF", "INSTRUME", "NAXIS1", "NAXIS2"):
        assert header[name] == card[name], name
    assert header["DATE-OBS"] == card["DATE-OBS"] and header["EXPTIME"] == pytest.approx(card["EXPTIME"])
    calibrated = fits.getdata(night.path("lights/sky/L1.fits"))
    np.testing.assert_allclose(ours[::-1] * FULL_SCALE_DN, calibrated, rtol=1e-6)
    assert np.corrcoef(ours.ravel(), own.ravel())[0, 1] > 0.9 > np.corrcoef(ours[::-1].ravel(), own.ravel())[0, 1]
    for _ in range(2):  # what the first run leaves is no light of the second
        text = run_siril(folder, folder / "stack.ssf")
        assert "3 file(s) created for 3 input file(s)" in text


def test_both_scripts_end_in_the_same_picture(night, tmp_path):
    """Raws calibrated, debayered, registered and stacked by Siril, and our lights stacked by it: grey skies alike."""
    pictures = {}
    for name, source in (("calibrate", "a"), ("stack", "lights/sky")):
        folder = tmp_path / name
        shutil.copytree(night.path(f"{source}/for_siril"), folder)
        if name == "calibrate":
            shutil.copytree(night.folder / "raws/lights", folder / "lights")
        run_siril(folder, folder / f"{name}.ssf")
        made = folder / ("process/stacked.fit" if name == "stack" else "stacked.fit")
        pictures[name] = fits.getdata(made)[:, 20:-20, 20:-20]
    for name, picture in pictures.items():
        assert picture.shape[0] == 3, name
        levels = [[np.median(part) for part in np.array_split(plane, 6, axis=1)] for plane in picture]
        noise = 0.02 / np.sqrt(picture[0].size / 24)
        for plane in levels:
            assert np.ptp(plane) / np.mean(plane) < 0.003 + 8 * noise, name
    ratio = pictures["calibrate"] / pictures["stack"]
    assert np.std(ratio) / np.mean(ratio) < 0.01


def test_a_colour_light_is_one_picture_in_siril(night, tmp_path):
    """Opened and saved by Siril it is the same; the sky has the colours that Siril gives it from the mosaic."""
    folder = tmp_path / "siril"
    shutil.copytree(night.path("lights/sky/for_siril"), folder)
    lines = ["cd colour", "load L1", "save opened", "cd ..", "convert pp_light -out=process -debayer"]
    text = run_siril(folder, write_script(folder, *lines))
    assert "3 file(s) created for 3 input file(s)" in text  # pictures in colour are none of the calibrated mosaics
    ours, header = fits.getdata(folder / "colour/L1.fit", header=True)
    assert ours.shape == (3, *SHAPES["RGGB"]) and header["ROWORDER"] == "BOTTOM-UP"
    np.testing.assert_array_equal(fits.getdata(folder / "colour/opened.fit"), ours)
    theirs = fits.getdata(folder / "process/pp_light_00002.fit")
    for plane, other in zip(ours, theirs, strict=True):
        assert np.median(plane) == pytest.approx(np.median(other), rel=0.003)
        bright = other > np.quantile(other, 0.999)  # stars, which lie unevenly
        assert np.median(plane[bright]) > 1.5 * np.median(plane)
    mosaic, cfa = fits.getdata(folder / "pp_L1.fit")[::-1], ColorFilterArray.from_name("RGGB")
    for channel, plane in enumerate(ours[:, ::-1]):  # what was recorded of a colour is kept
        np.testing.assert_allclose(cfa.pixels(plane, channel), cfa.pixels(mosaic, channel), rtol=1e-6)
    for_pixinsight, card = fits.getdata(night.path("lights/sky/for_pixinsight/L1.fit"), header=True)
    assert card["ROWORDER"] == "TOP-DOWN" and "BAYERPAT" not in card
    np.testing.assert_array_equal(for_pixinsight[:, ::-1], ours)


def test_one_light_without_colours_needs_no_stack(tmp_path):
    folder, value = tmp_path / "siril", np.random.default_rng(1).uniform(500, 900, (40, 60)).astype(np.float32)
    folder.mkdir()
    image = scale_image(Mosaic(value, ColorFilterArray.from_name("MONO"), fits.Header()), "Light Frame")
    write_image(folder / "pp_a.fit", image, "BOTTOM-UP")
    (folder / "stack.ssf").write_text(script_to_stack("a", 1, True))
    run_siril(folder, folder / "stack.ssf")
    np.testing.assert_allclose(fits.getdata(folder / "process/stacked.fit")[::-1] * FULL_SCALE_DN, value, rtol=1e-6)


ORDERS = ("TOP-DOWN", "BOTTOM-UP", None)


@pytest.mark.parametrize("order", ORDERS)
def test_siril_divides_fits_lights_by_our_master(tmp_path, order):
    """Siril leaves the rows of FITS frames as they are: the master follows them, and says no more than they do."""
    shape, cfa = (61, 90), ColorFilterArray.from_name("RGGB")
    flat = (LEVEL * response(cfa, shape)).astype(np.float32)
    light = np.random.default_rng(2).uniform(2000, 9000, shape).round()
    folder = tmp_path / "siril"
    folder.mkdir()
    card = fits.Header([("BAYERPAT", "RGGB"), *([("ROWORDER", order)] if order else [])])
    for number in (1, 2):
        turned = light[::-1] if order == "BOTTOM-UP" else light
        fits.writeto(folder / f"light_0000{number}.fit", turned.astype(np.uint16), card)
    write_mosaic(tmp_path / "flat.fits", Mosaic(flat, cfa, fits.Header([("BLACKLVL", 300.0)])))
    record = FrameRecord("F.fits", rows=61, columns=90, cfa="RGGB", row_order=order)
    write_frames(tmp_path / "frames.tsv", [record], cfa.channels)
    names = [str(folder / name) for name in ("pp_flat_stacked.fit", "bias_stacked.fit", "calibrate.ssf")]
    frame = str(folder / "light_00001.fit")
    offset, bias = np.full(shape, 300.0), None
    if order == "BOTTOM-UP":  # a set with bias frames
        offset, bias = np.random.default_rng(3).uniform(250, 350, shape), str(tmp_path / "bias.fits")
        write_mosaic(bias, Mosaic(offset.astype(np.float32), cfa, fits.Header()))
    hand_over_flat.main(str(tmp_path / "flat.fits"), frame, str(tmp_path / "frames.tsv"), "a", *names, bias=bias)
    assert fits.getheader(names[0]).get("ROWORDER") == order and "preprocess" in (folder / "calibrate.ssf").read_text()
    run_siril(folder, write_script(folder, "preprocess light_ -bias=bias_stacked -flat=pp_flat_stacked -cfa"))
    theirs = fits.getdata(folder / "pp_light_00001.fit").astype(float)
    theirs = theirs[::-1] if order == "BOTTOM-UP" else theirs
    for _, spread in ratio_by_channel(theirs, (light - offset) / flat, cfa):
        assert spread < 2e-5


def test_siril_keeps_the_scale_of_a_light_with_the_brightest_pixels(tmp_path):
    """Values above 2 would make it divide the whole image by 65535."""
    value = np.full((40, 60), 1000, np.float32)
    value[3, 4], value[5, 6] = 200_000, -20
    (tmp_path / "siril").mkdir()
    path = tmp_path / "siril/pp_a.fit"
    write_image(path, scale_image(Mosaic(value, ColorFilterArray.from_name("MONO"), fits.Header()), "Light Frame"))
    run_siril(path.parent, write_script(path.parent, "load pp_a", "save out"))
    np.testing.assert_allclose(fits.getdata(path.parent / "out.fit"), np.minimum(value / 65535, 1), rtol=1e-6)


@pytest.mark.parametrize("unit", ["DN", ""])
def test_values_of_masters(tmp_path, unit):
    """Pixels that nothing can be divided by get the mean; ratios (`flat_part: detail`), near 1, keep their shape."""
    value = np.random.default_rng(1).uniform(0.8, 1.2, (40, 60)).astype(np.float32) * (1000 if unit else 1)
    value[3, 4:7] = 0, -5, np.nan
    write_mosaic(tmp_path / "flat.fits", Mosaic(value, ColorFilterArray.from_name("MONO"), fits.Header()), unit)
    write_frames(tmp_path / "frames.tsv", [FrameRecord("F.dng", rows=40, columns=60, cfa="MONO")], ("MONO",))
    names = [str(tmp_path / name) for name in ("flat.fit", "bias.fit")]
    hand_over_flat.main(str(tmp_path / "flat.fits"), "F.dng", str(tmp_path / "frames.tsv"), "a", *names)
    made, good = fits.getdata(names[0]), value > 0
    np.testing.assert_allclose(made[good] / made[good].mean(), value[good] / value[good].mean(), rtol=1e-6)
    np.testing.assert_allclose(made[~good], made[good].mean(), rtol=1e-5)
    assert made.min() > 0 and made.max() <= 1


def test_masters_of_cropped_frames_do_not_calibrate_raws(tmp_path):
    """Siril would leave the division out: the script has comments only, which Siril prints."""
    fits.writeto(tmp_path / "F.fits", np.zeros((44, 60), np.uint16))
    flat = Mosaic(np.full((40, 60), 1000, np.float32), ColorFilterArray.from_name("MONO"), fits.Header())
    write_mosaic(tmp_path / "flat.fits", flat)
    write_frames(tmp_path / "frames.tsv", [FrameRecord("F.fits", rows=40, columns=60, cfa="MONO")], ("MONO",))
    names = [str(tmp_path / name) for name in ("flat.fits", "F.fits", "frames.tsv")]
    made = [str(tmp_path / name) for name in ("flat.fit", "bias.fit", "calibrate.ssf")]
    hand_over_flat.main(*names, "a", *made)
    script = (tmp_path / "calibrate.ssf").read_text()
    assert "44 x 60" in script and "40 x 60" in script and all(line.startswith("#") for line in script.splitlines())


@pytest.mark.parametrize("name", ["CRW.CRW", "RAW_NIKON_D1.NEF", "colorchart.dng"])
def test_siril_converts_raws_of_cameras_to_our_pixels_upside_down(real_data, tmp_path, name):
    """Area, values and letters of the colour pattern are those that we read, whatever the camera."""
    folder = tmp_path / "siril"
    folder.mkdir()
    shutil.copy(real_data / "raws" / name, folder)
    run_siril(folder, write_script(folder, "convert light"))
    theirs, header = fits.getdata(folder / "light_00001.fit", header=True)
    ours = read_frame(folder / name)
    np.testing.assert_array_equal(theirs[::-1], ours.mosaic)
    assert header["BAYERPAT"] == ours.cfa.name and header["ROWORDER"] == "BOTTOM-UP"


def test_masters_for_pixinsight(night):
    """One image a file, the top row first, from 0 to 1; XISF as its specification says, and the same in FITS."""
    folder = night.path("a/for_pixinsight")
    stems = {"masterFlat_a": "MasterFlat", "masterBias_a": "MasterBias"}
    assert {path.name for path in folder.iterdir()} == {f"{stem}.{end}" for stem in stems for end in ("fit", "xisf")}
    response_dn, cfa = read_mosaic(night.path("a/response.fits")).value, ColorFilterArray.from_name("RGGB")
    blacks = np.tile(np.reshape(BLACKS["RGGB"], (2, 2)), (121, 150))[:241]
    expected = {"masterFlat_a": response_dn, "masterBias_a": blacks}
    for stem, kind in stems.items():
        content = (folder / f"{stem}.xisf").read_bytes()
        assert content[:8] == b"XISF0100" and content[12:16] == bytes(4)
        image = ElementTree.fromstring(content[16 : 16 + int.from_bytes(content[8:12], "little")])[0]
        assert (image.get("geometry"), image.get("sampleFormat"), image.get("bounds")) == (
            "300:241:1",
            "Float32",
            "0:1",
        )
        assert image.get("imageType") == kind and image[0].get("pattern") == "RGGB"
        place, size = map(int, image.get("location").split(":")[1:])
        assert place + size == len(content)
        pixels = np.frombuffer(content[place:], "<f4").reshape(241, 300)
        np.testing.assert_allclose(pixels * FULL_SCALE_DN, expected[stem], rtol=1e-6)
        header, again = read_xisf(folder / f"{stem}.xisf")
        np.testing.assert_array_equal(again, pixels)
        assert header["IMAGETYP"] == kind.replace("Master", "Master ") and header["BAYERPAT"] == "RGGB"
        with fits.open(folder / f"{stem}.fit") as hdus:
            assert len(hdus) == 1 and hdus[0].header["ROWORDER"] == "TOP-DOWN"
            np.testing.assert_array_equal(hdus[0].data, pixels)
    assert np.array_equal(cfa.tile, [[0, 1], [1, 2]])


def test_ccdproc_divides_by_our_flat_as_we_do(night):
    """Mosaics go there as they are: one factor a channel apart from ours."""
    ccdproc = pytest.importorskip("ccdproc")
    cfa = ColorFilterArray.from_name("RGGB")
    ours, flat = (CCDData.read(night.path(name)) for name in ("lights/sky/L0.fits", "a/response.fits"))
    offset = CCDData.read(night.path("a/for_pixinsight/masterBias_a.fit"), unit="DN")
    with rawpy.imread(str(night.folder / "raws/lights/L0.dng")) as raw:
        light = CCDData(raw.raw_image_visible.astype(float) - offset.data * FULL_SCALE_DN, unit="DN")
    theirs = ccdproc.flat_correct(light, flat).data
    for _, spread in ratio_by_channel(theirs, ours.data.astype(float), cfa):
        assert spread < 2e-5
