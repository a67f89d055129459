"""Compiled kernels: the arithmetic on whole stacks, a lane of pixels at a time, so that all frames of it stay in cache.

Numba compiles each on its first call and keeps the machine code on disk. Each kernel has one signature only, so that
jobs that compile at the same time write the same code. Nothing here depends on the number of threads, on the blocks
that a stack is cut into, or (as no sums are reordered) on the processor.
"""

from contextlib import suppress

import numpy as np
from numba import njit
from numba.core.caching import FunctionCache

from flatfield.raw.robust import SIGMA_PER_MAD

#: Methods of combination.
MEDIAN, MEAN, SIGMA_CLIP, MINMAX, CCD_CLIP = range(5)
#: Kernels take all arrays, used or not: what stands for those that are not.
NO_INTEGERS, NO_FLOATS = np.zeros((0, 0, 0), np.uint16), np.zeros((0, 0, 0), np.float32)
NO_PLANE = np.zeros((0, 0), np.float32)
#: Pixels combined at a time; a multiple of the periods of all colour filter arrays (1, 2, 6).
LANE = 768


class _Cache(FunctionCache):
    """Machine code kept on disk; what cannot be read or written there is compiled again, and no error."""

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a damaged file can raise anything
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig, data):
        with suppress(Exception):
            super().save_overload(sig, data)


#: For what kernels call; compiled as part of them.
inner = njit(nogil=True, error_model="numpy")


def compiled(function):
    """Compile a function on its first call, free of the interpreter lock, divisions as numpy does them."""
    dispatcher = inner(function)
    with suppress(RuntimeError):  # no folder can be written to
        dispatcher._cache = _Cache(function)  # type: ignore[attr-defined]  # there is no public way
    return dispatcher


@compiled
def combine_pixels(integers, floats, blacks, factors, tile, bias, first, last, rule, pairs, value, error, used):
    """Combine rows ``first`` to ``last`` of a stack per pixel.

    Parameters
    ----------
    integers : numpy.ndarray, uint16, ``(frames, rows, columns)``
        DN; of shape ``(0, 0, 0)`` for a stack of floats.
    floats : numpy.ndarray, float32, ``(frames, rows, columns)``
        DN; of shape ``(0, 0, 0)`` for a stack of integers.
    blacks, factors : numpy.ndarray, float32, ``(frames, 4)``
        Black level (DN) and scale factor of each frame and colour.
    tile : numpy.ndarray, int64, ``(period, period)``
        Colours, as seen from the first row of the stack.
    bias : numpy.ndarray, float32, ``(rows, columns)``
        Master of the offset frames, DN; of shape ``(0, 0)`` for none.
    first, last : int
        Rows of the stack to combine.
    rule : numpy.ndarray, float64, ``(7,)``
        Method, its parameters (kappa_low, kappa_high, iterations, and for CCD_CLIP read noise in DN and gain in e-/DN;
        or nlow, nhigh; 0 for what it has not) and the factor of the error.
    pairs : numpy.ndarray, int64, ``(pairs, 2)``
        Network that puts the values of a pixel in order, as far as the method needs it.
    value, error : numpy.ndarray, float32, ``(last - first, columns)``
        Written: combined value (DN above black) and standard error; `error` of shape ``(0, 0)`` is left out.
    used : numpy.ndarray, int16, ``(last - first, columns)``
        Written: number of frames that count; of shape ``(0, 0)`` is left out.
    """
    frames, columns = len(blacks), value.shape[1]
    black, factor = _spread(blacks, tile), _spread(factors, tile)
    lines = np.zeros((frames, LANE), np.float32)
    for row in range(first, last):
        phase = row % len(tile)
        for left in range(0, columns, LANE):
            width = min(LANE, columns - left)
            for k in range(frames):
                _load(integers, floats, bias, k, row, left, width, black[phase, k, 1:], factor[phase, k, 1:], lines[k])
            parts = value[row - first, left:], _part(error, row - first, left), _part(used, row - first, left)
            _reduce(lines, width, rule, pairs, factor[phase, :, 1:], *parts)


