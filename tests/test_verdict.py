"""Which set to use: equal ones are said to be equal, better ones are named with the reason."""

import numpy as np
import pytest
from conftest import BLACK, Project, exif
from test_illumination import COUNT, GAIN, RGGB, SOURCE, camera, log_source, write_set
from test_workflow import table

from flatfield.demo.simulation import coordinates, write_dng
from flatfield.measure import verdict


def rows(**sets):
    base = {"optics": "a lens", "uneven_error": 0.01, "noise_percent": 0.1, "saturated_percent": 0, "angles": True}
    return [{"set": name, **base, **own} for name, own in sets.items()]


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ({"a": {"uneven_percent": 1.0}, "b": {"uneven_percent": 0.2}}, {"a": "not the best", "b": "use"}),
        ({"a": {"uneven_percent": 0.21}, "b": {"uneven_percent": 0.2}}, {"a": "equal", "b": "equal"}),
        (
            {"a": {"uneven_percent": 0.21}, "b": {"uneven_percent": 0.2, "noise_percent": 0.2}},
            {"a": "use", "b": "not the best"},
        ),
        ({"a": {"uneven_percent": None}, "b": {"uneven_percent": 0.2}}, {"a": "cannot be judged", "b": "use"}),
        (
            {"a": {"uneven_percent": 0.1, "angles": False}, "b": {"uneven_percent": 0.2}},
            {"a": "cannot be judged", "b": "use"},
        ),
        (
            {"a": {"uneven_percent": 0.1, "saturated_percent": 2}, "b": {"uneven_percent": 0.2}},
            {"a": "cannot be judged", "b": "use"},
        ),
        ({"a": {"uneven_percent": 0.1}, "b": {"uneven_percent": 0.2, "optics": "other"}}, {"a": "only", "b": "only"}),
    ],
)
def test_verdicts(sets, expected):
    made = rows(**sets)
    verdict.judge(made, doubtful=set())
    assert {row["set"]: row["verdict"] for row in made} == expected
    assert all(row["reason"] for row in made)


def test_sets_of_one_source_are_equal(tmp_path):
    """Two sets before the same lamp, and one before a worse one."""
    project = Project.create(tmp_path / "project")
    worse = {term: 3 * value for term, value in SOURCE.items()}
    sets = {}
    for name, source, seed in (("first", SOURCE, 1), ("second", SOURCE, 2), ("worse", worse, 3)):
        write_set(project, source, folder=name, seed=seed)
        sets[name] = project.configured()["sets"]["a"] | {"frames": f"{name}/*.dng"}
    project.configure({"raw_root": "raws", "sets": sets})
    project.run("results/conclusions.yaml")
    found = {row["set"]: row for row in table(project.path("sets.tsv"))}
    assert [found[name]["verdict"] for name in sets] == ["equal", "equal", "not the best"]
    x, y = coordinates(48, 72)
    for name, source in (("first", SOURCE), ("worse", worse)):
        true = {"uneven": source, "gradient": only(source, 1), "higher": source.keys() - only(source, 1).keys()}
        for column, terms in true.items():
            values = log_source({term: source[term] for term in terms}, x, y, 0)
            rms, error = (float(found[name][f"{column}_{part}"]) for part in ("percent", "error"))
            assert rms == pytest.approx(100 * values.std(), abs=4 * error + 0.01 * rms)
    for row in found.values():
        assert float(row["repeat_percent"]) < 4 * float(row["repeat_error"])
    verdict = project.conclusions()["verdict"][0]
    assert "Use first or second for" in verdict and "cannot be told apart" in verdict


def only(source, order):
    return {term: value for term, value in source.items() if term[0] == order}


def test_a_source_that_drifts_is_reported(tmp_path):
    """A lamp whose gradient grows by 1 % while subset B is taken."""
    project = Project.create(tmp_path / "project")
    write_set(project, SOURCE)
    rng, (x, y) = np.random.default_rng(5), coordinates(240, 360)
    black = np.tile(np.array(BLACK).reshape(2, 2), (120, 180))
    for index in range(COUNT, 2 * COUNT):
        lamp = np.exp(log_source(SOURCE, x, y, 90) + 0.01 * (index - COUNT) / COUNT * x)
        mosaic = np.rint(rng.poisson(9000 * GAIN * camera() * lamp) / GAIN + black).astype(np.uint16)
        write_dng(project.folder / f"raws/F{index:03d}.dng", mosaic, exif(index), margins=(0, 0), black=BLACK)
    project.run("results/conclusions.yaml")
    found = table(project.path("a/drift.tsv"))
    assert [row["subset"] for row in found if row["significant"] == "yes"] == ["B"] * len(RGGB.channels)
    for row in found:
        if row["subset"] == "B":  # halves are centred half of the subset apart; x goes from -0.83 to 0.83
            expected = 100 * 0.01 * 0.5 * 2 * np.abs(x).max()
            assert float(row["gradient_percent"]) == pytest.approx(expected, abs=5 * float(row["gradient_error"]))
            assert abs(float(row["direction_deg"])) < 10
    assert any("changed its distribution during subset B" in text for text, _ in project.conclusions()["warnings"])
