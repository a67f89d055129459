"""A sensor that is not linear: found from levels of frames, taken out of lights and their flats; by simulation."""

import numpy as np
import pytest
from astropy.io import fits
from conftest import LONG, Project, exif
from test_workflow import table

from flatfield.demo.simulation import coordinates, write_dng
from flatfield.files.frame_table import FrameRecord
from flatfield.measure.level_fit import LevelEvidence, describe_black, measure_levels, solve_blacks
from flatfield.measure.linearity import CameraEvidence, gather_sets, judge_linearity
from flatfield.measure.pair_evidence import PairEvidence
from flatfield.measure.straightening import straighten
from flatfield.measure.tile_noise import DISTANCES
from flatfield.raw.cfa import CHANNELS, ColorFilterArray

GAIN, BLACK, WHITE = 4.0, 512, 16383
FULL = WHITE - BLACK
COLORS = 0.5, 1.0, 0.6


def bend(light, percent):
    """What a sensor records that is `percent` below a straight line at saturation."""
    return light - percent / 100 * light**2 / FULL


def test_straightening_is_the_inverse_of_bending():
    light = np.linspace(-20, 12000, 50)
    for percent in (-5, 0, 2, 8):
        np.testing.assert_allclose(straighten(bend(light, percent), percent / 100 / FULL), light, rtol=1e-12)


