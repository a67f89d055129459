"""The inventory of a set: which frames belong together, and which count."""

from collections import Counter
from itertools import pairwise
from statistics import median, median_low

from flatfield.files.errors import CombinationError, InventoryError
from flatfield.files.fields import FIELDS, REFUSE, action_of, apart, describe_differences, show, value_to_compare
from flatfield.files.frame_table import list_files, used_frames

#: Exposures of offset frames longer than this, s, and this many times those of the flats hold dark current.
LONG_OFFSET_S, LONG_OFFSET_RATIO = 5.0, 2.0


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
                f"({before.time}, {after.time}), so slices would pick the wrong frames; "
                "give each subset its own `frames:` pattern, or set `check_times: false` if the clock was wrong"
            )


#: What to do about frames of a set that do not belong, for messages.
TAKE_OUT = "take the frames out, or set `mismatch: exclude`"


def reject_mismatches(frames, exposure_span, mismatch, remedy=TAKE_OUT, relation="flats", guard=None):
    """Mark the frames that do not belong to the majority of their set.

    What must agree stands in `flatfield.files.fields`. A frame that lacks what others have is used, with a doubt.

    Parameters
    ----------
    frames : list of FrameRecord
        ``used`` and ``reason`` are updated in place.
    exposure_span : float
        Longest exposure allowed, as a multiple of the shortest.
    mismatch : {"error", "exclude"}
    remedy : str
        What to do, for the message.
    relation : {"flats", "offset", "dark"}
    guard : dict, optional
        Section of the configuration: tolerances.

    Raises
    ------
    InventoryError
        With ``mismatch="error"``: one sentence naming the odd files and both values. In any case when
        no frame is left.
    """
    problems = [frame.reason for frame in frames if not frame.used]
    problems += _reject_masters(frames)
    for field in FIELDS:
        if getattr(field, relation) is not None:
            problems += _reject_minority(frames, field, getattr(field, relation), guard)
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
        Get a doubt where the offset frames were exposed much longer.
    offsets : list of FrameRecord
        Of ``bias.tsv``. What is unknown in one of both is passed over.

    Raises
    ------
    InventoryError
        Naming what differs.
    """
    offset, exposures = used_frames(offsets)[0], [frame.exposure_s for frame in frames if frame.used]
    for frame in used_frames(frames):
        if set("BD") & set(frame.calibrated or ""):
            raise InventoryError(
                f"{frame.file} was freed of its bias or dark already (CALSTAT or the like: {frame.calibrated}); give "
                "it as it was recorded, or give no `bias`"
            )
        for field, own, other in describe_differences(frame, offset, "offset"):
            raise InventoryError(
                f"{field.words} is {show(other)} in the offset frames ({offset.file}), but {show(own)} in the frames "
                f"({frame.file}); give offset frames of that camera{_settings(field)}"
            )
    known = [exposure for exposure in exposures if exposure is not None]
    long = max([LONG_OFFSET_S, *(LONG_OFFSET_RATIO * exposure for exposure in known)])
    if known and offset.exposure_s is not None and offset.exposure_s > long:
        for frame in used_frames(frames):
            frame.add_doubt(
                f"its offset frames were exposed for {offset.exposure_s:g} s, the flats for {median(known):g} s: they "
                "contain dark current that the flats lack",
            )


def _settings(field):
    return " and ISO" if field.name in ("camera", "body", "iso") else f" with {field.words} of the frames"


def _reject_masters(frames):
    """Reject combinations of frames among single ones."""
    masters = [frame for frame in frames if frame.used and frame.combined]
    singles = [frame for frame in frames if frame.used and not frame.combined]
    if not masters or not singles:
        return []
    for frame in masters:
        frame.leave_out(f"it is a combination of {frame.combined} frames, others are single ones")
    return [f"{list_files(masters)}: a combination of {masters[0].combined} frames among {len(singles)} single ones"]


def _reject_minority(frames, field, rule, guard):
    """Reject the used frames whose value is known and differs from the most frequent one."""
    used = [frame for frame in frames if frame.used]
    known = [frame for frame in used if value_to_compare(field, frame) is not None]
    counts = Counter(value_to_compare(field, frame) for frame in known)
    if not counts or rule.action != REFUSE:
        return []

    def near(value):
        """Frames whose value is as good as that."""
        return [frame for frame in known if not apart(rule, value_to_compare(field, frame), value, guard)]

    usual = max(counts, key=lambda value: (len(near(value)), counts[value]))
    fitting = near(usual)
    for frame in used:
        if value_to_compare(field, frame) is None and field.name != "row_order":
            frame.add_doubt(f"{field.words} is not recorded, {show(usual)} in others")
    odd = [frame for frame in known if frame not in fitting]
    odd = [frame for frame in odd if action_of(field, rule, frame, fitting[0], guard) == REFUSE]
    if not odd:
        return []
    others = list(dict.fromkeys(value_to_compare(field, frame) for frame in odd))
    if max(len(near(other)) for other in others) >= len(fitting):
        other = max(others, key=lambda value: len(near(value)))
        raise InventoryError(
            f"{field.words} is {show(usual)} in as many frames as {show(other)} "
            f"({list_files(near(other))}); take out those that do not belong"
        )
    for frame in odd:
        value = value_to_compare(field, frame)
        frame.leave_out(f"{field.words} is {show(value)}, not {show(usual)} as in most frames")
    listed = ", ".join(
        f"{show(other)} ({list_files([frame for frame in odd if value_to_compare(field, frame) == other])})"
        for other in others
    )
    plural = "frame" if len(fitting) == 1 else "frames"
    return [f"results would mix frames: {field.words} is {show(usual)} ({len(fitting)} {plural}) and {listed}"]


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
        frame.leave_out(f"the exposure is {show(frame.exposure_s)} s, usually {show(usual)} s")
    shown = ", ".join(f"{show(frame.exposure_s)} s" for frame in odd[:3])
    return [f"results would mix exposures: usually {show(usual)} s, but {shown} ({list_files(odd)})"]


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
