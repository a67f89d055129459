"""How the smooth part of a flat changed: moved, turned, scaled, another fall-off, another gradient of the light."""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from flatfield.measure.model_fit import Fit
from flatfield.raw.robust import SIGMA_PER_MAD

#: Step of the derivatives, half diagonals.
STEP = 1e-3
#: A model is as good as another within this difference of Schwarz's criterion (odds of 20 : 1); or if it misses the
#: blocks by so many times more than what no model explains.
ALIKE, UNEXPLAINED = 6.0, 3.0
#: Blocks further off than this many robust standard deviations hold dust, not vignetting.
OUTLIER = 6.0
#: Excess of the rest over its noise, standard deviations, above which it is found; part of a vector that is not 0.
REST_SIGMA, SIGNIFICANT = 6.0, 3.0
#: What changes the flat by less than this has not changed, percent; in all blocks but the last percent of them.
NOTICEABLE, MOST = 0.2, 99
#: What is smaller than this part of the largest change may be of its second order, which is left out.
SECOND_ORDER = 0.02
SHIFT, TURN, SCALE, RADIAL, LIGHT = "shift", "turn", "scale", "radial", "light"
#: Groups that say nearly the same: a scale is a radial change. A model has one of them.
EXCLUSIVE = {SCALE, RADIAL}


@dataclass(frozen=True)
class Term:
    """A quantity of the change.

    Attributes
    ----------
    group : str
    subject, unit : str
    value, error : float
    verdict : str
        ``same``, ``changed``, or ``not told`` where another group explains the change as well.
    percent : float
        The change of the flat that its group makes, but for the last percent of the blocks.
    """

    group: str
    subject: str
    unit: str
    value: float
    error: float
    verdict: str
    percent: float


@dataclass(frozen=True)
class SmoothPart:
    """Blocks of two flats.

    Attributes
    ----------
    x, y : numpy.ndarray, ``(channels, columns)`` and ``(channels, rows)``
        Half diagonals, to the right and up.
    ratio, error : numpy.ndarray, ``(channels, rows, columns)``
        ln of the new over the old flat, and its standard error; NaN where not known.
    models : tuple of list of Fit
        Smooth models of the channels, of the old and of the new flat.
    shape : tuple of int
        Of the frame, pixels.
    """

    x: np.ndarray
    y: np.ndarray
    ratio: np.ndarray
    error: np.ndarray
    models: tuple[list[Fit], list[Fit]]
    shape: tuple[int, int]


def measure_change(part):
    """Explain the change of the smooth part with as little as possible.

    All combinations of the groups are fitted; a group that every good one needs has changed, one that only some of them
    need cannot be told from another.

    Parameters
    ----------
    part : SmoothPart

    Returns
    -------
    list of Term
        Without the unknown ones: none where the frame has too few blocks.
    """
    groups, constants = _terms(part)
    values, error = part.ratio.ravel(), part.error.ravel()
    known = np.isfinite(values) & np.isfinite(error) & (error > 0)
    names = list(groups)
    if known.sum() < 4 * (constants.shape[1] + sum(each.shape[1] for each in groups.values())):
        return []
    full = np.column_stack([constants, *groups.values()])
    for _ in range(3):
        solution = _solve(full[known], values[known], error[known])[0]
        rest = np.where(known, (values - full @ solution) / np.where(known, error, 1), 0)
        scatter = SIGMA_PER_MAD * np.median(np.abs(rest[known]))
        known &= np.abs(rest) <= OUTLIER * max(scatter, 1e-12)
    freedom = known.sum() - full.shape[1]
    noise = max(np.sqrt((rest[known] ** 2).sum() / freedom), 1e-12)
    error = error * max(noise, 1.0)

    def fit(chosen):
        design = np.column_stack([constants, *(groups[name] for name in names if name in chosen)])[known]
        solution, covariance, chi2 = _solve(design, values[known], error[known])
        return solution, covariance, chi2 + design.shape[1] * np.log(known.sum())

    fits = {
        chosen: fit(chosen)
        for count in range(len(names) + 1)
        for chosen in combinations(names, count)
        if not EXCLUSIVE.issubset(chosen)
    }
    best = min(fits, key=lambda chosen: fits[chosen][2])
    unexplained = _describe_rest(
        np.where(known, rest * part.error.ravel(), np.nan).reshape(part.ratio.shape), part.error
    )
    margin = ALIKE
    if unexplained.verdict == "changed":  # smooth, so that its blocks are not independent
        margin += (UNEXPLAINED * unexplained.value / 100) ** 2 * (1 / error[known] ** 2).sum()
    good = [set(chosen) for chosen, each in fits.items() if each[2] <= fits[best][2] + margin]
    terms = []
    for name in names:
        inside = [chosen for chosen in fits if name in chosen]
        wanted = set(best) | {name}
        if EXCLUSIVE.issubset(wanted):
            wanted -= EXCLUSIVE - {name}
        chosen = best if name in best else min(inside, key=lambda each: len(set(each) ^ wanted))
        alike = EXCLUSIVE if name in EXCLUSIVE else {name}
        verdict = "same"
        if name in best and all(alike & each for each in good):
            verdict = "changed"
        elif name in best or alike & set(best) or any(name in each and set(best) - each for each in good):
            verdict = "not told"
        start = constants.shape[1]
        for each in names:
            if each == name:
                break
            start += groups[each].shape[1] if each in chosen else 0
        columns = slice(start, start + groups[name].shape[1])
        effect = groups[name] @ fits[chosen][0][columns]
        percent = 100 * float(np.percentile(np.abs(np.expm1(effect[known])), MOST))
        verdict = "same" if percent < NOTICEABLE else verdict
        terms += _describe(name, fits[chosen][0][columns], fits[chosen][1][columns, columns], verdict, percent, part)
    design = np.column_stack([constants, *(groups[name] for name in names if name in best)])
    left = np.where(known, values - design @ fits[best][0], np.nan).reshape(part.ratio.shape)
    if any(term.group in EXCLUSIVE and term.group in best and term.verdict == "same" for term in terms):
        terms = [replace(each, verdict="same") if each.group in EXCLUSIVE else each for each in terms]
    large = SECOND_ORDER * max((term.percent for term in terms if term.verdict == "changed"), default=0)
    terms = [replace(each, verdict="not told") if _is_below(each, large) else each for each in terms]
    return [*terms, _describe_rest(left, part.error)]


