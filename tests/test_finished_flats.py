"""Lights divided by flats that are there: sets of another project, and masters of any program."""

import shutil

import numpy as np
import pytest
from astropy.io import fits
from conftest import Project
from test_workflow import table


def divided_by(flat, finished, folder, **options):
    """A project that has no flats of its own, with the light of another one."""
    project = Project.create(folder)
    shutil.copytree(finished.folder / "raws/lights", folder / "raws/lights")
    light = {"frames": "lights/*.dng", "flat": str(flat), **options}
    regions = finished.configured()["regions"]
    project.configure({"raw_root": "raws", "sets": {}, "regions": regions, "lights": {"night": light}})
    return project


def test_a_set_of_another_project_divides_as_in_that_project(finished, tmp_path):
    project = divided_by(finished.path("first"), finished, tmp_path / "project")
    project.change_config(lambda config: config.update(compare="config/notebook.yaml"))  # which needs sets of its own
    project.run()
    with (
        fits.open(project.path("lights/night/sky.fits")) as ours,
        fits.open(finished.path("lights/night/sky.fits")) as own,
    ):
        assert [hdu.name for hdu in ours] == [hdu.name for hdu in own]
        for one, other in zip(ours, own, strict=True):
            np.testing.assert_array_equal(one.data, other.data)
    for name in ("vignetting", "diagnosis", "agreement"):
        assert (
            project.path(f"lights/night/{name}.tsv").read_text()
            == finished.path(f"lights/night/{name}.tsv").read_text()
        )
    assert "0 flat-field frames" not in project.path("report.html").read_text()
    assert project.planned() == {}


def write_master(path, finished, change=lambda value: value, **cards):
    """The response of the finished project as another program keeps it: from 0 to 1, the last row first."""
    value, header = fits.getdata(finished.path("first/response.fits"), header=True)
    image = fits.PrimaryHDU(change(value)[::-1].astype(np.float32) / 65535)
    kept = {name: header[name] for name in ("BAYERPAT", "INSTRUME", "FOCALLEN", "APERTURE") if name in header}
    image.header.update({**kept, "ROWORDER": "BOTTOM-UP", **cards})
    image.writeto(path)
    return path


def test_a_master_of_another_program_divides(finished, tmp_path):
    """What becomes 1 in each channel is the same, so that its scale does not count; its noise is not known."""
    master = write_master(tmp_path / "master.fit", finished)
    project = divided_by(master, finished, tmp_path / "project")
    project.run()
    with (
        fits.open(project.path("lights/night/sky.fits")) as ours,
        fits.open(finished.path("lights/night/sky.fits")) as own,
    ):
        assert "UNCERT" not in ours
        np.testing.assert_allclose(ours[0].data, own[0].data, rtol=1e-5)
    assert project.path("report.html").exists()
    row = next(row for row in table(project.path("lights/night/diagnosis.tsv")) if row["cause"] == "flat not flat")
    assert row["verdict"] != "excluded"  # nothing is known of its light source


@pytest.mark.parametrize(
    ("change", "cards", "words"),
    [
        (lambda value: value[:, :-2], {}, "size is 72 x 108, but 72 x 106 in its flat"),
        (lambda value: value, {"BAYERPAT": "GRBG"}, "cfa is RGGB, but"),
        (lambda value: value, {"INSTRUME": "Other"}, "but Other in its flat"),
        (lambda value: value, {"NAXIS3": 3}, "master.fit"),
        (lambda value: -value, {}, "has no pixel above 0 and can be no flat"),
    ],
)
def test_a_master_that_does_not_fit_is_refused_in_a_sentence(finished, tmp_path, change, cards, words):
    planes = cards.pop("NAXIS3", None)
    master = write_master(tmp_path / "master.fit", finished, change, **cards)
    if planes:
        fits.writeto(master, np.ones((3, 72, 108), np.float32), overwrite=True)
    done = divided_by(master, finished, tmp_path / "project").snakemake("results/lights/night/agreement.tsv")
    last = done.stdout.rstrip().splitlines()[-1]
    assert done.returncode and words in last and "error: " in last, done.stdout


@pytest.mark.parametrize(
    ("name", "apply", "words"),
    [
        ("results/autumn", {}, "results/autumn is not there; name a set, a folder results/<set> of another project"),
        ("./raws", {}, "raws is no folder of a set that has run (it lacks flat_cfa.fits)"),
        ("master.fit", {"flat_part": "model"}, "`apply.flat_part: model` needs models/model.fits of the set"),
    ],
)
def test_what_is_no_flat_is_refused_before_anything_runs(finished, tmp_path, name, apply, words):
    project = divided_by(name, finished, tmp_path / "project")
    write_master(project.folder / "master.fit", finished)
    project.change_config(lambda config: config.update(apply=apply))
    done = project.snakemake("--dry-run")
    assert done.returncode and words in done.stdout, done.stdout
