"""Is the raw raw? What a camera did to its frames, as far as flats show it without a reference."""

import numpy as np

from flatfield.measure.code_counts import measure_codes
from flatfield.measure.code_steps import FOUND as FOUND_STEPS
from flatfield.measure.code_steps import SURE
from flatfield.measure.level_fit import solve_blacks
from flatfield.measure.line_noise import find_bands_of_reading, measure_lines
from flatfield.measure.linearity import judge_linearity
from flatfield.measure.shading import OUTLIER, TERMS, measure_shading
from flatfield.measure.tile_noise import DISTANCES
from flatfield.raw.cfa import CHANNEL_OF_COLOR
from flatfield.raw.robust import SIGMA_PER_MAD

CAMERA_COLUMNS = ["effect", "channel", "value", "error", "verdict", "meaning"]
#: Errors from which on an effect is found: of a thousand sets with dozens of effects none is found by chance.
FOUND = 5.0
#: An effect is excluded if it is below these with two errors: percent; of the level; of the noise of a pixel.
SHADING_LIMIT, LINEAR_LIMIT, SHARED_LIMIT, BLACK_LIMIT, LINE_LIMIT = 3.0, 2.0, 1.0, 0.005, 0.1
#: Share of the noise, percent, above which it was filtered: what sensors do themselves is less.
FILTERED = 5.0
#: Missing or overfull codes that are no whim of a converter: their number, and percent of all.
FEWEST_WRONG, WRONG_CODES = 3, 0.5
#: Steps that the noise of a pixel must be for single codes to be judged.
NOISE_IN_STEPS = 3.0
TOO_FEW_LINES = "fewer than 64 lines"
OF_NOISE = "linearity of noise"
ALL = "all"


def tabulate_camera(camera):
    """Rows of ``camera.tsv``, and that of ``linearity.tsv``.

    Parameters
    ----------
    camera : flatfield.measure.linearity.CameraEvidence

    Returns
    -------
    rows : list of dict
        effect, channel (or all), value, error, verdict, meaning.
    linearity : dict
    """
    evidence, channels = camera.pairs, camera.cfa.channels
    lines = _lines(evidence, camera.cfa.period)
    along = [axis for axis, row in enumerate(lines[:2]) if row["verdict"] == "found"]
    shared, distances = _shared(evidence, along)
    *shading, of_noise = _shading(camera, distances)
    noise = (of_noise["value"], of_noise["error"]) if of_noise["value"] is not None else None
    linearity = judge_linearity(camera, noise)
    blacks = solve_blacks(camera.levels, camera.full)
    rows = [
        *shading,
        _of_levels(linearity, of_noise["channel"]),
        of_noise,
        *(_black(camera.levels, *each) for each in zip(channels, blacks, strict=True)),
        shared,
        *lines,
        *_codes(evidence, channels),
        *(_rings(channel, each) for channel, each in zip(channels, evidence.steps or [None] * 3, strict=False)),
    ]
    return rows, linearity


def _of_levels(linearity, channel):
    """The row of ``linearity.tsv`` as an effect."""
    verdict, meaning = linearity["verdict"], linearity["meaning"]
    if verdict == "found":
        meaning = f"{meaning}; `apply: {{linearity: correct}}` takes it out of lights and their flat"
    return _row("linearity of levels", channel, linearity["percent"], linearity["error"], verdict, meaning)


def _row(effect, channel, value, error, verdict, meaning):
    return dict(zip(CAMERA_COLUMNS, (effect, channel, value, error, verdict, meaning), strict=True))


def _judge(effect, channel, value, error, limit, unit, found, unsure):
    """A row with its verdict: found beyond `FOUND` errors, excluded where it is below the limit, else not told."""
    if abs(value) > FOUND * error:
        return _row(effect, channel, value, error, "found", found)
    most = abs(value) + 2 * error
    if most < limit:
        return _row(effect, channel, value, error, "excluded", f"less than {most:.2g} {unit}")
    return _row(effect, channel, value, error, "not told", unsure)


def _untold(effect, channel, why):
    return _row(effect, channel, None, None, "not told", why)


