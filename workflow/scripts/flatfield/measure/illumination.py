"""The light source separated from the camera: what turned between the subsets is the lamp, what stayed is the flat.

For the subsets k of a set, ln C_k = ln R + ln I(seen at angle and aim k) + const_k. ln I is a sum of Zernike terms in
the frame of the source, solved for by least squares with a value of ln R for each block of pixels. Angles and aims are
unknowns with priors (Gauss-Newton). What this cannot hold - a lamp or vignetting that changed between the subsets,
structure finer than the degree - is in the model as random parts, whose sizes the data determine, so errors include it.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtrc

from flatfield.measure.components import (
    SMALLEST,
    Estimate,
    Normal,
    apply_sizes,
    estimate,
    fit_sizes,
    value_of,
    widen_sizes,
)
from flatfield.measure.lamp_jackknife import areas, jackknife, larger
from flatfield.measure.lamp_model import FINER, FINEST, SAG, Model, normal_of, sagging
from flatfield.measure.lamp_terms import hidden_sizes, told_terms
from flatfield.measure.poses import Poses
from flatfield.measure.zernike import evaluate_terms

#: Steps of Gauss-Newton; the largest step in units of the prior; and the step that ends it.
ITERATIONS, LARGEST_STEP, SMALL_STEP = 12, 2.0, 1e-5
#: First sizes of the random parts: something changed between the subsets, or the source has fine structure. What is
#: smallest is kept so for the first steps.
CHANGED = [
    {"finer": SMALLEST, "light": 1e-3, "vignetting": 1e-5, "angles": 1.0, "aims": 1.0, "noise": 1.0},
    {"finer": SMALLEST, "light": 1e-5, "vignetting": 3e-3, "angles": 1.0, "aims": 1.0, "noise": 1.0},
]
FINE = [{"finer": 1e-3, "light": 1e-5, "vignetting": SMALLEST, "angles": 1.0, "aims": 1.0, "noise": 1.0}]
KEPT = 3
#: Angles and aims that the subsets show to be as given are so to this part of their priors at best.
SURE = 0.02
#: Larger parts: taken is the largest one with a -2 ln of the likelihood that is not above the best by more than this.
LOOSER, SHOWN = (1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.12, 0.09, 0.06, 0.045, 0.03), 2.0
#: Gain from which on the source has finer structure, and structure that is finer still.
STRUCTURE = 20.0
#: Difference of -2 ln of the likelihood below which the errors are the larger ones of two solutions.
ALIKE = 60.0


@dataclass(frozen=True)
class Illumination:
    """A light source, as far as the subsets determine it.

    Attributes
    ----------
    model : Model
        Told terms, hidden terms, and which columns are which.
    given, poses : Poses
        As given, and as found.
    pose_errors : numpy.ndarray, ``(subsets, 3)``
        Of the angles found, degrees, and of the aims, half diagonals.
    values : numpy.ndarray, ``(columns,)``
        Best estimates of all columns of the model about `poses`.
    covariance : numpy.ndarray, ``(columns, columns)``
        Of these, what the terms cannot hold included.
    sizes : dict
        Of the random parts finer, light and vignetting; and noise, the variance in units of the expected one.
    hidden : numpy.ndarray
        Sizes that the coefficients of hidden terms may have.
    level : numpy.ndarray
        Of ln R, see `Blocks`.
    chi2, freedom : float
        Of terms and geometry alone.
    chi2_even : float
        Of an even source.
    residuals : numpy.ndarray, ``(subsets, blocks)``
        What the terms and the geometry alone do not explain.
    other : Illumination, optional
        Solution with the other sign of the angles, where frames do not show which is right: both are equally likely,
        and half of the square of their difference is in all errors.
    """

    model: Model
    given: Poses
    poses: Poses
    pose_errors: np.ndarray
    values: np.ndarray
    covariance: np.ndarray
    sizes: dict
    hidden: np.ndarray
    level: np.ndarray
    chi2: float
    freedom: int
    chi2_even: float
    residuals: np.ndarray
    other: "Illumination | None" = None

    @property
    def terms(self):
        """Told terms."""
        return self.model.told

    @property
    def coefficients(self):
        """Of the determined terms."""
        return self.values[self.model.columns["told"]]

    @property
    def errors(self):
        """Standard errors of the determined terms."""
        told = self.model.columns["told"]
        apart = self.other.values[told] - self.values[told] if self.other else 0.0
        return np.sqrt(np.diag(self.covariance)[told] + np.square(apart) / 2)

    @property
    def source(self):
        """Coefficients of all terms of the source, hidden ones 0."""
        found = self.values[: len(self.model.source)].copy()
        found[self.model.columns["hidden"]] = 0
        return found

    def log_source(self, x, y, subset=None, told=None):
        """ln I in its own frame, or as a subset saw it; with other coefficients of the determined terms, if given."""
        at, source = (x, y) if subset is None else self.poses.place(x, y, subset), self.source
        if told is not None:
            source[self.model.columns["told"]] = told
        return evaluate_terms(self.model.source, *at) @ source

    @property
    def drawn_degree(self):
        """Degree of the polynomial that draws ln I at all pixels."""
        return self.model.finer[-1][0] if not self.poses.field else self.model.finer[-1][0] + 6


@dataclass(frozen=True)
class _Fit:
    """Where Gauss-Newton ended.

    Sizes are those of the random parts, of the hidden terms, and of all columns; the gain is that in -2 ln of the
    likelihood from terms finer than those looked for.
    """

    poses: Poses
    found: Estimate
    normal: Normal
    rows: np.ndarray
    sizes: dict
    scales: np.ndarray
    whole: np.ndarray
    likelihood: float
    gain: float

    @property
    def minus_two_log(self):
        """-2 ln of the likelihood times what is expected of shifts of the vignetting: a half-Cauchy distribution.

        Its width is `SAG`; it hardly speaks against what subsets show (Gelman 2006).
        """
        return self.likelihood + 2 * np.log1p((self.sizes["vignetting"] / SAG) ** 2)


def solve_illumination(blocks, poses, degree):
    """Solve for the light source.

    Parameters
    ----------
    blocks : Blocks
    poses : Poses
        As given.
    degree : int
        Of the Zernike terms.

    Returns
    -------
    Illumination
    """
    told, hidden = told_terms(degree, poses, blocks.x, blocks.y)
    model, fit = _fit(blocks, told, hidden, degree, poses, FINER)
    if fit.gain > STRUCTURE:  # there is finer structure, perhaps a hot spot
        finest = _fit(blocks, told, hidden, degree, poses, FINEST)
        if fit.likelihood - finest[1].likelihood > STRUCTURE:
            model, fit = finest
    return _finish(blocks, model, fit)


def _fit(blocks, told, hidden, degree, poses, finer):
    """Model with terms so many degrees finer, and its likeliest maximum, with the largest errors of those alike."""
    model = Model(told, hidden, degree, poses, finer)
    fits = [_iterate(blocks, model, first) for first in (CHANGED, FINE)]
    best, index = min(fits, key=lambda each: each.minus_two_log), model.columns["told"]
    alike = [each for each in fits if each.likelihood - min(fit.likelihood for fit in fits) < ALIKE]
    widest = max(alike, key=lambda each: np.trace(each.found.covariance[np.ix_(index, index)]))
    return model, replace(best, found=replace(best.found, covariance=widest.found.covariance))


def _iterate(blocks, model, first):
    """Gauss-Newton, from sizes of the random parts that are kept for the first steps: there may be several maxima."""
    state, coefficients = model.poses, np.zeros(len(model.source))
    priors, given, geometry, index = state.priors, state.vector, model.columns["geometry"], model.columns["told"]
    groups = {name: model.columns[name] for name in ("finer", "light", "vignetting")} | held_alike(
        model.poses, geometry
    )
    bounds = {name: (SURE, 1.0) for name in ("angles", "aims") if name in groups}
    spread = priors[1:]
    scales = hidden_sizes(model.told, np.zeros(len(index)), np.ones(len(index)), model.hidden)
    sizes = first[0]
    for step in range(ITERATIONS):
        offsets = (state.vector - given)[1:].ravel()
        normal, rows = normal_of(model, blocks, state, coefficients, offsets)
        base = model.sizes(scales, priors, spread)
        kept = {name: sizes[name] for name in groups if step < KEPT and sizes[name] <= SMALLEST}
        fitted = {name: columns for name, columns in groups.items() if name not in kept}
        starts = first if step < KEPT else [sizes]
        sizes, likelihood = fit_sizes(normal, apply_sizes(base, groups, kept), fitted, starts, bounds)
        sizes |= kept
        for name in bounds:  # only what the subsets show
            at_best = value_of(normal, base, groups, sizes)
            looser = (sizes | {name: size} for size in LOOSER if size > sizes[name])
            sizes = next((each for each in looser if value_of(normal, base, groups, each) - at_best < SHOWN), sizes)
        wider = widen_sizes(normal, base, groups, sizes, dict.fromkeys(bounds, 1.0))
        whole = apply_sizes(base, groups, wider)
        found = estimate(normal, whole, sizes["noise"])
        errors = np.sqrt(np.diag(found.covariance))
        target = found.values[geometry].reshape(-1, 3)
        largest = LARGEST_STEP * priors[1:]
        change = np.clip(target - offsets.reshape(-1, 3), -largest, largest)
        vector = state.vector
        vector[1:] += change
        state = state.moved(vector)
        coefficients = found.values[: len(model.source)].copy()
        coefficients[model.columns["hidden"]] = 0
        scales = hidden_sizes(model.told, found.values[index], errors[index] ** 2, model.hidden)
        spread = np.minimum(np.hypot(target, errors[geometry].reshape(-1, 3)), 10 * priors[1:])
        if step < KEPT:
            sizes = {name: max(value, 3 * SMALLEST) if name not in kept else value for name, value in sizes.items()}
        if step > KEPT and np.abs(change).max() < SMALL_STEP:
            break
    gain = value_of(normal, base, groups, sizes | {"finer": SMALLEST}) - value_of(normal, base, groups, sizes)
    return _Fit(state, found, normal, rows, sizes, scales, whole, likelihood, gain)


def held_alike(poses, columns):
    """Columns of angles that were given, and of aims that are those of the first subset: each have one precision.

    Where the subsets show that all of them are as given, they are so to a part of their priors.
    """
    columns, groups = columns.reshape(-1, 3), {}
    if len({round(angle % 360, 3) for angle in poses.rotations}) < 3 and not poses.aim_span:
        return {}  # nothing checks two angles
    angles = [columns[k - 1, 0] for k in range(1, len(poses)) if not poses.free[k, 0]]
    same = [k for k in range(1, len(poses)) if not poses.free[k, 1] and np.allclose(poses.aims[k], poses.aims[0])]
    if angles:
        groups["angles"] = np.array(angles)
    if same:
        groups["aims"] = np.concatenate([columns[k - 1, 1:] for k in same])
    return groups


def _finish(blocks, model, fit):
    """Put the solution together, with chi^2 of what is no random part, and errors no smaller than by jackknife."""
    found, normal, rows = fit.found, fit.normal, fit.rows
    told, geometry, priors = model.columns["told"], model.columns["geometry"], model.poses.priors[1:].ravel()
    alone = estimate(_some(normal, [*told, *geometry]), np.concatenate([np.full(len(told), np.inf), priors]))
    plain = rows[..., -1] - rows[..., [*told, *geometry]] @ alone.values
    residuals = rows[..., -1] - rows[..., :-1] @ found.values
    of_noise = found.covariance @ normal.matrix @ found.covariance / found.scale
    parts = (normal, rows[..., :-1], residuals, fit.whole, found.scale)
    covariance = found.covariance + sagging(model, normal, found)
    covariance += (larger(jackknife(*parts, areas(blocks)), of_noise, told) - 1) * of_noise
    covariance *= larger(jackknife(*parts, np.arange(len(rows))[:, None]), covariance, told)
    errors = np.vstack([np.zeros(3), np.sqrt(np.diag(covariance)[geometry]).reshape(-1, 3)])
    errors[:, 0] = np.degrees(errors[:, 0])
    return Illumination(
        model,
        model.poses,
        fit.poses,
        errors,
        found.values,
        covariance,
        fit.sizes,
        fit.scales,
        blocks.level,
        float((plain**2).sum()),
        normal.freedom - len(told),
        normal.square,
        plain * blocks.errors,
    )


def _some(normal, columns):
    """Normal equations of some of the columns."""
    return Normal(normal.matrix[np.ix_(columns, columns)], normal.right[columns], normal.square, normal.freedom)


def solve_channel(solution, blocks):
    """Told terms of one channel, with the geometry of the common solution, and their covariance for noise alone.

    Parameters
    ----------
    solution : Illumination
        Common to all channels.
    blocks : Blocks
        Of the channel.

    Returns
    -------
    coefficients, covariance : numpy.ndarray
        The covariance is widened by chi^2 and by the correlation of what is left.
    """
    offsets = (solution.poses.vector - solution.given.vector)[1:].ravel()
    normal, rows = normal_of(solution.model, blocks, solution.poses, solution.source, offsets)
    geometry, told = solution.model.columns["geometry"], solution.model.columns["told"]
    shifts = rows[..., geometry] @ solution.values[geometry]
    columns, data = rows[..., told], rows[..., -1] - shifts
    own = _some(normal, told)
    inverse = np.linalg.inv(own.matrix)
    coefficients = inverse @ np.einsum("kbi,kb->i", columns, data)
    residuals = data - columns @ coefficients
    scale = max(float((residuals**2).sum()) / (normal.freedom - len(told)), 1.0)
    free = np.full(len(told), np.inf)
    covariance = inverse * scale
    return coefficients, covariance * larger(
        jackknife(own, columns, residuals, free, scale, areas(blocks)), covariance, slice(None)
    )


def compare_channels(solutions):
    """Probability that channels with one light source differ as much as these.

    Parameters
    ----------
    solutions : sequence of tuple
        As from `solve_channel`.
    """
    weights = [np.linalg.inv(covariance) for _, covariance in solutions]
    mean = np.linalg.solve(sum(weights), sum(w @ each for w, (each, _) in zip(weights, solutions, strict=True)))
    distance = sum((each - mean) @ w @ (each - mean) for w, (each, _) in zip(weights, solutions, strict=True))
    return float(chdtrc((len(solutions) - 1) * len(mean), distance))
