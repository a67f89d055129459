"""The sky of a light beside its flat, in tiles: what the diagnosis tests."""

import numpy as np

from flatfield.files.tables import read_table
from flatfield.measure.flat_errors import smooth_errors
from flatfield.measure.light import check_inspected, check_shape, read_light
from flatfield.measure.tiles import Tiles, measure_mean, measure_sky, tile_positions
from flatfield.raw.decode import read_picture
from flatfield.raw.develop import develop_picture
from flatfield.raw.mosaic import read_mosaic

#: Values of a picture from which on it is too bright to count.
BRIGHT = 250


def read_sky(path, kind, file, inventory, offset, reading):
    """Read what is tested of a light.

    Parameters
    ----------
    path : str
        Raw frame, or a picture.
    kind : {"linear", "picture", "file"}
        The raw signal; what LibRaw makes of it by default; or the frame is a picture.
    file : str
        Its name in the inventory.
    inventory : str or None
        ``frames.tsv`` of the light; pictures have none.
    offset : flatfield.measure.light.Offset
    reading : bool or dict
        How frames are read, see `flatfield.raw.decode.Reading`.

    Returns
    -------
    planes : numpy.ndarray, float32
        Mosaic ``(rows, columns)``, or planes ``(channels, rows, columns)`` of a picture.
    good : numpy.ndarray of bool, ``(rows, columns)``
        Pixels that count.
    cfa : ColorFilterArray or None
        Of the mosaic.
    """
    if kind == "linear":
        return sky_of(read_light(path, file, inventory, offset, reading))
    planes = (develop_picture(path) if kind == "picture" else read_picture(path)).astype(np.float32)
    if inventory:
        check_inspected(path, file, inventory)
    return planes, ((planes > 0) & (planes < BRIGHT)).all(axis=0), None


def sky_of(light):
    """What is tested of a raw light, see `read_sky`.

    Parameters
    ----------
    light : flatfield.measure.light.LightFrame
    """
    mosaic, white = light.frame.mosaic, light.frame.white
    return light.signal, mosaic < (float(mosaic.max()) if white is None else white), light.cfa


def read_source(flat, response, tests, flat_kind, known, cfa):
    """ln of the light source that the flat holds, in tiles; None, and why, where that is not known.

    Parameters
    ----------
    flat, response, tests : str
        ``flat_cfa.fits``, ``response.fits`` and ``illumination_tests.tsv`` of the set.
    flat_kind : {"flat", "response"}
        By which lights are divided.
    known : numpy.ndarray of bool, ``(rows, columns)``
        Pixels of the flat that count.
    cfa : ColorFilterArray
    """
    verdicts = {row["test"]: row for row in read_table(tests)}
    if "solvable" in verdicts or verdicts["divided out"]["verdict"] != "yes":
        return None, "the rotations of the subsets do not determine the light source of the flat"
    if flat_kind == "response":
        return None, "the light source was divided out as far as the rotations of the subsets determine it"
    ratio = read_mosaic(flat).value / read_mosaic(response).value
    return np.log(measure_mean(ratio, known & np.isfinite(ratio), cfa)[0]), ""


def read_flat_errors(tests, terms, geometry, x, y):
    """What the flat may be wrong by in tiles, see `flatfield.measure.flat_errors.smooth_errors`.

    Parameters
    ----------
    tests, terms, geometry : str
        ``illumination_tests.tsv``, ``illumination.tsv`` and ``geometry.tsv`` of the set.
    x, y : numpy.ndarray
        Of the tiles, half diagonals.
    """
    verdicts = {row["test"]: row["verdict"] for row in read_table(tests)}
    return smooth_errors(read_table(terms), read_table(geometry), verdicts.get("divided out") == "yes", x, y)


def tile_flat(flat):
    """Level of a flat in tiles, the same for all lights that are divided by it.

    Parameters
    ----------
    flat : Mosaic

    Returns
    -------
    level, error : numpy.ndarray, float64, ``(channels, rows, columns)``
        Relative to the middle of the frame.
    middle : numpy.ndarray, ``(channels, 1, 1)``
        The level there.
    """
    level, error = measure_mean(flat.value, known_pixels(flat), flat.cfa)
    rows, columns = (slice(length // 2 - 1, length // 2 + 1) for length in level.shape[1:])
    middle = np.ma.masked_invalid(level[:, rows, columns]).mean(axis=(1, 2)).filled(np.nan)[:, None, None]
    return level / middle, error / middle, middle


def known_pixels(flat):
    """Pixels of a flat that count, bool, ``(rows, columns)``."""
    return np.isfinite(flat.value) & (flat.value > 0)


def tile_sky(path, sky, flat, read_own_source, flat_tiles=None, lamp=()):
    """Sky and flat in tiles.

    Parameters
    ----------
    path : str
        Of the light, for messages.
    sky : tuple
        As from `read_sky`.
    flat : Mosaic
        That lights are divided by.
    read_own_source : callable
        Takes the pixels of the flat that count, and returns what `read_source` does.
    flat_tiles : tuple of numpy.ndarray, optional
        As from `tile_flat`, where several lights share a flat.
    lamp : sequence of str, optional
        Tables of the light source of the flat, see `read_flat_errors`; without them it is taken to be right.

    Returns
    -------
    tiles : flatfield.measure.tiles.Tiles
    stages : dict
        Level and error of the tiles of light, flat and result, ``(channels, rows, columns)``.
    remark : str
        Why the light source of the flat is not known, if so.
    """
    planes, good, own_cfa = sky
    check_shape(path, planes.shape[-2:], flat.shape)
    known, flat_tiles = known_pixels(flat), flat_tiles or tile_flat(flat)
    if own_cfa is None:
        level, error = measure_sky(planes, good)
        flats, errors, _ = (_of_channels(each, len(level)) for each in flat_tiles)
        relative = np.hypot(error, level * errors / flats)
    else:
        # of the quotient: what it scatters by holds the noise of both, and not their vignetting
        flats, errors, middle = flat_tiles
        divided = np.divide(planes, flat.value, out=np.zeros_like(planes), where=known)
        level, error = (each * flats * middle for each in measure_sky(divided, good & known, own_cfa))
        relative = error
    source, remark = read_own_source(known)
    x, y = tile_positions(planes.shape[-2:])
    flat_errors = None
    if lamp:
        tests, terms, geometry = lamp
        flat_errors = read_flat_errors(tests, terms, geometry, x, y)
    source = source if source is None else _of_channels(source, len(level))
    tiles = Tiles(x, y, level, relative, flats, source, flat_errors)
    return (
        tiles,
        {"light": (level, error), "flat": (flats, errors), "result": (level / flats, relative / flats)},
        remark,
    )


def _of_channels(values, count):
    """Values for as many channels: the mean of all where their number is another (a grey picture)."""
    return values if len(values) == count else np.repeat(values.mean(axis=0, keepdims=True), count, axis=0)
