"""The light source separated from the camera, against simulated truth."""

import numpy as np
import pytest
from astropy.io import fits
from conftest import BLACK, Project, exif
from test_workflow import table

from flatfield.demo.simulation import coordinates, write_dng
from flatfield.files.fits import read_image, read_planes
from flatfield.measure import angles, lamp_errors, zernike
from flatfield.measure.blocks import average_channels
from flatfield.measure.illumination import compare_channels, solve_channel, solve_illumination
from flatfield.measure.illumination_maps import map_subsets
from flatfield.measure.lamp_blocks import Blocks
from flatfield.measure.lamp_terms import told_terms
from flatfield.measure.moved_dust import find_moved
from flatfield.measure.poses import Poses, place
from flatfield.raw.cfa import ColorFilterArray
from flatfield.raw.mosaic import Mosaic

RGGB = ColorFilterArray.from_name("RGGB")
ROWS, COLUMNS = 20, 30
X, Y = (each.ravel() for each in coordinates(ROWS, COLUMNS))
NOISE = 2e-4
#: 3 % gradient, 2 % quadratic and cubic terms, none of them radial.
SOURCE = {(1, 1): 0.01, (1, -1): 0.028, (2, 2): 0.02, (2, -2): -0.01, (3, 1): 0.006, (3, 3): 0.004, (3, -3): -0.005}
RADIAL = {(2, 0): -0.015, (4, 0): 0.002}
QUARTERS = (0, 90, 180)


def log_source(terms, x, y, rotation):
    """ln I by polar coordinates, independently of the library."""
    radius, phi = np.hypot(x, y), np.arctan2(y, x) + np.radians(rotation)
    radial = {
        (1, 1): lambda r: r, (2, 0): lambda r: 2 * r**2 - 1, (2, 2): lambda r: r**2,
        (3, 1): lambda r: 3 * r**3 - 2 * r, (3, 3): lambda r: r**3, (4, 0): lambda r: 6 * r**4 - 6 * r**2 + 1,
        (4, 2): lambda r: 4 * r**4 - 3 * r**2, (4, 4): lambda r: r**4,
    }  # fmt: skip
    return sum(
        value * radial[n, abs(m)](radius) * (np.sin(-m * phi) if m < 0 else np.cos(m * phi))
        for (n, m), value in terms.items()
    )


def log_lens(x, y, shift=(0, 0), stronger=0.0):
    """Vignetting, its centre moved by half diagonals, or stronger (another focus)."""
    square = (x - shift[0]) ** 2 + (y - shift[1]) ** 2
    return -2 * np.log1p(0.8 * square) - stronger * square


def observe(rotations, seed, terms=SOURCE, channels=1, aims=None, noise=NOISE, lens=None, changed=None):
    """Logarithms of the blocks of subsets: response, source seen at angles and aims, level, noise."""
    rng, count = np.random.default_rng(seed), len(rotations)
    aims, sigma = aims or [(0, 0)] * count, np.broadcast_to(noise, (count,))[:, None] * np.ones(X.size)
    found = []
    for _ in range(channels):
        pixels, logs = 0.001 * rng.standard_normal(X.size), []
        for k, (angle, (right, down)) in enumerate(zip(rotations, aims, strict=True)):
            a = np.radians(angle)
            u, v = X * np.cos(a) - Y * np.sin(a) + right, X * np.sin(a) + Y * np.cos(a) - down
            log = (
                pixels + log_lens(X, Y, **((lens or {}).get(k, {}))) + log_source(terms, u, v, 0) + rng.normal(0, 0.01)
            )
            if changed and k in changed:
                log = log + log_source(changed[k], u, v, 0)
            logs.append(log)
        found.append((np.array(logs) + sigma * rng.standard_normal(sigma.shape), sigma, X, Y))
    return found


def solve(rotations, seed, given=None, given_aims=None, degree=4, **truth):
    poses = Poses.make(given or rotations, given_aims)
    channels = observe(rotations, seed, **truth)
    blocks = Blocks.merge(channels)
    poses = angles.find_free(blocks, poses, degree)
    return solve_illumination(blocks, poses, degree), channels


