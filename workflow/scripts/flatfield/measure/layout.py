"""What a flat proves of its own layout: which pixels are green, whether there are colours at all, and dead borders."""

from dataclasses import dataclass

import numpy as np

from flatfield.files.errors import InventoryError
from flatfield.raw.cfa import CHANNEL_OF_COLOR
from flatfield.raw.decode import black_beside_bias, signal
from flatfield.raw.decoded import read_again
from flatfield.raw.robust import SIGMA_PER_MAD

#: Levels of neighbouring pixels that differ by more than this part have filters of different colours.
COLOURED = 0.05
#: Levels that differ by less than this part are those of one colour, or of none.
ALIKE = 0.01
#: Greens differ by less than this part of what red and blue differ by.
GREENS = 0.3
#: Level above black from which on there is light to speak of, standard deviations of a pixel: 25 electrons at least.
LIGHT = 5.0
#: Rows and columns that pixels are apart whose scatter this is: a multiple of all periods (2, 4, 6).
APART = 12
#: Levels of the pixels of a tile differ if they do so by this many standard errors.
SIGNIFICANT = 6.0
#: Lines at the border that are less than this part of those further in are no image, if they end in a step as large.
DEAD = 0.7
#: Lines at the border that are looked at: this part of the length, and no more than this many.
BORDER_PART, BORDER_LINES = 8, 200


@dataclass(frozen=True)
class Layout:
    """What a flat says of its layout.

    Attributes
    ----------
    problem : str
        Why the colour pattern cannot be right; empty if nothing speaks against it.
    doubts : list of str
        What should be looked at.
    """

    problem: str
    doubts: list


def judge_layout(frame, black, bias=None):
    """Judge the colour pattern and the borders of a flat.

    Levels of the four pixels of a 2 x 2 tile show the greens: two on a diagonal that are alike. Red and blue look the
    same in this, so that a pattern that is off by a row *and* a column cannot be seen. A frame with next to no light
    (bias, dark) proves nothing, and has neither problem nor doubts: there, levels above black are about 0, so that any
    pattern of the readout is large beside them.

    Parameters
    ----------
    frame : flatfield.raw.decode.Frame
        A flat that is not saturated.
    black : numpy.ndarray, float32, ``(4,)``, DN
        What is subtracted beside a bias.
    bias : numpy.ndarray, float32, ``(rows, columns)``, optional

    Returns
    -------
    Layout
    """
    cfa = frame.cfa
    values = signal(frame.mosaic[None], black[None], cfa, bias)[0]
    problem, doubts = "", []
    if not _has_light(values):
        return Layout(problem, doubts)
    if cfa.period == 1:
        problem = _colours_without_pattern(values)
    elif cfa.period == 2:
        problem, doubt = _greens_elsewhere(values, cfa)
        doubts += [doubt] if doubt else []
    area = find_image(values, cfa)
    if area != (0, values.shape[0], 0, values.shape[1]):
        doubts.append(
            f"its borders hold no image (unmarked overscan, or dead lines): set the key `area: {list(area)}` (first "
            "row, last row, first column, last column), which cuts them off"
        )
    return Layout(problem, doubts)


