"""What headers know: read from all cards and tags that have it, compared, and carried on."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from conftest import BLACK, MARGINS, REPOSITORY, exif, simulate_mosaic

import inspect_frames
import inventory_offsets
from flatfield.demo.simulation import write_dng
from flatfield.files.errors import CalibrationError, InventoryError
from flatfield.files.fields import FIELDS, GUARD, table_of_fields
from flatfield.files.fits import describe_frames
from flatfield.files.frame_table import FrameRecord, read_frames, write_frames
from flatfield.measure.agreement import compare, compare_light
from flatfield.measure.consistency import check_offsets, reject_mismatches
from flatfield.measure.inspection import inspect_frames as inspect
from flatfield.plan import configuration
from flatfield.raw.cfa import ColorFilterArray
from flatfield.raw.decode import read_frame
from flatfield.raw.metadata import from_header
from flatfield.report import conclusions

SHAPE = (48, 72)
OPTIONS = {"guard": GUARD, "mismatch": "error", "borrowed_bias": False, "has_bias": True}


def write_image(path, data, **cards):
    """A FITS frame; `__` in the name of a card stands for a dash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = fits.Header({name.replace("__", "-"): value for name, value in cards.items()})
    fits.PrimaryHDU(np.asarray(data), header).writeto(path)
    return path


def draw(rng, level, zero=500):
    """A vignetted frame with photon noise, gain 1 e-/DN."""
    y, x = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    return (rng.poisson(level / (1 + 0.3 * (x * x + y * y))) + rng.normal(zero, 3, SHAPE)).round().astype(np.uint16)


def series(folder, count, level=0, **options):
    """Frames of one kind; options are cards, and `zero`."""
    rng, zero = np.random.default_rng(len(str(folder))), options.pop("zero", 500)
    return [
        str(write_image(folder / f"{number}.fits", draw(rng, level, zero), INSTRUME="cam", **options))
        for number in range(count)
    ]


def offsets_of(folder, paths, kind="bias"):
    table = folder / f"{kind}.tsv"
    inventory_offsets.main(paths, table, kind, [path.rpartition("/")[2] for path in paths], False, 1)
    return table


def acceptance(**changes):
    schema = configuration.read_yaml(REPOSITORY / "workflow/schemas/config.schema.yaml")
    config = configuration.validate({"sets": {"a": {"frames": "*"}}}, schema)
    options = {key: config[key] for key in ("min_frames", "bad_frames", "frame_tests", "guard")}
    return options | {"mismatch": "error", "exposure_span": 2, "cfa": None} | changes


def inspected(folder, paths, reading=False, **changes):
    """Records of flats that go through the job that inspects them."""
    table, names = folder / "inspected.tsv", [path.rpartition("/")[2] for path in paths]
    inspect_frames.main(paths, table, folder / "m.fits", names, [""] * len(paths), reading, acceptance(**changes), 1)
    return read_frames(table)


# Reading

