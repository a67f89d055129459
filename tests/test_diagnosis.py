"""The diagnosis: causes of a light that is not even, against simulated lights whose causes are known."""

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from conftest import LONG
from PIL import Image
from skies import CAUSES, SKIES, Camera, draw_camera, photograph

from flatfield.measure.diagnosis import EXCLUDED, OPEN, SMALL, SUPPORTED, Diagnosis, diagnose_tiles
from flatfield.measure.flat_errors import smooth_errors
from flatfield.measure.sky import tile_sky
from flatfield.measure.tiles import Tiles, measure_mean, measure_sky, tile_positions
from flatfield.raw.cfa import ColorFilterArray
from flatfield.raw.decode import read_picture
from flatfield.raw.mosaic import Mosaic

#: Causes that stand for something wrong, or for a sky that is brighter on one side.
WRONG = {"encoded", "pedestal", "flat not flat", "sky gradient", "wrong flat"}
#: Skies that may be no more than brighter on one side.
LEANING = {"moonlight", "dome", "clouds", "airglow, zenith aside", "gaussian anywhere"}


def cut(camera, light, flat, source=None):
    """Tiles of a light and its flat."""
    pattern = ColorFilterArray.from_name("RGGB" if camera.colors else "MONO")
    good, unknown = np.ones(camera.shape, bool), (None, "not known")
    if source is not None:
        unknown = measure_mean(source.astype(np.float32), good, pattern)[0], ""
    master = Mosaic(flat, pattern, fits.Header())
    return tile_sky("light", (light, good, pattern), master, lambda known: unknown)[0]


def verdicts(tiles, is_picture=False, **options):
    rows, _ = diagnose_tiles(tiles, is_picture, "not known", **options)
    return {row["cause"]: row for row in rows}


def supported(found):
    return {cause for cause in WRONG if found[cause]["verdict"] == SUPPORTED}


def campaign(names, seeds, **fixed):
    """What was said of lights of each name."""
    said = defaultdict(Counter)
    for name in names:
        for seed in range(seeds):
            rng = np.random.default_rng([sorted([*SKIES, *CAUSES, "even"]).index(name), seed])
            # without colours a round sky would explain an encoded raw file as well
            colors = {"colors": True} if "gamma" in name else {}
            camera = draw_camera(rng, **fixed, **colors)
            found = verdicts(cut(camera, *photograph(name, camera, rng)))
            said[name][frozenset(supported(found))] += 1
    for name, counts in said.items():
        print(name, {tuple(sorted(key)): count for key, count in counts.items()})
    return said


def test_no_sky_is_taken_for_a_cause():
    """420 lights (21 in the short form) of skies that have structure, and even ones: no cause is at work."""
    said = campaign([*SKIES, "even"], 20 if LONG else 1)
    for name, counts in said.items():
        # some of these are brighter on one side, and hardly curved
        assert all(found <= ({"sky gradient"} if name in LEANING else set()) for found in counts), name


def test_true_causes_are_found():
    """300 lights (15 in the short form), sizes that matter, clear vignetting: at most 5 % lost, nothing else said."""
    seeds = 20 if LONG else 1
    said = campaign(CAUSES, seeds, level=2000.0, binned=3, curvature=0.8, power=2.0)
    lost = 0
    for name, (causes, _) in CAUSES.items():
        assert all(found <= causes for found in said[name]), name
        lost += seeds - said[name][frozenset(causes)]
    assert lost <= 0.05 * seeds * len(CAUSES)


@pytest.mark.parametrize("name", ["pedestal of 10 %", "black level 3 % off"])
def test_size_of_a_pedestal(name):
    """Within four errors and 0.2 % of the light."""
    camera = Camera(binned=3)
    for seed in range(2):
        light, flat = photograph(name, camera, np.random.default_rng([9, seed]))
        text = verdicts(cut(camera, light, flat))["pedestal"]["evidence"]
        assert text.startswith("looks like ") and text.endswith(" : 1")
        parts = text.removeprefix("looks like ").split(" DN")[0].split(", ")
        levels = camera.level * camera.gain * np.array([0.5, 1.0, 0.6])
        truth = 0.1 * levels if name == "pedestal of 10 %" else np.full(3, 0.03 * levels[1])
        for part, true, level in zip(parts, truth, levels, strict=True):
            value, error = (float(each) for each in part.split(" +- "))
            assert abs(value - true) < 4 * error + 0.002 * level


