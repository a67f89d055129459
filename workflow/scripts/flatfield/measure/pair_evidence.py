"""What pairs of frames show about the camera, kept on disk: noise in tiles by level, means of lines, codes."""

from dataclasses import astuple, dataclass, field

import numpy as np
from astropy.io import fits

from flatfield.files.fits import write_fits
from flatfield.measure.code_steps import Steps
from flatfield.measure.level_fit import LevelEvidence
from flatfield.measure.line_noise import expect_lines
from flatfield.measure.tile_noise import DISTANCES

#: Pairs whose levels differ by no more than this part are averaged.
ONE_LEVEL = 0.03
#: Pairs whose lines are kept; more add no certainty that counts.
MOST_PROFILES = 20
COLORS = "RGBS"


@dataclass(frozen=True)
class PairEvidence:
    """Noise of pairs.

    Attributes
    ----------
    tiles : numpy.ndarray, float32, ``(levels, 3 + distances, channels, rows, columns)``
        Of pairs at each level: signal (DN above black), variance of a pixel (DN^2), number of pixels, and covariances
        with the neighbours at each of `flatfield.measure.tile_noise.DISTANCES` (DN^2).
    side : int
        Of a tile, pixels.
    shape : tuple of int
        Of the frames.
    rows, columns : numpy.ndarray, float32, ``(pairs, lines)``
        Means of lines, see `flatfield.measure.line_noise.LineProfiles`.
    expected : numpy.ndarray, ``(2,)``
        Of rows and columns of these pairs, see `flatfield.measure.line_noise.expect_lines`.
    codes : dict
        Pixels by code, by colour, see `flatfield.measure.code_counts.CodeCounts`.
    offsets : list of tuple of float, or None
        For each channel the variance of offset frames and its error, DN^2.
    pairs : int
    levels : flatfield.measure.level_fit.LevelEvidence or None
        What frames of unequal level show, and in `why` why there is nothing.
    why : str
    steps : list of flatfield.measure.code_steps.Steps or None
        Of each channel.
    """

    tiles: np.ndarray
    side: int
    shape: tuple
    rows: np.ndarray
    columns: np.ndarray
    expected: np.ndarray
    codes: dict = field(default_factory=dict)
    offsets: list | None = None
    pairs: int = 0
    levels: LevelEvidence | None = None
    why: str = ""
    steps: list = field(default_factory=list)

    @property
    def positions(self):
        """Where tiles lie: x right, y down, pixels from the centre of the frame, ``(rows, columns)`` each."""
        rows, columns = (self.side * (np.arange(length) + 0.5) for length in self.tiles.shape[-2:])
        return np.meshgrid(columns - self.shape[1] / 2, rows - self.shape[0] / 2)


