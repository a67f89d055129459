"""Quoted errors and verdicts against simulated worlds: the short form of `make truth`, and the simulator itself."""

import ast
from pathlib import Path

import calibrate
import numpy as np
import page
import pytest
import worlds
from conftest import LONG
from scipy.stats import binom

TRUTH = Path(calibrate.__file__).parent
#: What holds where nothing is wrong: standard deviation of pulls, at most and at least, for any number of sets.
PULLS = {
    "gain": (0.3, 1.3), "read noise": (0.3, 1.3), "pixel response (PRNU)": (0.5, 1.3),
    "terms of the light source": (0.4, 1.3), "UNCERT of a subset": (0.85, 1.15),
    "UNCERT of the debayered master": (0.85, 1.15), "UNCERT of the response, pixels": (0.85, 1.15),
    "UNCERT of a calibrated light, sky": (0.85, 1.15),
}  # fmt: skip
#: Questions of which at most as many of a hundred answers are false where nothing is wrong.
FALSE_PERCENT = 2


@pytest.mark.parametrize("seeds", [range(k, k + 25) for k in range(0, 300, 25)] if LONG else [range(1)], ids=str)
def test_errors_are_right_where_nothing_is_wrong(seeds):
    """Bounds from the noise of so few: 4.5 standard deviations of a mean and of a standard deviation."""
    worlds_played = [calibrate.play_world(seed, clean=True) for seed in seeds]
    assert not any(each["refused"] for each in worlds_played)
    records = [record for each in worlds_played for record in each["records"]]
    for name, (least, most) in PULLS.items():
        lists = page.gather(records, "pulls").get(name, [])
        if not lists:  # cameras without dust are rare
            assert not LONG and name.startswith("pixel response")
            continue
        z, many = np.concatenate(lists), sum(map(len, lists)) if name.startswith("UNCERT") else len(lists)
        assert abs(z.mean()) < 0.2 + 4.5 * most / np.sqrt(many), name
        assert z.std() < most * (1 + 4.5 / np.sqrt(2 * many)), name
        assert z.std() > least * (1 - 4.5 / np.sqrt(2 * many)), name
    for question, lists in page.gather(records, "asked").items():
        false = [said for each in lists for true, said in each if not true]
        assert sum(false) <= binom.ppf(0.99999, len(false), FALSE_PERCENT / 100), question


@pytest.mark.parametrize("name", ["worlds.py", "judge.py"])
def test_the_simulator_shares_no_code_with_the_library(name):
    nodes = ast.walk(ast.parse((TRUTH / name).read_text()))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    nodes = ast.walk(ast.parse((TRUTH / name).read_text()))
    imported |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    assert not any(module.startswith(("flatfield", "conftest")) for module in imported)


def test_a_camera_counts_photons():
    """Variance of the difference of two frames: photons, read noise, steps; neighbours share what they should."""
    camera = worlds.draw_world(0).camera
    rng, level = np.random.default_rng(3), 0.5 * camera.full()
    electrons = np.full(worlds.SHAPE, level)
    expected = level / camera.gain**2 + (camera.read_noise / camera.gain) ** 2 + 1 / 12
    for shared in (0.0, 0.04):
        first, second = (camera.record(electrons, rng, shared=shared).astype(float) for _ in range(2))
        difference = (first - second) / 2**0.5
        beside = (difference[:, 1:] * difference[:, :-1]).mean() / difference.var()
        # at half of the range half of the charge moves; 60000 pixels
        assert beside == pytest.approx(shared / 2, abs=0.02)
        summed = difference.var() * (1 + 4 * beside)
        assert summed == pytest.approx(expected, rel=0.1)


def record(pulls, asked=((False, False), (True, True)), faults=()):
    ratios = {"response": [1.0]}
    return {"of": "set", "faults": dict.fromkeys(faults, 1), "pulls": pulls, "ratios": ratios, "asked": {"Q": asked}}


def test_the_page_counts():
    """Right errors are plain, wrong ones bold; answers are counted."""
    rng, found = np.random.default_rng(4), []
    for seed in range(20):
        clean = record({"right": list(rng.standard_normal(50)), "small": list(2 * rng.standard_normal(50))})
        wrong = record({"right": list(1 + rng.standard_normal(50))}, [(False, True), (True, False)], ["sag"])
        found.append({"world": seed, "refused": {}, "records": [clean, wrong]})
    rows = {row.split(" | ")[0].strip("| "): row.split(" | ") for row in page.write_page(found).splitlines()}
    assert rows["right"][1] == "20" and "*" not in "".join(rows["right"][2:4])
    assert rows["right"][7].startswith("**1.0") or rows["right"][7].startswith("**0.9")
    assert rows["small"][3].startswith("**") and float(rows["small"][4]) == pytest.approx(31.7, abs=5)
    assert rows["Q"][1:4] == ["0 of 20", "20 of 20", "20 of 40"]
    assert rows["sag"][2] == rows["none"][2] == "20"
