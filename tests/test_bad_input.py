"""Bad input ends within seconds with one clear sentence, no traceback, and no product half-written."""

import os
import re
import shutil

import numpy as np
import pytest
import tifffile
from astropy.io import fits
from conftest import BLACK, MARGINS, exif, simulate_mosaic, write_flats
from test_workflow import table

from flatfield.demo.simulation import write_dng
from flatfield.raw.cfa import ColorFilterArray

RGGB = ColorFilterArray.from_name("RGGB")


def setting(path, value):
    """A change of the configuration."""

    def change(project):
        def update(content):
            *keys, last = path.split("/")
            for key in keys:
                content = content.setdefault(key, {})
            content[last] = value

        project.change_config(update)

    return change


def frame(name, **options):
    """Replace a frame by another one."""

    def change(project):
        fields = {key: options.pop(key) for key in ("iso", "index") if key in options}
        mosaic = simulate_mosaic(np.random.default_rng(9), RGGB, **options)
        write_dng(project.folder / "raws" / name, mosaic, exif(**fields), margins=MARGINS, black=BLACK)

    return change


def truncate(name, fraction):
    def change(project):
        path = project.folder / "raws" / name
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * fraction)])

    return change


def write_zeros(project):
    mosaic = np.zeros((76, 114), np.uint16)
    write_dng(project.folder / "raws/first/DSC2.dng", mosaic, exif(1), margins=MARGINS, black=BLACK)


def write_linear_dng(project):
    """A DNG with three planes and no mosaic."""
    planes = np.full((72, 108, 3), 3000, np.uint16)
    tags = [
        (50706, "B", 4, b"\1\4\0\0", True),
        (50708, "s", 0, "Linear", True),
        (50721, "2i", 9, [1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1], True),
        (50778, "H", 1, 21, True),
    ]
    tifffile.imwrite(
        project.folder / "raws/first/DSC2.dng", planes, photometric=34892, extratags=tags, metadata=None, software=False
    )


def other_phase(project):
    mosaic = simulate_mosaic(np.random.default_rng(9), ColorFilterArray.from_name("GRBG"))
    path = project.folder / "raws/lights/sky.dng"
    write_dng(path, mosaic, exif(), cfa=ColorFilterArray.from_name("GRBG"), margins=MARGINS, black=BLACK)


def swap_times(project):
    for name, index in (("DSC2", 7), ("DSC8", 1)):
        frame(f"first/{name}.dng", index=index)(project)


def same_names(project):
    folder = project.folder / "raws/lights/more"
    folder.mkdir()
    shutil.copy(project.folder / "raws/lights/sky.dng", folder)
    setting("lights/night/frames", ["lights/*.dng", "lights/more/*.dng"])(project)


def slash_in_name(project):
    project.change_config(lambda config: config["sets"].update({"a/b": {"frames": "first/*.dng"}}))


def misspelt_preset(project):
    (project.folder / "extra.yaml").write_text("combine: {metod: mean}")
    setting("compare", "extra.yaml")(project)


def bias_with_ahd(project):
    write_flats(project.folder / "raws/bias", 2)
    setting("sets/second/bias", "bias/*.dng")(project)
    setting("debayer/algorithm", "AHD")(project)


def fits_with_ahd(project):
    for number in range(3):
        fits.PrimaryHDU(np.ones((80, 80), np.uint16)).writeto(project.folder / f"raws/{number}.fits")
    setting("sets/second/frames", "*.fits")(project)
    setting("debayer/algorithm", "AHD")(project)


def fits_with_preset(project):
    for number in range(3):
        fits.PrimaryHDU(np.ones((80, 80), np.uint16)).writeto(project.folder / f"raws/{number}.fits")
    setting("sets/second/frames", "*.fits")(project)
    setting("compare", "config/notebook.yaml")(project)


def flip_a_bit(project):
    rng = np.random.default_rng(1)
    for number in range(3):
        path = project.folder / f"raws/{number}.fits"
        fits.PrimaryHDU(rng.integers(1000, 1100, (80, 80), np.uint16)).writeto(path, checksum=True)
    content = bytearray(path.read_bytes())
    content[3000] ^= 1
    path.write_bytes(content)
    setting("sets/second/frames", "*.fits")(project)


def unparsable_card(project):
    for number in range(3):
        path = project.folder / f"raws/{number}.fits"
        fits.PrimaryHDU(np.ones((80, 80), np.uint16), fits.Header({"EXPTIME": 15})).writeto(path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"EXPTIME =                   15", b"EXPTIME =                1,5 s"))
    setting("sets/second/frames", "*.fits")(project)


