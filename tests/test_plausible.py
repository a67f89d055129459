"""Input that looks right and is not: caught, or reported. (Screening, angles and guards have tests of their own.)"""

import os
import re
import shutil

import numpy as np
import pytest
from astropy.io import fits
from conftest import BLACK, MARGINS, exif, simulate_mosaic
from test_workflow import table

from flatfield.demo.simulation import write_dng
from flatfield.files.frame_table import read_frames
from flatfield.raw.cfa import ColorFilterArray
from flatfield.report import conclusions

RGGB = ColorFilterArray.from_name("RGGB")


def write_frame(path, index, level=4000.0, black=BLACK, **fields):
    mosaic = simulate_mosaic(np.random.default_rng(100 + index), RGGB, level=level)
    write_dng(path, mosaic, exif(index, **fields), margins=MARGINS, black=black)


def sentence_of(done):
    """The only sentence of a run that failed."""
    sentences = {line for line in done.stdout.splitlines() if line.startswith("error: ")}
    assert done.returncode and len(sentences) == 1, done.stdout[-3000:]
    return sentences.pop()


def test_two_cameras_of_one_model(project):
    for number in range(1, 11):
        serial = "4711" if number < 8 else "4712"
        path = project.folder / f"raws/first/DSC{number}.dng"
        write_frame(path, number, **{"Exif.Photo.BodySerialNumber": serial})
    sentence = sentence_of(project.snakemake("results/first/inspected.tsv"))
    assert "body" in sentence and "first/DSC8.dng" in sentence and "4711" not in sentence


def test_a_light_of_another_body(project):
    for number in range(1, 11):
        path = project.folder / f"raws/first/DSC{number}.dng"
        write_frame(path, number, **{"Exif.Photo.BodySerialNumber": "4711"})
    write_frame(project.folder / "raws/lights/sky.dng", 0, **{"Exif.Photo.BodySerialNumber": "4712"})
    sentence = sentence_of(project.snakemake("results/lights/night/agreement.tsv"))
    assert "sky.dng: body is" in sentence and "another sensor" in sentence


@pytest.mark.parametrize("offset", [-10, 0, 10])
def test_a_black_level_that_covered_pixels_contradict(project, offset):
    for number in range(1, 5):
        path = project.folder / f"raws/second/DSC{number}.dng"
        mosaic = simulate_mosaic(np.random.default_rng(number), RGGB)
        write_dng(path, mosaic, exif(number), margins=MARGINS, black=[level - offset for level in BLACK])
    project.run("results/second/inspected.tsv")
    rows = read_frames(project.path("second/inspected.tsv"))
    assert [row.black_off_dn for row in rows] == [offset] * 4  # covered pixels are at black exactly
    warnings = conclusions._black("second", rows)
    assert len(warnings) == (offset != 0)
    if offset:
        assert f"read {offset:+g} DN above it" in warnings[0][0] and "bias" in warnings[0][1]


def write_offsets(folder, levels, **fields):
    folder.mkdir()
    for index, level in enumerate(levels):
        write_frame(folder / f"{index}.dng", index, level=level, **fields)


def test_darks_of_two_exposures(project):
    write_offsets(project.folder / "raws/dark", [20, 20, 20], exposure="300/1", iso=3200)
    write_frame(project.folder / "raws/dark/3.dng", 3, level=5, exposure="1/50", iso=3200)
    project.change_config(lambda config: config["lights"]["night"].update(dark="dark/*.dng"))
    sentence = sentence_of(project.snakemake("results/lights/night/offsets/dark.tsv"))
    assert "300 s, but 0.02 s (dark/3.dng)" in sentence and sentence.endswith("take out those that do not belong")


