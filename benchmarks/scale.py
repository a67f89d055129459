"""Time and peak memory of combining any number of frames: those of a folder, again and again.

python benchmarks/scale.py FOLDER COUNT MEMORY_MB [--bands N] [--debayer]
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "workflow/scripts"))

from flatfield.combine.bands import cut_band
from flatfield.combine.methods import combine_interpolated, combine_stack, warm_up
from flatfield.combine.stack import read_stack
from flatfield.files.memory import HALO
from flatfield.raw.decode import read_frame


def main(folder, count, memory_mb, bands, debayer):
    """Print a row: frames, megapixels, seconds to read and to combine, processor seconds, peak memory in MB."""
    frames = [str(path) for path in sorted(folder.rglob("*.dng"))]
    paths = [frames[index % len(frames)] for index in range(count)]
    shape = read_frame(paths[0], with_metadata=False).mosaic.shape
    needed, _ = cut_band(shape[0], (bands // 2, bands), HALO) if bands > 1 else (slice(0, None), None)
    combine = combine_interpolated if debayer else combine_stack
    warm_up(combine)
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        limits = {"threads": 2, "memory_mb": memory_mb, "scratch": scratch}
        stack = read_stack(paths, False, limits, needed, bands)
        read = time.perf_counter()
        combine(stack, {"method": "median"})
        combined = time.perf_counter()
    used = resource.getrusage(resource.RUSAGE_SELF)
    row = [count, f"{shape[0] * shape[1] / 1e6:.0f}", memory_mb, bands, "debayered" if debayer else "mosaic"]
    row += [f"{read - started:.1f}", f"{combined - read:.1f}", f"{used.ru_utime + used.ru_stime:.1f}"]
    print("|", *(f"{entry} |" for entry in [*row, f"{used.ru_maxrss * 1024 / 1e6:.0f}"]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("memory_mb", type=int)
    parser.add_argument("--bands", type=int, default=1)
    parser.add_argument("--debayer", action="store_true")
    main(**vars(parser.parse_args()))
