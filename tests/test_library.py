"""The library against numpy, LibRaw, Monte-Carlo and invariants."""

import doctest
import importlib
import re
import warnings

import numpy as np
import pytest
import rawpy
from astropy.io import fits
from conftest import REPOSITORY, exif, simulate_mosaic
from hypothesis import given
from hypothesis import strategies as st

from flatfield.combine import demosaicing, methods, scaling
from flatfield.demo import simulation
from flatfield.files import fits_check, reading, tables
from flatfield.files.errors import CalibrationError, FrameError, InventoryError
from flatfield.files.fits import write_planes
from flatfield.files.frame_table import FrameRecord
from flatfield.measure import calibration
from flatfield.measure.saturation import measure_saturation
from flatfield.plan import configuration, selection
from flatfield.raw import develop, metadata
from flatfield.raw.cfa import ColorFilterArray
from flatfield.raw.decode import read_frame
from flatfield.report import pictures

XTRANS = "RBGBRGGGRGGBGGBGGRBRGRBGGGBGGRGGRGGB"


# Examples in docstrings


LIBRARY = REPOSITORY / "workflow/scripts/flatfield"


@pytest.mark.parametrize(
    "module",
    [
        ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts)
        for path in sorted(LIBRARY.rglob("*.py"))
        if ">>>" in path.read_text()
    ],
)
def test_examples_in_docstrings(module):
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted and not result.failed


# Scaling


def test_exposure_drift_is_taken_out_by_scaling():
    rng = np.random.default_rng(8)
    drift = np.linspace(0.95, 1.05, 30)
    records = [FrameRecord("", cfa="MONO", level_dn=4000 * d, levels_dn={"MONO": 4000 * d}) for d in drift]
    factors = scaling.scale_factors(records, records, "channel")
    frames = 4000 * drift[:, None, None] * (1 + 0.01 * rng.standard_normal((30, 100, 100)))
    scaled = methods.combine((frames * factors[:, :1, None]).astype(np.float32), {"method": "median"})[0]
    unscaled = methods.combine(frames.astype(np.float32), {"method": "median"})[0]
    expected = 0.01 * methods.median_error_ratio(30) / np.sqrt(30)
    assert scaled.std() / scaled.mean() == pytest.approx(expected, rel=0.03)  # 10000 pixels: 0.7 %
    assert unscaled.std() > 1.5 * scaled.std()


def test_scaling_of_dark_frames_is_refused():
    records = [FrameRecord("cap.dng", cfa="MONO", level_dn=0.0, levels_dn={"MONO": 0.0})]
    with pytest.raises(InventoryError, match=r"cap.dng.*scale: none"):
        scaling.scale_factors(records, records, "frame")


# Frames


@pytest.mark.parametrize("letters", ["RGGB", "BGGR", "GRBG", "GBRG", XTRANS])
@pytest.mark.parametrize("margins", [(0, 0), (4, 6), (5, 7), (4, 3), (7, 8)])
def test_every_phase_and_margin(tmp_path, letters, margins):
    """The visible part and its colours are right, whatever LibRaw makes of odd margins."""
    pattern = ColorFilterArray.from_name(letters)
    whole = simulate_mosaic(np.random.default_rng(1), pattern, shape=(60, 84), margins=margins, black=(512,) * 4)
    path = tmp_path / "frame.dng"
    simulation.write_dng(path, whole, exif(), cfa=pattern, margins=margins, black=(512,) * 4)
    frame = read_frame(path)
    rows, columns = frame.mosaic.shape
    top, left = whole.shape[0] - rows, whole.shape[1] - columns
    assert (top - margins[0], left - margins[1]) in {(i, j) for i in (0, 1) for j in (0, 1)}
    np.testing.assert_array_equal(frame.mosaic, whole[top:, left:])
    assert frame.cfa.name == pattern.shifted(top - margins[0], left - margins[1]).name


def write_image(path, data, **cards):
    hdu = fits.PrimaryHDU(data)
    for key, value in cards.items():
        hdu.header[key.replace("_", "-")] = value
    hdu.writeto(path)
    return path


