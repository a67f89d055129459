"""Errors of lights, and of masters of few frames: scatter about the truth over quoted error."""

import numpy as np
import pytest
from astropy.io import fits
from numpy.lib.stride_tricks import sliding_window_view

from flatfield.combine import methods
from flatfield.combine.kernels import average_neighbours
from flatfield.combine.pooling import pool_errors
from flatfield.combine.stack import stack_frames
from flatfield.measure.calibration import light_error
from flatfield.measure.light_noise import frame_variances, measure_scatter
from flatfield.raw.cfa import ColorFilterArray
from flatfield.raw.mosaic import Mosaic

RGGB = ColorFilterArray.from_name("RGGB")
SHAPE = (400, 600)
CLIP = {"kappa_low": 3.0, "kappa_high": 3.0, "iterations": 5}


def sky(electrons, gain, read_noise, seed=1):
    """Signal of a light (DN) under vignetting with pixel response, and that flat."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    flat = 1 / (1 + 0.5 * ((y - 200) ** 2 + (x - 300) ** 2) / 360**2) ** 2 * (1 + 0.004 * rng.standard_normal(SHAPE))
    recorded = rng.poisson(electrons * flat) + read_noise * rng.standard_normal(SHAPE)
    return np.rint(recorded / gain).astype(np.float32), flat.astype(np.float32)


@pytest.mark.parametrize("electrons", [3, 10, 100, 3000])
@pytest.mark.parametrize("known", [True, False])
def test_error_of_a_light_is_its_scatter_and_does_not_bias_means(electrons, known):
    """At ISO 3200; read noise as given, or from the scatter of the light."""
    gain, read_noise = 0.1, 2.5
    signal, flat = sky(electrons, gain, read_noise)
    read_noises = [read_noise] * 3
    if not known:
        read_noises = [gain * variance**0.5 for variance in measure_scatter(signal, RGGB, [gain] * 3, [0.004] * 3)]
    error = light_error(signal, flat, np.zeros_like(flat), RGGB, [gain] * 3, read_noises)
    value = signal / flat
    pull = (value - electrons / gain) / error
    assert pull.std() == pytest.approx(1, abs=0.03)  # of 240000: 0.0014; the read noise of the scatter is known to 5 %
    assert np.mean(np.abs(pull) > 3) < 0.006  # 0.0027 of normal noise; 3 electrons are skew
    mean = (value / error**2).sum() / (1 / error**2).sum()
    assert mean * gain / electrons == pytest.approx(1, abs=0.01)


def test_no_error_is_quoted_where_the_read_noise_counts_and_is_not_known():
    signal, flat = sky(60, 1.0, 5.0)
    error = light_error(signal, flat, np.zeros_like(flat), RGGB, [1.0] * 3, [float("nan")] * 3)
    assert np.isfinite(error[200, 300]) and np.isnan(error[:20, :20]).all()


def test_a_star_has_its_own_photon_noise():
    signal, flat = sky(100, 1.0, 5.0)
    signal[200, 300] = 9000
    error = light_error(signal, flat, np.zeros_like(flat), RGGB, [1.0] * 3, [5.0] * 3)
    assert error[200, 300] == pytest.approx(np.sqrt(9025), rel=0.02)
    assert error[200, 304] == pytest.approx(np.sqrt(125), rel=0.1)  # its neighbour of that colour


@pytest.mark.parametrize("options", [{"method": "median"}, {"method": "mean"}, {"method": "sigma_clip", **CLIP}])
@pytest.mark.parametrize("count", [4, 10])
def test_read_noise_from_the_master_of_offset_frames(options, count):
    rng, levels = np.random.default_rng(2), np.ones((count, 4), np.float32)
    frames = np.rint(500 + 7 * rng.standard_normal((count, 120, 180))).astype(np.float32)
    value, error, _ = methods.combine_stack(stack_frames(frames, 0 * levels, levels, RGGB), options)
    header = fits.Header([("NCOMBINE", count), ("COMBINE", options["method"])])
    for name in CLIP if len(options) > 1 else ():
        header["HISTORY"] = f"sigma_clip {name} = {CLIP[name]}"
    found = frame_variances(Mosaic(value, RGGB, header, error))
    assert np.sqrt(found) == pytest.approx([7, 7, 7], rel=0.04)


@pytest.mark.parametrize("method", ["median", "mean", "sigma_clip"])
@pytest.mark.parametrize("count", [3, 5, 10])
def test_three_errors_hold_the_truth_also_of_few_frames(method, count):
    rng, levels = np.random.default_rng(4), np.ones((count, 4), np.float32)
    y, x = np.mgrid[:240, :360]
    truth = 7500 / (1 + ((y - 120) ** 2 + (x - 180) ** 2) / 216**2)
    frames = np.rint(rng.poisson(2 * truth, (count, 240, 360)) / 2).astype(np.float32)
    stack = stack_frames(frames, 0 * levels, levels, RGGB)
    value, error, used = methods.combine_stack(stack, {"method": method, **CLIP})
    pull = (value - truth) / pool_errors(error, RGGB, method, count, used)
    assert pull.std() == pytest.approx(1, abs=0.03)
    assert np.mean(np.abs(pull) > 3) < 0.007  # 0.0027; what clipping leaves is not quite normal


def test_the_error_of_a_hot_pixel_is_its_own():
    rng, count = np.random.default_rng(5), 10
    frames = rng.normal(5000, 50, (count, 60, 60)).astype(np.float32)
    frames[:, 20, 30] = rng.normal(5000, 2000, count)
    levels = np.ones((count, 4), np.float32)
    _, error, _ = methods.combine_stack(stack_frames(frames, 0 * levels, levels, RGGB), {"method": "mean"})
    pooled = pool_errors(error, RGGB, "mean", count)
    assert pooled[20, 30] == error[20, 30]
    assert np.median(pooled) == pytest.approx(50 / np.sqrt(count), rel=0.03)
    assert pooled[20, 32] == pytest.approx(50 / np.sqrt(count), rel=0.2)


@pytest.mark.parametrize("pattern", ["RGGB", "MONO", "GGRGGBGGBGGRBRGRBGGGBGGRGGRGGBRBGBRG"])
@pytest.mark.parametrize("shape", [(126, 150), (6, 6), (12, 400)])
def test_lights_smaller_than_a_tile_show_no_noise_of_reading_and_stop_nothing(pattern, shape):
    cfa = ColorFilterArray.from_name(pattern)
    signal = np.random.default_rng(1).normal(10, 3, shape).astype(np.float32)
    found = measure_scatter(signal, cfa, [1.0] * len(cfa.channels), [0.0] * len(cfa.channels))
    assert len(found) == len(cfa.channels)
    for variance in found:  # 9 less 10 of photons is none; two tiles of 128 groups know 9 within 9 sqrt(2 / 256)
        assert variance is None or 0 <= variance < 4 * 9 * np.sqrt(2 / 256)


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (16, 5), (40, 33)])
def test_neighbours_are_averaged_as_their_definition_says(shape):
    rng, reach = np.random.default_rng(3), 7
    values, counted = rng.chisquare(3, shape).astype(np.float32), rng.random(shape) > 0.2
    values[rng.random(shape) < 0.1], mean = 1e6, np.empty(shape, np.float32)
    counted[: shape[0] // 2, : shape[1] // 2] = False
    average_neighbours(values, counted, reach, mean)
    near = [np.pad(each, reach, mode="edge") for each in (np.where(counted, values, 0).astype(float), counted)]
    windows = [sliding_window_view(each, (2 * reach + 1,) * 2).sum(axis=(2, 3)) for each in near]
    with np.errstate(invalid="ignore"):
        expected = windows[0] / windows[1]
    np.testing.assert_allclose(mean, expected, rtol=1e-6, atol=1e-3)  # 1e6 was added and taken away in double precision