def test_a_small_gradient_is_there():
    """1 % along the diagonal is small; 3 % is named; neither is excluded, and the size is right."""
    camera = Camera(binned=6, level=3000.0)
    x, _ = camera.positions()
    rng = np.random.default_rng(4)
    for size, verdict in ((0.7, SMALL), (3.0, SUPPORTED)):
        electrons = camera.level * camera.sensitivity() * camera.lens() * (1 + size / 200 * x)
        row = verdicts(cut(camera, camera.expose(electrons, rng), camera.lens().astype(np.float32)))["sky gradient"]
        assert row["verdict"] == verdict
        value, error = row["evidence"].removeprefix("looks like ").split(" % ")[0].split(" +- ")
        assert abs(float(value) - size) < 4 * float(error)
        assert row["size_percent"] == pytest.approx(size / 2 * x.std(), rel=0.2)


def test_a_galaxy_is_structure_of_the_sky():
    camera = Camera(binned=3)
    x, y = camera.positions()
    sky = 1 + 0.08 * np.exp(-((x - 0.05) ** 2 + (y + 0.03) ** 2) / 2 / 0.25**2)
    electrons = camera.level * camera.sensitivity() * camera.lens() * sky
    light = camera.expose(electrons, np.random.default_rng(5))
    found = verdicts(cut(camera, light, camera.lens().astype(np.float32)))
    assert found["sky structure"]["verdict"] == SUPPORTED and not supported(found)


def wrong_by(size, camera, rng):
    """Round functions of degree 2 and 4, `size` and a quarter of that (rms), at the tiles; a sum of them at pixels."""

    def round_terms(x, y):
        squared = x * x + y * y
        return np.array([2 * squared - 1, 6 * squared**2 - 6 * squared + 1])

    pixels = round_terms(*camera.positions())
    scale = np.array([size, size / 4]) / pixels.std(axis=(1, 2))
    tiles = round_terms(*np.meshgrid(*tile_positions(camera.shape)))
    return tiles * scale[:, None, None], np.tensordot(rng.standard_normal(2) * scale, pixels, 1)


def judge_beside_hidden(name, camera, seed, size=0.006):
    """What is said of a light whose flat holds a round lamp, if that may be, and if the flat is taken to be right."""
    rng = np.random.default_rng([11, seed])
    functions, error = wrong_by(size, camera, rng)
    light, flat = photograph(name, camera, rng)
    tiles = cut(camera, light, (flat * np.exp(error)).astype(np.float32))
    return verdicts(replace(tiles, flat_errors=functions)), verdicts(tiles)


def test_what_the_light_source_hides_is_no_cause():
    """A lamp that is brighter in the middle, by 0.6 % rms or so, looks like a pedestal and other things."""
    camera, alone = Camera(binned=6, level=3000.0, colors=False), set()
    for seed in range(6):
        found, without = judge_beside_hidden("even", camera, seed)
        assert not supported(found) and found["sky structure"]["verdict"] != SUPPORTED
        alone |= supported(without) | {cause for cause in ("sky structure",) if without[cause]["verdict"] == SUPPORTED}
    assert alone  # the flats are wrong enough to matter