CARDS = [
    ({"GAIN": 100, "OFFSET": 50, "EGAIN": 0.25}, {"gain": 100, "offset": 50, "egain": 0.25}),
    ({"GAIN": "120", "BLKLEVEL": 30}, {"gain": 120, "offset": 30}),
    ({"GAIN": 0}, {"gain": 0}),
    ({"READOUTM": "High Gain Mode"}, {"readout_mode": "High Gain Mode"}),
    ({"XBINNING": 2, "YBINNING": 1}, {"binning": "2 x 1"}),
    ({"XBINNING": 2}, {"binning": "2 x 2"}),
    ({"CCDSUM": "3 3"}, {"binning": "3 x 3"}),
    ({"CCD-TEMP": -10.2, "SET-TEMP": -10.0}, {"temperature": -10.2}),
    ({"SET-TEMP": -10.0}, {"temperature": -10.0}),
    ({"CCD-TEMP": -273.15, "SET-TEMP": -5}, {"temperature": None}),
    ({"FILTER": "Ha"}, {"filter": "Ha"}),
    ({"FILTER": "NO_FILTER", "FILTNAME": "V"}, {"filter": "V"}),
    ({"FILTER1": "air", "FILTER2": "R"}, {"filter": "R"}),
    ({"FILTER1": "ND3", "FILTER2": "R"}, {"filter": "ND3 + R"}),
    ({"FILTER": "R", "FILTER1": "R", "FILTER2": "clear"}, {"filter": "R"}),
    ({"FILTNAM": "g'"}, {"filter": "g'"}),
    ({"FILTER": ""}, {"filter": None}),
    ({"ROTATANG": 90.5}, {"rotator": 90.5}),
    ({"ROTATOR": 0.0}, {"rotator": 0}),
    ({"FOCUSPOS": 5610, "PIERSIDE": "East"}, {"focus_position": 5610, "pier_side": "East"}),
    ({"TELESCOP": "----", "FOCALLEN": 0, "FOCRATIO": 0}, {"telescope": None, "focal_length": None, "aperture": None}),
    ({"APERTURE": "f/2.8"}, {"aperture": 2.8}),
    ({"APERTURE": 80.0}, {"aperture": None}),
    ({"FOCRATIO": 5.6, "APERTURE": 71.0}, {"aperture": 5.6}),
    ({"EXPTIME": "0.5"}, {"exposure": 0.5}),
    ({"EXPOSURE": "1/50 s"}, {"exposure": 0.02}),
    ({"EXPTIME": "12 ms"}, {"exposure": 0.012}),
    ({"EXPTIME": "long", "EXPOSURE": 3}, {"exposure": 3}),
    ({"EXPTIME": 0.0}, {"exposure": 0}),
    ({"NCOMBINE": 20}, {"combined": 20}),
    ({"STACKCNT": 1}, {"combined": None}),
    ({"IMAGETYP": "FLAT", "FLAT_CNT": 30}, {"combined": 30}),
    ({"IMAGETYP": "LIGHT", "FLAT_CNT": 30, "DARK_CNT": 20}, {"combined": None}),
    ({"CALSTAT": "BDF", "PEDESTAL": -100}, {"calibrated": "BDF", "pedestal": 100}),
    ({"FLATCOR": "done with Flat.fits"}, {"calibrated": "F"}),
    ({"ROWORDER": "bottom-up "}, {"row_order": "BOTTOM-UP"}),
    ({"ROWORDER": "whatever"}, {"row_order": None}),
    ({"SERIALNO": "000"}, {"body": None}),
]


@pytest.mark.parametrize(("cards", "expected"), CARDS, ids=lambda value: " ".join(map(str, value)))
def test_cards(cards, expected):
    found = from_header(fits.Header(cards))
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("cards", "time"),
    [
        ({"DATE-OBS": "2023-01-02T06:00:00.000Z"}, "2023-01-02T06:00:00"),
        ({"DATE-OBS": "2023-01-02T06:00:00+02:00"}, "2023-01-02T04:00:00"),
        ({"DATE-OBS": "2023-01-02 06:00:00"}, "2023-01-02T06:00:00"),
        ({"DATE-OBS": "2023-01-02T06:00:00 Z"}, "2023-01-02T06:00:00"),
        ({"DATE-OBS": "2023-01-02T06:00:00.1234567"}, "2023-01-02T06:00:00.123456"),
        ({"DATE-OBS": "2023/01/02", "TIME-OBS": "06:00:00"}, "2023-01-02T06:00:00"),
        ({"DATE-OBS": "2023-01-02", "UT": "06:00:00.5"}, "2023-01-02T06:00:00.500000"),
        ({"DATE-BEG": "2023-01-02T06:00:00"}, "2023-01-02T06:00:00"),
        ({"MJD-OBS": 59946.25}, "2023-01-02T06:00:00.000"),
        ({"DATE-OBS": "2023-13-02T06:00:00"}, None),
        ({"DATE-OBS": "yesterday"}, None),
    ],
)
def test_times_are_comparable_and_never_a_traceback(cards, time):
    assert from_header(fits.Header(cards)).time == time


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"Exif.Photo.LensModel": "----"}, {"lens": None}),
        ({"Exif.Photo.FNumber": "0/1", "Exif.Photo.FocalLength": "0/1"}, {"aperture": None, "focal_length": None}),
        ({"Exif.Photo.ISOSpeedRatings": "65535", "Exif.Photo.RecommendedExposureIndex": "102400"}, {"iso": 102400}),
        ({"Exif.Photo.ISOSpeedRatings": "65535"}, {"iso": None}),
        ({"Exif.Photo.ISOSpeedRatings": "3200", "Exif.Photo.RecommendedExposureIndex": "6400"}, {"iso": 3200}),
    ],
)
def test_tags_that_say_nothing_are_unknown(tmp_path, fields, expected):
    mosaic = simulate_mosaic(np.random.default_rng(1), ColorFilterArray.from_name("RGGB"))
    write_dng(tmp_path / "a.dng", mosaic, exif(**fields), margins=MARGINS, black=BLACK)
    found = read_frame(tmp_path / "a.dng").metadata
    assert {name: getattr(found, name) for name in expected} == expected