def key_twice(project):
    path = project.folder / "config.yaml"
    path.write_text(path.read_text().replace("\nsets:\n", "\nsets:\n  second: {frames: first/*.dng}\n"))


def tie_of_iso(project):
    for number in (1, 2):
        frame(f"second/DSC{number}.dng", iso=200, index=number)(project)
    setting("sets/second/mismatch", "exclude")(project)


def brace_in_name(project):
    (project.folder / "raws/first/DSC1.dng").rename(project.folder / "raws/first/DSC{1}.dng")


def names_of_other_products(project):
    folder = project.folder / "raws/more"
    folder.mkdir()
    shutil.copy(project.folder / "raws/lights/sky.dng", folder / "sky_channels.dng")
    setting("lights/other", {"frames": "more/*.dng", "flat": "first"})(project)


def pair_of_two_meanings(project):
    names = ("A", "B-C", "A-B", "C")
    subsets = {name: {"slice": f"{i}:{i + 1}"} for i, name in enumerate(names)}
    setting("sets/second/subsets", subsets)(project)


def block_results(project):
    (project.folder / "results").write_text("a file where the folder should be")


def block_folder_of_set(project):
    (project.folder / "results").mkdir()
    (project.folder / "results/second").write_text("a file where a folder should be")


def break_link(project):
    path = project.folder / "raws/second/DSC2.dng"
    path.unlink()
    path.symlink_to(project.folder / "unmounted/DSC2.dng")


def make_fifo(project):
    path = project.folder / "raws/second/DSC2.dng"
    path.unlink()
    os.mkfifo(path)


def latin_preset(project):
    (project.folder / "extra.yaml").write_bytes("combine: {method: mean}  # f\u00fcr".encode("latin-1"))
    setting("compare", "extra.yaml")(project)


def break_yaml(project):
    (project.folder / "extra.yaml").write_text("sets: [unclosed")
    setting("compare", "extra.yaml")(project)


