"""Gain and pixel response from frames with what real cameras have: the truth is within the errors."""

import numpy as np
import pytest
from conftest import LONG
from scipy.ndimage import convolve

from flatfield.measure.center_box import divide_planes
from flatfield.measure.common_noise import find_common_noise, join_tiles
from flatfield.measure.line_noise import level_lines
from flatfield.measure.photon_transfer import fit_photon_transfer, gain_and_read_noise
from flatfield.measure.pixel_response import mark_dust, measure_response
from flatfield.measure.tile_noise import DISTANCES, measure_tiles
from flatfield.raw.cfa import ColorFilterArray

GAIN, FULL, SHAPE = 2.0, 15871.0, (360, 540)
PATTERNS = {
    "RGGB": ColorFilterArray.from_name("RGGB"),
    "MONO": ColorFilterArray.from_name("MONO"),
    "XTRANS": ColorFilterArray.from_name("RBGBRGGGRGGBGGBGGRBRGRBGGGBGGRGGRGGB"),
}


def coordinates():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    half = np.hypot(*SHAPE) / 2
    return (x - SHAPE[1] / 2) / half, (y - SHAPE[0] / 2) / half


def vignetted(cfa, levels):
    u, v = coordinates()
    return np.array(levels)[cfa.channel_map(SHAPE)] / (1 + 0.8 * (u * u + v * v)) ** 2


def record(light, rng, shared=0.0, bent=0.0, rows=0.0):
    """Signal in DN: photon noise of which neighbours share a part, noise of reading and of rows, a bent response."""
    electrons = light * GAIN
    photons = rng.poisson(electrons) - electrons
    if shared:
        k = shared / 2
        photons = convolve(photons, [[0, k, 0], [k, 1 - 4 * k, k], [0, k, 0]], mode="wrap")
    noise = 6 * rng.standard_normal(light.shape) + rows * rng.standard_normal((len(light), 1))
    signal = (electrons + photons + noise) / GAIN
    return np.rint(signal * (1 - bent * signal / FULL)).astype(np.float32)


def gain_of(cfa, seed, **camera):
    """Gain and its error of the first channel, as the table has them, and what neighbours share."""
    rng, light = np.random.default_rng(seed), vignetted(cfa, (3500, 7500, 4300) if cfa.period > 1 else [7500])
    pairs = [(record(light, rng, **camera), record(light, rng, **camera)) for _ in range(5)]
    tiles = [measure_tiles(a, b, np.ones((2, len(cfa.channels))), cfa) for a, b in pairs]
    common = find_common_noise(tiles, [FULL] * 3, cfa.period)
    level, variance, count, covariance = join_tiles(tiles, 0)
    fit, _ = fit_photon_transfer(level, variance + covariance[:, common.distances].sum(axis=1), count, FULL)
    values, _ = gain_and_read_noise(fit)
    return values["gain_e_per_dn"], np.hypot(values["gain_error"], GAIN * common.hidden), common


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_neighbours_share_has_a_right_error(pattern):
    """White noise, 100 pairs of frames: means over their errors scatter by 1, with 7 % to 2 % noise."""
    cfa, rng, light = PATTERNS[pattern], np.random.default_rng(8), np.full((96, 144), 4000.0)
    z, nearest = [], [(i, j) in ((0, 1), (1, 0)) for i, j in DISTANCES]
    for _ in range(100):
        first, second = (record(light, rng).astype(np.float32) for _ in range(2))
        tiles = measure_tiles(first, second, np.ones((2, len(cfa.channels))), cfa)
        common = find_common_noise([tiles], [FULL] * 3, cfa.period)
        weights = np.concatenate(tiles.count)
        shared = np.average(np.concatenate(tiles.covariance)[:, nearest].sum(axis=1), weights=weights)
        z.append(shared / np.average(np.concatenate(tiles.variance), weights=weights) / common.hidden)
    assert np.std(z) == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("shared", [0.0, 0.01, 0.02])
def test_noise_that_neighbours_share_does_not_change_the_gain(pattern, shared):
    """Without the covariances it is 4 % too large for each percent."""
    found = [gain_of(PATTERNS[pattern], seed, shared=shared) for seed in range(4)]
    pulls = [(gain - GAIN) / error for gain, error, _ in found]
    assert max(map(abs, pulls)) < 3.5 and abs(np.mean(pulls)) < 1.5
    assert np.mean([gain for gain, _, _ in found]) == pytest.approx(GAIN, rel=0.025)
    for _, _, common in found:
        assert bool(common.distances) == (shared > 0)
        if shared:
            assert common.percent[0] == pytest.approx(400 * shared, abs=4 * common.error[0] + 40 * shared)
            assert "neighbouring pixels share" in common.sentence


