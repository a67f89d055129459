"""Saturation: planted in one channel, sharp or soft, and not seen where nothing saturates."""

import numpy as np
import pytest

from flatfield.combine.stack import MASK_SATURATED, mask_pixels, stack_frames
from flatfield.files.frame_table import FrameRecord
from flatfield.measure.full_well import find_full_wells, mark_full_wells
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


# Full wells that differ from pixel to pixel, in pairs of frames


def expose_pairs(rng, cfa, levels, well=None, bands=0.0, trend=0.0, count=2, part=1.0):
    """Frames of one camera whose pixels are full at `well` electrons each; bands of a lamp, and light that moves."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    u, v = x / SHAPE[1] - 0.5, y / SHAPE[0] - 0.5
    light = np.array(levels)[cfa.channel_map(SHAPE)] / (1 + 1.5 * (u * u + v * v)) ** 2
    light = light * (1 + 0.005 * rng.standard_normal(SHAPE)) * part
    for _ in range(count):
        seen = light * (1 + bands * np.sin(y / 4 + rng.uniform(0, 6)) + trend * rng.standard_normal() * u)
        electrons = rng.poisson(seen * GAIN).astype(float)
        if well is not None:
            electrons = np.minimum(electrons, well)
        yield digitise((electrons + 6 * rng.standard_normal(SHAPE)) / GAIN + BLACK)


WELLS = {  # channel, its levels, colour pattern, full well, its scatter from pixel to pixel
    "Bayer": ("GREEN", (6000, 13200, 8000), RGGB, 26000, 0.003),
    "red": ("RED", (13500, 9000, 8000), RGGB, 26000, 0.005),
    "X-Trans": ("GREEN", (6000, 13200, 8000), XTRANS, 26000, 0.003),
    "mono": ("MONO", (13200,), MONO, 26000, 0.006),
    "sharp": ("MONO", (13200,), MONO, 26000, 0.0),
}


@pytest.mark.parametrize("name", WELLS)
def test_full_wells_that_scatter_are_found_in_pairs(name):
    """0.5 to 6 % of the pixels of a channel. The edge lies below nine of ten full pixels, and not far below."""
    channel, levels, cfa, full, scatter = WELLS[name]
    rng = np.random.default_rng(4)
    well = full * (1 + scatter * rng.standard_normal(SHAPE))
    first, second = expose_pairs(rng, cfa, levels, well)
    found = find_full_wells(first, second, cfa)
    assert list(found) == [channel]
    level, noise = found[channel]
    assert 0.6 < noise / (np.sqrt(26000) / GAIN) < 1  # that of darker pixels
    assert (
        full * (1 - 3.5 * scatter) / GAIN + BLACK - 2 * noise
        < level
        < full * (1 - scatter) / GAIN + BLACK + 0.5 * noise
    )


@pytest.mark.parametrize("name", ["plain", "bands", "light that moves", "bands and wells far away"])
@pytest.mark.parametrize("cfa", [RGGB, MONO, XTRANS], ids=lambda cfa: cfa.name[:4])
def test_no_wells_are_full_where_frames_follow_the_light(cfa, name):
    options = {"plain": {}, "bands": {"bands": 0.03}, "light that moves": {"trend": 0.02}}
    options["bands and wells far away"] = {"bands": 0.01, "well": 31000 * np.ones(SHAPE)}
    for seed in range(5):
        pair = expose_pairs(np.random.default_rng(seed), cfa, (6000, 13000, 8000)[: len(cfa.channels)], **options[name])
        assert not find_full_wells(*pair, cfa)


def test_a_channel_is_marked_in_all_frames(monkeypatch):
    """As many pixels as are above the level that the brightest pair shows; none in a darker subset."""
    rng = np.random.default_rng(6)
    well = 26000 * (1 + 0.003 * rng.standard_normal(SHAPE))
    frames = [*expose_pairs(rng, MONO, [13200], well, count=3), *expose_pairs(rng, MONO, [9000], well)]
    records = [
        FrameRecord(str(k), rows=240, columns=360, cfa="MONO", level_dn=float(np.median(each)) - BLACK, saturated=0.0)
        for k, each in enumerate(frames)
    ]

    class Read:
        def __init__(self, mosaic):
            self.mosaic, self.cfa = mosaic, MONO

    monkeypatch.setattr("flatfield.measure.full_well.read_again", lambda path, *_: Read(frames[int(path[-1])]))
    paths = [f"/dev/null{k}" for k in range(5)]
    monkeypatch.setattr(
        "flatfield.measure.full_well.read_each", lambda files, work, _: [work(k) for k in range(len(files))]
    )
    mark_full_wells(records, paths, ["a"] * 3 + ["b"] * 2, False, 1)
    for record, frame in zip(records, frames, strict=True):
        part = np.mean(frame >= record.saturations_dn.get("MONO", np.inf))
        assert record.saturated_percent.get("MONO", 0.0) == pytest.approx(100 * part)
        assert record.saturated == pytest.approx(part) and (part > 0.005) == (int(record.file) < 3)


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
