"""Which set to use: equal ones are said to be equal, better ones are named with the reason."""

import numpy as np
import pytest
from conftest import BLACK, Project, exif
from test_illumination import COUNT, GAIN, RGGB, SOURCE, camera, log_source, write_set
from test_workflow import table

from flatfield.demo.simulation import coordinates, write_dng
from flatfield.measure import verdict


def rows(**sets):
    base = {"optics": "a lens", "noise_percent": 0.1, "saturated_percent": 0, "angles": True}
    return [{"set": name, **base, **own} for name, own in sets.items()]


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        (
            {"a": {"response_error_percent": 1.0}, "b": {"response_error_percent": 0.2}},
            {"a": "not the best", "b": "use"},
        ),
        ({"a": {"response_error_percent": 0.21}, "b": {"response_error_percent": 0.2}}, {"a": "equal", "b": "equal"}),
        (
            {"a": {"response_error_percent": 0.21}, "b": {"response_error_percent": 0.2, "noise_percent": 0.2}},
            {"a": "use", "b": "not the best"},
        ),
        (
            {
                "a": {"response_error_percent": 0.21, "disagrees": True},
                "b": {"response_error_percent": 0.2, "noise_percent": 0.2, "disagrees": True},
            },
            {"a": "equal", "b": "equal"},
        ),
        (
            {"a": {"response_error_percent": None}, "b": {"response_error_percent": 0.2}},
            {"a": "cannot be judged", "b": "use"},
        ),
        (
            {"a": {"response_error_percent": 0.1, "angles": False}, "b": {"response_error_percent": 0.2}},
            {"a": "cannot be judged", "b": "use"},
        ),
        (
            {"a": {"response_error_percent": 0.1, "saturated_percent": 2}, "b": {"response_error_percent": 0.2}},
            {"a": "cannot be judged", "b": "use"},
        ),
        (
            {"a": {"response_error_percent": 0.1}, "b": {"response_error_percent": 0.2, "optics": "other"}},
            {"a": "only", "b": "only"},
        ),
    ],
)
def test_verdicts(sets, expected):
    made = rows(**sets)
    verdict.judge(made, doubtful=set())
    assert {row["set"]: row["verdict"] for row in made} == expected
    assert all(row["reason"] for row in made)


def responses(hidden, noise=1e-4, shape=(3, 32, 48)):
    """ln of the responses of one lens before lamps that hide a radial part of this rms, and their errors."""
    rng, (x, y) = np.random.default_rng(2), coordinates(*shape[1:])
    radial = x * x + y * y
    radial = (radial - radial.mean()) / radial.std()
    pixels = 0.001 * rng.standard_normal(shape)
    return {
        name: (-2 * np.log1p(0.8 * (x * x + y * y)) + size * radial + pixels + noise * rng.standard_normal(shape),
               np.full(shape, noise))
        for name, size in hidden.items()
    }  # fmt: skip


def compared(true, expected, aside=0.01):
    """Rows after the sets have judged each other: true and expected hidden part of each, percent."""
    made = rows(**{name: {"hidden_percent": size, "aside": aside} for name, size in expected.items()})
    verdict.cross_judge(made, responses({name: size / 100 for name, size in true.items()}))
    verdict.judge(made, doubtful=set())
    return {row["set"]: row for row in made}


def test_two_lamps_that_agree_close():
    found = compared({"a": 0.0, "b": 0.0}, {"a": 0.5, "b": 0.5})
    for row in found.values():
        assert row["verdict"] == "equal" and row["closure_percent"] < 0.02
    assert found["a"]["closure_with"] == "b"


def test_a_set_that_hides_nothing_is_the_measure_of_the_others():
    """An even lamp with a radial part, and an uneven one with a subset aimed aside: the second is right."""
    found = compared({"panel": -1.13, "sky": 0.0}, {"panel": 0.5, "sky": 0.0})
    assert found["sky"]["verdict"] == "use" and found["panel"]["verdict"] == "not the best"
    assert found["panel"]["response_error_percent"] == pytest.approx(1.13, abs=0.03)
    assert found["panel"]["closure_percent"] == pytest.approx(1.13, abs=0.03)


def test_of_two_sets_that_disagree_neither_is_recommended():
    """The lamp that is even in all that turns may be the wrong one."""
    found = compared({"panel": -1.13, "sky": 0.0}, {"panel": 0.5, "sky": 0.55})
    assert {row["verdict"] for row in found.values()} == {"equal"}
    assert all(row["response_error_percent"] > 0.5 for row in found.values())


def test_of_three_sets_the_one_apart_is_wrong():
    found = compared({"panel": -1.6, "sky": 0.0, "wall": 0.05}, {"panel": 0.5, "sky": 0.5, "wall": 0.5})
    assert found["panel"]["verdict"] == "not the best"
    assert {found[name]["verdict"] for name in ("sky", "wall")} == {"equal"}


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
        assert float(found[name]["response_error_percent"]) > float(found[name]["hidden_percent"]) > 0.3
    for row in found.values():
        assert float(row["repeat_percent"]) < 4 * float(row["repeat_error"])
    verdict = project.conclusions()["verdict"][0]
    assert "Use first or second for" in verdict and "no relevant difference from second" in verdict
    lens = [text for text in project.conclusions()["verdict"] if "on the lens" in text]  # of each set the worst pair
    assert lens and not any("disagree" in text for text in lens)


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
