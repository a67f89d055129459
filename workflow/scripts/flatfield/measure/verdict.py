"""Sets compared: light source, noise, saturation, repeatability, and which set to use."""

import numpy as np

from flatfield.files.frame_table import used_frames
from flatfield.files.tables import number_of

#: What ``illumination_tests.tsv`` tells of a set, by the name of the columns here.
MEASURED = {"uneven": "light source uneven", "gradient": "gradient", "higher": "higher terms", "repeat": "left over"}
QUALITY = [f"{name}_{part}" for name in MEASURED for part in ("percent", "error")] + [
    "noise_percent",
    "saturated_percent",
]
#: Standard errors by which light sources must differ, and noise that counts as more.
DISTINCT, LESS_NOISE = 3.0, 1.2
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
    optics = [frames[0].camera, frames[0].lens]
    optics += [median_of(frames, name) for name in ("focal_length_mm", "aperture")]
    forms = ("{}", "{}", "{:g} mm", "f/{:.3g}")
    return {
        "optics": ", ".join(form.format(value) for form, value in zip(forms, optics, strict=True) if value is not None)
        or None,
        **sizes,
        "noise_percent": 100 / min(signal_to_noise) if known else None,
        "saturated_percent": 100 * max(frame.saturated or 0 for frame in frames),
        "angles": "angles" not in tests or tests["angles"]["verdict"] == "as given",
    }


def judge(rows, doubtful):
    """Say of each set whether it is the one to use, among those of the same camera, lens, focal length and aperture.

    The light source of the best is the most even; sets whose unevenness differs by less than `DISTINCT` errors are
    equal in that, and then the one with the least noise is preferred, if it has `LESS_NOISE` times less.

    Parameters
    ----------
    rows : list of dict
        Of ``sets.tsv``; verdict and reason are added, angles taken out.
    doubtful : set of str
        Names of sets whose differences tell nothing.
    """
    groups = {}
    for row in rows:
        groups.setdefault(row["optics"], []).append(row)
        row.update(verdict="", reason="")
        wrong = [
            words
            for failed, words in (
                (row["uneven_percent"] is None, "its light source is not determined"),
                (row["set"] in doubtful, "its frames or their noise are doubtful"),
                (not row.pop("angles"), "its rotations are probably wrong"),
                (row["saturated_percent"] > SATURATED_PERCENT, "frames are saturated"),
            )
            if failed
        ]
        if wrong:
            row.update(verdict="cannot be judged", reason="; ".join(wrong))
    for members in groups.values():
        able = [row for row in members if not row["verdict"]]
        if len(members) == 1:
            for row in able:
                row.update(verdict="only", reason="no other set has its optics")
        elif able:
            rank(able)


def rank(rows):
    """Fill in the verdict of sets that can be compared."""
    best = min(rows, key=lambda row: row["uneven_percent"])

    def even(row):
        error = np.hypot(row["uneven_error"], best["uneven_error"])
        return row["uneven_percent"] - best["uneven_percent"] <= DISTINCT * error

    equal = [row for row in rows if even(row)]
    quiet = equal
    if all(row["noise_percent"] for row in equal):
        least = min(row["noise_percent"] for row in equal)
        quiet = [row for row in equal if row["noise_percent"] < LESS_NOISE * least]
    for row in rows:
        if row not in equal:
            row.update(verdict="not the best", reason=f"its light source is less even than that of {best['set']}")
        elif row not in quiet:
            row.update(
                verdict="not the best", reason=f"its light source is as even, but {quiet[0]['set']} has less noise"
            )
        elif len(quiet) > 1:
            others = ", ".join(other["set"] for other in quiet if other is not row)
            row.update(verdict="equal", reason=f"cannot be told apart from {others}")
        else:
            why = (
                "the most even light source" if len(equal) == 1 else "a light source as even as others, and less noise"
            )
            row.update(verdict="use", reason=why)


def rms(rows):
    """Quadratic mean over the channels of the differences at large, percent; None where there is none."""
    values = [number_of(row["rms_percent"]) for row in rows]
    known = [value for value in values if value is not None]
    return float(np.sqrt(np.mean(np.square(known)))) if known else None


def median_of(frames, name):
    """Median of a field of frames; None where none knows it."""
    values = [getattr(frame, name) for frame in frames if getattr(frame, name) is not None]
    return float(np.median(values)) if values else None


def tabulate_sets(tables, pairs):
    """Rows of ``sets.tsv``, and its columns in order.

    Parameters
    ----------
    tables : dict
        For each set frames (of ``frames.tsv``), and rows of ``stats.tsv``, ``uniformity.tsv``, ``noise.tsv`` and
        ``illumination_tests.tsv``.
    pairs : dict
        Names of the pairs of subsets of each set.
    """
    rows, doubtful = [], set()
    for name, (frames, stats, uniformity, noise, source) in tables.items():
        frames = used_frames(frames)
        center = [row for row in stats if row["region"] == "center"]
        failed = [frame for frame in frames if frame.reason]
        if 2 * len(failed) > len(frames) or any(row["significant"] not in ("yes", "no") for row in uniformity):
            doubtful.add(name)  # nothing tells whether its subsets differ by more than noise
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
    judge(rows, doubtful)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    first = ["set", "verdict", "most_uniform", "frames", "optics", "exposure_s", "iso", *QUALITY, "reason"]
    order = {"rms": 1, "snr": 2}
    columns = first + sorted(
        [name for name in columns if name not in first], key=lambda name: order[name.split("_")[0]]
    )
    return [dict.fromkeys(columns) | row for row in rows], columns
