"""A memory card goes in, a configuration that runs comes out: what is found, what is guessed, what is refused."""

import io
import subprocess
import sys
from datetime import datetime, timedelta

import numpy as np
import pytest
import yaml
from astropy.io import fits
from conftest import BLACK, MARGINS, REPOSITORY, Project, exif, simulate_mosaic

from flatfield.demo.simulation import write_dng
from flatfield.init.catalogue import catalogue, kind_of_path, list_files
from flatfield.init.coverage import coverage
from flatfield.init.proposal import propose
from flatfield.init.text import write_config
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

    # an answer that does not fit is asked for again, until it is left open: here where the input ends
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{answer}\n"))
    proposed = propose(catalogue(str(tmp_path), 1))
    tool.ask_turns(proposed)
    assert [part.rotation for part in proposed.sets[0].parts] == turns
    assert any("ASK" in doubt for part in proposed.sets[0].parts for doubt in part.doubts) == (None in turns)
    subsets = yaml.safe_load(write_config(proposed, str(tmp_path), list_files(str(tmp_path))))["sets"]
    assert [part["rotation"] for each in subsets.values() for part in each["subsets"].values()] == turns


# Cards as programs for astronomy leave them

LEVEL = {"flat": 20000, "light": 1500, "bias": 0, "dark": 30, "flat-dark": 0}
SHORT = {"flat": 1.0, "light": 300.0, "bias": 0.0, "dark": 300.0, "flat-dark": 1.0}


def write_night(folder, path, kind, count=3, start=START, name="{:04d}.fits", level=None, **cards):
    """FITS frames with a vignetted, noisy level, zero level 500 DN; lights have stars. Returns their paths."""
    rng, found = np.random.default_rng(abs(hash(path)) % 1000), []
    (folder / path).mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    for number in range(count):
        data = (level or LEVEL[kind]) / (1 + 0.4 * (x * x + y * y))
        if kind == "light":
            data[tuple(rng.integers(0, length, 300) for length in SHAPE)] += rng.exponential(20000, 300)
        data = np.clip(rng.poisson(data) + rng.normal(500, 4, SHAPE), 0, 65535).round().astype(np.uint16)
        time = (start + timedelta(seconds=number * (SHORT[kind] + 2))).isoformat()
        header = {"EXPTIME": SHORT[kind], "INSTRUME": "ASI2600MM", "DATE-OBS": time} | cards
        header = {key.replace("__", "-"): value for key, value in header.items() if value is not None}
        found.append(f"{path}/{name.format(number)}")
        fits.PrimaryHDU(data, fits.Header(header)).writeto(folder / found[-1])
    return found


def proposed_of(folder):
    found = catalogue(str(folder), 1)
    return propose(found), found


