"""Stars matched between the frames of a light: shift and any rotation by votes, then a smooth map."""

import numpy as np
from scipy.spatial import cKDTree

#: Brightest stars of a frame that vote for its rotation and shift.
VOTERS = 40
#: Pixels by which the lengths of a pair of stars may differ, and their part of the length (distortion of the lens).
LENGTH_PIXELS, LENGTH_PART = 2.0, 0.004
#: Bins of the votes: degrees, pixels; and the least votes that count.
DEGREES, SHIFT, VOTES = 1.0, 24.0, 10
#: Distances, pixels, within which stars are the same, with the degrees of the map between the frames.
TOLERANCES = ((12.0, 1), (5.0, 2), (2.5, 3))
#: Stars that a frame must share with those before; and of the stars where it overlaps the last one, the part.
FEWEST, SHARED = 8, 0.4
#: Pixels within which a spot stays at its place, and the part of the frames in which it does: a hot pixel.
STAYS, STAYING = 1.0, 0.8
#: Frames with the most stars that are tried to begin with, until most of the frames match: one may be of another field.
STARTS = 4
#: Frames, evenly chosen, that tell what stays.
COMPARED = 20


def match_frames(frames):
    """Give the stars of all frames one number each.

    Frames are matched in their order from the one with the most stars on, each with all stars found so far; from
    another one, if few frames show the field of that. What stays at its place of the sensor while the frames go by (hot
    pixels; all stars, where nothing moved) does not count.

    Parameters
    ----------
    frames : list of numpy.ndarray, ``(stars, 2)``
        Rows and columns, pixels, the brightest first.

    Returns
    -------
    list of numpy.ndarray of int, ``(stars,)``
        Number of each star; -1 where it does not count or its frame could not be matched.
    """
    counting = [np.flatnonzero(~stays) for stays in find_staying(frames)]
    richest = sorted((k for k in range(len(frames)) if len(counting[k]) >= FEWEST), key=lambda k: -len(counting[k]))
    best, most = [np.full(len(each), -1) for each in frames], 0
    for first in richest[:STARTS]:
        numbers = _match_from(first, frames, counting)
        matched = sum((each >= 0).any() for each in numbers)
        if matched > most:
            best, most = numbers, matched
        if 2 * matched > len(frames):
            break
    return best


def _match_from(first, frames, counting):
    """The same, from one frame forth and back; then once more those that did not fit."""
    numbers = [np.full(len(each), -1) for each in frames]
    numbers[first][counting[first]] = np.arange(len(counting[first]))
    known = frames[first][counting[first]]
    runs = [range(first + 1, len(frames)), range(first - 1, -1, -1), range(len(frames))]
    for run in runs:
        last, rotation = frames[first][counting[first]], (np.eye(2), np.zeros(2))
        for index in run:
            own = counting[index]
            if len(own) < FEWEST or (numbers[index] >= 0).any():
                continue
            found = _place(frames[index][own], known, last, rotation)
            if found is None:
                continue
            last, partners, rotation = found
            new = (partners < 0) & (cKDTree(known).query(last)[0] > TOLERANCES[0][0])
            partners[new] = len(known) + np.arange(np.count_nonzero(new))
            known = np.concatenate([known, last[new]])
            numbers[index][own] = partners
    return numbers


