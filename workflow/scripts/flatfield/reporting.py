"""What the report says: conclusions drawn from the tables, with their figures."""

from collections import defaultdict

from flatfield.tables import format_exposure


def conclude(sets, inventories, models, vignetting, preset, demo):
    """Draw the conclusions.

    Parameters
    ----------
    sets : list of dict
        ``sets.tsv``.
    inventories, models, vignetting, preset : dict
        Rows of ``frames.tsv`` and ``models.tsv`` by set; of ``vignetting.tsv`` by light, of this run and of the preset.
    demo : list of dict
        ``demo.tsv``; empty where the demo is not analysed.

    Returns
    -------
    list of str
        Sentences.
    """
    sentences = [_frames(inventories), *_best_set(sets), *_models(sets, models)]
    for light, rows in vignetting.items():
        sentences.append(_light(light, rows))
    for light, rows in preset.items():
        sentences.append("As the notebook did it: " + _light(light, rows))
    return [sentence for sentence in [*sentences, _demo(demo)] if sentence]


def _frames(inventories):
    frames = [row for rows in inventories.values() for row in rows]
    unused = sum(row["used"] != "yes" for row in frames)
    count = f"{len(frames)} flat-field frames in {len(inventories)} {'set' if len(inventories) == 1 else 'sets'}: "
    return count + (f"{unused} are not used, for the reasons below." if unused else "all of them are used.")


def _best_set(sets):
    best = next((row for row in sets if row["most_uniform"] == "yes"), None)
    if best is None:
        return []
    others = ", ".join(
        f"{row['set']} {_round(row['rms_percent'])} %" for row in sets if row is not best and row["rms_percent"]
    )
    return [
        f"The most uniform set is {best['set']}: its subsets differ by {_round(best['rms_percent'])} % rms ({others})."
    ]


def _models(sets, models):
    best = next((row["set"] for row in sets if row["most_uniform"] == "yes"), next(iter(models)))
    residuals = defaultdict(list)
    for row in models[best]:
        residuals[row["model"]].append(float(row["rms_percent"]))
    parts = [f"a {model} leaves {min(values):.2g} to {max(values):.2g} %" for model, values in residuals.items()]
    return [f"Models of the flat of {best}: {' and '.join(parts)} rms over, pixel response and noise included."]


def _light(light, rows):
    frames = list(dict.fromkeys(row["frame"] for row in rows))
    parts = []
    for frame in frames:
        ratios = {
            stage: [
                float(row["ratio"]) for row in rows if row["frame"] == frame and row["stage"] == stage and row["ratio"]
            ]
            for stage in ("before", "after")
        }
        if all(ratios.values()):
            before, after = (_span(values) for values in ratios.values())
            parts.append(f"{frame}: {before} before, {after} after")
    return f"Light {light}, centre over corner: {'; '.join(parts)}." if parts else ""


def _demo(demo):
    errors = [abs(float(row["difference_percent"])) for row in demo if row["difference_percent"]]
    return (
        f"Against the truth of the demo, centre/corner ratios are off by at most {max(errors):.1f} %." if errors else ""
    )


def _span(values):
    """Smallest to largest of some ratios; one figure where they agree."""
    return " to ".join(dict.fromkeys((f"{min(values):.2f}", f"{max(values):.2f}")))


def _round(text):
    return f"{float(text):.2g}"


def summarize_inventory(rows):
    """One line of a set for the report: frames, subsets, camera and settings, exclusions.

    Parameters
    ----------
    rows : list of dict
        ``frames.tsv``.

    Returns
    -------
    dict
        frames, used, subsets, camera, lens, settings, time, unused (file and reason of each).
    """
    used = [row for row in rows if row["used"] == "yes"]

    def span(name, show="{:g}".format):
        values = sorted({float(row[name]) for row in used if row[name]})
        return " to ".join(dict.fromkeys((show(values[0]), show(values[-1])))) if values else "unknown"

    times = sorted(row["time"] for row in used if row["time"])
    return {
        "frames": len(rows),
        "used": len(used),
        "subsets": ", ".join(dict.fromkeys(row["subset"] for row in used if row["subset"])),
        "camera": used[0]["camera"] or "unknown",
        "lens": used[0]["lens"] or "unknown",
        "settings": f"{span('exposure_s', format_exposure)}, ISO {span('iso')}, f/{span('aperture')}",
        "size": f"{used[0]['rows']} x {used[0]['columns']}, {used[0]['cfa']}",
        "time": " to ".join(dict.fromkeys((times[0], times[-1]))) if times else "unknown",
        "unused": [row for row in rows if row["used"] != "yes"],
    }
