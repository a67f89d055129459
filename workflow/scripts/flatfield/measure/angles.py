"""Angles and aims that explain the subsets: those that were not given, and others than those given."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from flatfield.measure.lamp_terms import told_terms
from flatfield.measure.zernike import evaluate_slopes, evaluate_terms, zernike_terms

#: Subsets up to which all quarter turns are tried, and the gain in chi^2 a term that makes other angles better.
MOST_TURNED, BETTER = 4, 10.0
#: Other angles must explain the subsets: chi^2 per degree of freedom below this, or so much less misfit than before.
GOOD_FIT, LESS_MISFIT = 1.5, 25.0
#: Steps of Gauss-Newton, and the largest one in units of the prior.
STEPS, LARGEST = 5, 1.5
#: First guesses of angles (degrees) and aims (half diagonals) that were not given.
TRIED_ANGLES, TRIED_AIMS = range(0, 360, 30), ((0, 0), (0.2, 0), (-0.2, 0), (0, 0.2), (0, -0.2))


@dataclass(frozen=True)
class Fit:
    """A fit of terms and geometry: chi^2, with the cost of the geometry, its degrees of freedom, and the poses."""

    chi2: float
    freedom: int
    poses: object
    terms: int

    @property
    def misfit(self):
        """chi^2 per degree of freedom, above that of noise."""
        return max(self.chi2 / self.freedom - 1, 0.0)


def fit_poses(blocks, poses, degree, steps=STEPS):
    """Fit the determined terms, and angles and aims with their priors, by Gauss-Newton; the best of its steps counts.

    Parameters
    ----------
    blocks : flatfield.measure.lamp_blocks.Blocks
    poses : flatfield.measure.poses.Poses
    degree, steps : int

    Returns
    -------
    Fit
    """
    told = list(told_terms(degree, poses, blocks.x, blocks.y)[0])
    priors, given, count = poses.priors[1:], poses.vector, len(poses)
    weight, state, coefficients = 1 / blocks.errors**2, poses, np.zeros(len(told))
    n, best = len(told), (np.inf, poses)
    for step in range(steps):
        columns = np.zeros((count, blocks.x.size, n + 3 * (count - 1) + count))
        vector = state.vector
        for k in range(count):
            columns[k, :, :n], right, up = evaluate_slopes(told, *state.place(blocks.x, blocks.y, k))
            if k and step:
                right, up = right @ coefficients, up @ coefficients
                for part, (du, dv) in enumerate(state.slopes(blocks.x, blocks.y, k)):
                    columns[k, :, n + 3 * (k - 1) + part] = du * right + dv * up
            if k:
                columns[k, :, -1 - k] = 1
            moved = (vector - given)[1:].ravel()
            columns[k, :, -1] = blocks.logs[k] + columns[k][:, n : n + moved.size] @ moved
        columns -= (columns * weight[..., None]).sum(axis=0) / weight.sum(axis=0)[:, None]
        rows = (columns * np.sqrt(weight)[..., None]).reshape(-1, columns.shape[-1])
        whole = rows.T @ rows
        chi2 = _misfit(whole, np.arange(n, n + priors.size), moved) + float(((moved / priors.ravel()) ** 2).sum())
        best = min(best, (chi2, state), key=lambda each: each[0])
        prior = np.zeros(len(whole) - 1)
        prior[n : n + priors.size] = 1 / priors.ravel() ** 2
        values = np.linalg.solve(whole[:-1, :-1] + np.diag(prior + 1e-9), whole[:-1, -1])
        coefficients, target = values[:n], values[n : n + priors.size].reshape(-1, 3)
        if step + 1 < steps and step:
            change = np.clip(target - (vector - given)[1:], -LARGEST * priors, LARGEST * priors)
            vector[1:] += change
            state = state.moved(vector)
    return Fit(best[0], (count - 1) * (blocks.x.size - 1) - n, best[1], n)


def _misfit(whole, poses, moved):
    """Chi^2 of the best terms and levels where angles and aims stay: `whole` are normal equations, the data last."""
    others = np.setdiff1d(np.arange(len(whole) - 1), poses)
    right = whole[others, -1] - whole[np.ix_(others, poses)] @ moved
    left = whole[-1, -1] - 2 * moved @ whole[poses, -1] + moved @ whole[np.ix_(poses, poses)] @ moved
    return float(left - right @ np.linalg.solve(whole[np.ix_(others, others)] + 1e-9 * np.eye(len(others)), right))


def thin(blocks, most=300):
    """Every n-th block, where many would only cost time."""
    step = max(blocks.x.size // most, 1)
    return replace(
        blocks, logs=blocks.logs[:, ::step], errors=blocks.errors[:, ::step], x=blocks.x[::step], y=blocks.y[::step]
    )


def find_free(blocks, poses, degree):
    """First guesses of the angles and aims that were not given: those of the best fit over a grid, one after the other.

    Parameters
    ----------
    blocks, poses, degree
        As for `fit_poses`.

    Returns
    -------
    flatfield.measure.poses.Poses
    """
    if not poses.free[1:].any():
        return poses
    some = thin(blocks)
    free = [k for k in range(1, len(poses)) if poses.free[k].any()]

    def guesses(k):
        angles = TRIED_ANGLES if poses.free[k, 0] else [poses.rotations[k]]
        aims = TRIED_AIMS if poses.free[k, 1] else [poses.aims[k]]
        return list(product(angles, aims))

    def at(state, k, guess):
        rotations, aims = state.rotations.copy(), state.aims.copy()
        rotations[k], aims[k] = guess
        return replace(state, rotations=rotations, aims=aims)

    found, best = poses, np.inf
    starts = [poses] if len(free) == 1 else [at(poses, free[0], guess) for guess in guesses(free[0])]
    for state in starts:
        for _ in range(2 if len(free) > 1 else 1):
            for k in free:
                state = min(
                    (at(state, k, guess) for guess in guesses(k)),
                    key=lambda each: fit_poses(some, each, degree, 3).chi2,
                )
        fit = fit_poses(some, state, degree, 3)
        if fit.chi2 < best:
            found, best = state, fit.chi2
    return found


def better_angles(blocks, poses, degree):
    """Angles that explain the subsets where those given do not: the opposite sign, or other quarter turns.

    Parameters
    ----------
    blocks, poses, degree
        As for `fit_poses`.

    Returns
    -------
    angles : list of float or None
        None where the given angles are as good as any of these.
    explains : bool
        Whether the fit is good with them.
    """
    some = thin(blocks)
    given = fit_poses(some, poses, degree)
    if not poses.field and _gain(given, *_least_misfit(some, degree)) <= BETTER * max(given.terms, 1):
        return None, False
    candidates = [-poses.rotations]
    if len(poses) <= MOST_TURNED and not poses.free[:, 0].any():
        turns = product((0, 90, 180, 270), repeat=len(poses) - 1)
        candidates += [poses.rotations[0] + np.array([0, *each]) for each in turns]
    fits = [(fit_poses(some, poses.turned(angles), degree), angles) for angles in candidates]
    best, angles = min(fits, key=lambda pair: pair[0].chi2)
    if _gain(given, best.chi2, best.freedom) <= BETTER * max(given.terms, 1):
        return None, False
    explains = best.chi2 / best.freedom < GOOD_FIT or best.misfit * LESS_MISFIT < given.misfit
    return [float(angle) for angle in angles], explains


def _gain(given, chi2, freedom):
    """By how much a fit is better, in units of the noise that it leaves."""
    return (given.chi2 - chi2) / max(chi2 / freedom, 1.0)


def _least_misfit(blocks, degree):
    """Chi^2 of terms for each subset alone, below that of any angles and aims, and the degrees of freedom of a fit.

    Turned and shifted, terms to a degree are terms to that degree.
    """
    count, weight = len(blocks.logs), 1 / blocks.errors**2
    terms = evaluate_terms([(0, 0), *zernike_terms(degree)], blocks.x, blocks.y)
    columns = np.einsum("kl,bt->kblt", np.eye(count), terms).reshape(count, blocks.x.size, -1)
    columns = np.concatenate([columns, blocks.logs[..., None]], axis=-1)
    columns -= (columns * weight[..., None]).sum(axis=0) / weight.sum(axis=0)[:, None]
    rows = (columns * np.sqrt(weight)[..., None]).reshape(-1, columns.shape[-1])
    left = rows[:, -1] - rows[:, :-1] @ np.linalg.lstsq(rows[:, :-1], rows[:, -1], rcond=None)[0]
    return float(left @ left), (count - 1) * (blocks.x.size - 1)


def one_sign_only(poses):
    """Whether there are but two angles, not half a turn apart, so that chi^2 is the same for both signs."""
    angles = np.unique(np.round(poses.rotations % 360, 3))
    return len(angles) == 2 and not np.isclose(abs(angles[1] - angles[0]), 180)
