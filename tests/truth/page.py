"""The page of a campaign: tables of its figures as they are, each with what they mean."""

import numpy as np
import worlds

INTRODUCTION = """# What the numbers are worth

Every error that this workflow quotes, and every yes or no that it says, against worlds whose truth is known: {worlds}
worlds (seeds {seeds}), drawn at random, with {sets} sets of flats and {lights} lights. This page is written by

```sh
make truth                                # python tests/truth/calibrate.py --worlds 0:300 --page docs/truth.md
```

with the figures as they are; `make test` plays a few worlds (`tests/test_truth.py`). The simulator
(`tests/truth/worlds.py`) shares no code with the workflow. Frames of {rows} x {columns} pixels are written as FITS
files, and the scripts of the rules are called on them with the options that the rules give them.

A *world* is a camera (Bayer or without filters, 14 or 16 bits, 0.3 to 4 e-/DN, read noise 2 to 12 e-, pixel response
0.3 to 1 %, vignetting about a centre of its own, up to three dust shadows), 8 bias frames, two sets of flats of one
lens under two lamps, and a light. A set has two to four subsets of 6 to 10 frames, at quarter turns, thirds, odd
angles, or with a subset aimed 0.2 half diagonals aside. Its lamp has terms to degree 4 (0.1 to 3 %, one in ten none;
one in five with more in all corners). Frames are combined by median, mean or sigma_clip. {clean} sets are *clean*:
nothing is wrong but noise. The others have one or two of the imperfections below, of which the workflow is not told.
The light has an even sky, one of twenty structured skies, or causes (pedestal of 1 to 10 %, gradient of 1 to 40 %, a
flat shifted by 1 to 6 %).

A *pull* is (found - true) / quoted error: where errors are right, it has a mean of 0 and a standard deviation of 1,
and 4.6 % are beyond 2 errors, 0.3 % beyond 3. A mean above 0.5 or a standard deviation outside 0.7 to 1.5 is
**bold**. Pulls of one set go together (channels, pixels), so that what counts for chance is the number of sets.
"""
#: What the figures of a row mean; those without are right, or speak for themselves.
READINGS = {
    "UNCERT of the model": "that of a model of its flat: one that is bent or on a pedestal is off by more",
    "aims found": "too large where nothing is wrong: priors, and a lens that may sag",
    "angles found": "too large: the same priors",
    "gain": "holds a sensor 1 % off linear, so too large for linear ones",
    "read noise": "goes with the gain",
    "size of a cause: pedestal": "holds what the light source is expected to hide in the flat",
    "size of a cause: pedestal, flat with imperfections": "the same; not what is wrong with the flat",
    "size of a cause: sky gradient, flat with imperfections": "the same",
    "size of a cause: wrong flat, flat with imperfections": "the same",
    "uneven, the part that shows": "a lens may sag by 0.05 %, and most do not",
    "uneven, the whole": "holds what may be hidden as well",
    "response": "what a light source may hide is an expectation, on the large side",
    "response, hidden part aside": "not in it: sensors that are not linear, bands in all frames",
    "what the light source hides": "an expectation, on the large side",
    "a channel saturates": "missed: sensors that are not linear as well",
    "a channel saturates (softly)": "missed: fewer full pixels of a channel than 64 in the brightest frames",
    "cause: flat not flat": "what is hidden has no form of its own: it stays open",
    "cause: flat not flat, flat with imperfections": "the same",
    "cause: pedestal": "missed: below 1 %, of the form of airglow, or what the light source may hide as well",
    "cause: sky gradient": "missed: small ones, which a shifted flat explains as well",
    "cause: wrong flat": "missed: shifts that a gradient explains as well",
    "cause: sky structure, flat with imperfections": "structure that is in the flat",
    "dust moved": "false: flats that saturate",
    "neighbours share noise": "false: bands in flats that saturate; missed: a percent, which the gain's error holds",
    "the better set is named (by half)": "errors hold an expectation of what is hidden, which need not be so",
    "the worse set is named (by half)": "the same",
    "the black level is wrong": "not seen in frames whose levels differ by a few percent only",
    "the lamp drifts in a subset": "false: mostly flats that saturate; missed: below 1 % not counted",
    "the light source is divided out (two angles)": "not done where it matters, as the sign is not known",
    "the response is worse than the flat": "two angles, or flats that saturate",
    "an angle has the wrong sign": "false: a lamp that changed between the subsets by 0.3 %",
    "bands in a frame": "missed: 0.3 % in flats that saturate",
    "the variance bends": "missed: 1 to 4 % at saturation do not show in frames of this size",
    "imperfection: sag": "errors hold 0.05 %; more of it is a gradient of the lamp, unless it stands out of the noise",
    "imperfection: wrong sign": "two angles do not show it, which errors hold; of three and more it is found",
    "imperfection: hot spot": "solved for, to 8 degrees more than the terms",
    "imperfection: flicker": "frames are marked; if all are alike, bands are in the response",
    "imperfection: saturated": "such a set is not judged, and says so",
    "imperfection: soft saturation": "found in pairs of frames; such a set is not judged, and says so",
}


