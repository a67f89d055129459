"""Frames as cameras and drivers write them, from folder to product: the value is right, or a sentence says why not.

Each case is a camera whose response is known, and something that makes the obvious result wrong by several percent.
"""

import numpy as np
import pytest
import yaml
from astropy.io import fits
from conftest import Project, exif

from flatfield.demo.simulation import write_dng
from flatfield.files.tables import read_table
from flatfield.init.catalogue import catalogue, list_files
from flatfield.init.proposal import propose
from flatfield.init.text import write_config
from flatfield.raw.cfa import ColorFilterArray

SHAPE = (120, 180)
Y, X = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
U, V = (X - 89.5) / 90, (Y - 59.5) / 90
RESPONSE = 1 / (1 + 0.5 * (U**2 + V**2))
OFFSET, READ_NOISE = 500, 3.0
COLORS = np.array([[0.5, 1.0], [1.0, 0.7]])[Y % 2, X % 2]  # RGGB
#: Blocks at the centre and in a corner, of whole tiles of the colour pattern.
CENTER, CORNER = np.s_[50:70, 75:105], np.s_[0:20, 0:30]


class Camera:
    """Writes FITS frames of a folder; `level`, `dark` in electrons, `gain` in electrons per DN."""

    def __init__(self, folder, **cards):
        self.folder, self.cards, self.rng = folder, cards, np.random.default_rng(7)

    def expose(self, level, dark=0.0, gain=1.0, offset=OFFSET, response=RESPONSE):
        electrons = self.rng.poisson(level * response + dark) + READ_NOISE * self.rng.standard_normal(SHAPE)
        return np.clip(np.rint(electrons / gain + offset), 0, 65535).astype(np.uint16)

    def take(self, path, count, hour, change=lambda data: data, level=0.0, cards=None, **options):
        """Write frames to `path`, named by number and hour, 3 s apart from an hour on."""
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            time = {"DATE-OBS": f"2023-01-02T{hour:02d}:00:{3 * number:02d}"}
            header = fits.Header(time | self.cards | (cards or {}))
            data = change(self.expose(level, **options))
            fits.PrimaryHDU(data, header).writeto(self.folder / f"{path}{number}.fits")


def two_gains(folder):
    """Bias of two gains in one folder; that of the flats' gain is the zero level."""
    camera = Camera(folder, INSTRUME="ASI2600MC", BAYERPAT="RGGB", EXPTIME=0.001)
    camera.take("Flat/F", 6, 6, level=20000, response=RESPONSE * COLORS, cards={"IMAGETYP": "Flat", "GAIN": 100})
    camera.take("Bias/a", 4, 7, offset=900, cards={"IMAGETYP": "Bias", "GAIN": 0})
    camera.take("Bias/b", 4, 8, cards={"IMAGETYP": "Bias", "GAIN": 100})


def dark_flats(folder):
    """Flat-darks in place of bias, as N.I.N.A. writes them; darks and lights beside them."""
    camera = Camera(folder, INSTRUME="ASI2600MM", GAIN=100, FILTER="L")
    camera.take("FLAT/f", 6, 6, level=20000, cards={"IMAGETYP": "FLAT", "EXPTIME": 1.0})
    camera.take("DARKFLAT/d", 6, 7, cards={"IMAGETYP": "DARKFLAT", "EXPTIME": 1.0})
    camera.take("DARK/k", 4, 8, dark=300, cards={"IMAGETYP": "DARK", "EXPTIME": 300.0})


def nested_flat_darks(folder):
    """Flat-darks in a folder of the flats, of a header without a kind."""
    camera = Camera(folder, INSTRUME="QHY268M", EXPTIME=1.5)
    camera.take("flats/f", 6, 6, level=20000, dark=900)
    camera.take("flats/flatdarks/d", 6, 7, dark=900)