# What must agree: value, what is as good, what is not; what happens among flats, with bias, with darks, with the flat

CAMERA = ("refuse", "refuse", "refuse", "error")
READOUT = ("refuse", "refuse", "refuse", "warning")
OPTICS = ("refuse", "", "", "error")
EXPECTED = {
    "camera": ("A7", "A7", "A9", *CAMERA),
    "body": ("0123", "0123", "4567", *CAMERA),
    "binning": ("1 x 1", "1 x 1", "2 x 2", *CAMERA),
    "bits": (14, 14, 12, "refuse", "refuse", "refuse", ""),
    "gain": (100.0, 100.0, 0.0, *READOUT),
    "offset": (50.0, 50.0, 30.0, *READOUT),
    "egain_e_per_dn": (0.25, 0.2501, 1.0, *READOUT),
    "readout_mode": ("High", "High", "Low", *READOUT),
    "iso": (100.0, 100.0, 200.0, "refuse", "refuse", "warning", "differs"),
    "lens": ("14mm", "14mm", "50mm", *OPTICS),
    "telescope": ("A", "A", "B", *OPTICS),
    "filter": ("Ha", "Ha", "OIII", *OPTICS),
    "focal_length_mm": (383.0, 384.0, 400.0, *OPTICS),
    "aperture": (2.8, 2.83, 4.0, *OPTICS),
    "temperature_c": (-10.0, -8.5, 5.0, "", "", "refuse", ""),
    "rotator_deg": (359.6, 0.3, 90.0, "", "", "", "warning"),
    "distance_m": (10.0, 11.0, 20.0, "", "", "", "warning"),
    "focus_position": (5000.0, 5000.0, 5200.0, "", "", "", "differs"),
    "pier_side": ("East", "East", "West", "", "", "", "differs"),
    "row_order": (None, "TOP-DOWN", "BOTTOM-UP", "refuse", "refuse", "refuse", "error"),
}


def record(name, **values):
    values = {"rows": 48, "columns": 72, "cfa": "MONO"} | values
    return FrameRecord(name, black_dn=(0,) * 4, level_dn=9000.0, sha256="0" * 64, **values)


def outcome_of(frames, relation):
    try:
        reject_mismatches(frames, 2, "error", relation=relation)
    except InventoryError as error:
        return str(error)
    return ""


def test_the_table_of_expectations_is_complete():
    ruled = {field.name for field in FIELDS if field.flats or field.offset or field.dark or field.light}
    assert ruled == {*EXPECTED, "size", "cfa"}


@pytest.mark.parametrize("name", EXPECTED)
def test_what_must_agree(name):
    value, alike, other, *expected = EXPECTED[name]
    for relation, wanted in zip(("flats", "offset", "dark"), expected, strict=False):
        same = [record(f"{index}.fits", **{name: value if index else alike}) for index in range(4)]
        assert outcome_of(same, relation) == "", (name, relation)
        mixed = [record(f"{index}.fits", **{name: value if index else other}) for index in range(4)]
        sentence = outcome_of(mixed, relation)
        assert bool(sentence) == (wanted == "refuse"), (name, relation)
        if sentence:
            assert "0.fits" in sentence and str(other).removesuffix(".0") in sentence
    flats, bias = [record("flat.fits", **{name: value})], [record("bias.fits", **{name: other})]
    check_offsets(flats, [record("bias.fits", **{name: alike})])
    if expected[1] == "refuse":
        with pytest.raises(InventoryError, match=r"bias\.fits.*flat\.fits"):
            check_offsets(flats, bias)
    for values, wanted in ((alike, ("same", "differs", "unknown")), (other, (expected[3] or "none",))):
        rows = compare(record("light.fits", **{name: values}), flats, [], [], OPTIONS)
        found = [row["agreement"] for row in rows if row["quantity"] == name] or ["none"]
        assert found[0] in (*wanted, *(["none"] if not expected[3] else [])), (name, values)


@pytest.mark.parametrize("name", [name for name in EXPECTED if name != "row_order"])
def test_unknown_is_never_the_same(name):
    """What one frame does not know is no reason to refuse it, and it is said."""
    value, *_, among_flats, _, _, with_flat = EXPECTED[name]
    frames = [record(f"{index}.fits", **({name: value} if index else {})) for index in range(4)]
    assert outcome_of(frames, "flats") == ""
    assert ("is not recorded" in frames[0].doubt) == (among_flats == "refuse") and not frames[1].doubt
    rows = compare(record("light.fits"), [record("flat.fits", **{name: value})], [], [], OPTIONS)
    assert [row["agreement"] for row in rows if row["quantity"] == name] == ["unknown"] * bool(with_flat)