def _is_below(term, percent):
    return term.verdict == "changed" and term.percent < percent


def _solve(design, values, error):
    """Weighted least squares: solution, covariance, chi^2."""
    scaled = design / error[:, None]
    covariance = np.linalg.pinv(scaled.T @ scaled)
    solution = covariance @ (scaled.T @ (values / error))
    return solution, covariance, float((((values - design @ solution) / error) ** 2).sum())


def _terms(part):
    """What each group does to ln of the ratio, a column a parameter; and a constant for each channel."""
    count = len(part.ratio)
    found = {name: [] for name in (SHIFT, TURN, SCALE, RADIAL, LIGHT)}
    constants = []
    for channel in range(count):
        x, y = part.x[channel], part.y[channel]

        def ln(x, y, channel=channel):
            with np.errstate(all="ignore"):
                logs = [np.log(np.maximum(each[channel].evaluate(x, y), 1e-9)) for each in part.models]
            return (logs[0] + logs[1]) / 2

        along_x = (ln(x + STEP, y) - ln(x - STEP, y)) / (2 * STEP)
        along_y = (ln(x, y + STEP) - ln(x, y - STEP)) / (2 * STEP)
        xs, ys = np.meshgrid(x, y)
        r2, own = xs**2 + ys**2, np.eye(count)[channel]
        columns = {
            SHIFT: (-along_x, along_y),  # right, down
            TURN: (ys * along_x - xs * along_y,),  # counter-clockwise
            SCALE: (-(xs * along_x + ys * along_y),),
            RADIAL: (r2, r2**2),
            LIGHT: (*(each * xs for each in own), *(each * -ys for each in own)),
        }
        for name, each in columns.items():
            found[name].append(np.column_stack([column.ravel() for column in each]))
        constants.append(np.column_stack([np.full(xs.size, each) for each in own]))
    return {name: np.concatenate(each) for name, each in found.items()}, np.concatenate(constants)


def _describe(name, solution, covariance, verdict, percent, part):
    """Quantities of a group in units that one can picture."""
    count, half = len(part.ratio), np.hypot(*part.shape) / 2
    width, height = part.shape[1] / half, part.shape[0] / half
    mean = np.ones(count) / count
    rows = {
        SHIFT: [
            ("vignetting moved right", "% of the half diagonal", 100 * np.array([1, 0])),
            ("vignetting moved down", "% of the half diagonal", 100 * np.array([0, 1])),
        ],
        TURN: [("vignetting turned", "degrees counter-clockwise", np.array([180 / np.pi]))],
        SCALE: [("vignetting scaled", "%", np.array([100]))],
        RADIAL: [("vignetting, corner against centre", "%", np.array([100, 100]))],
        LIGHT: [
            ("light source, right against left", "%", 100 * width * np.append(mean, 0 * mean)),
            ("light source, bottom against top", "%", 100 * height * np.append(0 * mean, mean)),
        ],
    }[name]
    terms = []
    for subject, unit, by in rows:
        value, error = float(by @ solution), float(np.sqrt(by @ covariance @ by))
        nothing = len(rows) > 1 and abs(value) < SIGNIFICANT * error  # of this part of a vector
        terms.append(Term(name, subject, unit, value, error, "same" if nothing else verdict, percent))
    return terms


def _describe_rest(left, error):
    """What no group explains: more than neighbouring blocks differ by."""
    z = left / error
    steps = np.concatenate([np.diff(z, axis=axis).ravel() for axis in (1, 2)])
    steps = steps[np.isfinite(steps)]
    noise, total, count = np.mean(steps**2) / 2, np.nanmean(z**2), np.isfinite(z).sum()
    excess = (total - noise) / (noise * np.sqrt(4 / count)) if noise > 0 else 0.0
    part = max(1 - noise / total, 0) if total > 0 else 0.0
    rms = 100 * float(np.sqrt(np.nanmean(left**2) * part))
    limit = 100 * float(np.sqrt(np.nanmean(left**2) * min(np.sqrt(4 / count), 1)))
    found = excess > REST_SIGMA and rms > NOTICEABLE / 2  # which is an rms
    return Term("rest", "vignetting, rest", "% rms", rms, limit, "changed" if found else "same", rms)