def response_of(solution, channels):
    """ln of the response in blocks: the mean of the subsets without their light."""
    logs = channels[0][0]
    found = np.mean([logs[k] - solution.log_source(X, Y, k) for k in range(len(logs))], axis=0)
    return found - found.mean()


def smooth(values):
    """Part of a map that is smooth: pixel noise and pixel response taken out."""
    x, y = X / 0.84, Y / 0.84
    columns = np.stack([x**i * y**j for i in range(7) for j in range(7 - i)], axis=-1)
    return columns @ np.linalg.lstsq(columns, values, rcond=None)[0]


@pytest.mark.parametrize("term", [*zernike.zernike_terms(3), (4, 0), (4, 2), (4, -4)])
def test_zernike_terms_are_those_of_the_books(term):
    expected = log_source({term: 1.0}, X, Y, 0)
    np.testing.assert_allclose(zernike.evaluate_terms([term], X, Y)[..., 0], expected, atol=1e-12)


def test_zernike_terms_are_orthogonal_with_the_sizes_of_noll():
    """Noll 1976, over the unit circle."""
    radius, phi = np.meshgrid(np.sqrt((np.arange(400) + 0.5) / 400), 2 * np.pi * np.arange(64) / 64)
    terms = zernike.zernike_terms(6)
    values = zernike.evaluate_terms(terms, radius * np.cos(phi), radius * np.sin(phi)).reshape(-1, len(terms))
    sizes = np.array([zernike.unit_size(term) for term in terms])
    np.testing.assert_allclose(values.T @ values / len(values), np.diag(sizes**2), atol=2e-4)


def test_turning_is_that_of_the_demo():
    """What was brighter at the top at 0 is brighter at the right at 90 degrees."""
    x, y = place(np.array([1.0]), np.array([0.0]), 90)
    np.testing.assert_allclose([x[0], y[0]], [0, 1], atol=1e-12)


def test_an_aim_moves_the_source_the_other_way():
    """What is at (u, v) is seen at (u - x, v - y), v down, before the camera is rotated."""
    u, v, aim = 0.4, 0.1, (0.25, -0.3)
    seen_right, seen_down = u - aim[0], v - aim[1]
    x, y = place(np.array([seen_right]), np.array([-seen_down]), 0, aim)
    np.testing.assert_allclose([x[0], -y[0]], [u, v], atol=1e-12)
    # rotated by 90 degrees counter-clockwise, the frame sees it turned clockwise
    x, y = place(np.array([-seen_down]), np.array([-seen_right]), 90, aim)
    np.testing.assert_allclose([x[0], -y[0]], [u, v], atol=1e-12)


def test_a_pan_over_the_sky_keeps_angles_between_directions():
    """A rigid turn of the sky; its axis goes where the aim says."""
    field, aim = 0.75, (0.2, 0.1)

    def directions(x, y):
        vectors = np.stack([field * x, field * y, np.ones_like(x)], axis=-1)
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)

    before = directions(X, Y)
    after = directions(*place(X, Y, 0, aim, field))
    np.testing.assert_allclose(before @ before.T, after @ after.T, atol=1e-12)
    np.testing.assert_allclose(np.ravel(place(np.zeros(1), np.zeros(1), 33, aim, field)), [0.2, -0.1], atol=1e-12)
    near = place(X, Y, 33, aim, 1e-4)
    np.testing.assert_allclose(near, place(X, Y, 33, aim), atol=1e-6)


@pytest.mark.parametrize("rotations", [(0, 180), (0, 90), (0, 90, 180), (0, 90, 180, 270), (0, 45, 90), (17, 133, 250)])
@pytest.mark.parametrize("degree", [1, 2, 3, 4, 6])
def test_as_many_terms_as_the_rank_allows(rotations, degree):
    """The rank of all terms, with a value of the response for each block."""
    terms = zernike.zernike_terms(degree)
    turned = np.array([zernike.evaluate_terms(terms, *place(X, Y, angle)) for angle in rotations])
    turned -= turned.mean(axis=0)
    turned -= turned.mean(axis=1, keepdims=True)
    rank = np.linalg.matrix_rank(turned.reshape(-1, len(terms)), tol=1e-6)
    assert len(told_terms(degree, Poses.make(rotations))[0]) == rank


