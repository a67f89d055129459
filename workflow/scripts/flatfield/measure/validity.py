"""Does an old flat still hold? Dust, vignetting and pixel response of an old master against a new one."""

from dataclasses import dataclass

import numpy as np

from flatfield.measure.blocks import average_good, block_positions, block_side
from flatfield.measure.dust import map_details
from flatfield.measure.dust_motion import follow_dust
from flatfield.measure.models import BLOCKS_PER_PARAMETER, fit_polynomial
from flatfield.measure.response_change import compare_response
from flatfield.measure.vignetting_change import EXCLUSIVE, LIGHT, SmoothPart, measure_change

VALIDITY_COLUMNS = ["flat", "taken", "subject", "row", "column", "value", "error", "unit", "verdict", "meaning"]
#: Blocks across the frame that the smooth part is measured in, and the highest degree of its model.
ACROSS, DEGREE = 48, 8
#: Blocks across the map that is drawn.
DRAWN = 400
HOLDS, MODEL, DETAIL, NEW = "still holds", "take the model only", "detail only", "new flats needed"
NOT_TOLD = "not told"


@dataclass(frozen=True)
class Validity:
    """What became of an old flat.

    Attributes
    ----------
    rows : list of dict
        Of ``validity.tsv``, without the name of the flat.
    quotient : numpy.ndarray, float32, ``(rows, columns)``
        Old over new flat in blocks, percent, without their levels.
    """

    rows: list
    quotient: np.ndarray


def compare_flats(old, new):
    """Compare an old master with a new one.

    Parameters
    ----------
    old, new : flatfield.raw.mosaic.Mosaic
        Of one shape and colour pattern; error and mask are used where there are some.

    Returns
    -------
    Validity
    """
    good = old.good & new.good & np.isfinite(old.value) & np.isfinite(new.value) & (old.value > 0) & (new.value > 0)
    size = block_side(new.shape, new.cfa, ACROSS)
    x, y = block_positions(new.shape, size, new.cfa)
    means = [average_good(each.value, good, new.cfa, size) for each in (old, new)]
    models = [[_model(x[c], y[c], mean[c]) for c in range(len(x))] for mean, _ in means]
    with np.errstate(all="ignore"):
        ratio = np.log(means[1][0] / means[0][0])
    error = np.hypot(
        *(_relative_error(each, mean, good, size) for each, (mean, _) in zip((old, new), means, strict=True))
    )
    changes = measure_change(SmoothPart(x, y, ratio, error, (models[0], models[1]), new.shape))
    fine = map_details((old, new), good, models)
    fates, motion = follow_dust(*fine)
    responses = dict(zip(new.cfa.channels, compare_response(old, new, good), strict=True))
    side = fine[0].side
    rows = [*_of_vignetting(changes), *_of_response(responses), *_of_dust(fates, motion, side)]
    return Validity([_judge(changes, responses, fates), *rows], _quotient(old, new, good))


