"""What each frame is: its metadata, its levels, where it saturates."""

import hashlib
import math

import numpy as np

from flatfield.files.errors import FrameError
from flatfield.files.frame_table import FrameRecord
from flatfield.files.reading import read_content, read_each, state_of
from flatfield.measure.saturation import count_values, measure_saturation
from flatfield.measure.screening import measure_frame
from flatfield.raw.cfa import CHANNEL_OF_COLOR
from flatfield.raw.decode import black_beside_bias, read_frame, signal
from flatfield.raw.decoded import remember
from flatfield.raw.metadata import COLUMNS


def inspect_frames(paths, files, reading=False, offset_of=None, threads=1, screened=False):
    """Read every frame and describe it.

    Parameters
    ----------
    paths : list of str
    files : list of str
        Their names for the table.
    reading : bool or dict
        How frames are read, see `flatfield.raw.decode.Reading`.
    offset_of : callable, optional
        Takes the exposure of a frame (s, or None), and returns what takes the place of the black level of the metadata
        (float32, ``(rows, columns)``, DN), or None.
    threads : int
    screened : bool
        Measure also what `flatfield.measure.screening` needs.

    Returns
    -------
    frames : list of FrameRecord
        One that cannot be read, or has not the size of its offset, is not used, with the reason.
    statistics : list of flatfield.measure.screening.FrameStatistics
        None for each without `screened`, and for frames that cannot be read.

    Raises
    ------
    FrameError
        If a frame changes meanwhile.
    """
    states = [state_of(path) for path in paths]
    found = read_each(
        paths, lambda index: _inspect(paths[index], files[index], states[index], reading, offset_of, screened), threads
    )
    for path, state in zip(paths, states, strict=True):
        if state_of(path) != state:
            raise FrameError(f"{path} changed while it was read; wait until copying ends, and run again")
    return [frame for frame, _ in found], [statistics for _, statistics in found]


def _inspect(path, file, state, reading, offset_of, screened):
    try:
        content = read_content(path)
        digest = hashlib.sha256(content).hexdigest()
        frame = read_frame(path, reading)
        remember(digest, path, state, content, frame, reading)
        del content
    except FrameError as error:
        return FrameRecord(file, used=False, reason=str(error)), None
    meta = frame.metadata
    offset = offset_of(meta.exposure) if offset_of and not meta.has_no_offset else None
    if offset is not None and offset.shape != frame.mosaic.shape:
        reason = f"{path} has {_size(frame.mosaic)} pixels, but its bias frames have {_size(offset)}"
        return FrameRecord(file, used=False, reason=reason), None
    black = black_beside_bias(frame.black, offset is not None, reading)
    level, levels = measure_levels(frame.mosaic, black, frame.cfa, offset)
    values = count_values(frame.mosaic, frame.cfa)
    saturations, fractions = measure_saturation(frame.mosaic, frame.cfa, frame.white, values)
    pixels = dict(zip(frame.cfa.channels, values.counts.sum(axis=1) / frame.mosaic.size, strict=True))
    record = FrameRecord(
        file,
        time=meta.time,
        **{column: getattr(meta, attribute) for attribute, column in COLUMNS.items()},
        rows=frame.mosaic.shape[0],
        columns=frame.mosaic.shape[1],
        cfa=frame.cfa.name,
        black_dn=tuple(map(float, black)),
        bits=bit_depth(frame.white),
        zero_level="bias" if offset is not None else frame.zero_level,
        black_off_dn=None if offset is not None or frame.masked is None else frame.masked - float(black.mean()),
        white_dn=frame.white,
        level_dn=level,
        levels_dn=levels,
        saturation_dn=min(saturations.values(), default=None),
        saturations_dn=saturations,
        saturated=sum(fractions[channel] * pixels[channel] for channel in frame.cfa.channels),
        remark="; ".join(frame.remarks),
        sha256=digest,
    )
    if not screened:
        return record, None
    record.saturated_percent = {channel: 100 * fraction for channel, fraction in fractions.items()}
    statistics = measure_frame(frame.mosaic, black, frame.cfa, values, offset)
    record.snr = statistics.snr
    return record, statistics


def bit_depth(white):
    """Bits of numbers up to a white level, DN, which may be some percent below the largest or just above it.

    Examples
    --------
    >>> bit_depth(4095), bit_depth(13583), bit_depth(16384)
    (12, 14, 14)
    """
    return None if white is None else math.ceil(math.log2(white + 1) - 0.1)


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
    level : float
        DN above black.
    levels : dict
        The same by channel.
    """
    rows, columns_ = mosaic.shape
    top, left = rows // 4, columns_ // 4
    box = np.s_[top : 3 * rows // 4, left : 3 * columns_ // 4]
    inner = cfa.shifted(top, left)
    if mosaic.dtype == np.uint16 and bias is None:
        counts = _count_values(mosaic[box], black, inner)
        return _median_of_counts(counts), {
            channel: _median_of_counts(counts[counts[:, 0] == index]) for index, channel in enumerate(cfa.channels)
        }
    values = signal(mosaic[box][None], black[None], inner, None if bias is None else bias[box])[0]
    return float(np.median(values)), {
        channel: float(np.median(inner.pixels(values, index))) for index, channel in enumerate(cfa.channels)
    }


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