def master_in_fractions(folder):
    """16-bit flats with the stacked bias of Siril, 0 to 1."""
    camera = Camera(folder, INSTRUME="ASI533MM", GAIN=100)
    camera.take("flats/f", 6, 6, level=20000, cards={"IMAGETYP": "Flat", "EXPTIME": 0.5})
    stack = np.mean([camera.expose(0) for _ in range(20)], axis=0) / 65535
    cards = {"IMAGETYP": "Bias", "EXPTIME": 0.0, "STACKCNT": 20, "PROGRAM": "Siril 1.2.6"}
    camera.take("biases/stack", 1, 7, lambda data: stack.astype(np.float32), cards=cards)


def flag_for_a_pattern(folder):
    """BAYERPAT is a flag, COLORTYP the pattern."""
    camera = Camera(folder, INSTRUME="ATIK", BAYERPAT="TRUE", COLORTYP="RGGB", EXPTIME=0.5)
    camera.take("Flat/F", 6, 6, level=20000, response=RESPONSE * COLORS, cards={"IMAGETYP": "Flat"})
    camera.take("Bias/B", 6, 7, cards={"IMAGETYP": "Bias"})


def flats_called_lights(folder):
    """Flats whose header says light, in a folder that says flats; times with a Z; twelve bits that start at 0."""
    camera = Camera(folder, INSTRUME="ATR2600M", EXPTIME=0.5)
    times = {"IMAGETYP": "Light Frame", "DATE-OBS": "2023-01-02T06:00:00.000Z"}
    camera.take("Flats/F", 6, 6, lambda data: np.minimum(data, 4095), 8000, times, gain=4, offset=30)
    camera.take("Bias/B", 6, 7, gain=4, offset=30, cards={"IMAGETYP": "Bias"})


#: Cases whose flat comes out right, with the electrons that reach a pixel at the centre.
FLATS = {
    "two_gains": (two_gains, 20000),
    "dark_flats": (dark_flats, 20000),
    "nested_flat_darks": (nested_flat_darks, 20000),
    "master_in_fractions": (master_in_fractions, 20000),
    "flag_for_a_pattern": (flag_for_a_pattern, 20000),
    "flats_called_lights": (flats_called_lights, 8000),
}


def full_at_a_plateau(folder):
    """Full at 52500 DN, with some noise, of a converter that goes to 65535."""
    camera = Camera(folder, INSTRUME="STL-11000", EXPTIME=0.5)
    full = np.rint(52500 + 60 * np.random.default_rng(1).standard_normal(SHAPE))
    flats = {"IMAGETYP": "FLAT"}
    camera.take("FLAT/f", 6, 6, lambda data: np.where(data > 52500, full, data).astype(np.uint16), 56000, flats)
    camera.take("BIAS/b", 6, 7, cards={"IMAGETYP": "BIAS"})


def nothing_tells_the_zero_level(folder):
    """Flats of a monochrome camera with an empty BAYERPAT, and no offset frames."""
    Camera(folder, INSTRUME="DSI III", EXPTIME=0.5, BAYERPAT="").take("F", 6, 6, level=9500, cards={"IMAGETYP": "Flat"})


def darks_of_two_temperatures(folder):
    """Darks of -10 and +5 degrees in one folder; lights of -10 degrees under an even sky."""
    camera = Camera(folder, INSTRUME="ASI2600MM", GAIN=100, FOCALLEN=400.0, TELESCOP="FRA400")
    camera.take("FLAT/f", 4, 6, level=30000, cards={"IMAGETYP": "FLAT", "EXPTIME": 0.5})
    camera.take("BIAS/b", 6, 7, cards={"IMAGETYP": "BIAS", "EXPTIME": 0.0})
    cold, warm = ({"EXPTIME": 300.0, "CCD-TEMP": each, "SET-TEMP": each} for each in (-10.0, 5.0))
    camera.take("LIGHT/l", 1, 2, level=6000, dark=300, cards={"IMAGETYP": "LIGHT"} | cold)
    camera.take("DARK/c", 4, 8, dark=300, cards={"IMAGETYP": "DARK"} | cold)
    camera.take("DARK/w", 4, 9, dark=1500, cards={"IMAGETYP": "DARK"} | warm)


