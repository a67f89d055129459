"""What the report says: conclusions drawn from the tables, with their figures."""

import math
from collections import defaultdict

from flatfield.tables import format_exposure, number_of

#: A corrected light whose centre and corner agree within this is called even, percent.
EVEN_PERCENT = 3.0


def conclude(sets, inventories, measured, lights, preset, demo):
    """Draw the conclusions.

    Parameters
    ----------
    sets : list of dict
        ``sets.tsv``.
    inventories : dict
        Rows of ``frames.tsv`` by set.
    measured : tuple of dict
        Rows of ``noise.tsv``, ``uniformity.tsv``, ``illumination_tests.tsv``, ``models.tsv`` and ``drift.tsv`` by set.
    lights : tuple of dict
        Rows of ``vignetting.tsv``, ``diagnosis.tsv`` and ``agreement.tsv`` by light.
    preset : tuple
        Name of the preset (None without one), and its ``vignetting.tsv`` and ``diagnosis.tsv`` by light.
    demo : list of dict
        ``demo.tsv``; empty where the demo is not analysed.

    Returns
    -------
    list of str
        Sentences.
    """
    name, preset_lights, preset_diagnoses = preset
    lights, diagnoses, agreement = lights
    noise, uniformity, illumination, models, drift = measured
    return [
        _frames(inventories),
        *[sentence for each, rows in inventories.items() for sentence in _doubtful(each, rows)],
        *_verdicts(sets),
        *_best_set(sets),
        *[sentence for each, rows in uniformity.items() for sentence in _evenness(each, rows)],
        *_sources(illumination),
        *[sentence for each, rows in noise.items() for sentence in _noise(each, rows)],
        *_drifts(drift),
        *_models(models),
        *_disagreements(agreement),
        *_lights("Light ", lights, diagnoses),
        *_lights(f"Preset {name}, ", preset_lights, preset_diagnoses),
        *_demo(demo),
    ]


def _frames(inventories):
    frames = [row for rows in inventories.values() for row in rows]
    unused = sum(row["used"] != "yes" for row in frames)
    sets = f"{len(inventories)} {'set' if len(inventories) == 1 else 'sets'}"
    verb = "is" if unused == 1 else "are"
    rest = f"{unused} {verb} not used, for the reasons below." if unused else "all of them are used."
    return f"{len(frames)} flat-field frames in {sets}: {rest}"


def _doubtful(name, rows):
    """A warning of frames that failed a test and are used nevertheless."""
    kept = [row for row in rows if row["used"] == "yes" and row["reason"]]
    if not kept:
        return []
    are = "frame failed a test and is" if len(kept) == 1 else "frames failed a test and are"
    example = f"{kept[0]['file']}: {kept[0]['reason']}"
    return [f"Beware: in {name} {len(kept)} {are} used nevertheless, for example {example}."]


def _evenness(name, rows):
    """What the differences of the subsets of a set say of its light source."""
    if not rows:
        return []
    if any(row["significant"] not in ("yes", "no") for row in rows):
        return [f"Whether the light source of {name} was even is not determined: {rows[0]['reason']}."]
    significant = [row for row in rows if row["significant"] == "yes"]
    if not significant:
        return [f"The subsets of {name} do not differ by more than noise: the light source was even, or did not turn."]
    worst = max(significant, key=lambda row: float(row["rms_percent"]))
    rms, noise, gradient, error = (
        float(worst[key]) for key in ("rms_percent", "noise_percent", "gradient_percent", "gradient_error")
    )
    return [
        f"The light source of {name} was uneven: {worst['pair']} differ in {worst['channel']} by {rms:.2g} % rms "
        f"(noise {noise:.1g} %)"
        + (f", with a gradient of {gradient:.2g} ± {error:.1g} % across the frame." if gradient > 2 * error else ".")
    ]


def _sources(illumination):
    """What was found of the light sources, and what cannot be; a set with one subset has nothing to turn."""
    solved = {name: {row["test"]: row for row in rows} for name, rows in illumination.items()}
    solved = {name: tests for name, tests in solved.items() if "solvable" not in tests}
    corrected = defaultdict(list)
    for name, tests in solved.items():
        if tests["light source uneven"]["verdict"] == "yes":
            corrected[tests["cannot be seen"]["evidence"]].append(name)
    sentences = []
    for hidden, names in corrected.items():
        limit = f"; what these angles cannot tell from the lens stays in it: {hidden}" if hidden else ""
        sentences.append(
            f"The response ({', '.join(f'{name}/response.fits' for name in names)}) is the flat without the unevenness "
            f"that turned with the camera{limit}."
        )
    for name, tests in solved.items():
        angles = tests["angles"]
        if angles["verdict"] != "as given":
            sentences.append(f"Beware: the rotations of {name} are {angles['verdict']}; {angles['evidence']}.")
    return sentences


