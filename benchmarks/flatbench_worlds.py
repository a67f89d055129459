"""Frames whose truth is known, with one mistake planted in them or none: DNG of a camera, FITS of an astronomical one.

The simulator shares no code with what is measured but the writer of DNG files. Lengths are in half diagonals of the
frame, x to the right, y up from its centre.
"""

import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from astropy.io import fits

sys.path.insert(0, str(Path(__file__).parent.parent / "workflow/scripts"))

from flatfield.demo.simulation import write_dng
from flatfield.raw.cfa import ColorFilterArray

#: Channel (0 red, 1 green, 2 blue) of the pixels of a tile, and how much of the same light each channel records.
TILE, COLORS = np.array(((0, 1), (1, 2))), np.array((0.55, 1.0, 0.7))
#: Centre over corner of the vignetting of each channel, and through another filter or at another aperture.
FALLOFF, FALLOFF_FILTER, FALLOFF_APERTURE = (3.4, 3.2, 3.3), (2.9, 3.0, 3.2), (2.2, 2.1, 2.15)
PRNU = 0.006  # relative standard deviation of the response of the pixels
ANGLES = (0, 90, 180)  # degrees counter-clockwise, of the three subsets
BIASES, DARKS, SERIES = 12, 8, 16  # frames
SMALLEST = 100_100  # bytes: RawTherapee does not open smaller files
LIGHT_SECONDS = 120.0
SKY = 1500  # electrons of green at the centre of a light
#: What may be wrong: worlds of which kind show it, and a pattern that a sentence that names it matches.
MISTAKES = {
    "bias frames of another ISO": ("dng", r"\bISO\b"),
    "flats that are clipped": ("dng", r"satur|overexpos|clip|\bfull\b"),
    "flats through another filter": ("fits", r"filter"),
    "flats at another aperture": ("dng", r"aperture|f-number|f/4"),
    "no bias for the flats, so a pedestal is left in": ("fits", r"(?i)zero level|no bias|no offset"),
    "dust moved while the flats were taken": ("dng", r"dust"),
    "dust moved between flats and lights": ("dng", r"dust"),
    "one flat is cut off": (
        "fits",
        r"(?i)F\d+\.fits.*(early|damag|corrupt|cannot|unreadable)|trunc|error reading data",
    ),
    "a third of the flats at a quarter of the exposure": ("dng", r"exposure"),
    "one flat of another size": ("fits", r"(?i)size|dimension|shape|\d+ x \d+"),
    "twilight that fades and changes its direction": (
        "dng",
        r"changed its distribution|drift|fade|twilight|different light",
    ),
    "a light leak in one flat": ("dng", r"(?i)F004.*(depart|reject|exclu|unlike)|leak|departs"),
    "flats that say another colour pattern": ("fits", r"(?i)colou?r pattern|bayer|GBRG|\bCFA\b"),
    "darks of another exposure": ("fits", r"(?i)dark.*(exposure|\bs\b)|exposure.*dark"),
}


