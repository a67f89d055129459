"""Does an old flat still hold? Planted changes of dust, vignetting, light source and sensor; numpy simulates them."""

import csv
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from conftest import LONG, REPOSITORY

from flatfield.files.errors import CalibrationError, FrameError
from flatfield.measure.old_flat import read_old_flat
from flatfield.measure.validity import VALIDITY_COLUMNS, compare_flats
from flatfield.plan import configuration
from flatfield.raw.cfa import ColorFilterArray
from flatfield.raw.mosaic import Mosaic
from flatfield.report.validity_sentences import describe_old_flats

SHAPE = 402, 600
HALF = np.hypot(*SHAPE) / 2
XTRANS = "GGRGGBGGBGGRBRGRBGGGBGGRGGRGGBRBGBRG"
PATTERNS = "MONO", "RGGB", XTRANS
#: Row, column, radius (pixels) and depth of shadows, far enough from each other that none meets another when it moves.
DUST = [(100, 100, 8, 0.02), (300, 400, 10, 0.03), (200, 250, 8, 0.015), (60, 480, 12, 0.01), (330, 90, 9, 0.02)]
NOISE = 0.0007  # standard error of a pixel of a master at the centre: 70 frames of 30000 electrons
RESPONSE = 0.006  # of the pixels, rms: eight times the noise


def make_flat(seed, pattern="MONO", dust=DUST, shift=(0, 0), light=(0, 0), sensor=1, corner=0.0, level=20000.0):
    """A master: vignetting about a point `shift` (right, down, half diagonals), a light source with a gradient."""
    y, x = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]] + 0.5
    u, v = (x - SHAPE[1] / 2) / HALF, (y - SHAPE[0] / 2) / HALF
    square = (u - shift[0]) ** 2 + (v - shift[1]) ** 2
    flat = (1 - 0.08 * square**2 + corner * square) / (1 + 0.9 * square) ** 2 * (1 + light[0] * u + light[1] * v)
    for row, column, radius, depth in dust:
        apart = (np.hypot(y - 0.5 - row, x - 0.5 - column) - radius) / (radius / 6)
        flat *= 1 - depth / (1 + np.exp(np.minimum(apart, 50)))
    cfa = ColorFilterArray.from_name(pattern)
    flat *= level * (np.array([0.6, 1, 0.5])[cfa.channel_map(SHAPE)] if pattern != "MONO" else 1)
    flat *= 1 + RESPONSE * np.random.default_rng(sensor).standard_normal(SHAPE)
    error = NOISE * np.sqrt(flat * level)
    value = flat + error * np.random.default_rng([seed, 7]).standard_normal(SHAPE)
    return Mosaic(value.astype(np.float32), cfa, fits.Header(), error.astype(np.float32), None)


def compare(old, new):
    """Rows by subject; the list of the shadows, each a dict of the rows of one."""
    rows = compare_flats(old, new).rows
    by_subject = {row["subject"]: row for row in rows}
    assert len(by_subject) == len(rows) and all({"flat", "taken", *row} == set(VALIDITY_COLUMNS) for row in rows)
    shadows = [row for subject, row in by_subject.items() if subject.endswith(", depth")]
    return by_subject, shadows


def verdict(rows):
    return rows["old flat"]["verdict"]


def find(shadows, row, column, reach=6):
    """The shadow at a place."""
    near = [each for each in shadows if np.hypot(each["row"] - row, each["column"] - column) <= reach]
    assert len(near) == 1, shadows
    return near[0]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_nothing_is_found_where_nothing_changed(pattern):
    """No false alarm, whether the old flat has its errors or is one of another program, without them."""
    rng, alarms, pulls = np.random.default_rng(11), [], []
    count = 100 if LONG else 4
    for seed in range(count):
        places = [(row, column) for row in (50, 150, 250, 350) for column in (60, 180, 300, 420, 540)]
        dust = [(*place, rng.uniform(4, 14), rng.uniform(0.005, 0.03)) for place in places] if seed % 2 else []
        old, new = make_flat(2 * seed, pattern, dust), make_flat(2 * seed + 1, pattern, dust, level=25000)
        if seed % 4 > 1:
            old = Mosaic(old.value / np.float32(40000), old.cfa, old.header)
        rows, shadows = compare(old, new)
        found = [row for row in rows.values() if row["verdict"] not in ("same", "still holds")]
        alarms += [found] if found else []
        assert bool(shadows) == bool(dust)
        moves = [row for subject, row in rows.items() if subject.startswith("shadow") and ", moved" in subject]
        pulls += [row["value"] / row["error"] for row in moves]
    assert len(alarms) <= 0.01 * count, alarms
    assert 0.4 < np.std(pulls) < 1.2  # smaller where the floor of the error rules