def _totals(tiles, distances):
    """Level, variance (with what neighbours share at these distances) and number of pixels of tiles."""
    level, variance, count = (tiles[:, part] for part in range(3))
    return level, variance + sum(tiles[:, 3 + DISTANCES.index(each)] for each in distances), count


def _shading(camera, distances):
    """Shading and amplifiers, of all channels together and of each, and linearity of all together."""
    evidence, channels = camera.pairs, camera.cfa.channels
    alone = [(name, [index]) for index, name in enumerate(channels)]
    groups = [(ALL, list(range(len(channels)))), *alone] if len(channels) > 1 else alone
    found, linearity = [[] for _ in TERMS], []
    for name, members in groups:
        result, why = None, "no two consecutive frames of a subset are at one level"
        if evidence.pairs:
            level, variance, count = (each[:, members] for each in _totals(camera.tiles, distances))
            offsets = np.mean([evidence.offsets[index] for index in members], axis=0) if evidence.offsets else None
            limits = [camera.full[index] for index in members]
            where = evidence.positions, evidence.shape
            result, why = measure_shading(level, variance, count, where[0], where[1], limits, offsets, camera.has_black)
        for term, effect in enumerate(TERMS):
            found[term].append(_of_term(effect, name, term, result) if result else _untold(effect, name, why))
        if name == groups[0][0]:
            linearity.append(_linearity(name, result) if result else _untold(OF_NOISE, name, why))
    return [row for rows in found for row in rows] + linearity


def _of_term(effect, channel, term, result):
    each = result.percent, result.error, result.percent_if_linear, result.error_if_linear
    value, error, linear, linear_error = (float(values[term]) for values in each)
    size = f"{value:+.2g} +- {error:.2g} %"
    unsure = f"{size}: more frames show it better, and bias frames and flats of two levels (one half as bright)"
    if abs(linear) > FOUND * linear_error:
        unsure = (
            f"a factor of {linear:+.2g} +- {linear_error:.2g} % and a sensor that is not linear look alike here: take "
            "flats of two levels (one half as bright) in one set"
        )
    where = {
        "shading radial": "from the centre to the corners",
        "shading left to right": "from the left edge to the right",
        "shading top to bottom": "from the top edge to the bottom",
    }.get(effect)
    meaning = (
        f"the camera multiplied its raws by a factor that changes by {size} {where}: flats correct only lights with "
        "the same correction (same lens, aperture, focus)"
        if where
        else f"the right half of the frame has a gain of its own, {size} off that of the left: flats correct it"
    )
    return _judge(effect, channel, value, error, SHADING_LIMIT, "%", meaning, unsure)


def _linearity(channel, result):
    value, error = result.nonlinearity, result.nonlinearity_error
    size = f"{value:+.2g} +- {error:.2g} %"
    return _judge(
        OF_NOISE, channel, value, error, LINEAR_LIMIT, "% at saturation",
        f"the signal is {size} off a straight line at saturation, as the noise has it (or charge spreads): take flats "
        "and lights at like levels",
        f"{size} at saturation: flats of two levels (one half as bright) show it better",
    )  # fmt: skip


def _black(levels, channel, found):
    """What bright and faint frames show of the black level."""
    effect = "black level"
    if found is None:
        why = "needs frames of unequal levels, and light that falls off from the centre"
        return _untold(effect, channel, why)
    value, error = found
    return _judge(
        effect, channel, value, error, BLACK_LIMIT * levels.highest, "DN",
        f"bright and faint frames differ in shape, as with {value:+.3g} +- {error:.2g} DN left of the black level: "
        "give the set bias frames",
        f"{value:+.3g} +- {error:.2g} DN: frames whose levels differ more show it better",
    )  # fmt: skip


