"""What the solution of the light source is worth: tests, terms, geometry, and subsets divided by each other."""

from dataclasses import replace

import numpy as np
from scipy.special import chdtrc

from flatfield.files.tables import NOT_DETERMINED, mark_undetermined
from flatfield.measure.angles import better_angles, fit_poses, one_sign_only
from flatfield.measure.blocks import block_side
from flatfield.measure.calibration import divide, normalise_mosaic
from flatfield.measure.gradients import measure_map
from flatfield.measure.illumination import compare_channels
from flatfield.measure.lamp_errors import hidden_part, log_of_mean, response_errors, unevenness, whole_unevenness
from flatfield.measure.lamp_terms import told_terms
from flatfield.measure.response import BLOCKS_ACROSS
from flatfield.measure.zernike import zernike_terms

TERM_COLUMNS = ["channel", "n", "m", "kind", "percent", "error", "sigma", "reason"]
TEST_COLUMNS = ["test", "verdict", "percent", "error", "evidence"]
CROSS_COLUMNS = [
    "light",
    "flat",
    "channel",
    "rms_percent",
    "noise_percent",
    "gradient_percent",
    "gradient_error",
    "significant",
]
CROSS_COLUMNS += ["reason"]
GEOMETRY_COLUMNS = ["subset", "quantity", "unit", "given", "prior", "found", "error", "differs"]
#: Probability below which something is called significant.
SIGNIFICANT = 1e-3
#: The residual differences of the subsets are large above this, relative, and this many times the noise of a block.
LARGE, TIMES_NOISE = 5e-4, 3.0
#: Angles and aims differ from those given above this many errors, and this much: degrees, half diagonals.
DIFFERS, LEAST_ANGLE, LEAST_AIM = 4.0, 0.5, 0.01
#: Responses of both signs of an angle that differ by less than this, relative rms, are alike.
ALIKE = 2e-4


def cross_check(maps, subsets, solution, value, cfa):
    """Rows of ``cross.tsv``: each subset divided by the master of the others, and the flat divided by itself.

    Both without the light source where it is solved for (`solution` is None where not); in blocks.
    """
    rows = divide_by_itself(value, cfa)
    x, y = maps[0][2:]
    frames = np.array([subset.header["NCOMBINE"] for subset in subsets.values()], float)
    logs, errors = (np.array([each[part] for each in maps]) for part in (0, 1))
    if solution:
        logs = logs - np.array([solution.log_source(x, y, k) for k in range(len(maps))])
    size, shape = block_side(value.shape, cfa, BLOCKS_ACROSS), value.shape
    for index, name in enumerate(subsets):
        others = [each for each in range(len(subsets)) if each != index]
        if not others:
            continue
        weights = (frames[others] / frames[others].sum())[:, None, None, None]
        flat = (weights * np.exp(logs[others])).sum(axis=0)
        flat_error = np.sqrt(((weights * np.exp(logs[others]) * errors[others]) ** 2).sum(axis=0)) / flat
        ratio = np.exp(logs[index]) / flat
        for channel, plane, error in zip(cfa.channels, ratio, np.hypot(errors[index], flat_error), strict=True):
            level = np.nanmedian(plane) if np.isfinite(plane).any() else 1.0
            row = measure_map(100 * (plane / level - 1), 100 * error, size, shape)
            rows.append({"light": name, "flat": "master of the others", "channel": channel, **row})
    return [mark_undetermined(row) for row in rows]


def divide_by_itself(value, cfa):
    """What is left of each channel of a flat that is divided by itself: nothing but rounding."""
    norms = np.array([cfa.pixels(value, index).mean(dtype=np.float64) for index in range(len(cfa.channels))])
    quotient, rows = divide(value, normalise_mosaic(value, cfa, norms)), []
    for index, name in enumerate(cfa.channels):
        ratio = cfa.pixels(quotient, index) / np.float32(norms[index]) - 1
        rms = 100 * float(np.sqrt(np.nanmean(np.square(ratio, out=ratio), dtype=np.float64)))
        rows.append(
            dict.fromkeys(CROSS_COLUMNS, "") | {"light": "flat", "flat": "itself", "channel": name, "rms_percent": rms}
        )
        rows[-1] |= {"noise_percent": 0, "gradient_percent": None, "gradient_error": None, "significant": False}
    return rows


def verdict(test, text, evidence="", rms=None, error=None):
    """A row of the table of tests; `rms` and `error` are relative."""
    numbers = (NOT_DETERMINED if each is None else 100 * each for each in (rms, error))
    return dict(zip(TEST_COLUMNS, (test, text, *numbers, evidence), strict=True))


def unsolved(blocks, poses, reason):
    """What can be said where no source is solved for: whether the subsets repeat (if there are blocks)."""
    rows = [verdict("solvable", "no", reason)]
    if blocks:
        fit = fit_poses(blocks, poses, 1, steps=1)
        rows.append(judge_left_over(fit.chi2, fit.freedom, blocks, None, ""))
    return rows


