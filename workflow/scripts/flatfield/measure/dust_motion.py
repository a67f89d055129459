"""What became of shadows of dust between two flats: the same, changed, moved, gone or new; and whether all moved."""

from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import ndtri

from flatfield.measure.dust import FALSE_ALARMS, Shadow, find_shadows, measure_depth

#: Parts of the radius: half of the window in which a move is measured, and by how much both flats are smoothed for it.
WINDOW, SMOOTH = 2.6, 0.3
#: Radii that a shadow is looked for around its place: unless it moved further, it overlaps with itself.
NEAR = 1.0
#: Steps until a move is found to less than a bin.
STEPS = 6
#: How far a single shadow is looked for: radii, or this part of the half diagonal; and the probability that another
#: one, which has nothing to do with it, lies there.
REACH_RADII, REACH_PART, CHANCE = 12.0, 0.05, 0.1
#: What differs beside a shadow by less than this part of its depth is its edge.
EDGE = 0.5
#: A difference is a shadow if the flat that is darker shows this part of it by itself.
SHOWN = 0.5
#: Depths and radii of one shadow differ by no more than these factors.
LIKE_DEPTH, LIKE_RADIUS = 2.0, 2.0
#: Shadows that must have moved alike, as a part of those that moved; and how many for a shift and for a turn.
PART, FOR_SHIFT, FOR_TURN = 0.6, 3, 4
#: The deepest shadows that a common motion is looked for in.
DEEPEST = 12
#: Error of a place that no noise explains, bins, as shadows change their form with the angle of the light.
FLOOR = 0.02
#: A depth that changed by less than this part, or this much, has not changed.
SAME_PART, SAME_DEPTH = 0.2, 1e-3


@dataclass(frozen=True)
class Fate:
    """What became of a shadow.

    Attributes
    ----------
    verdict : str
        ``same``, ``changed`` (in depth), ``moved``, ``gone`` or ``new``.
    old, new : Shadow or None
        In either flat, bins.
    right, down, error : float or None
        How far it moved, bins, and the error of both.
    """

    verdict: str
    old: Shadow | None
    new: Shadow | None
    right: float | None = None
    down: float | None = None
    error: float | None = None

    @property
    def shadow(self):
        """As it is, or was."""
        return self.new or self.old


@dataclass(frozen=True)
class Motion:
    """How all dust moved: right and down, bins; turn about the centre, degrees counter-clockwise; number of shadows."""

    right: float
    down: float
    turn: float
    shift_error: float
    turn_error: float
    shadows: int


def follow_dust(old, new):
    """Find what became of each shadow.

    Parameters
    ----------
    old, new : flatfield.measure.dust.DetailMap

    Returns
    -------
    fates : list of Fate
        Deepest first.
    motion : Motion or None
        Of the shadows that are in both; None where fewer than two are.
    """
    quotient = new.over(old)
    before, after = find_shadows(old), find_shadows(new)
    differences = find_shadows(quotient, bright=True)
    pairs = [(a, b) for a, b in _nearest(before, after) if np.hypot(*(a.place - b.place)) <= NEAR * _radius(a, b)]
    lone_old = [each for each in before if all(each is not a for a, _ in pairs)]
    lone_new = [each for each in after if all(each is not b for _, b in pairs)]
    shown = [each for pair in pairs for each in pair]
    fates = []
    lone_old, faint_old = _split(lone_old, differences, sign=-1)
    lone_new, faint_new = _split(lone_new, differences, sign=1)
    for each in (*faint_old, *faint_new):  # the other flat is too noisy to show it, or it is of the sensor
        if not _close(each, shown):
            pairs.append((_again(each, old), _again(each, new)))
            shown.append(each)
    shown += [*lone_old, *lone_new]
    for each in differences:
        edges = [one for one in shown if abs(each.depth) < EDGE * one.depth]
        dark = _again(each, new if each.depth > 0 else old).depth  # else a star or a hot pixel of the other flat
        if dark > SHOWN * abs(each.depth) and not _close(each, shown) and not _close(each, edges, 3):
            (lone_new if each.depth > 0 else lone_old).append(replace(each, depth=abs(each.depth)))
    moved = _match(lone_old, lone_new, old.values.shape)
    fates += [_fate(a, b, old, new, quotient, len(pairs) + len(moved)) for a, b in pairs]
    for a, b in moved:
        right, down, error = measure_move(old, new, a, b)
        fates.append(Fate("moved", a, b, right, down, error))
        lone_old, lone_new = ([each for each in lone if each not in (a, b)] for lone in (lone_old, lone_new))
    fates += [Fate("gone", each, None) for each in lone_old] + [Fate("new", None, each) for each in lone_new]
    return sorted(fates, key=lambda fate: -fate.shadow.depth), _common(fates, old.values.shape)