def test_bias_frames_of_another_iso(project):
    write_offsets(project.folder / "raws/bias", [20, 20, 20], iso=12800)
    project.change_config(lambda config: config["sets"]["second"].update(bias="bias/*.dng"))
    sentence = sentence_of(project.snakemake("results/second/inspected.tsv"))
    assert "ISO is 12800 in the offset frames (bias/0.dng), but 100 in the frames (second/DSC1.dng)" in sentence


def test_the_same_bias_frame_twice(project):
    write_offsets(project.folder / "raws/bias", [20, 20, 20])
    shutil.copy(project.folder / "raws/bias/1.dng", project.folder / "raws/bias/9.dng")
    project.change_config(lambda config: config["sets"]["second"].update(bias="bias/*.dng"))
    project.run("results/second/bias.fits")
    reasons = {row["file"]: row["reason"] for row in table(project.path("second/bias.tsv")) if row["used"] == "no"}
    assert reasons == {"bias/9.dng": "same content as bias/1.dng"}
    assert fits.getheader(project.path("second/bias.fits"))["NCOMBINE"] == 3


@pytest.mark.parametrize(
    ("done", "product"),
    [("frames.tsv", "diagnosis/sky.tsv"), ("sky.fits", "sky_rgb.fits"), ("sky.fits", "sky_channels.png")],
)
def test_a_light_that_was_exchanged(project, done, product):
    """By an older file, so that nothing shows it but its content."""
    project.change_config(lambda config: config.update(apply={"products": ["mosaic"]}))
    project.run(f"results/lights/night/{done}")
    path = project.folder / "raws/lights/sky.dng"
    write_frame(path, 77, level=1000)
    os.utime(path, (1e9, 1e9))
    assert "is not the file that was inspected" in sentence_of(project.snakemake(f"results/lights/night/{product}"))


def test_a_counter_that_rolls_over(project):
    """DSC09999 is followed by DSC00001: the order of names is not that in which frames were taken."""
    folder = project.folder / "raws/first"
    for index in range(10):
        number = (9995 + index) % 9999 or 9999
        (folder / f"DSC{index + 1}.dng").rename(folder / f"X{number:05d}.dng")
    sentence = sentence_of(project.snakemake("results/first/frames.tsv"))
    assert "X00001.dng comes before" not in sentence and "by name but was taken after it" in sentence
    assert "frames:` pattern" in sentence


def test_lights_and_a_lens_cap_among_flats(project):
    folder = project.folder / "raws/first"
    rng = np.random.default_rng(5)
    stars = simulate_mosaic(rng, RGGB, level=4000)
    for row, column in rng.integers(10, 60, (12, 2)):
        stars[row : row + 3, column : column + 3] += 6000
    write_dng(folder / "DSC2.dng", stars, exif(1), margins=MARGINS, black=BLACK)
    write_frame(folder / "DSC8.dng", 7, level=2.0)
    project.change_config(lambda config: config.update(min_frames=2))
    project.run("results/first/inspected.tsv")
    reasons = {row["file"]: row["reason"] for row in table(project.path("first/inspected.tsv")) if row["used"] == "no"}
    assert set(reasons) == {"first/DSC2.dng", "first/DSC8.dng"}
    assert "departs" in reasons["first/DSC2.dng"] and "too dark" in reasons["first/DSC8.dng"]


def test_jobs_stay_within_the_memory_that_they_declare(started):
    """Peaks of memory as Snakemake's benchmarks have them, against what the log says was declared."""
    declared = {}
    for path in (started.folder / ".snakemake/log").glob("*.log"):
        for job in re.split(r"^(?:local)?rule ", path.read_text(), flags=re.MULTILINE)[1:]:
            if "benchmark: " in job and "mem_mb=" in job:
                name = job.split("benchmark: ")[1].split("\n")[0]
                declared[name] = int(job.split("mem_mb=")[1].split(",")[0].split("\n")[0])
    assert len(declared) >= 6
    for name, limit in declared.items():
        (row,) = table(started.folder / name)
        assert float(row["max_rss"]) * 1.048576 < limit, name
