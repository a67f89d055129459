"""Combinations cut into bands of rows: the same bytes as in one go."""

import numpy as np
import pytest
from conftest import BLACK, MARGINS, Project, exif, simulate_mosaic, write_flats

from flatfield.demo.simulation import write_dng
from flatfield.raw.cfa import ColorFilterArray

RGGB = ColorFilterArray.from_name("RGGB")

PRODUCTS = ("subsets/A.fits", "flat_cfa.fits", "flat.fits", "flat_uncert.fits")


@pytest.mark.parametrize(
    ("method", "cfa", "with_bias"), [("median", "RGGB", False), ("sigma_clip", "RGGB", True), ("mean", "XTRANS", False)]
)
def test_bands_give_the_same_bytes(tmp_path, method, cfa, with_bias):
    cfa = "GGRGGBGGBGGRBRGRBGGGBGGRGGRGGBRBGBRG" if cfa == "XTRANS" else cfa
    black = {"black": (500,) * 4} if len(cfa) > 4 else {}
    project = Project.create(tmp_path / "project")
    write_flats(project.folder / "raws/set", 6, cfa=cfa, shape=(100, 120), drift=0.05, **black)
    options = {"frames": "set/*.dng", "subsets": {"A": {"slice": "0:3"}, "B": {"slice": "3:6", "rotation": 90}}}
    if with_bias:
        (project.folder / "raws/bias").mkdir()
        for index in range(3):
            mosaic = simulate_mosaic(np.random.default_rng(index), RGGB, (100, 120), level=30)
            write_dng(project.folder / f"raws/bias/{index}.dng", mosaic, exif(index), margins=MARGINS, black=BLACK)
        options["bias"] = "bias/*.dng"
    targets = [f"results/set/{name}" for name in PRODUCTS]
    found = []
    for bands in (1, 5):
        project.configure({"raw_root": "raws", "sets": {"set": options}, "combine": {"method": method}, "bands": bands})
        jobs = project.planned(*targets)
        assert jobs["combine_band"] == (0 if bands == 1 else 5 * 3)
        project.run(*targets)
        found.append([project.path(f"set/{name}").read_bytes() for name in PRODUCTS])
    for name, whole, banded in zip(PRODUCTS, *found, strict=True):
        assert whole == banded, name
    assert not project.planned(*targets)


def test_more_bands_than_tiles_are_refused(project):
    project.change_config(lambda config: config.update(bands=40))
    done = project.snakemake("results/first/flat_cfa.fits")
    assert done.returncode and "error: 72 rows cannot be cut into 40 bands" in done.stdout
