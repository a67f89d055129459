"""Names and metadata that nobody should write: no code runs, no table or page breaks, nothing is written elsewhere."""

import os
import shutil

import numpy as np
import pytest
import yaml
from astropy.io import fits
from conftest import exif, simulate_mosaic, write_flats
from test_bad_input import setting
from test_workflow import table

from flatfield.demo.simulation import write_dng
from flatfield.raw import metadata
from flatfield.raw.cfa import ColorFilterArray

NAMES = (
    *("DSC 1.dng", "DSC'2'.dng", 'DSC"3".dng', "-4.dng", "фото 5.dng", "DSC&6;$(touch pwned).dng"),
    *("DSC`7`|8.dng", "DSC\\9<I>.dng", "#10%20?.dng", "~11.dng", "DSC*[12].dng", "e\u0301.dng"),
)
#: Text of the length of what it takes the place of in a file.
PLACEHOLDER = b"Test 14mm"


def files_outside(project):
    """Everything that a run may not touch, with its content."""
    places = ("results", ".snakemake")
    return {
        path: path.read_bytes()
        for path in project.folder.parent.rglob("*")
        if path.is_file() and not any(path.is_relative_to(project.folder / place) for place in places)
        and "__pycache__" not in path.parts
    }  # fmt: skip


def test_strange_names_of_frames(project):
    flats = write_flats(project.folder / "raws/odd", len(NAMES))
    for path, name in zip(flats, NAMES, strict=True):
        path.rename(path.with_name(name))
    lights = project.folder / "raws/lights"
    shutil.copy(lights / "sky.dng", lights / NAMES[5])
    (lights / "sky.dng").rename(lights / ("".join(chr(0xC0 + i) for i in range(98)) + ".dng"))
    setting("sets", {"odd": {"frames": "odd/*", "check_times": False}})(project)
    setting("lights/night/flat", "odd")(project)

    before = files_outside(project)
    project.run()
    assert files_outside(project) == before
    rows = table(project.path("odd/frames.tsv"))
    assert {row["file"] for row in rows} == {f"odd/{name}" for name in NAMES}
    assert all(row["used"] == "yes" for row in rows)
    page = project.path("report.html").read_text()
    assert "touch pwned" in page and "<I>" not in page
    assert project.path("lights/night/DSC&6;$(touch pwned).fits").exists()
    assert project.planned() == {}


@pytest.mark.parametrize(
    ("name", "words"),
    [("DSC\n1.dng", "cannot be printed"), (b"DSC\xff.dng", "cannot be printed"), ("DSC{set}.dng", "brace")],
)
def test_names_that_nothing_can_hold_are_refused(project, name, words):
    path = project.folder / "raws/second/DSC1.dng"
    os.rename(path, os.path.join(os.fsencode(path.parent), os.fsencode(name)))
    done = project.snakemake()
    assert done.returncode == 1 and "error: config.yaml: key `sets.second.frames`" in done.stdout
    assert words in done.stdout and "Traceback" not in done.stdout


def test_links_are_followed_once(project):
    raws = project.folder / "raws"
    (raws / "second/linked.dng").symlink_to(raws / "first/DSC1.dng")  # another frame, elsewhere
    project.run("results/second/inspected.tsv")
    (raws / "second/again").symlink_to(raws / "second")
    setting("sets/second/frames", "second/**/*.dng")(project)
    done = project.snakemake()
    assert done.returncode == 1 and "the same file under two names" in done.stdout


@pytest.mark.parametrize("model", [b"a\tb\nc\r\0d", b"<b>&\"'</b>", b"\xff\xfe\xd8\0\x01\x1b[2", b"=1+2|cmd "])
def test_strange_text_in_headers(project, model):
    for path in project.folder.glob("raws/*/*.dng"):
        content = path.read_bytes()
        assert PLACEHOLDER in content
        path.write_bytes(content.replace(PLACEHOLDER, model[: len(PLACEHOLDER)].ljust(len(PLACEHOLDER))))
    project.run("results/second/flat_cfa.fits", "results/first/inspected.tsv", "results/lights/night/frames.tsv")
    for name in ("first/inspected.tsv", "lights/night/frames.tsv"):
        lines = project.path(name).read_bytes().decode().split("\n")
        assert {line.count("\t") for line in lines[:-1]} == {lines[0].count("\t")}
        assert all(line.isprintable() for line in lines[0].split("\t")) and "\x1b" not in "".join(lines)


def test_text_without_end_is_cut(tmp_path):
    path = tmp_path / "long.dng"
    mosaic = simulate_mosaic(np.random.default_rng(1), ColorFilterArray.from_name("RGGB"))
    write_dng(path, mosaic, exif(**{"Exif.Photo.LensModel": "x" * 10_000_000}))
    assert metadata.from_exif(path).lens == "x" * metadata.TEXT_LENGTH


@pytest.mark.parametrize("number", [1e300, -5.0, 0, 1e-300, 2**70, "NaN", "1e999", "", True])
def test_numbers_that_measure_nothing_are_unknown(number):
    names = ("ISOSPEED", "APERTURE", "FOCALLEN", "EXPTIME")
    found = metadata.from_header(fits.Header([(name, number) for name in names]))
    expected = (None, None, None, 0 if number == 0 else None)  # a bias frame truly has 0 s; T of a card is no number
    assert (found.iso, found.aperture, found.focal_length, found.exposure) == expected


BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
)  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (BOMB, "anchors and aliases"),
        ("title: !!python/object/apply:os.system ['touch pwned']", "not valid JSON or YAML"),
        ("pathvars: {results: ../elsewhere}", "climbs out"),
        ("compare: ...yaml", "compare"),
    ],
)
def test_strange_configurations(project, lines, words):
    (project.folder / "...yaml").write_text("combine: {method: mean}")
    path = project.folder / "config.yaml"
    path.write_text(yaml.safe_dump(project.configured()) + lines)
    before = files_outside(project)
    done = project.start(timeout=60)
    assert done.returncode != 0 and words in done.stdout
    assert files_outside(project) == before
