"""Sets compared: error of the response, light source, noise, saturation, repeatability, and which set to use."""

import numpy as np

from flatfield.files.frame_table import used_frames
from flatfield.files.tables import number_of
from flatfield.measure.closure import close, hidden_of_sets

#: What ``illumination_tests.tsv`` says of a set, by the name of the columns here.
MEASURED = {"uneven": "light source uneven", "gradient": "gradient", "higher": "higher terms", "repeat": "left over"}
CLOSURE = ["response_error_percent", "hidden_percent", "closure_percent", "closure_error", "closure_with"]
QUALITY = [*CLOSURE, *(f"{name}_{part}" for name in MEASURED for part in ("percent", "error"))]
QUALITY += ["noise_percent", "saturated_percent"]
#: Errors of responses are estimates: they differ above this ratio. Noise that counts as more.
DISTINCT, LESS_NOISE = 1.5, 1.2
#: Saturated part of a frame above which a set is not recommended, percent: hot pixels are fewer.
SATURATED_PERCENT = 0.1


def describe_quality(frames, camera, source):
    """Optics of a set, and how good its flat is: the columns `QUALITY`, None where not determined.

    Parameters
    ----------
    frames : list of FrameRecord
        Used frames of ``frames.tsv``.
    camera, source : list of dict
        Rows of ``noise.tsv`` and ``illumination_tests.tsv``.
    """
    tests = {row["test"]: row for row in source}
    sizes = {
        f"{name}_{part}": number_of(tests[test][column]) if test in tests else None
        for name, test in MEASURED.items()
        for part, column in (("percent", "percent"), ("error", "error"))
    }
    signal_to_noise = [number_of(row["snr_master"]) for row in camera]
    known = all(signal_to_noise) and bool(signal_to_noise)
    optics = [frames[0].camera, frames[0].lens or frames[0].telescope]
    optics += [median_of(frames, name) for name in ("focal_length_mm", "aperture")]
    forms = ("{}", "{}", "{:g} mm", "f/{:.3g}")
    return {
        "optics": ", ".join(form.format(value) for form, value in zip(forms, optics, strict=True) if value is not None)
        or None,
        **sizes,
        **dict.fromkeys(CLOSURE),
        "response_error_percent": number_of(tests["response"]["percent"]) if "response" in tests else None,
        "hidden_percent": number_of(tests["part that is hidden"]["percent"]) if "response" in tests else None,
        "aside": number_of(tests["response, hidden part aside"]["percent"]) if "response" in tests else None,
        "noise_percent": 100 / min(signal_to_noise) if known else None,
        "saturated_percent": 100 * max(frame.saturated or 0 for frame in frames),
        "angles": "angles" not in tests or not tests["angles"]["verdict"].startswith("probably wrong"),
    }


def cross_judge(rows, responses):
    """Let sets of the same optics judge each other: fills in the columns `CLOSURE`.

    Parameters
    ----------
    rows : list of dict
        Of ``sets.tsv``.
    responses : dict
        ln of the response in blocks, and its error, by set; none where they are not compared.
    """
    for members in group(rows).values():
        solved = {row["set"]: row for row in members if row.get("aside") is not None and row["set"] in responses}
        aside = {name: row["aside"] / 100 for name, row in solved.items()}
        closures = close({name: responses[name] for name in solved}, aside)
        hidden = hidden_of_sets(closures, {name: row["hidden_percent"] / 100 for name, row in solved.items()})
        for name, row in solved.items():
            own = [each for each in closures if name in (each.first, each.second)]
            row["hidden_percent"] = 100 * hidden[name]
            row["response_error_percent"] = 100 * float(np.hypot(aside[name], hidden[name]))
            if own:
                worst = max(own, key=lambda each: each.rms)
                row["closure_percent"], row["closure_error"] = 100 * worst.rms, 100 * worst.error
                row["closure_with"] = worst.other(name)
            row["disagrees"] = any(each.significant for each in own) and hidden[name] > 0
    for row in rows:
        row.pop("aside", None)


def group(rows):
    """Rows by the optics of the sets."""
    groups = {}
    for row in rows:
        groups.setdefault(row["optics"], []).append(row)
    return groups