#: Folders and cards of each program: flats, lights, offset of the flats, darks of the lights.
PROGRAMS = {
    "N.I.N.A.": (
        ("2026-05-01/FLAT", {"IMAGETYP": "FLAT", "GAIN": 100}),
        ("2026-05-01/M31/LIGHT", {"IMAGETYP": "LIGHT", "GAIN": 100}),
        ("2026-05-01/DARKFLAT", {"IMAGETYP": "DARKFLAT", "GAIN": 100}),
        ("2026-05-01/DARK", {"IMAGETYP": "DARK", "GAIN": 100}),
    ),
    "ASIAIR": (
        ("Autorun/Flat", {"name": "Flat_1.0s_Bin1_2600MM_gain100_20260501-2000{:02d}_-10.0C_0001.fit", "GAIN": 100}),
        ("Plan/Light/Dark Shark Nebula", {"name": "Light_Dark Shark Nebula_300.0s_Bin1_{:04d}.fit", "GAIN": 100}),
        ("Autorun/Dark", {"name": "Dark_1.0s_Bin1_2600MM_gain100_20260501-2100{:02d}_-10.0C.fit", "GAIN": 100}),
        ("Autorun/Dark", {"name": "Dark_300.0s_Bin1_2600MM_gain100_20260501-2200{:02d}.fit", "GAIN": 100}),
    ),
    "SharpCap": (
        ("2026-05-01/Flats/20_00_00", {"BLKLEVEL": 30, "GAIN": 100}),
        ("2026-05-01/M 31/22_00_00", {"IMAGETYP": "Light", "BLKLEVEL": 30, "GAIN": 100}),
        ("2026-05-01/Flat Darks/20_10_00", {"BLKLEVEL": 30, "GAIN": 100}),
        ("2026-05-01/Darks/23_00_00", {"BLKLEVEL": 30, "GAIN": 100}),
    ),
    "Ekos": (
        ("M31/Flat/L", {"FRAME": "Flat", "FILTER": "L"}),
        ("M31/Light/L", {"FRAME": "Light", "FILTER": "L", "name": "M31_Light_{:03d}.fits"}),
        ("Dark Flat", {"FRAME": "Dark", "FILTER": "L"}),
        ("M31/Dark", {"FRAME": "Dark"}),
    ),
    "Siril": (("flats", {}), ("lights", {}), ("biases", {}), ("darks", {})),
    "Seestar": (
        ("calibration/flats", {"FILTER": "IRCUT", "BAYERPAT": "GRBG", "GAIN": 80}),
        ("M 31_sub", {"name": "Light_M 31_10.0s_IRCUT_{:04d}.fit", "FILTER": "IRCUT", "BAYERPAT": "GRBG", "GAIN": 80}),
        ("calibration/flat_darks", {"BAYERPAT": "GRBG", "GAIN": 80}),
        ("calibration/darks", {"BAYERPAT": "GRBG", "GAIN": 80}),
    ),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_cards_of_programs(tmp_path, program):
    kinds = ("flat", "light", "bias" if program == "Siril" else "flat-dark", "dark")
    hours = (0, 2, 1, 6)
    paths = [
        write_night(tmp_path, folder, kind, start=START + timedelta(hours=hour), **cards)
        for (folder, cards), kind, hour in zip(PROGRAMS[program], kinds, hours, strict=True)
    ]
    proposed, found = proposed_of(tmp_path)
    (flats,), (light,) = proposed.sets, proposed.lights
    assert [entry.path for entry in flats.entries] == paths[0]
    assert [entry.path for entry in light.entries] == paths[1] and light.flat == flats.name
    assert [entry.path for entry in flats.bias] == paths[2]
    assert [entry.path for entry in light.dark] == paths[3]
    assert not proposed.unused and not found.unusable
    done = run_init(tmp_path, "--config", tmp_path / "mine.yaml", cwd=REPOSITORY)
    assert done.returncode == 0 and "Traceback" not in done.stdout


def test_the_card_of_a_dwarf(tmp_path):
    """Its masters have next to nothing in their headers; flats of one's own lie beside them."""
    bare = {"INSTRUME": None, "EXPTIME": None, "DATE-OBS": None}
    camera = {"INSTRUME": "DWARFIII", "BAYERPAT": None}

    def write(path, kind, name, count=1, cards=bare, **options):
        return write_night(tmp_path, path, kind, count, name=name, **cards, **options)

    session = "DWARF_RAW_TELE_M 33_EXP_300_GAIN_60_2026-05-01-22-18-55-284"
    lights = write(session, "light", "M 33_300s60_Astro_20260501-22{:02d}29504_24C.fits", 3, camera, GAIN=60)
    (failed,) = write(session, "light", "failed_M 33_300s60_Astro_20260501-224358598_22C.fits", 1, camera)
    (stack,) = write(session, "light", "stacked-16_M 33_300s60_Astro_20260501-221900245.fits", 1, camera)
    folder = "DWARF_DARK/tele_exp_300_gain_60_bin_1_2026-05-02"
    raw = write(folder, "dark", "raw_300s_60_{:04d}_20260502-003814624_23C.fits", 3)
    (master,) = write("CALI_FRAME/dark/cam_0", "dark", "dark_exp_300.000000_gain_60_bin_1_24C_stack_10.fits")
    (warm,) = write("CALI_FRAME/dark/cam_0", "dark", "dark_exp_300.000000_gain_60_bin_1_38C_stack_10.fits")
    (bias,) = write("CALI_FRAME/bias/cam_0", "bias", "bias_gain_2_bin_1.fits")
    (factory,) = write("CALI_FRAME/flat/cam_0", "flat", "flat_gain_2_bin_1_ir_1.fits")
    flats = write("flats", "flat", "f{}.fits", 3, camera, GAIN=60, FILTER="Astro")
    proposed, found = proposed_of(tmp_path)
    (each,), (light,) = proposed.sets, proposed.lights
    assert [entry.path for entry in each.entries] == flats
    assert [entry.path for entry in light.entries] == lights and light.flat == each.name
    assert {entry.metadata.filter for entry in light.entries} == {"Astro"}
    assert "marked it as failed" in found.unusable[failed] and "a stack" in found.unusable[stack]
    assert found.unusable[factory] == "it is a combination of frames, not one as recorded"
    kinds = {entry.path: entry for run in found.runs for entry in run}
    assert {kinds[path].kind for path in (*raw, master, warm)} == {"dark"} and kinds[bias].kind == "bias"
    facts = kinds[warm].metadata
    assert (facts.exposure, facts.gain, facts.temperature, facts.combined) == (300, 60, 38, 10)
    assert kinds[bias].metadata.combined and kinds[bias].metadata.gain is None
    assert kinds[raw[0]].metadata.time == "2026-05-02T00:38:14.624" and kinds[raw[0]].metadata.temperature == 23


def test_what_wbpp_leaves_beside_the_frames(tmp_path):
    """Only frames as they were recorded count, by the sessions and filters in the names of folders."""
    for session, days in (("1", 0), ("2", 3)):
        for name in ("Ha", "OIII"):
            start = START + timedelta(days=days)
            write_night(tmp_path, f"SESSION_{session}/FILTER_{name}/lights", "light", start=start)
            start = START + timedelta(days=3 - days)  # by the clock nearer to the other session
            write_night(tmp_path, f"SESSION_{session}/FILTER_{name}/flats", "flat", start=start)
    corrected = fits.Header()
    corrected.add_history("ImageCalibration.masterBias.enabled: false")
    corrected.add_history("ImageCalibration.masterFlat.enabled: true")
    (calibrated,) = write_night(tmp_path, "out/Light_BIN-1", "light", 1, name="a_c.fits", IMAGETYP="Light Frame")
    with fits.open(tmp_path / calibrated, "update") as hdus:
        hdus[0].header.extend(corrected)
    steps = "out/registered/Light_BIN-1_EXPOSURE-300.00s_FILTER-Ha_mono/0001_c_cc_r.xisf"
    masters = [
        *write_night(tmp_path, "out/master", "flat", 1, name="masterFlat_BIN-1_120x180_FILTER-Ha_mono.fits"),
        *write_night(tmp_path, "out/master", "light", 1, name="masterLight_BIN-1_120x180_FILTER-Ha_mono.fits"),
    ]
    (tmp_path / steps).parent.mkdir(parents=True)
    (tmp_path / steps).write_bytes(b"XISF0100")
    proposed, found = proposed_of(tmp_path)
    assert found.unusable[calibrated] == "it was divided by a flat already (F); give it as it was recorded"
    assert "PixInsight corrected it already (_c_cc_r" in found.unusable[steps]
    assert all("combination of frames" in found.unusable[path] for path in masters)
    places = {each.name: each.first.folder.rpartition("/")[0] for each in proposed.sets}
    assert len(proposed.sets) == len(proposed.lights) == 4
    assert all(places[light.flat] == light.first.folder.rpartition("/")[0] for light in proposed.lights)


def test_sequences_of_siril_are_not_counted_beside_their_frames(tmp_path):
    """FITS frames are linked into a folder of Siril, raws are converted; what lies in a sequence only is used."""
    flats = write_night(tmp_path, "session/flats", "flat", name="F{}.fits")
    lights = write_night(tmp_path, "session/lights", "light", start=START + timedelta(hours=2), name="L{}.fits")
    write_night(tmp_path, "process", "light", start=START + timedelta(hours=2), name="light_0000{}.fits")
    alone = write_night(tmp_path, "process", "dark", start=START + timedelta(hours=6), name="dark_0000{}.fits")
    for number, path in enumerate(flats):
        (tmp_path / f"process/flat_0000{number}.fits").symlink_to(tmp_path / path)
    for name in ("light", "dark", "flat"):
        (tmp_path / f"process/{name}_.seq").touch()
    (corrected,) = write_night(tmp_path, "process", "light", 1, name="r_pp_light_00001.fits")
    proposed, found = proposed_of(tmp_path)
    (each,), (light,) = proposed.sets, proposed.lights
    assert [entry.path for entry in each.entries] == flats and [entry.path for entry in light.entries] == lights
    assert [entry.path for entry in light.dark] == alone
    assert found.unusable["process/flat_00001.fits"] == f"a link to {flats[1]}; one of them counts"
    assert found.unusable["process/light_00001.fits"] == f"{lights[1]} in a sequence of Siril; one of them counts"
    assert "Siril corrected it already" in found.unusable[corrected]


def test_nights_without_flats_are_listed(tmp_path):
    for night in (0, 34):
        write_night(tmp_path, f"{night}/Flat_L", "flat", start=START + timedelta(days=night), FILTER="L")
    write_night(tmp_path, "34/Flat_Ha", "flat", start=START + timedelta(days=34), FILTER="Ha")
    for name in ("L", "Ha", "SII"):
        start = START + timedelta(hours=6)  # after midnight
        write_night(tmp_path, f"Light_{name}", "light", start=start, FILTER=name, ROTATANG=90.0)
    rows = {row["filter"]: row for row in coverage(proposed_of(tmp_path)[0])}
    assert {(row["night"], row["lights"], row["angle"]) for row in rows.values()} == {("1 May 2026", "3", "90°")}
    assert rows["L"]["flats"] == "Flat_L_2026-05-01"
    assert rows["Ha"]["flats"] == "no flats; nearest 34 days away (Flat_Ha)"
    assert rows["SII"]["flats"].startswith("none: the filter is SII, but ")
    done = run_init(tmp_path, "--config", tmp_path / "mine.yaml", cwd=REPOSITORY)
    assert "1 May 2026" in done.stdout and "nearest 34 days away" in done.stdout, done.stdout


def test_what_is_not_used_says_which_field_differs(tmp_path):
    common = {"GAIN": 100, "CCD__TEMP": -10.0}
    write_night(tmp_path, "Flat", "flat", FILTER="L", **common)
    write_night(tmp_path, "Light", "light", FILTER="Ha", **common)
    write_night(tmp_path, "Bias", "bias", GAIN=0, CCD__TEMP=-10.0)
    write_night(tmp_path, "Dark", "dark", GAIN=100, CCD__TEMP=5.0)
    proposed, _ = proposed_of(tmp_path)
    reasons = {path.partition("/")[0]: reason for path, reason in proposed.unused.items()}
    assert "the filter is Ha, but L in the flats Flat" in reasons["Light"]
    assert "the gain setting is 0, but 100 in" in reasons["Bias"]
    assert "the temperature (degrees C) is 5, but -10 in the lights Light" in reasons["Dark"]
    assert any("zero level is not known" in doubt for doubt in proposed.sets[0].doubts)


def test_lights_of_another_gain_than_the_flats_need_offsets_of_their_own(tmp_path):
    write_night(tmp_path, "Flat", "flat", GAIN=100)
    write_night(tmp_path, "Bias", "bias", GAIN=100)
    write_night(tmp_path, "Light", "light", GAIN=200)
    proposed, _ = proposed_of(tmp_path)
    assert (
        "the gain setting is 200, but 100 in the flats Flat (and there are no offset"
        in proposed.unused["Light/0000.fits"]
    )
    write_night(tmp_path, "Bias200", "bias", GAIN=200)
    (light,) = proposed_of(tmp_path)[0].lights
    assert light.flat == "Flat" and light.bias[0].folder == "Bias200"
    assert any("gain setting is 200, but 100" in doubt for doubt in light.doubts)


def test_filters_nights_and_rotators_make_sets_and_the_nearest_is_taken(tmp_path):
    for night in (0, 34):
        start = START + timedelta(days=night)
        for name in ("L", "Ha"):
            write_night(tmp_path, f"{night}/Flat_{name}", "flat", start=start, FILTER=name, FOCALLEN=383 + night % 2)
    write_night(tmp_path, "Light", "light", start=START + timedelta(days=30), FILTER="Ha", FOCALLEN=384)
    proposed, _ = proposed_of(tmp_path)
    assert len(proposed.sets) == 4
    (light,) = proposed.lights
    assert next(each for each in proposed.sets if each.name == light.flat).first.folder == "34/Flat_Ha"
    assert any("4 days apart" in doubt for doubt in light.doubts)


def test_a_subset_aimed_aside_is_told_by_its_folder(tmp_path):
    for hour, name in enumerate(("rot0", "rot90", "aimed")):
        write_night(tmp_path, f"flats/{name}", "flat", start=START + timedelta(hours=hour))
    write_night(tmp_path, "lights", "light")
    done = run_init(tmp_path, "--config", tmp_path / "mine.yaml", cwd=REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr
    (flats,) = yaml.safe_load((tmp_path / "mine.yaml").read_text())["sets"].values()
    found = {name: (subset["rotation"], subset.get("aim")) for name, subset in flats["subsets"].items()}
    assert found == {"rot0": (0, None), "rot90": (90, None), "aimed": (0, "free")}


def test_rotator_angles_are_proposed(tmp_path):
    for number, angle in enumerate((10.0, 100.0, 190.2)):
        start = START + timedelta(minutes=number)
        write_night(tmp_path, "Flat", "flat", start=start, name=f"{number}_{{}}.fits", ROTATANG=angle)
    write_night(tmp_path, "Light", "light", ROTATANG=100.4)
    proposed, _ = proposed_of(tmp_path)
    (flats,), (light,) = proposed.sets, proposed.lights
    assert [part.rotation for part in flats.parts] == [0, 90, 180.2]
    assert all("rotator" in part.doubts[0] for part in flats.parts)
    assert light.flat == flats.name and not any("rotator" in doubt for doubt in light.doubts)


def test_masters(tmp_path):
    write_night(tmp_path, "Flat", "flat")
    (master,) = write_night(
        tmp_path, "masters", "bias", 1, name="masterBias_{}.fits", IMAGETYP="Master Bias", NCOMBINE=50
    )
    (dark,) = write_night(tmp_path, "masters", "dark", 1, name="d{}.fits", IMAGETYP="masterDark")
    write_night(tmp_path, "stack", "light", 1, name="M31_{}.fits", STACKCNT=30)
    (old,) = write_night(tmp_path, "masters", "flat", 1, name="f{}.fits", IMAGETYP="Master Flat", STACKCNT=30)
    write_night(tmp_path, "calibrated", "light", 1, name="c{}.fits", CALSTAT="BDF")
    write_night(tmp_path, "Light", "light")
    proposed, found = proposed_of(tmp_path)
    assert [entry.path for entry in proposed.sets[0].bias] == [master]
    light = next(each for each in proposed.lights if each.name == "Light")
    assert [entry.path for entry in light.dark] == [dark]
    assert "combination of 30 frames" in found.unusable["stack/M31_0.fits"]
    assert "combination of 30 frames" in found.unusable[old]
    assert "divided by a flat already" in found.unusable["calibrated/c0.fits"]
    write_night(tmp_path, "Bias", "bias")
    proposed, _ = proposed_of(tmp_path)
    assert proposed.sets[0].bias[0].folder == "Bias" and "a master of 50 frames" in proposed.unused[master]


def test_what_header_name_and_pixels_say_is_weighed(tmp_path):
    write_night(tmp_path, "Flats", "flat", IMAGETYP="Light Frame")
    write_night(tmp_path, "Lights", "light", IMAGETYP="Light Frame")
    write_night(tmp_path, "Exmoor Dark Sky Reserve", "light")
    write_night(tmp_path, "twelve", "flat", level=1500)
    write_night(tmp_path, "narrow", "flat", EXPTIME=8.0, FILTER="Ha 3nm")
    _, found = proposed_of(tmp_path)
    kinds = {run[0].folder: run[0] for run in found.runs}
    assert {folder: entry.kind for folder, entry in kinds.items()} == {
        "Flats": "flat",
        "Lights": "light",
        "Exmoor Dark Sky Reserve": "light",
        "twelve": "flat",
        "narrow": "flat",
    }
    assert (
        "header says light" in kinds["Flats"].doubt
        and "'Exmoor Dark Sky Reserve'" in kinds["Exmoor Dark Sky Reserve"].doubt
    )


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a/flats/flatdarks/1.fits", "flat-dark"),
        ("master/masterFlat_BIN-1_4144x2822_FILTER-Ha_mono.xisf", "flat"),
        ("master/masterDark_BIN-1_4144x2822_EXPOSURE-720.00s.xisf", "dark"),
        ("master/masterFlatDark_BIN-1.xisf", "flat-dark"),
        ("MasterOffset_ISO800.fits", "bias"),
        ("CALI_FRAME/flat/cam_0/flat_gain_2_bin_1_ir_0.fits", "flat"),
        ("DWARF_DARK/tele_exp_15_gain_130_bin_1_2025/raw_15s_130_0000_16C.fits", "dark"),
        ("DWARF_RAW_TELE_Dark Shark_EXP_30_GAIN_60/Dark Shark_30s60_Astro_24C.fits", "dark"),  # and the pixels decide
        ("Dark Flats/1.fits", "flat-dark"),
        ("DarkFlat/1.fits", "flat-dark"),
        ("x/flat_dark_001.fit", "flat-dark"),
        ("Lights/Dark Shark Nebula/1.fits", "light"),
        ("Light_Dark Shark Nebula_300s_0001.fit", "light"),
        ("Dark Sky Reserve/lights/1.fits", "light"),
        ("flats/06_00_00/1.fits", "flat"),
        ("BIAS/1.fits", "bias"),
        ("darks/300s/1.fits", "dark"),
    ],
)
def test_names_of_programs(path, kind):
    assert kind_of_path(path) == kind