def write_raws(folder, change, levels=(900.0, 2100.0, 1150.0), shutter=0.0, lights=(), **tags):
    """Flats of a Bayer camera that was turned twice before a lamp 3 % brighter on one side; a light of an even sky."""
    rng, cfa = np.random.default_rng(5), ColorFilterArray.from_name("RGGB")
    level = np.array(levels)[cfa.channel_map(SHAPE)]

    def write(name, scene, **fields):
        electrons = rng.poisson(2 * level * RESPONSE**2 * scene)
        mosaic = np.clip(np.rint(electrons / 2 + READ_NOISE * rng.standard_normal(SHAPE) + 512), 0, 16383)
        path = folder / f"{name}.dng"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_dng(path, change(mosaic, cfa).astype(np.uint16), exif(**fields, **tags), margins=(0, 0), black=(512,) * 4)

    ramp = 1 + shutter * np.linspace(-0.5, 0.5, SHAPE[0])[:, None]
    for index, lamp in enumerate(lamp for lamp in (U, V, -U) for _ in range(4)):
        write(f"flats/DSC{index:05d}", (1 + 0.03 * lamp) * ramp, index=index, exposure="1/4000" if shutter else "1/50")
    for name in lights:
        write(f"{name}/DSC09000", 0.5, index=900, exposure="10/1")


def hot_pixels_above_the_plateau(folder):
    def change(mosaic, cfa):
        mosaic = np.minimum(mosaic, 15200)
        mosaic[[20, 80, 100], [30, 150, 90]] = 15900, 15850, 16000
        return mosaic

    write_raws(folder, change, (6500.0, 16500.0, 8000.0))


def one_channel_is_full(folder):
    def change(mosaic, cfa):
        return np.where(cfa.channel_map(SHAPE) == 0, np.minimum(mosaic, 13000), mosaic)

    write_raws(folder, change, (14500.0, 14000.0, 8000.0))


def shutter_of_short_flats(folder):
    """Through an adapted lens, of which the camera knows nothing."""
    adapted = {"Exif.Photo.LensModel": "----", "Exif.Photo.FNumber": "0/1", "Exif.Photo.FocalLength": "0/1"}
    write_raws(folder, lambda mosaic, cfa: mosaic, shutter=0.08, lights=["night"], **adapted)


def proposed(case, folder):
    """What `make init` proposes for a folder, its one set named as the case, with paths from the folder above."""
    found = catalogue(str(folder), 1)
    config = yaml.safe_load(write_config(propose(found), str(folder), list_files(str(folder))))
    (flats,) = config["sets"].values()
    lights = list(config.get("lights", {}).values())
    for entry in (flats, *lights):
        for key in {"frames", "bias", "dark"} & set(entry):
            given = [entry[key]] if isinstance(entry[key], str) else entry[key]
            entry[key] = [f"{folder.name}/{pattern}" for pattern in given]
    return {case: flats}, {f"{case}_{k}": light | {"flat": case} for k, light in enumerate(lights)}


def project_of(folder, cases):
    project, sets, lights = Project.create(folder), {}, {}
    for case in cases:
        place = folder / "raws" / case.__name__
        case(place)
        if case.__name__ in TURNED:
            subsets = {name: {"slice": f"{4 * k}:{4 * k + 4}", "rotation": 90 * k} for k, name in enumerate("ABC")}
            sets[case.__name__] = {"frames": f"{case.__name__}/flats/*.dng", "subsets": subsets}
            if (place / "night").exists():
                lights["night"] = {"frames": f"{case.__name__}/night/*.dng", "flat": case.__name__}
        else:
            found = proposed(case.__name__, place)
            sets, lights = sets | found[0], lights | found[1]
    regions = {"center": {"row": "center", "column": "center", "size": 24}}
    project.configure({"raw_root": "raws", "sets": sets, "lights": lights, "regions": regions})
    return project