def _shared(evidence, along):
    """Noise that neighbours share, without what rows (0) or columns (1) with noise of their own give; where it is."""
    effect = "noise shared by neighbours"
    if not evidence.pairs:
        return _untold(effect, ALL, "no two consecutive frames of a subset are at one level"), []
    used = [each for each in DISTANCES if not any(each[axis] == 0 for axis in along)]
    variance, count = evidence.tiles[:, 1], evidence.tiles[:, 2]
    good = (variance > 0) & (count > 4)
    count = np.where(good, count, 0.0)
    parts = evidence.tiles[:, [3 + DISTANCES.index(each) for each in used]].swapaxes(0, 1)
    # channels of a tile joined first, as a product of two neighbours counts for both
    weights = count.sum(axis=1)
    ratios = (parts / np.where(good, variance, 1.0) * count).sum(axis=2) / np.maximum(weights, 1.0)
    middle = np.median(ratios[:, weights > 0], axis=1)[:, None, None, None]
    rest = np.abs(ratios - middle)
    usual = np.median(rest[:, weights > 0], axis=1)[:, None, None, None]
    weights = np.where((rest <= OUTLIER * SIGMA_PER_MAD * usual).all(axis=0), weights, 0.0)  # stars are no noise
    if (weights > 0).sum() < 2:
        return _untold(effect, ALL, "the frames have no noise"), []
    means = (ratios * weights).sum(axis=(1, 2, 3)) / weights.sum()
    rest = (ratios - means[:, None, None, None]) * weights
    # tiles side by side have the noise of rows in common, those one above the other that of columns
    units = [rest, *(rest.sum(axis=3 - axis) for axis in along)]
    errors = np.max([np.sqrt((each**2).reshape(len(used), -1).sum(axis=1)) for each in units], axis=0) / weights.sum()
    there = np.abs(means) > FOUND * errors
    distances = [each for each, found in zip(used, there, strict=True) if found]
    chosen = there if distances else np.ones(len(used), bool)
    value, error = 100 * float(means[chosen].sum()), 100 * float(np.sqrt((errors[chosen] ** 2).sum()))
    size = f"{value:+.2g} +- {error:.2g} %"
    filtered = abs(value) > FILTERED
    kind = "noise was filtered, or pixels interpolated" if filtered else "charge that spreads, or a weak filter"
    listed = ", ".join("{} x {}".format(*each) for each in distances)
    if distances:
        meaning = f"pixels share {size} of their noise with neighbours (rows x columns apart: {listed}): {kind}"
        return _row(effect, ALL, value, error, "found", meaning), distances
    if abs(value) + 2 * error < SHARED_LIMIT:
        return _row(effect, ALL, value, error, "excluded", f"less than {abs(value) + 2 * error:.2g} % of it"), []
    return _row(effect, ALL, value, error, "not told", f"{size}: more frames show it better"), []


def _lines(evidence, period):
    """Noise and bands of rows and columns."""
    if not evidence.pairs:
        why = "no two consecutive frames of a subset are at one level"
        return [_untold(f"{name} {kind}", ALL, why) for kind in ("noise", "bands") for name in ("row", "column")]
    of_pixels = float(np.sqrt(np.median(evidence.tiles[:, 1])))
    profiles = {"row": evidence.rows, "column": evidence.columns}
    return [
        *(_noise_of_lines(*each, of_pixels, period) for each in zip(profiles.items(), evidence.expected, strict=True)),
        *(_bands(name, lines, of_pixels) for name, lines in profiles.items()),
    ]


def _noise_of_lines(named, expected, of_pixels, period):
    (name, lines), effect = named, f"{named[0]} noise"
    variance, error = measure_lines(lines, float(expected), period)
    if not np.isfinite(variance):
        return _untold(effect, ALL, TOO_FEW_LINES)
    value = float(np.sqrt(max(variance, 0.0)))
    found = (
        f"{name}s have noise of their own, {value:.2g} DN beside the {of_pixels:.2g} DN of a pixel: it averages out "
        "over frames, and means over blocks are less certain than their pixels say"
    )
    most = float(np.sqrt(max(variance, 0.0) + 2 * error))
    error_of_value = error / (2 * max(value, float(np.sqrt(error))))
    return _row(effect, ALL, value, error_of_value, *_verdict(variance > FOUND * error, found, most, of_pixels))


def _bands(name, lines, of_pixels):
    effect, (amplitude, error, period, strength) = f"{name} bands", find_bands_of_reading(lines)
    if not np.isfinite(amplitude):
        return _untold(effect, ALL, TOO_FEW_LINES)
    found = (
        f"bands of {amplitude:.2g} +- {error:.2g} DN, {period:.3g} {name}s apart: of the reading, or a lamp flickers"
    )
    return _row(effect, ALL, amplitude, error, *_verdict(strength > 1, found, amplitude + 3 * error, of_pixels))