def test_copies_links_and_two_cases_of_endings(tmp_path):
    card = Card(tmp_path / "card/100MSDCF", "DSC{:05d}.ARW")
    card.take(3, "flat")
    card.name = "DSC{:05d}.arw"
    card.take(2, "flat")
    for name in ("DSC00001.ARW", "DSC00002.ARW"):
        (card.folder / name.replace("ARW", "dng")).write_bytes((card.folder / name).read_bytes())
    (tmp_path / "card/backup").mkdir()
    (tmp_path / "card/backup/DSC00003.ARW").write_bytes((card.folder / "DSC00003.ARW").read_bytes())
    (tmp_path / "card/again").symlink_to(tmp_path / "card/100MSDCF")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/flats").symlink_to(tmp_path / "card/100MSDCF")
    (tmp_path / "elsewhere/loop").symlink_to(tmp_path / "elsewhere")
    proposed, found = proposed_of(tmp_path / "card")
    assert len(proposed.sets[0].entries) == 5
    assert {path for path, reason in found.unusable.items() if "the same frame as" in reason} == {
        "100MSDCF/DSC00001.dng",
        "100MSDCF/DSC00002.dng",
        "backup/DSC00003.ARW",
    }
    proposed, _ = proposed_of(tmp_path / "elsewhere")
    assert len(proposed.sets[0].entries) == 5