def test_a_telescope_of_another_name_and_the_same_focal_length_is_a_warning():
    """Programs write the mount, or a simulator while flats are taken."""
    flats = [record("flat.fits", telescope="Simulator", focal_length_mm=383.0)]
    light = record("light.fits", telescope="Mount", focal_length_mm=384.0)
    rows = {row["quantity"]: row["agreement"] for row in compare(light, flats, [], [], OPTIONS)}
    assert rows["telescope"] == "warning" and rows["focal_length_mm"] == "differs"
    other = replace(light, focal_length_mm=None)
    with pytest.raises(CalibrationError, match="telescope is Mount, but Simulator in its flat"):
        compare_light([other], flats, [], OPTIONS)


def test_lights_at_another_gain_than_the_bias_that_they_borrow():
    flats, bias = [record("flat.fits", gain=100.0)], [record("bias.fits", gain=100.0)]
    with pytest.raises(CalibrationError, match=r"gain is 200, but 100 in its bias.*mismatch: allow"):
        compare_light([record("light.fits", gain=200.0)], flats, [], OPTIONS | {"borrowed_bias": True}, bias)
    own = [record("bias.fits", gain=200.0)]
    rows = compare_light([record("light.fits", gain=200.0)], flats, [], OPTIONS, own)
    assert {row["quantity"]: row["agreement"] for row in rows}["gain"] == "warning"


def test_rotators_of_a_set_with_several_angles():
    """The subset at the angle of the light counts."""
    flats = [record(f"{angle}.fits", rotator_deg=angle) for angle in (0.0, 90.0, 180.0)]
    for angle, agreement in ((180.5, "differs"), (359.9, "differs"), (45.0, "warning")):
        rows = compare(record("light.fits", rotator_deg=angle), flats, [], [], OPTIONS)
        assert [row["agreement"] for row in rows if row["quantity"] == "rotator_deg"] == [agreement]


def test_what_was_divided_is_not_divided_again():
    flats = [record("flat.fits")]
    with pytest.raises(CalibrationError, match="divided by a flat already"):
        compare_light([record("light.fits", calibrated="BDF")], flats, [], OPTIONS)
    rows = compare_light([record("light.fits", calibrated="BD")], flats, [], OPTIONS, [record("bias.fits", gain=1.0)])
    assert [row["agreement"] for row in rows if row["quantity"] == "calibrated"] == ["differs"]
    with pytest.raises(InventoryError, match="freed of its bias"):
        check_offsets([record("flat.fits", calibrated="B")], [record("bias.fits")])


def test_a_master_among_single_frames():
    frames = [record("master.fits", combined=20), *(record(f"{index}.fits") for index in range(3))]
    assert outcome_of(frames, "offset").startswith("master.fits: a combination of 20 frames among 3 single ones")
    assert outcome_of([record("master.fits", combined=20)], "offset") == "" == outcome_of(frames[2:], "offset")


# Files, through the jobs that read them


def test_bias_frames_of_two_gains_are_not_combined(tmp_path):
    paths = series(tmp_path / "a", 4, GAIN=100) + series(tmp_path / "b", 2, zero=900, GAIN=0)
    with pytest.raises(InventoryError, match=r"the gain setting is 100 \(4 frames\) and 0"):
        offsets_of(tmp_path, paths)
    paths = series(tmp_path / "c", 2, GAIN=100) + series(tmp_path / "d", 2, zero=900, GAIN=0)
    with pytest.raises(InventoryError, match="in as many frames as"):
        offsets_of(tmp_path, paths)


def test_darks_of_two_temperatures_are_not_combined(tmp_path):
    paths = [
        *series(tmp_path / "a", 4, level=30, EXPTIME=300.0, CCD__TEMP=-10.0),
        *series(tmp_path / "b", 1, level=30, EXPTIME=300.0, CCD__TEMP=-9.0),
        *series(tmp_path / "c", 3, level=400, EXPTIME=300.0, CCD__TEMP=5.0),
    ]
    with pytest.raises(InventoryError, match=r"temperature \(degrees C\) is -10 \(5 frames\) and 5"):
        offsets_of(tmp_path, paths, "dark")
    assert all(row.used for row in read_frames(offsets_of(tmp_path, paths[:5], "dark")))