@compiled
def combine_planes(integers, floats, blacks, factors, tile, bias, first, last, rule, pairs, values, errors):
    """Interpolate rows ``first`` to ``last`` of every frame bilinearly, and combine each channel per pixel.

    A channel that was recorded at a pixel is kept there. Elsewhere it is the mean of the pixels of that channel among
    the eight neighbours, those beside and above counting twice those at the corners. At the border of the stack the
    neighbours that exist are used; where there is none, those within two pixels, with the weights
    [1 4 6 4 1] x [1 4 6 4 1].

    Parameters
    ----------
    integers, floats, blacks, factors, tile, bias, first, last, rule, pairs
        As for `combine_pixels`; the stack has two more rows above `first` and below `last` wherever the frame has.
    values, errors : numpy.ndarray, float32, ``(channels, last - first, columns)``
        Written; `errors` of shape ``(channels, 0, 0)`` is left out.
    """
    frames, columns, rows = len(blacks), values.shape[2], max(integers.shape[1], floats.shape[1])
    black, factor, marks = _spread(blacks, tile), _spread(factors, tile), _mark(tile, len(values))
    lines = np.zeros((frames, LANE), np.float32)
    signals = np.zeros((frames, 3, LANE + 2), np.float32)  # three rows at a time, and a column on either side
    here = np.zeros((3, LANE + 2), np.int32)  # 1 where the channel was recorded
    weight, not_counted = np.zeros(LANE, np.float32), np.zeros(0, np.int16)
    own = np.zeros((len(values), frames, LANE), np.float32)  # factor of each channel and frame
    for channel in range(len(values)):
        own[channel] = factors[:, channel].copy().reshape(-1, 1)
    for left in range(0, columns, LANE):
        width = min(LANE, columns - left)
        begin, end = max(left - 1, 0), min(left + width + 1, columns)
        for row in range(first - 1, last + 1):
            if 0 <= row < rows:
                phase, skip = row % len(tile), begin - left + 1
                for k in range(frames):
                    around = black[phase, k, skip:], factor[phase, k, skip:], signals[k, row % 3, skip:]
                    _load(integers, floats, bias, k, row, begin, end - begin, *around)
            center = row - 1
            if center < first:  # the row below the one to interpolate is not there yet
                continue
            for channel in range(len(values)):
                here[:] = 0
                inside = slice(begin - left + 1, end - left + 1)
                for i in range(3):
                    near = center - 1 + i
                    if 0 <= near < rows:
                        here[i, inside] = marks[near % len(tile), channel, inside]
                lost = _weigh(here, weight, width)
                for k in range(frames):
                    above, middle, below = (center - 1) % 3, center % 3, (center + 1) % 3
                    _interpolate(signals[k, above], signals[k, middle], signals[k, below], here, weight, lines[k])
                if lost:
                    for j in range(width):
                        if weight[j] == 0:
                            for k in range(frames):
                                lines[k, j] = _reach_further(
                                    integers, floats, blacks[k], factors[k], tile, bias, k, center, left + j, channel
                                )
                parts = values[channel, center - first, left:], _part(errors[channel], center - first, left)
                _reduce(lines, width, rule, pairs, own[channel], *parts, not_counted)