@dataclass(frozen=True)
class World:
    """A camera, a lamp and a night.

    Attributes
    ----------
    kind : str
        ``dng`` (14 bit, black level in the metadata) or ``fits`` (16 bit, bias with structure, dark current).
    shape : tuple of int
        Rows and columns.
    frames : int
        Flats in each of three subsets.
    even : bool
        Whether the lamp is even.
    mistake : str
        One of `MISTAKES`, or none.
    """

    kind: str
    shape: tuple
    frames: int
    even: bool = False
    mistake: str = ""
    seed: int = 1

    @property
    def gain(self):
        """e-/DN."""
        return 1.0 if self.kind == "dng" else 0.8

    @property
    def read_noise(self):
        """e-."""
        return 4.0 if self.kind == "dng" else 3.0

    @property
    def white(self):
        """Largest value, DN."""
        return 16383 if self.kind == "dng" else 65535

    @property
    def level(self):
        """Electrons of green at the centre of a flat."""
        return 10000 if self.kind == "dng" else 25000

    def channel(self):
        """Channel of each pixel, ``(rows, columns)``."""
        rows, columns = np.indices(self.shape, np.uint8, sparse=True)
        return TILE.astype(np.uint8)[rows % 2, columns % 2]

    def positions(self):
        """x and y of each pixel, float32, ``(1, columns)`` and ``(rows, 1)``."""
        rows, columns = self.shape
        half = np.hypot(rows, columns) / 2
        x, y = (np.arange(columns) - (columns - 1) / 2) / half, ((rows - 1) / 2 - np.arange(rows)) / half
        return x.astype(np.float32)[None], y.astype(np.float32)[:, None]

    def response(self, falloff=FALLOFF, moved=False):
        """True response to an even light, relative, ``(rows, columns)``: vignetting, dust, response of each pixel."""
        x, y = self.positions()
        rng = np.random.default_rng([self.seed, 1])
        squared = (x - 0.02) ** 2 + (y + 0.01) ** 2
        slope = (np.sqrt(np.array(falloff, np.float32)) - 1)[self.channel()]
        found = (1 + slope * squared) ** -2 * (1 + PRNU * rng.standard_normal(self.shape, np.float32))
        for number in range(6):
            px, py = rng.uniform(-0.75, 0.75), rng.uniform(-0.5, 0.5)
            depth, width = rng.uniform(0.03, 0.08), rng.uniform(0.012, 0.025)
            px = px + 0.12 * (moved and number < 3)
            found *= 1 - depth * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * width**2))
        return found

    def lamp(self, angle, extra=0.0):
        """The lamp as the camera at an angle sees it, relative, ``(rows, columns)``; `extra`: a gradient of the sky."""
        x, y = self.positions()
        a = np.radians(angle)
        u, v = x * np.cos(a) - y * np.sin(a), x * np.sin(a) + y * np.cos(a)
        size = 0.002 if self.even else 0.02
        bent = 0.4 * (u * u - v * v + u * v) + 0.25 * (u * u + v * v)
        return 1 + size * (0.8 * u + 0.6 * v - bent) + extra * v

    def offset(self):
        """Zero level of each pixel, DN."""
        if self.kind == "dng":
            return np.float32(512)
        return 800 + np.random.default_rng([self.seed, 2]).normal(0, 4, (1, self.shape[1])).astype(np.float32)

    def dark(self, seconds):
        """Dark current, electrons of each pixel, with a glow in a corner; the camera with DNG files has none."""
        if self.kind == "dng":
            return np.float32(0)
        x, y = self.positions()
        return np.float32(seconds) * (0.1 + 2.0 * np.exp(-((x - 0.9) ** 2 + (y - 0.6) ** 2) / 0.05))

    def record(self, electrons, rng, offset=0.0, noise=1.0):
        """A frame, uint16, ``(rows, columns)``; without noise where `rng` is None."""
        values = np.broadcast_to(electrons, self.shape)
        if rng is not None:
            values = rng.poisson(values) + noise * self.read_noise * rng.standard_normal(self.shape, np.float32)
        return np.clip(np.rint(values / self.gain + self.offset() + offset), 0, self.white).astype(np.uint16)

    def stars(self, field=0):
        """Electrons of stars in a light of one of several fields, and whether a pixel has some."""
        rng, found = np.random.default_rng([self.seed, 3, field]), np.zeros(self.shape, np.float32)
        spread = np.arange(-5, 6)
        profile = np.exp(-(spread[:, None] ** 2 + spread**2) / 3.0)
        for _ in range(60):
            row, column = (int(rng.integers(6, size - 6)) for size in self.shape)
            found[row - 5 : row + 6, column - 5 : column + 6] += SKY * min(rng.pareto(1.2), 4) * profile
        return found, found > 0.001 * SKY


class Writer:
    """Writes the frames of a world, with what cameras note in them."""

    def __init__(self, world, folder):
        self.world, self.folder, self.time = world, folder, datetime(2026, 5, 1, 20)

    def write(self, path, data, kind, seconds, **fields):
        """Write a frame, 5 s after the one before; `fields`: ``iso``, ``aperture``, ``filter``, ``pattern``."""
        fields = {"iso": 400, "aperture": 2.8, "filter": "L", "pattern": "RGGB"} | fields
        path = self.folder / f"{path}.{self.world.kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.time += timedelta(seconds=5 + seconds)
        if self.world.kind == "fits":
            cards = {"IMAGETYP": kind, "EXPTIME": seconds, "INSTRUME": "Bench 12M", "BAYERPAT": fields["pattern"]}
            cards |= {
                "TELESCOP": "Refractor",
                "FOCALLEN": 400.0,
                "FOCRATIO": 2.8,
                "FILTER": fields["filter"],
                "GAIN": 100,
            }
            cards |= {"CCD-TEMP": -10.0, "XBINNING": 1, "YBINNING": 1, "ROWORDER": "TOP-DOWN"}
            cards |= {"DATE-OBS": self.time.isoformat()}
            fits.PrimaryHDU(data, fits.Header(cards)).writeto(path)
            return path
        exif = {
            "Exif.Photo.ExposureTime": f"{round(seconds * 1000)}/1000",
            "Exif.Photo.FNumber": f"{round(fields['aperture'] * 10)}/10",
            "Exif.Photo.ISOSpeedRatings": str(fields["iso"]),
            "Exif.Photo.FocalLength": "14/1",
            "Exif.Photo.LensModel": "Bench 14mm F2.8",
            "Exif.Photo.DateTimeOriginal": self.time.strftime("%Y:%m:%d %H:%M:%S"),
        }
        cfa = ColorFilterArray.from_name("RGGB")
        black, white = (512,) * 4, self.world.white
        write_dng(str(path), data, exif, cfa=cfa, margins=(0, 0), black=black, white=white, model="Bench")
        with open(path, "ab") as file:
            file.write(bytes(max(SMALLEST - path.stat().st_size, 0)))
        return path


