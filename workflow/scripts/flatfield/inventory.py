"""The inventory of a set: what each frame is, and whether the frames belong together."""

import hashlib
from collections import Counter
from dataclasses import asdict
from itertools import pairwise
from statistics import median_low

import numpy as np

from flatfield.cfa import CHANNEL_OF_COLOR, CHANNELS, ColorFilterArray
from flatfield.errors import FrameError, InventoryError
from flatfield.frames import black_beside_bias, read_frame, signal
from flatfield.reading import read_content, read_each
from flatfield.screening import DEPARTURE, look_at_frame

#: Fields that must be the same in all frames of a set, with the words for messages.
CONSISTENT = {
    "size": "the size",
    "cfa": "the colour pattern",
    "camera": "the camera",
    "lens": "the lens",
    "filter": "the filter",
    "iso": "ISO",
    "aperture": "the aperture f/",
    "focal_length_mm": "the focal length (mm)",
}
#: DN below the top of the histogram with which the topmost value is compared to see pixels pile up there.
PILE_UP_WINDOW = 50
#: How many times more pixels at the topmost value than in a usual bin below it are a pile-up.
PILE_UP_RATIO = 10


def columns(channels, placed=False, screened=False):
    """Header line of an inventory of frames with these channels.

    With subset and rotation if `placed`; with the tests that flats must pass if `screened`.
    """
    saturated = [f"saturated_{channel.lower()}_percent" for channel in channels]
    return [
        *["file", *(["subset", "rotation_deg"] if placed else []), "time", "maker", "camera", "lens"],
        *["filter", "distance_m", "orientation", "row_order"],
        *["focal_length_mm", "aperture", "iso", "exposure_s", "rows", "columns", "cfa"],
        *["black_dn", "white_dn", "level_dn", *(f"level_{channel.lower()}_dn" for channel in channels)],
        *["saturation_dn", "saturated", *([*saturated, "snr", *DEPARTURE] if screened else [])],
        *["sha256", "used", "reason"],
    ]


def inspect_frames(paths, files, overscan=False, bias=None, threads=1, look=False):
    """Read every frame and describe it.

    Parameters
    ----------
    paths : list of str
    files : list of str
        Their names for the table.
    overscan : bool
        See `flatfield.frames.read_frame`.
    bias : numpy.ndarray, float32, ``(rows, columns)``, optional
        Master of offset frames, which takes the place of the black level of the metadata.
    threads : int
    look : bool
        Add what `flatfield.screening.look_at_frame` tells.

    Returns
    -------
    list of dict
        The fields of ``frames.tsv`` but subset and rotation, and ``size``; None for the levels of channels that a
        frame does not have. A frame that cannot be read has ``used`` False and the reason.

    Raises
    ------
    InventoryError
        If a frame has not the size of `bias`.
    """
    unknown = dict.fromkeys([*columns(CHANNELS, screened=look), *columns(("MONO",), screened=look), "size"])
    inspected = read_each(paths, lambda index: _inspect(paths[index], overscan, bias, look), threads)
    return [unknown | {"file": file} | row for file, row in zip(files, inspected, strict=True)]


def _inspect(path, overscan, bias, look):
    try:
        content = read_content(path)
        frame = read_frame(path, overscan, content)
    except FrameError as error:
        return {"used": False, "reason": str(error)}
    if bias is not None and bias.shape != frame.mosaic.shape:
        raise InventoryError(f"{path} has {_size(frame.mosaic)} pixels, but its bias frames have {_size(bias)}")
    black = black_beside_bias(frame.black, bias is not None, overscan)
    meta = asdict(frame.metadata)
    levels = measure_levels(frame.mosaic, black, frame.cfa, bias)
    saturation, saturated = measure_saturation(frame.mosaic, frame.white)
    seen = look_at_frame(frame.mosaic, black, frame.cfa, saturation, bias) if look else {}
    return {
        **seen,
        **{
            name: meta[name]
            for name in ("time", "maker", "camera", "lens", "filter", "aperture", "iso", "orientation", "row_order")
        },
        "distance_m": meta["distance"],
        "focal_length_mm": meta["focal_length"],
        "exposure_s": meta["exposure"],
        "rows": frame.mosaic.shape[0],
        "columns": frame.mosaic.shape[1],
        "size": _size(frame.mosaic),
        "cfa": frame.cfa.name,
        "black_dn": " ".join(f"{level:.9g}" for level in black),
        "white_dn": frame.white,
        **levels,
        "saturation_dn": saturation,
        "saturated": saturated,
        "sha256": hashlib.sha256(content).hexdigest(),
        "used": True,
        "reason": "",
    }


