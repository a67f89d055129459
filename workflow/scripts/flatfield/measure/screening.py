"""Frames that do not belong in a flat: of another exposure, saturated, dark, copies, or unlike the rest."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from flatfield.files.errors import InventoryError
from flatfield.files.names import is_fits
from flatfield.measure.bands import find_bands
from flatfield.measure.blocks import average_channels, block_average
from flatfield.measure.scales import step_of_values
from flatfield.raw.cfa import CHANNEL_OF_COLOR
from flatfield.raw.robust import SIGMA_PER_MAD

#: Frames are compared with each other in blocks: about this many across, none smaller than this many pixels.
BLOCKS_ACROSS, SMALLEST_BLOCK = 256, 8
#: Rows and columns in the centre in which the noise of a frame is measured.
NOISE_BOX = 256
#: Frames before and after one with which its level is compared.
NEIGHBOURS = 3
#: Blocks are compared as they are, and as means over this many in each direction, which show what is large and faint.
COARSENINGS = (1, 4)
#: Fewest frames of a subset for which one can be distinguished from the others.
ENOUGH = 3
#: Beginning of the reason of a frame that fails a test and is used nevertheless.
KEPT = "kept"
#: In the reason of a copy, and of a frame whose light flickered.
COPY, BANDS = "same content as", "bands"


@dataclass(frozen=True)
class FrameStatistics:
    """Statistics of a frame by which outliers are found.

    Attributes
    ----------
    snr : float or None
        Signal over noise of a pixel in the centre, of the noisiest channel; None where there is no noise.
    constant : float or None
        The value that all pixels have, DN.
    content : str
        Digest of the map: the same in copies.
    map : numpy.ndarray, float32, ``(channels, rows, columns)``
        Mean signal in blocks, DN above black.
    rows, columns : numpy.ndarray, float64
        Mean signal of each row and column, DN above black.
    step : float
        That the values are multiples of, DN.
    """

    snr: float | None
    constant: float | None
    content: str
    map: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    step: float = 1.0


def measure_frame(mosaic, black, cfa, values, bias=None):
    """Measure the statistics of a frame.

    Parameters
    ----------
    mosaic : numpy.ndarray, ``(rows, columns)``, DN
    black : numpy.ndarray, ``(4,)``, DN
    cfa : ColorFilterArray
    values : flatfield.measure.saturation.ValueCounts
        Of the mosaic.
    bias : numpy.ndarray, float32, ``(rows, columns)``, optional

    Returns
    -------
    FrameStatistics
    """
    size = map_block_size(mosaic.shape, cfa)
    means = average_channels(mosaic, cfa, size)
    tile = black[np.array(cfa.tile)].astype(np.float64)
    means -= average_channels(tile, cfa, cfa.period)
    if bias is not None:
        means -= average_channels(bias, cfa, size)
    low, high = values.range()
    zero = float(tile.mean()) + (0.0 if bias is None else float(np.median(bias)))
    return FrameStatistics(
        _snr_of_frame(mosaic, means, cfa),
        float(low) if low == high else None,
        hashlib.sha256(means.tobytes()).hexdigest(),
        means.astype(np.float32),
        values.rows - zero,
        values.columns - zero,
        step_of_values(values),
    )


def map_block_size(shape, cfa):
    """Side of the blocks in which frames are compared, pixels: a multiple of the period of the colour pattern."""
    size = max(SMALLEST_BLOCK, -(-shape[1] // BLOCKS_ACROSS))
    return min(-(-size // cfa.period), min(shape) // cfa.period) * cfa.period


def _snr_of_frame(mosaic, means, cfa):
    """Signal over the scatter between neighbours of a colour, in the centre; the least of the channels."""
    p, ratios = cfa.period, []
    half = NOISE_BOX // 2 // p * p
    middle = [length // 2 // p * p for length in mosaic.shape]
    box = mosaic[tuple(slice(max(m - half, 0), m + half) for m in middle)]
    rows, columns = means.shape[1:]
    center = means[:, rows // 4 : max(3 * rows // 4, 1), columns // 4 : max(3 * columns // 4, 1)]
    for channel in range(len(cfa.channels)):
        i, j = next((i, j) for i, j, color in cfa.phases() if channel == CHANNEL_OF_COLOR[color])
        step = np.diff(box[i::p, j::p].astype(np.float32), axis=1)
        # the mean deviation of normal noise is sqrt(2 / pi) of its standard deviation
        noise = np.sqrt(np.pi / 2) * np.abs(step - np.median(step)).mean() / np.sqrt(2)
        ratios.append(np.median(center[channel]) / noise if noise > 0 else np.inf)
    least = float(min(ratios))
    return least if np.isfinite(least) else None


def screen_frames(frames, statistics, owners, tests, min_frames, bad_frames):
    """Find the frames of a set that do not belong, and take them out.

    Parameters
    ----------
    frames : list of FrameRecord
        ``used``, ``reason`` and the departures are updated in place.
    statistics : list of FrameStatistics
    owners : list of str
        Subset of each; frames are compared within.
    tests : dict
        Section ``frame_tests`` of the configuration: thresholds.
    min_frames : int
        At least this many are left in a subset. Those that stay for this have a reason that begins with
        `KEPT`, as have those that differ from the others as most do (twilights with stars), or where all are bad.
    bad_frames : {"exclude", "error"}

    Raises
    ------
    InventoryError
        With ``bad_frames="error"``: one sentence that names the frames.
    """
    subsets, measured = defaultdict(list), dict(zip(frames, statistics, strict=True))
    for frame, owner in zip(frames, owners, strict=True):
        if frame.used:
            subsets[owner].append(frame)
    copies = find_copies({frame: measured[frame].content for frame in frames if frame.used})
    for members in subsets.values():
        reasons, common = {}, set()  # the reasons in order: the surest first
        for frame in members:
            reason = _judge_alone(frame, measured[frame], tests) or copies.get(frame)
            reasons |= {frame: reason} if reason else {}
        for judge in (_judge_drift, _judge_bands, _judge_gradient, _judge_departure):
            good = [frame for frame in members if frame not in reasons]
            if len(good) >= ENOUGH:
                found = judge(good, measured, tests)
                reasons |= found
                common |= set(found) if len(found) > len(good) / 2 else set()
        if reasons and bad_frames == "error":
            frame, reason = next(iter(reasons.items()))
            more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
            raise InventoryError(
                f"{frame.file} does not belong in a flat: {reason}{more}; take it out, change its "
                "threshold in `frame_tests`, or set `bad_frames: exclude`"
            )
        room = len(members) - min_frames if len(reasons) < len(members) else 0
        for frame, reason in reasons.items():
            why = ""
            if len(reasons) == len(members) or frame in common:
                why = f"{KEPT}, as most are so: "
            elif room <= 0:
                why = f"{KEPT}, as fewer than {min_frames} would be left: "
            else:
                room -= 1
            frame.used, frame.reason = bool(why), why + reason


def _judge_alone(frame, statistics, tests):
    """Reason to refuse a frame for what it is; None where there is none."""
    if statistics.constant is not None:
        return f"blank: every pixel is {statistics.constant:g} DN"
    level, white = frame.level_dn, frame.white_dn
    unknown = white is None or is_fits(frame.file)  # FITS gives the range of its numbers, not of the camera
    full = None if unknown else white - np.mean(frame.black_dn)
    if level <= 0:
        return f"too dark: its level is {level:.4g} DN above black"
    if full is not None and 100 * level / full < tests["dark_percent"]:
        return f"too dark: its level is {level:.4g} DN, {100 * level / full:.2g} % of {full:.6g} DN"
    if frame.snr is not None and frame.snr < tests["snr"]:
        return f"too noisy: S/N of a pixel is {frame.snr:.3g}, less than {tests['snr']:g}"
    for channel, percent in frame.saturated_percent.items():
        if percent > tests["saturated_percent"]:
            return f"saturated: {percent:.2g} % of {channel}"
    return None


def find_copies(contents):
    """Reasons to leave out copies of frames.

    Parameters
    ----------
    contents : dict
        What is the same in copies, by frame.

    Returns
    -------
    dict
        Sentence by frame.
    """
    first, copies = {}, {}
    for frame, content in contents.items():
        original = first.setdefault(content, frame)
        if original is not frame:
            copies[frame] = f"{COPY} {original.file}"
    return copies


def _judge_drift(frames, _, tests):
    """Levels far from those of the neighbours in the subset, and further than others are from theirs."""
    levels, near = np.array([frame.level_dn for frame in frames]), range(-NEIGHBOURS, NEIGHBOURS + 1)
    usual = [
        np.median([levels[index + step] for step in near if step and 0 <= index + step < len(levels)])
        for index in range(len(levels))
    ]
    deviation = levels / usual - 1
    scatter = SIGMA_PER_MAD * np.median(np.abs(deviation))
    limit = max(tests["drift_percent"] / 100, tests["drift_sigma"] * scatter)
    return {
        frame: f"exposure: its level is {100 * each:+.1f} % off those of its neighbours"
        for frame, each in zip(frames, deviation, strict=True)
        if abs(each) > limit
    }


def _judge_bands(frames, measured, tests):
    """Bands of light that flickers."""
    reasons = {}
    for axis, words in (("columns", "columns"), ("rows", "rows")):
        found = find_bands(np.array([getattr(measured[frame], axis) for frame in frames]))
        for frame, bands in zip(frames, found, strict=True):
            if bands and bands[0] > tests["bands_percent"]:
                reasons[frame] = (
                    f"{BANDS} of {bands[0]:.2g} % with a period of {bands[1]:.0f} {words}: the lamp flickers"
                )
    return reasons


def _judge_gradient(frames, measured, tests):
    """Gradients that the neighbours in the subset have not, as a cloud or a person makes them."""
    maps = np.array([measured[frame].map for frame in frames], np.float64)
    usual = np.maximum(np.median(_relative(maps), axis=0), 1e-6)
    slopes = np.array([_slope(each) for each in (_relative(maps) / usual).mean(axis=1)])
    near = range(-NEIGHBOURS, NEIGHBOURS + 1)
    expected = [
        np.median([slopes[index + step] for step in near if step and 0 <= index + step < len(slopes)], axis=0)
        for index in range(len(slopes))
    ]
    percent = 200 * np.abs(slopes - expected).sum(axis=1)  # over the whole frame, from -1 to 1
    limit = max(tests["departure_percent"], tests["departure_sigma"] * SIGMA_PER_MAD * np.median(percent))
    return {
        frame: f"departs from the others by a gradient of {each:.2g} % across the frame"
        for frame, each in zip(frames, percent, strict=True)
        if each > limit
    }


def _relative(maps):
    """Maps in units of their level, taken from all of their blocks, as one is noisy where the light falls off."""
    usual = np.maximum(np.median(maps, axis=0), 1e-6)
    levels = np.median(maps / usual, axis=(2, 3)) * np.mean(usual, axis=(1, 2))
    return maps / np.where(levels > 0, levels, 1)[:, :, None, None]


def _judge_departure(frames, measured, tests):
    """Shapes that differ from the median of the subset."""
    limits = tests["departure_percent"], tests["departure_sigma"]
    reasons = {}
    for frame, percent, sigma, where in find_departures([measured[each].map for each in frames], limits, frames):
        frame.departure_percent, frame.departure_sigma = percent, sigma
        if abs(percent) > limits[0] and sigma > limits[1]:
            reasons[frame] = f"departs from the others by {percent:+.2g} % ({sigma:.3g} sigma) {where}"
    return reasons


def find_departures(maps, limits, labels):
    """Largest departure of each frame from the median of all, in shape: level and a linear gradient do not count.

    Parameters
    ----------
    maps : sequence of numpy.ndarray, ``(channels, rows, columns)``
        Mean signal in blocks, DN above black.
    limits : tuple of float
        Departure in percent and in standard deviations of a block that count; the largest is that which exceeds
        both the most.
    labels : sequence
        One a map, handed through.

    Yields
    ------
    label, percent, sigma, where
        Signed departure, its absolute significance, and the place in words.
    """
    found = [_find_departures(maps, limits)]
    for step in COARSENINGS[1:]:
        if min(maps[0].shape[1:]) >= 3 * step:  # enough to determine a gradient
            found.append(_find_departures([coarsen(each, step) for each in maps], limits))
    for label, *candidates in zip(labels, *found, strict=True):
        yield label, *max(candidates, key=lambda each: min(abs(each[0]) / limits[0], each[1] / limits[1]))


def coarsen(planes, step):
    """Means over `step` x `step` blocks; a remainder is left out."""
    return np.array([block_average(plane, step) for plane in planes])


def _find_departures(maps, limits):
    """Percent, sigma and place of the largest departure of each map."""
    relative = list(_relative(np.array(maps, np.float64)))
    usual = np.maximum(np.median(relative, axis=0), 1e-6)
    # noise of a block, were its level 1: photon noise falls with the root of the level
    steps = [_scatter((a - b) / np.sqrt(usual)) for a, b in zip(relative, relative[1:] + relative[:1], strict=True)]
    noise = np.percentile(steps, 25, axis=0, method="lower") / np.sqrt(2)
    noise = np.maximum(noise * np.sqrt(1 + np.pi / 2 / len(maps)), 1e-9)[:, None, None]
    departures = []
    for each in relative:
        percent = 100 * np.array([_flatten(plane) for plane in each / usual - 1])
        sigma = np.abs(percent) / 100 * np.sqrt(usual) / noise
        channel, row, column = np.unravel_index(
            np.minimum(np.abs(percent) / limits[0], sigma / limits[1]).argmax(), percent.shape
        )
        share = (row + 0.5) / percent.shape[1], (column + 0.5) / percent.shape[2]
        where = f"at {100 * share[0]:.0f} % of the height, {100 * share[1]:.0f} % of the width"
        departures.append((float(percent[channel, row, column]), float(sigma[channel, row, column]), where))
    return departures


def _scatter(planes):
    """Robust standard deviation of each plane."""
    return SIGMA_PER_MAD * np.median(np.abs(planes - np.median(planes, axis=(1, 2), keepdims=True)), axis=(1, 2))


def _flatten(plane):
    """A plane without its level and linear gradient."""
    return _fit_plane(plane)[0]


def _slope(plane):
    """Linear gradient of a plane, to the right and down, over half of its width and height."""
    return _fit_plane(plane)[1]


def _fit_plane(plane):
    """What a linear gradient leaves of a plane, and that; what is more than 3 robust deviations off decides little."""
    y, x = (np.linspace(-1, 1, length) for length in plane.shape)
    y, rest, slope = y[:, None], plane - np.median(plane), np.zeros(2)
    for _ in range(2):
        limit = 3 * SIGMA_PER_MAD * np.median(np.abs(rest))
        drawn_in = np.clip(rest, -limit, limit)
        step = np.array([drawn_in.mean(axis=0) @ x / (x @ x), (drawn_in.mean(axis=1) @ y / (y * y).sum()).item()])
        rest, slope = rest - step[0] * x - step[1] * y, slope + step
        rest -= np.median(rest)
    return rest, slope