def write_world(world, folder):
    """Write ``bias/``, ``flats/``, ``darks/`` (of FITS) and ``lights/`` (``night`` and ``probe``, which has no noise).

    A world without a mistake has a ``series/`` too: lights of as many fields, for a program that takes no flats.

    Parameters
    ----------
    world : World
    folder : pathlib.Path
        It is made; where it is there, nothing is done.
    """
    if (folder / "done").exists():
        return
    writer, mistake, rng = Writer(world, folder), world.mistake, np.random.default_rng([world.seed, 4])
    if not mistake.startswith("no bias"):
        other = mistake == "bias frames of another ISO"
        for number in range(1, BIASES + 1):
            frame = world.record(0, rng, 40 * other, 3 if other else 1)
            writer.write(f"bias/B{number:03}", frame, "Bias", 0.001, iso=3200 if other else 400)
    _write_flats(world, writer, rng)
    seconds = LIGHT_SECONDS
    for number in range(1, DARKS + 1 if world.kind == "fits" else 1):
        taken = 2.5 * seconds if mistake.startswith("darks") else seconds
        writer.write(f"darks/D{number:03}", world.record(world.dark(taken), rng), "Dark", taken)
    response = world.response(moved=mistake == "dust moved between flats and lights")
    response *= COLORS.astype(np.float32)[world.channel()]

    def electrons(stars=0):
        return (SKY + stars) * response + world.dark(seconds)

    writer.write("lights/night", world.record(electrons(world.stars()[0]), rng), "Light", seconds)
    writer.write("lights/probe", world.record(electrons(), None), "Light", seconds)
    for field in range(1, SERIES + 1 if not mistake else 1):
        frame = world.record(electrons(world.stars(field)[0]), rng)
        writer.write(f"series/S{field:03}", frame, "Light", seconds)
    (folder / "done").touch()


def _write_flats(world, writer, rng):
    """The flats, subset by subset."""
    mistake, color = world.mistake, COLORS.astype(np.float32)[world.channel()]
    falloff, fields, level = FALLOFF, {}, world.level
    if mistake == "flats through another filter":
        falloff, fields = FALLOFF_FILTER, {"filter": "Ha"}
    if mistake == "flats at another aperture":
        falloff, fields = FALLOFF_APERTURE, {"aperture": 4.0}
    if mistake == "flats that say another colour pattern":
        fields = {"pattern": "GBRG"}
    if mistake == "flats that are clipped":
        level = 1.25 * world.white * world.gain
    last = 3 * world.frames - 1
    for index in range(last + 1):
        subset, number, seconds = index // world.frames, index + 1, 0.5
        if index % world.frames == 0:
            moved = mistake == "dust moved while the flats were taken" and subset == 2
            response = world.response(falloff, moved) * color
        brightness = level * (1 + 0.02 * np.sin(index) + 0.005 * rng.standard_normal())
        change = 0.0
        if mistake.startswith("twilight"):
            brightness, change = brightness * 0.15 ** (index / last), 0.06 * (index % world.frames) / (world.frames - 1)
        if mistake.startswith("a third") and subset == 2:
            brightness, seconds = brightness / 4, 0.125
        electrons = response * world.lamp(ANGLES[subset], change) * brightness
        if mistake == "a light leak in one flat" and number == 4:
            x, y = world.positions()
            electrons = electrons + 0.3 * level * np.exp(-((x + 0.8) ** 2 + (y - 0.2) ** 2) / 0.1)
        frame = world.record(electrons, rng)
        if mistake == "one flat of another size" and number == 4:
            frame = frame[: world.shape[0] * 3 // 4 // 2 * 2, : world.shape[1] * 3 // 4 // 2 * 2]
        path = writer.write(f"flats/F{number:03}", frame, "Flat", seconds, **fields)
        if mistake == "one flat is cut off" and number == 4:
            path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