@pytest.mark.parametrize("bent", [-0.02, 0.0, 0.02])
def test_a_sensor_that_is_not_linear_is_in_the_error_of_the_gain(bent):
    found = [gain_of(PATTERNS["RGGB"], seed, bent=bent) for seed in range(4)]
    assert all(abs(gain - GAIN) < 3 * error < 0.25 for gain, error, _ in found)


def test_a_bend_is_said_where_the_variances_tell_it():
    rng = np.random.default_rng(1)
    level = rng.uniform(500, 10000, 4000)
    for bent in (0.0, 0.03):
        variance = (9 + level / GAIN * (1 - 3 * bent * level / FULL)) * rng.chisquare(999, level.size) / 999
        fit, _ = fit_photon_transfer(level, variance, np.full(level.size, 1000), FULL)
        assert (fit.bend_sigma > 4) == (bent > 0)
        assert fit.nonlinearity_of_response(FULL) == pytest.approx(100 * bent, abs=0.5)
        assert 1 / fit.slope == pytest.approx(GAIN, abs=3 * np.sqrt(fit.covariance[1, 1]) * GAIN**2)


@pytest.mark.parametrize("lamp", [0.0, 0.01, 0.035])
@pytest.mark.parametrize("noise_of_rows", [0.0, 12.0])
def test_pixel_response_does_not_depend_on_the_light_source(lamp, noise_of_rows):
    """Camera turned by 0, 90 and 180 degrees under a lamp that is uneven by 0, 1 and 4 %."""
    cfa, (u, v), pulls = PATTERNS["RGGB"], coordinates(), []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        response = vignetted(cfa, (3500, 7500, 4300)) * (1 + 0.004 * rng.standard_normal(SHAPE))
        halves = [np.zeros(SHAPE), np.zeros(SHAPE)]
        for turn in range(3):
            x, y = ((u, v), (v, -u), (-u, -v))[turn]
            light = np.exp(lamp * (2 * x + 1.2 * y - 2 * x * x + x * y + 0.4 * x**3))
            for half in halves * 2:
                half += record(response * light, rng, rows=noise_of_rows) / 6
        halves = [half.astype(np.float32) for half in halves]
        for channel in range(3):
            prnu, error, why = measure_response(halves, None, np.ones(SHAPE, bool), cfa, channel)
            assert not why
            pulls.append((prnu - 0.4) / error)
    assert abs(np.mean(pulls)) < 4 / np.sqrt(len(pulls))
    assert 0.5 < np.std(pulls) < 1.6  # of 12: 1 +- 0.2


@pytest.mark.parametrize("pattern", ["RGGB", "MONO"])
def test_edges_of_dust_are_no_pixel_response(pattern):
    """Six shadows of 3 to 8 pixels, 3 to 8 % deep; without them pulls are 0 +- 1."""
    cfa, (u, v), pulls, untouched = PATTERNS[pattern], coordinates(), [], []
    half = np.hypot(*SHAPE) / 2
    for seed in range(4):
        rng = np.random.default_rng(seed)
        response = vignetted(cfa, (3500, 7500, 4300)[: len(cfa.channels)]) * (1 + 0.005 * rng.standard_normal(SHAPE))
        for _ in range(6):
            x, y, radius, depth = (rng.uniform(*each) for each in ((-0.7, 0.7), (-0.45, 0.45), (3, 8), (0.03, 0.08)))
            response *= 1 - depth * np.exp(-((half * np.hypot(u - x, v - y) / radius) ** 4))
        halves = [np.mean([record(response, rng) for _ in range(4)], axis=0).astype(np.float32) for _ in range(2)]
        good = np.ones(SHAPE, bool)
        dusty = mark_dust(halves, good, cfa)
        assert 6 * 60 < dusty.sum() < 0.2 * dusty.size
        for channel in range(len(cfa.channels)):
            for mask, found in ((good & ~dusty, pulls), (good, untouched)):
                prnu, error, _ = measure_response(halves, None, mask, cfa, channel)
                found.append((prnu - 0.5) / error)
    assert abs(np.mean(pulls)) < 4 / np.sqrt(len(pulls)) and np.std(pulls) < 1.8
    assert pattern == "MONO" or np.mean(untouched) > np.mean(pulls) + 0.5  # what they would count for


