"""Full wells that differ from pixel to pixel: frames repeat themselves there better than photons let them.

Photon noise grows with the light; pixels that are full hold the same charge in each frame. In one frame such wells
scatter like other pixels, so that only pairs of frames show them.
"""

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.special import gammainc

from flatfield.files.reading import read_each
from flatfield.measure.photon_transfer import EQUAL_LEVEL
from flatfield.raw.cfa import CHANNEL_OF_COLOR
from flatfield.raw.decoded import read_again

#: Fewest pixels of a channel whose noise is taken, and the least part of them (hot pixels are full, too).
FEWEST, LEAST_PART = 64, 5e-4
#: Largest part of the pixels of a channel that is looked at; from and to which part darker ones are compared with them.
LARGEST_PART, DARKER = 0.25, (0.3, 0.6)
#: Part of their variance below which pixels no longer follow the light, and from which on they do.
FULL, FOLLOWS = 0.5, 0.75
#: One of so many pixels is looked at to tell which are the darker ones.
SAMPLE = 16
#: Probability that noise makes it seem so.
CHANCE = 1e-9
#: Side of the box, in pixels of one place in the colour pattern, whose mean is taken off the differences.
BOX = 5
#: Differences further than this many standard deviations off are no noise.
OUTLIER = 5.0
#: Variance of a difference below which the steps of the digitisation make it, DN^2.
LEAST_VARIANCE = 1.0
#: A level that one frame shows stands unless another lies this many standard deviations of noise below it.
BELOW = 4.0


def find_full_wells(first, second, cfa, known=None):
    """Level from which on two frames repeat each other better than darker pixels do.

    Parameters
    ----------
    first, second : numpy.ndarray, ``(rows, columns)``
        DN, of nearly one level.
    cfa : ColorFilterArray
    known : dict, optional
        Level by channel from which on pixels are known to be full, DN; they are left out.

    Returns
    -------
    dict
        Level and noise of darker pixels, DN, by channel, of those that saturate.

    Notes
    -----
    Pixels of a channel are put in order by the mean of both frames, which the noise of their difference does not depend
    on. The mean square of the difference (less its mean over 5 x 5 pixels: drift and bands) of the brightest ones is
    compared with that of the pixels at 30 to 60 % of the order, which are darker and should have less.
    """
    levels, p = {}, cfa.period
    for index, channel in enumerate(cfa.channels):
        means, squares = [], []
        for i, j, color in cfa.phases():
            if CHANNEL_OF_COLOR[color] == index:
                a, b = (frame[i::p, j::p].astype(np.float32) for frame in (first, second))
                rest = (a - b) / np.float32(np.sqrt(2))
                rest -= uniform_filter(rest, BOX)
                means.append(((a + b) / 2).ravel())
                squares.append((rest * rest).ravel())
        mean, square = np.concatenate(means), np.concatenate(squares)
        open_ = mean < (known or {}).get(channel, np.inf)
        found = _level_of(mean[open_], square[open_])
        if found:
            levels[channel] = found
    return levels


def _level_of(mean, square):
    """Lower edge of the plateau of a channel and noise below it, or None."""
    total = mean.size
    size = max(FEWEST, int(LEAST_PART * total))
    if total < 8 * size:
        return None
    dark, darker = np.quantile(mean[::SAMPLE], DARKER)
    usual = _variance(square[(mean >= dark) & (mean <= darker)])
    if usual < LEAST_VARIANCE:
        return None

    def ratio(group):
        """Variance over that of darker pixels."""
        return np.minimum(square[group], OUTLIER**2 * usual).mean() / usual

    # half of the mean of chi^2 with as many degrees of freedom
    top = ratio(np.argpartition(mean, total - size)[-size:])
    if top > FULL or gammainc(size / 2, size * top / 2) > CHANCE:
        return None
    bright = np.argpartition(mean, int((1 - LARGEST_PART) * total))[int((1 - LARGEST_PART) * total) :]
    bright = bright[np.argsort(mean[bright])[::-1]]
    groups = [bright[start : start + size] for start in range(0, len(bright) - size + 1, size)]
    ratios = np.array([ratio(group) for group in groups])
    follows = np.flatnonzero(ratios > FOLLOWS)
    if not follows.size:  # more than is looked at
        return float(np.floor(mean[bright[-1]])), float(np.sqrt(usual))
    return float(np.ceil(mean[groups[follows[0]][0]])), float(np.sqrt(usual))


def _variance(square):
    """Mean of squares without outliers."""
    usual = float(np.median(square)) / 0.4549  # the median of chi^2
    return float(square[square <= OUTLIER**2 * usual].mean()) if usual > 0 else 0.0


def mark_full_wells(records, paths, subsets, reading, threads):
    """Look for full wells in a pair of frames of each subset, and mark the saturated part of all frames.

    Parameters
    ----------
    records : list of flatfield.files.frame_table.FrameRecord
        Updated in place.
    paths, subsets : list of str
        Of each frame.
    reading : bool or dict
        How frames are read, see `flatfield.raw.decode.Reading`.
    threads : int
    """
    pairs = list(_brightest_pairs(records, subsets))

    def compare(index):
        frames = [read_again(paths[each], records[each].sha256, reading) for each in pairs[index]]
        one, other = (records[each].saturations_dn for each in pairs[index])
        known = {channel: min(level, other[channel]) for channel, level in one.items() if channel in other}
        return find_full_wells(frames[0].mosaic, frames[1].mosaic, frames[0].cfa, known)

    found = read_each([paths[pair[0]] for pair in pairs], compare, threads)
    levels = {channel: min(each[channel] for each in found if channel in each) for channel in set().union(*found)}
    if not levels:
        return
    marked = [index for index, record in enumerate(records) if record.used]

    def mark(index):
        record = records[marked[index]]
        frame = read_again(paths[marked[index]], record.sha256, reading)
        for channel, (level, noise) in levels.items():
            if level < record.saturations_dn.get(channel, np.inf) - BELOW * noise:
                pixels = frame.cfa.pixels(frame.mosaic, frame.cfa.channels.index(channel))
                part = float(np.mean(pixels >= level))
                if part:
                    added = part - record.saturated_percent.get(channel, 0.0) / 100
                    record.saturations_dn[channel] = level
                    record.saturated_percent[channel] = 100 * part
                    record.saturated += added * pixels.size / frame.mosaic.size
        record.saturation_dn = min(record.saturations_dn.values(), default=None)

    read_each([paths[index] for index in marked], mark, threads)


def _brightest_pairs(records, subsets):
    """Of each subset the two brightest frames, if they are at one level: a pixel must be full in both."""
    for subset in dict.fromkeys(subsets):
        own = [k for k, each in enumerate(subsets) if each == subset and records[k].used and records[k].level_dn]
        pair = sorted(own, key=lambda k: records[k].level_dn)[-2:]
        if len(pair) == 2 and _comparable(*(records[k] for k in pair)):
            yield pair


def _comparable(first, second):
    same = (first.rows, first.columns, first.cfa) == (second.rows, second.columns, second.cfa)
    return same and first.level_dn > 0 and abs(first.level_dn / second.level_dn - 1) <= EQUAL_LEVEL