@pytest.mark.parametrize("pattern", PATTERNS)
def test_shadows_that_moved_are_found_and_sized(pattern):
    moved = [(100, 100.5, 8, 0.02), (302, 400, 10, 0.03), (200, 270, 8, 0.015), *DUST[3:]]
    rows, shadows = compare(make_flat(1, pattern), make_flat(2, pattern, moved))
    assert verdict(rows) == "take the model only" and len(shadows) == len(DUST)
    for before, after in zip(DUST, moved, strict=True):
        shadow = find(shadows, *after[:2])
        assert shadow["verdict"] == ("moved" if before != after else "same"), (pattern, after, shadow)
        assert shadow["value"] == pytest.approx(100 * after[3], rel=0.35)  # the mean over a part of the shadow
        name = shadow["subject"].partition(",")[0]
        right, down = rows[f"{name}, moved right"], rows[f"{name}, moved down"]
        # by whole pixels, where pixel response does not cancel; and a quarter of the smallest move that is to be seen
        assert right["error"] < (0.125 if abs(after[1] - before[1]) == 0.5 else 0.6)
        assert abs(right["value"] - (after[1] - before[1])) < 4 * right["error"]
        assert abs(down["value"] - (after[0] - before[0])) < 4 * down["error"]
    assert rows["vignetting moved right"]["verdict"] == rows["light source, right against left"]["verdict"] == "same"


@pytest.mark.parametrize("pattern", PATTERNS)
def test_new_and_gone_shadows_of_one_percent(pattern):
    old = [*DUST[1:], (150, 520, 7, 0.01)]
    rows, shadows = compare(make_flat(1, pattern, old), make_flat(2, pattern, [*DUST[1:], (100, 100, 7, 0.01)]))
    assert Counter(each["verdict"] for each in shadows) == {"same": 4, "new": 1, "gone": 1}
    assert find(shadows, 100, 100)["verdict"] == "new" and find(shadows, 150, 520)["verdict"] == "gone"
    assert verdict(rows) == "take the model only"


@pytest.mark.parametrize("pattern", PATTERNS)
def test_vignetting_that_moved_is_not_the_light_source(pattern):
    """By 1 % of the half diagonal; a tilt is the first order of that, so the higher ones decide."""
    rows, _ = compare(make_flat(1, pattern), make_flat(2, pattern, shift=(0.01, -0.005)))
    assert verdict(rows) == "detail only"
    for subject, truth in (("vignetting moved right", 1), ("vignetting moved down", -0.5)):
        row = rows[subject]
        assert row["verdict"] == "changed" and row["error"] < 0.05
        assert abs(row["value"] - truth) < 5 * row["error"] + 0.01  # what is beyond the first order of the move
    assert rows["light source, right against left"]["verdict"] == "same" and rows["dust"]["verdict"] == "same"


@pytest.mark.parametrize("pattern", PATTERNS)
def test_another_lamp_is_the_light_source(pattern):
    rows, _ = compare(make_flat(1, pattern), make_flat(2, pattern, light=(0.02, -0.03)))
    assert verdict(rows) == "still holds"
    row = rows["light source, right against left"]
    assert row["verdict"] == "changed"
    assert row["value"] == pytest.approx(100 * 0.02 * SHAPE[1] / HALF, abs=0.05)  # its second order is 0.02
    assert rows["light source, bottom against top"]["value"] == pytest.approx(-100 * 0.03 * SHAPE[0] / HALF, abs=0.05)
    assert rows["vignetting moved right"]["verdict"] == "same"


@pytest.mark.parametrize("seed", range(20 if LONG else 3))
def test_a_lamp_of_any_form_is_not_called_vignetting_that_moved(seed):
    """A near panel has higher orders too, which look like anything; then nothing can be told but that it changed."""
    rng, new = np.random.default_rng(seed), make_flat(2, dust=[])
    y, x = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]] + 0.5
    u, v = (x - SHAPE[1] / 2) / HALF, (y - SHAPE[0] / 2) / HALF
    powers = [u**i * v**j for i in range(6) for j in range(6 - i) if i + j]
    new.value *= np.exp(sum(0.02 * rng.standard_normal() * each for each in powers)).astype(np.float32)
    rows, _ = compare(make_flat(1, dust=[]), new)
    for subject in ("vignetting moved right", "vignetting moved down", "vignetting turned"):
        assert rows[subject]["verdict"] != "changed", rows[subject]
    assert verdict(rows) == "detail only"