CASES = {
    "missing folder": (setting("raw_root", "nowhere"), "nowhere", "raw_root"),
    "pattern without a match": (setting("sets/first/frames", "first/*.arw"), "first/*.arw", "sets.first.frames"),
    "slice beyond the list": (setting("sets/first/subsets/C/slice", "6:12"), "6:12", "10 frames"),
    "overlapping slices": (setting("sets/first/subsets/B/slice", "2:6"), "DSC3.dng", "A and B"),
    "slice that leaves frames": (setting("sets/first/subsets/C/slice", "7:10"), "DSC7.dng", "leftover: allow"),
    "subset without a frame": (setting("sets/first/subsets/C/slice", "6:6"), "6:6", "no frame"),
    "slice that is none": (setting("sets/first/subsets/C/slice", "6-9"), "6-9", "slice"),
    "subset without frames": (setting("sets/first/subsets/C", {"rotation": 3}), "subsets.C", "slice"),
    "misspelt key": (setting("sets/first/subset", {}), "subset", "did you mean `subsets`"),
    "neither number nor word": (setting("bands", "2"), "bands", "integer"),
    "results that no folder can be": (
        setting("pathvars", {"results": "x" * 256}),
        "pathvars.results",
        "not a possible folder name",
    ),
    "results at home": (setting("pathvars", {"results": "~/flats"}), "pathvars.results", "write the home folder out"),
    "no patterns": (setting("sets/first/frames", []), "sets.first.frames", "array that is not empty"),
    "link to a frame that is not there": (break_link, "second/DSC2.dng", "a broken link"),
    "pipe in place of a frame": (make_fifo, "second/DSC2.dng", "is no file"),
    "preset in another encoding": (latin_preset, "extra.yaml", "cannot be read as YAML"),
    "a file in place of a folder": (block_folder_of_set, "results/second", "move it away"),
    "misspelt section": (setting("combin", {}), "combin", "did you mean `combine`"),
    "wrong type": (setting("models/crop_factor", "wide"), "models.crop_factor", "number"),
    "value out of range": (setting("debayer/step", 0), "debayer.step", "at least 1"),
    "unknown method": (setting("combine/method", "average"), "combine.method", "median, mean"),
    "set name with a slash": (slash_in_name, "a/b", "letters, digits"),
    "misspelt key in a preset": (misspelt_preset, "extra.yaml", "did you mean `method`"),
    "bias with an algorithm of LibRaw": (bias_with_ahd, "AHD", "bias of set second"),
    "FITS with an algorithm of LibRaw": (fits_with_ahd, "AHD", "0.fits"),
    "reserved set name": (setting("sets/lights", {"frames": "first/*.dng"}), "lights", "rename"),
    "light of an unknown set": (setting("lights/night/flat", "frist"), "frist", "did you mean 'first'"),
    "two lights of one name": (same_names, "sky.dng", "same name"),
    "preset that is not YAML": (break_yaml, "extra.yaml", "YAML"),
    "FITS under a preset of LibRaw": (fits_with_preset, "config/notebook.yaml", "compare: null"),
    "damaged FITS": (flip_a_bit, "2.fits", "checksum"),
    "FITS card that is no card": (unparsable_card, "2.fits", "cannot be decoded"),
    "a key twice": (key_twice, "second", "twice"),
    "as many frames of two ISO": (tie_of_iso, "in as many frames as", "take out"),
    "brace in a name": (brace_in_name, "DSC{1}.dng", "rename"),
    "light named as a product": (names_of_other_products, "sky_channels.dng", "rename"),
    "two pairs of one name": (pair_of_two_meanings, "A-B-C", "rename a subset"),
    "not a number": (setting("models/distance_m", float("nan")), "models.distance_m", "finite"),
    "misspelt folder": (setting("pathvars", {"result": "x"}), "result", "did you mean `results`"),
    "minmax of too few debayered frames": (
        lambda project: (
            setting("combine", {"method": "minmax"})(project),
            setting("debayer/step", 3)(project),
        ),
        "of the 2 frames of second",
        "every 3th frame",
    ),
    "results not writable": (block_results, "results", "not a writable folder"),
    "unreadable raw": (truncate("first/DSC4.dng", 0.05), "DSC4.dng", "copy it again"),
    "truncated raw": (truncate("first/DSC4.dng", 0.6), "DSC4.dng", "copy it again"),
    "all pixels 0": (write_zeros, "DSC2.dng", "every pixel"),
    "no mosaic": (write_linear_dng, "DSC2.dng", "no mosaic"),
    "mixed ISO": (frame("first/DSC4.dng", iso=200, index=3), "DSC4.dng", "100 (9 frames) and 200"),
    "mixed sizes": (frame("first/DSC4.dng", shape=(60, 84), index=3), "DSC4.dng", "60 x 84"),
    "times against names": (swap_times, "DSC2.dng", "check_times"),
    "light of another size": (frame("lights/sky.dng", shape=(60, 84)), "sky.dng", "60 x 84"),
    "light of another colour pattern": (other_phase, "sky.dng", "GRBG"),
    "light that is truncated": (truncate("lights/sky.dng", 0.6), "sky.dng", "copy it again"),
    "region beyond the frame": (setting("regions/corner", {"row": 70, "size": 12}), "regions.corner", "72 x 108"),
    "minmax of too few": (
        setting("combine", {"method": "minmax", "nlow": 2, "nhigh": 2}),
        "nlow",
        "4 of the 3 frames of first, subset A",
    ),
}


#: Cases that are run as a user does too: one of the configuration, one of a job, one of Snakemake's own folders.
STARTED = ("misspelt key", "truncated raw", "a file in place of a folder")


@pytest.mark.parametrize(("name", "start"), [*((name, False) for name in CASES), *((name, True) for name in STARTED)])
def test_bad_input(project, name, start):
    change, *words = CASES[name]
    change(project)
    done = project.start() if start else project.snakemake()
    assert done.returncode != 0
    sentences = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert len(set(sentences)) == 1, done.stdout
    for word in words:
        assert word in sentences[0]
    assert "Traceback" not in done.stdout and "common.smk" not in done.stdout
    assert not list(project.folder.rglob("*.part"))
    assert {path.name for path in project.folder.glob("results/**/*.fits")} <= {"maps.fits"}  # nothing is combined


def test_odd_frames_are_excluded_with_their_reasons(project):
    frame("first/DSC4.dng", iso=200, index=3)(project)
    truncate("first/DSC5.dng", 0.6)(project)
    setting("sets/first/mismatch", "exclude")(project)
    project.run("results/first/frames.tsv", "results/first/subsets/B.fits")
    lines = [line.split("\t") for line in project.path("first/frames.tsv").read_text().splitlines()]
    unused = {row[0]: row[-1] for row in lines[1:] if row[-2] == "no"}
    assert set(unused) == {"first/DSC4.dng", "first/DSC5.dng"}
    assert "200" in unused["first/DSC4.dng"] and "copy it again" in unused["first/DSC5.dng"]
    assert fits.getheader(project.path("first/subsets/B.fits"))["NCOMBINE"] == 1