@compiled
def average_neighbours(values, counted, reach, mean):
    """Mean of those that count in the square around each pixel; the border is repeated outwards.

    Parameters
    ----------
    values, counted : numpy.ndarray, float32 and bool, ``(rows, columns)``
    reach : int
        The square has ``2 reach + 1`` pixels a side.
    mean : numpy.ndarray, float32, ``(rows, columns)``
        Written; NaN where none counts.
    """
    rows, columns = values.shape
    sums, counts = np.zeros(columns), np.zeros(columns, np.int64)
    for row in range(-reach, reach):
        _add(values[min(max(row, 0), rows - 1)], counted[min(max(row, 0), rows - 1)], 1, sums, counts)
    for row in range(rows):
        new, old = min(row + reach, rows - 1), max(row - reach, 0)
        _add(values[new], counted[new], 1, sums, counts)
        total, number = 0.0, 0
        for column in range(-reach, reach):
            total += sums[min(max(column, 0), columns - 1)]
            number += counts[min(max(column, 0), columns - 1)]
        for column in range(columns):
            right, left = min(column + reach, columns - 1), max(column - reach, 0)
            total += sums[right]
            number += counts[right]
            mean[row, column] = total / number if number > 0 else np.nan
            total -= sums[left]
            number -= counts[left]
        _add(values[old], counted[old], -1, sums, counts)


@inner
def _add(values, counted, sign, sums, counts):
    """Add a line of those that count to sums and counts of columns, or take it away."""
    for column in range(len(sums)):
        if counted[column]:
            sums[column] += sign * values[column]
            counts[column] += sign


@inner
def _spread(levels, tile):
    """Level of each pixel of a lane and of a column on either side, ``(period, frames, LANE + 2)``."""
    period = len(tile)
    result = np.empty((period, len(levels), LANE + 2), np.float32)
    for phase in range(period):
        for k in range(len(levels)):
            for j in range(LANE + 2):
                result[phase, k, j] = levels[k, tile[phase, (j + period - 1) % period]]
    return result


@inner
def _channel(color):
    """Channel of a colour: the second green belongs to green."""
    return 1 if color == 3 else color


@inner
def _mark(tile, channels):
    """1 where a channel was recorded in a lane and in a column on either side, ``(period, channels, LANE + 2)``."""
    period = len(tile)
    result = np.zeros((period, channels, LANE + 2), np.int32)
    for phase in range(period):
        for j in range(LANE + 2):
            result[phase, _channel(tile[phase, (j + period - 1) % period]), j] = 1
    return result


@inner
def _load(integers, floats, bias, k, row, left, width, black, factor, line):
    """Scaled signal of a lane of one frame: (M - black - bias) factor."""
    if len(integers) > 0:
        recorded = integers[k, row, left : left + width]
        for j in range(width):
            line[j] = recorded[j]
    else:
        line[:width] = floats[k, row, left : left + width]
    if len(bias) > 0:
        offset = bias[row, left : left + width]
        for j in range(width):
            line[j] = (line[j] - black[j] - offset[j]) * factor[j]
    else:
        for j in range(width):
            line[j] = (line[j] - black[j]) * factor[j]


@inner
def _weigh(here, weight, width):
    """Sum of the weights of the neighbours; whether that is 0 anywhere."""
    lost = False
    for j in range(LANE):
        beside = here[0, j] + 2 * here[1, j] + here[2, j] + here[0, j + 2] + 2 * here[1, j + 2] + here[2, j + 2]
        weight[j] = beside + 2 * (here[0, j + 1] + 2 * here[1, j + 1] + here[2, j + 1])
        lost |= j < width and weight[j] == 0
    return lost


@inner
def _interpolate(above, middle, below, here, weight, line):
    """Weighted mean of the neighbours of a channel; its own value where it was recorded."""
    column = np.empty(LANE + 2, np.float32)
    for j in range(LANE + 2):
        total = np.float32(2) * middle[j] if here[1, j] != 0 else np.float32(0)
        total += above[j] if here[0, j] != 0 else np.float32(0)
        total += below[j] if here[2, j] != 0 else np.float32(0)
        column[j] = total
    for j in range(LANE):
        mean = (column[j] + np.float32(2) * column[j + 1] + column[j + 2]) / weight[j]
        line[j] = middle[j + 1] if here[1, j + 1] != 0 else mean