def test_the_size_of_a_cause_holds_what_the_light_source_hides():
    """Pedestals of 10 % of the light: pulls of the size, 0 +- 1, of six lights each with and without colours."""
    pulls = []
    for colors in (True, False):
        camera = Camera(binned=6, level=3000.0, colors=colors)
        change = np.log1p(0.1 / camera.lens())
        channels = [change[camera.filters() == channel] for channel in np.unique(camera.filters())]
        true = 100 * np.sqrt(np.mean([np.var(each) for each in channels]))
        for seed in range(6):
            row = judge_beside_hidden("pedestal of 10 %", camera, seed + 6 * colors)[0]["pedestal"]
            assert row["verdict"] == SUPPORTED or not colors  # a round sky looks like it
            pulls.append((row["size_percent"] - true) / row["error_percent"])
    assert np.abs(pulls).max() < 3.5 and abs(np.mean(pulls)) < 4 / np.sqrt(len(pulls))


def test_a_gradient_and_a_shifted_flat_widen_the_error_of_each_other():
    """Both at work, in faint lights without colours: sizes are right within 3.5 of their errors."""
    camera, pulls = Camera(level=400.0, binned=3, colors=False), []
    for seed in range(6):
        rng = np.random.default_rng([12, seed])
        turns = rng.uniform(0, 2 * np.pi, 2)
        (u, v), (c, s) = camera.positions(), (np.cos(turns), np.sin(turns))
        sky = 1 + 0.08 * (u * c[0] + v * s[0])
        light = camera.expose(camera.level * sky * camera.lens(u - 0.02 * c[1], v - 0.02 * s[1]), rng)
        found = verdicts(cut(camera, light, camera.lens().astype(np.float32)))
        true = 100 * np.log(sky).std()
        row = found["sky gradient"]
        pulls.append((row["size_percent"] - true) / row["error_percent"])
    assert np.abs(pulls).max() < 3.5 and np.sqrt(np.mean(np.square(pulls))) < 2


def test_errors_of_a_flat_from_its_light_source():
    """Quarter turns: round terms and those of order 4 are in the flat whole, a third of an error of order 1."""
    unknown, columns = "not determined", ("channel", "n", "m", "kind", "percent", "error")
    rows = [(1, 1, "cos", "2.0", "0.3"), (1, 1, "sin", "1.0", "0.3"), (2, 0, "radial", unknown, unknown)]
    rows += [(2, 2, "cos", "0.1", "0.2"), (2, 2, "sin", "0.1", "0.2")]
    terms = [dict(zip(columns, ("ALL", *row), strict=True)) for row in rows]
    geometry = [
        {"subset": each, "quantity": "rotation", "found": angle}
        for each, angle in zip("abc", (0, 90, 180), strict=True)
    ]
    x, y = tile_positions((200, 300))
    u, v = np.meshgrid(x, y)
    across, down, *_, radial = smooth_errors(terms, geometry, True, x, y)
    np.testing.assert_allclose(across, 0.003 / 3 * u, atol=1e-9)
    np.testing.assert_allclose(down, 0.003 / 3 * v, atol=1e-9)
    # as large as those of degree 2 that show (0.1 and 0.1 are within their errors), and 0.5 % over the circle
    np.testing.assert_allclose(radial, 0.005 * np.sqrt(3) * (2 * (u * u + v * v) - 1), atol=1e-6)
    left = smooth_errors(terms, geometry, False, x, y)[0]
    np.testing.assert_allclose(left, np.hypot(0.02, 0.003) / 3 * u, atol=1e-9)


def test_a_light_source_in_the_flat():
    """Its form is known from the rotations: that the flat holds it is found, and excluded if it does not."""
    camera = Camera(binned=3)
    x, y = camera.positions()
    source = 0.02 * y + 0.01 * x * y + 0.01 * x * x
    light, _ = photograph("even", camera, np.random.default_rng(6))
    for holds in (True, False):
        flat = camera.lens() * np.exp(source * holds)
        found = verdicts(cut(camera, light, flat.astype(np.float32), source))
        assert found["flat not flat"]["verdict"] == (SUPPORTED if holds else EXCLUDED)
        assert supported(found) == ({"flat not flat"} if holds else set())


