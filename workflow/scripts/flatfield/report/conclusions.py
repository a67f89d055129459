"""What the report says: conclusions drawn from the tables, with their figures."""

import math
from collections import defaultdict
from statistics import median

from flatfield.files.tables import UNKNOWN, number_of
from flatfield.report.camera_sentences import describe_camera, warn_of_camera
from flatfield.report.lamp_sentences import describe_hidden, describe_light, describe_verdicts, warn_of_light
from flatfield.report.many_lights import describe_frames, is_long, summarize_frames
from flatfield.report.star_sentences import describe_stars
from flatfield.report.validity_sentences import describe_old_flats

#: A corrected light whose centre and corner agree within this is called even, percent.
EVEN_PERCENT = 3.0
#: Covered pixels further from the black level of the metadata, DN, are worth a warning.
WRONG_BLACK = 3.0
#: In the reason of frames whose light flickered, see `flatfield.measure.screening`.
BANDED = "the lamp flickers"
#: In the reason of frames that are too bright, see there.
SATURATED = "saturated: "
LESS_LIGHT = "Take flats with less light: full pixels do not show how bright they were, and the flat is wrong there."
#: Exposures up to this, s, show how the shutter runs.
SHORT_EXPOSURE = 1 / 1000
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
        Rows of tables by the stem of their name (noise, camera, uniformity, illumination_tests, models, drift,
        validity; vignetting, diagnosis, agreement, stars), and then by set or light.
    preset : tuple
        Name of the preset (None without one), and tables of its lights.
    demo : list of dict
        ``demo.tsv``; empty where the demo is not analysed.

    Returns
    -------
    dict
        Sentences: frames, verdict, unknown, findings (what needs no action), lights, preset and truth, each a list;
        flats, a list by set; warnings, a list of pairs of what is wrong and what to do about it.
    """
    name, of_preset = preset
    by_set = {row["set"]: row for row in sets}
    illumination, drift, noise = tables["illumination_tests"], tables["drift"], tables["noise"]
    old_flats, failed_flats = describe_old_flats(tables["validity"])
    return {
        "frames": [_frames(inventories)],
        "verdict": [*describe_verdicts(sets), *_best_set(sets)],
        "flats": {
            each: [
                *_noise(each, noise[each]),
                *_evenness(each, tables["uniformity"][each], illumination[each], by_set.get(each)),
                *_model(each, tables["models"][each]),
            ]
            for each in inventories
        },
        "findings": [
            *describe_camera(tables["camera"]),
            *old_flats,
            *_gradients(light_tables["diagnosis"]),
            *_straightened(light_tables["diagnosis"]),
        ],
        "unknown": describe_hidden(illumination),
        "lights": [
            *_lights("", light_tables),
            *[line for each, rows in light_tables["stars"].items() for line in describe_stars(each, rows)],
        ],
        "preset": _lights(f"Preset {name}, ", of_preset),
        "truth": _demo(demo),
        "warnings": [
            list(pair)
            for pair in (
                *[warning for each, frames in inventories.items() for warning in _left_out(each, frames)],
                *[warning for each, frames in inventories.items() for warning in _short_exposures(each, frames)],
                *[warning for each, frames in inventories.items() for warning in _black(each, frames)],
                *[warning for each, frames in inventories.items() for warning in _no_zero_level(each, frames)],
                *[warning for each, frames in inventories.items() for warning in _doubts(each, frames)],
                *[warning for each, rows in noise.items() for warning in _not_linear(each, rows)],
                *warn_of_camera(tables["camera"]),
                *warn_of_light(illumination),
                *_drifts(drift),
                *failed_flats,
                *[warning for each, rows in noise.items() for warning in _too_few(each, rows)],
                *_disagreements(light_tables["agreement"]),
                *_unknown_optics(light_tables["agreement"]),
                *_bad_corrections(light_tables["diagnosis"]),
                *_not_straightened(light_tables["diagnosis"]),
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
    flickered = [frame for frame in frames if BANDED in frame.reason]
    unused = [frame for frame in frames if not frame.used and frame not in flickered]
    kept = [frame for frame in frames if frame.used and frame.reason and frame not in flickered]
    warnings = []
    if flickered:
        left_out = sum(not frame.used for frame in flickered)
        warnings.append(
            (
                f"The light of {name} flickered: {len(flickered)} of {len(frames)} frames have bands ({left_out} are "
                f"left out), for example {flickered[0].file}: {flickered[0].reason}.",
                "Expose for 1/10 s or longer, with the mechanical shutter, or use another lamp; dim it by distance.",
            )
        )
    if unused:
        are = "frame is" if len(unused) == 1 else "frames are"
        warnings.append(
            (
                f"In {name} {len(unused)} {are} not used, for example {unused[0].file}: {unused[0].reason}.",
                LESS_LIGHT
                if SATURATED in unused[0].reason
                else "Look at them; if they are good, raise the threshold in `frame_tests`.",
            )
        )
    if kept:
        are = "frame failed a test and is" if len(kept) == 1 else "frames failed a test and are"
        warnings.append(
            (
                f"In {name} {len(kept)} {are} used nevertheless, for example {kept[0].file}: {kept[0].reason}.",
                LESS_LIGHT
                if SATURATED in kept[0].reason
                else "Take more good frames, or lower `min_frames` to leave these out.",
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


def _no_zero_level(name, frames):
    """Flats whose zero level is not known."""
    used = [frame for frame in frames if frame.used and frame.level_dn is not None]
    if not used or any(frame.zero_level not in (None, UNKNOWN) for frame in used):
        return []
    level = median(frame.level_dn for frame in used)
    # a corner with half of the light has (l/2 + o) / (l + o) of the centre: o / l of its half too much, nearly
    error = 100 * 100 / level if level > 0 else math.inf
    return [
        (
            f"The zero level of {name} is not known: no offset frames, no overscan, no black level. Each 100 DN of it "
            f"left in its flats of {level:.4g} DN makes corners with half of the light {error:.2g} % too bright.",
            "Give the set `bias` frames or flat-darks of its gain, or `overscan: true` where its frames have one.",
        )
    ]


def _short_exposures(name, frames):
    """Exposures so short that they show the shutter."""
    short = [
        frame for frame in frames if frame.used and frame.exposure_s and frame.exposure_s <= 1.001 * SHORT_EXPOSURE
    ]
    if not short:
        return []
    least = min(frame.exposure_s for frame in short)
    return [
        (
            f"{len(short)} of {len(frames)} frames of {name} were exposed for 1/{1 / least:.0f} s: shutters run "
            "unevenly at such times, by several percent from edge to edge. This turns with the camera, so it stays in "
            "the flat and no rotation reveals it; lights of longer exposure do not have it.",
            "Dim the light, so that flats take 1/100 s or longer.",
        )
    ]


def _doubts(name, frames):
    """What is odd about frames that are used, frames with the same doubt in one warning."""
    doubtful = defaultdict(list)
    for frame in frames:
        for text in frame.doubt.split("; ") if frame.used and frame.doubt else ():
            doubtful[text].append(frame.file)
    return [
        (f"In {name} {files[0]}{f' and {len(files) - 1} more' if len(files) > 1 else ''}: {text}.", "Look at them.")
        for text, files in doubtful.items()
    ]


def _not_linear(name, rows):
    """What the variances of a set show about its sensor, once for all channels."""
    found = defaultdict(list)
    for row in rows:
        for text in (row["reason"] or "").split("; "):
            kind = next((words for words in NOISE_REMEDIES if words in text), None)
            if kind:
                found[kind].append((row["channel"], text))
    return [
        (f"In {name}, {', '.join(channel for channel, _ in texts)}: {texts[0][1]}.", NOISE_REMEDIES[kind])
        for kind, texts in found.items()
    ]


#: What to do about what the variances show, by words of the reason in ``noise.tsv``.
NOISE_REMEDIES = {
    "neighbouring pixels share": "Switch off noise reduction and lossy compression, if it is not the sensor's own.",
    "the variance bends": "Take flats at 20 to 40 % of saturation.",
    "bright and faint frames differ in shape": (
        "Give the set `bias` frames of its own; if they do not help, take flats and lights at one level."
    ),
    "flats so bright are not linear": "Expose less: at most 60 % of saturation in the brightest channel.",
}


def _evenness(name, rows, tests, compared):
    """Whether the light source of a set was even: as solved for, else by large-scale differences of the subsets."""
    by_test = {row["test"]: row for row in tests}
    solved = by_test.get("light source uneven")
    if compared and solved and number_of(solved["percent"]) is not None:
        return describe_light(name, by_test, compared)
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
        return [f"The quality of the flat of {name} is not known: {'; '.join(reasons) or 'its noise is not known'}."]
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
    short = [row for row in rows if number_of(row["frames_needed"]) and number_of(row["snr_master"])]
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
        described = any(row["remark"].startswith("no model describes") for row in rows)
        return ["No model describes the flat: `models/model.fits` is the flat itself."] if described else []
    predicts = _span([float(row["cv_rms_percent"]) for row in best], ".2g")
    noise = _span([float(row["noise_percent"]) for row in best], ".2g")
    return [
        f"The simplest model of the flat that predicts as well as any is a {best[0]['model']} "
        f"(error of blocks left out: {predicts} %, noise {noise} %)."
    ]


def _disagreements(agreement):
    """Lights and flats known not to belong together; lights with the same doubt in one warning."""
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


#: Fields of which one must be known to say that a flat is of the optics of a light.
OPTICS = ("lens", "telescope", "focal_length_mm")


def _unknown_optics(agreement):
    """Lights of which nothing says that their flat was taken through the same optics."""
    warnings = []
    for light, rows in agreement.items():
        known = {row["quantity"]: row["agreement"] for row in rows}
        if {known.get(name) or UNKNOWN for name in OPTICS} == {UNKNOWN}:  # tables that were read have None
            warnings.append(
                (
                    f"Whether the flat of light {light} was taken through its optics is not known: lens and focal "
                    "length are not recorded.",
                    "Make sure that it was; lenses without contacts record nothing.",
                )
            )
    return warnings


#: What to do about a cause of a wrong correction.
REMEDIES = {
    "encoded": "Give the raw file of the light, not a developed picture.",
    "pedestal": "Give offset frames (`bias`) of the light, or look for stray light in it or in the flats.",
    "flat not flat": "Apply the response (`apply: {flat_kind: response}`), and take subsets with the camera turned.",
    "wrong flat": "Take flats with the lens, focus, aperture and filters of the light; switch off lens corrections.",
}


#: Verdict on a cause that something else explains as well.
UNDECIDED = "not identifiable from these data"


def _supported(diagnoses, causes, verdicts=("supported",)):
    """Sentences on supported causes (or those with other verdicts), frames of a light together; cause and verdict."""
    frames = defaultdict(list)
    for light, rows in diagnoses.items():
        for row in rows:
            if row["verdict"] in verdicts and row["cause"] in causes:
                frames[light, row["cause"], row["verdict"]].append(row)
    for (light, *kind), rows in frames.items():
        shown = rows[0]["frame"] if len(rows) == 1 else f"{len(rows)} frames, for example {rows[0]['frame']}"
        yield f"Light {light}, {shown}: {rows[0]['meaning']} ({rows[0]['evidence'].split(';')[0]}).", *kind


#: What to do where a light was to be corrected for a sensor that is not linear, and was not, by the verdict.
LINEARITY_REMEDIES = {
    "not corrected": (
        "Take flats of a quarter, a half, and all of the light in one set, which show it; or leave out "
        "`apply: {linearity: correct}`."
    ),
    "corrected in part": "Take flats as bright as the light, some of them at least.",
}


def _straightened(diagnoses):
    """Lights that are corrected for a sensor that is not linear, or need no such correction."""
    return [sentence for sentence, *_ in _supported(diagnoses, ("not linear",), ("corrected", "excluded"))]


def _not_straightened(diagnoses):
    """Lights that were to be, and are not, or not all of them."""
    found = _supported(diagnoses, ("not linear",), LINEARITY_REMEDIES)
    return [(sentence, LINEARITY_REMEDIES[verdict]) for sentence, _, verdict in found]


def _gradients(diagnoses):
    """What the sky has of its own, which is no fault of the flat."""
    found = _supported(diagnoses, ("sky gradient",))
    return [f"{sentence} This is the sky: remove it after the division, if at all." for sentence, *_ in found]


def _bad_corrections(diagnoses):
    """Supported causes of a wrong correction."""
    warnings = [(sentence, REMEDIES[cause]) for sentence, cause, _ in _supported(diagnoses, REMEDIES)]
    for light, rows in diagnoses.items():
        open_ = {(row["frame"], row["cause"]): row for row in rows if row["verdict"] == UNDECIDED}
        exposed = [
            row for (frame, cause), row in open_.items() if cause == "shutter" and (frame, "sky gradient") in open_
        ]
        if exposed:
            text = f"Light {light}: the flat may contain the shutter of its short exposures, or the sky has a gradient"
            warnings.append((f"{text} ({exposed[0]['evidence'].split(';')[0]}).", "Take flats of 1/100 s or longer."))
    return warnings


def _lights(prefix, tables):
    """A sentence for each frame, or on many of them: its ratios, and why they are so."""
    sentences = []
    for light, causes in tables["diagnosis"].items():
        if is_long(causes):
            rows = summarize_frames(tables["vignetting"].get(light, []), causes)
            sentences += [f"{prefix}{light}: {sentence}" for sentence in describe_frames(rows, EVEN_PERCENT)]
            continue
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
    open_ = [row["cause"] for row in by_verdict[UNDECIDED]]
    small = [f"{row['cause']} ({row['evidence'].split(';')[0]})" for row in by_verdict["there, but small"]]
    parts = [f"Supported by its tiles: {'; '.join(supported)}"] if supported else []
    if small:
        parts.append(f"{'there' if parts else 'There'}, but small: {'; '.join(small)}")
    if not parts and not open_:
        parts.append("None of the tested causes of a wrong correction applies")
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
        return f"the corner is {mean:.0f} % brighter than the centre, hence over-corrected unless the sky is like that"
    return f"the corner is {-mean:.0f} % darker than the centre, hence under-corrected unless the sky is like that"


def _demo(demo):
    """How far the demo is from its truth."""
    errors = defaultdict(list)
    for row in demo:
        if row["error_percent"]:
            errors[row["quantity"]].append(abs(float(row["error_percent"])))
    if not errors:
        return []
    parts = [f"{quantity} at most {max(values):.2g} %" for quantity, values in errors.items()]
    return [f"Errors against the truth of the demo: {'; '.join(parts)}."]


def _span(values, form):
    """Smallest to largest; one figure where they agree."""
    return " to ".join(dict.fromkeys((format(min(values), form), format(max(values), form))))