def _noise(name, rows):
    """How good the flat of a set is."""
    masters = [number_of(row["snr_master"]) for row in rows]
    known = [100 / snr for snr in masters if snr]
    if not known:
        reasons = [text for text in rows[0]["reason"].split("; ") if not text.startswith("saturation")]
        return [f"How good the flat of {name} is cannot be told: {'; '.join(reasons) or 'its noise is not known'}."]
    sentence = f"The standard error of a pixel of the flat of {name} is {_span(known, '.2g')} % at the centre"
    needed = [number_of(row["frames_needed"]) for row in rows]
    if all(needed):
        wanted = float(rows[0]["wanted_error_percent"])
        sentence += f"; {max(needed):.0f} frames suffice for {wanted:g} % in all channels"
    added = [number_of(row["adds_to_light_percent"]) for row in rows]
    if all(value is not None for value in added):
        sentence += f"; it adds {max(added):.2g} % to the noise of a light as bright as one flat"
    gains = [number_of(row["gain_e_per_dn"]) for row in rows]
    if all(gains):
        sentence += f". Gain: {_span(gains, '.3g')} e-/DN"
    return [sentence + "."]


def _best_set(sets):
    best = next((row for row in sets if row["most_uniform"] == "yes"), None)
    if best is None:
        return []
    others = [row for row in sets if row is not best and row["rms_percent"]]
    listed = ", ".join(f"{row['set']} by {float(row['rms_percent']):.2g} %" for row in others)
    rms = f"{float(best['rms_percent']):.2g}"
    return [f"The most uniform set is {best['set']}: its subsets differ by {rms} % rms, those of {listed}."]


def _verdicts(sets):
    """Which set to use for each optics, with its figures."""
    sentences = []
    for optics in dict.fromkeys(row["optics"] for row in sets):
        members = [row for row in sets if row["optics"] == optics]
        good = [row for row in members if row["verdict"] in ("use", "equal")]
        of = f" for {optics}" if optics else ""
        if len(members) > 1 and good:
            names = " or ".join(row["set"] for row in good)
            why = f", which cannot be told apart: {_quality(good[0])}" if len(good) > 1 else f": {_quality(good[0])}"
            others = "; ".join(f"{row['set']}: {row['reason']}{_unevenness(row)}" for row in members if row not in good)
            tail = f" ({others})" if others else ""
            sentences.append(f"Use {names}{of}{why}{tail}.")
        elif len(members) > 1:
            listed = "; ".join(f"{row['set']}: {row['reason']}" for row in members)
            sentences.append(f"Which set to use{of} cannot be told ({listed}).")
        elif len(sets) > 1 and members[0]["verdict"] == "only":
            sentences.append(f"{members[0]['set']} is the only set{of}: {_quality(members[0])}.")
    return sentences


def _unevenness(row):
    return "" if number_of(row["uneven_percent"]) is None else f", {_measured(row, 'uneven')}"


def _quality(row):
    """Figures of a set."""
    parts = []
    if number_of(row["uneven_percent"]) is not None:
        parts.append(f"its light source is uneven by {_measured(row, 'uneven')} rms")
    if number_of(row["noise_percent"]) is not None:
        parts.append(f"the error of a pixel of its flat is {float(row['noise_percent']):.2g} %")
    if number_of(row["repeat_percent"]) is not None:
        parts.append(f"its subsets repeat within {max(float(row['repeat_percent']), float(row['repeat_error'])):.1g} %")
    parts.append(f"{float(row['saturated_percent']):.2g} % of the pixels are saturated")
    return ", ".join(parts)


def _measured(row, name):
    value, error = float(row[f"{name}_percent"]), float(row[f"{name}_error"])
    digits = min(max(-math.floor(math.log10(error)), 1), 6) if error > 0 else 3
    return f"{value:.{digits}f} ± {error:.{digits}f} %"


def _drifts(drift):
    """Light sources that changed while a subset was taken."""
    sentences = []
    for name, rows in drift.items():
        found = [row for row in rows if row["significant"] == "yes"]
        if found:
            worst = max(found, key=lambda row: float(row["rms_percent"]))
            subsets = ", ".join(dict.fromkeys(row["subset"] for row in found))
            sentences.append(
                f"Beware: the light of {name} changed its distribution during subset {subsets}: halves differ by up to "
                f"{float(worst['rms_percent']):.2g} % rms (noise {float(worst['noise_percent']):.1g} %)."
            )
    return sentences


