"""Do the stars agree? Star fields of known flats, simulated here, against what the stars are found to say."""

import numpy as np
import pytest

from flatfield.measure.pixel_area import fit_pixel_area
from flatfield.measure.star_agreement import compare_stars
from flatfield.measure.star_fit import TERMS
from flatfield.measure.star_matching import match_frames
from flatfield.measure.stars import Stars, columns_of_stars, find_stars, rows_of_stars, stars_of_rows
from flatfield.raw.cfa import ColorFilterArray
from flatfield.raw.mosaic import Mosaic
from flatfield.report.star_sentences import describe_stars

GAIN, READ_NOISE, SKY, SATURATION = 2.0, 3.0, 150.0, 60000.0  # e-/DN, DN, DN, DN


def stamp(image, color, row, column, flux, width, trail=0.0):
    """Add a Gaussian star, or a trail along the row of the frame; flux by channel."""
    half = int(5 * width + trail / 2 + 3)
    first_row, first_column = round(row) - half, round(column) - half
    rows, columns = (slice(max(first, 0), first + 2 * half + 1) for first in (first_row, first_column))
    y, x = np.arange(image.shape[0])[rows], np.arange(image.shape[1])[columns]
    if len(y) and len(x):
        across = np.exp(-((y - row) ** 2) / (2 * width**2))
        steps = np.linspace(-1, 1, 30) * trail / 2 if trail else [0.0]
        along = np.mean([np.exp(-((x - column - step) ** 2) / (2 * width**2)) for step in steps], axis=0)
        image[rows, columns] += flux[color[rows, columns]] * np.outer(across, along) / (2 * np.pi * width**2)


def simulate_lights(
    seed, shape=(288, 432), frames=8, stars=130, corner=0.0, tilt=0.0, move=0.12, turn=0.0, fwhm=3.0, trail=0.0,
    pattern="RGGB", brightest=SATURATION, exposure=1.0, hot=60,
):  # fmt: skip
    """Lights of one field, each shifted by up to `move` of the frame and turned by up to `turn` degrees.

    They are recorded through a vignetting lens and divided by a flat that is wrong: what should be even comes out as
    (1 + `corner` r^2) (1 + `tilt` x), in half diagonals.
    """
    rng, cfa = np.random.default_rng(seed), ColorFilterArray.from_name(pattern)
    rows, columns = shape
    color = cfa.channel_map(shape)
    middle, half = (np.array(shape) - 1) / 2, np.hypot(*shape) / 2
    y, x = ((np.arange(n) - m) / half for n, m in zip(shape, middle, strict=True))
    square = (y**2)[:, None] + x**2
    vignetting, wrong = (1 + 0.5 * square) ** -2, (1 + corner * square) * (1 + tilt * x)
    hot_pixels = rng.integers(0, rows * columns, hot)
    field = (rng.random((2 * stars, 2)) - 0.5) * np.array(shape) * (1 + 2 * move)
    fluxes = (
        3000 * np.exp(rng.exponential(0.8, len(field)))[:, None] * np.exp(0.2 * rng.standard_normal((len(field), 3)))
    )
    lights = []
    for index in range(frames):
        angle = np.radians(turn * index / max(frames - 1, 1))
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shift = (rng.random(2) - 0.5) * 2 * move * np.array(shape)
        transparency = exposure * (1 + 0.1 * rng.standard_normal())
        scene = np.full(shape, SKY)
        for (row, column), flux in zip(field @ rotation.T + shift + middle, fluxes * transparency, strict=True):
            stamp(scene, color, row, column, flux, fwhm / 2.3548, trail)
        recorded = rng.poisson(scene * vignetting * GAIN) / GAIN + READ_NOISE * rng.standard_normal(shape)
        recorded.ravel()[hot_pixels] += 4000
        mask = np.where(recorded > brightest, 2, 0).astype(np.uint8)
        value = np.minimum(recorded, brightest) / (vignetting / wrong)
        lights.append(Mosaic(value.astype(np.float32), cfa, None, None, mask))
    return lights


