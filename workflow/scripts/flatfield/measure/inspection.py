"""What each frame is: its metadata, its levels, where it saturates."""

import hashlib
from dataclasses import asdict

import numpy as np

from flatfield.raw.cfa import CHANNELS, CHANNEL_OF_COLOR
from flatfield.files.errors import FrameError, InventoryError
from flatfield.raw.decode import black_beside_bias, read_frame, signal
from flatfield.files.reading import read_content, read_each, state_of
from flatfield.measure.screening import DEPARTURE, look_at_frame

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
        *["file", *(["subset", "rotation_deg"] if placed else []), "time", "maker", "camera", "body", "lens"],
        *["filter", "distance_m", "orientation", "row_order"],
        *["focal_length_mm", "aperture", "iso", "exposure_s", "rows", "columns", "cfa"],
        *["black_dn", "black_off_dn", "white_dn", "level_dn", *(f"level_{channel.lower()}_dn" for channel in channels)],
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
        See `flatfield.raw.decode.read_frame`.
    bias : numpy.ndarray, float32, ``(rows, columns)``, optional
        Master of offset frames, which takes the place of the black level of the metadata.
    threads : int
    look : bool
        Add what `flatfield.measure.screening.look_at_frame` tells.

    Returns
    -------
    list of dict
        The fields of ``frames.tsv`` but subset and rotation, and ``size``; None for the levels of channels that a
        frame does not have. A frame that cannot be read has ``used`` False and the reason.

    Raises
    ------
    InventoryError
        If a frame has not the size of `bias`.
    FrameError
        If a frame changes meanwhile.
    """
    states = [state_of(path) for path in paths]
    unknown = dict.fromkeys([*columns(CHANNELS, screened=look), *columns(("MONO",), screened=look), "size"])
    inspected = read_each(paths, lambda index: _inspect(paths[index], overscan, bias, look), threads)
    for path, state in zip(paths, states, strict=True):
        if state_of(path) != state:
            raise FrameError(f"{path} changed while it was read; wait until it is copied, and run again")
    return [unknown | {"file": file} | row for file, row in zip(files, inspected, strict=True)]


def _inspect(path, overscan, bias, look):
    try:
        digest = hashlib.sha256(read_content(path)).hexdigest()
        frame = read_frame(path, overscan)
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
            for name in (
                "time",
                "maker",
                "camera",
                "body",
                "lens",
                "filter",
                "aperture",
                "iso",
                "orientation",
                "row_order",
            )
        },
        "distance_m": meta["distance"],
        "focal_length_mm": meta["focal_length"],
        "exposure_s": meta["exposure"],
        "rows": frame.mosaic.shape[0],
        "columns": frame.mosaic.shape[1],
        "size": _size(frame.mosaic),
        "cfa": frame.cfa.name,
        "black_dn": " ".join(f"{level:.9g}" for level in black),
        "black_off_dn": None if bias is not None or frame.masked is None else frame.masked - float(black.mean()),
        "white_dn": frame.white,
        **levels,
        "saturation_dn": saturation,
        "saturated": saturated,
        "sha256": digest,
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
        counts = np.sum([np.bincount(values, minlength=65536) for values in pixels], axis=0)
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