def test_a_clock_that_was_set_back_is_told(tmp_path):
    card = Card(tmp_path)
    card.take(3, "flat")
    card.time = START - timedelta(hours=1)
    card.take(3, "flat")
    proposed, _ = proposed_of(tmp_path)
    assert any("DSC00004.dng follows DSC00003.dng by name" in doubt for each in proposed.sets for doubt in each.doubts)


def test_two_bodies_are_two_sets(tmp_path):
    for body in ("4711", "4712"):
        serial = {"Exif.Photo.BodySerialNumber": body}
        Card(tmp_path / body / "flats").take(3, "flat", **serial)
        Card(tmp_path / body / "lights").take(1, "light", **serial, **NIGHT)
    proposed, _ = proposed_of(tmp_path)
    assert len(proposed.sets) == 2
    flats = {each.name: each.first.metadata.body for each in proposed.sets}
    assert all(flats[light.flat] == light.first.metadata.body for light in proposed.lights)


def test_headers_that_nobody_expects_are_no_traceback(tmp_path):
    write_night(tmp_path, "Flat", "flat", DATE__OBS="2026-05-01T20:00:00Z")
    write_night(tmp_path, "Light", "light", DATE__OBS="2026-05-01T20:00:00.1234567")
    odd = {"GAIN": "high", "FOCALLEN": "long", "XBINNING": "one", "EXPTIME": "?", "ROTATANG": True, "CCD__TEMP": "cold"}
    write_night(tmp_path, "Odd", "flat", **odd)
    write_night(tmp_path, "NoTime", "flat", DATE__OBS=None)
    (tmp_path / "a.xisf").write_bytes(b"XISF0100" + bytes(8))
    done = run_init(tmp_path, "--config", tmp_path / "mine.yaml", cwd=REPOSITORY)
    assert done.returncode == 0 and "Traceback" not in done.stdout and "a mistake of this program" not in done.stdout