def test_fits_sections_overscan_and_unsigned_integers(tmp_path):
    data = np.full((20, 30), 40000, np.uint16)
    data[:, 25:] = 1000
    data[3, 27] = 60000  # a cosmic ray in the overscan
    path = write_image(tmp_path / "a.fits", data, TRIMSEC="[3:24,2:20]", BIASSEC="[26:30,1:20]", BAYERPAT="RGGB")
    frame = read_frame(path, reading=True)
    assert frame.mosaic.shape == (19, 22)
    assert frame.mosaic.dtype == np.uint16 and (frame.mosaic == 40000).all()
    assert list(frame.black) == [1000] * 4
    assert frame.cfa.name == "GBRG"  # one row further on
    assert list(read_frame(path).black) == [0] * 4


def test_bottom_up_fits_has_its_pattern_turned(tmp_path):
    pattern = ColorFilterArray.from_name("RGGB")
    picture = pattern.channel_map((6, 8)).astype(np.uint16) + 1
    path = write_image(tmp_path / "a.fits", picture[::-1].copy(), BAYERPAT="RGGB", ROWORDER="BOTTOM-UP")
    frame = read_frame(path)
    np.testing.assert_array_equal(frame.mosaic, frame.cfa.channel_map((6, 8)) + 1)


@pytest.mark.parametrize(
    ("data", "cards", "words"),
    [
        (np.zeros((4, 4), np.uint16), {}, "every pixel"),
        (np.ones((3, 4, 4), np.uint16), {}, "two-dimensional"),
        (np.full((4, 4), np.nan, np.float32), {}, "not finite"),
        (np.ones((4, 4), np.uint16), {"BAYERPAT": "RGXB"}, "BAYERPAT"),
        (np.ones((4, 4), np.uint16), {"TRIMSEC": "[1:9,1:4]"}, "TRIMSEC"),
    ],
)
def test_bad_fits(tmp_path, data, cards, words):
    with pytest.raises(FrameError, match=words):
        read_frame(write_image(tmp_path / "a.fits", data, **cards))


def test_whole_numbers_may_be_written_as_floats():
    schema = configuration.read_yaml(REPOSITORY / "workflow/schemas/config.schema.yaml")
    boxes = {"center": {"row": 10.0, "size": 20.0}}
    config = {"sets": {"a": {"frames": "*"}}, "bands": 2.0, "memory_mb": 1500.0, "regions": boxes}
    validated = configuration.validate(config, schema)
    numbers = (validated["bands"], validated["memory_mb"], *map(validated["regions"]["center"].get, ("row", "size")))
    assert numbers == (2, 1500, 10, 20) and {type(number) for number in numbers} == {int}


def test_bad_files(tmp_path):
    for name in ("a.fits", "a.dng"):
        (tmp_path / name).write_bytes(b"not an image")
        with pytest.raises(FrameError, match="cannot be decoded"):
            read_frame(tmp_path / name)
    with pytest.raises(FrameError, match="BIASSEC"):
        read_frame(write_image(tmp_path / "b.fits", np.ones((4, 4), np.uint16)), reading=True)


@pytest.mark.parametrize(
    ("cards", "time"),
    [
        ({"DATE-OBS": "2019-03-26T01:02:03.5"}, "2019-03-26T01:02:03.500000"),
        ({"DATE-OBS": "2019-03-26", "UTC-OBS": "01:04:25.00"}, "2019-03-26T01:04:25"),
        ({"DATE-OBS": "26/03/98"}, "1998-03-26T00:00:00"),
        ({"DATE-OBS": "08/05/10"}, None),
        ({"DATE-OBS": ""}, None),
        ({}, None),
    ],
)
def test_times_of_fits_headers(cards, time):
    assert metadata.from_header(fits.Header(cards)).time == time


@pytest.mark.parametrize("letters", ["MONO", "RGGB"])
def test_saturation_is_measured(letters):
    """Of an even light, where what is cut off is no further from the usual pixel than noise."""
    rng, cfa = np.random.default_rng(2), ColorFilterArray.from_name(letters)
    clean = np.clip(rng.normal(8000, 90, (200, 200)), 0, 16383).astype(np.uint16)
    assert measure_saturation(clean, cfa, 16383.0) == ({}, dict.fromkeys(cfa.channels, 0))
    for limit, top in ((8090, 8090), (8200, 16383)):  # below what the camera says, and at it
        levels, fractions = measure_saturation(np.where(clean >= limit, top, clean).astype(np.uint16), cfa, 16383.0)
        assert levels == dict.fromkeys(cfa.channels, top)
        for index, channel in enumerate(cfa.channels):
            assert fractions[channel] == np.mean(cfa.pixels(clean, index) >= limit)


