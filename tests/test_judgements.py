"""Judgements and calibration steps of the library, one by one, against cases whose answer is known."""

import numpy as np
import pytest
from astropy.io import fits

from flatfield.combine.stack import mask_pixels, stack_frames
from flatfield.files.errors import CalibrationError, CombinationError, InventoryError
from flatfield.files.frame_table import FrameRecord
from flatfield.files.tables import write_table
from flatfield.measure import agreement, calibration, consistency, drift, falloff, sky
from flatfield.measure.light import LightFrame
from flatfield.measure.light_noise import describe_noise
from flatfield.measure.tiles import Tiles, tile_positions
from flatfield.raw.cfa import ColorFilterArray
from flatfield.raw.decode import Frame
from flatfield.raw.metadata import Metadata
from flatfield.raw.mosaic import Mosaic, write_mosaic

RGGB, MONO = ColorFilterArray.from_name("RGGB"), ColorFilterArray.from_name("MONO")


def record(file="a.dng", **fields):
    usual = {"rows": 72, "columns": 108, "cfa": "RGGB", "camera": "A7S", "body": "1", "lens": "14mm", "iso": 100}
    usual |= {"focal_length_mm": 14.0, "aperture": 2.8, "exposure_s": 0.02, "white_dn": 16383.0, "subset": "A"}
    return FrameRecord(file, **usual | fields)


# A light and its flat

GUARD = {"focal_length_percent": 2, "aperture_percent": 5, "distance_percent": 20}
OPTIONS = {"guard": GUARD, "mismatch": "error", "borrowed_bias": False, "has_bias": False}


def agree(light, flat, darks=(), bias=(), **options):
    rows = agreement.compare_light([light], [flat], list(darks), OPTIONS | {"mismatch": "allow"} | options, list(bias))
    return {row["quantity"]: row["agreement"] for row in rows}


@pytest.mark.parametrize("field", ["rows", "cfa", "camera", "body", "lens", "filter"])
def test_what_must_be_the_same(field):
    name = "size" if field == "rows" else field
    other = {"rows": 70, "cfa": "GRBG"}.get(field, "other")
    ours = {} if field in ("rows", "cfa") else {field: "ours"}
    assert agree(record(**ours), record(**ours))[name] == "same"
    assert agree(record(**{field: other}), record(**ours))[name] == "error"
    with pytest.raises(CalibrationError, match=rf"light a\.dng: {name} is .* in its flat"):
        agree(record(**{field: other}), record(**ours), mismatch="error")
    if ours:
        assert agree(record(**{field: None}), record(**ours))[name] == "unknown"


@pytest.mark.parametrize(
    ("field", "flat", "near", "far", "verdict"),
    [
        ("focal_length_mm", 50.0, 50.9, 51.1, "error"),
        ("aperture", 4.0, 3.85, 3.75, "error"),
        ("distance_m", 10.0, 11.9, 12.1, "warning"),
    ],
)
def test_what_must_be_near(field, flat, near, far, verdict):
    found = [agree(record(**{field: value}), record(**{field: flat}))[field] for value in (flat, near, far, None)]
    assert found == ["same", "differs", verdict, "unknown"]


def test_iso_bias_and_darks():
    assert agree(record(iso=3200), record())["iso"] == "differs"
    bias = [record("b.dng")]
    assert agree(record(iso=3200), record(), bias=bias)["iso of the bias"] == "error"
    assert agree(record(iso=3200), record(), bias=bias, borrowed_bias=True)["iso of the bias"] == "warning"
    assert agree(record(white_dn=4095), record())["white_dn"] == "warning"
    light, dark = record(exposure_s=10), record("d.dng", exposure_s=5)
    assert agree(light, record(), [dark])["exposure of the dark"] == "error"
    assert agree(light, record(), [dark], has_bias=True)["exposure of the dark"] == "differs"
    assert agree(light, record(), [record(exposure_s=10, iso=200)])["iso of the dark"] == "warning"
    assert "exposure of the dark" not in agree(light, record())


def test_only_a_used_flat_is_compared():
    flats = [record(camera="other", used=False), record()]
    assert agreement.compare_light([record()], flats, [], OPTIONS)[3]["agreement"] == "same"


# Frames of a set


def test_the_minority_is_rejected():
    frames = [record(f"{number}.dng", iso=200 if number == 2 else 100) for number in range(5)]
    with pytest.raises(InventoryError, match=r"ISO is 100 \(4 frames\) and 200 \(2\.dng\); take the frames out"):
        consistency.reject_mismatches(frames, 2, "error")
    frames = [record(f"{number}.dng", iso=200 if number == 2 else 100) for number in range(5)]
    consistency.reject_mismatches(frames, 2, "exclude")
    assert [frame.used for frame in frames] == [True, True, False, True, True]
    assert "200, not 100" in frames[2].reason


@pytest.mark.parametrize(("span", "used"), [(2, [True, True, True, False]), (20, [True] * 4)])
def test_exposures_may_span_so_much(span, used):
    frames = [record(f"{number}", exposure_s=seconds) for number, seconds in enumerate((1.0, 1.3, 1.3, 3.0))]
    consistency.reject_mismatches(frames, span, "exclude")
    assert [frame.used for frame in frames] == used