def _models(models):
    """Which model was chosen, by how it predicts; sets with the same in one sentence."""
    chosen = defaultdict(list)
    for name, rows in models.items():
        best = [row for row in rows if row["chosen"] == "yes"]
        if not best:
            continue
        predicts = _span([float(row["cv_rms_percent"]) for row in best], ".2g")
        noise = _span([float(row["noise_percent"]) for row in best], ".2g")
        chosen[best[0]["model"]].append(f"{name} {predicts} %, noise {noise} %")
    return [
        f"The simplest model of the flat that predicts as well as any is a {model} (error of blocks left out: "
        f"{'; '.join(parts)})."
        for model, parts in chosen.items()
    ]


def _disagreements(agreement):
    """Lights and flats that do not belong together, as far as is known."""
    sentences = []
    for light, rows in agreement.items():
        for row in [row for row in rows if row["agreement"] in ("error", "warning")][:3]:
            verb = "is wrong for" if row["agreement"] == "error" else "may be wrong for"
            sentences.append(
                f"Beware: the flat {verb} light {light}, {row['frame']}: {row['quantity']} {row['light']} against "
                f"{row['flat']} ({row['remark']})."
            )
    return sentences


def _lights(prefix, vignetting, diagnoses):
    """A sentence for each frame: its ratios, and why they are so."""
    sentences = []
    for light, causes in diagnoses.items():
        ratios = defaultdict(lambda: defaultdict(list))
        for row in vignetting.get(light, []):
            if row["ratio"]:
                ratios[row["frame"]][row["stage"]].append(float(row["ratio"]))
        for frame in dict.fromkeys(row["frame"] for row in causes):
            stages, words = ratios[frame], ""
            if stages["before"] and stages["after"]:
                words = (
                    f"centre over corner is {_span(stages['before'], '.2f')} before and "
                    f"{_span(stages['after'], '.2f')} after: {_judge(stages['after'])}. "
                )
            sentences.append(
                f"{prefix}{light}, {frame}: {words}{_causes([row for row in causes if row['frame'] == frame])}"
            )
    return sentences


def _causes(rows):
    """What the tests of the causes say of a frame."""
    by_verdict = defaultdict(list)
    for row in rows:
        by_verdict[row["verdict"]].append(row)
    supported = [f"{row['meaning']} ({row['evidence'].split(';')[0]})" for row in by_verdict["supported"]]
    open_ = [row["cause"] for row in by_verdict["not identifiable from these data"]]
    parts = [f"Supported by its tiles: {'; '.join(supported)}"] if supported else []
    if not supported and not open_:
        parts.append("None of the tested causes of a wrong correction is at work")
    if open_:
        parts.append(f"{'not' if parts else 'Not'} identifiable from these data: {', '.join(open_)}")
    return "; ".join(parts) + "."


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


#: Columns of ``noise.tsv`` in words, with the column of their error, in the order of the report.
NOISE_WORDS = {
    "gain, e-/DN": ("gain_e_per_dn", "gain_error"),
    "read noise, e-": ("read_noise_e", "read_noise_error"),
    "pixel response (PRNU), %": ("prnu_percent", "prnu_error"),
    "saturation, DN": ("saturation_dn", None),
    "non-linearity at high level, %": ("nonlinearity_percent", "nonlinearity_error"),
    "S/N of a pixel of one frame": ("snr_frame", "snr_frame_error"),
    "S/N of a pixel of the master": ("snr_master", "snr_master_error"),
    "the same, predicted": ("snr_predicted", None),
    "slope of log noise against log frames": ("depth_slope", "depth_slope_error"),
    "frames needed for the wanted error": ("frames_needed", None),
    "added to the noise of a light as bright as one flat, %": ("adds_to_light_percent", None),
    "pairs of frames measured": ("pairs", None),
}


def tabulate_noise(rows):
    """``noise.tsv`` with a row a quantity and a column a channel, values with their errors.

    Parameters
    ----------
    rows : list of dict

    Returns
    -------
    list of dict
        quantity, and a text for each channel.
    """
    table = []
    for words, (column, error) in NOISE_WORDS.items():
        table.append({"quantity": words} | {row["channel"]: _with_error(row, column, error) for row in rows})
    return [*table, {"quantity": "not determined"} | {row["channel"]: row["reason"] or "-" for row in rows}]


def _with_error(row, column, error):
    value = number_of(row[column])
    if value is None:
        return row[column]
    uncertainty = number_of(row[error]) if error else None
    if not uncertainty:
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    digits = min(max(1 - math.floor(math.log10(uncertainty)), 0), 6)
    return f"{value:.{digits}f} ± {uncertainty:.{digits}f}"


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
        frames, used, subsets, camera, lens, settings, size, time, unused (rows of the frames that are not used), kept
        (of those used although a test failed).
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
        "kept": [row for row in used if row["reason"]],
    }
