"""What the workflow is measured against, each in a process of its own: `python programs.py NAME ARGUMENTS`."""

import sys
from concurrent.futures import ThreadPoolExecutor


def decode(*frames):
    """The limit: nothing but decoding the frames, in two threads."""
    import rawpy

    def read(path):
        with rawpy.imread(path) as raw:
            return raw.raw_image_visible.copy()

    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(read, frames):
            pass


def notebook(what, *frames):
    """The notebook's computation: stacks of float32, numpy's median; AHD of LibRaw where debayered."""
    import numpy as np
    import rawpy

    stack = []
    for path in frames:
        with rawpy.imread(path) as raw:
            if what == "mosaic":
                stack.append(raw.raw_image_visible.astype(np.float32) - 512)
            else:
                linear = {"gamma": (1, 1), "output_bps": 16, "use_camera_wb": False, "use_auto_wb": False}
                linear |= {"no_auto_bright": True, "no_auto_scale": True, "output_color": rawpy.ColorSpace.raw}
                stack.append(raw.postprocess(**linear))
    if what == "mosaic":
        np.median(np.array(stack), axis=0)
    else:
        for channel in range(3):
            np.median(np.array([frame[:, :, channel] for frame in stack], np.float32), axis=0)


def ccdproc(*frames):
    """The package of the field: CCDData, Combiner, median."""
    import rawpy
    from astropy.nddata import CCDData
    from ccdproc import Combiner

    images = []
    for path in frames:
        with rawpy.imread(path) as raw:
            images.append(CCDData(raw.raw_image_visible.astype("float32") - 512, unit="adu"))
    Combiner(images).median_combine()


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    {"decode": decode, "notebook": notebook, "ccdproc": ccdproc}[name](*arguments)
