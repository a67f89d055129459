"""Which frames belong together, and where they do not, in which field they differ."""

from flatfield.files.fields import REFUSE, WARN, describe_differences, show
from flatfield.files.tables import format_exposure
from flatfield.init.catalogue import EXPOSURE_STEP, SESSION_HOURS, is_turned, is_warmer
from flatfield.init.kinds import BIAS, DARK, FLAT, FLAT_DARK, LIGHT

#: What frames of a kind must agree in with each other, and offset frames with what they are subtracted from.
RELATIONS = {FLAT: "flats", LIGHT: "flats", BIAS: "offset", FLAT_DARK: "offset", DARK: "dark"}
CLOSE = 0.05  # relative difference of exposures that are the same
#: Fields that need not be the same among bias frames and darks.
OPTICS = ("lens", "filter")


def close(one, other, ratio=CLOSE):
    """Whether two numbers are about the same; unknown is like unknown only."""
    if one is None or other is None:
        return one is other
    return abs(one - other) <= ratio * max(abs(one), abs(other))


def belong(group, run):
    """Whether a run goes on with what a group of runs began."""
    first, before, after = group[0][0], group[-1][-1], run[0]
    kind = after.kind
    if before.kind != kind or first.shape != after.shape:
        return False
    if describe_differences(first.record, after.record, RELATIONS[kind]):
        return False
    if kind in (FLAT, LIGHT) and first.exact != after.exact:
        return False
    if kind == LIGHT and is_turned(first, after):
        return False
    if kind in (DARK, FLAT_DARK) and is_warmer(first, after):
        return False
    ratio = EXPOSURE_STEP if kind in (FLAT, BIAS) else 1 + CLOSE
    exposures = [entry.metadata.exposure for entry in (first if kind != FLAT else before, after)]
    if None not in exposures and max(exposures) > ratio * min(exposures) and kind != BIAS:
        return False
    if bool(first.metadata.combined) != bool(after.metadata.combined):
        return False
    if before.moment and after.moment:
        return abs((after.moment - before.moment).total_seconds()) < SESSION_HOURS * 3600
    return True


def group_runs(runs, place):
    """Join runs that belong together and lie in one place, taken in one session, and of similar exposure.

    Parameters
    ----------
    runs : list of list of Entry
    place : callable
        Folder of a run.
    """
    groups = []
    for run in runs:
        fitting = [group for group in groups if place(group[-1]) == place(run) and belong(group, run)]
        if fitting:
            fitting[-1].append(run)
        else:
            groups.append([run])
    return groups


def differences(frames, others, relation, actions=(REFUSE,), what=""):
    """Sentences of what differs between two entries: field, and both values.

    Parameters
    ----------
    frames, others : Entry
    relation : str
        See `flatfield.files.fields`.
    actions : tuple of str
    what : str
        What the second one is called.
    """
    found = describe_differences(frames.record, others.record, relation, actions=actions)
    return [f"{field.words} is {show(own)}, but {show(other)} in {what}" for field, own, other in found]


def offset_problems(target, frames, what):
    """Why offset frames do not fit flats or lights."""
    found = differences(frames, target, "offset", (REFUSE, WARN), what)
    own, exposure = frames.metadata.exposure, target.metadata.exposure
    if frames.kind != BIAS and not close(own, exposure):
        found.append(f"the exposure is {_seconds(own)}, but {_seconds(exposure)} in {what}")
    return found


def dark_problems(light, frames, what):
    """Why darks do not fit lights."""
    found = differences(frames, light, "dark", (REFUSE, WARN), what)
    own, exposure = frames.metadata.exposure, light.metadata.exposure
    if not close(own, exposure):
        found.append(f"the exposure is {_seconds(own)}, but {_seconds(exposure)} in {what}")
    return found


def _seconds(exposure):
    return "unknown" if exposure is None else format_exposure(exposure)


def seconds_apart(one, other):
    """Seconds between two entries; infinite where a time is unknown."""
    if not (one.moment and other.moment):
        return float("inf")
    return abs((one.moment - other.moment).total_seconds())


def nearest(target, groups):
    """The group of runs taken nearest to an entry; None where there is none."""
    return min(groups, key=lambda group: seconds_apart(group[0][0], target), default=None)
