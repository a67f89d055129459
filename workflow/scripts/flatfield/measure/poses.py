"""How the camera was held in each subset: its angle and its aim, and where points of its frame lie in the source."""

from dataclasses import dataclass, replace

import numpy as np

from flatfield.files.errors import CalibrationError

#: Of a frame of 36 x 24 mm.
FILM_HALF_DIAGONAL_MM = 21.633
#: Difference for slopes, radians and half diagonals.
DELTA = 1e-3
#: Prior standard deviation of an angle and an aim that are not known: degrees, and half diagonals of the frame.
FREE_ANGLE, FREE_AIM = 40.0, 0.3


@dataclass(frozen=True)
class Poses:
    """Angles and aims of the subsets, as given or as found.

    Attributes
    ----------
    rotations : numpy.ndarray, ``(subsets,)``
        Degrees, counter-clockwise seen from behind the camera.
    aims : numpy.ndarray, ``(subsets, 2)``
        To the right and down, half diagonals, in the frame of the source.
    rotation_errors, aim_errors : numpy.ndarray, ``(subsets,)``
        Prior standard deviations, degrees and half diagonals. Those of the first subset, which is the frame of the
        source, do not count.
    free : numpy.ndarray of bool, ``(subsets, 2)``
        Whether the angle, and the aim, was not given.
    field : float
        Tangent of the angle from the axis to a corner where the aim pans the camera below a sky; 0 where it slides it
        along a panel.
    """

    rotations: np.ndarray
    aims: np.ndarray
    rotation_errors: np.ndarray
    aim_errors: np.ndarray
    free: np.ndarray
    field: float = 0.0

    @classmethod
    def make(cls, rotations, aims=None, rotation_error=2.0, aim_error=0.03, field=0.0):
        """From the configuration: a rotation may be None, an aim None (as the first) or ``free``."""
        aims = [None] * len(rotations) if aims is None else aims
        free = np.array([(angle is None, aim == "free") for angle, aim in zip(rotations, aims, strict=True)])
        return cls(
            np.array([0.0 if angle is None else angle for angle in rotations], float),
            np.array([(0, 0) if aim is None or aim == "free" else aim for aim in aims], float),
            np.where(free[:, 0], FREE_ANGLE, rotation_error),
            np.where(free[:, 1], FREE_AIM, aim_error),
            free,
            field,
        )

    def __len__(self):
        return len(self.rotations)

    @property
    def vector(self):
        """Angle (radians) and aim of each subset, ``(subsets, 3)``."""
        return np.column_stack([np.radians(self.rotations), self.aims])

    @property
    def priors(self):
        """Prior standard deviations of `vector`; 0 for the first subset."""
        found = np.column_stack([np.radians(self.rotation_errors), self.aim_errors, self.aim_errors])
        found[0] = 0
        return found

    def moved(self, vector):
        """The same with other angles and aims, as `vector`."""
        return replace(self, rotations=np.degrees(vector[:, 0]), aims=vector[:, 1:].copy())

    def turned(self, rotations):
        """The same with other angles."""
        return replace(self, rotations=np.asarray(rotations, float))

    def part(self, subsets):
        """Some of the subsets."""
        keys = ("rotations", "aims", "rotation_errors", "aim_errors", "free")
        return replace(self, **{key: getattr(self, key)[subsets] for key in keys})

    @property
    def one_angle(self):
        """Whether all angles are the same."""
        return len({round(angle % 360, 6) for angle in self.rotations}) < 2

    @property
    def aim_span(self):
        """Largest distance of two aims, half diagonals."""
        return float(np.abs(self.aims[:, None] - self.aims[None]).max())

    def place(self, x, y, subset):
        """Where points of the frame lie in the source."""
        return place(x, y, self.rotations[subset], self.aims[subset], self.field)

    def slopes(self, x, y, subset):
        """How these places move with the angle and the aim of the subset, as `vector`: ``(3, 2, points)``."""
        found = []
        for part in range(3):
            ends = []
            for sign in (1, -1):
                vector = self.vector
                vector[subset, part] += sign * DELTA
                ends.append(self.moved(vector).place(x, y, subset))
            found.append(np.subtract(*ends) / (2 * DELTA))
        return np.array(found)


def place(x, y, rotation, aim=(0, 0), field=0.0):
    """Where points of the frame lie in the source.

    Seen from behind, a camera that is turned counter-clockwise looks with its direction p at p turned counter-clockwise
    in the source. What lies at (u, v) of the source is seen at (u - aim x, v - aim y) before the rotation, v down.

    Parameters
    ----------
    x, y : numpy.ndarray
        To the right and up, half diagonals.
    rotation : float
        Degrees.
    aim : tuple of float
        To the right and down, half diagonals.
    field : float
        See `Poses`. Directions are projected gnomonically (Calabretta & Greisen 2002, 5.1.3).

    Returns
    -------
    numpy.ndarray, numpy.ndarray
        To the right and up in the source, half diagonals.
    """
    cos, sin = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    u, v = x * cos - y * sin, x * sin + y * cos
    right, up = aim[0], -aim[1]
    if not field or not (right or up):
        return u + right, v + up
    shift = field * np.array([right, up, 0.0])
    axis = np.array([*shift[:2], 1.0]) / np.sqrt(1 + shift @ shift)  # where the camera looks
    swing = np.array([-axis[1], axis[0], 0.0])  # z x axis: the rotation from z to there, by Rodrigues
    cross = np.array([[0, 0, swing[1]], [0, 0, -swing[0]], [-swing[1], swing[0], 0.0]])
    matrix = np.eye(3) + cross + cross @ cross / (1 + axis[2])
    seen = np.stack([field * u, field * v, np.ones_like(u)], axis=-1) @ matrix.T
    return seen[..., 0] / seen[..., 2] / field, seen[..., 1] / seen[..., 2] / field


def field_of(aim_of, aims, focal_length_mm, crop_factor):
    """Tangent of the angle from the axis to a corner, see `Poses`; 0 where aims slide the camera along a panel.

    Raises
    ------
    CalibrationError
        If the focal length is not known.
    """
    if aim_of == "panel" or all(aim == [0, 0] for aim in aims):
        return 0.0
    if not focal_length_mm:
        raise CalibrationError(
            "an aim on the sky needs the focal length, which the frames do not record; set `aim_of: panel`, "
            "which is right for long lenses"
        )
    return FILM_HALF_DIAGONAL_MM / crop_factor / focal_length_mm
