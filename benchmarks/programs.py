"""What is measured, each in a process of its own: `python programs.py NAME ARGUMENTS`."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SCRIPTS = Path(__file__).parent.parent / "workflow/scripts"
FRAME_TESTS = {
    **{"drift_percent": 10, "drift_sigma": 8, "dark_percent": 1, "snr": 5, "saturated_percent": 0.5},
    **{"departure_percent": 1, "departure_sigma": 8},
}
GUARD = {"focal_length_percent": 2, "aperture_percent": 5, "distance_percent": 30}
CLIPPING = {"kappa_low": 3, "kappa_high": 3, "iterations": 5, "nlow": 1, "nhigh": 1}


def decode(*frames):
    """The limit: nothing but decoding the frames, in two threads."""
    import rawpy

    def read(path):
        with rawpy.imread(path) as raw:
            return raw.raw_image_visible.copy()

    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(read, frames):
            pass


def ours(rule, options, output, *frames):
    """A rule of this project: `options` is method,scale[,memory_mb]."""
    sys.path.insert(0, str(SCRIPTS))
    method, scale, *memory = options.split(",")
    combine = {"method": method, "scale": scale, **CLIPPING}
    folder = Path(output).parent
    limits = {"threads": 2, "memory_mb": int(memory[0]) if memory else None, "scratch": str(folder)}
    files, inspected = [Path(frame).name for frame in frames], str(folder / "inspected.tsv")
    chosen = {"frames": list(frames), "files": files, "reading": False}
    combining = chosen | {"bands": [], "inspected": inspected, "combine": combine, "limits": limits}
    if rule == "inspect_frames":
        import inspect_frames

        acceptance = {"mismatch": "error", "exposure_span": 2, "bad_frames": "exclude", "min_frames": 3}
        acceptance |= {"guard": GUARD, "cfa": None, "frame_tests": FRAME_TESTS}
        made = {"inspected": output, "maps": f"{output}.fits", "subsets": ["A"] * len(files)}
        inspect_frames.main(**chosen, **made, acceptance=acceptance, threads=2)
    elif rule == "combine_subset":
        import combine_subset

        combine_subset.main(**combining, subset=output, rotation=0, aim=[0, 0])
    elif rule == "debayer_flat":
        import debayer_flat

        made = {"flat": output, "uncert": f"{output}_uncert.fits"}
        debayer_flat.main(**combining, **made, debayer={"algorithm": "bilinear", "step": 1})


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
    {"decode": decode, "ours": ours, "notebook": notebook, "ccdproc": ccdproc}[name](*arguments)
