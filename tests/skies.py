"""Lights of a camera under skies of many forms, with what may be wrong with them: a simulator of its own.

It shares no code with the library. Lengths are in half diagonals of the frame, x to the right, y up.
"""

from dataclasses import dataclass

import numpy as np

#: Pixels of a Bayer tile, row by row: red, green, green, blue.
BAYER = ((0, 1), (1, 2))


@dataclass
class Camera:
    """A lens and a sensor.

    Attributes
    ----------
    shape : tuple of int
    colors : bool
        Bayer, or without filters.
    level : float
        Sky at the centre, electrons; of green.
    binned : int
        Pixels of a larger sensor, each way, that one pixel stands for: noise is less by as much.
    """

    shape: tuple = (160, 240)
    colors: bool = True
    level: float = 1000.0
    binned: int = 1
    curvature: float = 0.8
    power: float = 2.0
    gain: float = 0.5  # DN per electron

    def positions(self):
        rows, columns = self.shape
        half = np.hypot(rows, columns) / 2
        x = (np.arange(columns) - (columns - 1) / 2) / half
        y = ((rows - 1) / 2 - np.arange(rows)) / half
        return np.meshgrid(x, y)

    def filters(self):
        """Channel of each pixel."""
        rows, columns = np.indices(self.shape)
        return np.array(BAYER)[rows % 2, columns % 2] if self.colors else np.zeros(self.shape, int)

    def sensitivity(self):
        return np.array([0.5, 1.0, 0.6])[self.filters()] if self.colors else np.ones(self.shape)

    def lens(self, x=None, y=None):
        """Vignetting, a little different for each colour."""
        x, y = self.positions() if x is None else (x, y)
        k = self.curvature * (np.array([1.03, 1.0, 1.01])[self.filters()] if self.colors else 1.0)
        return (1 + k * (x * x + y * y)) ** -self.power

    def expose(self, electrons, rng, stars=40):
        """Photon noise, read noise and stars; DN above black."""
        electrons = electrons.copy()
        spread = np.arange(-3, 4)
        profile = np.exp(-(spread[:, None] ** 2 + spread**2) / 2.5)
        for row, column in rng.integers(4, np.array(self.shape) - 4, (stars, 2)):
            window = slice(row - 3, row + 4), slice(column - 3, column + 4)
            electrons[window] += 3 * self.level * min(rng.pareto(1.2), 100) * profile
        many = self.binned**2
        read = 3 * np.sqrt(many) * rng.standard_normal(self.shape)
        return (self.gain * (rng.poisson(electrons * many) + read) / many).astype(np.float32)


def draw_camera(rng, **fixed):
    """A camera of 0.04 to 12 megapixels, 300 to 10000 electrons, with or without colours, long or square."""
    drawn = {
        "shape": [(160, 240), (176, 240), (200, 200)][rng.integers(3)],
        "colors": bool(rng.random() < 0.6),
        "level": float(10 ** rng.uniform(np.log10(300), 4)),
        "binned": int([1, 3, 6, 17][rng.integers(4)]),
        "curvature": rng.uniform(0.5, 0.9),
        "power": rng.choice([1.5, 2.0, 2.5]),
    }
    return Camera(**(drawn | fixed))


def _blob(x, y, rng, width, reach, longest=1.0, kind="gauss"):
    cx, cy = rng.uniform(-reach, reach, 2)
    turn, long = rng.uniform(0, np.pi), rng.uniform(1, longest)
    u = ((x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)) / long
    v = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
    r = np.hypot(u, v) / width
    return np.exp(-(r**2) / 2) if kind == "gauss" else np.exp(-r)


def _sersic(x, y, rng, reach):
    n, radius = rng.uniform(0.6, 4), rng.uniform(0.1, 0.45)
    cx, cy = rng.uniform(-reach, reach, 2)
    r = np.maximum(np.hypot(x - cx, (y - cy) / rng.uniform(0.5, 1)) / radius, 0.02)
    return np.exp(-(2 * n - 1 / 3) * (r ** (1 / n) - 1))


