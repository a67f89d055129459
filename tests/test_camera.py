"""Is the raw raw? What a camera does to its frames is found in simulated ones, and nothing in clean ones."""

import numpy as np
import pytest
from astropy.io import fits
from conftest import LONG, Project, exif, write_flats
from scipy.ndimage import convolve
from test_workflow import table

from flatfield.demo.simulation import write_dng
from flatfield.measure.camera import tabulate_camera
from flatfield.measure.code_counts import CodeCounts, measure_codes
from flatfield.measure.code_steps import FOUND, StepCounts, Steps, measure_steps
from flatfield.measure.level_fit import LevelEvidence
from flatfield.measure.line_noise import profile_lines
from flatfield.measure.linearity import CameraEvidence
from flatfield.measure.pair_evidence import gather_evidence, read_evidence, write_evidence
from flatfield.measure.shading import measure_shading
from flatfield.measure.tile_noise import measure_tiles
from flatfield.raw.cfa import CHANNELS, ColorFilterArray
from flatfield.raw.mosaic import Mosaic
from flatfield.report.camera_sentences import describe_camera, warn_of_camera

GAIN, READ_NOISE, BLACK, WHITE = 2.0, 5.0, 512.0, 16383  # e-/DN, e-, DN
PATTERNS = {
    "RGGB": ColorFilterArray.from_name("RGGB"),
    "MONO": ColorFilterArray.from_name("MONO"),
    "XTRANS": ColorFilterArray.from_name("RBGBRGGGRGGBGGBGGRBRGRBGGGBGGRGGRGGB"),
}
COLORS = {1: (1.0,), 2: (0.5, 1.0, 0.6), 6: (0.5, 1.0, 0.6)}


