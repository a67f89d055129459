"""Noise: masters, photon transfer, differences and lights against simulated truth."""

import shutil

import numpy as np
import pytest
from astropy.io import fits
from conftest import BLACK, Project, exif, write_flats
from hypothesis import given, settings
from hypothesis import strategies as st
from test_workflow import table

from flatfield.combine import demosaicing, methods
from flatfield.combine.stack import stack_frames
from flatfield.demo.simulation import write_dng
from flatfield.files.fits import read_image
from flatfield.measure import calibration, differences, noise
from flatfield.measure.photon_transfer import fit_photon_transfer, gain_and_read_noise
from flatfield.raw.cfa import ColorFilterArray
from flatfield.raw.decode import read_frame, signal

RGGB, MONO = ColorFilterArray.from_name("RGGB"), ColorFilterArray.from_name("MONO")
MEDIAN, MEAN = {"method": "median"}, {"method": "mean"}
CLIP = {"method": "sigma_clip", "kappa_low": 3.0, "kappa_high": 3.0, "iterations": 5}
GAIN, READ_NOISE, PRNU = 2.5, 12.0, 0.8  # e-/DN, e-, percent
SHAPE = (300, 450)


def radius(shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(y - shape[0] / 2, x - shape[1] / 2) / np.hypot(*shape) * 2


def expose(electrons, rng, white=16383):
    """Photon and read noise, gain, black level, 14 bit."""
    recorded = (rng.poisson(electrons) + READ_NOISE * rng.standard_normal(electrons.shape)) / GAIN
    black = np.tile(np.array(BLACK).reshape(2, 2), (electrons.shape[0] // 2, electrons.shape[1] // 2))
    return np.clip(np.rint(recorded + black), 0, white).astype(np.uint16)


def response(level=900.0):
    """Electrons of a vignetted flat with pixel response, R 0.5, G 1, B 0.6 of `level` DN at the centre."""
    rng = np.random.default_rng(42)
    color = np.array([0.5, 1.0, 0.6])[RGGB.channel_map(SHAPE)]
    pixels = 1 + PRNU / 100 * rng.standard_normal(SHAPE)
    return level * GAIN * color * pixels / (1 + radius(SHAPE) ** 2) ** 2


def write_camera(folder, count, drift=0.0, level=900.0, white=16383, seed=5):
    folder.mkdir(parents=True, exist_ok=True)
    rng, electrons = np.random.default_rng(seed), response(level)
    for index in range(count):
        mosaic = expose(electrons * (1 + drift * np.sin(index)), rng, white)
        write_dng(folder / f"DSC{index:03d}.dng", mosaic, exif(index), margins=(0, 0), black=BLACK, white=white)


def measure(project, *subsets, **further):
    """Rows of noise.tsv by channel."""
    config = {"raw_root": "raws", "sets": {"a": {"frames": "flats/*", **further}}}
    if subsets:
        config["sets"]["a"]["subsets"] = {f"s{number}": {"slice": cut} for number, cut in enumerate(subsets)}
    project.configure(config)
    project.run("results/a/noise.tsv", "results/a/stats.tsv")
    return {row["channel"]: row for row in table(project.path("a/noise.tsv"))}


def near(row, name, error, truth):
    """Whether a value is within four of its errors, which are not large."""
    return abs(float(row[name]) - truth) < 4 * float(row[error]) < 0.3 * truth


# Photon transfer


def test_gain_read_noise_and_response_are_those_of_the_camera(tmp_path):
    """With vignetting and 3 % exposure drift."""
    project = Project.create(tmp_path / "project")
    write_camera(project.folder / "raws/flats", 40, drift=0.03, level=700)
    rows = measure(project, "0:20", "20:40")
    assert list(rows) == ["RED", "GREEN", "BLUE"]
    for channel, row in rows.items():
        assert float(row["gain_e_per_dn"]) == pytest.approx(GAIN, rel=0.02)
        assert float(row["read_noise_e"]) == pytest.approx(READ_NOISE, rel=0.05)
        assert float(row["prnu_percent"]) == pytest.approx(PRNU, rel=0.05)
        assert near(row, "gain_e_per_dn", "gain_error", GAIN)
        assert near(row, "read_noise_e", "read_noise_error", READ_NOISE)
        assert near(row, "prnu_percent", "prnu_error", PRNU)
        inside = RGGB.channel_map(SHAPE) == "RGB".index(channel[0])
        rows_, columns = (slice(length // 2, length // 2 + 100) for length in SHAPE)  # the box `center`
        level = response(700)[rows_, columns][inside[rows_, columns]].mean() / GAIN
        frame = level / np.sqrt((READ_NOISE / GAIN) ** 2 + level / GAIN)
        assert float(row["snr_frame"]) == pytest.approx(frame, rel=0.03)
        master = frame * np.sqrt(40) / methods.median_error_ratio(40)
        assert float(row["snr_predicted"]) == pytest.approx(master, rel=0.03)
        assert float(row["snr_master"]) == pytest.approx(master, rel=0.03)
        assert float(row["depth_slope"]) == pytest.approx(-0.5, abs=4 * float(row["depth_slope_error"]))
        assert row["saturation_dn"] == "not determined" and "no frame saturates" in row["reason"]
    for row in table(project.path("a/stats.tsv")):
        if row["region"] == "center":
            assert float(row["snr_temporal"]) == pytest.approx(float(row["snr_photon"]), rel=0.03)
            parts = float(row["temporal_std"]) / float(row["mean"]), float(row["structure_percent"]) / 100
            assert np.hypot(*parts) == pytest.approx(float(row["std_over_mean"]), rel=1e-6)


def test_read_noise_of_bias_frames_where_flats_are_too_bright_to_tell(tmp_path):
    project = Project.create(tmp_path / "project")
    write_camera(project.folder / "raws/flats", 8, level=9000)
    assert measure(project)["GREEN"]["read_noise_e"] == "not determined"
    write_camera(project.folder / "raws/bias", 6, level=0, seed=6)
    for row in measure(project, bias="bias/*.dng").values():
        # rounding to whole DN adds 1/12 DN^2, 0.2 % here
        assert float(row["read_noise_e"]) == pytest.approx(READ_NOISE, rel=0.03)
        assert float(row["gain_e_per_dn"]) == pytest.approx(GAIN, rel=0.02)


def test_noise_of_the_bias_frames_is_in_the_master(tmp_path):
    """It is the same in all flats: no pixel response, and no less with more flats."""
    project = Project.create(tmp_path / "project")
    write_camera(project.folder / "raws/flats", 12, level=400)
    write_camera(project.folder / "raws/bias", 4, level=0, seed=6)
    rows = measure(project, bias="bias/*.dng")
    scatter = []
    for seed in (7, 8):
        write_camera(project.folder / "raws/bias", 4, level=0, seed=seed)
        write_camera(project.folder / "raws/flats", 12, level=400, seed=10 + seed)
        measure(project, bias="bias/*.dng")
        scatter.append([read_image(project.path("a/flat_cfa.fits"), part)[0].astype(float) for part in (0, "UNCERT")])
        assert read_image(project.path("a/flat_uncert.fits"), "GREEN")[0].mean() < scatter[-1][1].mean()
    (a, sa), (b, sb) = scatter
    pull = (a - b) / np.sqrt(np.mean(sa**2 + sb**2))
    assert pull.std() == pytest.approx(1, abs=0.02)
    for row in rows.values():
        assert abs(float(row["prnu_percent"]) - PRNU) < 4 * float(row["prnu_error"])
        assert float(row["snr_master"]) == pytest.approx(float(row["snr_predicted"]), rel=0.03)


@pytest.mark.parametrize("kind", ["cut off", "coarse"])
def test_bias_frames_that_do_not_tell_the_read_noise(tmp_path, kind):
    project = Project.create(tmp_path / "project")
    write_camera(project.folder / "raws/flats", 4, level=9000)
    (project.folder / "raws/bias").mkdir()
    for index in range(4):
        noise_dn = np.random.default_rng(index).normal(0, 5 if kind == "cut off" else 0.25, SHAPE)
        mosaic = np.clip(np.rint(noise_dn + (2 if kind == "cut off" else 500)), 0, None).astype(np.uint16)
        write_dng(project.folder / f"raws/bias/B{index}.dng", mosaic, exif(index), margins=(0, 0), black=BLACK)
    for row in measure(project, bias="bias/*.dng").values():
        assert row["read_noise_e"] == "not determined" and "cut off at their lowest value" in row["reason"]
        assert near(row, "gain_e_per_dn", "gain_error", GAIN)


def test_copies_tell_nothing(tmp_path):
    """Three copies of a frame, and four frames: the gain is that of the four."""
    project = Project.create(tmp_path / "project")
    write_camera(project.folder / "raws/flats", 7)
    for number in (1, 2):
        shutil.copy(project.folder / "raws/flats/DSC000.dng", project.folder / f"raws/flats/DSC{number:03d}.dng")
    project.configure({"raw_root": "raws", "sets": {"a": {
        "frames": "flats/*.dng", "check_times": False, "subsets": {"A": {"slice": "0:3"}, "B": {"slice": "3:7"}},
    }}})  # fmt: skip
    project.run("results/a/noise.tsv")
    for row in table(project.path("a/noise.tsv")):
        assert row["pairs"] == "2" and near(row, "gain_e_per_dn", "gain_error", GAIN)


def test_a_fits_file_without_a_black_level_has_no_read_noise(tmp_path):
    project = Project.create(tmp_path / "project")
    folder = project.folder / "raws/flats"
    folder.mkdir(parents=True)
    rng, electrons = np.random.default_rng(5), response(400)
    for index in range(20):
        fits.writeto(folder / f"F{index:02d}.fits", expose(electrons, rng))
    rows = measure(project, cfa="RGGB")  # no card tells the pattern that these frames have
    assert list(rows) == ["RED", "GREEN", "BLUE"]
    for row in rows.values():
        assert row["read_noise_e"] == "not determined" and "the black level is not known" in row["reason"]
        assert near(row, "gain_e_per_dn", "gain_error", GAIN)


def test_saturation_is_measured_and_clipped_levels_are_not_fitted(tmp_path):
    """The centre of green saturates, far below the white level that the camera names."""
    project = Project.create(tmp_path / "project")
    folder = project.folder / "raws/flats"
    folder.mkdir(parents=True)
    rng, electrons = np.random.default_rng(5), response(12000)
    for index in range(8):
        mosaic = np.minimum(expose(electrons, rng), 10000)
        write_dng(folder / f"DSC{index}.dng", mosaic, exif(index), margins=(0, 0), black=BLACK)
    rows = measure(project)
    assert {channel: row["saturation_dn"] for channel, row in rows.items()} == {
        "RED": "not determined", "GREEN": "10000", "BLUE": "not determined",
    }  # fmt: skip
    assert all(near(row, "gain_e_per_dn", "gain_error", GAIN) for row in rows.values())
    frames = table(project.path("a/inspected.tsv"))
    assert all(row["reason"].startswith("kept, as most are so: saturated") for row in frames)


def test_nonlinearity_at_high_level_is_reported_and_not_fitted():
    gains, errors, percents = [], [], []
    for seed in range(1, 41):
        rng = np.random.default_rng(seed)
        level = rng.uniform(1000, 9400, 4000)
        variance = 20 + level / GAIN
        variance[level > 7000] *= 0.8  # blooming smooths
        count = np.full(level.size, 200)
        variance = variance * rng.chisquare(199, level.size) / 199
        fit, why = fit_photon_transfer(level, variance, count, full=10000)
        error = np.sqrt(fit.covariance[1, 1])
        assert not why and abs(fit.slope - 1 / GAIN) < 4 * error
        assert fit.nonlinearity_percent == pytest.approx(-20, abs=4 * fit.nonlinearity_error_percent)
        assert not any(point["fitted"] for point in fit.points if point["level_dn"] > 7000)
        gains.append(1 / fit.slope)
        errors.append(error / fit.slope)
        percents.append(fit.nonlinearity_percent)
    # a bend is fitted as well: the error of one gain is 1.3 %, without a bend 0.4 %
    assert np.median(errors) < 0.015
    assert np.mean(gains) == pytest.approx(GAIN, rel=0.01)  # of 40: 0.2 %
    assert np.mean(percents) == pytest.approx(-20, abs=0.4)  # of 40: 0.1


def test_errors_of_gain_and_read_noise_are_their_scatter():
    found = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        level = rng.uniform(100, 900, 300)
        variance = (23 + level / GAIN) * rng.chisquare(99, level.size) / 99
        fit, _ = fit_photon_transfer(level, variance, np.full(level.size, 100), nonlinearity=0)
        found.append(gain_and_read_noise(fit)[0])
    for name, error, truth in (
        ("gain_e_per_dn", "gain_error", GAIN),
        ("read_noise_e", "read_noise_error", GAIN * 23**0.5),
    ):
        values = np.array([row[name] for row in found if row[name]])
        quoted = np.mean([row[error] for row in found if row[name]])
        assert values.mean() == pytest.approx(truth, rel=0.02)
        assert values.std() / quoted == pytest.approx(1, abs=0.15)  # of 300: 4 %; the read noise is a root


SPARSE = {
    "one frame": (1, {}, "no two consecutive frames of a subset are at one level"),
    "one frame in each subset": (3, {"subsets": ("0:1", "1:2", "2:3")}, "no two consecutive frames"),
    "no two at one level": (4, {"ramp": 1.5}, "no two consecutive frames"),
    "constant": (6, {"constant": True}, "no noise"),
    "8 bit": (6, {"bits": 8}, "steps of the digitisation"),
    "clipped": (6, {"clipped": True}, "all levels are above 70 % of saturation"),
}


@pytest.mark.parametrize("name", SPARSE)
def test_what_the_data_cannot_tell_is_not_determined(tmp_path, name):
    count, options, words = SPARSE[name]
    project = Project.create(tmp_path / "project")
    folder = project.folder / "raws/flats"
    folder.mkdir(parents=True)
    rng, electrons = np.random.default_rng(5), response()
    for index in range(count):
        mosaic = expose(electrons * options.get("ramp", 1) ** index, rng)
        if "constant" in options:
            mosaic[:] = 3000
        if "bits" in options:
            mosaic = mosaic // 64
        if "clipped" in options:
            mosaic = np.minimum(rng.normal(15500, 600, SHAPE), 16383).astype(np.uint16)
        black, white = ((8,) * 4, 255) if "bits" in options else (BLACK, 16383)
        write_dng(folder / f"DSC{index}.dng", mosaic, exif(index), margins=(0, 0), black=black, white=white)
    subsets = {f"s{n}": {"slice": cut} for n, cut in enumerate(options.get("subsets", [":"]))}
    tests = {"drift_percent": 1000}
    config = {"raw_root": "raws", "sets": {"a": {"frames": "flats/*.dng", "subsets": subsets}}, "frame_tests": tests}
    project.configure(config)
    project.run("results/a/plots/noise.png", *["results/a/uniformity.tsv"] * (len(subsets) > 1))
    for row in table(project.path("a/noise.tsv")):
        assert row["gain_e_per_dn"] == row["read_noise_e"] == "not determined"
        assert words in row["reason"]
    if len(subsets) > 1:
        for row in table(project.path("a/uniformity.tsv")):
            assert row["significant"] == row["z_std"] == "not determined" and "one frame" in row["reason"]


def test_subsets_of_different_length(tmp_path):
    project = Project.create(tmp_path / "project")
    write_camera(project.folder / "raws/flats", 13)
    rows = measure(project, "0:2", "2:5", "5:13")
    assert {row["pairs"] for row in rows.values()} == {"6"}  # 1 + 1 + 4
    assert all(near(row, "gain_e_per_dn", "gain_error", GAIN) for row in rows.values())


# Masters


@pytest.mark.parametrize("options", [MEDIAN, MEAN, CLIP])
def test_noise_falls_with_the_root_of_the_frames_down_to_the_fixed_pattern(options):
    rng = np.random.default_rng(2)
    pattern = 1 + 0.02 * rng.standard_normal(20000)
    box = (5000 * pattern + 50 * rng.standard_normal((64, 20000))).astype(np.float32)
    rows = noise.measure_depth(box, options, np.ones(64))
    for row in rows:
        row["effective_frames"] = methods.scatter_of_master(options, row["frames"]) ** -2
        expected = 1.0 * methods.scatter_of_master(options, row["frames"])  # 50 of 5000 are 1 %
        assert row["noise_percent"] == pytest.approx(expected, abs=4 * row["noise_error_percent"] + 0.01 * expected)
    assert [row["frames"] for row in rows] == [1, 2, 4, 8, 16, 32]
    slope, error = noise.fit_slope(rows)
    assert slope == pytest.approx(-0.5, abs=0.02) and error < 0.01


@pytest.mark.parametrize("options", [MEAN, MEDIAN, CLIP])
def test_the_number_of_frames_that_are_needed_suffices(options):
    needed = noise.frames_needed(1.5, 0.3, options)
    values = np.random.default_rng(3).normal(100, 1.5, (needed, 40000)).astype(np.float32)
    assert methods.combine(values, options)[0].std() == pytest.approx(0.3, rel=0.03)


def test_drift_of_the_exposure_costs_nothing_when_scaled():
    rng, count = np.random.default_rng(4), 30
    drift = np.linspace(0.95, 1.05, count).astype(np.float32)
    masters = []
    for exposure in (drift, np.ones(count, np.float32)):
        level = 5000 * exposure[:, None, None]
        frames = (level + np.sqrt(level) * rng.standard_normal((count, 200, 300))).astype(np.float32)
        factors = np.repeat((exposure.mean() / exposure)[:, None], 4, axis=1).astype(np.float32)
        stack = stack_frames(frames, np.zeros((count, 4), np.float32), factors, MONO)
        masters.append(methods.combine_stack(stack, MEDIAN)[0].std())
    assert masters[0] / masters[1] == pytest.approx(1, abs=0.02)


# Differences


def subset(seed, count, shape=(240, 360), level=5000.0, options=MEDIAN, source=1.0, cfa=RGGB):
    """Master of a subset and its standard error: vignetting, source, photon noise."""
    rng = np.random.default_rng(seed)
    expected = level * source / (1 + radius(shape) ** 2)
    frames = (expected + np.sqrt(expected) * rng.standard_normal((count, *shape))).astype(np.float32)
    levels = np.zeros((count, 4), np.float32)
    return methods.combine_stack(stack_frames(frames, levels, levels + 1, cfa), options)[:2]


@pytest.mark.parametrize("options", [MEDIAN, MEAN, CLIP])
@pytest.mark.parametrize("counts", [(3, 3), (5, 5), (10, 10), (30, 30), (3, 30)])
def test_z_of_noise_is_normal(options, counts):
    (a, sa), (b, sb) = (subset(seed, count, options=options) for seed, count in zip((1, 2), counts, strict=True))
    z = differences.significance(a, b, (sa, sb), counts, RGGB)
    assert z.mean() == pytest.approx(0, abs=0.02)
    assert z.std() == pytest.approx(1, abs=0.02)
    assert np.mean(np.abs(z) > 3) < 2 * 0.0027


def test_another_level_alone_is_not_significant():
    """Subsets that differ by 1 % everywhere, five standard errors: their common level is not known that well."""
    (a, sa), (b, sb) = subset(1, 30), subset(2, 30)
    z = differences.significance(1.01 * a, b, (sa, sb), (30, 30), RGGB)
    assert z.mean() == pytest.approx(0, abs=0.02) and z.std() == pytest.approx(1, abs=0.02)


def test_a_hot_pixel_is_not_significant():
    """Its own scatter counts where it is larger than that of its neighbours."""
    rng = np.random.default_rng(1)
    frames = rng.normal(5000, 50, (2, 20, 60, 60)).astype(np.float32)
    frames[:, :, 20, 30] = rng.normal(5000, 2000, (2, 20))
    (a, sa), (b, sb) = (methods.combine(each, MEAN) for each in frames)
    assert abs(differences.significance(a, b, (sa, sb), (20, 20), MONO)[20, 30]) < 4


def test_noise_alone_is_not_significant():
    found = []
    for seed in range(20):
        (a, sa), (b, sb) = subset(2 * seed, 10, SHAPE), subset(2 * seed + 1, 10, SHAPE)
        z = differences.significance(a, b, (sa, sb), (10, 10), RGGB)
        found += differences.measure_uniformity(a, b, (sa, sb), z, RGGB)
    assert sum(row["significant"] for row in found) <= 1  # of 60, each with some 0.2 %
    ratio = np.mean([row["rms_percent"] / row["noise_percent"] for row in found])
    assert ratio == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("direction", [0, 30, 90, 200, -60])
@pytest.mark.parametrize("shape", [(300, 450), (304, 470)])  # a remainder of blocks on the right and below
def test_an_injected_gradient_is_found(direction, shape):
    """0.5 % across the frame in its direction."""
    rows, columns = shape
    y, x = np.mgrid[:rows, :columns]
    cos, sin = np.cos(np.radians(direction)), np.sin(np.radians(direction))
    along = (x - columns / 2) * cos + (rows / 2 - y) * sin
    source = 1 + 0.005 * along / (columns * abs(cos) + rows * abs(sin))
    (a, sa), (b, sb) = subset(1, 30, shape, source=source), subset(2, 30, shape)
    z = differences.significance(a, b, (sa, sb), (30, 30), RGGB)
    for row in differences.measure_uniformity(a, b, (sa, sb), z, RGGB):
        assert row["significant"] is True
        assert row["gradient_percent"] == pytest.approx(0.5, abs=max(0.025, 3 * row["gradient_error"]))
        turned = (row["direction_deg"] - direction + 180) % 360 - 180
        assert abs(turned) < max(5, 3 * row["direction_error"])
        assert row["gradient_error"] < 0.02 and row["direction_error"] < 4


def test_percent_of_nothing_is_unknown():
    a, b = np.array([[1, -1]], np.float32), np.array([[3, 1]], np.float32)
    np.testing.assert_allclose(differences.percent_difference(a, b), [[-100, np.nan]])


# What comes of it


@pytest.mark.parametrize("name", ["RGGB", "MONO", "RBGBRGGGRGGBGGBGGRBRGRBGGGBGGRGGRGGB"])
def test_variance_of_interpolated_pixels(name):
    cfa, rng = ColorFilterArray.from_name(name), np.random.default_rng(3)
    variance = rng.uniform(1, 4, (12, 18)).astype(np.float32)
    mosaics = (np.sqrt(variance) * rng.standard_normal((4000, 12, 18))).astype(np.float32)
    planes = np.array([demosaicing.interpolate_bilinear(mosaic, cfa) for mosaic in mosaics])
    expected = demosaicing.interpolate_variance(variance, cfa)
    inner = np.s_[:, 2:-2, 2:-2]  # corners of X-Trans reach further
    # the variance of 4000 values is known to 2.2 %; 600 of them reach 4 times that
    np.testing.assert_allclose(planes.var(axis=0)[inner], expected[inner], rtol=0.1)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(["RGGB", "GBRG", "MONO", "RBGBRGGGRGGBGGBGGRBRGRBGGGBGGRGGRGGB"]), st.integers(0, 1000))
def test_noise_of_interpolated_pixels(name, seed):
    cfa = ColorFilterArray.from_name(name)
    mosaic = np.random.default_rng(seed).standard_normal((240, 240)).astype(np.float32)
    planes = demosaicing.interpolate_bilinear(mosaic, cfa)[:, 6:-6, 6:-6]
    # correlated over two pixels: some 9000 independent ones
    np.testing.assert_allclose(planes.var(axis=(1, 2)), demosaicing.noise_of_interpolation(cfa), rtol=0.08)


def test_error_of_a_calibrated_light_is_its_scatter():
    rng, shape = np.random.default_rng(7), (400, 600)
    truth, vignetting = 300.0, 1 / (1 + radius(shape) ** 2)
    flat_error = 0.01 * vignetting
    flat = (vignetting + flat_error * rng.standard_normal(shape)).astype(np.float32)
    electrons = rng.poisson(truth * vignetting * GAIN) + READ_NOISE * rng.standard_normal(shape)
    light = (electrons / GAIN).astype(np.float32)
    error = calibration.light_error(light, flat, flat_error.astype(np.float32), RGGB, [GAIN] * 3, [READ_NOISE] * 3)
    pull = (calibration.divide(light, flat) - truth) / error
    assert pull.std() == pytest.approx(1, abs=0.02)


def test_calibrated_lights_and_debayered_masters_carry_their_errors(finished):
    with (
        fits.open(finished.path("first/flat.fits")) as flat,
        fits.open(finished.path("first/flat_uncert.fits")) as errors,
    ):
        assert [hdu.name for hdu in errors] == [hdu.name for hdu in flat]
        assert all((hdu.data > 0).all() for hdu in errors[1:])
    with fits.open(finished.path("lights/night/sky.fits")) as light:
        value, error, header = light[0].data, light["UNCERT"].data, light[0].header
    # frames of the tests: gain 1 e-/DN at ISO 100, hence 1/32 at ISO 3200
    assert header["GAIN_G"] == pytest.approx(1 / 32, rel=0.2)
    # nothing tells the noise of reading at ISO 3200 (flats of another ISO, no offset frames, too few pixels for their
    # scatter): errors are known from `FAINT` electrons on, which a part of the pixels of green has
    gains = [header[f"GAIN_{letter}"] for letter in "RGB"]
    assert all(header[f"RDNOIS_{letter}"] == "unknown" for letter in "RGB")
    frame = read_frame(finished.folder / "raws/lights/sky.dng")
    gain = np.array(gains)[frame.cfa.channel_map(value.shape)]
    electrons, known = signal(frame.mosaic[None], frame.black[None], frame.cfa)[0] * gain, np.isfinite(error)
    # the level of a pixel is a smoothed one: a single pixel of the tests is 2.5 % off
    assert known[electrons > 1.15 * calibration.FAINT].all() and known.any()
    assert not known[electrons < 0.85 * calibration.FAINT].any()
    assert np.median((error / np.sqrt(value / gain))[known]) == pytest.approx(1, abs=0.1)


def test_rejected_values_are_counted_in_the_products(tmp_path):
    project = Project.create(tmp_path / "project")
    write_flats(project.folder / "raws", 8)
    project.configure({"raw_root": "raws", "sets": {"a": {"frames": "*.dng"}}, "combine": {"method": "sigma_clip"}})
    project.run("results/a/flat_cfa.fits", "results/a/subsets/all.fits")
    for name in ("flat_cfa.fits", "subsets/all.fits"):
        with fits.open(project.path(f"a/{name}")) as hdus:
            used = hdus["NUSED"].data
            assert used.dtype.kind == "i" and used.max() == 8 and used.min() >= 1
            assert "BUNIT" not in hdus["NUSED"].header