def test_numbers_from_0_to_1_are_brought_to_those_of_the_flats(tmp_path):
    frames = np.array([draw(np.random.default_rng(seed), 0) for seed in range(9)])
    path = write_image(tmp_path / "stack.fits", (frames.mean(axis=0) / 65535).astype(np.float32), STACKCNT=9)
    (row,), _ = inspect([str(path)], ["stack.fits"])
    assert row.level_dn == pytest.approx(500, abs=0.5) and row.combined == 9
    assert "multiplied by 65535" in row.remark
    # what is bias-subtracted scatters about 0, and is in DN
    noise = np.random.default_rng(1).normal(0.2, 0.3, SHAPE).astype(np.float32)
    (row,), _ = inspect([str(write_image(tmp_path / "zero.fits", noise))], ["zero.fits"])
    assert row.level_dn == pytest.approx(0.2, abs=0.05) and not row.remark


def test_flats_of_two_gains(tmp_path):
    paths = series(tmp_path / "a", 4, level=9000, GAIN=100) + series(tmp_path / "b", 2, level=9000, GAIN=200)
    with pytest.raises(InventoryError, match="the gain setting is 100"):
        inspected(tmp_path, paths)
    rows = inspected(tmp_path, paths, mismatch="exclude")
    assert [row.used for row in rows] == [True] * 4 + [False] * 2


def test_a_pedestal_is_taken_off(tmp_path):
    path = write_image(tmp_path / "light.fits", draw(np.random.default_rng(2), 900, 100), CALSTAT="BD", PEDESTAL=-100)
    (row,), _ = inspect([str(path)], ["light.fits"], offset_of=lambda _: np.full(SHAPE, 500, np.float32))
    assert row.level_dn == pytest.approx(860, abs=20) and row.zero_level == "pedestal"


def test_fields_go_from_frames_to_table_to_product(tmp_path):
    cards = {
        "GAIN": 100,
        "OFFSET": 50,
        "EGAIN": 0.25,
        "READOUTM": "High",
        "XBINNING": 2,
        "TELESCOP": "T",
        "FILTER": "L",
    }
    paths = series(tmp_path / "a", 3, level=9000, CCD__TEMP=-10.0, IMAGETYP="FLAT", **cards)
    rows, _ = inspect(paths, ["0", "1", "2"])
    write_frames(tmp_path / "t.tsv", rows, ("MONO",))
    header = describe_frames(read_frames(tmp_path / "t.tsv"))
    assert {name: header[name] for name in cards} == cards
    assert (header["CCD-TEMP"], header["YBINNING"], header["STACKCNT"], header["NCOMBINE"]) == (-10, 2, 3, 3)


def test_the_documentation_has_the_table_of_fields():
    text = (REPOSITORY / "docs/tables.md").read_text()
    between = text.partition("<!-- fields -->\n")[2].partition("<!-- end of fields -->")[0]
    assert between.strip() == "\n".join(table_of_fields())


# The front page


def test_flats_without_a_zero_level_are_a_warning_with_its_size():
    frames = [record(f"{index}.fits", zero_level="unknown") for index in range(3)]
    ((sentence, remedy),) = conclusions._no_zero_level("set", frames)
    # o of l DN: a corner with half of the light has (l / 2 + o) / (l + o) of the centre
    level, zero = 9000.0, 100.0
    exact = 100 * ((level / 2 + zero) / (level + zero) / 0.5 - 1)
    assert float(sentence.split(" % too bright")[0].rpartition(" ")[2]) == pytest.approx(exact, rel=0.05)
    assert "flat-darks" in remedy
    for known in ("bias", "overscan", "metadata"):
        assert not conclusions._no_zero_level("set", [record("a.fits", zero_level=known)])


def test_doubts_and_unknown_optics_are_warnings():
    frames = [record("a.fits", doubt="one; two"), record("b.fits", doubt="one"), record("c.fits")]
    sentences = [sentence for sentence, _ in conclusions._doubts("set", frames)]
    assert sentences == ["In set a.fits and 1 more: one.", "In set a.fits: two."]
    unknown = compare(record("light.dng"), [record("flat.dng")], [], [], OPTIONS)
    known = compare(record("light.dng", lens="14mm"), [record("flat.dng", lens="14mm")], [], [], OPTIONS)
    found = conclusions._unknown_optics({"night": unknown, "day": known})
    assert len(found) == 1 and "light night" in found[0][0]