def _radius(a, b):
    return max(a.radius, b.radius)


def _close(shadow, others, part=1.5):
    return any(np.hypot(*(shadow.place - each.place)) < part * _radius(shadow, each) for each in others)


def _split(lone, differences, sign):
    """Shadows of one flat that the quotient of both shows too, and those that it does not show."""
    shown = [each for each in lone if _close(each, [one for one in differences if sign * one.depth > 0])]
    return shown, [each for each in lone if each not in shown]


def _again(shadow, detail):
    """The same place in another map."""
    depth, error = measure_depth(detail, shadow.row, shadow.column, shadow.radius)
    return replace(shadow, depth=depth, error=error)


def _nearest(before, after):
    """Pairs of which each is the nearest of the other."""
    if not before or not after:
        return []
    apart = np.hypot(*(np.array([a.place for a in before])[:, None] - [b.place for b in after]).transpose(2, 0, 1))
    return [(before[i], after[j]) for i, j in enumerate(apart.argmin(axis=1)) if apart[:, j].argmin() == i]


def _fate(a, b, old, new, quotient, count):
    """Of a shadow that overlaps with itself in the other flat."""
    right, down, error = measure_move(old, new, a, b)
    here = b if b.sigma >= a.sigma else a
    change, change_error = (_again(here, quotient).depth, _again(here, quotient).error)
    if right is not None and np.hypot(right, down) > error * np.sqrt(-2 * np.log(FALSE_ALARMS / count)):
        return Fate("moved", a, b, right, down, error)
    limit = max(-ndtri(FALSE_ALARMS / count) * change_error, SAME_DEPTH, SAME_PART * max(a.depth, b.depth))
    if abs(change) <= limit:
        return Fate("same", a, b, right, down, error)
    if min(a.depth, b.depth) > SAME_PART * max(a.depth, b.depth):
        return Fate("changed", a, b, right, down, error)
    return Fate("gone", a, None) if a.depth > b.depth else Fate("new", None, b)


def measure_move(old, new, a, b):
    """How far a shadow moved from one flat to the other, by least squares with the slopes of the mean of both.

    Parameters
    ----------
    old, new : DetailMap
    a, b : Shadow
        In the old and in the new one.

    Returns
    -------
    right, down, error : float or None
        Bins; None at the border. The error is from what the fit leaves over.
    """
    radius = _radius(a, b)
    half, sigma = int(np.ceil(WINDOW * radius)) + 2, max(SMOOTH * radius, 0.7)
    start = np.round(a.place).astype(int)
    step = np.round(b.place - a.place).astype(int)
    best = 0.0, 0.0, 0.0
    for _ in range(STEPS):
        found = _measure_rest(_window(old, start, half), _window(new, start + step, half), sigma)
        if found is None:
            return None, None, None
        down, right, error = found
        total = np.array([step[0] + down, step[1] + right])
        best = total[1], total[0], float(np.hypot(error, FLOOR))
        if np.abs(total - step).max() <= 0.5 or np.hypot(*(total - (b.place - a.place))) > 2 * radius:
            break
        step = np.round(total).astype(int)
    return float(best[0]), float(best[1]), best[2]


def _window(detail, place, half):
    """A square of a map; None where it reaches beyond."""
    (row, column), shape = place, detail.values.shape
    if min(row, column) < half or row + half >= shape[0] or column + half >= shape[1]:
        return None
    return detail.values[row - half : row + half + 1, column - half : column + half + 1].astype(np.float64)


def _measure_rest(before, after, sigma):
    """Move down and right of what is in two windows, less than its own size, and the error."""
    if before is None or after is None:
        return None
    difference, mean = after - before, gaussian_filter((before + after) / 2, sigma)
    terms = [-each.ravel() for each in np.gradient(mean)] + [mean.ravel() - mean.mean(), np.ones(mean.size)]
    design = np.column_stack(terms)
    inverse = np.linalg.pinv(design.T @ design) @ design.T
    rows = [gaussian_filter(each.reshape(mean.shape), sigma, mode="constant") for each in inverse[:2]]
    found = [float((each * difference).sum()) for each in rows]
    scatter = np.std(difference - np.median(difference))
    error = scatter * np.sqrt(max((each**2).sum() for each in rows))
    return found[0], found[1], float(error)


