"""What the report says: conclusions drawn from the tables, with their figures."""

from collections import defaultdict
from statistics import median

from flatfield.files.tables import number_of
from flatfield.report.lamp_sentences import describe_hidden, describe_light, describe_verdicts, warn_of_light

#: A corrected light whose centre and corner agree within this is called even, percent.
EVEN_PERCENT = 3.0
#: Covered pixels further from the black level of the metadata, DN, are worth a warning.
WRONG_BLACK = 3.0
#: Warnings that a run ends with; all are in the report.
SHOWN_WARNINGS = 6


def conclude(sets, inventories, tables, light_tables, preset, demo):
    """Draw the conclusions.

    Parameters
    ----------
    sets : list of dict
        ``sets.tsv``.
    inventories : dict
        Frames (`FrameRecord`) by set.
    tables, light_tables : dict
        Rows of tables by the stem of their name (noise, uniformity, illumination_tests, models, drift; vignetting,
        diagnosis, agreement), and then by set or light.
    preset : tuple
        Name of the preset (None without one), and tables of its lights.
    demo : list of dict
        ``demo.tsv``; empty where the demo is not analysed.

    Returns
    -------
    dict
        Sentences: frames, verdict, unknown, lights, preset and truth, each a list; flats, a list by set; warnings, a
        list of pairs of what is wrong and what to do about it.
    """
    name, of_preset = preset
    judged = {row["set"]: row for row in sets}
    illumination, drift, noise = tables["illumination_tests"], tables["drift"], tables["noise"]
    return {
        "frames": [_frames(inventories)],
        "verdict": [*describe_verdicts(sets), *_best_set(sets)],
        "flats": {
            each: [
                *_noise(each, noise[each]),
                *_evenness(each, tables["uniformity"][each], illumination[each], judged.get(each)),
                *_model(each, tables["models"][each]),
            ]
            for each in inventories
        },
        "unknown": describe_hidden(illumination),
        "lights": _lights("", light_tables),
        "preset": _lights(f"Preset {name}, ", of_preset),
        "truth": _demo(demo),
        "warnings": [
            list(pair)
            for pair in (
                *[warning for each, frames in inventories.items() for warning in _left_out(each, frames)],
                *[warning for each, frames in inventories.items() for warning in _black(each, frames)],
                *warn_of_light(illumination),
                *_drifts(drift),
                *[warning for each, rows in noise.items() for warning in _too_few(each, rows)],
                *_disagreements(light_tables["agreement"]),
                *_bad_corrections(light_tables["diagnosis"]),
            )
        ],
    }


def summarize(story, report):
    """The few lines that a run ends with: frames, the best set, warnings, where the report is.

    Parameters
    ----------
    story : dict
        What `conclude` returns.
    report : str
        Path of the report.

    Returns
    -------
    str
    """
    warnings = [f"Beware: {warning} {remedy}" for warning, remedy in story["warnings"]]
    more = [f"... and {len(warnings) - SHOWN_WARNINGS} more warnings."] * (len(warnings) > SHOWN_WARNINGS)
    return "\n".join([*story["frames"], *story["verdict"], *warnings[:SHOWN_WARNINGS], *more, f"Report: {report}"])


def _frames(inventories):
    frames = [frame for frames in inventories.values() for frame in frames]
    unused = sum(not frame.used for frame in frames)
    sets = f"{len(inventories)} {'set' if len(inventories) == 1 else 'sets'}"
    verb = "is" if unused == 1 else "are"
    rest = f"{unused} {verb} not used, for the reasons below." if unused else "all of them are used."
    return f"{len(frames)} flat-field frames in {sets}: {rest}"


def _left_out(name, frames):
    """Warnings of frames that are not used, and of those that failed a test and are used nevertheless."""
    unused = [frame for frame in frames if not frame.used]
    kept = [frame for frame in frames if frame.used and frame.reason]
    warnings = []
    if unused:
        are = "frame is" if len(unused) == 1 else "frames are"
        warnings.append(
            (
                f"In {name} {len(unused)} {are} not used, for example {unused[0].file}: {unused[0].reason}.",
                "Look at them; if they are good, raise the threshold in `frame_tests`.",
            )
        )
    if kept:
        are = "frame failed a test and is" if len(kept) == 1 else "frames failed a test and are"
        warnings.append(
            (
                f"In {name} {len(kept)} {are} used nevertheless, for example {kept[0].file}: {kept[0].reason}.",
                "Take more good frames, or lower `min_frames` to leave these out.",
            )
        )
    return warnings


def _black(name, frames):
    """Black levels of the metadata that the covered pixels contradict."""
    apart = [frame.black_off_dn for frame in frames if frame.used and frame.black_off_dn is not None]
    if not apart or abs(median(apart)) <= WRONG_BLACK:
        return []
    remedy = "Give the set `bias` frames, which take the place of the black level of the metadata."
    return [(f"The black level of {name} is doubtful: covered pixels read {median(apart):+.3g} DN above it.", remedy)]