def test_a_few_pixels_at_one_value_do_not_saturate():
    """Chance and hot pixels; a pile-up has more than ten times what a value near it has."""
    clean, mono = (
        np.random.default_rng(2).normal(8000, 90, (200, 200)).astype(np.uint16),
        ColorFilterArray.from_name("MONO"),
    )
    for count, levels in ((10, {}), (11, {"MONO": 12000})):
        clean.flat[:count] = 12000
        assert measure_saturation(clean, mono, 16383.0)[0] == levels


# Debayering


@pytest.mark.parametrize("letters", ["GRBG", XTRANS])
def test_a_pattern_from_another_first_pixel(letters):
    pattern, whole = ColorFilterArray.from_name(letters), ColorFilterArray.from_name(letters).channel_map((12, 12))
    for rows, columns in ((0, 1), (1, 0), (2, 5), (4, 3)):
        shifted = pattern.shifted(rows, columns)
        np.testing.assert_array_equal(shifted.channel_map((6, 6)), whole[rows : rows + 6, columns : columns + 6])


@pytest.mark.parametrize("letters", ["RGGB", "GBRG", "BGGR", "GRBG"])
def test_bilinear_is_that_of_libraw(tmp_path, letters):
    pattern = ColorFilterArray.from_name(letters)
    mosaic = simulate_mosaic(np.random.default_rng(5), pattern, black=(512,) * 4)
    path = tmp_path / "frame.dng"
    simulation.write_dng(path, mosaic, exif(), cfa=pattern, margins=(4, 6), black=(512,) * 4)
    frame = read_frame(path)
    ours = demosaicing.interpolate_bilinear(frame.mosaic.astype(np.float32) - 512, frame.cfa)
    difference = ours - develop.develop(path, "LINEAR")
    assert difference.min() >= 0 and difference.max() < 1  # LibRaw cuts off fractions


@pytest.mark.parametrize("letters", ["RGGB", "GBRG", XTRANS])
def test_a_plane_stays_a_plane(letters):
    """Each channel of an evenly lit mosaic is even, and a gradient stays that gradient inside (2 x 2)."""
    pattern = ColorFilterArray.from_name(letters)
    levels = np.array([100, 200, 300], np.float32)
    planes = demosaicing.interpolate_bilinear(levels[pattern.channel_map((12, 18))], pattern)
    for plane, level in zip(planes, levels, strict=True):
        np.testing.assert_allclose(plane, level, rtol=1e-6)
    if pattern.period == 2:
        gradient = np.add.outer(np.arange(12.0), 3 * np.arange(18.0)).astype(np.float32)
        for plane in demosaicing.interpolate_bilinear(gradient, pattern):
            np.testing.assert_allclose(plane[1:-1, 1:-1], gradient[1:-1, 1:-1], rtol=1e-5)


def test_picture_of_the_notebook_is_libraws_default(tmp_path):
    path = tmp_path / "frame.dng"
    simulation.write_dng(path, simulate_mosaic(np.random.default_rng(5), simulation.CFA), exif(), margins=(4, 6))
    with rawpy.imread(str(path)) as raw:
        np.testing.assert_array_equal(develop.develop_picture(path).transpose(1, 2, 0), raw.postprocess())


# Models, calibration, tables, products


@pytest.mark.parametrize("how", ["center", "mean", "max"])
def test_flat_times_result_is_light_times_norm(how):
    rng = np.random.default_rng(3)
    pattern = ColorFilterArray.from_name("GRBG")
    flat = rng.uniform(500, 2000, (40, 60)).astype(np.float32)
    light = rng.uniform(0, 3000, (40, 60)).astype(np.float32)
    planes = demosaicing.interpolate_bilinear(flat, pattern)
    norms = calibration.measure_norms(planes, pattern.channels, how, "flat")
    result = calibration.divide(light, calibration.normalise_mosaic(flat, pattern, norms))
    np.testing.assert_allclose(flat * result, light * norms[pattern.channel_map(flat.shape)], rtol=1e-6)