def test_dust_that_turned_with_a_filter_wheel():
    angle, middle = np.radians(4), (np.array(SHAPE) - 1) / 2
    turned = []
    for row, column, *form in DUST:
        y, x = np.array([row, column]) - middle
        # counter-clockwise as one sees it, rows running down
        place = -x * np.sin(angle) + y * np.cos(angle), x * np.cos(angle) + y * np.sin(angle)
        turned.append((*(place + middle), *form))
    rows, shadows = compare(make_flat(1), make_flat(2, dust=turned))
    assert all(each["verdict"] in ("moved", "same") for each in shadows)
    assert rows["dust turned"]["verdict"] == "moved"
    assert abs(rows["dust turned"]["value"] - 4) < 4 * rows["dust turned"]["error"] + 0.05
    assert rows["vignetting moved right"]["verdict"] == "same"


@pytest.mark.parametrize("pattern", PATTERNS)
def test_another_sensor_and_another_aperture(pattern):
    old = make_flat(1, pattern, dust=[], sensor=2)
    rows, _ = compare(old, make_flat(2, pattern, dust=[]))
    part = rows["pixel response, MONO" if pattern == "MONO" else "pixel response, GREEN"]
    assert part["verdict"] == "changed" and abs(part["value"]) < 4 * part["error"]
    assert verdict(rows) == "take the model only"
    rows, _ = compare(old, make_flat(2, pattern, dust=[], corner=0.05))
    assert verdict(rows) == "new flats needed"
    change = np.log((1 - 0.08 + 0.05) / (1 - 0.08))
    assert rows["vignetting, corner against centre"]["value"] == pytest.approx(100 * change, abs=0.3)  # r^2 and r^4


# Files


def write_other(path, mosaic, order="BOTTOM-UP", unit=True, **cards):
    """A master as another program writes it: one image, maybe from 0 to 1 and bottom-up, without errors."""
    data = mosaic.value / np.float32(60000) if unit else mosaic.value
    header = fits.Header({"ROWORDER": order, **cards})
    fits.writeto(path, data[::-1] if order == "BOTTOM-UP" else data, header)


def test_masters_of_other_programs(tmp_path):
    new = make_flat(1, "RGGB")
    for name, options in {"siril": {"BAYERPAT": "RGGB"}, "plain": {"order": "TOP-DOWN", "unit": False}}.items():
        write_other(tmp_path / f"{name}.fit", make_flat(2, "RGGB"), **options)
        rows, shadows = compare(read_old_flat(tmp_path / f"{name}.fit", new), new)
        assert verdict(rows) == "still holds" and len(shadows) == len(DUST)
        assert rows["pixel response, GREEN"]["value"] == pytest.approx(1, abs=0.05)


def test_masters_that_do_not_fit(tmp_path):
    new = make_flat(1, "RGGB")
    write_other(tmp_path / "pattern.fits", new, BAYERPAT="BGGR")
    fits.writeto(tmp_path / "size.fits", new.value[:100])
    fits.writeto(tmp_path / "planes.fits", np.ones((3, *SHAPE), np.float32))
    fits.writeto(tmp_path / "nothing.fits", np.zeros(SHAPE, np.float32))
    (tmp_path / "broken.fits").write_bytes(b"no FITS")
    (tmp_path / "picture.tif").write_bytes(b"II*")
    for name, error, words in (
        ("pattern.fits", CalibrationError, "colour pattern BGGR and the new master RGGB"),
        ("size.fits", CalibrationError, "100 x 600 pixels and the new master 402 x 600"),
        ("planes.fits", FrameError, "no two-dimensional image"),
        ("nothing.fits", FrameError, "every pixel"),
        ("broken.fits", FrameError, "broken.fits"),
        ("picture.tif", CalibrationError, "no master flat"),
    ):
        with pytest.raises(error, match=words):
            read_old_flat(tmp_path / name, new)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("shape", "told"), [((6, 6), False), ((8, 8), False), ((6, 40), True), ((30, 400), True)])
