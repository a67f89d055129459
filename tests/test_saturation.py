"""Saturation: planted in one channel, sharp or soft, and not seen where nothing saturates."""

import numpy as np
import pytest

from flatfield.combine.stack import MASK_SATURATED, mask_pixels, stack_frames
from flatfield.measure.saturation import count_values, measure_saturation
from flatfield.raw.cfa import ColorFilterArray

RGGB, MONO = ColorFilterArray.from_name("RGGB"), ColorFilterArray.from_name("MONO")
XTRANS = ColorFilterArray.from_name("RBGBRGGGRGGBGGBGGRBRGRBGGGBGGRGGRGGB")
SHAPE, BLACK, GAIN, WHITE = (240, 360), 512, 2.0, 16383.0


def expose(rng, cfa, levels, fall_off=1.5, read_noise=6.0, gain=GAIN, black=BLACK):
    """Signal of a flat with vignetting, 0.4 % pixel response, photon and read noise, not digitised, DN."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    radius = ((y - SHAPE[0] / 2) ** 2 + (x - SHAPE[1] / 2) ** 2) / (SHAPE[0] ** 2 + SHAPE[1] ** 2) * 4
    light = np.array(levels)[cfa.channel_map(SHAPE)] / (1 + fall_off * radius) ** 2
    light = light * (1 + 0.004 * rng.standard_normal(SHAPE))
    return (rng.poisson(light * gain) + read_noise * rng.standard_normal(SHAPE)) / gain + black


def digitise(signal, top=16383):
    return np.clip(np.rint(signal), 0, top).astype(np.uint16)


def with_hot_pixels(rng, mosaic):
    mosaic[rng.integers(0, SHAPE[0], 40), rng.integers(0, SHAPE[1], 40)] = rng.integers(9000, 16000, 40)
    return mosaic


def with_stars(rng, signal):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for _ in range(40):
        row, column, width = rng.uniform(0, SHAPE[0]), rng.uniform(0, SHAPE[1]), rng.uniform(1, 2.5)
        star = np.exp(-((y - row) ** 2 + (x - column) ** 2) / 2 / width**2)
        signal = signal + 10 ** rng.uniform(2, 3.9) * star
    return signal


FLAT = (3500, 7500, 4300)
CLEAN = {
    "flat": lambda rng: (digitise(expose(rng, RGGB, FLAT)), RGGB, WHITE),
    "even panel": lambda rng: (digitise(expose(rng, RGGB, FLAT, fall_off=0)), RGGB, WHITE),
    "bright": lambda rng: (digitise(expose(rng, RGGB, (7000, 13500, 8000))), RGGB, WHITE),
    "noisy": lambda rng: (digitise(expose(rng, RGGB, (80, 150, 90), read_noise=40)), RGGB, WHITE),
    "bias": lambda rng: (digitise(expose(rng, RGGB, (0, 0, 0))), RGGB, WHITE),
    "bias below the step": lambda rng: (digitise(expose(rng, RGGB, (0, 0, 0), read_noise=0.8)), RGGB, WHITE),
    "bias cut off": lambda rng: (digitise(expose(rng, RGGB, (0, 0, 0), black=2)), RGGB, WHITE),
    "blank": lambda rng: (np.full(SHAPE, 4000, np.uint16), RGGB, WHITE),
    "hot pixels": lambda rng: (with_hot_pixels(rng, digitise(expose(rng, RGGB, FLAT))), RGGB, WHITE),
    "stars": lambda rng: (digitise(with_stars(rng, expose(rng, RGGB, (200, 300, 200)))), RGGB, WHITE),
    "12 in 16 bits": lambda rng: (
        digitise(expose(rng, MONO, [1800], gain=8, black=128), 4095) * np.uint16(16), MONO, 65535.0,
    ),
    "12 in 16 bits, dithered": lambda rng: (
        digitise(expose(rng, MONO, [1800], gain=8, black=128), 4095) * np.uint16(16)
        + rng.integers(0, 16, SHAPE).astype(np.uint16), MONO, 65535.0,
    ),
    "pattern not told": lambda rng: (digitise(expose(rng, RGGB, FLAT)), MONO, 65535.0),
    "X-Trans": lambda rng: (digitise(expose(rng, XTRANS, FLAT)), XTRANS, WHITE),
    "fractions": lambda rng: ((expose(rng, MONO, [9000]) / 65535).astype(np.float32), MONO, None),
}  # fmt: skip


@pytest.mark.parametrize("name", CLEAN)
def test_clean_frames_do_not_saturate(name):
    for seed in range(10):
        mosaic, cfa, white = CLEAN[name](np.random.default_rng(seed))
        levels, fractions = measure_saturation(mosaic, cfa, white)
        assert not levels and not any(fractions.values()), seed


SOFT = {  # channel, its levels, colour pattern, level of the plateau, its scatter, white level
    "sharp": ("GREEN", (6500, 16500, 8000), RGGB, 15200, 0, WHITE),
    "red alone": ("RED", (14500, 14000, 8000), RGGB, 13000, 0, WHITE),
    "soft": ("GREEN", (6500, 16500, 8000), RGGB, 15200, 25, WHITE),
    "soft blue": ("BLUE", (6500, 9500, 12500), RGGB, 11000, 25, WHITE),
    "full well of a FITS camera": ("MONO", (54000,), MONO, 52000, 60, 65535.0),
    "no white level": ("MONO", (16000,), MONO, 15200, 25, None),
    "X-Trans": ("GREEN", (6500, 16500, 8000), XTRANS, 15200, 25, WHITE),
    "a channel altogether": ("RED", (30000, 9000, 8000), RGGB, 10000, 20, WHITE),
}


@pytest.mark.parametrize("name", SOFT)
def test_a_plateau_is_found_in_its_channel(name):
    channel, levels, cfa, full, scatter, white = SOFT[name]
    rng = np.random.default_rng(3)
    signal = expose(rng, cfa, levels)
    reached = (signal > full) & (cfa.channel_map(SHAPE) == cfa.channels.index(channel))
    signal = np.where(reached, full + scatter * rng.standard_normal(SHAPE), signal)
    mosaic = digitise(signal, 65535 if full > 16383 else 16383)
    mosaic[20, 30], mosaic[100, 200], mosaic[200, 300] = full + 700, full + 650, full + 800  # hot pixels above
    found, fractions = measure_saturation(mosaic, cfa, white)
    assert list(found) == [channel]
    assert full - 4 * scatter - 1 <= found[channel] <= full
    truth = reached.sum() / cfa.pixels(mosaic, cfa.channels.index(channel)).size
    # 0.6 % of the plateau lie below its edge; others that come near it are counted, as nothing tells them apart
    assert 0.99 * truth <= fractions[channel] <= truth + 0.02
    if not scatter:
        assert found[channel] == full


def test_values_are_counted():
    rng = np.random.default_rng(1)
    mosaic = rng.integers(0, 65536, (30, 44)).astype(np.uint16)
    values = count_values(mosaic, RGGB)
    for index in range(3):
        expected = np.bincount(RGGB.pixels(mosaic, index), minlength=65536)
        assert (values.counts[index] == expected).all()
    np.testing.assert_allclose(values.rows, mosaic.mean(axis=1))
    np.testing.assert_allclose(values.columns, mosaic.mean(axis=0))


@pytest.mark.parametrize(
    ("count", "saturated", "masked"), [(10, 1, True), (100, 1, False), (100, 2, True), (3, 0, False)]
)
def test_pixels_are_masked_from_two_percent_of_saturated_values_on(count, saturated, masked):
    frames = np.full((count, 4, 6), 1000, np.uint16)
    frames[:saturated, 2, 2] = 13000  # red
    frames[:, 1, 2] = 14000  # green, which does not saturate there
    levels = np.ones((count, 4), np.float32)
    stack = stack_frames(frames, 0 * levels, levels, RGGB)
    mask = mask_pixels(stack, np.ones((4, 6), np.float32), [{"RED": 13000.0}] * count)
    assert (mask[2, 2] == MASK_SATURATED) == masked
    mask[2, 2] = 0
    assert not mask.any()
