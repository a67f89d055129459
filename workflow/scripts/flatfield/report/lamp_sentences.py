"""What the report says about the light source, and which set to use."""

import math
from collections import defaultdict

from flatfield.files.tables import number_of

#: Responses that differ by less than this agree, percent.
AGREE_PERCENT = 0.02


def describe_light(name, tests, compared):
    """How uneven a light source is that was solved for, what it hides, and what became of it.

    Parameters
    ----------
    name : str
        Of the set.
    tests : dict
        Rows of ``illumination_tests.tsv`` by test.
    compared : dict
        Row of the set in ``sets.tsv``: other sets of the lens may show what its subsets do not.
    """
    shown, expected = tests["part that shows"], number_of(tests["part that is hidden"]["percent"])
    hidden = number_of(compared["hidden_percent"])
    measured = hidden and expected and abs(hidden / expected - 1) > 1e-3
    by = f", from its difference to {compared['closure_with']}" if measured else ""
    size = _measured(shown, "")
    uneven = tests["light source uneven"]["verdict"] == "yes"
    if hidden:
        size = f"at least {float(shown['percent']):.2g} %, which is what its subsets show ({size})"
        size += f"; the part they hide is {'' if by else 'unknown, '}of the order of {hidden:.1g} %{by}"
    sentence = f"Its light source was {'uneven by ' + size if uneven else 'even as far as it shows: ' + size}."
    error = number_of(compared["response_error_percent"])
    if tests["divided out"]["verdict"] == "yes":
        without = f"This was divided out: {name}/response.fits is the flat without it"
        return [f"{sentence} {without}, right to {error:.2g} % rms on large scales."]
    return [f"{sentence} Nothing was divided out: {name}/response.fits is the flat, wrong by about {error:.2g} % rms."]


def describe_hidden(illumination):
    """What the subsets cannot separate from the lens, and what to do; sets with the same in one sentence."""
    sets = defaultdict(list)
    for name, rows in illumination.items():
        tests = {row["test"]: row for row in rows}
        if "cannot be seen" in tests and tests["cannot be seen"]["evidence"]:
            sets[tests["cannot be seen"]["evidence"]].append(name)
    return [
        f"What the subsets of {', '.join(names)} cannot show looks exactly like vignetting and stays in the flat: "
        f"{evidence}. One more subset with the camera aimed 0.1 to 0.3 half diagonals aside (`aim`) shows it."
        for evidence, names in sets.items()
    ]


#: Verdicts of tests of the light source that are good, what is wrong otherwise, and what to do.
LIGHT_WARNINGS = {
    "angles": (
        ("as given",),
        "The rotations of {name} are {verdict}: {evidence}.",
        "Correct `rotation` of its subsets (counter-clockwise, seen from behind the camera).",
    ),
    "solvable": (
        ("yes",),
        "The light source of {name} cannot be separated from the lens: {evidence}.",
        "If you turned the camera, fill in `rotation`; else take subsets with it turned, by 90 and 180 degrees.",
    ),
    "left over": (
        ("noise", "more than noise"),
        "The subsets of {name} differ by {percent:.2g} % rms that no light source explains: {evidence}.",
        "Look at the figure of the light source; retake the subset that departs.",
    ),
    "aims": (
        ("as given",),
        "The aims of {name} are not those given: {evidence}.",
        "If the camera was not aimed at the same spot, nothing; else correct `aim`.",
    ),
    "dust moved": (
        ("no",),
        "Between the subsets of {name} something small moved (dust): {verdict}, {evidence}.",
        "They are masked in its response; take the subsets again without cleaning or shaking in between.",
    ),
}
#: Angles that need other words: sentence and remedy by verdict.
ANGLE_WARNINGS = {
    "found": (
        "In {name} {evidence}; the angles found were used.",
        "Correct `rotation` of its subsets if you know it.",
    ),
    "sign not known": (
        "The light source of {name} was not divided out: {evidence}.",
        "Take a third subset (180 degrees), or check the sign of the angle and set `trust_angles`.",
    ),
    "do not explain the subsets": (
        "In {name} {evidence}.",
        "Do not change lens, focus, aim or lamp between subsets; the errors were widened to allow for this.",
    ),
}


