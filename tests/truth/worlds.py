"""Cameras, lamps, skies and imperfections drawn at random: a simulator of its own, and what is true in it.

It shares no code with the library. Lengths are in half diagonals of the frame, x to the right, y up; angles in degrees,
counter-clockwise seen from behind the camera.
"""

import sys
from dataclasses import dataclass, field
from math import factorial
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parent.parent))
from skies import SKIES

SHAPE = (200, 300)
#: Channel of each pixel of a tile, and how the channels see the lamp.
BAYER, COLORS = ((0, 1), (1, 2)), (0.55, 1.0, 0.7)
#: Angles of the camera and where it is aimed (to the right and down), by how often they are drawn.
POSES = [
    (0.30, [(0, 0, 0), (90, 0, 0), (180, 0, 0)]),
    (0.12, [(0, 0, 0), (90, 0, 0), (180, 0, 0), (270, 0, 0)]),
    (0.12, [(0, 0, 0), (120, 0, 0), (240, 0, 0)]),
    (0.10, [(0, 0, 0), (90, 0, 0)]),
    (0.11, [(0, 0, 0), (40, 0, 0), (130, 0, 0)]),
    (0.25, [(0, 0, 0), (90, 0, 0), (180, 0, 0), (0, 0.2, 0)]),
]
#: What may be wrong with a set, and the range of its size (drawn evenly in the logarithm).
IMPERFECTIONS = {
    "angles wrong": (1, 4),  # degrees
    "wrong sign": (1, 1),  # of the angles
    "aims wrong": (0.01, 0.03),  # half diagonals
    "sag": (0.0002, 0.002),  # half diagonals that the centre of the vignetting follows gravity by
    "focus": (0.001, 0.004),  # of the corner, in one subset
    "lamp changed": (0.0005, 0.003),  # each term, in the later subsets
    "lamp drifts": (0.003, 0.03),  # across the frame, in each subset
    "hot spot": (0.005, 0.03),  # of the lamp, finer than its terms
    "shared charge": (0.005, 0.02),  # covariance with each of four neighbours over the variance, at full scale
    "not linear": (0.01, 0.04),  # at full scale
    "flicker": (0.002, 0.03),  # amplitude of bands
    "saturated": (0.002, 0.1),  # part of the pixels of the brightest channel
    "soft saturation": (0.002, 0.1),  # the same, and the full well differs from pixel to pixel
    "black level": (5, 50),  # DN left in the flats
    "dust moved": (0.03, 0.1),  # depth of a shadow that the last subset has elsewhere
}
#: In which these sizes are.
UNITS = {
    "angles wrong": "degrees",
    "wrong sign": "of all angles",
    "aims wrong": "half diagonals",
    "sag": "half diagonals that the vignetting follows gravity by",
    "focus": "darker corners in one subset",
    "lamp changed": "in each term between subsets",
    "lamp drifts": "across the frame in each subset",
    "hot spot": "high, a sixth to a third of a half diagonal wide",
    "shared charge": "of the variance with each of 4 neighbours, full well",
    "not linear": "at full scale",
    "flicker": "bands",
    "saturated": "of the pixels",
    "soft saturation": "of the pixels",
    "black level": "DN left",
    "dust moved": "deep",
}
#: Part of the sets without any.
CLEAN = 0.35


def positions(shape=SHAPE):
    """Of the middles of the pixels."""
    rows, columns = shape
    half = np.hypot(rows, columns) / 2
    x = (np.arange(columns) - (columns - 1) / 2) / half
    y = ((rows - 1) / 2 - np.arange(rows)) / half
    return np.meshgrid(x, y)


