"""The kind of a frame by its pixels."""

import re

import numpy as np
from numpy.polynomial.legendre import legvander2d

from flatfield.files.names import is_fits
from flatfield.init.kinds import BIAS, DARK, FLAT, LIGHT, SMOOTH
from flatfield.raw.robust import robust_deviation

SHORT_S = 1 / 500  # a dark exposure up to this is a bias frame
DARK_LEVEL = 0.005  # of the range from black to white: less than this, and no pattern, is dark
DARK_LEVEL_UNKNOWN_BLACK = 0.05  # the same of the whole range, where black is not known
FLAT_LEVEL = (0.02, 0.98)  # of the range
FLAT_STRUCTURE = 0.06  # relative scatter of blocks about a smooth surface that a flat stays below
FLAT_POINTS = 0.25  # fraction of the blocks with a pixel far above the others (a star) that a flat stays below
LONG_S = 5.0  # what is exposed longer is rather a plain sky than a flat
LONG_NARROW_S = 30.0  # the same through a narrow-band filter, which leaves little light
DIM_LEVEL = 0.05  # of the range: dim for a flat
LOOKED_AT = 600  # pixels of one colour that suffice across the shorter side
BLOCKS = 24  # across the shorter side of the frame
POINT_DEVIATIONS = 8
RANGES = (4095.0, 16383.0, 65535.0)  # of cameras of 12, 14 and 16 bits
NARROW = re.compile(
    r"h-?_?(alpha|a|beta|b)\b|ha\b|hb\b|o-?iii|s-?ii|n-?ii|\d ?nm|dual|duo|tri|extreme|enhance|ultimate", re.I
)


def look_at_pixels(frame, entry):
    """Tell the kind of a frame by its pixels.

    Parameters
    ----------
    frame : flatfield.raw.decode.Frame
    entry : flatfield.init.catalogue.Entry

    Returns
    -------
    kind, doubt : str
    shape : tuple of int
    """
    cfa = frame.cfa
    row, column, color = next(phase for phase in cfa.phases() if phase[2] == 1 or cfa.is_mono)
    step = cfa.period * max(1, min(frame.mosaic.shape) // cfa.period // LOOKED_AT)
    plane = frame.mosaic[row::step, column::step].astype(np.float32) - frame.black[color]
    white = frame.white or (65535.0 if frame.mosaic.dtype == np.uint16 else float(frame.mosaic.max()))
    span = max(white - float(frame.black[color]), 1.0)
    size = max(min(plane.shape) // BLOCKS, 4)
    rows, columns = (length // size for length in plane.shape)
    pixels = plane[: rows * size, : columns * size].reshape(rows, size, columns, size).swapaxes(1, 2)
    pixels = pixels.reshape(rows, columns, size * size)
    blocks = np.median(pixels, axis=2)
    noise = robust_deviation(np.diff(plane[::3], axis=1))[1] / 2**0.5
    level, pattern = float(np.median(blocks)), robust_deviation(blocks)[1]
    kind, doubt, exposure = LIGHT, "", entry.metadata.exposure
    lowest = DARK_LEVEL if frame.black.any() else DARK_LEVEL_UNKNOWN_BLACK
    if level < lowest * span and pattern < 3 * noise / size + 2e-4 * span:
        kind = BIAS if exposure is not None and exposure <= SHORT_S else DARK
        doubt = "" if exposure is not None else "without an exposure time, bias and dark look alike"
        return kind, doubt, frame.mosaic.shape
    if is_fits(entry.path):  # its white level is that of its numbers: a camera of 12 bits fills a sixteenth of 16
        span = next((each for each in RANGES if frame.mosaic.max() <= each), span)
    if FLAT_LEVEL[0] < level / span < FLAT_LEVEL[1]:
        y, x = (np.linspace(-1, 1, length) for length in (rows, columns))
        terms = legvander2d(*np.meshgrid(y, x, indexing="ij"), [4, 4]).reshape(rows * columns, -1)
        surface = terms @ np.linalg.lstsq(terms, blocks.ravel(), rcond=None)[0]
        structure = robust_deviation(blocks.ravel() / np.maximum(surface, 1e-3 * span) - 1)[1]
        above = pixels - blocks[..., None] > POINT_DEVIATIONS * noise + 0.05 * np.abs(blocks[..., None])
        if structure < FLAT_STRUCTURE and above.any(axis=2).mean() < FLAT_POINTS:
            narrow = NARROW.search(entry.metadata.filter or "")
            long = exposure is not None and exposure > (LONG_NARROW_S if narrow else LONG_S)
            kind = LIGHT if long else FLAT  # a plain sky is as smooth as a flat
            if long or level < DIM_LEVEL * span:
                doubt = f"{SMOOTH}, but {'exposed long' if long else 'dim'}: is it one?"
    return kind, doubt, frame.mosaic.shape