def find_staying(frames):
    """Which spots are at the same place of the sensor in most of the frames, bool for each frame."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, COMPARED).astype(int)) if frames else []
    trees = {index: cKDTree(frames[index]) for index in chosen if len(frames[index])}
    staying = []
    for index, places in enumerate(frames):
        others = [tree for other, tree in trees.items() if other != index]
        seen = sum((tree.query(places, distance_upper_bound=STAYS)[0] < STAYS) for tree in others)
        staying.append(np.broadcast_to(seen >= STAYING * max(len(others), 1), len(places)))
    return staying


def _place(places, known, last, rotation):
    """Places in the frame of the known stars, their numbers, and rotation and shift; None where they do not fit.

    Tried are the rotation and shift of the last frame, a vote with its stars, and one with the first frame's.
    """
    for guess in (lambda: rotation, lambda: _vote(places, last), lambda: _vote(places, known)):
        found = guess()
        if found is None:
            continue
        turn, shift = found
        mapped = places @ turn.T + shift
        degree = 1
        for tolerance, most in TOLERANCES:
            near, partners = _pairs(mapped, known, tolerance)
            if len(near) < FEWEST:
                break
            degree = min(most, 1 + (len(near) >= 20) + (len(near) >= 40))
            mapped = _fit_map(places[near], known[partners], degree)(places)
        near, partners = _pairs(mapped, known, TOLERANCES[-1][0])
        shared = min(_count_inside(mapped, last), _count_inside(last, mapped))
        if len(near) >= max(FEWEST + degree * (degree + 3) // 2, SHARED * shared):
            numbers = np.full(len(places), -1)
            numbers[near] = partners
            return mapped, numbers, _fit_rotation(places[near], known[partners])
    return None


def _count_inside(places, others):
    """Places in the box around other ones."""
    return np.count_nonzero(((places >= others.min(axis=0)) & (places <= others.max(axis=0))).all(axis=1))


def _pairs(mapped, known, tolerance):
    """Stars that are nearest to each other, both ways."""
    distance, partners = cKDTree(known).query(mapped, distance_upper_bound=tolerance)
    back = cKDTree(mapped).query(known)[1]
    near = np.flatnonzero(np.isfinite(distance))
    near = near[back[partners[near]] == near]
    return near, partners[near]


def _fit_map(places, targets, degree):
    """Polynomial map, fitted twice: the second time without what is far off."""
    center, scale = places.mean(axis=0), max(np.ptp(places, axis=0).max(), 1.0)

    def terms(points):
        y, x = ((points - center) / scale).T
        return np.stack([y**i * x**j for i in range(degree + 1) for j in range(degree + 1 - i)], axis=1)

    use = np.ones(len(places), bool)
    for _ in range(2):
        found = np.linalg.lstsq(terms(places[use]), targets[use], rcond=None)[0]
        miss = np.hypot(*(terms(places) @ found - targets).T)
        use = miss <= max(3 * np.median(miss), 0.1)
    return lambda points: terms(points) @ found


def _fit_rotation(places, targets):
    """Rotation and shift, least squares."""
    a, b = places - places.mean(axis=0), targets - targets.mean(axis=0)
    angle = np.arctan2((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a * b).sum())
    turn = _turn(angle)
    return turn, targets.mean(axis=0) - turn @ places.mean(axis=0)


def _turn(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _vote(places, known):
    """Rotation and shift for which most pairs of bright stars vote; None without a clear vote.

    A pair of stars in one frame and one of the same length in the other give a rotation and, with it, a shift.
    """
    first, second = places[:VOTERS], known[:VOTERS]
    length, i, j = _lengths(first)
    other, m, n = _lengths(second)
    order = np.argsort(other)
    tolerance = LENGTH_PIXELS + LENGTH_PART * length
    begin = np.searchsorted(other[order], length - tolerance)
    counts = np.searchsorted(other[order], length + tolerance) - begin
    pair = np.repeat(np.arange(len(length)), counts)
    if len(pair) == 0:
        return None
    match = order[np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(begin, counts)]
    i, j, m, n = i[pair], j[pair], m[match], n[match]
    i, j, m, n = np.concatenate([i, j]), np.concatenate([j, i]), np.tile(m, 2), np.tile(n, 2)  # either way round
    a, b = first[j] - first[i], second[n] - second[m]
    angle = np.arctan2(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], (a * b).sum(axis=1))
    middle = (first[i] + first[j]) / 2
    origin = places.mean(axis=0)
    cosine, sine = np.cos(angle), np.sin(angle)
    arm = middle - origin
    turned = np.stack([cosine * arm[:, 0] - sine * arm[:, 1], sine * arm[:, 0] + cosine * arm[:, 1]], axis=1)
    shift = (second[m] + second[n]) / 2 - turned - origin
    bins = np.column_stack([np.rint(np.degrees(angle) / DEGREES), np.rint(shift / SHIFT)]).astype(int)
    bins[:, 0] %= round(360 / DEGREES)
    wide = np.ptp(bins, axis=0) + 1
    codes = (bins - bins.min(axis=0)) @ [wide[1] * wide[2], wide[2], 1]
    _, first_of, votes = np.unique(codes, return_index=True, return_counts=True)
    if votes.max() < VOTES:
        return None
    apart = np.abs(bins - bins[first_of[votes.argmax()]])
    apart[:, 0] = np.minimum(apart[:, 0], round(360 / DEGREES) - apart[:, 0])
    near = (apart <= 1).all(axis=1)
    center = np.angle(np.exp(1j * angle[near]).mean())
    turn = _turn(center)
    return turn, np.median(shift[near], axis=0) + origin - turn @ origin


def _lengths(places):
    """Lengths of all pairs of stars that are far from each other, with their numbers."""
    i, j = np.triu_indices(len(places), 1)
    length = np.hypot(*(places[j] - places[i]).T)
    far = length > 0.15 * np.hypot(*np.ptp(places, axis=0))
    return length[far], i[far], j[far]
