"""Pairs of consecutive frames of a set: what their differences and their centres show about noise."""

from dataclasses import dataclass, field
from threading import Lock

import numpy as np

from flatfield.files.frame_table import read_frames, used_frames
from flatfield.files.reading import read_each
from flatfield.measure import noise
from flatfield.measure.boxes import locate_box
from flatfield.measure.code_counts import CodeCounts
from flatfield.measure.code_steps import StepCounts
from flatfield.measure.line_noise import level_lines, profile_lines
from flatfield.measure.photon_transfer import EQUAL_LEVEL
from flatfield.measure.screening import COPY
from flatfield.measure.tile_noise import DISTANCES, measure_tiles
from flatfield.raw.decode import black_beside_bias, read_signal, signal
from flatfield.raw.decoded import read_again

#: Pixels of pairs of frames that photon transfer takes, all in all; more pairs add time and no certainty that counts.
PAIR_PIXELS = 60_000_000
#: Pixels of frames that the two halves are made of, all in all; more frames add time, and little certainty.
HALVES_PIXELS = 400_000_000
#: Part of the pixels of a bias frame that may have its lowest value.
PILED_UP = 0.005


@dataclass
class PairStatistics:
    """Noise of pairs of frames, and the centre of each frame.

    Attributes
    ----------
    boxes : dict
        Pixels of the box `center` by file, a list of one array a channel, DN above black, not scaled.
    tiles : list of flatfield.measure.tile_noise.TileNoise
        Of pairs of frames at one level.
    box_variances : list
        For each channel: level, variance and number of pixels of the box in each of those pairs.
    halves : tuple of numpy.ndarray, float32, ``(rows, columns)``, or None
        Mean signal of two groups of frames that share none, DN above black; None of a single frame.
    lines : list of flatfield.measure.line_noise.LineProfiles
        Of those pairs.
    codes : flatfield.measure.code_counts.CodeCounts
        Of the first frame of each of those pairs.
    steps : flatfield.measure.code_steps.StepCounts
        Of those pairs.
    """

    boxes: dict = field(default_factory=dict)
    tiles: list = field(default_factory=list)
    box_variances: list = field(default_factory=list)
    halves: tuple | None = None
    lines: list = field(default_factory=list)
    codes: CodeCounts = field(default_factory=CodeCounts)
    steps: StepCounts = field(default_factory=StepCounts)


class _Half:
    """Mean of frames that come in any order; sums of integers do not depend on it."""

    def __init__(self):
        self.lock, self.total, self.blacks = Lock(), np.zeros((0, 0), np.uint32), {}

    def add(self, file, mosaic, black):
        with self.lock:
            if not self.total.size:
                self.total = np.zeros(mosaic.shape, np.uint32 if mosaic.dtype == np.uint16 else np.float64)
            self.total += mosaic
            self.blacks[file] = black

    def mean(self, cfa, master):
        """Mean signal, DN above black."""
        black = np.array([self.blacks[file] for file in sorted(self.blacks)], np.float64).mean(axis=0)
        mosaic = (self.total / len(self.blacks)).astype(np.float32)
        return signal(mosaic[None], black[None].astype(np.float32), cfa, master)[0]