def test_no_dust_is_marked_where_there_is_none():
    rng, cfa = np.random.default_rng(5), PATTERNS["RGGB"]
    response = vignetted(cfa, (3500, 7500, 4300)) * (1 + 0.005 * rng.standard_normal(SHAPE))
    halves = [record(response, rng).astype(np.float32) for _ in range(2)]
    assert not mark_dust(halves, np.ones(SHAPE, bool), cfa).any()


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("bands", [0.003, 0.03])
@pytest.mark.parametrize("axis", [0, 1])
def test_bands_of_a_lamp_are_not_noise(pattern, bands, axis):
    """Gain, and what neighbours share, of frames that all hold bands of 0.3 and 3 % (period 30 lines)."""
    cfa, found = PATTERNS[pattern], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        light = vignetted(cfa, (3500, 7500, 4300)[: len(cfa.channels)])
        tiles, ones = [], np.ones((2, len(cfa.channels)))
        for _ in range(5):
            frames = []
            for _ in range(2):
                phase = 2 * np.pi * (np.arange(SHAPE[axis]) / 30 + rng.random())
                frames.append(record(light * np.expand_dims(1 + bands * np.sin(phase), 1 - axis), rng))
            *leveled, shares = level_lines(*frames, ones)
            assert shares[axis] in (0, 1 / SHAPE[1 - axis]) and shares[1 - axis] == 0  # 0: of one phase, by chance
            tiles.append(measure_tiles(*leveled, ones, cfa, shares))
        common = find_common_noise(tiles, [FULL] * 3, cfa.period)
        assert not common.distances
        level, variance, count, _ = join_tiles(tiles, 0)
        values, _ = gain_and_read_noise(fit_photon_transfer(level, variance, count, FULL)[0])
        found.append((values["gain_e_per_dn"] - GAIN) / np.hypot(values["gain_error"], GAIN * common.hidden))
    assert max(map(abs, found)) < 3.5 and abs(np.mean(found)) < 2.3  # of three


def test_noise_of_rows_is_left_as_it_is():
    """No line of a spectrum: it belongs to the camera."""
    cfa, rng = PATTERNS["RGGB"], np.random.default_rng(2)
    light = vignetted(cfa, (3500, 7500, 4300))
    first, second = (record(light, rng, rows=20.0) for _ in range(2))
    *same, shares = level_lines(first, second, np.ones((2, 3)))
    assert shares == (0, 0) and same[0] is first and same[1] is second


def test_no_pixel_response_is_told_from_noise():
    rng, cfa = np.random.default_rng(2), PATTERNS["RGGB"]
    halves = [record(vignetted(cfa, (300, 700, 400)), rng) for _ in range(2)]
    prnu, _, why = measure_response(halves, None, np.ones(SHAPE, bool), cfa, 0)
    assert prnu is None and "cannot be distinguished from noise" in why


def test_the_light_of_each_subset_is_brought_to_the_mean():
    rng = np.random.default_rng(3)
    row, column = (each.ravel() / 50 for each in np.indices((50, 50)))
    planes = [1 + 0.04 * row, 1 - 0.04 * row, 1 + 0.04 * column, 1 - 0.04 * column]
    frames = np.array([5000 * planes[k // 5] * (1 + 0.01 * rng.standard_normal(2500)) for k in range(20)], np.float32)
    terms = np.column_stack([np.ones(2500), row, column])
    flat = divide_planes(frames, [k // 5 for k in range(20)], terms)
    assert (flat.std(axis=0, ddof=1) / flat.mean(axis=0)).mean() == pytest.approx(0.01, rel=0.03)
    assert (frames.std(axis=0, ddof=1) / frames.mean(axis=0)).mean() > 0.012


def test_stars_that_moved_between_the_frames_are_no_shared_noise():
    """As in twilights: some tiles hold stars in one frame of a pair and not in the other; the gain stays right."""
    cfa, pulls = PATTERNS["MONO"], []
    for seed in range(20 if LONG else 4):
        rng, light, tiles = np.random.default_rng(seed), vignetted(PATTERNS["MONO"], [7500]), []
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
        for _ in range(4):
            frames = []
            for _ in range(2):
                stars = np.zeros(SHAPE)
                for row, column in zip(rng.uniform(0, SHAPE[0], 12), rng.uniform(0, SHAPE[1], 12), strict=True):
                    stars += 200 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 8)
                frames.append(record(light + stars, rng))
            tiles.append(measure_tiles(*frames, np.ones((2, 1)), cfa))
        common = find_common_noise(tiles, [FULL], 1)
        level, variance, count, covariance = join_tiles(tiles, 0)
        fit, _ = fit_photon_transfer(level, variance + covariance[:, common.distances].sum(axis=1), count, FULL)
        values, _ = gain_and_read_noise(fit)
        pulls.append((values["gain_e_per_dn"] - GAIN) / np.hypot(values["gain_error"], GAIN * common.hidden))
    assert np.abs(pulls).max() < 4