def judge(rows, doubtful):
    """Say of each set whether it is the one to use, among those of the same camera, lens, focal length and aperture.

    The best has the smallest error of the response, what its light source may hide included: an uneven light source is
    no fault where it is divided out. Sets whose errors are within `DISTINCT` times are equal in that, and then the one
    with the least noise is preferred, if it has `LESS_NOISE` times less, unless their responses contradict each other.

    Parameters
    ----------
    rows : list of dict
        Of ``sets.tsv``; verdict and reason are added, what is no column taken out.
    doubtful : set of str
        Names of sets whose differences say nothing.
    """
    for row in rows:
        row.update(verdict="", reason="")
        wrong = [
            words
            for failed, words in (
                (row["response_error_percent"] is None, "its light source is not determined"),
                (row["set"] in doubtful, "its frames or their noise are doubtful"),
                (not row.pop("angles"), "its rotations are probably wrong"),
                (row["saturated_percent"] > SATURATED_PERCENT, "frames are saturated"),
            )
            if failed
        ]
        if wrong:
            row.update(verdict="cannot be judged", reason="; ".join(wrong))
    for members in group(rows).values():
        able = [row for row in members if not row["verdict"]]
        if len(members) == 1:
            for row in able:
                row.update(
                    verdict="only", reason="no other set has its optics, and another aperture has another response"
                )
        elif able:
            rank(able)
    for row in rows:
        row.pop("disagrees", None)


def rank(rows):
    """Fill in the verdict of sets that can be compared."""
    best = min(rows, key=lambda row: row["response_error_percent"])
    equal = [row for row in rows if row["response_error_percent"] <= DISTINCT * best["response_error_percent"]]
    quiet = equal
    contradict = len(equal) > 1 and any(row.get("disagrees") for row in equal)
    if all(row["noise_percent"] for row in equal) and not contradict:
        least = min(row["noise_percent"] for row in equal)
        quiet = [row for row in equal if row["noise_percent"] < LESS_NOISE * least]
    for row in rows:
        if row not in equal:
            reason = f"the error of its response is larger than that of {best['set']}"
            row.update(verdict="not the best", reason=reason)
        elif row not in quiet:
            reason = f"its response is as accurate, but {quiet[0]['set']} has less noise"
            row.update(verdict="not the best", reason=reason)
        elif contradict:
            row.update(verdict="equal", reason="responses differ, and nothing shows whose light source is at fault")
        elif len(quiet) > 1:
            others = ", ".join(other["set"] for other in quiet if other is not row)
            row.update(verdict="equal", reason=f"no relevant difference from {others}")
        else:
            why = "smallest error of the response" if len(equal) == 1 else "as accurate as others, and less noise"
            row.update(verdict="use", reason=why)


def rms(rows):
    """Quadratic mean over the channels of the large-scale differences, percent; None where there is none."""
    values = [number_of(row["rms_percent"]) for row in rows]
    known = [value for value in values if value is not None]
    return float(np.sqrt(np.mean(np.square(known)))) if known else None


def median_of(frames, name):
    """Median of a field of frames; None where none knows it."""
    values = [getattr(frame, name) for frame in frames if getattr(frame, name) is not None]
    return float(np.median(values)) if values else None


def tabulate_sets(tables, pairs, responses):
    """Rows of ``sets.tsv``, and its columns in order.

    Parameters
    ----------
    tables : dict
        For each set frames (of ``frames.tsv``), and rows of ``stats.tsv``, ``uniformity.tsv``, ``noise.tsv`` and
        ``illumination_tests.tsv``.
    pairs : dict
        Names of the pairs of subsets of each set.
    responses : dict
        ln of the response in blocks, and its error, of each set.
    """
    rows, doubtful = [], set()
    for name, (frames, stats, uniformity, noise, source) in tables.items():
        frames = used_frames(frames)
        center = [row for row in stats if row["region"] == "center"]
        failed = [frame for frame in frames if frame.reason]
        if 2 * len(failed) > len(frames) or any(row["significant"] not in ("yes", "no") for row in uniformity):
            doubtful.add(name)  # nothing shows whether its subsets differ by more than noise
        residuals = {label: rms([row for row in uniformity if row["pair"] == label]) for label in pairs[name]}
        known = [value for value in residuals.values() if value is not None]
        rows.append(
            {
                "set": name,
                "frames": len(frames),
                "exposure_s": median_of(frames, "exposure_s"),
                "iso": median_of(frames, "iso"),
                **{f"rms_{label}_percent": value for label, value in residuals.items()},
                "rms_percent": float(np.sqrt(np.mean(np.square(known)))) if known else None,
                **describe_quality(frames, noise, source),
                **{f"snr_{row['channel'].lower()}": row["snr"] and float(row["snr"]) for row in center},
            }
        )
    known = [row["rms_percent"] for row in rows if row["rms_percent"] is not None and row["set"] not in doubtful]
    for row in rows:
        comparable = len(known) > 1 and row["rms_percent"] is not None and row["set"] not in doubtful
        row["most_uniform"] = row["rms_percent"] == min(known) if comparable else None
    cross_judge(rows, responses)
    judge(rows, doubtful)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    first = ["set", "verdict", "most_uniform", "frames", "optics", "exposure_s", "iso", *QUALITY, "reason"]
    order = {"rms": 1, "snr": 2}
    columns = first + sorted(
        [name for name in columns if name not in first], key=lambda name: order[name.split("_")[0]]
    )
    return [dict.fromkeys(columns) | row for row in rows], columns
