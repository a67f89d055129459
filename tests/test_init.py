"""A memory card goes in, a configuration that runs comes out: what is found, what is guessed, what is refused."""

import subprocess
import sys
from datetime import datetime, timedelta

import numpy as np
import pytest
import yaml
from astropy.io import fits
from conftest import BLACK, MARGINS, REPOSITORY, Project, exif, simulate_mosaic

from flatfield.demo.simulation import write_dng
from flatfield.init.catalogue import catalogue, kind_of_path
from flatfield.init.proposal import propose
from flatfield.raw.cfa import ColorFilterArray

RGGB = ColorFilterArray.from_name("RGGB")
SHAPE = (120, 180)
START = datetime(2026, 5, 1, 20)


class Card:
    """A folder to which a camera writes frames with consecutive numbers, all in one folder."""

    def __init__(self, folder, name="DSC{:05d}.dng"):
        self.folder, self.name, self.number, self.time = folder, name, 0, START
        self.rng = np.random.default_rng(7)
        folder.mkdir(parents=True, exist_ok=True)

    def take(self, count, kind, interval=2, **tags):
        """Take frames of a kind; return their names."""
        names = []
        for _ in range(count):
            self.number += 1
            self.time += timedelta(seconds=interval)
            path = self.folder / self.name.format(self.number)
            level = {"flat": 6000, "light": 900, "bias": 0, "dark": 0}[kind]
            mosaic = simulate_mosaic(self.rng, RGGB, SHAPE, level * (1 + 0.01 * self.rng.standard_normal()))
            mosaic = mosaic + np.rint(self.rng.normal(0, 4, mosaic.shape))
            if kind == "light":  # stars
                where = tuple(self.rng.integers(0, length, 700) for length in mosaic.shape)
                mosaic[where] += self.rng.exponential(3000, 700)
            fields = exif(start=self.time, **tags)
            write_dng(path, np.clip(mosaic, 0, 16383).astype(np.uint16), fields, margins=MARGINS, black=BLACK)
            names.append(path.name)
        return names

    def wait(self, seconds=60):
        self.time += timedelta(seconds=seconds)


NIGHT = {"exposure": "10/1", "iso": 3200}


def turned(orientation):
    return {"Exif.Image.Orientation": str(orientation)}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Everything on one card, without any telling name: truth by name, and the card's folder."""
    card = Card(tmp_path_factory.mktemp("card") / "100MSDCF")
    truth = {"A": card.take(6, "flat", **turned(1))}
    for name, orientation in (("B", 8), ("C", 3)):
        card.wait()
        truth[name] = card.take(6, "flat", **turned(orientation))
    card.wait(600)
    truth["f/4"] = card.take(5, "flat", **{"Exif.Photo.FNumber": "4/1"})
    card.wait(3600)
    truth["lights"] = card.take(4, "light", interval=12, **NIGHT)
    truth["darks"] = card.take(4, "dark", interval=12, **NIGHT)  # the cap goes on between two exposures
    truth["bias"] = card.take(5, "bias", exposure="1/4000", iso=3200)
    (card.folder / "DSC00001.jpg").write_bytes(b"\xff\xd8")
    (card.folder / "DSC90000.dng").write_bytes(b"")
    (card.folder / "DSC90001.dng").write_bytes((card.folder / truth["A"][0]).read_bytes()[:4000])
    (card.folder / ".hidden").write_text("x")
    return card.folder.parent, truth


def run_init(folder, *arguments, cwd):
    command = [sys.executable, REPOSITORY / "tools/init.py", folder, *arguments]
    return subprocess.run(
        command,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )


def frames_of(patterns):
    return [name.rpartition("/")[2] for name in patterns]