def _size(mosaic):
    return f"{mosaic.shape[0]} x {mosaic.shape[1]}"


def measure_levels(mosaic, black, cfa, bias=None):
    """Median signal over the central quarter of the field, of all pixels and of each channel.

    Parameters
    ----------
    mosaic : numpy.ndarray, ``(rows, columns)``, DN
    black : numpy.ndarray, ``(4,)``, DN
    cfa : ColorFilterArray
    bias : numpy.ndarray, float32, ``(rows, columns)``, optional

    Returns
    -------
    dict
        ``level_dn`` and ``level_<channel>_dn``, DN above black.
    """
    rows, columns_ = mosaic.shape
    top, left = rows // 4, columns_ // 4
    box = np.s_[top : 3 * rows // 4, left : 3 * columns_ // 4]
    inner = cfa.shifted(top, left)
    if mosaic.dtype == np.uint16 and bias is None:
        counts = _count_values(mosaic[box], black, inner)
        levels = {"level_dn": _median_of_counts(counts)}
        for index, channel in enumerate(cfa.channels):
            levels[f"level_{channel.lower()}_dn"] = _median_of_counts(counts[counts[:, 0] == index])
        return levels
    values = signal(mosaic[box][None], black[None], inner, None if bias is None else bias[box])[0]
    levels = {"level_dn": float(np.median(values))}
    for index, channel in enumerate(cfa.channels):
        levels[f"level_{channel.lower()}_dn"] = float(np.median(inner.pixels(values, index)))
    return levels


def _count_values(mosaic, black, cfa):
    """Histogram of the signal of integers: rows of channel, DN above black, number of pixels."""
    p, tables = cfa.period, []
    for color in sorted({color for _, _, color in cfa.phases()}):
        pixels = [mosaic[i::p, j::p].ravel() for i, j, other in cfa.phases() if other == color]
        counts = sum(np.bincount(values, minlength=65536) for values in pixels)
        present = np.flatnonzero(counts)
        above = present.astype(np.float32) - black[color]
        tables.append(np.column_stack([np.full(len(present), CHANNEL_OF_COLOR[color]), above, counts[present]]))
    return np.concatenate(tables)


def _median_of_counts(counts):
    """Median of a histogram of `_count_values`: the same as of all its pixels, much faster."""
    ordered = counts[counts[:, 1].argsort(kind="stable")]
    upto = np.cumsum(ordered[:, 2])
    middle = [(upto[-1] - 1) // 2, upto[-1] // 2]
    return float(ordered[np.searchsorted(upto, middle, side="right"), 1].mean(dtype=np.float32))


def measure_saturation(mosaic, white):
    """Level at which pixels saturate, and the fraction of pixels that do.

    Saturation is where pixels pile up at the topmost value of the frame, whatever the camera says, or the white
    level of the metadata where that is reached.

    Parameters
    ----------
    mosaic : numpy.ndarray, uint16 or float32, ``(rows, columns)``, DN
    white : float or None
        White level of the metadata, DN.

    Returns
    -------
    level : float or None
        DN; None where nothing is saturated.
    fraction : float
    """
    top = mosaic.max()
    below = np.count_nonzero((mosaic < top) & (mosaic >= top - PILE_UP_WINDOW)) / PILE_UP_WINDOW
    piled = np.count_nonzero(mosaic == top) > PILE_UP_RATIO * max(below, 1)
    levels = [float(level) for level, holds in ((top, piled), (white, white is not None and top >= white)) if holds]
    if not levels:
        return None, 0.0
    return min(levels), np.count_nonzero(mosaic >= min(levels)) / mosaic.size


def check_order(frames):
    """Check that file names and capture times agree on the order, as slices rely on it.

    Parameters
    ----------
    frames : list of dict
        In natural order of the file names; unknown times are passed over.

    Raises
    ------
    InventoryError
        Naming the first pair out of order.
    """
    timed = [frame for frame in frames if frame["time"]]
    for before, after in pairwise(timed):
        if after["time"] < before["time"]:
            raise InventoryError(
                f"{before['file']} comes before {after['file']} by name but was taken after it "
                f"({before['time']}, {after['time']}), so that slices would cut the wrong frames; "
                "give each subset its own `frames:` pattern, or set `check_times: false` if the clock was wrong"
            )


def reject_mismatches(frames, exposure_span, mismatch):
    """Mark the frames that do not belong to the majority of their set.

    Parameters
    ----------
    frames : list of dict
        As from `inspect_frames`, with ``file``; ``used`` and ``reason`` are updated in place.
    exposure_span : float
        Longest exposure allowed, as a multiple of the shortest.
    mismatch : {"error", "exclude"}

    Raises
    ------
    InventoryError
        With ``mismatch="error"``: one sentence naming the odd files and both values. In any case when
        no frame is left.
    """
    problems = [frame["reason"] for frame in frames if not frame["used"]]
    for field, words in CONSISTENT.items():
        problems += _reject_minority(frames, words, lambda frame, field=field: frame[field])
    problems += _reject_exposures(frames, exposure_span)
    if problems and mismatch == "error":
        more = f" (and {len(problems) - 1} more problems)" if len(problems) > 1 else ""
        raise InventoryError(f"{problems[0]}{more}; take the frames out, or set `mismatch: exclude`")
    if not any(frame["used"] for frame in frames):
        raise InventoryError(f"no usable frame is left: {problems[0]}")


def _reject_minority(frames, words, value):
    """Reject the used frames whose value is known and differs from the most frequent one."""
    known = [frame for frame in frames if frame["used"] and value(frame) is not None]
    counts = Counter(value(frame) for frame in known)
    if len(counts) < 2:
        return []
    (usual, number), (other, as_many), *_ = counts.most_common()
    if number == as_many:
        raise InventoryError(
            f"{words} is {_show(usual)} in as many frames as {_show(other)} "
            f"({_names([frame for frame in known if value(frame) == other])}); take out those that do not belong"
        )
    odd = [frame for frame in known if value(frame) != usual]
    for frame in odd:
        frame.update(used=False, reason=f"{words} is {_show(value(frame))}, not {_show(usual)} as of most frames")
    others = ", ".join(
        f"{_show(other)} ({_names([frame for frame in odd if value(frame) == other])})"
        for other in counts
        if other != usual
    )
    plural = "frame" if number == 1 else "frames"
    return [f"results would mix frames: {words} is {_show(usual)} ({number} {plural}) and {others}"]


def _reject_exposures(frames, span):
    """Reject exposures further from the median exposure than the square root of the span allowed."""
    known = [frame for frame in frames if frame["used"] and frame["exposure_s"]]
    if not known:
        return []
    exposures = [frame["exposure_s"] for frame in known]
    if max(exposures) <= span * min(exposures):
        return []
    usual = median_low(exposures)
    odd = [frame for frame in known if not usual / span**0.5 <= frame["exposure_s"] <= usual * span**0.5]
    for frame in odd:
        frame.update(used=False, reason=f"the exposure is {_show(frame['exposure_s'])} s, usually {_show(usual)} s")
    shown = ", ".join(f"{_show(frame['exposure_s'])} s" for frame in odd[:3])
    return [f"results would mix exposures: usually {_show(usual)} s, but {shown} ({_names(odd)})"]


def _show(value):
    return value if isinstance(value, str) else f"{value:g}"


def _names(frames):
    names = [frame["file"] for frame in frames]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def used_frames(table):
    """Rows of ``frames.tsv`` that count."""
    return [row for row in table if row["used"] == "yes"]


def scale_factors(used, rows, scale):
    """Factors that bring frames to the mean level of their set.

    factor of frame k, channel c = mean level of the set / level of the frame.

    Parameters
    ----------
    used : list of dict
        Rows of all used frames of the set.
    rows : list of dict
        Those to scale.
    scale : {"none", "frame", "channel"}

    Returns
    -------
    numpy.ndarray, float32, ``(frames, 4)``
        For each colour (0 red, 1 green, 2 blue, 3 second green).

    Raises
    ------
    InventoryError
        If a level is not above black, so that no factor exists.
    """
    if scale == "none":
        return np.ones((len(rows), 4), np.float32)
    channels = ColorFilterArray.from_name(rows[0]["cfa"]).channels
    names = [f"level_{channel.lower()}_dn" for channel in channels] if scale == "channel" else ["level_dn"]
    factors = []
    for name in names:
        dark = [row for row in rows if float(row[name]) <= 0]
        if dark:
            verb = "is" if len(dark) == 1 else "are"
            raise InventoryError(
                f"{_names(dark)} {verb} not brighter than black ({name} {dark[0][name]}), so that frames cannot be "
                "scaled; take out what is dark, mend the black level, or set `combine: {scale: none}`"
            )
        mean = np.mean([float(row[name]) for row in used])
        factors.append([mean / float(row[name]) for row in rows])
    by_channel = np.array(factors, np.float32)
    return np.ascontiguousarray(by_channel[[min(c, len(factors) - 1) for c in CHANNEL_OF_COLOR]].T)


def find_row(rows, file):
    """Row of the inventory of a file, by its name there."""
    return next(row for row in rows if row["file"] == file)
