"""The light source told from the camera, against simulated truth."""

import numpy as np
import pytest
from conftest import BLACK, Project, exif
from test_workflow import table

from flatfield.demo.simulation import coordinates, write_dng
from flatfield.files.fits import read_image, read_planes
from flatfield.measure import illumination
from flatfield.measure.blocks import average_channels
from flatfield.raw.cfa import ColorFilterArray

RGGB = ColorFilterArray.from_name("RGGB")
ROWS, COLUMNS = 32, 48
X, Y = (each.ravel() for each in coordinates(ROWS, COLUMNS))
NOISE = 4e-4
#: 3 % gradient, 2 % quadratic and cubic terms, none of them radial.
SOURCE = {(1, 1): 0.01, (1, -1): 0.028, (2, 2): 0.02, (2, -2): -0.01, (3, 1): 0.006, (3, 3): 0.004, (3, -3): -0.005}
RADIAL = {(2, 0): -0.05, (4, 0): 0.01}


def log_source(terms, x, y, rotation):
    """ln I by polar coordinates, independently of the library."""
    radius, phi = np.hypot(x, y), np.arctan2(y, x) + np.radians(rotation)
    radial = {
        (1, 1): lambda r: r, (2, 0): lambda r: 2 * r**2 - 1, (2, 2): lambda r: r**2,
        (3, 1): lambda r: 3 * r**3 - 2 * r, (3, 3): lambda r: r**3, (4, 0): lambda r: 6 * r**4 - 6 * r**2 + 1,
    }  # fmt: skip
    return sum(
        value * radial[n, abs(m)](radius) * (np.sin(-m * phi) if m < 0 else np.cos(m * phi))
        for (n, m), value in terms.items()
    )