def test_kinds_subsets_turns_and_what_belongs_together_are_found(mixed):
    folder, truth = mixed
    found = catalogue(str(folder), 2)
    kinds = {entry.path.rpartition("/")[2]: entry.kind for run in found.runs for entry in run}
    expected = {"lights": "light", "darks": "dark", "bias": "bias"}
    assert kinds == {name: expected.get(key, "flat") for key, names in truth.items() for name in names}
    proposed = propose(found)
    wide, narrow = proposed.sets
    assert [[entry.path.rpartition("/")[2] for entry in part.entries] for part in wide.parts] == [
        truth[c] for c in "ABC"
    ]
    assert [part.rotation for part in wide.parts] == [0, 90, 180]
    assert len(narrow.parts) == 1 and len(narrow.entries) == 5
    (light,) = proposed.lights
    assert light.flat == wide.name
    for kind, key in (("bias", "bias"), ("dark", "darks")):
        assert [entry.path.rpartition("/")[2] for entry in getattr(light, kind)] == truth[key]
    assert not wide.bias  # another ISO
    assert set(found.unusable) == {f"100MSDCF/{name}" for name in ("DSC00001.jpg", "DSC90000.dng", "DSC90001.dng")}


def test_from_card_to_plan_without_editing_a_file(mixed, tmp_path):
    folder, truth = mixed
    project = Project.create(tmp_path / "project")
    done = run_init(folder, cwd=project.folder)
    assert done.returncode == 0, done.stdout
    for text in (
        "What was found",
        "not used: 100MSDCF/DSC00001.jpg: neither",
        "DSC90000.dng: it is empty",
        "DSC90001.dng",
    ):
        assert text in done.stdout
    text = (project.folder / "config.yaml").read_text()
    config = yaml.safe_load(text)
    assert "# ? from the orientation tag" in text
    (wide, subsets), *_ = ((name, each["subsets"]) for name, each in config["sets"].items() if "subsets" in each)
    assert [frames_of(subset["frames"]) for subset in subsets.values()] == [truth[c] for c in "ABC"]
    (light,) = config["lights"].values()
    assert light["flat"] == wide and frames_of(light["dark"]) == truth["darks"]
    planned = project.planned()
    assert planned["apply_flat"] == 4 and planned["combine_subset"] == 4
    # a configuration that somebody wrote is kept unless told otherwise
    (project.folder / "config.yaml").write_text(text + "# mine\n")
    refused = run_init(folder, cwd=project.folder)
    assert refused.returncode == 1 and "error: config.yaml exists and is kept" in refused.stdout
    assert (project.folder / "config.yaml").read_text() == text + "# mine\n"
    assert run_init(folder, "--overwrite", cwd=project.folder).returncode == 0
    assert (project.folder / "config.yaml").read_text() == text
    assert not list(project.folder.glob("*.part"))


def test_names_of_files_in_one_folder_tell_each_kind(tmp_path):
    rng = np.random.default_rng(4)
    for kind, level in (("bias", 1000), ("flat", 20000), ("light", 5000)):  # the same settings: none
        for number in range(3):
            hdu = fits.PrimaryHDU(rng.normal(level, level**0.5, SHAPE).astype(np.uint16))
            hdu.writeto(tmp_path / f"{kind}_{number}.fits")
    found = catalogue(str(tmp_path), 1)
    assert {entry.path.partition("_")[0] == entry.kind for run in found.runs for entry in run} == {True}
    assert sorted(len(run) for run in found.runs) == [3, 3, 3]


def test_a_plain_sky_is_no_flat(tmp_path):
    """Without names, header or stars only the exposure tells; and it is said."""
    card = Card(tmp_path)
    card.take(3, "flat")
    card.take(3, "flat", **NIGHT)
    proposed = propose(catalogue(str(tmp_path), 1))
    assert len(proposed.sets) == 1 and len(proposed.sets[0].entries) == 3 and not proposed.sets[0].first.doubt
    (light,) = proposed.lights
    assert light.flat == proposed.sets[0].name and "exposed long: is it one?" in light.doubts[0]