TURNED = ("hot_pixels_above_the_plateau", "one_channel_is_full", "shutter_of_short_flats")


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    cases = [make for make, _ in FLATS.values()]
    project = project_of(tmp_path_factory.mktemp("right") / "project", cases)
    project.run(*(f"results/{name}/flat_cfa.fits" for name in FLATS))
    return project


def corner_over_center(image):
    return image[CORNER].mean() / image[CENTER].mean()


@pytest.mark.parametrize("name", FLATS)
def test_the_flat_is_that_of_the_camera(right, name):
    """Within five errors of 600 pixels of six frames, whose corner and darkest colour get 0.3 of the centre's light."""
    flat = fits.getdata(right.path(f"{name}/flat_cfa.fits"))
    truth = RESPONSE * COLORS if name in ("two_gains", "flag_for_a_pattern") else RESPONSE
    error = 1 / np.sqrt(6 * 600 * 0.3 * FLATS[name][1])
    assert corner_over_center(flat) / corner_over_center(truth) == pytest.approx(1, abs=5 * error)


TOLD = [
    full_at_a_plateau,
    hot_pixels_above_the_plateau,
    one_channel_is_full,
    shutter_of_short_flats,
    nothing_tells_the_zero_level,
    darks_of_two_temperatures,
]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    project = project_of(tmp_path_factory.mktemp("told") / "project", TOLD)
    project.run("results/conclusions.yaml", "results/lights/darks_of_two_temperatures_0/l0.fits")
    return project


@pytest.mark.parametrize(
    ("case", "channel"),
    [("full_at_a_plateau", "MONO"), ("hot_pixels_above_the_plateau", "GREEN"), ("one_channel_is_full", "RED")],
)
def test_a_full_channel_is_on_the_front_page_with_what_to_do(told, case, channel):
    found = [each for each in told.conclusions()["warnings"] if f" of {case} " in each[0] and "saturated" in each[0]]
    assert len(found) == 1 and f"% of {channel}." in found[0][0] and "less light" in found[0][1]
    assert sum(f"% of {each}" in found[0][0] for each in ("RED", "GREEN", "BLUE", "MONO")) == 1
    mask = fits.getdata(told.path(f"{case}/flat_cfa.fits"), "MASK")
    assert mask[CENTER].any() and not mask[CORNER].any()


def test_the_shutter_of_short_flats_is_named_and_the_sky_not_blamed(told):
    story = told.conclusions()
    warnings = [text for text, _ in story["warnings"]]
    assert any("frames of shutter_of_short_flats were exposed for 1/4000 s" in text for text in warnings)
    (light,) = (text for text in warnings if text.startswith("Light night:"))
    assert "shutter of its short exposures" in light
    assert not any("This is the sky" in text for text in [*story["lights"], *story["findings"], *warnings])


def test_unknown_optics_and_an_unknown_zero_level_are_on_the_front_page(told):
    warnings = [text for text, _ in told.conclusions()["warnings"]]
    optics = [text for text in warnings if "was taken through its optics is not known" in text]
    assert len(optics) == 1 and "light night" in optics[0]
    (zero,) = (text for text in warnings if text.startswith("The zero level of"))
    assert zero.startswith("The zero level of nothing_tells_the_zero_level is not known")
    assert {row["cfa"] for row in read_table(told.path("nothing_tells_the_zero_level/frames.tsv"))} == {"MONO"}


def test_a_light_gets_the_dark_of_its_temperature(told):
    """The sky is even, within five errors of 600 pixels; darks of both temperatures would make it 10 % too dark."""
    sky = fits.getdata(told.path("lights/darks_of_two_temperatures_0/l0.fits"))
    error = np.hypot(1 / np.sqrt(600 * 6000), np.sqrt(6000 * 0.4) / (6000 * 0.4) / np.sqrt(600))
    assert corner_over_center(sky) == pytest.approx(1, abs=5 * error)