def test_a_monochrome_frame_among_others_is_excluded(project):
    fits.PrimaryHDU(np.full((72, 108), 3000, np.uint16)).writeto(project.folder / "raws/second/DSC9.fits")
    setting("sets/second/frames", ["second/*.dng", "second/*.fits"])(project)
    setting("sets/second/mismatch", "exclude")(project)
    project.run("results/second/frames.tsv", "results/second/flat_cfa.fits")
    header, *_, last = (line.split("\t") for line in project.path("second/frames.tsv").read_text().splitlines())
    row = dict(zip(header, last, strict=True))
    assert row["used"] == "no" and "MONO, not RGGB" in row["reason"] and row["level_red_dn"] == "unknown"
    assert fits.getheader(project.path("second/flat_cfa.fits"))["NCOMBINE"] == 4


def test_leftover_frames_count_for_the_master(project):
    setting("sets/first/subsets/C/slice", "7:10")(project)
    setting("sets/first/leftover", "allow")(project)
    project.run("results/first/flat_cfa.fits", "results/first/frames.tsv")
    assert fits.getheader(project.path("first/flat_cfa.fits"))["NCOMBINE"] == 10
    assert re.search(r"^first/DSC7.dng\t\t", project.path("first/frames.tsv").read_text(), re.MULTILINE)


def test_frames_without_any_metadata_are_unknown_not_zero(project):
    for path in write_flats(project.folder / "raws/second", 4):
        mosaic = tifffile.imread(path)
        write_dng(path, mosaic, {}, margins=MARGINS, black=BLACK)
    project.run("results/second/flat_cfa.fits", "results/second/frames.tsv", "results/second/plots/subsets.png")
    header, first, *_ = (line.split("\t") for line in project.path("second/frames.tsv").read_text().splitlines())
    row = dict(zip(header, first, strict=True))
    assert {row[key] for key in ("time", "iso", "exposure_s", "aperture", "focal_length_mm", "lens")} == {"unknown"}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("raw_root: raws\nsets:\n\ta: {frames: x}\n", "line 3, column 1: found character"),
        ("raw_root: raws\nsets:\n  a: {frames: x}\n b: 2\n", "line 4, column 2: expected <block end>"),
    ],
)
def test_a_configuration_that_is_no_yaml_is_refused_with_its_line(project, text, place):
    (project.folder / "config.yaml").write_text(text)
    done = project.snakemake("--dry-run")
    last = done.stdout.rstrip().splitlines()[-1]
    assert done.returncode and last.startswith(f"error: config.yaml, {place}") and "not tabs" in last, done.stdout


def test_lights_that_cannot_be_used_are_left_out_and_named(finished, tmp_path):
    """A cut-off file and one of another lens: nothing is made of them, and all of the others."""
    project = finished.copy(tmp_path / "project")
    raws = project.folder / "raws/lights"
    for index, name in enumerate(("cut", "lens", "more")):
        mosaic = simulate_mosaic(np.random.default_rng(index), RGGB, level=2000)
        fields = exif(index, iso=3200) | ({"Exif.Photo.LensModel": "Long 200mm"} if name == "lens" else {})
        write_dng(raws / f"{name}.dng", mosaic, fields, margins=MARGINS, black=BLACK)
    whole = (raws / "cut.dng").read_bytes()
    (raws / "cut.dng").write_bytes(whole[: len(whole) // 2])
    assert "cut.dng" in project.snakemake("results/lights/night/frames.tsv").stdout
    project.change_config(lambda config: config["lights"]["night"].update(mismatch="exclude"))
    project.change_config(lambda config: config.update(handover=["siril"]))
    project.run()
    made = {path.stem.partition("_")[0] for path in project.path("lights/night").glob("*_diagnosis.png")}
    assert made == {"sky", "more"}
    lost = ("cut", "lens", "pp_cut", "pp_lens")
    assert not [path for path in project.path("lights").rglob("*") if path.stem in lost]
    listed = [row["frame"] for row in table(project.path("lights/night/left_out.tsv"))]
    assert listed == ["lights/cut.dng", "lights/lens.dng"]
    rows = table(project.path("frames.tsv"))
    assert [(row["frames"], row["used"]) for row in rows if row["name"] == "night"] == [("4", "2")]
    (warning,) = [text for text, _ in project.conclusions()["warnings"] if "left out" in text]
    assert warning.startswith("Light night: 2 of 4 frames are left out, for example lights/cut.dng: ")
    assert project.planned() == {}
    (raws / "cut.dng").write_bytes(whole)
    project.run()
    assert project.path("lights/night/cut.fits").exists() and not project.path("lights/night/lens.fits").exists()