def coordinates(shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    x, y = x + 0.5 - shape[1] / 2, y + 0.5 - shape[0] / 2
    return x, y, (x**2 + y**2) / (np.hypot(*shape) / 2) ** 2


def light_of(cfa, shape, rng, level=7500.0, falloff=0.8, lamp=0.02, prnu=0.006):
    """Electrons of a vignetted flat under an uneven lamp, with pixel response."""
    x, y, radius2 = coordinates(shape)
    color = np.array(COLORS[cfa.period])[cfa.channel_map(shape)]
    source = 1 + lamp * (x / shape[1] + 0.5 * y / shape[0])
    return level * GAIN * color * source / (1 + falloff * radius2) ** 2 * (1 + prnu * rng.standard_normal(shape))


def record(light, rng, factor=1.0, bent=0.0, rows=0.0, shared=0.0, number=np.rint):
    """Codes: photons, noise of reading and of rows, a factor that the camera puts on, a bent response, a filter."""
    signal = (rng.poisson(light) + READ_NOISE * rng.standard_normal(light.shape)) / GAIN
    if shared:
        noise, k = signal - light / GAIN, shared
        signal = light / GAIN + convolve(noise, [[0, k, 0], [k, 1 - 4 * k, k], [0, k, 0]], mode="wrap")
    signal = signal * factor
    signal = signal * (1 - bent * signal / (WHITE - BLACK)) + rows * rng.standard_normal((len(light), 1))
    return np.clip(number(signal + BLACK), 0, WHITE).astype(np.uint16)


def judge(
    seed,
    cfa=PATTERNS["RGGB"],
    shape=(360, 540),
    pairs=4,
    levels=(0.5, 1.0),
    drift=0.01,
    level=7500,
    lamp=0.02,
    **camera,
):
    """``camera.tsv`` by effect and channel."""
    rng = np.random.default_rng(seed)
    light, tiles, lines, codes = light_of(cfa, shape, rng, level, lamp=lamp), [], [], CodeCounts()
    steps = StepCounts()
    for index in range(pairs):
        exposures = levels[index % len(levels)] * (1 + drift * rng.standard_normal(2))
        mosaics = [record(light * each, rng, **camera) for each in exposures]
        signals = [mosaic.astype(np.float32) - np.float32(BLACK) for mosaic in mosaics]
        means = np.array([[cfa.pixels(each, c).mean() for c in range(len(cfa.channels))] for each in signals])
        factors = means.mean(axis=0) / means
        tiles.append(measure_tiles(*signals, factors, cfa))
        lines.append(profile_lines(*signals, factors, cfa, np.sqrt(max(v.max() for v in tiles[-1].variance))))
        codes.add(mosaics[0], cfa)
        steps.add(mosaics[0], mosaics[1], cfa)
    found = [measure_steps(counts) for counts in steps.of_channels(len(cfa.channels))]
    evidence = gather_evidence(tiles, lines, codes.counts, Mosaic(light, cfa, None), steps=found)
    full = [WHITE - BLACK] * len(cfa.channels)
    rows, _ = tabulate_camera(CameraEvidence(evidence, cfa, full, tiles=evidence.tiles))
    return {(row["effect"], row["channel"]): row for row in rows}


def found_in(rows):
    return {effect for (effect, _), row in rows.items() if row["verdict"] == "found"}


def tile_sets(seed, factor, levels, cfa_colors=(0.5, 1.0, 0.6), pixels=60e6, bent=0.0, offsets=False):
    """What pairs of frames of 12 megapixels show in tiles: variances drawn from chi^2, of a camera with a factor."""
    rng, (rows, columns) = np.random.default_rng(seed), (21, 32)
    shape = (rows * 64, columns * 64)
    y, x = np.mgrid[:rows, :columns]
    x, y = 64 * (x + 0.5) - shape[1] / 2, 64 * (y + 0.5) - shape[0] / 2
    radius2, full = (x**2 + y**2) / (np.hypot(*shape) / 2) ** 2, WHITE - BLACK
    factors = {"radial": 1 + factor * radius2, "right": 1 + factor * x / shape[1], "half": 1 + factor * np.sign(x) / 2}
    found = []
    for level in levels:
        for color, share in zip(cfa_colors, (0.25, 0.5, 0.25), strict=True):
            light = level * color * full / (1 + 0.8 * radius2) ** 2 * (1 + 0.03 * x / shape[1])
            count = int(pixels * share / len(levels) / rows / columns)
            found.append((light, count, rng.chisquare(count - 1, light.shape) / (count - 1)))

    def measure(kind):
        level, variance, counts = [], [], []
        for light, count, spread in found:
            signal = light * factors[kind]
            level.append(signal * (1 - bent * signal / full))
            exact = (light / GAIN + (READ_NOISE / GAIN) ** 2) * factors[kind] ** 2 * (1 - 2 * bent * signal / full) ** 2
            variance.append(exact * spread)
            counts.append(np.full(light.shape, count))
        level, variance, counts = (
            np.array(each).reshape(len(levels), -1, rows, columns) for each in (level, variance, counts)
        )
        read = ((READ_NOISE / GAIN) ** 2, 0.02) if offsets else None
        return measure_shading(level, variance, counts, (x, y), shape, [full] * 3, read)[0]

    return measure


FACTORS = [("radial", 0, level, offsets) for level in ((0.25, 0.5), (0.5,)) for offsets in (False, True)]
FACTORS += [("right", 1, (0.5,), False), ("half", 3, (0.5,), False)]


@pytest.mark.parametrize(("kind", "term", "levels", "offsets"), FACTORS)
def test_factors_of_the_camera_are_found_with_their_size(kind, term, levels, offsets):
    """Of 60 megapixels; 1 % wherever the data can show it, and never where there is none."""
    count = 200 if LONG else 20
    pulls, errors, sizes = [], [], (0.0, 0.01, 0.03, 0.1)
    for number in range(count):
        result = tile_sets(number, sizes[number % 4], levels, offsets=offsets)(kind)
        percent, error = result.percent[term], result.error[term]
        pulls.append((percent - 100 * sizes[number % 4]) / error)
        errors.append(error)
        assert abs(percent) < 5 * error or sizes[number % 4] > 0
        if kind != "radial" or len(levels) == 2:
            assert abs(percent) > 5 * error or sizes[number % 4] == 0
    assert abs(np.mean(pulls)) < 4 / np.sqrt(count)
    # at one level the error holds a sensor and a read noise that these sets do not have
    low = 0.5 if len(levels) == 1 and kind == "radial" else 0.8
    assert low - 2 / np.sqrt(2 * count) < np.std(pulls) < 1.2 + 2 / np.sqrt(2 * count)
    assert np.median(errors) < (0.15 if kind != "radial" or len(levels) == 2 else 1.2)


@pytest.mark.parametrize("bent", [-0.02, 0.02, 0.05])
def test_a_sensor_that_is_not_linear_is_no_shading(bent):
    """At one level both look alike: not found; two levels show which it is."""
    for number in range(40 if LONG else 6):
        alone = tile_sets(number, 0.0, (0.5,), bent=bent)("radial")
        assert abs(alone.percent[0]) < 5 * alone.error[0]
        both = tile_sets(number, 0.0, (0.25, 0.5), bent=bent)("radial")
        assert abs(both.percent[0]) < 4 * both.error[0] < 0.5
        assert abs(both.nonlinearity + 100 * bent) < 4 * both.nonlinearity_error + 0.2  # and second order
        assert abs(both.nonlinearity) > 5 * both.nonlinearity_error


CLEAN = {
    "two levels": {},
    "one level": {"levels": (0.7,)},
    "drift, rows": {"levels": (0.7,), "drift": 0.03, "rows": 1.0, "lamp": 0.1},
    "mono": {"cfa": PATTERNS["MONO"]},
    "X-Trans": {"cfa": PATTERNS["XTRANS"]},
    "three pairs": {"pairs": 3, "shape": (180, 240)},
    "dim": {"level": 300},
}


@pytest.mark.parametrize("kind", CLEAN)
def test_nothing_is_found_in_clean_frames(kind):
    for seed in range(200 if LONG else 2):
        rows = judge(seed, **CLEAN[kind])
        assert not found_in(rows) - ({"row noise"} if "rows" in CLEAN[kind] else set()), seed
        assert all(row["verdict"] in ("found", "excluded", "not told") and row["meaning"] for row in rows.values())


def test_shading_of_frames_is_found():
    _, _, radius2 = coordinates((360, 540))
    for seed in range(20 if LONG else 2):
        row = judge(seed, factor=1 + 0.1 * radius2)["shading radial", "all"]
        assert abs(row["value"] - 10) < 4 * row["error"] < 6 and row["verdict"] == "found"
        assert "the camera multiplied its raws" in row["meaning"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_filtered_noise_is_found(pattern):
    """A filter with weights k beside the pixel: covariances 4 x 2 k (1 - 4 k) + 12 k^2 over (1 - 4 k)^2 + 4 k^2."""
    row = judge(3, cfa=PATTERNS[pattern], shared=0.02)["noise shared by neighbours", "all"]
    nearest = 100 * 8 * 0.02 * 0.92 / (0.92**2 + 4 * 0.02**2)
    assert row["verdict"] == "found" and "noise was filtered" in row["meaning"]
    assert row["value"] == pytest.approx(nearest, rel=0.08)  # colours differ in their noise, and further neighbours add


def test_noise_of_rows_is_found_and_is_not_shared_noise():
    sizes = []
    for seed in range(40 if LONG else 2):
        rows = judge(seed, rows=5.0)
        row = rows["row noise", "all"]
        assert found_in(rows) == {"row noise"}
        sizes.append((row["value"] - 5) / row["error"])
    assert abs(np.mean(sizes)) < 4 / np.sqrt(len(sizes)) + 0.5  # scaling to the level changes them a little


def test_bands_of_the_reading_are_found():
    rng = np.random.default_rng(5)
    phases = iter(rng.uniform(0, 2 * np.pi, 100))

    def number(signal):
        line = np.arange(signal.shape[0])[:, None]
        return np.rint(signal + 2.0 * np.sin(2 * np.pi * line / 9 + next(phases)))

    row = judge(1, number=number)["row bands", "all"]
    assert row["verdict"] == "found" and row["value"] == pytest.approx(2, abs=0.6) and "9" in row["meaning"]


def half_of(values):
    return np.where(values > 3000, 8 * np.rint(values / 8), np.where(values > 1500, 4 * np.rint(values / 4), values))


NUMBERS = {
    "gain 1.2": (lambda v: np.rint(np.rint(v) * 1.2), {"missing codes"}, 100 / 6),
    "gain 1.05": (lambda v: np.rint(np.rint(v) * 1.05), {"missing codes"}, 100 / 21),
    "gain 3.2": (lambda v: np.rint(np.rint(v / 3.2) * 3.2), {"missing codes"}, 100 * (1 - 1 / 3.2)),
    "gain 0.8": (lambda v: np.rint(np.rint(v) * 0.8), {"overfull codes"}, None),
    "12 bits in 14": (lambda v: 4 * np.rint(v / 4), {"digital steps"}, 4),
    "10 bits in 14": (lambda v: 16 * np.rint(v / 16), {"digital steps"}, 16),
    "lossy curve": (lambda v: half_of(np.rint(v)), {"missing codes"}, None),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_steps_and_gaps_of_the_numbers_are_found(kind):
    number, expected, value = NUMBERS[kind]
    rows = judge(2, number=number, pairs=3)
    others = {"digital steps", "overfull codes"} if kind == "lossy curve" else set()
    assert expected <= found_in(rows) <= expected | others
    if value:
        assert rows[expected.copy().pop(), "GREEN"]["value"] == pytest.approx(value, rel=0.05)


def test_numbers_that_are_not_whole_have_no_codes():
    codes = CodeCounts()
    codes.add(np.ones((4, 4), np.float32), PATTERNS["MONO"])
    assert codes.counts == {} and measure_codes(np.zeros(3, np.int64)) == (None, None, None)


def test_evidence_survives_the_disk(tmp_path):
    rng, cfa, shape = np.random.default_rng(1), PATTERNS["RGGB"], (96, 144)
    light = light_of(cfa, shape, rng)
    mosaics = [record(light, rng) for _ in range(2)]
    tiles = measure_tiles(*(each.astype(np.float32) for each in mosaics), np.ones((2, 3)), cfa)
    lines, codes = (
        profile_lines(*(each.astype(np.float32) for each in mosaics), np.ones((2, 3)), cfa, 99.0),
        CodeCounts(),
    )
    codes.add(mosaics[0], cfa)
    levels = LevelEvidence(np.eye(4) + 0.5, np.arange(4.0), 100.0, 9000.0), "few"
    steps = [Steps(8.0, 40.0, 4.0, 20.0), Steps(1.0, 0.0, 4.0, None, True), None]
    mosaic = Mosaic(light, cfa, None)
    evidence = gather_evidence([tiles], [lines], codes.counts, mosaic, [(6.0, 0.1, None)] * 3, levels, steps)
    write_evidence(tmp_path / "pairs.fits", evidence)
    again = read_evidence(tmp_path / "pairs.fits")
    for name in ("tiles", "rows", "columns", "expected"):
        np.testing.assert_allclose(getattr(again, name), getattr(evidence, name), rtol=1e-6)
    assert again.offsets == evidence.offsets and (again.side, again.shape, again.pairs) == (evidence.side, shape, 1)
    assert again.steps == steps and (again.levels.lowest, again.levels.highest) == (100, 9000)
    np.testing.assert_array_equal(again.levels.information, levels[0].information)
    np.testing.assert_array_equal(again.levels.weighted, levels[0].weighted)
    for color, counts in evidence.codes.items():
        np.testing.assert_array_equal(np.trim_zeros(again.codes[color]), np.trim_zeros(counts))


# Through the workflow


def test_frames_of_other_kinds(tmp_path):
    """FITS without filters of whole numbers and of others, X-Trans, and a single frame."""
    project, shape, rng = Project.create(tmp_path / "project"), (144, 216), np.random.default_rng(3)
    raws = project.folder / "raws"
    for name, cfa in (("mono", PATTERNS["MONO"]), ("floats", PATTERNS["MONO"]), ("trans", PATTERNS["XTRANS"])):
        (raws / name).mkdir(parents=True)
        light = light_of(cfa, shape, rng, level=3000.0)
        for index in range(6):
            mosaic = record(light * (1 + 0.01 * index), rng)
            if name == "trans":
                black = (int(BLACK),) * 4
                write_dng(raws / name / f"D{index}.dng", mosaic, exif(index), cfa=cfa, margins=(0, 0), black=black)
            else:
                data = mosaic if name == "mono" else mosaic.astype(np.float32) + np.float32(0.25)
                fits.writeto(raws / name / f"F{index}.fits", data)
    write_flats(raws / "one", 1)
    names = {"mono": "F*", "floats": "F*", "trans": "D*", "one": "DSC*"}
    sets = {name: {"frames": f"{name}/{frames}"} for name, frames in names.items()}
    regions = {"center": {"row": "center", "column": "center", "size": 30}}
    project.configure({"raw_root": "raws", "min_frames": 1, "regions": regions, "sets": sets})
    project.run(*(f"results/{name}/camera.tsv" for name in names))
    found = {name: table(project.path(f"{name}/camera.tsv")) for name in names}
    for name, rows in found.items():
        assert not [row for row in rows if row["verdict"] == "found"], name
        verdicts = {row["effect"]: row["verdict"] for row in rows}
        assert verdicts["digital steps"] == ("not told" if name in ("floats", "one") else "excluded")
        assert verdicts["row noise"] == ("not told" if name == "one" else "excluded")
        assert {row["channel"] for row in rows} == {"all", *(("MONO",) if name in ("mono", "floats") else CHANNELS)}
    assert all(row["verdict"] == "not told" for row in found["one"])


def test_the_report_says_whether_the_raws_are_raw():
    def row(effect, verdict, meaning="less than 1 %", channel="all"):
        return {"effect": effect, "channel": channel, "verdict": verdict, "meaning": meaning}

    clean = [row("shading radial", "excluded"), row("shading radial", "not told", "few", "RED")]
    assert describe_camera({"a": clean}) == [
        "Nothing was done to the raws of a beyond noise, as far as the flats tell."
    ]
    assert warn_of_camera({"a": clean}) == []
    alone = [row("shading radial", "not told", "no two frames are at one level")]
    assert describe_camera({"a": alone}) == [
        "What was done to the raws of a is not known: no two frames are at one level."
    ]
    open_ = [row("shading radial", "not told"), row("row noise", "found", "rows have noise of their own")]
    assert describe_camera({"a": open_}) == [
        "Nothing was done to the raws of a beyond noise, as far as the flats tell (not told: shading radial).",
        "In a, all channels: rows have noise of their own.",
    ]
    shaded = [row("shading radial", "found", "the camera multiplied"), row("missing codes", "found", "gaps", "BLUE")]
    assert describe_camera({"a": shaded}) == []
    texts = [text for text, _ in warn_of_camera({"a": shaded})]
    assert texts == ["In a, all channels: the camera multiplied.", "In a, BLUE: gaps."]


def steps_of(seed, corner, shape=(360, 540), center=(0, 0), number=np.rint, pairs=4, level=7500.0, pattern="RGGB"):
    """Rows of the steps of frames that the camera multiplied by a factor 1 + corner radius^2, before rounding again."""
    rng, cfa = np.random.default_rng(seed), PATTERNS[pattern]
    y, x = np.mgrid[: shape[0], : shape[1]]
    x, y = x + 0.5 - shape[1] / 2 - center[0], y + 0.5 - shape[0] / 2 - center[1]
    factor = 1 + corner * (x**2 + y**2) / (np.hypot(*shape) / 2) ** 2
    light, counts = light_of(cfa, shape, rng, level), StepCounts()

    def multiplied(values):
        return number(np.rint(values - BLACK) * factor) + BLACK

    for _ in range(pairs):
        first, second = (record(light, rng, number=multiplied) for _ in range(2))
        counts.add(first, second, cfa)
    return [measure_steps(each) for each in counts.of_channels(len(cfa.channels))]


@pytest.mark.parametrize(("corner", "center"), [(0.4, (0, 0)), (0.4, (2, -1)), (0.8, (0, 0))])
def test_steps_of_a_rounded_correction_are_found(corner, center):
    """In each colour, with the factor at the corners; the centre need not be known to the pixel."""
    for seed in range(20 if LONG else 2):
        for steps in steps_of(seed, corner, center=center):
            assert steps.sigma > FOUND and not steps.shared
            assert abs(steps.percent - 100 * corner) < 3 * steps.error < 40 * corner + 20


@pytest.mark.parametrize("kind", ["clean", "X-Trans", "dim", "gain 1.2", "12 bits in 14"])
def test_no_steps_are_found_where_there_are_none(kind):
    world = {
        "X-Trans": {"pattern": "XTRANS"},
        "dim": {"level": 300},
        "gain 1.2": {"number": lambda v: np.rint(np.rint(v) * 1.2)},
        "12 bits in 14": {"number": lambda v: 4 * np.rint(v / 4)},
    }.get(kind, {})
    for seed in range(200 if LONG else 3):
        for steps in steps_of(seed, 0.0, shape=(180, 240), **world):
            assert steps.sigma < FOUND or steps.shared
            assert kind != "12 bits in 14" or steps.shared
    # of four pairs of 0.2 megapixels, factors from a third on are excluded
    assert kind != "clean" or all(20 < steps.least < 45 for steps in steps_of(1, 0.0))