def judge(lights):
    """Rows of ``stars.tsv`` by term and channel."""
    first = lights[0]
    rows = compare_stars([find_stars(each) for each in lights], first.shape, first.cfa.channels)
    assert len(rows) == len(TERMS) * len(first.cfa.channels)
    return {(row["term"], row["channel"]): row for row in rows}


def test_errors_of_the_flat_are_found_with_true_errors():
    """Right and wrong flats in turn, fields that shift and turn over: pulls of 12 fields of three channels."""
    width = 432 / np.hypot(288, 432)
    pulls = {term: [] for term in TERMS}
    for seed in range(12):
        corner, tilt = (0.0, 0.02, -0.03)[seed % 3], (0.0, 0.02)[seed % 2]
        found = judge(simulate_lights(seed, corner=corner, tilt=tilt, turn=180))
        ends = (1 + tilt * width) / (1 - tilt * width)
        truth = {"corner": 100 * corner, "gradient x": 100 * (ends - 1), "gradient y": 0.0}
        for (term, _), row in found.items():
            if row["percent"] != "not determined":
                pulls[term].append((row["percent"] - truth[term]) / row["error"])
    for term, values in pulls.items():
        assert len(values) >= 30, term
        assert abs(np.mean(values)) < 0.6, term  # 12 fields: standard error 0.29 where channels err together
    every = np.concatenate(list(pulls.values()))
    assert abs(every.mean()) < 0.3
    assert 0.8 < every.std() < 1.25


def test_an_over_correction_of_2_percent_is_found():
    found = judge(simulate_lights(1, shape=(480, 720), frames=30, stars=200, corner=0.02, move=0.2))
    for channel in ("RED", "GREEN", "BLUE"):
        row = found["corner", channel]
        assert row["verdict"] == "over-corrects"
        assert abs(row["percent"] - 2) < 3.5 * row["error"]
        assert row["error"] < 0.7
        assert found["gradient x", channel]["verdict"] == "not told"  # shifts alone do not tell gradients
    (sentence,) = describe_stars("night", [{name: str(value) for name, value in row.items()} for row in found.values()])
    assert sentence.startswith("night: by its stars the corners are over-corrected: RED +")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"frames": 1}, "one frame"),
        ({"stars": 0}, "too few stars"),
        ({"stars": 0, "hot": 3000}, "did not move"),
        ({"move": 0.0}, "did not move"),
        ({"move": 0.0, "turn": 60}, "turned about the centre"),
        ({"trail": 60.0}, "trails"),
        ({"brightest": 200.0}, "too few stars"),
        ({"shape": (40, 50)}, "too few stars"),
        ({"frames": 2, "stars": 60, "move": 0.05}, "more of each tells more"),
    ],
    ids=str,
)
def test_where_stars_do_not_tell_the_reason_stands(options, why):
    for (term, _), row in judge(simulate_lights(3, **{"frames": 4, **options})).items():
        if term == "corner":
            assert row["verdict"] == "not told"
            assert row["meaning"].startswith("not told: ")
            assert why in row["meaning"]


@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_richer_frame_of_another_field_hides_nothing(place):
    rng = np.random.default_rng(4)
    field = rng.uniform(0, 1000, (150, 2))
    frames = [field[rng.permutation(150)[:60]] + rng.uniform(-60, 60, 2) for _ in range(6)]
    frames.insert(place, rng.uniform(0, 1000, (90, 2)))
    matched = [np.count_nonzero(numbers >= 0) for numbers in match_frames(frames)]
    assert matched.pop(place) == 0 and min(matched) > 10