def shutter_light(slope_across, slope_down):
    """A light whose flat is brighter to the right and to the top by as much, percent from edge to edge."""
    camera = Camera(binned=3, shape=(160, 240))
    light, _ = photograph("even", camera, np.random.default_rng(7))
    x, y = camera.positions()
    ramp = 1 + slope_across / 100 * x / np.ptp(x) + slope_down / 100 * y / np.ptp(y)
    return cut(camera, light, (camera.lens() * ramp).astype(np.float32))


def test_the_shutter_of_short_flats():
    """A gradient from top to bottom may be that of the shutter; one from left to right is not."""
    down, across = shutter_light(0, 8), shutter_light(8, 0)
    assert verdicts(down)["sky gradient"]["verdict"] == SUPPORTED  # nothing is known of the exposure
    assert verdicts(down, flat_exposure_s=1 / 60)["sky gradient"]["verdict"] == SUPPORTED
    found = verdicts(down, flat_exposure_s=1 / 4000, light_exposure_s=10.0)
    assert found["sky gradient"]["verdict"] == found["shutter"]["verdict"] == OPEN
    assert "1/4000 s" in found["shutter"]["evidence"] and "sky" in found["shutter"]["evidence"]
    assert not supported(found)
    assert verdicts(down, flat_exposure_s=1 / 4000, light_exposure_s=1 / 4000)["sky gradient"]["verdict"] == SUPPORTED
    found = verdicts(across, flat_exposure_s=1 / 4000, light_exposure_s=10.0)
    assert supported(found) == {"sky gradient"} and found["shutter"]["verdict"] != SUPPORTED


def test_stars_do_not_move_the_sky():
    """Mean of tiles of an even sky with stars, within its errors; in small tiles and in large ones."""
    for shape in ((240, 360), (960, 1440)):
        rng = np.random.default_rng(2)
        light = 1000 + 20 * rng.standard_normal(shape).astype(np.float32)
        light[rng.random(shape) < 0.01] += 3000
        level, error = measure_sky(light, np.ones(shape, bool), ColorFilterArray.from_name("RGGB"))
        assert np.nanmean((level - 1000) / error) == pytest.approx(0, abs=0.2)
        assert np.nanstd((level - 1000) / error) == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("name", ["even", "gradient of 40 %"])
@pytest.mark.parametrize("curve", ["srgb", "bt709"])
def test_a_picture_is_found_to_be_encoded(tmp_path, curve, name):
    """An 8-bit JPEG of a noisy sky, by the formulas of the standards."""
    camera = Camera(level=4000.0, shape=(240, 360))
    light, flat = photograph(name, camera, np.random.default_rng(4))
    u = np.clip(light / camera.gain / camera.sensitivity() / camera.level / 2, 0, 1)
    v = np.where(u <= 0.0031308, 12.92 * u, 1.055 * u ** (1 / 2.4) - 0.055)
    if curve == "bt709":
        v = np.where(u < 0.018, 4.5 * u, 1.099 * u**0.45 - 0.099)
    path = tmp_path / "sky.jpg"
    Image.fromarray(np.rint(255 * np.stack([v] * 3, axis=-1)).astype(np.uint8)).save(path, quality=95)
    planes = read_picture(path)
    level, error = measure_sky(planes, np.ones(camera.shape, bool))
    flats = cut(camera, light, flat).flat
    found = verdicts(Tiles(*tile_positions(camera.shape), level, error, flats), is_picture=True)
    assert supported(found) - {"sky gradient"} == {"encoded"}
    assert ("sky gradient" in supported(found)) == (name != "even")


def test_too_few_tiles():
    """Nothing is said of a light without a sky."""
    camera = Camera()
    light, flat = photograph("even", camera, np.random.default_rng(8))
    found = verdicts(cut(camera, light * 0, flat))
    assert {row["verdict"] for row in found.values()} == {OPEN}


def test_the_largest_odds_are_not_given_as_numbers():
    camera = Camera(binned=3)
    light, flat = photograph("flat shifted by 6 %", camera, np.random.default_rng(1))
    diagnosis = Diagnosis(cut(camera, light, flat))
    assert "more than 1e+06 : 1" in diagnosis.verdicts()["wrong flat"]["evidence"]