@pytest.mark.parametrize(
    ("rotations", "aims", "count"),
    [
        (QUARTERS, None, 10),
        ((*QUARTERS, 0), [None] * 3 + [(0.05, 0)], 14),
        ((*QUARTERS, 0), [None] * 3 + [(0, 0.2)], 14),
        ((0, 0, 0), [None, (0.2, 0), (0, 0.2)], 12),
        ((0, 0), None, 0),
    ],
)
def test_an_aim_shows_what_angles_hide(rotations, aims, count):
    told, hidden = told_terms(4, Poses.make(rotations, aims))
    assert len(told) == count and len(hidden) == 14 - count
    if rotations == (0, 0, 0):
        assert set(hidden) == {(1, 1), (1, -1)}  # a shift changes a gradient by a level


#: What departs from the model, and how large pulls of terms, of the unevenness, and of the response may be, rms.
DEPARTURES = {
    "nothing": ({}, {}),
    "angle by 3 degrees": ({"rotations": (0, 88, 183)}, {}),
    "aims by 2 %": ({"aims": [(0, 0), (0.02, -0.01), (-0.015, 0.02)]}, {}),
    "vignetting moved": ({"lens": {2: {"shift": (0.003, -0.002)}}}, {}),
    "vignetting moved more": ({"lens": {1: {"shift": (0.01, 0.004)}, 2: {"shift": (-0.006, 0.008)}}}, {}),
    "sag": (
        {"lens": {k: {"shift": (0.003 * np.sin(a), 0.003 * np.cos(a))} for k, a in enumerate((0, np.pi / 2, np.pi))}},
        {},
    ),
    "focus": ({"lens": {2: {"stronger": 0.003}}}, {}),
    "lamp changed": ({"changed": {1: {(1, 1): 4e-4, (2, 2): -3e-4}, 2: {(1, -1): -5e-4, (2, 0): 3e-4}}}, {}),
    "two subsets": ({"rotations": (0, 92)}, {"given": (0, 90)}),
    "odd angles": ({"rotations": (0, 51, 128)}, {"given": (0, 50, 130)}),
    "another aim": ({"rotations": (0, 90, 180, 0), "aims": [(0, 0)] * 3 + [(0.1, 0)]}, {"pan": True}),
}


@pytest.mark.parametrize("name", DEPARTURES)
def test_errors_hold_what_the_model_does_not(name):
    """Pulls of the terms, of the unevenness and of the response where something departs from the model."""
    truth, options = DEPARTURES[name]
    rotations = truth.get("rotations", QUARTERS)
    given = options.get("given", QUARTERS if len(rotations) == 3 else rotations)
    aims = [None] * 3 + [(0.1, 0)] if options.get("pan") else None
    lamp, pulls, sizes, responses = SOURCE | RADIAL, [], [], []
    hidden = {} if aims else RADIAL
    for seed in range(4):
        others = {key: value for key, value in truth.items() if key != "rotations"}
        solution, channels = solve(rotations, seed, given, aims, terms=lamp, **others)
        true = np.array([lamp.get(term, 0) for term in solution.terms])
        pulls.append((solution.coefficients - true) / solution.errors)
        rms, error = lamp_errors.unevenness(solution, X, Y)
        seen = {term: value for term, value in lamp.items() if term in solution.terms}
        sizes.append((rms - log_source(seen, X, Y, 0).std()) / error)
        wrong = response_of(solution, channels) - log_lens(X, Y) - log_source(hidden, X, Y, 0)
        weights = np.full(len(rotations), 1 / len(rotations))
        variance = lamp_errors.response_errors(solution, X, Y, weights)[0]
        noise = 28 / X.size * (NOISE**2 / len(rotations) + 0.001**2)
        responses.append(np.mean(smooth(wrong - wrong.mean()) ** 2) / (variance.mean() + noise))
    pulls, response = np.sqrt(np.mean(np.square(pulls))), np.sqrt(np.mean(responses))
    print(
        f"{name}: rms pulls of terms {pulls:.2f}, of the unevenness {np.array(sizes)}, of the response {response:.2f}"
    )
    assert pulls < 1.5 and np.abs(np.mean(sizes)) < 2.5 and response < 1.6


