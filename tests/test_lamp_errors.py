"""Errors of the light source and of the response, where the lamp or the noise is not what the model says.

Simulated with other code than that of the solver: lamps in plain coordinates, turned by a matrix.
"""

import numpy as np
import pytest

from flatfield.measure import lamp_errors
from flatfield.measure.illumination import solve_illumination
from flatfield.measure.lamp_blocks import Blocks
from flatfield.measure.poses import Poses

ROWS, COLUMNS, NOISE, WORLDS = 22, 33, 2e-4, 5


def test_errors_hold_a_hot_spot():
    """A bright spot a seventh to a third of a half diagonal wide, on a lamp of one percent."""
    found = [measure(Lamp(seed, spot=0.02), seed) for seed in range(WORLDS)]
    uneven, response, angles = (np.array([each[name] for each in found]) for name in ("uneven", "response", "angles"))
    print(f"uneven {uneven.round(1)}, response {response.round(1)}, angles {angles.round(1).tolist()}")
    assert rms(uneven) < 1.5 and rms(response) < 1.5 and rms(angles) < 1.5


@pytest.mark.parametrize("patch", [3, 6])
def test_errors_hold_noise_that_neighbours_share(patch):
    """Patches of a few blocks in which each subset differs, twice as large as the noise.

    Errors are those of the wider of two explanations that are nearly as likely, so up to five times too wide.
    """
    found = [measure(Lamp(seed), seed, patch, 2 * NOISE) for seed in range(WORLDS)]
    terms, response = (np.array([each[name] for each in found]) for name in ("terms", "response"))
    print(f"terms {rms(terms):.2f}, response {response.round(1)}")
    assert 0.2 < rms(terms) < 1.4 and rms(response) < 1.5


def test_a_sign_that_is_not_known_is_in_the_errors():
    """Two angles fit as well with the other sign: errors hold both, and are no wider than they differ."""
    for seed in range(4):
        lamp = Lamp(seed)
        blocks, _ = take(lamp, (0, -90), seed)
        given, other = (solve_illumination(blocks, Poses.make((0, angle)), 2) for angle in (90, -90))
        assert given.chi2 == pytest.approx(other.chi2, rel=1e-3)
        held = type(given)(**{**vars(given), "other": other})
        true = np.array([lamp.terms[term] for term in given.terms])
        assert rms((given.coefficients - true) / given.errors) > 3
        assert 0.7 < rms((held.coefficients - true) / held.errors) < 1.5
        x, y = positions()
        size, error = lamp_errors.unevenness(held, x, y)
        assert abs(size - lamp_errors.unevenness(other, x, y)[0]) < 1.5 * error


class Lamp:
    """ln I of a plane, a saddle, and a spot (x, y, width), half diagonals; `terms` are those of Zernike."""

    def __init__(self, seed, spot=0.0):
        rng = np.random.default_rng([seed, 1])
        self.plane, self.saddle, self.height = rng.normal(0, 0.01, 2), rng.normal(0, 0.007, 2), spot
        self.spot = (*rng.uniform(-0.5, 0.5, 2), rng.uniform(0.15, 0.35))
        names = [(1, 1), (1, -1), (2, 2), (2, -2)]
        self.terms = dict(zip(names, (*self.plane, *self.saddle), strict=True))

    def at(self, points):
        u, v = points
        x, y, width = self.spot
        smooth = self.plane @ points + self.saddle @ [u * u - v * v, 2 * u * v]
        return smooth + self.height * np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * width**2))


def positions():
    half = np.hypot(ROWS, COLUMNS) / 2
    rows, columns = np.mgrid[0:ROWS, 0:COLUMNS]
    return ((columns + 0.5 - COLUMNS / 2) / half).ravel(), ((ROWS / 2 - rows - 0.5) / half).ravel()


def patches(rng, side):
    """Noise of unit size that goes together over some blocks."""
    coarse = rng.standard_normal((ROWS // side + 2, COLUMNS // side + 2))
    whole = np.kron(coarse, np.ones((side, side)))
    down, right = rng.integers(side, size=2)
    return whole[down : down + ROWS, right : right + COLUMNS].ravel()


def take(lamp, angles, seed, patch=1, uneven=0.0):
    """Blocks of subsets, and ln of the response: vignetting and pixels."""
    rng, points = np.random.default_rng([seed, 2]), np.array(positions())
    response = -1.5 * np.log1p(0.7 * (points**2).sum(axis=0)) + 0.001 * rng.standard_normal(points.shape[1])
    logs = []
    for angle in np.radians(angles):
        turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ points
        noise = NOISE * rng.standard_normal(response.size) + uneven * patches(rng, patch)
        logs.append(response + lamp.at(turned) + rng.normal(0, 0.01) + noise)
    errors = np.full((len(angles), response.size), NOISE)
    return Blocks.merge([(np.array(logs), errors, *points)]), (np.array(logs), response)


def measure(lamp, seed, patch=1, uneven=0.0, angles=(0, 90, 180)):
    """Errors made over errors quoted."""
    blocks, (logs, true) = take(lamp, angles, seed, patch, uneven)
    solution, (x, y) = solve_illumination(blocks, Poses.make(angles), 4), positions()
    size, error = lamp_errors.whole_unevenness(solution, x, y)
    weights = np.full(len(angles), 1 / len(angles))
    wrong = np.mean([log - solution.log_source(x, y, k) for k, log in enumerate(logs)], axis=0) - true
    of_solution, of_hidden = lamp_errors.response_errors(solution, x, y, weights)
    noise = NOISE**2 * solution.sizes["noise"] / len(angles)
    terms = np.array([lamp.terms.get(term, 0.0) for term in solution.terms])
    return {
        "uneven": (size - lamp.at(np.array([x, y])).std()) / error,
        "response": wrong.std() / np.sqrt(np.mean(of_solution + of_hidden) + noise),
        "angles": (solution.poses.rotations - angles)[1:] / solution.pose_errors[1:, 0],
        "terms": (solution.coefficients - terms) / solution.errors,
    }


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))