def test_folders_tell_subsets_and_angles(tmp_path):
    for place, angle in (("indoors", "0"), ("indoors", "90"), ("indoors", "180"), ("outdoors", "")):
        Card(tmp_path / "flats" / place / angle, f"{place}{angle}_{{}}.dng").take(3, "flat")
    Card(tmp_path / "My lights", "{} a'b.dng").take(1, "light", **NIGHT)
    proposed = propose(catalogue(str(tmp_path), 1))
    assert {each.name: [(part.name, part.rotation) for part in each.parts] for each in proposed.sets} == {
        "indoors": [("0", 0.0), ("90", 90.0), ("180", 180.0)],
        "outdoors": [("A", None)],
    }
    assert [each.name for each in proposed.lights] == ["My_lights"]
    config = tmp_path / "mine.yaml"
    done = run_init(tmp_path, "--config", config, cwd=REPOSITORY)
    assert done.returncode == 0, done.stdout
    written = yaml.safe_load(config.read_text())
    assert written["sets"]["indoors"]["subsets"]["90"]["frames"] == "flats/indoors/90/*.dng"


def test_headers_of_fits_frames_count_more_than_folders(tmp_path):
    rng = np.random.default_rng(3)
    for kind, level in (("Flat Field", 20000), ("Bias Frame", 1000), ("Light Frame", 5000)):
        for number in range(3):
            hdu = fits.PrimaryHDU(rng.normal(level, level**0.5, SHAPE).astype(np.uint16))
            hdu.header.update(
                {"IMAGETYP": kind, "EXPTIME": 0.0 if level == 1000 else 2.0, "INSTRUME": "cam", "FILTER": "V"}
            )
            (tmp_path / "dark").mkdir(exist_ok=True)
            hdu.writeto(tmp_path / "dark" / f"{kind[:4]}{number}.fits")
    hdu.header["NCOMBINE"] = 3
    hdu.writeto(tmp_path / "master.fits")
    hdu.header.update({"NCOMBINE": 1, "IMAGETYP": "Arc lamp"})
    hdu.writeto(tmp_path / "flat_arc.fits")
    found = catalogue(str(tmp_path), 1)
    assert {run[0].kind: len(run) for run in found.runs} == {"flat": 3, "bias": 3, "light": 3}
    assert "combination of 3 frames" in found.unusable["master.fits"]
    assert "neither flat, bias, dark nor light but 'Arc lamp'" in found.unusable["flat_arc.fits"]
    (light,) = propose(found).lights
    assert light.flat == propose(found).sets[0].name and len(light.bias) == 3


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("2026/Flats f2.8/a.ARW", "flat"),
        ("lights/flat_1.dng", "flat"),
        ("offset/1.cr2", "bias"),
        ("flatland/1.cr2", ""),
    ],
)
def test_names_tell_the_kind_by_whole_words(path, kind):
    assert kind_of_path(path) == kind


def test_without_flats_or_folder_one_sentence(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    for folder, words in (("missing", "there is no folder"), (".", "no frame that can be used")):
        done = run_init(folder, cwd=tmp_path)
        assert done.returncode == 1 and words in done.stdout and "Traceback" not in done.stdout


def test_the_demo_is_kept_beside_its_replacement():
    assert (REPOSITORY / "config.yaml").read_bytes() == (REPOSITORY / "config/config.yaml").read_bytes()


@pytest.mark.parametrize(
    ("answer", "turns"), [("0, 90 180", [0, 90, 180]), ("", [0, None, None]), ("90", [0, None, None])]
)
def test_turns_that_nothing_tells_are_asked_for(tmp_path, monkeypatch, answer, turns):
    card = Card(tmp_path)
    for _ in range(3):
        card.take(3, "flat")
        card.wait()
    monkeypatch.syspath_prepend(REPOSITORY / "tools")
    import init as tool

    monkeypatch.setattr(tool.console, "input", lambda question: answer)
    proposed = propose(catalogue(str(tmp_path), 1))
    tool.ask_turns(proposed)
    assert [part.rotation for part in proposed.sets[0].parts] == turns
    assert any("ASK" in doubt for part in proposed.sets[0].parts for doubt in part.doubts) == (None in turns)
