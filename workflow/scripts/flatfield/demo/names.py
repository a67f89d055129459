"""What the demo's raw frames are called: all that planning a run needs of the demo."""

SETS = ("indoors", "outdoors", "outdoors_f4")
ROTATIONS = (0, 90, 180)  # degrees, of the subsets
AIMED_SET, AIM = "outdoors", (0.2, 0.0)  # the set with one more subset, at angle 0; half diagonals to the right, down
LIGHTS = ("DSC09001", "DSC09002", "DSC09003")  # a milky way, the same field moved, a plain sky elsewhere


def flat_files(folder, name, frames):
    """Paths of the flats of one of `SETS`, with `frames` in each subset."""
    return [f"{folder}/{name}/DSC{number:05d}.dng" for number in range(1, frames * len(ROTATIONS) + 1)]


def aimed_files(folder, frames):
    """Paths of the flats of the subset with the camera aimed aside, in a folder of their own."""
    first = frames * len(ROTATIONS) + 1
    return [f"{folder}/{AIMED_SET}_aimed/DSC{number:05d}.dng" for number in range(first, first + frames)]


def light_files(folder):
    """Paths of the lights."""
    return [f"{folder}/lights/{stem}.dng" for stem in LIGHTS]