def measure_pairs(frames, paths, cfa, master, options, threads):
    """Read every used frame once: its centre, the noise of pairs, and the mean of each half of the frames.

    Parameters
    ----------
    frames : dict
        `FrameRecord` of each used flat by file.
    paths : dict
        Path by file.
    cfa : ColorFilterArray
    master : numpy.ndarray, float32, ``(rows, columns)``, or None
        Master of the offset frames, DN.
    options : dict
        center (box), reading.
    threads : int

    Returns
    -------
    PairStatistics
    """
    pairs = pair_frames(frames)
    halves, alone = (_Half(), _Half()), [pair for pair in pairs if len(pair) == 1]
    at_one_level = [pair for pair in pairs if len(pair) == 2 and levels_agree(frames[pair[0]], frames[pair[1]], cfa)]
    shape = next(iter(frames.values())).shape
    pixels = shape[0] * shape[1]
    every = max(1, -(-len(at_one_level) * pixels // PAIR_PIXELS))
    measured = set(at_one_level[::every])
    in_halves = set(pairs[:: max(1, -(-len(frames) * pixels // HALVES_PIXELS))])
    seen = PairStatistics()
    where = locate_box("center", options["center"], shape)
    inner = cfa.shifted(where[0].start, where[1].start)

    def work(index):
        pair = pairs[index]
        signals, recorded = [], []
        for position, file in enumerate(pair):
            frame = read_again(paths[file], frames[file].sha256, options["reading"])
            black = black_beside_bias(frame.black, master is not None, options["reading"])
            # of most frames only the centre is needed as signal
            box = signal(frame.mosaic[where][None], black[None], inner, None if master is None else master[where])[0]
            seen.boxes[file] = [inner.pixels(box, channel) for channel in range(len(cfa.channels))]
            if pair in in_halves and COPY not in frames[file].reason:  # whose noise is that of its original
                half = halves[alone.index(pair) % 2 if len(pair) == 1 else position]
                half.add(file, frame.mosaic, black)
            if pair in measured:
                signals.append(signal(frame.mosaic[None], black[None], cfa, master)[0])
                recorded.append(frame.mosaic)
                if position == 0:
                    seen.codes.add(frame.mosaic, cfa)
        if pair not in measured:
            return None
        seen.steps.add(recorded[0], recorded[1], cfa)
        levels = np.array([channel_levels(frames[file], cfa) for file in pair])
        factors = levels.mean(axis=0) / levels
        boxes = [
            [part * factor for part, factor in zip(seen.boxes[file], row, strict=True)]
            for file, row in zip(pair, factors, strict=True)
        ]
        inside = []
        for a, b in zip(*boxes, strict=True):
            variance, count = noise.variance_of(a - b)
            inside.append(((a.mean() + b.mean()) / 2, variance / 2, count))
        first, second, shares = level_lines(signals[0], signals[1], factors)
        tiles = measure_tiles(first, second, factors, cfa, shares)
        deviation = float(np.sqrt(max(each.max() for each in tiles.variance)))
        if any(shares):  # bands make lines differ by more than pixels
            deviation = max(deviation, float((signals[0] - signals[1]).std()))
        return tiles, inside, profile_lines(signals[0], signals[1], factors, cfa, deviation)

    found = [each for each in read_each([paths[pair[0]] for pair in pairs], work, threads) if each]
    if any(has_noise(each[0]) for each in found):  # copies of a frame show nothing
        found = [each for each in found if has_noise(each[0])]
    seen.tiles, seen.box_variances, seen.lines = ([each[part] for each in found] for part in range(3))
    if all(half.blacks for half in halves):
        seen.halves = tuple(half.mean(cfa, master) for half in halves)
    return seen


def has_noise(tiles):
    """Whether two frames differ at all."""
    return any(variance.any() for variance in tiles.variance)


def pair_frames(frames):
    """Consecutive frames of a subset, two by two; a last one alone, and frames of no subset one by one."""
    pairs, subsets = [], {}
    for file, frame in frames.items():
        subsets.setdefault(frame.subset or (file,), []).append(file)
    for members in subsets.values():
        pairs += [tuple(members[start : start + 2]) for start in range(0, len(members), 2)]
    return pairs


def channel_levels(frame, cfa):
    """Levels of the channels of a frame, DN above black."""
    return [frame.levels_dn[channel] for channel in cfa.channels]


def levels_agree(first, second, cfa):
    """Whether two frames are at one level, so that their difference has the noise of that."""
    levels = np.array([channel_levels(first, cfa), channel_levels(second, cfa)])
    return bool((levels > 0).all() and (np.abs(levels[0] / levels[1] - 1) <= EQUAL_LEVEL).all())


def cut_channels(mosaic, cfa, where):
    """Pixels of each channel in a box of a mosaic, 1-D."""
    inner = cfa.shifted(where[0].start, where[1].start)
    return [inner.pixels(mosaic[where], channel) for channel in range(len(cfa.channels))]


def measure_offsets(inventory, paths, cfa, reading, threads):
    """Noise of offset frames, from pairs.

    Parameters
    ----------
    inventory : str or None
        ``bias.tsv``.
    paths : dict
        Path of each offset frame by its name in the table.
    cfa : ColorFilterArray
    reading : bool or dict
        How frames are read, see `flatfield.raw.decode.Reading`.
    threads : int

    Returns
    -------
    variances : list of tuple, or None
        For each channel the variance, its error, and the covariances with neighbours at each of
        `flatfield.measure.tile_noise.DISTANCES`, ``(tiles, distances)``, DN^2; None without two frames that show it.
    reason : str
        Why there are none, where the set has offset frames.
    """
    if not inventory:
        return None, ""
    files = [frame.file for frame in used_frames(read_frames(inventory))]
    pairs = list(zip(files[::2], files[1::2], strict=False))
    if not pairs:
        return None, "read noise: one bias frame does not show it"

    def work(index):
        read = [read_signal(paths[file], None, reading) for file in pairs[index]]
        piled = max(np.mean(frame.mosaic == frame.mosaic.min()) for _, frame in read)
        (first, _), (second, _) = read
        tiles = measure_tiles(first, second, np.ones((2, len(cfa.channels))), cfa)
        return tiles, piled

    found = read_each([paths[pair[0]] for pair in pairs], work, threads)
    found = [each for each in found if has_noise(each[0])]
    if not found:
        return None, "read noise: the bias frames have no noise"
    if max(piled for _, piled in found) > PILED_UP:
        return None, "read noise: bias frames are cut off at their lowest value, or it is below the digital step"
    variances = []
    for channel in range(len(cfa.channels)):
        variance, count, covariance = (
            np.concatenate([getattr(tiles, name)[channel] for tiles, _ in found])
            for name in ("variance", "count", "covariance")
        )
        mean = float(np.average(variance, weights=count - 1))
        error = max(mean, 1e-9) * float(np.sqrt(2 / (count - 1).sum()))
        variances.append((mean, error, covariance.reshape(-1, len(DISTANCES))))
    return variances, ""