def _evenness(name, rows, tests, judged):
    """Whether the light source of a set was even: as solved for, else by the differences of the subsets at large."""
    by_test = {row["test"]: row for row in tests}
    solved = by_test.get("light source uneven")
    if judged and solved and number_of(solved["percent"]) is not None:
        return describe_light(name, by_test, judged)
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


def _drifts(drift):
    """Light sources that changed while a subset was taken."""
    warnings = []
    for name, rows in drift.items():
        found = [row for row in rows if row["significant"] == "yes"]
        if found:
            worst = max(found, key=lambda row: float(row["rms_percent"]))
            subsets = ", ".join(dict.fromkeys(row["subset"] for row in found))
            warnings.append(
                (
                    f"The light of {name} changed its distribution during subset {subsets}: halves differ by up to "
                    f"{float(worst['rms_percent']):.2g} % rms (noise {float(worst['noise_percent']):.1g} %).",
                    "Take the frames faster, or under a steadier light (no clouds, no twilight).",
                )
            )
    return warnings


def _too_few(name, rows):
    """Sets with fewer frames than the wanted error needs."""
    short = [row for row in rows if number_of(row["frames_needed"]) and row["snr_master"]]
    short = [row for row in short if 100 / float(row["snr_master"]) > float(row["wanted_error_percent"])]
    if not short:
        return []
    needed = max(float(row["frames_needed"]) for row in short)
    errors = _span([100 / float(row["snr_master"]) for row in short], ".2g")
    return [
        (
            f"The flat of {name} has an error of {errors} % a pixel at the centre, "
            f"more than the wanted {float(short[0]['wanted_error_percent']):g} %.",
            f"Take {needed:.0f} frames, or change `noise: wanted_error_percent`.",
        )
    ]


def _model(name, rows):
    """Which model was chosen, by how it predicts."""
    best = [row for row in rows if row["chosen"] == "yes"]
    if not best:
        return []
    predicts = _span([float(row["cv_rms_percent"]) for row in best], ".2g")
    noise = _span([float(row["noise_percent"]) for row in best], ".2g")
    return [
        f"The simplest model of the flat that predicts as well as any is a {best[0]['model']} "
        f"(error of blocks left out: {predicts} %, noise {noise} %)."
    ]


def _disagreements(agreement):
    """Lights and flats that do not belong together, as far as is known; lights with the same doubt in one warning."""
    frames = defaultdict(list)
    for light, rows in agreement.items():
        for row in rows:
            if row["agreement"] in ("error", "warning"):
                key = row["agreement"], light, row["quantity"], row["light"], row["flat"], row["remark"]
                frames[key].append(row["frame"])
    warnings = []
    for (kind, light, quantity, own, other, remark), names in frames.items():
        verb = "is wrong for" if kind == "error" else "may be wrong for"
        shown = names[0] if len(names) == 1 else f"{len(names)} frames"
        remedy = "Apply the flat of a set taken with the same camera, lens, aperture and focus."
        warnings.append(
            (f"The flat {verb} light {light}, {shown}: {quantity} {own} against {other} ({remark}).", remedy)
        )
    return warnings


#: What to do about a cause of a wrong correction.
REMEDIES = {
    "encoded": "Give the raw file of the light, not a developed picture.",
    "pedestal": "Give offset frames (`bias`) of the light, or look for stray light in it or in the flats.",
    "flat not flat": "Apply the response (`apply: {flat_kind: response}`), and take subsets with the camera turned.",
    "sky gradient": "This is the sky, not the flat: remove it after the division, if at all.",
    "wrong flat": "Take flats with the lens, focus, aperture and filters of the light; switch off lens corrections.",
}


def _bad_corrections(diagnoses):
    """Supported causes of a wrong correction, frames of a light together."""
    frames = defaultdict(list)
    for light, rows in diagnoses.items():
        for row in rows:
            if row["verdict"] == "supported":
                frames[light, row["cause"]].append(row)
    warnings = []
    for (light, cause), rows in frames.items():
        shown = rows[0]["frame"] if len(rows) == 1 else f"{len(rows)} frames"
        evidence = rows[0]["evidence"].split(";")[0]
        warnings.append((f"Light {light}, {shown}: {rows[0]['meaning']} ({evidence}).", REMEDIES[cause]))
    return warnings


def _lights(prefix, tables):
    """A sentence for each frame: its ratios, and why they are so."""
    sentences = []
    for light, causes in tables["diagnosis"].items():
        ratios = defaultdict(lambda: defaultdict(list))
        for row in tables["vignetting"].get(light, []):
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


def _span(values, form):
    """Smallest to largest; one figure where they agree."""
    return " to ".join(dict.fromkeys((format(min(values), form), format(max(values), form))))
