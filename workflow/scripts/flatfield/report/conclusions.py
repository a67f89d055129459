"""What the report says: conclusions drawn from the tables, with their figures."""

import math
from collections import defaultdict
from statistics import median

from flatfield.files.tables import UNKNOWN, number_of
from flatfield.measure.agreement import LEFT_OUT, left_out
from flatfield.report.camera_sentences import describe_camera, warn_of_camera
from flatfield.report.lamp_sentences import describe_hidden, describe_light, describe_verdicts, warn_of_light
from flatfield.report.many_lights import describe_frames, frames_of, is_long, summarize_frames
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
#: Errors of a pixel beyond the wanted one by this factor are worth a warning.
TOO_NOISY = 1.5
#: Exposures up to this, s, show how the shutter runs.
SHORT_EXPOSURE = 1 / 1000
#: Warnings that a run ends with; all are in the report.
SHOWN_WARNINGS = 6
#: Findings, and folders of lights, that it names.
SHOWN_FINDINGS, SHOWN_LIGHTS = 3, 3


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
    _, of_preset = preset
    by_set = {row["set"]: row for row in sets}
    illumination, drift, noise = tables["illumination_tests"], tables["drift"], tables["noise"]
    old_flats, failed_flats = describe_old_flats(tables["validity"])
    return {
        "frames": [_frames(inventories)],
        "verdict": [*describe_verdicts(sets), *_best_set(sets)],
        "flats": {
            each: [
                *_noise(noise[each]),
                *_evenness(each, tables["uniformity"][each], illumination[each], by_set.get(each)),
                *_model(tables["models"][each]),
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
            *_lights(light_tables),
            *[line for each, rows in light_tables["stars"].items() for line in describe_stars(each, rows)],
        ],
        "preset": _lights(of_preset),
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
                *_left_out_lights(light_tables["agreement"]),
                *_disagreements(light_tables["agreement"]),
                *_unknown_optics(light_tables["agreement"]),
                *_bad_corrections(light_tables["diagnosis"]),
                *_not_straightened(light_tables["diagnosis"]),
            )
        ],
    }


def summarize(story, results, lights=()):
    """The few lines that a run ends with: frames, the best set, findings, warnings, where results are.

    Parameters
    ----------
    story : dict
        What `conclude` returns.
    results : pathlib.Path
        Folder of the results.
    lights : sequence of str
        Names of the lights that are calibrated.

    Returns
    -------
    str
    """
    warnings = [f"Beware: {warning} {remedy}" for warning, remedy in story["warnings"]]
    more = [f"... and {len(warnings) - SHOWN_WARNINGS} more warnings."] * (len(warnings) > SHOWN_WARNINGS)
    places = [f"Calibrated lights: {results / 'lights' / name}" for name in lights[:SHOWN_LIGHTS]]
    places += [f"... and of {len(lights) - SHOWN_LIGHTS} more lights"] * (len(lights) > SHOWN_LIGHTS)
    found = [f"Found: {sentence}" for sentence in story["findings"][:SHOWN_FINDINGS]]
    told = [*story["frames"], *story["verdict"], *found, *warnings[:SHOWN_WARNINGS], *more]
    told += [] if warnings else ["Nothing needs your attention."]
    return "\n".join([*told, *places, f"Report: {results / 'report.html'}"])