def test_names_and_times_agree():
    times = ["2026-01-01T12:00:00", None, "2026-01-01T12:00:02", "2026-01-01T12:00:02"]
    consistency.check_order([record(time=time) for time in times])
    with pytest.raises(InventoryError, match=r"b comes before a by name"):
        consistency.check_order([record("b", time=times[2]), record("a", time=times[0])])


def test_offsets_are_of_the_camera_and_its_gain():
    for field, other in (("camera", "B"), ("body", "2"), ("iso", 200)):
        with pytest.raises(InventoryError, match="in the offset frames"):
            consistency.check_offsets([record()], [record("b.dng", **{field: other})])
        consistency.check_offsets([record()], [record("b.dng", **{field: None})])


def test_minmax_needs_more_frames_than_it_rejects():
    frames, combine = [record(str(number)) for number in range(4)], {"method": "minmax", "nlow": 1, "nhigh": 2}
    consistency.check_counts("a", frames, combine, 1)
    with pytest.raises(CombinationError, match="of the 2 frames of a, every 2th frame"):
        consistency.check_counts("a", frames, combine, 2)
    with pytest.raises(CombinationError, match="of the 3 frames of a, subset A"):
        consistency.check_counts("a", frames[:3], combine, 1)
    consistency.check_counts("a", frames[:3], combine | {"method": "mean"}, 1)


# The steps of a calibration


def test_a_dark_is_scaled_to_the_exposure():
    bias, dark = (np.float32([100.0]), np.float32([3.0])), (np.float32([130.0]), np.float32([4.0]))
    value, error = calibration.master_offset(bias, dark, 20.0, 10.0)
    assert value[0] == 160 and error[0] == pytest.approx(np.hypot(3, 8))  # dark current doubled: 2 d - b
    value, error = calibration.master_offset(bias, dark, 5.0, 10.0)
    assert value[0] == 115 and error[0] == pytest.approx(np.hypot(1.5, 2))
    for unscaled in (
        calibration.master_offset(None, dark, 20.0, 10.0),
        calibration.master_offset(bias, dark, None, 1.0),
    ):
        assert unscaled[0][0] == 130
    assert calibration.master_offset(bias, None, 1.0, None) == bias
    assert calibration.master_offset(None, None, 1.0, None) == (None, None)


def test_each_bit_of_the_mask():
    value, flat = np.float32([1, np.nan, 1, 1]), np.float32([1, 1, 0.19, 0.2])
    saturated = np.array([True, True, False, False])
    assert calibration.mask_light(value, flat, saturated, 0.2).tolist() == [2, 6, 1, 0]


def test_the_error_of_an_offset_counts():
    ones = np.ones((2, 2), np.float32)
    found = calibration.light_error(0 * ones, ones, 0 * ones, MONO, [2.0], [6.0], 4 * ones)
    np.testing.assert_allclose(found, 5)  # 6 e- are 3 DN


@pytest.mark.parametrize(("flat_iso", "light_iso", "factor"), [(100, 3200, 1 / 32), (None, None, 1), (100, 100, 1)])
def test_gain_goes_with_iso(flat_iso, light_iso, factor):
    cameras = [{"channel": "MONO", "gain_e_per_dn": "2.0", "read_noise_e": "3.0", "prnu_percent": "0.5"}]
    found = describe_noise(cameras, flat_iso, light_of(iso=light_iso))
    assert found["gains"] == [2.0 * factor]
    assert (found["read_noises"] == [3.0]) == (factor == 1)  # the read noise of another ISO is not that of the flats
    assert describe_noise(cameras, 100, light_of(iso=None)) is None
    assert describe_noise([cameras[0] | {"gain_e_per_dn": "not determined"}], 100, light_of(iso=100)) is None


def light_of(white=16383.0, iso=None, offset=None, **fields):
    """A light of 20 x 80 pixels of a monochrome camera."""
    shape = (20, 80)
    frame = Frame(np.zeros(shape, np.uint16), MONO, np.full(1, 500, np.float32), white, Metadata(iso=iso))
    return LightFrame(frame, record(cfa="MONO", iso=iso, **fields), np.zeros(shape, np.float32), offset, None)


@pytest.mark.parametrize(
    ("piled_up", "white", "offset", "level"),
    [
        (9000.0, 16383.0, None, 8500),  # below the white level of the metadata
        (700.0, 16383.0, None, 15883),  # a dark frame piles up near black
        (None, 16383.0, 480.0, 15903),
        (9000.0, None, None, 8500),
        (None, None, None, np.nan),
    ],
)
def test_where_a_light_saturates(piled_up, white, offset, level):
    offset = None if offset is None else np.full((20, 80), offset, np.float32)
    measured = {} if piled_up is None else {"MONO": piled_up}
    np.testing.assert_equal(
        light_of(white, offset=offset, saturations_dn=measured).saturated_signals, [np.float32(level)]
    )