def _along(x, y, rng):
    turn = rng.uniform(0, 2 * np.pi)
    return x * np.cos(turn) + y * np.sin(turn)


def _clouds(x, y, rng):
    total = np.zeros_like(x)
    for _ in range(30):
        size = rng.uniform(1, 9)
        total += np.cos(size * _along(x, y, rng) + rng.uniform(0, 2 * np.pi)) / size
    return total / total.std()


def _van_rhijn(x, y, rng, largest):
    """Airglow of a layer at a height of 90 km, and extinction, of a camera that looks at the zenith."""
    tangent = np.hypot(x, y) * np.tan(np.radians(rng.uniform(10, largest)))
    sine = tangent**2 / (1 + tangent**2)
    airmass = 1 / np.sqrt(1 - 0.999 * sine)
    return 10 ** (-0.4 * rng.uniform(0.05, 0.3) * (airmass - 1)) / np.sqrt(1 - sine * (6371 / 6461) ** 2)


#: Skies, relative, from positions, a random generator, an amplitude of 0.01 to 0.3, and the vignetting of the lens.
SKIES = {
    "gaussian near the centre": lambda x, y, rng, a, v: 1 + a * _blob(x, y, rng, rng.uniform(0.1, 0.5), 0.15),
    "gaussian at the centre": lambda x, y, rng, a, v: 1 + a * _blob(x, y, rng, rng.uniform(0.2, 0.8), 0),
    "dark nebula": lambda x, y, rng, a, v: 1 - a * _blob(x, y, rng, rng.uniform(0.2, 0.6), 0.1, 2),
    "gaussian anywhere": lambda x, y, rng, a, v: 1 + a * _blob(x, y, rng, rng.uniform(0.1, 0.6), 0.8),
    "long nebula": lambda x, y, rng, a, v: 1 + a * _blob(x, y, rng, rng.uniform(0.1, 0.3), 0.4, 4),
    "exponential": lambda x, y, rng, a, v: 1 + 2 * a * _blob(x, y, rng, rng.uniform(0.08, 0.5), 0.2, 2, "exp"),
    "galaxy": lambda x, y, rng, a, v: 1 + 2 * a * _sersic(x, y, rng, 0.15),
    "several": lambda x, y, rng, a, v: 1 + a * sum(_blob(x, y, rng, rng.uniform(0.1, 0.4), 0.7, 2) for _ in range(4)),
    "dome": lambda x, y, rng, a, v: 1 + a * np.exp((_along(x, y, rng) - 1) / rng.uniform(0.15, 0.8)),
    "clouds": lambda x, y, rng, a, v: np.exp(a / 2 * _clouds(x, y, rng)),
    "milky way": lambda x, y, rng, a, v: (
        1 + 3 * a * np.exp(-np.abs(_along(x, y, rng) / rng.uniform(0.1, 0.4)) ** rng.uniform(1, 2))
    ),
    "round airglow": lambda x, y, rng, a, v: 1 + a * rng.choice([-0.5, 0.5]) * (x * x + y * y),
    "airglow, zenith aside": lambda x, y, rng, a, v: 1 + a / 2 * ((x - 0.2) ** 2 + (y + rng.uniform(-0.3, 0.3)) ** 2),
    "airglow of a layer": lambda x, y, rng, a, v: _van_rhijn(x, y, rng, 40),
    "glow like the vignetting": lambda x, y, rng, a, v: 1 + a * rng.choice([-1, 1]) * v ** rng.uniform(0.5, 2),
    "wide glow": lambda x, y, rng, a, v: 1 + a * (1 + rng.uniform(0.3, 2) * (x * x + y * y)) ** -rng.uniform(1, 3),
    "reflection": lambda x, y, rng, a, v: (
        1 + a / (1 + np.exp((np.hypot(x, y - rng.choice([0, 0.2])) - rng.uniform(0.15, 0.6)) / 0.03))
    ),
    "ring": lambda x, y, rng, a, v: 1 + a * np.exp(-(((np.hypot(x - 0.1, y) - rng.uniform(0.2, 0.7)) / 0.12) ** 2)),
    "moonlight": lambda x, y, rng, a, v: (
        1 + a * ((along := _along(x, y, rng)) + rng.uniform(0.3, 0.8) * along**2)
    ),
    "glow of a corner": lambda x, y, rng, a, v: 1 + a * np.exp(-np.hypot(x - 0.8, y + 0.5) / rng.uniform(0.1, 0.3)),
}  # fmt: skip
#: Lights that have causes: those of the first field, by the sizes of the second.
CAUSES = {
    "pedestal of 3 %": ({"pedestal"}, {"pedestal": 3}),
    "pedestal of -3 %": ({"pedestal"}, {"pedestal": -3}),
    "pedestal of 10 %": ({"pedestal"}, {"pedestal": 10}),
    "black level 3 % off": ({"pedestal"}, {"black": 3}),
    "gradient of 3 %": ({"sky gradient"}, {"gradient": 3}),
    "gradient of 10 %": ({"sky gradient"}, {"gradient": 10}),
    "gradient of 40 %": ({"sky gradient"}, {"gradient": 40}),
    "gradient of red": ({"sky gradient"}, {"red": 8}),
    "pedestal of 3 %, gradient of 10 %": ({"pedestal", "sky gradient"}, {"pedestal": 3, "gradient": 10}),
    "pedestal of 10 %, gradient of 3 %": ({"pedestal", "sky gradient"}, {"pedestal": 10, "gradient": 3}),
    "flat shifted by 2 %": ({"wrong flat"}, {"shift": 2}),
    "flat shifted by 6 %": ({"wrong flat"}, {"shift": 6}),
    "flat shifted by 4 %, gradient of 10 %": ({"wrong flat", "sky gradient"}, {"shift": 4, "gradient": 10}),
    "flat shifted by 4 %, pedestal of 5 %": ({"wrong flat", "pedestal"}, {"shift": 4, "pedestal": 5}),
    "gamma of 2.2": ({"encoded"}, {"gamma": 2.2}),
}


