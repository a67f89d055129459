"""What the solution of the light source is worth: tests, terms, and subsets divided by each other."""

import numpy as np
from scipy.special import chdtrc

from flatfield.files.tables import NOT_DETERMINED, mark_undetermined
from flatfield.measure import illumination
from flatfield.measure.blocks import block_side
from flatfield.measure.calibration import divide, normalise_mosaic
from flatfield.measure.gradients import measure_map

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
#: Probability below which something is called significant.
SIGNIFICANT = 1e-3


def cross_check(maps, subsets, rotations, solved, value, cfa):
    """Rows of ``cross.tsv``: each subset divided by the master of the others, and the flat divided by itself.

    Both without the light source where it is solved for; in blocks.
    """
    rows = divide_by_itself(value, cfa)
    x, y = maps[0][2:]
    frames = np.array([subset.header["NCOMBINE"] for subset in subsets.values()], float)
    logs, errors = (np.array([each[part] for each in maps]) for part in (0, 1))
    if solved:
        seen = [solved["common"].log_ratio(x, y, rotation) for rotation in rotations]
        logs = logs - np.array(seen)
    size, shape = block_side(value.shape, cfa, illumination.BLOCKS_ACROSS), value.shape
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


def unsolved(channels, reason):
    """What can be said where no source is solved for: whether the subsets repeat."""
    rows = [verdict("solvable", "no", reason)]
    return (
        [*rows, judge_repeatability(illumination.solve_illumination(channels, [0, 0], 1), channels)]
        if channels
        else rows
    )


def judge_repeatability(solution, channels):
    """What is left of the differences of the subsets."""
    noise = float(np.sqrt(np.mean(np.concatenate([errors.ravel() for _, errors, *_ in channels]) ** 2)))
    fit = solution.chi2 / solution.freedom
    text = "noise" if chdtrc(solution.freedom, solution.chi2) > SIGNIFICANT else "more than noise"
    return verdict(
        "left over", text, f"chi^2 per degree of freedom {fit:.3g}", *illumination.left_over(solution, noise)
    )


def run_tests(solved, channels, rotations, degree):
    """What the solution is worth: rows of the table of tests."""
    common, single = solved["common"], solved["channels"]
    scale = max(common.chi2 / common.freedom, 1.0)
    chance = chdtrc(len(common.terms), (common.chi2_even - common.chi2) / scale)
    uneven = "yes" if chance < SIGNIFICANT else "no"
    x, y = channels[len(channels) // 2][2:]
    rows = [
        verdict(
            "light source uneven", uneven, f"probability of chance {chance:.2g}", *illumination.unevenness(common, x, y)
        ),
        verdict("gradient", *judge_part(illumination.unevenness(common, x, y, lambda term: term[0] == 1))),
        verdict("higher terms", *judge_part(illumination.unevenness(common, x, y, lambda term: term[0] > 1))),
        judge_repeatability(common, channels),
    ]
    chance = illumination.compare_channels(single) if len(single) > 1 else 1.0
    rows.append(verdict("channels differ", "yes" if chance < SIGNIFICANT else "no", f"probability {chance:.2g}"))
    angles = illumination.better_angles(channels, rotations, degree)
    if angles is None:
        words = "neither the opposite sign nor other quarter turns fit better"
        two = len({rotation % 360 for rotation in rotations}) == 2
        rows.append(verdict("angles", "as given", "two angles do not tell the sign" if two else words))
    else:
        opposite = all(abs((a + b) % 360) < 1e-6 for a, b in zip(angles, rotations, strict=True))
        words = "opposite sign" if opposite else "other angles"
        listed = ", ".join(f"{angle % 360:g}" for angle in angles)
        evidence = f"{listed} degrees fit much better; nothing was divided out"
        rows.append(verdict("angles", f"probably wrong: {words}", evidence))
    hidden = illumination.visible_terms(degree, rotations)[1]
    rows.append(verdict("cannot be seen", f"{len(hidden)} terms", illumination.describe_hidden(hidden)))
    return rows


def judge_part(size):
    """Verdict, evidence and size of some terms."""
    rms, error = size
    return "significant" if rms > 4 * error else "not significant", "rms over the frame", rms, error


def describe_terms(solved, degree, rotations, channels, reason):
    """Rows of the table of terms."""
    rows = []
    names = ["ALL", *channels] if solved and len(channels) > 1 else ["ALL"]
    visible = illumination.visible_terms(degree, rotations)[0]
    for name in names:
        solution = solved and (solved["common"] if name == "ALL" else solved["channels"][names.index(name) - 1])
        for term in illumination.zernike_terms(degree):
            kind = "radial" if not term[1] else "cos" if term[1] > 0 else "sin"
            row = {"channel": name, "n": term[0], "m": abs(term[1]), "kind": kind, "reason": ""}
            row |= dict.fromkeys(("percent", "error", "sigma"), NOT_DETERMINED)
            if not solved:
                row["reason"] = reason
            elif term not in visible:
                row["reason"] = "looks the same at all angles"
            else:
                index = solution.terms.index(term)
                value, error = solution.coefficients[index], np.sqrt(solution.covariance[index, index])
                row.update(percent=100 * value, error=100 * error, sigma=abs(value) / error)
            rows.append(row)
    return rows