def judge_left_over(chi2, freedom, blocks, residuals, place_of):
    """Differences of the subsets that neither source nor noise explains, rms, and where they are largest."""
    noise = float(np.sqrt(np.mean(blocks.errors**2)))
    fit, uncertain = chi2 / max(freedom, 1), np.sqrt(2 / max(freedom, 1))
    excess = max(fit - 1, 0)
    size, error = noise * np.sqrt(excess), noise * uncertain / (2 * np.sqrt(max(excess, uncertain)))
    text = "noise" if chdtrc(freedom, chi2) > SIGNIFICANT else "more than noise"
    evidence = f"chi^2 per degree of freedom {fit:.3g}"
    if text != "noise" and size > max(LARGE, TIMES_NOISE * noise):
        text = "much more than noise"
    if text != "noise" and residuals is not None:
        evidence = f"{place_of(residuals)}; {evidence}"
    return verdict("left over", text, evidence, size, error)


def judge_angles(blocks, poses, solution, names, options):
    """Whether the angles given explain the subsets: a row of the table of tests."""
    angles, explains = better_angles(blocks, poses, options["degree"])
    if angles is not None and explains:
        opposite = all(abs((a + b) % 360) < 1e-6 for a, b in zip(angles, poses.rotations, strict=True))
        listed = ", ".join(f"{angle % 360:g}" for angle in angles)
        evidence = f"{listed} degrees fit much better; nothing was divided out"
        return verdict("angles", f"probably wrong: {'opposite sign' if opposite else 'other angles'}", evidence)
    if angles is not None:
        words = "neither these nor other angles explain the subsets: lens, aim or lamp changed between them"
        return verdict("angles", "do not explain the subsets", words)
    apart = sign_matters(blocks, solution, options["other"]) if options["other"] else 0.0
    if apart:
        words = f"two angles do not show their sign; the other sign changes the response by {100 * apart:.2g} % rms"
        if solution.other:
            return verdict("angles", "sign not known", f"{words}; nothing was divided out")
        return verdict("angles", "as given", f"{words}; the sign was taken as given")
    differing = [row for row in describe_geometry(solution, names) if row["differs"] and row["quantity"] == "rotation"]
    if differing:
        words = "; ".join(
            f"{row['subset']} is turned by {row['found']:.1f} +- {row['error']:.1f} degrees"
            + ("" if row["given"] == NOT_DETERMINED else f", not {row['given']:g}")
            for row in differing
        )
        return verdict("angles", "found", words)
    words = "neither the opposite sign nor other quarter turns fit better"
    return verdict("angles", "as given", "two angles do not show their sign" if one_sign_only(poses) else words)


def sign_matters(blocks, solution, other):
    """By how much the response changes with the other sign of the angle, rms; 0 where it hardly matters."""
    x, y, weights = blocks.x, blocks.y, np.full(len(solution.poses), 1 / len(solution.poses))
    errors = response_errors(replace(solution, other=None), x, y, weights)[0]
    apart = float((log_of_mean(solution, x, y, weights) - log_of_mean(other, x, y, weights)).std())
    return apart if apart > max(ALIKE, 3 * float(np.sqrt(errors.mean()))) else 0.0


def chance_of_even(solution):
    """Probability that an even light source looks as uneven as this one (Wald test of all terms)."""
    told = solution.model.columns["told"]
    wald = solution.coefficients @ np.linalg.solve(solution.covariance[np.ix_(told, told)], solution.coefficients)
    return chdtrc(len(told), wald)


def run_tests(solution, singles, blocks, poses, names, weights, options):
    """What the solution is worth: rows of the table of tests.

    Parameters
    ----------
    solution : flatfield.measure.illumination.Illumination
    singles : list of tuple
        Of the channels, see `flatfield.measure.illumination.solve_channel`.
    blocks : flatfield.measure.lamp_blocks.Blocks
    poses : flatfield.measure.poses.Poses
        As given, or first guesses.
    names : list of str
        Of the subsets.
    weights : numpy.ndarray
        Of the subsets in the response.
    options : dict
        degree; other, the solution with the other sign of two angles, or None; and place_of (words for the largest of
        the residuals of the blocks).
    """
    x, y = blocks.x, blocks.y
    seen, error = unevenness(solution, x, y)
    hidden, (_, whole) = hidden_part(solution, x, y), whole_unevenness(solution, x, y)
    chance = chance_of_even(solution)
    words = f"probability of chance {chance:.2g}"
    if hidden > max(error, 1e-5):
        words = f"at least {100 * seen:.3g} %, which the subsets show; they may hide {100 * hidden:.2g} %; {words}"
    angles = judge_angles(blocks, poses, solution, names, options)
    divided = angles["verdict"] in ("as given", "found", "do not explain the subsets")
    of_solution, of_hidden = response_errors(solution if divided else replace(solution, other=None), x, y, weights)
    noise = float(np.sqrt(np.mean((weights[:, None] * blocks.errors) ** 2) * len(weights) * solution.sizes["noise"]))
    parts = [noise, float(np.sqrt(of_solution.mean())), float(np.sqrt(of_hidden.mean()))]
    part_words = "noise {:.2g}, solution {:.2g}, hidden part of the light source {:.2g} %".format(
        *(100 * part for part in parts)
    )
    if not divided:
        signs = [each for each in (solution, solution.other) if each]
        parts.append(float(np.sqrt(np.mean([log_of_mean(each, x, y, weights).var() for each in signs]))))
        part_words += f", light source that was not divided out {100 * parts[-1]:.2g} %"
    rows = [
        verdict("light source uneven", "yes" if chance < SIGNIFICANT else "no", words, seen, whole),
        verdict("part that shows", *judge_part((seen, error))),
        verdict("part that is hidden", "estimate" if hidden else "none", "from terms of the same degree", hidden),
        verdict("gradient", *judge_part(unevenness(solution, x, y, lambda term: term[0] == 1))),
        verdict("higher terms", *judge_part(unevenness(solution, x, y, lambda term: term[0] > 1))),
        verdict("response", "estimate", part_words, float(np.sqrt(np.sum(np.square(parts))))),
        verdict(
            "response, hidden part aside", "estimate", "", float(np.sqrt(np.sum(np.square([*parts[:2], *parts[3:]]))))
        ),
        judge_left_over(solution.chi2, solution.freedom, blocks, solution.residuals, options["place_of"]),
    ]
    chance = compare_channels(singles) if len(singles) > 1 else 1.0
    rows.append(verdict("channels differ", "yes" if chance < SIGNIFICANT else "no", f"probability {chance:.2g}"))
    rows += [angles, judge_aims(solution, names)]
    hidden_terms = solution.model.hidden
    rows.append(verdict("cannot be seen", f"{len(hidden_terms)} terms", describe_hidden(hidden_terms)))
    rows.append(verdict("divided out", "yes" if divided else "no"))
    return rows


