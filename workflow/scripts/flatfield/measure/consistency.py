"""The inventory of a set: which frames belong together, and which count."""

from collections import Counter
from itertools import pairwise
from statistics import median_low

from flatfield.files.errors import CombinationError, InventoryError
from flatfield.files.frame_table import list_files, used_frames

#: Fields that must be the same in all frames of a set, with the words for messages.
CONSISTENT = {
    "size": "the size",
    "cfa": "the colour pattern",
    "camera": "the camera",
    "body": "the camera's body (by its serial number)",
    "lens": "the lens",
    "filter": "the filter",
    "iso": "ISO",
    "aperture": "the aperture f/",
    "focal_length_mm": "the focal length (mm)",
}


def check_order(frames):
    """Check that file names and capture times agree on the order, as slices rely on it.

    Parameters
    ----------
    frames : list of FrameRecord
        In natural order of the file names; unknown times are passed over.

    Raises
    ------
    InventoryError
        Naming the first pair out of order.
    """
    timed = [frame for frame in frames if frame.time]
    for before, after in pairwise(timed):
        if after.time < before.time:
            raise InventoryError(
                f"{before.file} comes before {after.file} by name but was taken after it "
                f"({before.time}, {after.time}), so that slices would cut the wrong frames; "
                "give each subset its own `frames:` pattern, or set `check_times: false` if the clock was wrong"
            )


def reject_mismatches(frames, exposure_span, mismatch, remedy="take the frames out, or set `mismatch: exclude`"):
    """Mark the frames that do not belong to the majority of their set.

    Parameters
    ----------
    frames : list of FrameRecord
        ``used`` and ``reason`` are updated in place.
    exposure_span : float
        Longest exposure allowed, as a multiple of the shortest.
    mismatch : {"error", "exclude"}
    remedy : str
        What to do, for the message.

    Raises
    ------
    InventoryError
        With ``mismatch="error"``: one sentence naming the odd files and both values. In any case when
        no frame is left.
    """
    problems = [frame.reason for frame in frames if not frame.used]
    for field, words in CONSISTENT.items():
        problems += _reject_minority(frames, words, lambda frame, field=field: getattr(frame, field))
    problems += _reject_exposures(frames, exposure_span)
    if problems and mismatch == "error":
        more = f" (and {len(problems) - 1} more problems)" if len(problems) > 1 else ""
        raise InventoryError(f"{problems[0]}{more}; {remedy}")
    if not any(frame.used for frame in frames):
        raise InventoryError(f"no usable frame is left: {problems[0]}")


def check_offsets(frames, offsets):
    """Check that offset frames are those of the camera and of the gain of frames.

    Parameters
    ----------
    frames : list of FrameRecord
    offsets : list of FrameRecord
        Of ``bias.tsv``. What is unknown in one of both is passed over.

    Raises
    ------
    InventoryError
        Naming what differs.
    """
    frame, offset = used_frames(frames)[0], used_frames(offsets)[0]
    for field in ("camera", "body", "iso"):
        own, other = getattr(frame, field), getattr(offset, field)
        if None not in (own, other) and own != other:
            raise InventoryError(
                f"{CONSISTENT[field]} is {_show(other)} in the offset frames ({offset.file}), but "
                f"{_show(own)} in the frames ({frame.file}); give offset frames of that camera and ISO"
            )


def _reject_minority(frames, words, value):
    """Reject the used frames whose value is known and differs from the most frequent one."""
    known = [frame for frame in frames if frame.used and value(frame) is not None]
    counts = Counter(value(frame) for frame in known)
    if len(counts) < 2:
        return []
    (usual, number), (other, as_many), *_ = counts.most_common()
    if number == as_many:
        raise InventoryError(
            f"{words} is {_show(usual)} in as many frames as {_show(other)} "
            f"({list_files([frame for frame in known if value(frame) == other])}); take out those that do not belong"
        )
    odd = [frame for frame in known if value(frame) != usual]
    for frame in odd:
        frame.leave_out(f"{words} is {_show(value(frame))}, not {_show(usual)} as of most frames")
    others = ", ".join(
        f"{_show(other)} ({list_files([frame for frame in odd if value(frame) == other])})"
        for other in counts
        if other != usual
    )
    plural = "frame" if number == 1 else "frames"
    return [f"results would mix frames: {words} is {_show(usual)} ({number} {plural}) and {others}"]


def _reject_exposures(frames, span):
    """Reject exposures further from the median exposure than the square root of the span allowed."""
    known = [frame for frame in frames if frame.used and frame.exposure_s]
    if not known:
        return []
    exposures = [frame.exposure_s for frame in known]
    if max(exposures) <= span * min(exposures):
        return []
    usual = median_low(exposures)
    odd = [frame for frame in known if not usual / span**0.5 <= frame.exposure_s <= usual * span**0.5]
    for frame in odd:
        frame.leave_out(f"the exposure is {_show(frame.exposure_s)} s, usually {_show(usual)} s")
    shown = ", ".join(f"{_show(frame.exposure_s)} s" for frame in odd[:3])
    return [f"results would mix exposures: usually {_show(usual)} s, but {shown} ({list_files(odd)})"]


def _show(value):
    return value if isinstance(value, str) else f"{value:g}"


def check_counts(name, used, combine, step):
    """Check that minmax leaves a frame of each subset, and of every n-th frame.

    Parameters
    ----------
    name : str
        Of the set.
    used : list of FrameRecord
    combine : dict
        Section ``combine`` of the configuration.
    step : int
        Every n-th frame is debayered.

    Raises
    ------
    CombinationError
        Naming the subset.
    """
    counts = Counter(f"subset {frame.subset}" for frame in used if frame.subset)
    counts[f"every {step}th frame" if step > 1 else "all frames"] = len(used[::step])
    rejected = combine["nlow"] + combine["nhigh"]
    for which, count in counts.items():
        if combine["method"] == "minmax" and rejected >= count:
            raise CombinationError(
                f"minmax would reject nlow + nhigh = {rejected} of the {count} frames of {name}, {which}; "
                "lower `combine.nlow` or `combine.nhigh`, or take another method"
            )