def number(value, digits=2):
    return f"{value:.{digits}f}".replace("-0.00", "0.00") if abs(value) < 100 else f"{value:.0f}"


def bold(text, condition):
    return f"**{text}**" if condition else text


def gather(records, kind):
    """Values of all records by quantity: ``{quantity: [list of a record, ...]}``, in the order of appearance."""
    found = {}
    for record in records:
        for name, values in record[kind].items():
            found.setdefault(name, []).append(values)
    return found


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def figures_of_pulls(lists):
    """Number of records, mean, standard deviation, and shares beyond 2 and 3 errors."""
    if not lists:
        return ["0", "", "", "", ""]
    z = np.concatenate(lists)
    mean, std, sure = z.mean(), z.std(), len(lists) >= 10
    shares = [f"{100 * (np.abs(z) > limit).mean():.1f}" for limit in (2, 3)]
    return [
        str(len(lists)),
        bold(number(mean), sure and abs(mean) > 0.5),
        bold(number(std), sure and not 0.7 < std < 1.5),
        *shares,
    ]


def figures_of_ratios(lists):
    """Number of records, median, rms, and shares beyond 2 and 3."""
    if not lists:
        return ["0", "", "", "", ""]
    ratios = np.concatenate(lists)
    size, shares = np.sqrt(np.mean(ratios**2)), [f"{100 * (ratios > limit).mean():.1f}" for limit in (2, 3)]
    return [
        str(len(lists)),
        number(np.median(ratios)),
        bold(number(size), len(lists) >= 10 and not 0.7 < size < 1.5),
        *shares,
    ]


def both(records, kind, figures):
    """Rows of a table: of records without imperfections, and with some."""
    of_clean = gather([record for record in records if not record["faults"]], kind)
    of_others = gather([record for record in records if record["faults"]], kind)
    names = sorted({**of_clean, **of_others})
    return [
        [name, *figures(of_clean.get(name, [])), *figures(of_others.get(name, [])), READINGS.get(name, "")]
        for name in names
    ]


def joined(lists):
    """True answers and those given: ``(n, 2)``."""
    return np.array([pair for each in lists for pair in each], bool).reshape(-1, 2)


def rate(part, whole):
    return f"{part} of {whole}" if whole else ""


def answers(records):
    """Rows of the table of yes and no."""
    rows = []
    groups = [[record for record in records if bool(record["faults"]) == wrong] for wrong in (False, True)]
    clean, others = (gather(group, "asked") for group in groups)
    for name in sorted({**clean, **others}):
        cells = []
        for found in (clean, others):
            said = joined(found.get(name, []))
            absent = said[~said[:, 0]]
            cells.append(rate(int(absent[:, 1].sum()), len(absent)))
        said = joined(clean.get(name, []) + others.get(name, []))
        there = said[said[:, 0]]
        rows.append([name, *cells, rate(int((~there[:, 1]).sum()), len(there)), READINGS.get(name, "")])
    return rows