def judge_used(records, frames, reading, bias, asserted):
    """Judge the layout of a set by the frame in the middle of those that are used; see `check_layout`.

    Parameters
    ----------
    records : list of FrameRecord
    frames : list of str
        Their files.
    reading : bool or dict
        How frames are read, see `flatfield.raw.decode.Reading`.
    bias : numpy.ndarray, float32, ``(rows, columns)``, DN, or None
    asserted : bool
        Whether the configuration names the colour pattern.
    """
    used = [index for index, record in enumerate(records) if record.used]
    index = used[len(used) // 2]
    frame = read_again(frames[index], records[index].sha256, reading)
    black = black_beside_bias(frame.black, bias is not None, reading)
    check_layout(records[index], judge_layout(frame, black, bias), asserted)


def tile_levels(values, period):
    """Mean level of each pixel of a repeating tile in the central quarter, ``(period, period)``."""
    box = _central(values, period)
    return np.array([[box[i::period, j::period].mean() for j in range(period)] for i in range(period)])


def _central(values, period):
    """Central quarter of a frame, which begins with a whole tile."""
    top, left = (length // 4 // period * period for length in values.shape)
    return values[top : 3 * values.shape[0] // 4, left : 3 * values.shape[1] // 4]


def _has_light(values):
    """Whether the level above black is far above the scatter of a pixel, fixed patterns of the readout included."""
    box = _central(values, 1).astype(np.float64)
    step = (box[APART:, APART:] - box[:-APART, :-APART]).ravel()
    scatter = SIGMA_PER_MAD * np.median(np.abs(step - np.median(step))) / np.sqrt(2) if step.size else 0.0
    return box.mean() > LIGHT * scatter


def _differ(values, period):
    """Whether the pixels of a repeating tile differ by more than chance and fixed patterns make of rows and columns.

    The difference of a pixel from the mean of its tile is averaged over columns and over rows of tiles; the scatter of
    both is that of noise and of patterns that are the same all along a line. The light and its gradients are not in it.
    """
    box = _central(values, period).astype(np.float64)
    rows, columns = (length // period for length in box.shape)
    if min(rows, columns) < 2:
        return False
    tiles = box[: rows * period, : columns * period].reshape(rows, period, columns, period).transpose(1, 3, 0, 2)
    tiles = tiles - tiles.mean(axis=(0, 1))
    of_lines = [tiles.mean(axis=axis).var(axis=-1, ddof=1) / count for axis, count in ((2, columns), (3, rows))]
    levels, error = tiles.mean(axis=(2, 3)).ravel(), np.sqrt(sum(of_lines)).ravel()
    low, high = levels.argmin(), levels.argmax()
    return levels[high] - levels[low] > SIGNIFICANT * np.hypot(error[high], error[low])


def _spread(levels):
    mean = levels.mean()
    return float(np.ptp(levels) / mean) if mean > 0 else 0.0


def _colours_without_pattern(values):
    """Whether a frame that is taken for monochrome has colours."""
    levels = tile_levels(values, 2)
    if _spread(levels) > COLOURED and _differ(values, 2):
        falling, rising = abs(levels[0, 0] - levels[1, 1]), abs(levels[0, 1] - levels[1, 0])
        if min(falling, rising) < GREENS * max(falling, rising) or _spread(np.diag(levels)) < ALIKE:
            names = "GRBG or GBRG" if falling < rising else "RGGB or BGGR"
            shown = ", ".join(f"{level:.4g}" for level in levels.ravel())
            return (
                f"it has no colour pattern, but the pixels of its 2 x 2 tiles have the levels {shown} DN, as with "
                f"Bayer filters: set the key `cfa` to {names}, or to MONO if that is wrong"
            )
    for period, words in ((6, "6 x 6 (X-Trans)"), (4, "4 x 4 (quad Bayer)")):
        spread = _spread(tile_levels(values, period)) if min(values.shape) > 8 * period else 0
        if spread > 2 * COLOURED + _spread(levels) and _differ(values, period):
            return f"it has no colour pattern, but its pixels repeat over {words}; set the key `cfa`, or bin the frames"
    return ""


def _greens_elsewhere(values, cfa):
    """Problem and doubt of a Bayer pattern."""
    levels = tile_levels(values, 2)
    if _spread(levels) < ALIKE:
        return "", (
            f"its colour pattern is {cfa.name}, but all four pixels of the tile have one level within "
            f"{100 * _spread(levels):.1g} %: a sensor without filters (set `cfa: MONO`), or a light "
            "that all filters pass alike"
        )
    green, other = (
        np.array([levels[i, j] for i, j, color in cfa.phases() if (CHANNEL_OF_COLOR[color] == 1) == is_green])
        for is_green in (True, False)
    )
    if _spread(green) > COLOURED and _spread(other) < GREENS * _spread(green) and _differ(values, 2):
        names = "GRBG or GBRG" if cfa.name in ("RGGB", "BGGR") else "RGGB or BGGR"
        return (
            f"its colour pattern is said to be {cfa.name}, but what would be red and blue are alike "
            f"({other[0]:.4g}, {other[1]:.4g} DN) and the greens are not ({green[0]:.4g}, {green[1]:.4g} DN): it is "
            f"off by a row or a column; set the key `cfa` to {names}"
        ), ""
    return "", ""


def find_image(values, cfa):
    """Rows and columns that hold an image: dead lines at the borders are left out.

    Parameters
    ----------
    values : numpy.ndarray, float32, ``(rows, columns)``, DN
    cfa : ColorFilterArray

    Returns
    -------
    tuple of int
        First row, last row, first column, last column; the last ones excluded, and whole tiles cut off at the top and
        left.
    """
    levels = tile_levels(values, cfa.period)
    if (levels <= 0).any():
        return 0, values.shape[0], 0, values.shape[1]
    tiles = np.tile(levels, [-(-length // cfa.period) for length in values.shape])
    relative = values / tiles[: values.shape[0], : values.shape[1]]
    ends = []
    for axis in (0, 1):
        lines = np.median(relative, axis=1 - axis)
        first, last = _dead_lines(lines), _dead_lines(lines[::-1])
        ends += [-(-first // cfa.period) * cfa.period, len(lines) - last]
    return tuple(ends)


def _dead_lines(lines):
    """Number of lines at the beginning that hold no image."""
    depth = min(len(lines) // BORDER_PART, BORDER_LINES)
    if depth < 3:
        return 0
    inner = np.median(lines[depth : 2 * depth])
    number = 0
    while number < depth and lines[number] < DEAD * inner:
        number += 1
    if not number or number == depth or lines[number - 1] > DEAD * np.median(lines[number + 1 : number + 4]):
        return 0  # a falloff, however steep, has no step
    if lines[number] < (1 + DEAD) / 2 * np.median(lines[number + 1 : number + 4]):
        number += 1  # the first lit line is half dead
    return number


def check_layout(record, layout, asserted):
    """Refuse a flat whose colour pattern cannot be right; its doubts go to its record.

    Parameters
    ----------
    record : FrameRecord
    layout : Layout
    asserted : bool
        Whether the configuration gives the pattern: then it is doubted and not refused.

    Raises
    ------
    InventoryError
    """
    if layout.problem and not asserted:
        raise InventoryError(f"{record.file}: {layout.problem}")
    for text in [layout.problem, *layout.doubts]:
        if text:
            record.add_doubt(text)