def test_errors_are_not_wide_where_nothing_departs():
    """A lamp of 3 % with a pan: the response is right to its noise, and its error says so."""
    pan = {"rotations": (0, 90, 180, 0), "given_aims": [None] * 3 + [(0.1, 0)], "aims": [(0, 0)] * 3 + [(0.1, 0)]}
    solution, channels = solve(seed=1, terms=SOURCE | {(2, 0): -0.03, (4, 0): 0.004}, **pan)
    wrong = smooth(response_of(solution, channels) - log_lens(X, Y))
    noise = np.hypot(NOISE / 2, 0.001) * np.sqrt(28 / X.size)  # and that of the pixel response
    assert (wrong - wrong.mean()).std() < 2 * noise + 2e-4
    errors = lamp_errors.response_errors(solution, X, Y, np.full(4, 0.25))
    # most of it is what a lens that sags makes of the aim, and so of the radial part
    assert np.sqrt(errors[0].mean()) < 3e-4 and not errors[1].any()


@pytest.mark.parametrize("rotations", [QUARTERS, (0, 90, 180, 270), (0, 50, 130)])
def test_a_lens_may_sag(rotations):
    """A shift that follows gravity looks like a gradient of the lamp; errors hold 0.03 to 0.1 % of a half diagonal."""
    pulls, radians = [], np.radians(rotations)
    for seed, sag in enumerate((3e-4, 5e-4, 1e-3)):
        lens = {k: {"shift": (sag * np.sin(a), sag * np.cos(a))} for k, a in enumerate(radians)}
        lamp = {term: 0.1 * value for term, value in SOURCE.items()}
        solution, _ = solve(rotations, seed, terms=lamp, lens=lens, noise=5e-4)
        true = np.array([lamp.get(term, 0) for term in solution.terms])
        pulls.append((solution.coefficients - true) / solution.errors)
    assert np.sqrt(np.mean(np.square(pulls))) < 1.5 and np.abs(pulls).max() < 4


def test_wrong_angles_are_found_and_used():
    solution, _ = solve((0, 88, 183), 3, QUARTERS)
    found, errors = solution.poses.rotations, solution.pose_errors[:, 0]
    assert np.all(np.abs(found - (0, 88, 183)) <= 4 * errors + 1e-9) and (errors < 0.5).all()


def test_angles_and_aims_that_are_not_given_are_found():
    solution, _ = solve((0, 137, 250), 3, (0, None, None))
    assert np.abs(solution.poses.rotations % 360 - (0, 137, 250)).max() < 1
    truth = {"rotations": (0, 90, 180, 0), "aims": [(0, 0)] * 3 + [(0.15, -0.1)]}
    solution, _ = solve(seed=3, given_aims=[None] * 3 + ["free"], terms=SOURCE | RADIAL, **truth)
    assert np.all(np.abs(solution.poses.aims[3] - (0.15, -0.1)) < 4 * solution.pose_errors[3, 1:])


@pytest.mark.parametrize("true", [(0, -90, -180), (0, 180, 90), (0, 90, 270)])
def test_wrong_angles_are_recognised(true):
    blocks, poses = Blocks.merge(observe(QUARTERS, 1)), Poses.make(QUARTERS)
    assert angles.better_angles(blocks, poses, 4) == (None, False)
    found, explains = angles.better_angles(Blocks.merge(observe(true, 1)), poses, 4)
    difference = np.subtract(found, true)
    np.testing.assert_allclose((difference - difference[0]) % 360, 0, atol=1e-9)
    assert explains


@pytest.mark.parametrize("shift", [0.02, 0.05])
def test_vignetting_that_moved_is_no_wrong_angle(shift):
    channels = observe(QUARTERS, 1, lens={2: {"shift": (shift, shift / 3)}}, noise=6e-4)
    assert not angles.better_angles(Blocks.merge(channels), Poses.make(QUARTERS), 4)[1]


def test_two_angles_do_not_show_the_sign():
    """Nor is it claimed."""
    blocks = Blocks.merge(observe((0, 90), 1))
    assert angles.better_angles(blocks, Poses.make((0, -90)), 4)[0] is None
    assert angles.one_sign_only(Poses.make((0, -90))) and not angles.one_sign_only(Poses.make((0, 180)))


