"""What the report says: conclusions drawn from the tables, with their figures."""

from collections import defaultdict

from flatfield.tables import format_exposure

#: A corrected light whose centre and corner agree within this is called even, percent.
EVEN_PERCENT = 3.0


def conclude(sets, inventories, models, lights, preset, demo):
    """Draw the conclusions.

    Parameters
    ----------
    sets : list of dict
        ``sets.tsv``.
    inventories, models, lights : dict
        Rows of ``frames.tsv`` and ``models.tsv`` by set, of ``vignetting.tsv`` by light.
    preset : tuple of str and dict
        Name of the preset (None without one), and its ``vignetting.tsv`` by light.
    demo : list of dict
        ``demo.tsv``; empty where the demo is not analysed.

    Returns
    -------
    list of str
        Sentences.
    """
    name, preset_lights = preset
    return [
        _frames(inventories),
        *_best_set(sets),
        _models(sets, models),
        *[sentence for light, rows in lights.items() for sentence in _light(f"Light {light}", rows)],
        *[sentence for light, rows in preset_lights.items() for sentence in _light(f"Preset {name}, {light}", rows)],
        *_demo(demo),
    ]


def _frames(inventories):
    frames = [row for rows in inventories.values() for row in rows]
    unused = sum(row["used"] != "yes" for row in frames)
    sets = f"{len(inventories)} {'set' if len(inventories) == 1 else 'sets'}"
    verb = "is" if unused == 1 else "are"
    rest = f"{unused} {verb} not used, for the reasons below." if unused else "all of them are used."
    return f"{len(frames)} flat-field frames in {sets}: {rest}"


def _best_set(sets):
    best = next((row for row in sets if row["most_uniform"] == "yes"), None)
    if best is None:
        return []
    others = [row for row in sets if row is not best and row["rms_percent"]]
    listed = ", ".join(f"{row['set']} by {float(row['rms_percent']):.2g} %" for row in others)
    rms = f"{float(best['rms_percent']):.2g}"
    return [f"The most uniform set is {best['set']}: its subsets differ by {rms} % rms, those of {listed}."]


def _models(sets, models):
    best = next((row["set"] for row in sets if row["most_uniform"] == "yes"), next(iter(models)))
    residuals = defaultdict(list)
    for row in models[best]:
        residuals[row["model"]].append(float(row["rms_percent"]))
    parts = [f"a {model} leaves {_span(values, '.2g')} % rms over" for model, values in residuals.items()]
    return f"Models of the flat of {best}: {', '.join(parts)}, pixel response and noise included."


def _light(subject, rows):
    """A sentence for each frame: its ratios, and what they mean."""
    ratios = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["ratio"]:
            ratios[row["frame"]][row["stage"]].append(float(row["ratio"]))
    return [
        f"{subject}, {frame}: centre over corner is {_span(stages['before'], '.2f')} before and "
        f"{_span(stages['after'], '.2f')} after: {_judge(stages['after'])}."
        for frame, stages in ratios.items()
        if stages["before"] and stages["after"]
    ]


def _judge(ratios):
    """What centre over corner of a corrected light means; the sky itself need not be even."""
    deviations = [100 * (1 / ratio - 1) for ratio in ratios]
    if max(map(abs, deviations)) <= EVEN_PERCENT:
        return f"even within {EVEN_PERCENT:g} %"
    mean = sum(deviations) / len(deviations)
    if mean > 0:
        return f"the corner is {mean:.0f} % brighter than the centre, so that it is over-corrected unless the sky is so"
    return f"the corner is {-mean:.0f} % darker than the centre, so that it is under-corrected unless the sky is so"


def _demo(demo):
    """How far the demo is from its truth."""
    errors = defaultdict(list)
    for row in demo:
        if row["error_percent"]:
            errors[row["quantity"]].append(abs(float(row["error_percent"])))
    if not errors:
        return []
    parts = [f"{quantity} by at most {max(values):.2g} %" for quantity, values in errors.items()]
    return [f"Against the truth of the demo, off are: {'; '.join(parts)}."]


def _span(values, form):
    """Smallest to largest; one figure where they agree."""
    return " to ".join(dict.fromkeys((format(min(values), form), format(max(values), form))))


def summarize_inventory(rows):
    """One line of a set for the report: frames, subsets, camera and settings, exclusions.

    Parameters
    ----------
    rows : list of dict
        ``frames.tsv``.

    Returns
    -------
    dict
        frames, used, subsets, camera, lens, settings, size, time, unused (rows of the frames that are not used).
    """
    used = [row for row in rows if row["used"] == "yes"]

    def span(name, show="{:g}".format):
        values = [float(row[name]) for row in used if row[name]]
        return " to ".join(dict.fromkeys((show(min(values)), show(max(values))))) if values else "unknown"

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