def test_frames_too_small_to_tell(shape, told):
    """Of which some pixels do not count, besides."""
    rng = np.random.default_rng(1)
    old, new = (
        Mosaic(
            (1000 + rng.standard_normal(shape)).astype(np.float32), ColorFilterArray.from_name("RGGB"), fits.Header()
        )
        for _ in range(2)
    )
    old.value[:2, 1:3], new.value[-1, -1] = 0, np.nan
    rows = compare_flats(old, new).rows
    assert rows[0]["verdict"] == ("still holds" if told else "not told")
    assert not any(row["subject"].startswith("shadow") for row in rows)


def test_a_folder_of_masters_is_a_history(tmp_path):
    """The lens was taken apart in June (vignetting moved), a mote came in August; names are in another order."""
    now = make_flat(1)
    past = {
        "2026-03-01T12:00:00": ("z.fits", make_flat(2, dust=[*DUST[:4], (200, 500, 10, 0.03)], shift=(0.02, 0))),
        "2026-07-01T12:00:00": ("a.fits", make_flat(3, dust=DUST[:4])),
        "2026-09-01T12:00:00": ("m.fits", make_flat(4)),
        "2026-10-01T12:00:00": ("b.fits", make_flat(5)),
    }
    for taken, (name, master) in past.items():
        hdus = [fits.PrimaryHDU(master.value), fits.ImageHDU(master.error, name="UNCERT")]
        hdus[0].header["DATE-OBS"] = taken
        fits.HDUList(hdus).writeto(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no master")
    paths = configuration.masters_of(str(tmp_path))
    assert [Path(path).name for path in paths] == ["a.fits", "b.fits", "m.fits", "z.fits"]
    rows = []
    for path in paths:
        old = read_old_flat(path, now)
        rows.append({"flat": Path(path).name, "taken": old.header["DATE-OBS"], **compare_flats(old, now).rows[0]})
    rows.sort(key=lambda row: row["taken"])
    assert [row["verdict"] for row in rows] == ["new flats needed", "take the model only", "still holds", "still holds"]
    found, warnings = describe_old_flats({"first": rows})
    assert not warnings and len(found) == 1
    assert "Of 4 old flats, 2026-03-01 to 2026-10-01" in found[0] and "2 still holds" in found[0]
    assert "the last that does not is a.fits of 2026-07-01: take the model only" in found[0]


def take_along(project, folder, monkeypatch):
    """Who repeats the run, or gets it shared, gets the old masters."""
    monkeypatch.syspath_prepend(REPOSITORY / "tools")
    monkeypatch.chdir(project.folder)
    import share
    import verify

    (folder / "again").mkdir()
    verify.copy_project(folder / "again", "config.yaml", project.configured())
    share.main("config.yaml", folder / "shared.zip")
    with zipfile.ZipFile(folder / "shared.zip") as archive:
        names = archive.namelist()
    for name in ("old/flat_cfa.fits", "old/tilted.fits"):
        assert (folder / "again" / name).exists() and f"flatfield-shared/{name}" in names


def test_a_run_compares_with_old_masters(finished, tmp_path, monkeypatch):
    """Ours and another program's: the table, the figure and the sentences; and a path that leads nowhere."""
    project = finished.copy(tmp_path / "project")
    old = project.folder / "old/flat_cfa.fits"
    old.parent.mkdir()
    shutil.copy(project.path("first/flat_cfa.fits"), old)
    with fits.open(old) as hdus:
        fits.writeto(old.parent / "tilted.fits", hdus[0].data[::-1].copy(), fits.Header({"ROWORDER": "BOTTOM-UP"}))
    project.change_config(
        lambda config: config["sets"]["first"].update(compare_with=["old/flat_cfa.fits", "old/tilted.fits"])
    )
    project.run()
    with project.path("first/validity.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert list(rows[0]) == VALIDITY_COLUMNS
    assert Counter(row["flat"] for row in rows).keys() == {"old/flat_cfa.fits", "old/tilted.fits"}
    assert [row["verdict"] for row in rows if row["subject"] == "old flat"] == ["still holds"] * 2
    assert project.path("first/plots/validity.png").exists() and not project.path("second/validity.tsv").exists()
    assert "old/tilted.fits, against the new one of first: still holds" in project.path("conclusions.yaml").read_text()
    assert "Do old flats still hold?" in project.path("report.html").read_text()
    take_along(project, tmp_path, monkeypatch)
    project.change_config(lambda config: config["sets"]["first"].update(compare_with="nowhere.fits"))
    done = project.snakemake("-n")
    assert done.returncode != 0 and "nowhere.fits, which is not there" in done.stdout and "Traceback" not in done.stdout