def test_saturated_in_one_of_few_frames_and_in_two_of_a_hundred():
    """One frame in a hundred may be a cosmic ray; one in four drags the mean along."""
    frames = np.full((4, 2, 4), 100, np.uint16)
    for column, count in enumerate((0, 1, 2, 4)):
        frames[:count, :, column] = 1000
    ones = np.ones((4, 4), np.float32)
    stack, value = stack_frames(frames, 0 * ones, ones, MONO), np.float32([[1, 1, 1, 1], [1, 0, np.nan, -1]])
    assert mask_pixels(stack, value, [{"MONO": 1000.0}] * 4).tolist() == [[0, 2, 2, 2], [0, 3, 3, 3]]
    assert mask_pixels(stack, value, [{}, {}, {}, {"MONO": 1000.0}])[0].tolist() == [0, 0, 0, 2]
    many = np.full((100, 1, 2), 100, np.uint16)
    many[:1, :, 0], many[:2, :, 1] = 1000, 1000
    stack = stack_frames(many, np.zeros((100, 4), np.float32), np.ones((100, 4), np.float32), MONO)
    assert mask_pixels(stack, np.ones((1, 2), np.float32), [{"MONO": 1000.0}] * 100).tolist() == [[0, 2]]


@pytest.mark.parametrize(
    ("rows", "flat_kind", "words"),
    [
        ([{"test": "divided out", "verdict": "yes"}], "flat", ""),
        ([{"test": "divided out", "verdict": "yes"}], "response", "was divided out as far as"),
        ([{"test": "divided out", "verdict": "no"}], "flat", "do not determine"),
        ([{"test": "solvable", "verdict": "no"}], "flat", "do not determine"),
    ],
)
def test_the_light_source_that_a_flat_holds(tmp_path, rows, flat_kind, words):
    """ln of the flat over what is left of it without its source."""
    source = np.linspace(0.9, 1.1, 360, dtype=np.float32) * np.ones((240, 1), np.float32)
    for name, value in (("flat", 500 * source), ("response", 500 + 0 * source)):
        write_mosaic(str(tmp_path / name), Mosaic(value, RGGB, fits.Header()))
    write_table(tmp_path / "tests", rows, ["test", "verdict"])
    paths = [str(tmp_path / name) for name in ("flat", "response", "tests")]
    found, why = sky.read_source(*paths, flat_kind, np.ones((240, 360), bool), RGGB)
    assert (words in why) if words else (why == "")
    assert (found is None) == bool(words)
    if found is not None:
        x = tile_positions((240, 360))[0]
        expected = np.log(1 + 0.1 * x / (360 / np.hypot(240, 360)))
        np.testing.assert_allclose(found[1], expected * np.ones_like(found[1]), atol=0.002)


# Falloff and drift


def test_falloff_in_stops():
    x, y = tile_positions((240, 360))
    level = (1 / (1 + 3 * (x**2 + y[:, None] ** 2)))[None] * np.ones((1, len(y), len(x)))
    tiles = Tiles(x, y, level, 0.01 * level, None)
    rows = falloff.describe_falloff({"light": (level, 0.01 * level)}, tiles, ("MONO",))
    found = {row["place"]: row for row in rows}
    corner, centre = level[0][:2, :2].mean(), found["centre"]["level"]
    assert centre == pytest.approx(level.max(), rel=0.02)
    for place in ("top left", "bottom right"):
        assert found[place]["ratio"] == pytest.approx(centre / corner)
        assert found[place]["ev"] == pytest.approx(np.log2(centre / corner))
        # four tiles of 1 % in each mean
        assert found[place]["ev_error"] == pytest.approx(np.hypot(0.005, 0.005) / np.log(2), rel=0.1)
    rings = [row for row in rows if row["place"].startswith("ring")]
    assert len(rings) == falloff.RINGS and np.all(np.diff([row["ratio"] for row in rings]) > 0)


def test_a_lamp_that_moves_is_brighter_later():
    """The second half less the first: brighter on the right, 1 % across."""
    rng = np.random.default_rng(1)
    x = np.linspace(-0.5, 0.5, 24)[None, None, None, :]
    later = (np.arange(12) >= 6)[:, None, None, None]
    maps = 1000 * (1 + 0.01 * x * later) + 0.5 * rng.standard_normal((12, 1, 16, 24))
    (row,) = drift.compare_halves(maps, 10, (160, 240))
    assert row["significant"] and abs(row["direction_deg"]) < 5
    assert row["gradient_percent"] == pytest.approx(1, rel=0.06)  # of blocks: their centres span 23 / 24
    (row,) = drift.compare_halves(maps[::-1], 10, (160, 240))
    assert abs(abs(row["direction_deg"]) - 180) < 5
    (still,) = drift.compare_halves(np.concatenate([maps[:6], maps[:6] + 0.01]), 10, (160, 240))
    assert not still["significant"]
    assert "fewer than" in drift.compare_halves(maps[:3], 10, (160, 240))[0]["reason"]