def _frames(inventories):
    frames = [frame for frames in inventories.values() for frame in frames]
    if not inventories:
        return "No flats of its own: lights are divided by flats that were there."
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
        are = "is" if len(unused) == 1 else "are"
        warnings.append(
            (
                f"{len(unused)} of {len(frames)} flats of {name} {are} left out, for example {unused[0].file}: "
                f"{unused[0].reason}.",
                LESS_LIGHT
                if SATURATED in unused[0].reason
                else "Open them; if they look fine, raise the threshold in `frame_tests`.",
            )
        )
    if kept:
        are = "failed a test and is" if len(kept) == 1 else "failed a test and are"
        warnings.append(
            (
                f"{len(kept)} of {len(frames)} flats of {name} {are} used nevertheless, for example {kept[0].file}: "
                f"{kept[0].reason}.",
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


def _noise(rows):
    """How good the flat of a set is, in its worst channel."""
    masters = [number_of(row["snr_master"]) for row in rows]
    known = [100 / snr for snr in masters if snr]
    if not known:
        reasons = [text for text in rows[0]["reason"].split("; ") if not text.startswith("saturation")]
        return [f"How noisy this flat is is not known: {'; '.join(reasons) or 'its noise is not known'}."]
    sentence = f"A pixel of this flat is uncertain by {max(known):.2g} %"
    needed, wanted = [number_of(row["frames_needed"]) for row in rows], float(rows[0]["wanted_error_percent"])
    if all(needed):
        enough = "would be enough" if max(known) < wanted else "are needed"
        sentence += f" ({max(needed):.0f} frames {enough} for {wanted:g} %)"
    added = [number_of(row["adds_to_light_percent"]) for row in rows]
    if all(value is not None for value in added):
        sentence += f". It makes a light as bright as one flat {max(added):.1g} % noisier"
    return [sentence + "."]


def _best_set(sets):
    best = next((row for row in sets if row["most_uniform"] == "yes"), None)
    if best is None:
        return []
    others = [row for row in sets if row is not best and row["rms_percent"]]
    listed = ", ".join(f"{row['set']} by {float(row['rms_percent']):.2g} %" for row in others)
    rms = f"{float(best['rms_percent']):.2g}"
    return [f"The most uniform light was that of {best['set']}: its subsets differ by {rms} % rms ({listed})."]


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
    short = [row for row in short if 100 / float(row["snr_master"]) > TOO_NOISY * float(row["wanted_error_percent"])]
    if not short:
        return []
    needed = max(float(row["frames_needed"]) for row in short)
    error = max(100 / float(row["snr_master"]) for row in short)
    return [
        (
            f"A pixel of the flat of {name} is uncertain by {error:.2g} %, more than the "
            f"{float(short[0]['wanted_error_percent']):g} % wanted.",
            f"Take {needed:.0f} frames, or change `noise: wanted_error_percent`.",
        )
    ]


def _model(rows):
    """Which model was chosen, by how it predicts."""
    best = [row for row in rows if row["chosen"] == "yes"]
    if not best:
        described = any(row["remark"].startswith("no model describes") for row in rows)
        return ["No model describes the flat: `models/model.fits` is the flat itself."] if described else []
    predicts, noise = (max(float(row[name]) for row in best) for name in ("cv_rms_percent", "noise_percent"))
    return [
        f"The simplest good model of it is a {best[0]['model']}: it predicts blocks that it was not fitted to within "
        f"{predicts:.2g} % (noise {noise:.2g} %)."
    ]


def _left_out_lights(agreement):
    """Frames of lights that are not calibrated."""
    warnings = []
    for light, rows in agreement.items():
        reasons = left_out(rows)
        if reasons:
            frames, (first, reason) = len({row["frame"] for row in rows}), next(iter(reasons.items()))
            are = "frame is" if len(reasons) == 1 else "frames are"
            text = f"Light {light}: {len(reasons)} of {frames} {are} left out, for example {first}: {reason}."
            remedy = "Copy what cannot be read again; what another flat fits, make a light of its own with that `flat`."
            warnings.append((text, remedy))
    return warnings


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
        known = {row["quantity"]: row["agreement"] for row in rows if row["agreement"] != LEFT_OUT}
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
    "pedestal": "Check that its `bias` or `dark` frames fit, or give some; look for stray light, in the flats too.",
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


def _lights(tables):
    """A sentence for each frame, or on many of them: its ratios, and why they are so."""
    sentences = []
    for light, causes in tables["diagnosis"].items():
        if is_long(causes):
            rows = summarize_frames(tables["vignetting"].get(light, []), causes)
            sentences += [f"{light}: {sentence}" for sentence in describe_frames(rows, EVEN_PERCENT)]
            continue
        by_frame = frames_of(causes)
        for row in sorted(summarize_frames(tables["vignetting"].get(light, []), causes), key=lambda row: row["frame"]):
            words = _causes(by_frame[row["frame"]])
            sentences.append(f"{light}, {row['frame']}: {_describe_corner(row)}{words}")
    return sentences


def _causes(rows):
    """What the tests of the causes say of a frame."""
    by_verdict = defaultdict(list)
    for row in rows:
        by_verdict[row["verdict"]].append(row)
    supported = [f"{row['meaning']} ({row['evidence'].split(';')[0]})" for row in by_verdict["supported"]]
    open_ = [row["cause"] for row in by_verdict[UNDECIDED]]
    small = [f"{row['cause']} ({row['evidence'].split(';')[0]})" for row in by_verdict["there, but small"]]
    parts = [f"What explains it: {'; '.join(supported)}."] if supported else []
    if small:
        parts.append(f"There, but small: {'; '.join(small)}.")
    if not parts and not open_:
        parts.append(f"None of the {len(rows)} causes of a wrong correction that are tested applies.")
    if open_:
        parts.append(f"This frame cannot tell whether these play a part: {', '.join(open_)}.")
    return " ".join(parts)


def _describe_corner(row):
    """The light of the corner before and after the division, and what it means; the sky itself need not be even."""
    if row["before"] is None or row["after"] is None:
        return ""
    before, after = (f"{100 + row[name]:.0f} %" for name in ("before", "after"))
    words = f"before, the corner had {before} of the light of the centre; now it has {after}: "
    if abs(row["after"]) <= EVEN_PERCENT:
        return f"{words}even within {EVEN_PERCENT:g} %. "
    if row["after"] > 0:
        return f"{words}either the sky is brighter there, or the flat corrects too much. "
    return f"{words}either the sky is darker there, or the flat corrects too little. "


def _demo(demo):
    """How far the demo is from its truth."""
    errors = defaultdict(list)
    for row in demo:
        if row["error_percent"]:
            errors[row["quantity"]].append(abs(float(row["error_percent"])))
    if not errors:
        return []
    parts = [f"{quantity}: {max(values):.2g} %" for quantity, values in errors.items()]
    return [f"The truth of the demo is known. Largest errors: {'; '.join(parts)}."]


def _span(values, form):
    """Smallest to largest; one figure where they agree."""
    return " to ".join(dict.fromkeys((format(min(values), form), format(max(values), form))))
