"""The doctor: causes of a light that is not even, against simulated lights whose causes are known."""

from collections import Counter, defaultdict
from itertools import combinations

import numpy as np
import pytest
from conftest import LONG
from PIL import Image

from flatfield.combine.demosaicing import interpolate_bilinear
from flatfield.demo.simulation import coordinates
from flatfield.measure import diagnosis
from flatfield.measure.tiles import Tiles, measure_mean, measure_sky, tile_positions
from flatfield.raw.cfa import ColorFilterArray

RGGB, SHAPE, LEVEL = ColorFilterArray.from_name("RGGB"), (240, 360), 2000.0
X, Y = coordinates(*SHAPE)
COLOR = np.array([0.5, 1.0, 0.6])[RGGB.channel_map(SHAPE)]
FALLOFF = np.array([3.5, 3.3, 3.4])[RGGB.channel_map(SHAPE)]
SOURCE = 0.02 * Y + 0.01 * X * Y + 0.005 * X  # ln of what a bad flat holds of its lamp
GOOD = np.ones(SHAPE, bool)


def vignetting(x, y):
    return (1 + (np.sqrt(FALLOFF) - 1) * (x * x + y * y)) ** -2


def simulate(causes, rng):
    """A light with these causes, stars and noise, DN above black; and the true size of what is random."""
    flat, truth = vignetting(X, Y), {}
    if "wrong flat" in causes:
        shift, scale = rng.uniform(0.03, 0.08) * rng.choice([-1, 1]), rng.choice([0.9, 1, 1.12])
        flat = vignetting((X - shift) / scale, (Y + shift / 2) / scale)
    if "flat not flat" in causes:
        flat = flat * np.exp(-SOURCE)
    sky = np.ones(SHAPE)
    if "sky gradient" in causes:
        angle = rng.uniform(0, 2 * np.pi)
        sky = sky + rng.uniform(0.04, 0.15) * (X * np.cos(angle) + Y * np.sin(angle))
    electrons = 5 * LEVEL * COLOR * sky * flat
    for row, column in rng.integers(4, np.array(SHAPE) - 4, (60, 2)):
        profile = np.exp(-((np.arange(-3, 4)[:, None] ** 2 + np.arange(-3, 4) ** 2) / 2))
        electrons[row - 3 : row + 4, column - 3 : column + 4] += 5000 * min(rng.pareto(1.1), 100) * profile
    light = rng.poisson(electrons) / 5 + 5 * rng.standard_normal(SHAPE)
    if "pedestal" in causes:
        truth["pedestal"] = rng.uniform(0.05, 0.2) * rng.choice([-0.7, 1])
        light = light + truth["pedestal"] * LEVEL * COLOR
    if "encoded" in causes:
        truth["gamma"] = rng.uniform(1.3, 2.4)
        light = 4000 * np.maximum(light / 4000, 1e-6) ** (1 / truth["gamma"])
    return light.astype(np.float32), truth


@pytest.fixture(scope="module")
def flat():
    """Tiles of the flat and of the light source that it holds."""
    level, _ = measure_mean(vignetting(X, Y).astype(np.float32), GOOD, RGGB)
    source, _ = measure_mean(SOURCE.astype(np.float32), GOOD, RGGB)
    return level, source


def diagnose(light, flat, source):
    level, error = measure_sky(light, GOOD, RGGB)
    tiles = Tiles(*tile_positions(SHAPE), level, error, flat, source)
    return diagnosis.Doctor(tiles).diagnose()


def supported(found):
    return frozenset(cause for cause in diagnosis.CAUSES if found[cause] and found[cause]["verdict"] == "supported")