def judge_aims(solution, names):
    """Aims that differ from those given: a row of the table of tests."""
    rows = [row for row in describe_geometry(solution, names) if row["quantity"] != "rotation" and row["differs"]]
    words = "; ".join(
        f"{row['quantity']} of {row['subset']} is {row['found']:.3f} +- {row['error']:.3f} half diagonals"
        for row in rows
    )
    return verdict("aims", "found" if rows else "as given", words)


def judge_part(size):
    """Verdict, evidence and size of some terms."""
    rms, error = size
    return "significant" if rms > 4 * error else "not significant", "rms over the frame", rms, error


def describe_hidden(hidden):
    """In words, what subsets cannot separate from the flat."""
    orders = sorted({abs(term[1]) for term in hidden})
    words = [
        "what changes only with the distance from the centre (all corners equally brighter or darker)"
        if order == 0
        else f"patterns that repeat {order} times around the centre"
        if order > 1
        else "a gradient"
        for order in orders
    ]
    return " and ".join(words)


def describe_terms(solution, singles, degree, poses, channels, reason):
    """Rows of the table of terms; no solution where it is None, for a reason."""
    rows = []
    names = ["ALL", *channels] if solution and len(channels) > 1 else ["ALL"]
    told = told_terms(degree, poses)[0] if solution is None else solution.terms
    for name in names:
        if solution is None:
            values, errors = [], []
        elif name == "ALL":
            values, errors = solution.coefficients, solution.errors
        else:
            values, covariance = singles[names.index(name) - 1]
            errors = np.hypot(solution.errors, np.sqrt(np.diag(covariance)))
        for term in zernike_terms(degree):
            kind = "radial" if not term[1] else "cos" if term[1] > 0 else "sin"
            row = {"channel": name, "n": term[0], "m": abs(term[1]), "kind": kind, "reason": ""}
            row |= dict.fromkeys(("percent", "error", "sigma"), NOT_DETERMINED)
            if solution is None:
                row["reason"] = reason
            elif term not in told:
                row["reason"] = "looks the same at all angles and aims"
            else:
                index = told.index(term)
                value, error = float(values[index]), float(errors[index])
                row.update(percent=100 * value, error=100 * error, sigma=abs(value) / error)
            rows.append(row)
    return rows


def describe_geometry(solution, names):
    """Rows of ``geometry.tsv``: angle and aim of each subset, as given and as found."""
    rows = []
    kinds = (("rotation", "degrees"), ("aim_x", "half diagonals"), ("aim_y", "half diagonals"))
    given, found = (np.column_stack([poses.rotations, poses.aims]) for poses in (solution.given, solution.poses))
    errors = [solution.given.rotation_errors, solution.given.aim_errors, solution.given.aim_errors]
    priors = np.column_stack(errors)
    for k, name in enumerate(names):
        for part, (quantity, unit) in enumerate(kinds):
            free, error = bool(solution.given.free[k, min(part, 1)]), float(solution.pose_errors[k, part])
            change = abs(float(found[k, part] - given[k, part]))
            least = LEAST_AIM if part else LEAST_ANGLE
            rows.append(
                {
                    "subset": name,
                    "quantity": quantity,
                    "unit": unit,
                    "given": NOT_DETERMINED if free else float(given[k, part]),
                    "prior": float(priors[k, part]) if k else 0.0,
                    "found": float(found[k, part]),
                    "error": error,
                    "differs": k > 0 and (free or (change > DIFFERS * error and change > least)),
                }
            )
    return rows