def _match(old, new, shape):
    """Pairs of shadows that moved: all by one motion, where most did; then each to the nearest like it."""
    pairs = _match_alike(old, new, shape)
    left_old = [each for each in old if all(each is not a for a, _ in pairs)]
    left_new = [each for each in new if all(each is not b for _, b in pairs)]
    crowd = max(len(left_old), len(left_new), 1)
    safe = np.sqrt(CHANCE * shape[0] * shape[1] / (np.pi * crowd))
    for a, b in _nearest(left_old, left_new):
        reach = min(max(REACH_RADII * _radius(a, b), REACH_PART * np.hypot(*shape) / 2), safe)
        if _alike(a, b) and np.hypot(*(a.place - b.place)) <= reach:
            pairs.append((a, b))
    return pairs


def _alike(a, b):
    return max(a.depth, b.depth) <= LIKE_DEPTH * max(min(a.depth, b.depth), 1e-9) and _radius(
        a, b
    ) <= LIKE_RADIUS * min(a.radius, b.radius)


def _match_alike(old, new, shape):
    """Pairs of shadows that one shift or turn of the dust explains."""
    first, second = (sorted(each, key=lambda one: -one.depth)[:DEEPEST] for each in (old, new))
    enough = PART * min(len(old), len(new))
    candidates = [(a, b) for a in first for b in second if _alike(a, b)]
    best = []
    for motion, least in _motions(candidates, shape):
        pairs, taken = [], set()
        for a in old:
            place = motion(a.place)
            near = [b for b in new if id(b) not in taken and _alike(a, b)]
            near = [b for b in near if np.hypot(*(place - b.place)) < max(2.0, 0.7 * _radius(a, b))]
            if near:
                b = min(near, key=lambda one: np.hypot(*(place - one.place)))
                pairs.append((a, b))
                taken.add(id(b))
        if len(pairs) >= max(least, enough) and len(pairs) > len(best):
            best = pairs
    return best


def _motions(candidates, shape):
    """Shifts from one pair, then turns about the centre with a shift from two, and the pairs that each must explain."""
    for a, b in candidates:
        yield (lambda place, by=b.place - a.place: place + by), FOR_SHIFT
    for (a, b), (c, d) in permutations(candidates[: DEEPEST * 3], 2):
        before, after = complex(*(c.place - a.place)), complex(*(d.place - b.place))
        if a is c or b is d or abs(before) < 10 or abs(abs(after) - abs(before)) > 2:
            continue
        turn = after / before / abs(after / before)

        def move(place, turn=turn, a=a, b=b):
            moved = complex(*(place - a.place)) * turn
            return b.place + np.array([moved.real, moved.imag])

        yield move, FOR_TURN


def _common(fates, shape):
    """The motion of the shadows that are in both flats: least squares, without those that went their own way."""
    known = [fate for fate in fates if fate.error is not None]
    if len(known) < 2:
        return None
    middle = (np.array(shape) - 1) / 2
    before = np.array([complex(*(fate.old.place - middle)) for fate in known])
    moves = np.array([complex(fate.down, fate.right) for fate in known])
    errors = np.array([fate.error for fate in known])
    kept = np.ones(len(known), bool)
    for _ in range(10):
        weight = np.where(kept, errors**-2.0, 0)
        turn, shift = _fit_turn(before, before + moves, weight)
        rest = np.abs(before + moves - turn * before - shift)
        limit = np.maximum(5 * errors, 2 * np.median(rest))
        again = rest <= limit
        if again.sum() < 2 or (again == kept).all():
            break
        kept = again
    weight = errors[kept] ** -2.0
    spread = np.abs(before[kept] - np.average(before[kept], weights=weight))
    freedom = 2 * kept.sum() - 3
    excess = np.sqrt(max((weight * rest[kept] ** 2).sum() / freedom, 1)) if freedom > 0 else 1.0
    inertia = (weight * spread**2).sum()
    turn_error = excess / np.sqrt(inertia) if inertia > 0 else np.inf
    lever = np.abs(np.average(before[kept], weights=weight))
    shift_error = np.hypot(excess / np.sqrt(weight.sum()), lever * turn_error)
    angle = float(np.degrees(np.angle(turn)))  # from down towards right is counter-clockwise as one sees it
    return Motion(shift.imag, shift.real, angle, float(shift_error), float(np.degrees(turn_error)), int(kept.sum()))


def _fit_turn(before, after, weight):
    """Turn (of modulus 1) and shift, weighted least squares in complex numbers; none of it with a single point."""
    a, b = (np.average(each, weights=weight) for each in (before, after))
    product = (weight * np.conj(before - a) * (after - b)).sum()
    turn = product / abs(product) if abs(product) > 0 else 1.0
    return turn, b - turn * a