def zernike(n, m, x, y):
    """R_n^|m|(r) cos(m phi), or sin(|m| phi) for negative m (Born & Wolf 9.2.1), in polar coordinates."""
    r, phi, k = np.hypot(x, y), np.arctan2(y, x), abs(m)
    radial = sum(
        (-1) ** s * factorial(n - s) / factorial(s) / factorial((n + k) // 2 - s) / factorial((n - k) // 2 - s)
        * r ** (n - 2 * s)
        for s in range((n - k) // 2 + 1)
    )  # fmt: skip
    return radial * (np.sin(k * phi) if m < 0 else np.cos(k * phi))


def terms_to(degree):
    return [(n, m) for n in range(1, degree + 1) for m in range(-n, n + 1, 2)]


def draw_lamp(terms, spot, x, y):
    """ln I of terms and of a spot that is finer than they are."""
    log = sum((value * zernike(*term, x, y) for term, value in terms.items()), np.zeros_like(x))
    if spot is not None:
        cx, cy, width, height = spot
        log = log + height * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 2 / width**2)
    return log


@dataclass
class Camera:
    """A sensor and a lens.

    Attributes
    ----------
    colors : bool
        Bayer, or without filters.
    gain : float
        e-/DN.
    read_noise : float
        e-.
    black, top : int
        DN.
    prnu : float
        Pixel response, relative.
    curvature, power, center
        Of the vignetting (1 + curvature r^2)^-power about its centre.
    dust : list of tuple
        x, y, radius, depth of shadows.
    pixels : numpy.ndarray
        Response of each pixel, without lens and dust.
    """

    colors: bool
    gain: float
    read_noise: float
    black: int
    top: int
    prnu: float
    curvature: float
    power: float
    center: tuple
    dust: list
    pixels: np.ndarray = field(repr=False)

    def channels(self):
        rows, columns = np.indices(SHAPE)
        return np.array(BAYER)[rows % 2, columns % 2] if self.colors else np.zeros(SHAPE, int)

    def color(self):
        return np.array(COLORS)[self.channels()] if self.colors else np.ones(SHAPE)

    def full(self):
        """Electrons at the top of the range."""
        return self.gain * (self.top - self.black)

    def lens(self, shift=(0, 0), focus=0.0):
        """Vignetting, a little different for each colour."""
        x, y = positions()
        squared = (x - self.center[0] - shift[0]) ** 2 + (y - self.center[1] - shift[1]) ** 2
        tint = np.array([1.02, 1.0, 1.01])[self.channels()] if self.colors else 1.0
        return (1 + self.curvature * tint * squared) ** -self.power * np.exp(-focus * squared)

    def shadows(self, dust=None):
        x, y = positions()
        found = np.ones(SHAPE)
        for cx, cy, radius, depth in self.dust if dust is None else dust:
            found *= 1 - depth * np.exp(-(((np.hypot(x - cx, y - cy)) / radius) ** 4))
        return found

    def response(self, **lens):
        """Of each pixel to an even light."""
        return self.lens(**lens) * self.pixels * self.shadows()

    def record(self, electrons, rng, shared=0.0, bend=0.0, well=None, pedestal=0.0):
        """A frame, DN: photon noise, charge that goes to neighbours, full well, read noise, whole numbers."""
        collected = rng.poisson(electrons).astype(float)
        if shared:
            moving = shared / 2 * np.clip(electrons / self.full(), 0, 1) * (collected - electrons)
            padded = np.pad(moving, 1)
            collected += padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * moving
        if bend:
            collected *= 1 - bend * collected / self.full()
        if well is not None:
            collected = np.minimum(collected, well)
        recorded = (collected + self.read_noise * rng.standard_normal(SHAPE)) / self.gain + self.black + pedestal
        return np.clip(np.rint(recorded), 0, self.top).astype(np.uint16)


@dataclass
class FlatSet:
    """Flats of a lamp, taken in subsets.

    Attributes
    ----------
    camera : Camera
    terms : dict
        Coefficients of ln I, by (n, m), in the frame of the first subset.
    spot : tuple or None
        x, y, width and height of what is finer.
    given, poses : list of tuple
        Angle and aim of each subset: as the user says, as they are.
    frames : int
        In each subset.
    level : float
        Electrons of a pixel of the brightest colour in the middle.
    faults : dict
        Size of each of its `IMPERFECTIONS`.
    some : bool
        Whether only some frames flicker.
    seed : list of int
    """

    camera: Camera
    terms: dict
    spot: tuple | None
    given: list
    poses: list
    frames: int
    level: float
    faults: dict
    some: bool
    seed: list

    def terms_of(self, k):
        """Terms of ln I while subset k is taken."""
        size = self.faults.get("lamp changed", 0.0)
        rng = np.random.default_rng([*self.seed, 100 + k])
        changes = {term: size * rng.standard_normal() * (k > 0) * (term[0] < 4) for term in self.terms}
        return {term: value + changes[term] for term, value in self.terms.items()}

    def mean_terms(self):
        """Over the subsets."""
        count = len(self.poses)
        return {term: sum(self.terms_of(k)[term] for k in range(count)) / count for term in self.terms}

    def log_lamp(self, k):
        """ln I as subset k sees it."""
        angle, right, down = self.poses[k]
        x, y = positions()
        a = np.radians(angle)
        u, v = x * np.cos(a) - y * np.sin(a) + right, x * np.sin(a) + y * np.cos(a) - down
        return draw_lamp(self.terms_of(k), self.spot, u, v)

    def response(self, k):
        """Of each pixel to an even light, in subset k."""
        lens = {}
        if "sag" in self.faults:
            angle = np.radians(self.poses[k][0])
            lens["shift"] = -self.faults["sag"] * np.sin(angle), -self.faults["sag"] * np.cos(angle)
        if "focus" in self.faults and k == 1:
            lens["focus"] = self.faults["focus"]
        found = self.camera.response(**lens)
        return found * self.moved_shadow(k)

    def moved_shadow(self, k):
        """The shadow of dust that moved before the last subset, in subset k."""
        there = -0.3 if k % len(self.poses) == len(self.poses) - 1 else 0.3
        return self.camera.shadows([(there, 0.1, 0.03, self.faults.get("dust moved", 0.0))])

    def mean_response(self):
        """Over the subsets."""
        return np.exp(np.mean([np.log(self.response(k)) for k in range(len(self.poses))], axis=0))

    def seen(self, k):
        """What subset k sees, but for noise and level."""
        return self.response(k) * np.exp(self.log_lamp(k)) * self.camera.color()

    def wells(self, brightest):
        """Full well of each pixel, electrons, and the level at which as many pixels saturate as should."""
        rng = np.random.default_rng([*self.seed, 99])
        part = self.faults.get("saturated", self.faults.get("soft saturation"))
        if part is None:
            return None, self.level
        softness = 0.003 if "soft saturation" in self.faults else 0.0
        full = self.camera.full() * (0.9 if softness else 1.0)
        well = full * (1 + softness * rng.standard_normal(SHAPE)) if softness else None
        return well, full / np.quantile(brightest, 1 - part)

    def expose(self):
        """Yields subset, number in it, frame (DN) and bands (amplitude) of each frame in order."""
        rng, camera, faults = np.random.default_rng([*self.seed, 1]), self.camera, self.faults
        x, y = positions()
        first = self.seen(0)
        well, level = self.wells(first[camera.channels() == (1 if camera.colors else 0)])
        trend = rng.uniform(-0.04, 0.04)
        count = len(self.poses) * self.frames
        for k in range(len(self.poses)):
            seen, turn = self.seen(k), rng.uniform(0, 2 * np.pi)
            along = (x * np.cos(turn) + y * np.sin(turn)) / 1.6
            for i in range(self.frames):
                place = (k * self.frames + i) / (count - 1) - 0.5
                electrons = seen * level * (1 + trend * place + 0.01 * rng.standard_normal())
                if "lamp drifts" in faults:
                    electrons = electrons * (1 + faults["lamp drifts"] * (i / (self.frames - 1) - 0.5) * along)
                bands = faults.get("flicker", 0.0) * (not self.some or rng.random() < 0.3)
                if bands:
                    phase = (np.arange(SHAPE[0])[:, None] / (SHAPE[0] / 8.3) + rng.random()) * 2 * np.pi
                    electrons = electrons * (1 + bands * np.sin(phase))
                options = {"shared": faults.get("shared charge", 0.0), "bend": faults.get("not linear", 0.0)}
                frame = camera.record(electrons, rng, **options, well=well, pedestal=faults.get("black level", 0.0))
                yield k, i, frame, bands

    def clipped(self):
        """Part of the pixels of each channel that is at the top, or at a full well, in most frames."""
        channels = self.camera.channels()
        well, level = self.wells(self.seen(0)[channels == (1 if self.camera.colors else 0)])
        top = np.full(SHAPE, self.camera.full()) if well is None else well
        # with jitter and trend of the level, of a few percent, in half of the frames
        over = [level * self.seen(k) > top for k in range(len(self.poses))]
        return [float(np.mean([each[channels == c].mean() for each in over])) for c in np.unique(channels)]


@dataclass
class Light:
    """A light of a sky.

    Attributes
    ----------
    camera : Camera
    sky : str
        Name: of `skies.SKIES`, ``even`` or ``gradient``.
    level : float
        Electrons of a pixel of the brightest colour in the middle.
    causes : dict
        Sizes by name: ``pedestal`` (part of the light), ``gradient`` (across the frame), ``shift`` (half diagonals).
    seed : list of int
    """

    camera: Camera
    sky: str
    level: float
    causes: dict
    seed: list

    def scene(self):
        """The sky, relative."""
        rng = np.random.default_rng([*self.seed, 2])
        x, y = positions()
        sky = np.ones(SHAPE)
        if self.sky in SKIES:
            sky = SKIES[self.sky](x, y, rng, 10 ** rng.uniform(-2, -0.7), self.camera.lens())
        turn = rng.uniform(0, 2 * np.pi)
        return sky * (1 + self.causes.get("gradient", 0.0) * (x * np.cos(turn) + y * np.sin(turn)) / 1.6)

    def expected(self):
        """Electrons of each pixel from the sky and stars, and whether there are stars."""
        rng, camera = np.random.default_rng([*self.seed, 3]), self.camera
        response = camera.response(shift=self.shift())
        spread = np.arange(-4, 5)
        profile, stars = np.exp(-(spread[:, None] ** 2 + spread**2) / 2.5), np.zeros(SHAPE)
        for row, column in rng.integers(4, np.array(SHAPE) - 4, (40, 2)):
            stars[row - 4 : row + 5, column - 4 : column + 5] += self.level * min(rng.pareto(1.2), 30) * profile
        return (self.level * self.scene() + stars) * camera.color() * response, stars > 0.001 * self.level

    def shift(self):
        """Of the vignetting against that of the flat."""
        turn, size = np.random.default_rng([*self.seed, 6]).uniform(0, 2 * np.pi), self.causes.get("shift", 0.0)
        return size * np.cos(turn), size * np.sin(turn)

    def pedestal(self):
        """DN left, of all colours alike."""
        return self.causes.get("pedestal", 0.0) * self.level / self.camera.gain

    def expose(self):
        """The frame, DN."""
        return self.camera.record(self.expected()[0], np.random.default_rng([*self.seed, 4]), pedestal=self.pedestal())


@dataclass
class World:
    """A camera, two sets of flats, bias frames, and a light of the first set."""

    camera: Camera
    sets: list
    light: Light
    seed: int

    def bias(self, count=8):
        rng = np.random.default_rng([self.seed, 5])
        return [self.camera.record(np.zeros(SHAPE), rng) for _ in range(count)]


def between(rng, low, high):
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def draw_camera(rng):
    bits = int(rng.choice([14, 16]))
    prnu = between(rng, 0.003, 0.01)
    dust = [(*rng.uniform(-0.7, 0.7, 2), rng.uniform(0.015, 0.03), rng.uniform(0.02, 0.08))
            for _ in range(rng.integers(4))]  # fmt: skip
    return Camera(
        colors=bool(rng.random() < 0.7),
        gain=between(rng, 0.5, 4) if bits == 14 else between(rng, 0.3, 1.5),
        read_noise=between(rng, 2, 12),
        black=int(rng.integers(200, 1000)),
        top=2**bits - 1,
        prnu=prnu,
        curvature=rng.uniform(0.3, 0.9),
        power=float(rng.choice([1.5, 2.0])),
        center=tuple(rng.normal(0, 0.02, 2)),
        dust=dust,
        pixels=1 + prnu * rng.standard_normal(SHAPE),
    )


def draw_terms(rng):
    """Of ln I: each degree is fainter; the radial ones are as others, or (a lamp near by) larger."""
    size = between(rng, 0.001, 0.03) * (rng.random() < 0.9)
    terms = {(n, m): size * rng.standard_normal() / n**1.5 for n, m in terms_to(4)}
    if rng.random() < 0.2:
        terms[2, 0] += rng.choice([-1, 1]) * rng.uniform(0.003, 0.015)
    return terms


def draw_set(rng, camera, seed, clean=False):
    chances = np.array([chance for chance, _ in POSES])
    given = POSES[rng.choice(len(POSES), p=chances / chances.sum())][1]
    faults = {}
    if rng.random() > CLEAN and not clean:
        for name in rng.choice(list(IMPERFECTIONS), rng.integers(1, 3), replace=False):
            faults[str(name)] = between(rng, *IMPERFECTIONS[name])
    poses = [np.array(pose, float) for pose in given]
    for k in range(1, len(poses)):
        if "wrong sign" in faults:
            poses[k][0] *= -1
        if "angles wrong" in faults:
            poses[k][0] += faults["angles wrong"] * rng.standard_normal()
        if "aims wrong" in faults:
            poses[k][1:] += faults["aims wrong"] * rng.standard_normal(2)
    spot = None
    if "hot spot" in faults:
        spot = (*rng.uniform(-0.5, 0.5, 2), rng.uniform(0.15, 0.35), faults["hot spot"])
    level = rng.uniform(0.2, 0.65) * camera.full()
    count = int(rng.integers(6, 11))
    return FlatSet(camera, draw_terms(rng), spot, given, poses, count, level, faults, bool(rng.random() < 0.5), seed)


def draw_light(rng, camera, seed):
    kind, causes = rng.random(), {}
    sky = str(rng.choice(list(SKIES))) if kind < 0.4 else "even"
    if kind > 0.5:
        ranges = {"pedestal": (0.01, 0.1), "gradient": (0.01, 0.4), "shift": (0.01, 0.06)}
        for name in rng.choice(list(ranges), rng.integers(1, 3), replace=False):
            causes[str(name)] = between(rng, *ranges[name])
    return Light(camera, sky, min(between(rng, 300, 10000), 0.3 * camera.full()), causes, seed)


def draw_world(seed, clean=False):
    """A world, without imperfections of the flats if so; the same seed gives the same."""
    rng = np.random.default_rng([seed])
    camera = draw_camera(rng)
    sets = [draw_set(rng, camera, [seed, 10 + number], clean) for number in range(2)]
    return World(camera, sets, draw_light(rng, camera, [seed, 20]), seed)
