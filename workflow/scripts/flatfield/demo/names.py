"""What the demo's raw frames are called: all that planning a run needs of the demo."""

SETS = ("indoors", "outdoors", "outdoors_f4")
ROTATIONS = (0, 90, 180)  # degrees, of the subsets
LIGHTS = ("DSC09001", "DSC09002")  # a milky way, a plain sky


def flat_files(folder, name, frames):
    """Paths of the flats of one of `SETS`, with `frames` in each subset."""
    return [f"{folder}/{name}/DSC{number:05d}.dng" for number in range(1, frames * len(ROTATIONS) + 1)]


def light_files(folder):
    """Paths of the lights."""
    return [f"{folder}/lights/{stem}.dng" for stem in LIGHTS]