def photograph(name, camera, rng):
    """A light of a sky or with causes, and the flat that it is divided by: DN above black, relative."""
    x, y = camera.positions()
    sizes = CAUSES[name][1] if name in CAUSES else {}
    flat = camera.lens()
    if "shift" in sizes:
        turn = rng.uniform(0, 2 * np.pi)
        flat = camera.lens(x - sizes["shift"] / 100 * np.cos(turn), y - sizes["shift"] / 100 * np.sin(turn))
    sky = np.ones(camera.shape)
    if name in SKIES:
        amplitude = 10 ** rng.uniform(-2, -0.5)
        relative = SKIES[name](x, y, rng, amplitude, camera.lens())
        tint = 1 + rng.choice([0, 0, 0.3]) * rng.standard_normal(3)
        sky = 1 + (relative - 1) * (np.maximum(tint, 0.2)[camera.filters()] if camera.colors else 1)
    along = _along(x, y, rng)
    if "gradient" in sizes:
        sky = 1 + sizes["gradient"] / 200 * along
    if "red" in sizes:
        sky = 1 + sizes["red"] / 200 * along * (camera.filters() == 0)
    light = camera.expose(camera.level * camera.sensitivity() * sky * camera.lens(), rng)
    if "pedestal" in sizes:
        light += sizes["pedestal"] / 100 * camera.level * camera.gain * camera.sensitivity()
    if "black" in sizes:
        light += sizes["black"] / 100 * camera.level * camera.gain
    if "gamma" in sizes:
        top = 4 * camera.level * camera.gain
        light = top * np.clip(light / top, 1e-6, 8) ** (1 / sizes["gamma"])
    return light.astype(np.float32), (flat * (1 + 1e-3 * rng.standard_normal(camera.shape))).astype(np.float32)
