"""The demo as a stranger meets it: `config.yaml` as it lies in the project runs, and finds what was simulated."""

import numpy as np
import pytest
from campaign import RECORDS
from PIL import Image

from flatfield.demo.simulation import GAIN, LIGHT_GAIN, LIGHT_READ_NOISE
from flatfield.files.tables import number_of, read_table

#: Standard errors by which a number may be off; some dozens are compared.
ERRORS = 4
#: Pixels of each channel in the boxes.
PIXELS = {"RED": 625, "GREEN": 1250, "BLUE": 625}


@pytest.fixture(scope="module")
def found(demo):
    """What was recovered and what is true, by subject, channel and quantity."""
    rows = read_table(demo.path("demo.tsv"))
    return {(row["subject"], row["channel"], row["quantity"]): row for row in rows}


def test_the_simulated_camera_is_found(demo, found):
    for name in demo.configured()["sets"]:
        for row in read_table(demo.path(f"{name}/noise.tsv")):
            gain = found[name, row["channel"], "gain, e-/DN"]
            assert float(gain["true"]) == GAIN
            assert abs(float(gain["recovered"]) - GAIN) < ERRORS * float(row["gain_error"])
            response = found[name, row["channel"], "pixel response, percent"]
            off = float(response["recovered"]) - float(response["true"])
            assert abs(off) < ERRORS * float(row["prnu_error"])


def test_without_its_light_source_a_flat_is_nearer_to_the_lens(demo, found):
    for name in demo.configured()["sets"]:
        for channel in PIXELS:
            with_source = found[name, channel, "shape of the master, rms error over 12 x 12 pixels"]
            without = found[name, channel, "the same, light source divided out"]
            assert float(without["error_percent"]) < 0.6 * float(with_source["error_percent"])


def test_lights_are_the_true_scenes(demo, found):
    """The ratio of centre and corner, within the noise of the photons in the boxes and what the flat leaves."""
    before = [row for row in read_table(demo.path("lights/milkyway/vignetting.tsv")) if row["stage"] == "before"]
    assert {row["frame"] for row in before} == {"DSC09001", "DSC09002", "DSC09003"}
    for row in before:
        after = found[row["frame"], row["channel"], "calibrated light, centre / corner"]
        electrons = [LIGHT_GAIN * float(row[box]) for box in ("center", "corner")]
        count = PIXELS[row["channel"]]
        error = sum((each + LIGHT_READ_NOISE**2) / each**2 / count for each in electrons) ** 0.5
        flat = abs(float(found["outdoors", row["channel"], "vignetting, centre / corner"]["error_percent"])) / 100
        assert abs(float(after["recovered"]) / float(after["true"]) - 1) < ERRORS * error + flat


def test_the_most_even_source_is_named_and_nothing_is_warned_of(demo, found):
    best = found["sets", "", "most uniform light source"]
    assert best["recovered"] == best["true"] == "outdoors"
    story = demo.conclusions()
    assert story["verdict"][0].startswith("Use outdoors ") and story["warnings"] == []
    assert demo.path("report.html").exists()


def test_stars_that_moved_agree_that_the_flat_is_right(demo):
    """Two of the frames show the same stars; the flat is right to half a percent (demo.tsv)."""
    rows = [row for row in read_table(demo.path("lights/milkyway/stars.tsv")) if row["term"] == "corner"]
    known = [row for row in rows if number_of(row["percent"]) is not None]
    assert known
    for row in known:
        assert row["verdict"] != "over-corrects" and row["verdict"] != "under-corrects"
        assert abs(float(row["percent"])) < ERRORS * float(row["error"]) + 0.5


def test_nothing_runs_off_a_figure(demo):
    """All around there is paper."""
    figures = [path for ends in ("plots/*", "*_diagnosis", "*_channels") for path in demo.path("").rglob(f"{ends}.png")]
    assert len(figures) == 3 * 6 + 2 * 3 * 2
    for path in figures:
        with Image.open(path) as picture:
            ink = np.asarray(picture.convert("L")) < 255
        ink[2:-2, 2:-2] = False
        assert not ink.any(), path


def test_what_tells_of_runs_is_apart_from_products(demo):
    """Logs and run times differ from run to run: `make verify` and `make share` leave out their folders."""
    records = {path for name in RECORDS for path in demo.path(name).rglob("*") if path.is_file()}
    timed = {path for path in demo.path("").rglob("*.tsv") if path.read_text().startswith("s\th:m:s\t")}
    assert timed and timed | set(demo.path("").rglob("*.log")) <= records


def test_nothing_is_left_to_do(demo):
    assert "Nothing to be done" in demo.run("--dry-run")