def test_a_flat_divided_by_itself_is_one():
    flat = np.random.default_rng(3).uniform(500, 2000, (40, 60)).astype(np.float32)
    norms = np.array([700.0, 900.0, 800.0])
    own = calibration.normalise_mosaic(flat, simulation.CFA, norms)
    level = norms[simulation.CFA.channel_map(flat.shape)]
    np.testing.assert_allclose(calibration.divide(flat, own) / level, 1, rtol=1e-6)


def test_zeros_in_a_flat_give_nan_not_infinity():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = calibration.divide(np.ones(3, np.float32), np.array([0, -1, np.nan], np.float32))
    assert np.isnan(result).all()
    with pytest.raises(CalibrationError, match="RED"):
        calibration.measure_norms(np.zeros((1, 9, 9)), ["RED"], "mean", "flat")


def test_picture_shows_the_sky_and_survives_anything():
    sky = np.random.default_rng(1).normal(1000, 30, (3, 50, 60)).astype(np.float32)
    sky[:, 20:22, 30:32] = 60000
    sky[:, 0, 0] = np.nan
    balance = (1, 1, 1)
    picture = pictures.render_picture(sky, balance, pictures.measure_stretch(np.nan_to_num(sky), balance))
    assert 40 < np.median(picture) < 80 and picture[20, 30].min() == 255
    flat = np.full((1, 4, 4), 7, np.float32)
    assert pictures.render_picture(flat, (1,), pictures.measure_stretch(flat, (1,))).shape == (4, 4, 3)


def test_tables_survive_hostile_text(tmp_path):
    rows = [{"a": "tab\tnewline\nend", "b": None, "c": 0.1 + 0.2, "d": True}]
    tables.write_table(tmp_path / "t.tsv", rows, list("abcd"))
    assert tables.read_table(tmp_path / "t.tsv") == [{"a": "tab newline end", "b": None, "c": "0.3", "d": "yes"}]


def test_damaged_file_is_noticed(tmp_path):
    path = tmp_path / "flat.fits"
    header = fits.Header({"DATE": "2026-01-01T00:00:00"})
    write_planes(path, np.ones((3, 20, 30), np.float32), ("RED", "GREEN", "BLUE"), header, "Master Flat")
    assert [row["band"] for row in fits_check.check_fits(path)] == [None, "RED", "GREEN", "BLUE"]
    content = bytearray(path.read_bytes())
    content[-2880] ^= 1
    path.write_bytes(content)
    with pytest.raises(CalibrationError, match="does not read back"):
        fits_check.check_fits(path)


def test_source_turns_clockwise_when_the_camera_turns_counter_clockwise():
    """What is brighter at the top at 0 degrees is brighter at the right at 90."""
    up = simulation.SourceAndLens(2.8, "1/1", 1, (1, 1, 1), 0.1, 0.0, 90)
    at_0, at_90 = (simulation.source(up, angle, 40, 60) for angle in (0, 90))
    assert at_0[0].mean() > at_0[-1].mean() and at_0[:, 0].mean() == pytest.approx(at_0[:, -1].mean())
    assert at_90[:, -1].mean() > at_90[:, 0].mean() and at_90[0].mean() == pytest.approx(at_90[-1].mean())


@given(st.lists(st.integers(0, 99999), min_size=2, unique=True))
def test_natural_order_counts(numbers):
    names = [f"DSC{number}.ARW" for number in numbers]
    expected = [f"DSC{number}.ARW" for number in sorted(numbers)]
    assert sorted(names, key=selection.natural_key) == expected


# Reading


def test_progress_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reading, "PROGRESS_INTERVAL", 0)
    paths = [tmp_path / f"{index}" for index in range(5)]
    for path in paths:
        path.write_bytes(b"content")
    found = reading.read_each(paths, lambda index: (index, reading.read_content(paths[index])), 2)
    assert found == [(index, b"content") for index in range(5)]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list("12345")
    assert re.fullmatch(r"1 of 5 files, [\d.]+ a second, \d+ s left", lines[0])
    assert re.fullmatch(r"5 files in [\d.]+ s, [\d.]+ a second", lines[-1])


def test_a_file_that_fails_stops_the_rest(tmp_path):
    started = []

    def work(index):
        started.append(index)
        return reading.read_content(tmp_path / f"{index}")

    with pytest.raises(FrameError, match="0 cannot be read"):
        reading.read_each([tmp_path / f"{index}" for index in range(1000)], work, 2)
    assert len(started) < 1000