@pytest.mark.parametrize("seed", range(6))
def test_two_subsets_that_are_alike_stay_alike(seed):
    """Vignetting that moved against a gradient of the source leaves as little, but both at once are far-fetched."""
    solution, channels = solve((0, 90), seed, terms=RADIAL)
    logs, seen = channels[0][0], [solution.log_source(X, Y, k) for k in range(2)]
    noise = NOISE * np.sqrt(2)  # of which the 10 terms take their share of 600 blocks
    assert (seen[1] - seen[0]).std() < 3 * noise * np.sqrt(10 / X.size)
    assert (logs[1] - logs[0] - seen[1] + seen[0]).std() < 1.1 * noise


def test_aims_that_hardly_show_are_not_taken_to_be_as_given():
    """A source of 0.2 to 0.6 % tells aims to a fraction of their prior, and no better."""
    pulls = []
    for seed in range(12):
        aims = [(0, 0), *np.random.default_rng(seed).normal(0, 0.015, (2, 2))]
        weak = {term: 0.1 * (seed % 3 + 1) * value for term, value in SOURCE.items()}
        solution, _ = solve(QUARTERS, seed, given_aims=[(0, 0)] * 3, aims=aims, terms=weak)
        wrong = solution.poses.aims[1:] - np.array(aims[1:])
        pulls.append(wrong / solution.pose_errors[1:, 1:])
    assert np.sqrt(np.mean(np.square(pulls))) < 1.5 and np.abs(pulls).max() < 4


def test_channels_of_one_source_agree_and_of_two_do_not():
    chances = []
    for seed in range(12):
        solution, channels = solve(QUARTERS, seed, channels=3)
        single = [solve_channel(solution, Blocks.merge([channel])) for channel in channels]
        chances.append(compare_channels(single))
    assert np.mean(np.array(chances) < 0.1) == pytest.approx(0.1, abs=0.25) and min(chances) > 1e-4
    other = observe(QUARTERS, 9, SOURCE | {(1, 1): 0.02})[0]
    single[0] = solve_channel(solution, Blocks.merge([other]))
    assert compare_channels(single) < 1e-6


def test_a_polynomial_drawn_from_few_points_is_exact():
    def function(x, y):
        return 1 + x - 2 * y + x * y**2 + y**4

    x, y = coordinates(40, 62)
    np.testing.assert_allclose(zernike.draw_smooth(function, 4, (40, 62)), function(x, y), atol=1e-5)


def test_dust_that_moved_is_found_and_only_that():
    rng, shape = np.random.default_rng(4), (360, 540)
    x, y = coordinates(*shape)
    lens, subsets = 8000 * np.exp(log_lens(x, y)), {}
    for name, angle, place_ in (("A", 0, (0.2, 0.1)), ("B", 90, (0.2, 0.1)), ("C", 180, (-0.3, -0.2))):
        level = lens * np.exp(log_source(SOURCE, x, y, angle))
        level *= 1 - 0.02 * np.exp(-((x - place_[0]) ** 2 + (y - place_[1]) ** 2) / (2 * 0.02**2))
        subsets[name] = Mosaic(level * (1 + 0.0025 * rng.standard_normal(shape)), RGGB, fits.Header())
    pixels, spots = find_moved(subsets, np.ones(shape, bool), RGGB)
    assert len(spots) == 2 and {spot.subset for spot in spots} == {"C"}
    for right, up in ((0.2, 0.1), (-0.3, -0.2)):
        inside = np.hypot(x - right, y - up) < 0.02
        assert pixels[inside].all()
    assert pixels.mean() < 0.03
    subsets.pop("C")
    assert not find_moved(subsets, np.ones(shape, bool), RGGB)[1]


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
    value, error = (read_image(project.path("a/response.fits"), part)[0] / camera() for part in (0, "UNCERT"))
    for i, j, _ in RGGB.phases():  # of single pixels, where noise is nearly all of the error
        ratio = value[i::2, j::2]
        assert 0.85 < ((ratio - np.median(ratio)) / error[i::2, j::2]).std() < 1.1
    tests = verdicts_of(project)
    assert tests["light source uneven"]["verdict"] == "yes" and tests["angles"]["verdict"] == "as given"
    assert float(tests["left over"]["evidence"].split()[-1]) == pytest.approx(1, abs=0.1)
    assert tests["divided out"]["verdict"] == "yes" and tests["dust moved"]["verdict"] == "no"
    assert "what changes only with the distance from the centre" in tests["cannot be seen"]["evidence"]
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
    assert any("a/response.fits is the flat without it" in text for text in project.conclusions()["flats"]["a"])