def test_confusion_matrix(flat):
    """200 lights (80 in the short form): clean ones, each cause, and all pairs."""
    clean, single, double = (30, 20, 7) if LONG else (10, 8, 3)
    cases = [((), clean)] + [((cause,), single) for cause in diagnosis.CAUSES]
    cases += [(pair, double) for pair in combinations(diagnosis.CAUSES, 2)]
    matrix = defaultdict(Counter)
    for number, (causes, count) in enumerate(cases):
        for seed in range(count):
            light, _ = simulate(causes, np.random.default_rng([number, seed]))
            matrix[causes][supported(diagnose(light, *flat))] += 1
    for causes, found in matrix.items():
        print(causes, {tuple(sorted(key)): count for key, count in found.items()})
    assert sum(sum(found.values()) for found in matrix.values()) == (200 if LONG else 80)
    assert set(matrix[()]) == {frozenset()}
    for cause in diagnosis.CAUSES:
        assert matrix[(cause,)][frozenset([cause])] >= 0.95 * single
    for pair in combinations(diagnosis.CAUSES, 2):
        assert all(found <= set(pair) for found in matrix[pair])  # never a cause that is not there
    both = sum(
        count for pair in combinations(diagnosis.CAUSES, 2) for key, count in matrix[pair].items() if len(key) == 2
    )
    assert both >= 10 * double * 6 / 7  # in the others one of the two was not identifiable


def test_size_of_a_pedestal(flat):
    for seed in range(5):
        light, truth = simulate({"pedestal"}, np.random.default_rng([9, seed]))
        text = diagnose(light, *flat)["pedestal"]["evidence"]
        values = [float(part.split(" +- ")[0]) for part in text.split(" DN")[0].split(", ")]
        for value, color in zip(values, (0.5, 1.0, 0.6), strict=True):
            assert abs(value - truth["pedestal"] * LEVEL * color) < 0.01 * LEVEL * color


def test_gamma(flat):
    light, truth = simulate({"encoded"}, np.random.default_rng(3))
    text = diagnose(light, *flat)["encoded"]["evidence"]
    value, error = (float(part) for part in text.split(";")[0].removeprefix("gamma ").split(" +- "))
    assert abs(value - truth["gamma"]) < max(4 * error, 0.003)


def test_a_milky_way_is_not_forced_into_a_verdict(flat):
    light, _ = simulate((), np.random.default_rng(1))
    light *= (1 + 0.8 * np.exp(-(((Y - 0.45 * X - 0.02) / 0.13) ** 2))).astype(np.float32)
    assert not supported(diagnose(light, *flat))


def test_stars_do_not_move_the_sky():
    """Mean of tiles of an even sky with stars, within its errors."""
    rng = np.random.default_rng(2)
    light = 1000 + 20 * rng.standard_normal(SHAPE).astype(np.float32)
    light[rng.random(SHAPE) < 0.01] += 3000
    level, error = measure_sky(light, GOOD, RGGB)
    assert np.nanmean((level - 1000) / error) == pytest.approx(0, abs=0.2)
    assert np.nanstd((level - 1000) / error) == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("curve", ["srgb", "bt709"])
def test_a_picture_is_found_to_be_encoded(flat, tmp_path, curve):
    """An 8-bit JPEG of a noisy sky, by the formulas of the standards."""
    light, _ = simulate((), np.random.default_rng(4))
    u = np.clip(interpolate_bilinear(light, RGGB) / 4000, 0, 1)
    if curve == "srgb":
        v = np.where(u <= 0.0031308, 12.92 * u, 1.055 * u ** (1 / 2.4) - 0.055)
    else:
        v = np.where(u < 0.018, 4.5 * u, 1.099 * u**0.45 - 0.099)
    path = tmp_path / "sky.jpg"
    Image.fromarray(np.rint(255 * v).astype(np.uint8).transpose(1, 2, 0)).save(path, quality=95)
    from flatfield.raw.decode import read_picture

    planes = read_picture(path)
    level, error = measure_sky(planes, GOOD)
    tiles = Tiles(*tile_positions(SHAPE), level, error, flat[0])
    assert supported(diagnosis.Doctor(tiles, is_picture=True).diagnose()) == {"encoded"}