def observe(rotations, seed, terms=SOURCE, channels=1, errors=None):
    """Logarithms of the blocks of subsets: response, source, level, noise."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(channels):
        response = -0.9 * (X**2 + Y**2) + 0.01 * rng.standard_normal(X.size)
        sigma = np.array(errors or [NOISE] * len(rotations))[:, None] * np.ones(X.size)
        logs = [response + log_source(terms, X, Y, angle) + rng.normal(0, 0.01) for angle in rotations]
        found.append((np.array(logs) + sigma * rng.standard_normal(sigma.shape), sigma, X, Y))
    return found


@pytest.mark.parametrize("term", [*illumination.zernike_terms(3), (4, 0)])
def test_zernike_terms_are_those_of_the_books(term):
    expected = log_source({term: 1.0}, X, Y, 0)
    np.testing.assert_allclose(illumination.evaluate_term(term, X, Y), expected, atol=1e-12)


def test_turning_is_that_of_the_demo():
    """What was brighter at the top at 0 is brighter at the right at 90 degrees."""
    x, y = illumination.turn(np.array([1.0]), np.array([0.0]), 90)
    np.testing.assert_allclose([x[0], y[0]], [0, 1], atol=1e-12)


@pytest.mark.parametrize("rotations", [(0, 180), (0, 90), (0, 90, 180), (0, 90, 180, 270), (0, 45, 90), (17, 133, 250)])
@pytest.mark.parametrize("degree", [1, 2, 3, 4, 6])
def test_as_many_terms_as_the_rank_allows(rotations, degree):
    """The rank of all terms, with a value of the response for each block."""
    terms = illumination.zernike_terms(degree)
    turned = np.array([illumination.design(terms, X, Y, angle) for angle in rotations])
    matrix = (turned - turned.mean(axis=0)).reshape(-1, len(terms))
    matrix -= np.tile(np.eye(len(rotations)), (1, 1)).repeat(X.size, axis=0) @ np.array(
        [part.mean(axis=0) for part in matrix.reshape(len(rotations), -1, len(terms))]
    )
    assert len(illumination.visible_terms(degree, rotations)[0]) == np.linalg.matrix_rank(matrix, tol=1e-6)


@pytest.mark.parametrize("rotations", [(0, 180), (0, 90), (0, 90, 180), (0, 45, 90), (17, 133, 250), (0, 90, 180, 270)])
def test_coefficients_are_right_within_their_errors(rotations):
    pulls = []
    for seed in range(100):
        solution = illumination.solve_illumination(observe(rotations, seed, SOURCE | RADIAL), rotations, 4)
        true = np.array([SOURCE.get(term, 0) for term in solution.terms])
        pulls.append((solution.coefficients - true) / np.sqrt(np.diag(solution.covariance)))
    pulls = np.array(pulls)
    assert (np.abs(pulls) < 3).mean() > 0.99 and (np.abs(pulls) < 3).all(axis=1).mean() >= 0.9
    assert pulls.std() == pytest.approx(1, abs=0.1)
    assert np.abs(solution.coefficients).max() < 0.05  # none is wild


def test_errors_of_unequal_subsets():
    pulls = []
    for seed in range(60):
        channels = observe((0, 90, 180), seed, errors=[4e-4, 16e-4, 2e-4], channels=3)
        solution = illumination.solve_illumination(channels, (0, 90, 180), 3)
        true = np.array([SOURCE.get(term, 0) for term in solution.terms])
        pulls.append((solution.coefficients - true) / np.sqrt(np.diag(solution.covariance)))
    assert np.std(pulls) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("true", [(0, -90, -180), (0, 180, 90), (0, 90, 270)])
def test_wrong_angles_are_recognised(true):
    assert illumination.better_angles(observe((0, 90, 180), 1), (0, 90, 180), 4) is None
    angles = illumination.better_angles(observe(true, 1), (0, 90, 180), 4)
    difference = np.subtract(angles, true)
    np.testing.assert_allclose((difference - difference[0]) % 360, 0, atol=1e-9)


def test_two_angles_do_not_tell_the_sign():
    """Nor is it claimed."""
    assert illumination.better_angles(observe((0, 90), 1), (0, -90), 4) is None


def test_channels_of_one_source_agree_and_of_two_do_not():
    chances = []
    for seed in range(40):
        channels = observe((0, 90, 180), seed, channels=3)
        single = [illumination.solve_illumination([channel], (0, 90, 180), 3) for channel in channels]
        chances.append(illumination.compare_channels(single))
    assert np.mean(np.array(chances) < 0.1) == pytest.approx(0.1, abs=0.15)
    single[0] = illumination.solve_illumination(observe((0, 90, 180), 9, {(1, 1): 0.02}), (0, 90, 180), 3)
    assert illumination.compare_channels(single) < 1e-6


def test_a_polynomial_drawn_from_few_points_is_exact():
    def function(x, y):
        return 1 + x - 2 * y + x * y**2 + y**4

    x, y = coordinates(40, 62)
    np.testing.assert_allclose(illumination.draw_polynomial(function, 4, (40, 62)), function(x, y), atol=1e-6)


# The whole way

SHAPE, GAIN, COUNT = (240, 360), 2.0, 12


def camera(seed=1):
    rng = np.random.default_rng(seed)
    x, y = coordinates(*SHAPE)
    color = np.array([0.5, 1.0, 0.6])[RGGB.channel_map(SHAPE)]
    return color * (1 + 0.9 * (x * x + y * y)) ** -2 * (1 + 0.006 * rng.standard_normal(SHAPE))


def write_set(project, source, rotations=(0, 90, 180), given=None, config=None, folder="", seed=3):
    """Flats of one camera before a source; the configuration names the angles `given`."""
    folder = project.folder / "raws" / folder
    folder.mkdir(parents=True)
    rng, (x, y), number, subsets = np.random.default_rng(seed), coordinates(*SHAPE), 0, {}
    black = np.tile(np.array(BLACK).reshape(2, 2), (SHAPE[0] // 2, SHAPE[1] // 2))
    for index, rotation in enumerate(rotations):
        electrons = 9000 * GAIN * camera() * np.exp(log_source(source, x, y, rotation))
        for _ in range(COUNT):
            mosaic = np.rint(rng.poisson(electrons) / GAIN + black).astype(np.uint16)
            write_dng(folder / f"F{number:03d}.dng", mosaic, exif(number), margins=(0, 0), black=BLACK)
            number += 1
        angle = (given or rotations)[index]
        subsets["ABCD"[index]] = {"slice": f"{index * COUNT}:{(index + 1) * COUNT}", "rotation": angle}
    project.configure({"raw_root": "raws", "sets": {"a": {"frames": "*.dng", "subsets": subsets}}, **(config or {})})


def shape_error(path):
    """Rms deviation from the true camera over blocks of 24 x 24 pixels, percent, and that of noise."""
    value, error = read_image(path)[0], read_image(path, "UNCERT")[0]
    ratio = average_channels(value / camera(), RGGB, 24)
    noise = np.sqrt(average_channels((error / camera()) ** 2, RGGB, 24))
    pixels = 144 * np.array([1, 2, 1])[:, None, None]
    level = ratio.mean(axis=(1, 2), keepdims=True)
    return 100 * (ratio / level).std(axis=(1, 2)), 100 * np.sqrt(np.mean((noise / level) ** 2 / pixels, axis=(1, 2)))


def verdicts_of(project):
    return {row["test"]: row for row in table(project.path("a/illumination_tests.tsv"))}


def test_the_response_is_that_of_the_camera(tmp_path):
    project = Project.create(tmp_path / "project")
    write_set(project, SOURCE)
    project.run("results/conclusions.yaml", "results/a/plots/illumination.png")
    found, noise = shape_error(project.path("a/response.fits"))
    flat, _ = shape_error(project.path("a/flat_cfa.fits"))
    print(f"rms error of the response {found} %, its noise {noise} %, of the flat {flat} %")
    assert (found <= 2 * noise).all() and (flat >= 8 * found).all()
    tests = verdicts_of(project)
    assert tests["light source uneven"]["verdict"] == "yes" and tests["angles"]["verdict"] == "as given"
    assert float(tests["left over"]["evidence"].split()[-1]) == pytest.approx(1, abs=0.1)
    assert "distance from the centre alone" in tests["cannot be seen"]["evidence"]
    terms = {(int(row["n"]), int(row["m"]) * (-1 if row["kind"] == "sin" else 1)): row for row in terms_of(project)}
    for term, value in SOURCE.items():
        assert abs(float(terms[term]["percent"]) - 100 * value) < 4 * float(terms[term]["error"])
    assert terms[2, 0]["percent"] == "not determined" and "same at all angles" in terms[2, 0]["reason"]
    # the source as a picture, in its own frame
    x, y = coordinates(*SHAPE)
    picture = read_image(project.path("a/illumination.fits"))[0]
    assert np.abs(picture - 100 * np.expm1(log_source(SOURCE, x, y, 0))).max() < 0.1
    planes, channels, _ = read_planes(project.path("a/response_rgb.fits"))
    assert channels == ("RED", "GREEN", "BLUE") and planes.shape == (3, *SHAPE)
    assert any("a/response.fits is the flat without that" in text for text in project.conclusions()["flats"]["a"])


def terms_of(project):
    return [row for row in table(project.path("a/illumination.tsv")) if row["channel"] == "ALL"]


def test_a_radial_error_of_the_source_is_not_removed(tmp_path):
    """Ten percent darker towards the corners: no angle tells it from the lens."""
    project = Project.create(tmp_path / "project")
    write_set(project, {(2, 0): -0.05})
    project.run("results/a/response.fits")
    tests = verdicts_of(project)
    assert tests["light source uneven"]["verdict"] == "no"
    assert "all corners brighter or darker alike" in tests["cannot be seen"]["evidence"]
    response, flat = (read_image(project.path(f"a/{name}.fits"))[0] for name in ("response", "flat_cfa"))
    assert np.abs(np.mean(response / flat) - 1) < 1e-3 and np.std(response / flat) < 0.005


def test_an_even_source_changes_nothing(tmp_path):
    project = Project.create(tmp_path / "project")
    write_set(project, {})
    project.run("results/a/response.fits")
    assert verdicts_of(project)["light source uneven"]["verdict"] == "no"
    found, noise = shape_error(project.path("a/response.fits"))
    assert (found <= 1.3 * noise).all()
    assert all(float(row["sigma"]) < 4.5 for row in terms_of(project) if row["sigma"] != "not determined")


@pytest.mark.parametrize("given", [(0, -90, -180), (0, 180, 90)])
def test_wrong_angles_are_reported(tmp_path, given):
    project = Project.create(tmp_path / "project")
    write_set(project, SOURCE, given=given)
    project.run("results/conclusions.yaml")
    angles = verdicts_of(project)["angles"]
    assert angles["verdict"] == f"probably wrong: {'opposite sign' if given[1] == -90 else 'other angles'}"
    assert any("The rotations of a are probably wrong" in text for text, _ in project.conclusions()["warnings"])


def test_one_angle_is_not_solvable_and_the_run_goes_on(tmp_path):
    project = Project.create(tmp_path / "project")
    write_set(project, SOURCE, rotations=(0, 0), given=(30, 390))
    project.run()
    row, repeated = table(project.path("a/illumination_tests.tsv"))
    assert repeated["test"] == "left over" and repeated["verdict"] == "noise"
    assert row["verdict"] == "no" and "one angle" in row["evidence"]
    assert all(row["percent"] == "not determined" and "one angle" in row["reason"] for row in terms_of(project))
    response, flat = (read_image(project.path(f"a/{name}.fits"))[0] for name in ("response", "flat_cfa"))
    np.testing.assert_array_equal(response, flat)