def blocks_of(seed, levels=(0.25, 0.5, 1.0), percent=0.0, pedestal=0.0, shape=(44, 66), frames=10, jitter=0.02, lamp=1):
    """Blocks of a vignetted flat in three channels, ``(frames, channels, rows, columns)``, and records of the frames.

    Each level is a subset; the lamp, uneven by 2 %, turns with it.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    half = np.hypot(*shape) / 2
    u, v = (x - (shape[1] - 1) / 2) / half, (y - (shape[0] - 1) / 2) / half
    maps, records = [], []
    for index in range(len(levels) * frames):
        turn = index // frames
        across, down = ((u, v), (v, -u), (-u, -v))[turn % 3]
        source = np.exp(lamp * (0.02 * across + 0.012 * down - 0.01 * across**2))
        level = 7500 * levels[turn] * (1 + jitter * rng.standard_normal())
        light = [level * color * source / (1 + 0.8 * (u * u + v * v)) ** 2 for color in COLORS]
        seen = [each + np.sqrt(each / GAIN / 1000) * rng.standard_normal(u.shape) for each in light]
        maps.append([bend(each, percent) + pedestal for each in seen])
        records.append(FrameRecord(f"{index}", subset="ABC"[turn]))
    return np.array(maps), records


WORLDS = {
    "linear": {},
    "bent": {"percent": 2.0},
    "bent upwards, black left": {"percent": -3.0, "pedestal": 8.0},
    "two levels": {"levels": (0.5, 1.0), "percent": 2.0, "pedestal": -5.0},
    "one level": {"levels": (1.0, 1.0, 1.0), "percent": 2.0, "jitter": 0.002},
}


@pytest.mark.parametrize("name", WORLDS)
def test_levels_tell_black_and_curvature_apart(name):
    """Of each channel, and of all, within their errors; one level tells neither."""
    world = WORLDS[name]
    pulls, sizes = [], []
    for seed in range(200 if LONG else 15):
        levels, _ = measure_levels(*blocks_of(seed, **world), CHANNELS)
        found, errors = levels.solve()
        percent, error = 100 * FULL * found[-1], 100 * FULL * errors[-1]
        pulls.append(
            [(percent - world.get("percent", 0)) / error, *(found[:-1] - world.get("pedestal", 0)) / errors[:-1]]
        )
        sizes.append(error)
    count = len(pulls)
    # the larger part of an error may be of rings that differ between subsets by 0.01 %, which these do not
    assert (np.abs(np.mean(pulls, axis=0)) < 0.15 + 4 / np.sqrt(count)).all()
    assert (np.std(pulls, axis=0) < 1.1 + 3 / np.sqrt(2 * count)).all()
    assert np.median(sizes) > 1 if name == "one level" else np.median(sizes) < 0.4


@pytest.mark.parametrize("pedestal", [0, 50, -20])
def test_a_black_level_that_is_wrong_is_said(pedestal):
    for seed in range(40 if LONG else 4):
        levels, _ = measure_levels(*blocks_of(seed, levels=(1, 0.6, 1.1), pedestal=pedestal), CHANNELS)
        for found, error in solve_blacks(levels, [FULL] * 3):
            assert abs(found - pedestal) < 4.5 * error < 30
            assert bool(describe_black((found, error))) == bool(pedestal)


def test_a_lamp_that_turns_is_no_black_level():
    """Uneven by 12 %, in blocks so coarse that rings do not lie the same way after a turn: nothing is significant."""
    for seed in range(200 if LONG else 10):
        maps, records = blocks_of(seed, levels=(1, 1, 1), shape=(11, 16), lamp=6, frames=20)
        levels, _ = measure_levels(maps, records, CHANNELS)
        found, errors = levels.solve()
        assert (np.abs(found) < 4.5 * errors).all()
        assert not any(map(describe_black, solve_blacks(levels, [FULL] * 3)))


def test_sets_of_one_camera_show_more_together():
    """Two sets, two levels each, of one black level: their sum is as good as one with all levels."""
    pulls, errors = [], []
    for seed in range(60 if LONG else 10):
        first, _ = measure_levels(*blocks_of(seed, levels=(0.3, 0.6), percent=2.0, pedestal=6.0), CHANNELS)
        second, _ = measure_levels(*blocks_of(seed + 1000, levels=(0.7, 1.1), percent=2.0, pedestal=6.0), CHANNELS)
        alone, both = (each.solve() for each in (first, first + second))
        pulls.append((both[0] - [6, 6, 6, 0.02 / FULL]) / both[1])
        errors.append(both[1] / alone[1])
        # where each has a bias of its own, only the curvature is shared
        biased, _ = measure_levels(*blocks_of(seed + 2000, levels=(0.7, 1.1), percent=2.0), CHANNELS)
        apart = (first + biased.without_black(1.0)).solve()
        assert alone[1][-1] > apart[1][-1] and abs(apart[0][-1] * FULL - 0.02) < 4 * apart[1][-1] * FULL
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.15 + 4 / np.sqrt(len(pulls)) and np.median(errors) < 0.7


def test_which_sets_are_asked_together():
    """Those of one camera, ISO and zero level that show the same; for shadings, of the same optics as well."""
    own = {"camera": "A7", "iso": 100, "lens": "14 mm", "cfa": "RGGB", "zero_level": "metadata", "black_dn": (512,) * 4}
    others = {
        "own": {},
        "same": {},
        "lens": {"lens": "35 mm"},
        "iso": {"iso": 200},
        "black": {"black_dn": (511,) * 4},
        "body": {"body": "2"},
        "bent": {},
        "few": {},
    }
    frames = {name: [FrameRecord("a", level_dn=4000.0, white_dn=WHITE, **own | more)] for name, more in others.items()}

    def read(name):
        few = {"levels": (1.0,), "jitter": 0.002} if name == "few" else {}
        levels, _ = measure_levels(*blocks_of(len(name), percent=4.0 if name == "bent" else 0.0, **few), CHANNELS)
        tiles = np.full((2, 3 + len(DISTANCES), 3, 4, 6), 100.0)
        none = np.zeros((0, 1))
        return PairEvidence(tiles, 16, (96, 144), none, none, np.zeros(2), pairs=4, levels=levels)

    found = gather_sets("own", frames, read)
    assert found.sets == ["own", "same", "lens", "few"] and len(found.tiles) == 6
    assert found.levels.solve()[1][-1] < 0.7 * read("own").levels.solve()[1][-1]
    assert found.full == [FULL] * 3 and found.has_black
    assert gather_sets("body", frames, read).sets == ["body"]
    # one that shows little agrees with all, but these do not with each other
    assert gather_sets("few", frames, read).sets == ["few"]
    for frame in frames["own"] + frames["same"]:
        frame.camera = None  # of which nobody knows whether it is one
    assert gather_sets("own", frames, read).sets == ["own"]


def judged(value, error, noise):
    """Verdict on a curvature (percent) that levels and noise show."""
    information = np.diag([1e6, 1e6, 1e6, (error / 100 / FULL) ** -2])
    levels = LevelEvidence(information, information @ [0, 0, 0, -value / 100 / FULL], 1000.0, 9000.0)
    empty = np.zeros((0, 1))
    pairs = PairEvidence(np.zeros((0, 11, 3, 1, 1)), 16, (96, 144), empty, empty, np.zeros(2))
    camera = CameraEvidence(pairs, ColorFilterArray.from_name("RGGB"), [FULL] * 3, levels=levels, sets=["a"])
    row = judge_linearity(camera, noise)
    assert row["meaning"] and (row["percent"] - value) ** 2 < 1e-6
    return row["verdict"]


def test_two_witnesses_are_needed_to_correct():
    assert judged(-2.0, 0.1, (-1.8, 0.2)) == "found"
    assert judged(-2.0, 0.1, None) == "not told"  # nobody else saw it
    assert judged(-2.0, 0.1, (-1.8, 1.5)) == "not told"
    assert judged(-2.0, 0.1, (0.2, 0.2)) == "not told"  # the noise denies it
    assert judged(-2.0, 0.5, (-1.8, 0.2)) == "not told"
    assert judged(0.1, 0.1, (0.2, 0.2)) == "excluded"


def test_what_levels_do_not_show():
    maps, records = blocks_of(1, frames=3)
    assert measure_levels(maps[:3], records[:3], CHANNELS)[1] == "3 frames are too few"
    assert "rings" in measure_levels(maps[..., :6, :6], records, CHANNELS)[1]
    even = np.full((12, 1, 20, 30), 5000.0) * (1 + 1e-4 * np.random.default_rng(1).standard_normal((12, 1, 20, 30)))
    levels, _ = measure_levels(even, [FrameRecord("a", subset="A")] * 12, ("MONO",))
    assert solve_blacks(levels, [FULL]) == [None]  # light that does not fall off
    for record in records:
        record.saturations_dn = {"GREEN": 15000.0}
    levels, _ = measure_levels(*blocks_of(1)[:1], [*records[:1], *blocks_of(1)[1][1:]], CHANNELS)
    assert [each is None for each in solve_blacks(levels, [FULL] * 3)] == [False, True, False]


# Through the workflow

SHAPE, SCENE, BRIGHT = (288, 432), 800.0, 10000.0
BOX = np.s_[120:168, 180:252]


def write_frames(folder, levels, percent, rng, start=0, scene=1.0, iso=100):
    folder.mkdir(parents=True)
    cfa = ColorFilterArray.from_name("RGGB")
    for index, level in enumerate(levels):
        light = level * scene * response()
        recorded = bend((rng.poisson(light * GAIN) + 4 * rng.standard_normal(SHAPE)) / GAIN, percent)
        mosaic = np.clip(np.rint(recorded + BLACK), 0, WHITE).astype(np.uint16)
        fields = exif(start + index, iso=iso)
        write_dng(
            folder / f"F{index:02d}.dng", mosaic, fields, cfa=cfa, margins=(0, 0), black=(BLACK,) * 4, white=WHITE
        )


def response():
    x, y = coordinates(*SHAPE)
    colors = np.array(COLORS)[ColorFilterArray.from_name("RGGB").channel_map(SHAPE)]
    return colors * (1 + 0.8 * (x * x + y * y)) ** -2 * (1 + 0.004 * np.random.default_rng(11).standard_normal(SHAPE))


@pytest.fixture(scope="module")
def scene():
    scene = np.full(SHAPE, SCENE)
    scene[BOX] = BRIGHT
    return scene


@pytest.fixture(scope="module")
def cameras(tmp_path_factory, scene):
    """A camera that is 2 % off linear and one that is not, flats of three levels, and lights; made both ways."""
    project, rng = Project.create(tmp_path_factory.mktemp("cameras") / "project"), np.random.default_rng(5)
    levels = np.repeat([2800, 5600, 11000], 10) * (1 + 0.01 * rng.standard_normal(30))
    sets, lights = {}, {}
    for name, percent, iso in (("bent", 2.0, 100), ("straight", 0.0, 200)):
        raws = project.folder / "raws" / name
        write_frames(raws / "flats", levels, percent, rng, iso=iso)
        write_frames(raws / "lights", [1], percent, rng, start=50, scene=scene, iso=iso)
        turns = {letter: {"slice": f"{10 * k}:{10 * k + 10}", "rotation": 90 * k} for k, letter in enumerate("ABC")}
        sets[name] = {"frames": f"{name}/flats/*.dng", "subsets": turns, "exposure_span": 10}
        lights[name] = {"frames": f"{name}/lights/*.dng", "flat": name}
    write_frames(project.folder / "raws/dazzled", [1], 2.0, rng, start=60, scene=np.full(SHAPE, 15000.0))
    lights["dazzled"] = {"frames": "dazzled/*.dng", "flat": "bent"}
    box = {"row": 230, "column": "center", "size": 36}
    project.configure(
        {
            "raw_root": "raws",
            "sets": sets,
            "lights": lights,
            "regions": {"center": box, "corner": {"row": 0, "column": 0, "size": 36}},
            "apply": {"products": ["mosaic"]},
        }
    )
    project.run(*(f"results/lights/{name}/diagnosis.tsv" for name in lights))
    project.path("lights").rename(project.path("as_recorded"))
    project.change_config(lambda config: config["apply"].update(linearity="correct"))
    project.run("results/conclusions.yaml")
    return project


def calibrated(project, folder, name):
    with fits.open(project.path(f"{folder}/{name}/F00.fits")) as hdus:
        return hdus[0].data.astype(float), hdus["UNCERT"].data.astype(float), hdus[0].header


def off(project, folder, scene, name="bent"):
    """Bright over dark part of the calibrated light, against the truth, and rms of its deviation over its error."""
    value, error, _ = calibrated(project, folder, name)
    colors = np.array(COLORS)[ColorFilterArray.from_name("RGGB").channel_map(SHAPE)]
    dark = scene == SCENE
    factor = np.median((value / colors)[dark]) / SCENE  # what is 1 in the flat is a convention
    relative = value / colors / factor / scene - 1
    return relative[~dark].mean(), np.sqrt(np.mean((relative * value / error)[~dark] ** 2))


def test_a_sensor_that_is_not_linear_is_taken_out_of_light_and_flat(cameras, scene):
    """2 % at saturation: a bright part is 0.7 % too faint as recorded, and right within its error when corrected."""
    (row,) = table(cameras.path("bent/linearity.tsv"))
    assert row["verdict"] == "found" and row["sets"] == "bent"
    assert abs(float(row["percent"]) + 2) < 4 * float(row["error"]) < 1.6
    _, _, header = calibrated(cameras, "lights", "bent")
    assert header["LINEAR"] == "corrected"
    assert abs(header["LINCURV"] * FULL - 0.02) < 4 * header["LINERROR"] * FULL
    noise = 1e-3  # of the mean of 2304 pixels of S/N 100 to 200
    before, rms_before = off(cameras, "as_recorded", scene)
    after, rms_after = off(cameras, "lights", scene)
    assert before < -0.005 and rms_before > 1.3, (before, rms_before)
    assert abs(after) < 4 * np.hypot(header["LINERROR"] * BRIGHT, noise) and rms_after < 1.15
    (found,) = [row for row in table(cameras.path("lights/bent/diagnosis.tsv")) if row["cause"] == "not linear"]
    assert found["verdict"] == "corrected" and found["size_percent"] == row["percent"]


def test_a_clean_camera_is_not_touched(cameras):
    for part in (0, 1):
        as_recorded, now = (calibrated(cameras, folder, "straight")[part] for folder in ("as_recorded", "lights"))
        np.testing.assert_array_equal(as_recorded, now)
    assert calibrated(cameras, "lights", "straight")[2]["LINEAR"] == "as recorded"
    findings = cameras.conclusions()["findings"]
    assert any(
        "Light straight, F00: light and flat are as recorded (the signal is less than" in each for each in findings
    )
    assert not [each for each in table(cameras.path("as_recorded/bent/diagnosis.tsv")) if each["cause"] == "not linear"]


def test_a_light_beyond_the_measured_levels_says_so(cameras):
    warnings = [text for text, _ in cameras.conclusions()["warnings"] if "Light dazzled" in text]
    assert len(warnings) == 1 and "are brighter than the" in warnings[0] and "up to which linearity was" in warnings[0]
    value, error, header = calibrated(cameras, "lights", "dazzled")
    colors = np.array(COLORS)[ColorFilterArray.from_name("RGGB").channel_map(SHAPE)]
    beyond = value * response() / response().max() > 1.15 * header["LINRANGE"]
    assert beyond.any()
    # what lies beyond may be as bent as below, or not at all
    least = header["LINCURV"] * 0.1 * header["LINRANGE"]
    assert (error[beyond] / value[beyond] > least).all() and colors[beyond].min() == 1