def terms_of(project):
    return [row for row in table(project.path("a/illumination.tsv")) if row["channel"] == "ALL"]


def test_a_radial_error_of_the_source_is_not_removed(tmp_path):
    """Ten percent darker towards the corners: no angle tells it from the lens, and that is said."""
    project = Project.create(tmp_path / "project")
    write_set(project, {(2, 0): -0.05})
    project.run("results/a/response.fits")
    tests = verdicts_of(project)
    assert tests["light source uneven"]["verdict"] == "no"
    assert float(tests["part that is hidden"]["percent"]) >= 0.3  # an expectation, as nothing shows it
    assert float(tests["light source uneven"]["error"]) > 0.3 and float(tests["response"]["percent"]) > 0.3
    assert "all corners equally brighter or darker" in tests["cannot be seen"]["evidence"]
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
    row, repeated, dust = table(project.path("a/illumination_tests.tsv"))
    assert dust["verdict"] == "no" and not table(project.path("a/geometry.tsv"))
    assert repeated["test"] == "left over" and repeated["verdict"] == "noise"
    assert row["verdict"] == "no" and "one angle" in row["evidence"]
    assert all(row["percent"] == "not determined" and "one angle" in row["reason"] for row in terms_of(project))
    response, flat = (read_image(project.path(f"a/{name}.fits"))[0] for name in ("response", "flat_cfa"))
    np.testing.assert_array_equal(response, flat)


def test_angles_that_are_not_known_are_not_found_where_the_camera_was_not_turned(tmp_path):
    """An uneven lamp at one angle looks like an even one at any; `rotation: null` must not choose between them."""
    project = Project.create(tmp_path / "project")
    write_set(project, SOURCE, rotations=(0, 0, 0), given=(0, None, None))
    project.run("results/conclusions.yaml")
    tests = verdicts_of(project)
    assert tests["solvable"]["verdict"] == "no" and "fill in `rotation`" in tests["solvable"]["evidence"]
    assert not table(project.path("a/geometry.tsv"))
    response, flat = (read_image(project.path(f"a/{name}.fits"))[0] for name in ("response", "flat_cfa"))
    np.testing.assert_array_equal(response, flat)
    story = project.conclusions()
    assert not any("is turned by" in text for text, _ in story["warnings"])
    assert any("the light source was even, or did not turn" in text for text in story["flats"]["a"]), story["flats"]


def test_maps_of_a_pan_over_the_sky_leave_nothing():
    """The camera turned to the right about the vertical, computed with vectors; a plain shift leaves 0.1 % and more."""
    mono, field, aim = ColorFilterArray.from_name("MONO"), 0.9, 0.25
    x, y = coordinates(240, 360)
    turn = np.arctan(field * aim)
    right, ahead = field * x * np.cos(turn) + np.sin(turn), np.cos(turn) - field * x * np.sin(turn)
    seen = {"A": (x, y), "B": (right / ahead / field, y / ahead)}
    subsets = [
        Mosaic(np.exp(log_source(SOURCE, *places, 0)).astype(np.float32), mono, fits.Header({"SUBSET": name}))
        for name, places in seen.items()
    ]
    terms = [
        {"channel": "ALL", "n": n, "m": abs(m), "kind": "sin" if m < 0 else "cos", "percent": str(100 * value)}
        for (n, m), value in SOURCE.items()
    ]
    geometry = [{"subset": "B", "quantity": "aim_x", "found": str(aim)}]
    flat = Mosaic(np.ones((240, 360), np.float32), mono, fits.Header())
    for known, least, most in ((field, 0, 0.02), (0.0, 0.1, 10)):
        remains = map_subsets(subsets, flat, terms, geometry, 12, 0, known)[2][1][1]
        assert least <= np.abs(remains).max() < most