#: Columns of the table of imperfections: what each does to a few quantities.
TOUCHED = ["gain", "pixel response (PRNU)", "terms of the light source", "uneven, the part that shows", "angles found"]
SIZES = ["response, hidden part aside", "response"]


def imperfections(records):
    rows = []
    for name in ["none", *worlds.IMPERFECTIONS]:
        own = [record for record in records if (name in record["faults"] if name != "none" else not record["faults"])]
        pulls, ratios = gather(own, "pulls"), gather(own, "ratios")
        cells = []
        for quantity in TOUCHED:
            values = np.concatenate(pulls.get(quantity, []) or [[]])
            size = float(np.sqrt(np.mean(values**2))) if values.size else None
            cells.append("" if size is None else bold(number(size), size > 1.5))
        for quantity in SIZES:
            values = np.concatenate(ratios.get(quantity, []) or [[]])
            cells.append(bold(number(np.median(values)), np.median(values) > 1.5) if values.size else "")
        low, high = worlds.IMPERFECTIONS.get(name, (0, 0))
        size = (
            "" if name == "none" else f"{low:g} to {high:g} {worlds.UNITS[name]}" if high > low else worlds.UNITS[name]
        )
        rows.append([name, size, str(len(own)), *cells, READINGS.get(f"imperfection: {name}", "")])
    return rows


def write_page(found):
    """Text of the page.

    Parameters
    ----------
    found : list of dict
        Of the worlds, see `calibrate.play_world`.
    """
    of = {kind: [] for kind in ("set", "light", "ranking")}
    for record in (each for world in found for each in world["records"]):
        of[record["of"]].append(record)
    lights = [record | {"faults": []} for record in of["light"]]  # those with causes are as good as those without
    refused = [text for world in found for text in world["refused"].values()]
    numbers = {"worlds": len(found), "sets": len(of["set"]), "lights": len(of["light"])}
    numbers |= dict(zip(("rows", "columns"), worlds.SHAPE, strict=True))
    numbers |= {"seeds": f"{found[0]['world']} to {found[-1]['world']}"}
    numbers |= {"clean": sum(not record["faults"] for record in of["set"])}
    pulls, sizes = (
        ["sets", first, second, "> 2, %", "> 3, %"] for first, second in (("mean", "std"), ("median", "rms"))
    )
    touched = ["gain", "PRNU", "terms", "uneven", "angles", *SIZES]
    of_ratios = both(of["set"] + of["ranking"], "ratios", figures_of_ratios)
    parts = [
        INTRODUCTION.format(**numbers),
        "## Quoted errors\n\nPulls; first of clean sets, then of those with imperfections.\n",
        table(["quantity", *pulls, *pulls, "reading"], both(of["set"] + lights, "pulls", figures_of_pulls)),
        "## Sizes of errors\n\nWhat is quoted is a size, without a sign. True over quoted; its rms should be 1.\n",
        table(["quantity", *sizes, *sizes, "reading"], of_ratios),
        "## Yes and no\n\nHow often it is said and not so, and how often it is so and not said.\n",
        table(
            ["question", "false, clean", "false, others", "missed", "reading"],
            answers(of["set"] + lights + of["ranking"]),
        ),
        "## What each imperfection does\n\nRms of pulls, and median of true over quoted size, of all sets that have it "
        "(many have another one as well).\n",
        table(["imperfection", "size", "sets", *touched, "reading"], imperfections(of["set"])),
        f"{len(refused)} sets were refused with a sentence.\n"
        + "".join(f"- {text}\n" for text in sorted(set(refused))[:9]),
    ]
    return "\n".join(parts)