def test_undersampled_stars_have_larger_errors():
    """With 1.5 pixels across, red and blue pixels miss part of a star; green ones miss less, a mono sensor nothing."""
    found = judge(simulate_lights(5, fwhm=1.5, turn=180))
    sharp = {channel: found["gradient x", channel] for channel in ("RED", "GREEN")}
    mono = judge(simulate_lights(5, fwhm=1.5, turn=180, pattern="MONO"))["gradient x", "MONO"]
    for row in (*sharp.values(), mono):
        assert row["percent"] == "not determined" or abs(row["percent"]) < 4 * row["error"]
    assert sharp["RED"]["error"] == "not determined" or sharp["RED"]["error"] > 3 * sharp["GREEN"]["error"]
    assert mono["error"] < sharp["GREEN"]["error"]


def turn_sky(focal, distortion, stars=150, frames=12):
    """Places of stars before a lens, focal length and places in half diagonals, ``(stars, frames, 2)``."""
    rng = np.random.default_rng(4)
    sky = np.column_stack([(rng.random((stars, 2)) - 0.5) * 2.2 / focal, np.ones(stars)])
    positions = np.full((stars, frames, 2), np.nan)
    for index in range(frames):
        a, b, c = (rng.random(3) - 0.5) * 0.3 / np.array([focal, focal, 1])
        u, _, vt = np.linalg.svd([[1, -c, b], [c, 1, -a], [-b, a, 1]])  # the nearest rotation
        seen = sky @ (u @ vt).T
        plane = seen[:, :2] / seen[:, 2:] * focal
        places = plane * (1 + distortion * (plane**2).sum(axis=1, keepdims=True))
        inside = (np.abs(places) < (0.8, 0.53)).all(axis=1)
        positions[inside, index] = places[inside] + 2e-4 * rng.standard_normal((np.count_nonzero(inside), 2))
    return positions


@pytest.mark.parametrize(("focal", "distortion"), [(1000.0, 0.0), (2.0, 0.0), (1.0, -0.03), (1000.0, 0.03)])
def test_sky_area_of_pixels_is_found_from_the_movement(focal, distortion):
    """The area of sky near the corner, known in closed form."""
    radius = 0.9
    tangent = min(np.roots([distortion, 0, 1, -radius]), key=lambda root: abs(root - radius)).real
    size = tangent / radius / (1 + 3 * distortion * tangent**2)
    truth = np.log(size) - 1.5 * np.log1p((tangent / focal) ** 2)
    found = fit_pixel_area(turn_sky(focal, distortion))
    assert abs(found.logarithm(radius) - truth) < 4 * found.error(radius) + 0.002
    assert found.error(radius) < 0.01


def test_a_right_flat_of_a_wide_lens_agrees():
    """A sky that is even leaves stars at the corners 40 % too bright, as their pixels see less of it: cos^3."""
    rng, shape, positions = np.random.default_rng(8), (2000, 3000), turn_sky(2.0, 0.0, stars=400)
    half, frames = np.hypot(*shape) / 2, []
    flux = 3000 * np.exp(rng.exponential(0.8, len(positions)))
    for places in np.moveaxis(positions, 1, 0):
        inside = np.isfinite(places[:, 0])
        recorded = flux * (1 + (places**2).sum(axis=1) / 4) ** 1.5 * (1 + 0.01 * rng.standard_normal(len(flux)))
        where = places[inside][:, ::-1] * half + (np.array(shape) - 1) / 2
        own = {"MONO": recorded[inside]}
        frames.append(Stars(where, own, own, 5.0, np.ones(len(where))))
    corner = compare_stars(frames, shape, ("MONO",))[0]
    assert abs(corner["percent"]) < 3 * corner["error"] < 2


def test_tables_of_stars_are_read_as_written():
    stars = find_stars(simulate_lights(2, frames=1)[0])
    assert len(stars) > 50
    again = stars_of_rows(
        [{name: str(value) for name, value in row.items()} for row in rows_of_stars(stars)], ("RED", "GREEN", "BLUE")
    )
    assert np.array_equal(again.positions, stars.positions)
    assert all(np.array_equal(again.wide[name], stars.wide[name], equal_nan=True) for name in stars.wide)
    assert len(stars_of_rows([], ("MONO",))) == 0
    assert columns_of_stars(("MONO",))[-2:] == ["mono_dn", "mono_wide_dn"]