def _verdict(is_found, meaning, most, of_pixels):
    """Verdict and meaning of what lines have, DN."""
    if is_found:
        return "found", meaning
    if most < LINE_LIMIT * of_pixels:
        return "excluded", f"less than {most:.2g} DN"
    return "not told", f"less than {most:.2g} DN; more frames show it better"


def _codes(evidence, channels):
    """Steps, missing and overfull codes; of two greens the worse one."""
    steps, missing, overfull = [], [], []
    noises = np.sqrt(np.median(evidence.tiles[:, 1], axis=(0, 2, 3))) if evidence.pairs else np.zeros(len(channels))
    for index, channel in enumerate(channels):
        colors = [color for color in evidence.codes if CHANNEL_OF_COLOR[color] == index]
        measured = [each for each in (measure_codes(evidence.codes[color]) for color in colors) if each[0]]
        if not measured:
            why = "the numbers of these frames are not whole" if evidence.pairs else "no pair of frames was measured"
            for rows, effect in ((steps, "digital steps"), (missing, "missing codes"), (overfull, "overfull codes")):
                rows.append(_untold(effect, channel, why))
            continue
        step, noise = max(each[0] for each in measured), float(noises[index])
        steps.append(_step(channel, step, noise))
        for rows, effect, part, found in (
            (missing, "missing codes", 1, "stretched by a digital gain, or compressed with loss"),
            (overfull, "overfull codes", 2, "shrunk by a digital gain, or compressed with loss"),
        ):
            counted = [each[part] for each in measured if each[part] and noise >= NOISE_IN_STEPS * step]
            rows.append(_wrong_codes(effect, channel, counted, found))
    return [*steps, *missing, *overfull]


def _rings(channel, steps):
    """Whole steps of a correction that changes with the radius."""
    effect = "steps against radius"
    if steps is None:
        return _untold(effect, channel, "no pair of frames of whole numbers was measured")
    if steps.shared:
        return _untold(effect, channel, "the numbers have steps that are the same everywhere, which hide others")
    if steps.sigma > FOUND_STEPS:
        factors = 1 + steps.percent / 100, 1 / (1 + steps.percent / 100)
        meaning = (
            "numbers were multiplied and rounded: steps that grow with the radius, as of a factor that reaches "
            f"{factors[0]:.3g} +- {steps.error / 100:.2g} in the corners (or {factors[1]:.2g}, which has like steps); "
            "they show as coloured rings in what is stretched"
        )
        return _row(effect, channel, steps.percent, steps.error, "found", meaning)
    if steps.least is None:
        return _untold(effect, channel, "too few pixels in pairs, or too little noise, to show any")
    meaning = f"less than those of a factor that grows by {steps.least:.2g} % to the corners"
    return _row(effect, channel, 0.0, steps.least / (FOUND_STEPS + SURE), "excluded", meaning)


def _step(channel, step, noise):
    if step == 1:
        return _row("digital steps", channel, step, 0.0, "excluded", "steps of 1 DN")
    harm = "coarser than the noise: means keep errors of the rounding" if step > noise > 0 else "which does no harm"
    meaning = f"all numbers are {step} DN apart, beside noise of {noise:.2g} DN: fewer bits than the file has, {harm}"
    return _row("digital steps", channel, step, 0.0, "found", meaning)


def _wrong_codes(effect, channel, counted, found):
    if not counted:
        return _untold(effect, channel, "too few pixels have each code, or their noise is below three steps")
    wrong, count = max(counted, key=lambda each: each[0] / each[1])
    percent, error = 100 * wrong / count, 100 * float(np.sqrt(max(wrong, 1))) / count
    if wrong >= FEWEST_WRONG and percent >= WRONG_CODES:
        meaning = f"{percent:.2g} % of the codes are {effect.split()[0]}: numbers were {found}"
        return _row(effect, channel, percent, error, "found", meaning)
    return _row(effect, channel, percent, error, "excluded", f"{wrong} of {count} codes")