@inner
def _reach_further(integers, floats, blacks, factors, tile, bias, k, row, column, channel):
    """Weighted mean of the pixels of a channel within two rows and columns."""
    weights = np.array([1, 4, 6, 4, 1], np.float32)
    rows, columns = max(integers.shape[1], floats.shape[1]), max(integers.shape[2], floats.shape[2])
    total, norm = np.float32(0), np.float32(0)
    for i in range(max(row - 2, 0), min(row + 3, rows)):
        for j in range(max(column - 2, 0), min(column + 3, columns)):
            color = tile[i % len(tile), j % len(tile)]
            if _channel(color) == channel:
                level = np.float32(integers[k, i, j]) if len(integers) > 0 else floats[k, i, j]
                level -= blacks[color]
                if len(bias) > 0:
                    level -= bias[i, j]
                weight = weights[i - row + 2] * weights[j - column + 2]
                total += weight * (level * factors[color])
                norm += weight
    return total / norm


@inner
def _part(plane, row, left):
    """Where the errors or counts of a lane go; nothing where they are not wanted."""
    return plane[row, left:] if len(plane) > 0 else plane.reshape(-1)


@inner
def _reduce(lines, width, rule, pairs, factor, value, error, used):
    """Combine the lines of a lane, one per frame; they are put in order as `pairs` say."""
    frames, method = len(lines), int(rule[0])
    unordered = lines.copy() if method == CCD_CLIP else lines[:0]
    for i in range(len(pairs)):
        low, high = lines[pairs[i, 0]], lines[pairs[i, 1]]
        for j in range(LANE):
            a, b = low[j], high[j]
            low[j] = a if a < b else b
            high[j] = b if a < b else a
    first, last = np.zeros(LANE, np.int64), np.full(LANE, frames)
    if method == MEDIAN:
        lower, upper = lines[(frames - 1) // 2], lines[frames // 2]
        for j in range(width):
            value[j] = (lower[j] + upper[j]) / np.float32(2)
        if len(error) == 0:
            return
    elif method == MINMAX:
        first[:], last[:] = int(rule[1]), frames - int(rule[2])
    elif method == SIGMA_CLIP:
        _clip_lane(lines, width, rule, first, last)
    # sums of deviations from one of the values, so that no digits are lost
    origin, total, square = lines[frames // 2], np.zeros(LANE), np.zeros(LANE)
    for k in range(frames):
        line = lines[k]
        for j in range(LANE):
            deviation = np.float64(line[j]) - np.float64(origin[j]) if first[j] <= k < last[j] else 0.0
            total[j] += deviation
            square[j] += deviation * deviation
    for j in range(width):
        kept = last[j] - first[j]
        if method != MEDIAN:
            value[j] = origin[j] + total[j] / kept
        if len(error) > 0:
            error[j] = rule[6] * np.sqrt(max(square[j] - total[j] * total[j] / kept, 0.0) / kept / (kept - 1))
        if len(used) > 0:
            used[j] = kept
    if method == CCD_CLIP:
        _ccd_clip_lane(unordered, lines, width, rule, factor, value, error, used)


@inner
def _ccd_clip_lane(unordered, lines, width, rule, factor, value, error, used):
    """Combine again the pixels of a lane of which CCD-noise clipping rejects a value."""
    frames = len(lines)
    center, rejected = np.empty(LANE), np.zeros(LANE, np.int64)
    for j in range(LANE):
        center[j] = (np.float64(lines[(frames - 1) // 2, j]) + np.float64(lines[frames // 2, j])) / 2
    for k in range(frames):
        for j in range(LANE):
            rejected[j] += _departs(unordered[k, j], center[j], factor[k, j], rule)
    kept, values = np.empty(frames, np.bool_), np.empty(frames)
    for j in range(width):
        if rejected[j] == 0:
            continue
        kept[:], middle, count = True, center[j], frames
        for _ in range(int(rule[3])):
            left = 0
            for k in range(frames):
                left += kept[k] and not _departs(unordered[k, j], middle, factor[k, j], rule)
            if left == 0 or left == count:  # never all of them
                break
            left = 0
            for k in range(frames):
                kept[k] = kept[k] and not _departs(unordered[k, j], middle, factor[k, j], rule)
                if kept[k]:
                    values[left] = unordered[k, j]
                    left += 1
            ordered, count = np.sort(values[:left]), left
            middle = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
        left = 0
        for k in range(frames):
            if kept[k]:
                values[left] = unordered[k, j]
                left += 1
        mean, variance = _moments(values[:left])
        value[j] = mean
        if len(error) > 0:
            error[j] = rule[6] * np.sqrt(variance / (left - 1))
        if len(used) > 0:
            used[j] = left


@inner
def _departs(value, center, factor, rule):
    """Whether a scaled value is further from the centre than the noise of its frame allows."""
    deviation = np.float64(value) - center
    limit = rule[2] if deviation > 0 else rule[1]
    # of the value as recorded, read_noise^2 + signal / gain; scaled with it
    variance = factor * (factor * rule[4] * rule[4] + max(center, 0.0) / rule[5])
    return deviation * deviation > limit * limit * variance


@inner
def _clip_lane(lines, width, rule, first, last):
    """First and last + 1 of the ordered lines that sigma clipping keeps, for each pixel of a lane.

    Most pixels lose nothing in the first round, which is done for all at once; only the others go on.
    """
    frames = len(lines)
    lower, upper = np.full(LANE, np.inf), np.full(LANE, np.inf)
    center = np.empty(LANE)
    for j in range(LANE):
        center[j] = (np.float64(lines[(frames - 1) // 2, j]) + np.float64(lines[frames // 2, j])) / 2
    for rank, deviation in (((frames - 1) // 2, lower), (frames // 2, upper)):
        for k in range(frames - rank):
            near, far = lines[k], lines[k + rank]
            for j in range(LANE):
                span = max(center[j] - near[j], far[j] - center[j])
                deviation[j] = min(deviation[j], span)
    ordered = np.empty(frames)
    for j in range(width):
        sigma = SIGMA_PER_MAD * (lower[j] + upper[j]) / 2
        within = lines[0, j] >= center[j] - rule[1] * sigma and lines[frames - 1, j] <= center[j] + rule[2] * sigma
        if not (within and sigma > 0):
            for k in range(frames):
                ordered[k] = lines[k, j]
            first[j], last[j] = _clip(ordered, rule[1], rule[2], int(rule[3]))


@inner
def _moments(values):
    """Mean and population variance."""
    total = 0.0
    for value in values:
        total += value
    mean, square = total / len(values), 0.0
    for value in values:
        square += (value - mean) ** 2
    return mean, square / len(values)


@inner
def _clip(ordered, kappa_low, kappa_high, rounds):
    """First and last + 1 of the ordered values that sigma clipping keeps.

    The standard deviation is taken from the median absolute deviation; where that is 0 because more than half of the
    values are equal, from the scatter of the values that are left.
    """
    first, last = 0, len(ordered)
    for _ in range(rounds):
        count = last - first
        center = (ordered[(first + last - 1) // 2] + ordered[(first + last) // 2]) / 2
        lower = _rank_deviation(ordered, first, last, center, (count - 1) // 2)
        upper = _rank_deviation(ordered, first, last, center, count // 2)
        sigma = SIGMA_PER_MAD * (lower + upper) / 2
        if sigma == 0:
            sigma = np.sqrt(_moments(ordered[first:last])[1])
        begin, end = first, last
        while begin < end and ordered[begin] < center - kappa_low * sigma:
            begin += 1
        while begin < end and ordered[end - 1] > center + kappa_high * sigma:
            end -= 1
        if begin == end or (begin == first and end == last):  # never all of them
            break
        first, last = begin, end
    return first, last


@inner
def _rank_deviation(ordered, first, last, center, rank):
    """Absolute deviation from `center` with `rank` smaller ones: that of the tightest run of rank + 1 values."""
    result = np.inf
    for k in range(first, last - rank):
        result = min(result, max(center - ordered[k], ordered[k + rank] - center))
    return result