def gather_evidence(tiles, lines, codes, frame, read_variances=None, levels=(None, ""), steps=()):
    """Put together what pairs show.

    Parameters
    ----------
    tiles : list of flatfield.measure.tile_noise.TileNoise
    lines : list of flatfield.measure.line_noise.LineProfiles
    codes : dict
    frame : flatfield.raw.mosaic.Mosaic
        Any with their shape and colour filter array.
    read_variances : list of tuple, optional
        See `flatfield.measure.pairs.measure_offsets`.
    levels : tuple
        See `flatfield.measure.level_fit.measure_levels`.
    steps : list of flatfield.measure.code_steps.Steps or None
        Of each channel.

    Returns
    -------
    PairEvidence
    """
    offsets = [(float(each[0]), float(each[1])) for each in read_variances] if read_variances else None
    shape, period = frame.shape, frame.cfa.period
    if not tiles:
        return _without_pairs(shape, codes, levels)
    maps = np.array([_maps(each) for each in tiles])
    level = np.log(np.maximum(np.median(maps[:, 0], axis=(2, 3)), 1e-3)).mean(axis=1)
    groups, order = [], np.argsort(level, kind="stable")
    for index in order:
        if groups and level[index] - level[groups[-1][0]] <= ONE_LEVEL:
            groups[-1].append(index)
        else:
            groups.append([index])
    pooled = np.array([_pool(maps[sorted(group)]) for group in groups], np.float32)
    shown = slice(None, None, -(-len(lines) // MOST_PROFILES))
    rows, columns = (np.array([getattr(each, name) for each in lines[shown]]) for name in ("rows", "columns"))
    mean = np.average(maps[shown], axis=(0, 2, 3, 4), weights=np.broadcast_to(maps[shown, 2:3], maps[shown].shape))
    covariance = dict(zip(DISTANCES, mean[3:], strict=True))
    expected = np.array([expect_lines(mean[1], covariance, shape[1 - axis], period, axis) for axis in (0, 1)])
    of_pairs = rows, columns, expected, codes, offsets, len(tiles)
    return PairEvidence(pooled, tiles[0].side, shape, *of_pairs, levels[0], levels[1], list(steps))


def _without_pairs(shape, codes, levels):
    none = np.zeros((0, 3 + len(DISTANCES), 1, 1, 1), np.float32)
    return PairEvidence(none, 1, shape, np.zeros((0, 1)), np.zeros((0, 1)), np.zeros(2), codes, None, 0, *levels)


def _maps(tiles):
    """Places of the colour pattern joined, ``(3 + distances, channels, rows, columns)``."""
    joined = []
    for parts in zip(tiles.level, tiles.variance, tiles.count, tiles.covariance, strict=True):
        level, variance, count = (each.reshape(-1, *tiles.grid) for each in parts[:3])
        covariance = np.moveaxis(parts[3].reshape(-1, *tiles.grid, len(DISTANCES)), -1, 1)
        joined.append(_pool(np.concatenate([np.stack([level, variance, count], axis=1), covariance], axis=1)))
    return np.array(joined).swapaxes(0, 1)


def _pool(maps):
    """Weighted mean of maps, ``(maps, fields, ...)``, and sum of their degrees of freedom."""
    freedom = np.maximum(maps[:, 2:3] - 1, 1e-9)
    result = (maps * freedom).sum(axis=0) / freedom.sum(axis=0)
    result[2] = freedom[:, 0].sum(axis=0) + 1
    return result


def write_evidence(path, evidence):
    """Write ``pairs.fits``: TILES, ROWS, COLUMNS, EXPECTED, OFFSETS, LEVELS, STEPS, CODES_R, _G, _B, _S (second green).

    LEVELS has the information matrix of `flatfield.measure.level_fit.LevelEvidence`, and below it ``weighted``.
    """
    tiles = fits.ImageHDU(evidence.tiles if evidence.pairs else None, name="TILES")
    tiles.header["SIDE"] = (evidence.side, "of a tile, pixels")
    tiles.header["HEIGHT"], tiles.header["WIDTH"] = evidence.shape
    tiles.header["PAIRS"] = (evidence.pairs, "pairs of frames")
    hdus = [fits.PrimaryHDU(), tiles]
    if evidence.pairs:
        hdus += [fits.ImageHDU(getattr(evidence, name), name=name) for name in ("rows", "columns", "expected")]
    if evidence.offsets:
        hdus.append(fits.ImageHDU(np.array(evidence.offsets), name="OFFSETS"))
    levels = evidence.levels
    if levels:
        hdus.append(fits.ImageHDU(np.vstack([levels.information, levels.weighted]), name="LEVELS"))
        hdus[-1].header["LOWEST"] = (levels.lowest, "[DN] level that was compared")
        hdus[-1].header["HIGHEST"] = (levels.highest, "[DN] level that was compared")
    elif evidence.why:
        tiles.header["NOLEVELS"] = (evidence.why, "why")
    if any(evidence.steps):
        hdus.append(fits.ImageHDU(np.array([_numbers_of(each) for each in evidence.steps]), name="STEPS"))
    for color, counts in sorted(evidence.codes.items()):
        first = int(np.flatnonzero(counts)[0])
        hdus.append(fits.ImageHDU(counts[first:].astype(np.int32), name=f"CODES_{COLORS[color]}"))
        hdus[-1].header["FIRST"] = (first, "code of the first number of pixels")
    write_fits(path, hdus)


def read_evidence(path):
    """Read a file of `write_evidence`."""
    with fits.open(path, memmap=False) as hdus:
        header, codes = hdus["TILES"].header, {}
        for hdu in hdus:
            if hdu.name.startswith("CODES_"):
                codes[COLORS.index(hdu.name[-1])] = np.pad(hdu.data.astype(np.int64), (hdu.header["FIRST"], 0))
        shape, offsets = (header["HEIGHT"], header["WIDTH"]), None
        if "OFFSETS" in hdus:
            offsets = [(float(a), float(b)) for a, b in hdus["OFFSETS"].data]
        levels = _read_levels(hdus), header.get("NOLEVELS", "")
        if not header["PAIRS"]:
            return _without_pairs(shape, codes, levels)
        tiles, rows, columns, expected = (
            hdus[name].data.astype(np.float64) for name in ("TILES", "ROWS", "COLUMNS", "EXPECTED")
        )
        of_pairs = rows, columns, expected, codes, offsets, header["PAIRS"]
        steps = [_steps_of(row) for row in hdus["STEPS"].data] if "STEPS" in hdus else []
        return PairEvidence(tiles, header["SIDE"], shape, *of_pairs, levels[0], levels[1], steps)


def _read_levels(hdus):
    if "LEVELS" not in hdus:
        return None
    *information, weighted = hdus["LEVELS"].data.astype(np.float64)
    limits = (hdus["LEVELS"].header[name] for name in ("LOWEST", "HIGHEST"))
    return LevelEvidence(np.array(information), weighted, *limits)


def _numbers_of(steps):
    if steps is None:
        return [np.nan] * 5
    return [np.nan if each is None else float(each) for each in astuple(steps)]


def _steps_of(numbers):
    sigma, percent, error, least, shared = map(float, numbers)
    return Steps(sigma, percent, error, None if np.isnan(least) else least, bool(shared)) if sigma == sigma else None