def _model(x, y, mean):
    """Polynomial of one channel, relative errors alike, of the highest degree that the blocks allow."""
    known = np.isfinite(mean) & (mean > 0)
    most = min(DEGREE, min(mean.shape) // 2)  # along either axis
    enough = [d for d in range(most + 1) if known.sum() >= BLOCKS_PER_PARAMETER * (d + 1) * (d + 2) / 2]
    degree = max(enough, default=0)
    weights = np.where(known, 1 / np.where(known, mean, 1) ** 2, 0)
    return fit_polynomial(x, y, np.where(known, mean, 0), weights, degree)


def _relative_error(mosaic, mean, good, size):
    """Standard error of ln of the means of blocks; without ``UNCERT`` that of a signal of one electron a DN."""
    channels = mosaic.cfa.channel_map((mosaic.cfa.period,) * 2)
    pixels = np.bincount(channels.ravel()) * (size // mosaic.cfa.period) ** 2
    with np.errstate(all="ignore"):
        if mosaic.error is None:
            return np.sqrt(1 / np.abs(mean) / pixels[:, None, None])
        squares = average_good(np.where(good, mosaic.error, 0) ** 2, good, mosaic.cfa, size)[0]
        return np.sqrt(squares / pixels[:, None, None]) / mean


def _quotient(old, new, good):
    """Old over new in blocks that mix the colours, percent about 0."""
    size = block_side(new.shape, new.cfa, DRAWN)
    with np.errstate(all="ignore"):
        means = [average_good(each.value, good, new.cfa, size)[0] for each in (old, new)]
        ratio = means[0] / means[1]
        known = np.isfinite(ratio)
        levels = [np.median(plane[there]) if there.any() else 1.0 for plane, there in zip(ratio, known, strict=True)]
        parts = np.where(known, ratio / np.array(levels)[:, None, None] - 1, 0).sum(axis=0) / known.sum(axis=0)
    return (100 * parts).astype(np.float32)


def _row(subject, value=None, error=None, unit="", verdict="", meaning="", place=("", "")):
    row = {"subject": subject, "row": place[0], "column": place[1], "value": value, "error": error, "unit": unit}
    return row | {"verdict": verdict, "meaning": meaning}


def _of_vignetting(changes):
    """Rows of the smooth part."""
    if not changes:
        return [_row("vignetting", verdict=NOT_TOLD, meaning="too few blocks count")]
    rows = []
    for term in changes:
        text = ""
        if term.verdict == "changed" and term.group == LIGHT:
            text = "the light sources differ; which of them is uneven two flats do not tell"
        elif term.verdict == "changed":
            text = f"changes the flat by up to {term.percent:.2g} %"
            if term.group in EXCLUSIVE:
                text += "; a light source that is brighter in the middle looks the same"
        elif term.verdict == NOT_TOLD:
            text = "another of these explains the change as well"
        rows.append(_row(term.subject, term.value, term.error, term.unit, term.verdict, text))
    return rows


def _of_response(responses):
    """Rows of the pixel response."""
    return [
        _row(f"pixel response, {channel}", part, error, "part in common", verdict, reason)
        for channel, (part, error, verdict, reason) in responses.items()
    ]


def _of_dust(fates, motion, side):
    """Rows of the dust as a whole, and of each shadow."""
    counts = {name: sum(fate.verdict == name for fate in fates) for name in ("same", "changed", "moved", "gone", "new")}
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    changed = len(fates) - counts["same"]
    verdict = "changed" if changed else "same"
    rows = [_row("dust", changed, 0, "shadows that changed", verdict, told or "no shadows found")]
    if motion is not None:
        shift, error = (motion.right * side, motion.down * side), motion.shift_error * side
        found = "moved" if np.hypot(*shift) > 4 * error else "same"
        text = f"of {motion.shadows} shadows"
        rows.append(_row("dust moved right", shift[0], error, "px", found, text))
        rows.append(_row("dust moved down", shift[1], error, "px", found, text))
        if motion.shadows > 2:
            found = "moved" if abs(motion.turn) > 4 * motion.turn_error else "same"
            rows.append(_row("dust turned", motion.turn, motion.turn_error, "degrees counter-clockwise", found, text))
    for number, fate in enumerate(fates, 1):
        rows += _of_shadow(number, fate, side)
    return rows


def _of_shadow(number, fate, side):
    shadow, name = fate.shadow, f"shadow {number}"
    place = [int((each + 0.5) * side) for each in shadow.place]
    text = f"radius about {shadow.radius * side:.0f} px"
    if fate.verdict == "changed":
        text += f"; {100 * fate.old.depth:.2g} % deep in the old flat"
    rows = [_row(f"{name}, depth", 100 * shadow.depth, 100 * shadow.error, "%", fate.verdict, text, place)]
    if fate.right is not None:
        for direction, value in (("right", fate.right), ("down", fate.down)):
            verdict = "moved" if fate.verdict == "moved" else "same"
            rows.append(_row(f"{name}, moved {direction}", value * side, fate.error * side, "px", verdict, "", place))
    return rows


def _judge(changes, responses, fates):
    """The verdict of the whole, and why."""
    counted = [term for term in changes if term.verdict == "changed"]
    doubtful = [term for term in changes if term.verdict == NOT_TOLD]
    if any(term.group in EXCLUSIVE for term in counted):
        doubtful = [term for term in doubtful if term.group not in EXCLUSIVE]
    moved = [term for term in counted if term.group != LIGHT]
    reasons = [f"{_plain(moved)} ({max(term.percent for term in moved):.2g} % of the flat)"] if moved else []
    if doubtful:
        worst = max(term.percent for term in doubtful)
        reasons.append(f"{_plain(doubtful)}: which of these, is not told ({worst:.2g} %)")
    fine = [fate for fate in fates if fate.verdict != "same"]
    if fine:
        deepest = 100 * max(max(each.depth for each in (fate.old, fate.new) if each) for fate in fine)
        shadows = "shadow" if len(fine) == 1 else "shadows"
        reasons.append(f"{len(fine)} {shadows} of dust moved, new, gone or changed (up to {deepest:.2g} % deep)")
    other, open_ones = (
        [channel for channel, (_, _, verdict, _) in responses.items() if verdict == wanted]
        for wanted in ("changed", NOT_TOLD)
    )
    if other:
        reasons.append(f"the pixel response is another one in {', '.join(other)}")
    light = [term for term in counted if term.group == LIGHT]
    if light:
        reasons.append(
            f"the light sources differ by a gradient of {np.linalg.norm([term.value for term in light]):.2g} %"
        )
    smooth, detail = bool(moved or doubtful), bool(fine or other)
    if not changes:
        text = "; ".join([*reasons, "vignetting cannot be measured, too few blocks count"])
        return _row("old flat", None, None, "% change of the smooth part", NOT_TOLD, text)
    verdict = {(False, False): HOLDS, (False, True): MODEL, (True, False): DETAIL, (True, True): NEW}[smooth, detail]
    largest = max([term.percent for term in (*moved, *doubtful)], default=0.0)
    text = "; ".join(reasons) or "nothing changed"
    if open_ones:
        text += f"; whether the pixel response is the same is not told in {', '.join(open_ones)}"
    return _row("old flat", largest, None, "% change of the smooth part", verdict, text)


def _plain(terms):
    return ", ".join(dict.fromkeys(term.subject for term in terms))