def warn_of_light(illumination):
    """Warnings of the light source: rotations that the frames contradict, subsets that do not repeat, dust."""
    warnings = []
    for name, rows in illumination.items():
        for row in rows:
            if row["test"] not in LIGHT_WARNINGS or row["verdict"] in LIGHT_WARNINGS[row["test"]][0]:
                continue
            _, wrong, remedy = LIGHT_WARNINGS[row["test"]]
            if row["test"] == "angles":
                wrong, remedy = ANGLE_WARNINGS.get(row["verdict"], (wrong, remedy))
            percent = number_of(row["percent"]) or 0.0
            words = {"name": name, "verdict": row["verdict"], "evidence": row["evidence"], "percent": percent}
            warnings.append((wrong.format(**words), remedy))
    return warnings


def describe_verdicts(sets):
    """Which set to use for each optics, with its figures, and how far sets of one lens agree."""
    sentences = []
    for optics in dict.fromkeys(row["optics"] for row in sets):
        members = [row for row in sets if row["optics"] == optics]
        good = [row for row in members if row["verdict"] in ("use", "equal")]
        of = f" for {optics}" if optics else ""
        if len(members) > 1 and good:
            names = " or ".join(row["set"] for row in good)
            why = f" ({good[0]['reason']})" if len(good) > 1 else ""
            others = "; ".join(
                f"{row['set']}: {row['reason']}{_response_error(row)}" for row in members if row not in good
            )
            tail = f" ({others})" if others else ""
            sentences.append(f"Use {names}{of}{why}: {_quality(good[0])}{tail}.")
        elif len(members) > 1:
            listed = "; ".join(f"{row['set']}: {row['reason']}" for row in members)
            sentences.append(f"Which set to use{of} is not known ({listed}).")
        elif len(sets) > 1 and members[0]["verdict"] == "only":
            sentences.append(f"Use {members[0]['set']}{of}, the only set: {_quality(members[0])}.")
        elif len(sets) == 1:
            sentences.append(f"The flat of {members[0]['set']}: {_quality(members[0])}.")
        sentences += _closures(members)
    return sentences


def _closures(members):
    """How far responses under different lamps agree."""
    closed = [row for row in members if number_of(row["closure_percent"]) is not None]
    pairs = {frozenset((row["set"], row["closure_with"])): row for row in closed}
    sentences = []
    for row in pairs.values():
        size, error = float(row["closure_percent"]), float(row["closure_error"])
        one, other = row["set"], row["closure_with"]
        if size <= max(4 * error, AGREE_PERCENT):
            sentences.append(f"{one} and {other} agree on the lens within {max(size, error):.1g} % rms.")
        else:
            sentences.append(
                f"{one} and {other} disagree on the lens by {size:.2g} ± {error:.1g} % rms: their light sources hide "
                "this much."
            )
    return sentences


def _response_error(row):
    error = number_of(row["response_error_percent"])
    return "" if error is None else f", {error:.2g} %"


def _quality(row):
    """Figures of a set."""
    parts, error, hidden = [], number_of(row["response_error_percent"]), number_of(row["hidden_percent"])
    if error is not None:
        hides = f" ({hidden:.1g} % may be what its light source hides)" if hidden else ""
        parts.append(f"its response is right to {error:.2g} % rms on large scales{hides}")
    if number_of(row["noise_percent"]) is not None:
        parts.append(f"a pixel is uncertain by {float(row['noise_percent']):.2g} %")
    if float(row["saturated_percent"]) > 0:
        parts.append(f"{float(row['saturated_percent']):.2g} % of the pixels are saturated")
    return ", ".join(parts)


def _measured(row, name):
    """``name_percent`` of a table with its error; just ``percent`` for an empty name."""
    value, error = (float(row["_".join(filter(None, (name, part)))]) for part in ("percent", "error"))
    digits = min(max(-math.floor(math.log10(error)), 1), 6) if error > 0 else 3
    return f"{value:.{digits}f} ± {error:.{digits}f} %"
