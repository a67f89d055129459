"""The demo: raw frames of a simulated camera whose true response, light source and scenes are known."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from flatfield.demo.names import AIM, ROTATIONS, SETS
from flatfield.raw import dng
from flatfield.raw.cfa import ColorFilterArray

CFA = ColorFilterArray(((0, 1), (3, 2)))
BLACK = 512  # DN
WHITE = 16383  # DN, 14 bit
MARGINS = (8, 12)  # masked rows above and columns left of the visible area
GAIN = 3.0  # e-/DN at ISO 100
READ_NOISE = 6.0  # e- at ISO 100
LIGHT_ISO = 3200
LIGHT_GAIN = GAIN * 100 / LIGHT_ISO  # e-/DN
LIGHT_READ_NOISE = 2.5  # e-
SKY, DARK_SKY = 400.0, 200.0  # e- of green at the centre of a light: of the plain sky, beside the milky way
STARS, FEWER = 1200, 20  # in the field of the milky way and around it; on the plain sky so many times fewer
FAINTEST, BRIGHTEST, SLOPE = 1500.0, 16000.0, 0.8  # e- of green; the number of stars falls with this power of the flux
WIDTH, REACH = 1.5, 8  # of the image of a star, standard deviation and what is drawn of it, pixels
MOVES = ((0, 0), (36, -44))  # of the field of the milky way in its frames, rows down and columns to the right, pixels
PRNU = 0.006  # relative standard deviation of the pixel response
SENSITIVITY = (0.45, 1.0, 0.55)  # signal of red, green, blue for the same light
DRIFT = 0.02  # relative amplitude of the slow drift of the exposure
JITTER = 0.005  # relative standard deviation of the exposure from frame to frame
# XYZ to camera colours, in ten-thousandths, of a usual full-frame sensor
COLOR_MATRIX = (6344, -1612, -462, -4863, 12477, 2681, -865, 1786, 6899)


@dataclass(frozen=True)
class SourceAndLens:
    """What distinguishes the demo's sets.

    Attributes
    ----------
    aperture : float
        F-number.
    exposure : str
        Seconds, as a fraction.
    level : float
        Signal of green at the centre, DN above black.
    falloff : tuple of float
        Vignetting of red, green, blue: centre over corner.
    gradient, curvature : float
        Light source in its own frame: relative change from the centre to the edge.
    direction : float
        Direction in which the source gets brighter, degrees counter-clockwise from the right.
    radial : float
        Light source: relative change from the middle to the corner, in all directions alike.
    """

    aperture: float
    exposure: str
    level: float
    falloff: tuple
    gradient: float
    curvature: float
    direction: float
    radial: float = 0.0


LIGHT_SET = "outdoors"  # the lights were taken with the lens and aperture of this set
OPTICS = {
    "indoors": SourceAndLens(2.8, "1/30", 8500, (3.5, 3.3, 3.4), 0.03, -0.02, 70),
    "outdoors": SourceAndLens(2.8, "1/500", 9000, (3.5, 3.3, 3.4), 0.004, -0.002, 20, -0.02),
    "outdoors_f4": SourceAndLens(4.0, "1/250", 9000, (2.3, 2.2, 2.25), 0.010, -0.004, 45),
}


def coordinates(rows, columns):
    """Position of each pixel: x to the right and y up from the centre, in half diagonals, ``(rows, columns)``."""
    half = np.hypot(rows, columns) / 2
    y, x = np.mgrid[0:rows, 0:columns]
    return (x - (columns - 1) / 2) / half, ((rows - 1) / 2 - y) / half


def response(optics, rows, columns, seed):
    """True response of the camera: vignetting of each channel x pixel response x dust.

    Vignetting is V(r) = (1 + (sqrt(f) - 1) r^2)^-2, with f the ratio of centre to corner. Pixel response
    and dust are those of one sensor, the same for all sets.

    Returns
    -------
    numpy.ndarray, float64, ``(rows, columns)``
        Relative; 1 at the centre but for the pixel response.
    """
    rng = np.random.default_rng([seed, 0])
    x, y = coordinates(rows, columns)
    falloff = np.array(optics.falloff)[CFA.channel_map((rows, columns))]
    result = (1 + (np.sqrt(falloff) - 1) * (x * x + y * y)) ** -2
    result *= 1 + PRNU * rng.standard_normal((rows, columns))
    for _ in range(9):
        px, py, depth = rng.uniform(-0.8, 0.8), rng.uniform(-0.5, 0.5), rng.uniform(0.01, 0.03)
        width = rng.uniform(0.012, 0.03) * 2.8 / optics.aperture
        result *= 1 - depth * np.exp(-(((x - px) ** 2 + (y - py) ** 2) / (2 * width**2)))
    return result


def source(optics, rotation, rows, columns, aim=(0.0, 0.0)):
    """Light source as the camera sees it when turned by `rotation` degrees counter-clockwise (seen from behind).

    A direction p of the camera then points to the direction p turned counter-clockwise in the source, so
    that what was brighter at the top at 0 is brighter at the right at 90. Aimed to the right and down by half
    diagonals, it sees what lay there before in the middle.

    Returns
    -------
    numpy.ndarray, float64, ``(rows, columns)``
        Relative; 1 at the centre.
    """
    x, y = coordinates(rows, columns)
    angle = np.radians(rotation)
    u, v = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    u, v = u + aim[0], v - aim[1]
    along = u * np.cos(np.radians(optics.direction)) + v * np.sin(np.radians(optics.direction))
    turning = optics.gradient * along + optics.curvature * (along**2 + 0.5 * u * v)
    return 1 + turning + optics.radial * (u * u + v * v)


def expose(electrons, gain, read_noise, rng):
    """Record a mosaic: photon noise, read noise, gain, black level, 14 bit.

    Parameters
    ----------
    electrons : numpy.ndarray, ``(rows, columns)``
        Expected photo-electrons of the visible pixels.
    gain : float
        e-/DN.
    read_noise : float
        e-.
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray, uint16
        The whole sensor, with the masked border above and to the left.
    """
    whole = np.pad(electrons, [(MARGINS[0], 0), (MARGINS[1], 0)])
    recorded = (rng.poisson(whole) + read_noise * rng.standard_normal(whole.shape)) / gain + BLACK
    return np.clip(np.rint(recorded), 0, WHITE).astype(np.uint16)


def simulate_flats(name, size, seed, frames):
    """Simulate the flats of a set, one after the other.

    Parameters
    ----------
    name : str
        One of `SETS`.
    size : tuple of int
        Visible rows and columns.
    seed : int
    frames : int
        In each subset.

    Yields
    ------
    mosaic : numpy.ndarray, uint16
        The whole sensor, as for `write_dng`.
    metadata : dict
        EXIF fields.
    """
    yield from _simulate_subsets(name, size, seed, frames, [(each, (0.0, 0.0)) for each in ROTATIONS], 0)


def simulate_aimed_flats(name, size, seed, frames):
    """Simulate the flats of one more subset, with the camera aimed aside; as `simulate_flats`."""
    yield from _simulate_subsets(name, size, seed, frames, [(0, AIM)], len(ROTATIONS))


def _simulate_subsets(name, size, seed, frames, poses, first):
    """Frames of subsets at these angles and aims; `first` subsets were taken before."""
    optics, number = OPTICS[name], SETS.index(name) + 1
    rng = np.random.default_rng([seed, number] + [first] * bool(first))
    start = datetime(2026, 5, number, 10)
    rows, columns = size
    camera = response(optics, rows, columns, seed) * np.array(SENSITIVITY)[CFA.channel_map(size)] * optics.level * GAIN
    for index in range(frames * first, frames * (first + len(poses))):
        subset = index // frames
        rotation, aim = poses[subset - first]
        drift = 1 + DRIFT * np.sin(2 * np.pi * index / (1.7 * frames)) + JITTER * rng.standard_normal()
        electrons = camera * source(optics, rotation, rows, columns, aim) * drift
        time = start + timedelta(seconds=4 * index + 300 * subset)
        yield expose(electrons, GAIN, READ_NOISE, rng), _exif(optics.aperture, optics.exposure, 100, time)


def scene(index, rows, columns, seed):
    """True scene of a light; photo-electrons of each pixel.

    All but the last show one field of stars with a milky way and a glow above the horizon, moved between the frames;
    the last shows a plain sky elsewhere, with fewer stars.
    """
    plain = index == len(MOVES)
    rng = np.random.default_rng([seed, 100 + plain])
    down, right = (0, 0) if plain else MOVES[index]
    sky = SKY * np.ones((3, rows, columns)) if plain else DARK_SKY * _milky_way(rows, columns, down, right, rng)
    reach = np.abs(MOVES).max()
    for _ in range(STARS // FEWER if plain else STARS):
        row, column = rng.uniform(-reach, rows + reach) + down, rng.uniform(-reach, columns + reach) + right
        flux, warmth = FAINTEST * (1 - rng.random()) ** (-1 / SLOPE), rng.normal(0, 0.15)
        _add_star(sky, row, column, min(flux, BRIGHTEST) * np.exp(warmth * np.array([1.0, 0.0, -1.0])))
    colours = CFA.channel_map((rows, columns))
    return np.take_along_axis(sky, colours[None], axis=0)[0] * np.array(SENSITIVITY)[colours]


def _milky_way(rows, columns, down, right, rng):
    """A band, brighter and warmer at one end, with clouds and dark lanes, and a glow: planes relative to the sky."""
    x, y = coordinates(rows, columns)
    half = np.hypot(rows, columns) / 2
    u, v = x - right / half, y + down / half  # places in the sky, which moves in the frame
    along, across = u * np.cos(0.45) + v * np.sin(0.45), v * np.cos(0.45) - u * np.sin(0.45)
    bright, dark = (_clouds(u, v, rng) for _ in range(2))
    bulge = 1 + 1.3 * np.exp(-(((along - 0.35) / 0.3) ** 2))
    band = 1.1 * bulge * np.exp(-((across / (0.16 + 0.03 * bulge)) ** 2)) * (1 + 0.35 * bright)
    lanes = np.exp(-(((across - 0.015 - 0.05 * dark) / 0.05) ** 2)) * (0.45 + 0.45 * bright)
    light = np.maximum(band, 0) * (1 - np.clip(lanes, 0, 0.8))
    glow, warmth = np.exp(-(y + 0.6) / 0.16), 0.18 * (bulge - 1)
    colours = ((1 + warmth, 0.7), (1.0, 0.45), (1 - warmth, 0.25))  # of the band and of the glow, in red, green, blue
    return np.array([1 + of_band * light + of_glow * glow for of_band, of_glow in colours])


def _clouds(u, v, rng):
    """Waves of many lengths and directions, which add up to clouds of about 1."""
    waves = zip(np.geomspace(5, 70, 24), rng.uniform(0, np.pi, 24), rng.uniform(0, 7, 24), strict=True)
    return (
        sum(np.sin(k * (u * np.cos(turn) + v * np.sin(turn)) + phase) / (k / 5) ** 0.7 for k, turn, phase in waves) / 2
    )


def _add_star(sky, row, column, fluxes):
    """Add a star to planes, in the square that its light reaches."""
    top, left = (max(round(place) - REACH, 0) for place in (row, column))
    part = sky[:, top : max(round(row) + REACH + 1, 0), left : max(round(column) + REACH + 1, 0)]
    i, j = np.mgrid[top : top + part.shape[1], left : left + part.shape[2]]
    shape = np.exp(-((i - row) ** 2 + (j - column) ** 2) / (2 * WIDTH**2)) / (2 * np.pi * WIDTH**2)
    part += fluxes[:, None, None] * shape


def simulate_light(index, size, seed):
    """Simulate a light: mosaic of the whole sensor, EXIF fields, and the true scene in DN above black."""
    optics, (rows, columns) = OPTICS[LIGHT_SET], size
    electrons = scene(index, rows, columns, seed)
    rng = np.random.default_rng([seed, 200 + index])
    mosaic = expose(electrons * response(optics, rows, columns, seed), LIGHT_GAIN, LIGHT_READ_NOISE, rng)
    time = datetime(2026, 5, 10, 23) + timedelta(minutes=index)
    return mosaic, _exif(optics.aperture, "13/1", LIGHT_ISO, time), electrons / LIGHT_GAIN


def _exif(aperture, exposure, iso, time):
    """EXIF fields, in the EXIF sub-directory where cameras put them."""
    return {
        "Exif.Photo.ExposureTime": exposure,
        "Exif.Photo.FNumber": f"{aperture * 10:.0f}/10",
        "Exif.Photo.ISOSpeedRatings": str(iso),
        "Exif.Photo.FocalLength": "14/1",
        "Exif.Photo.LensModel": "Demo 14mm F2.8",
        "Exif.Photo.DateTimeOriginal": time.strftime("%Y:%m:%d %H:%M:%S"),
    }


def write_dng(path, mosaic, exif, cfa=CFA, margins=MARGINS, black=(BLACK,) * 4, white=WHITE, model="Demo A7S"):
    """Write a mosaic of the demo's camera, see `flatfield.raw.dng.write_dng`; `exif`: Exiv2 keys and values."""
    camera = {"Exif.Image.Make": "Demo", "Exif.Image.Model": model, "Exif.Image.Orientation": "1"}
    look = {"color_matrix": np.reshape(COLOR_MATRIX, (3, 3)) / 10000, "neutral": SENSITIVITY}
    dng.write_dng(path, mosaic, cfa, {"margins": margins, "black": black, "white": white, **look}, camera | exif)
