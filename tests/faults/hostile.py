"""Hostile files: frames with wrong bits, lengths and headers are read right, or refused with a reason.

    python tests/faults/hostile.py --files 2000 --seed 1       (make faults)

Every mutant is read in a child process with limits of time and memory, as a job would read it. What is taken for a
frame is read once more by a reader that shares no code with ours (tifffile for DNG, a few lines of numpy for FITS):
the pixels must be the same.
"""

import argparse
import json
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import tifffile
from astropy.io import fits
from PIL import Image

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS), str(TESTS.parent / "workflow/scripts")]
from conftest import BLACK, MARGINS, REAL_DATA, exif, simulate_mosaic  # noqa: E402

from flatfield.demo.simulation import write_dng  # noqa: E402
from flatfield.files.errors import FrameError  # noqa: E402
from flatfield.files.names import is_picture  # noqa: E402
from flatfield.measure.inspection import inspect_frames  # noqa: E402
from flatfield.raw.cfa import ColorFilterArray  # noqa: E402
from flatfield.raw.decode import read_frame, read_picture  # noqa: E402

#: Limits of a child: seconds for a file, bytes of address space (libraries take one GB of that).
SECONDS, MEMORY = 30, 4_000_000_000
#: Numbers that lengths, offsets and sizes are replaced by.
EXTREMES = (0, 1, 2, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
#: Values that cards of FITS headers are replaced by.
CARDS = (
    *("0", "-1", "3", "1000000", "99999999999", "1E300", "-1E-300", "NaN", "T", "''", "'text'", "1.5", ""),
    *("'\\x00'", "'[1:0,5:2]'", "'[1:9,1:9'", "'RGBG'", "'" + "R" * 66 + "'"),
)


def write_seeds(folder):
    """Write right files of all kinds; each is read as it is first.

    Returns
    -------
    list of pathlib.Path
    """
    rng = np.random.default_rng(5)
    mosaic = simulate_mosaic(rng, ColorFilterArray.from_name("RGGB"))
    write_dng(folder / "mosaic.dng", mosaic, exif(), margins=MARGINS, black=BLACK)
    visible = mosaic[MARGINS[0] :, MARGINS[1] :]
    cards = fits.Header({"BAYERPAT": "RGGB", "EXPTIME": 0.5, "DATE-OBS": "2026-01-01T12:00:00", "INSTRUME": "camera"})
    fits.PrimaryHDU(visible, cards).writeto(folder / "integers.fits")
    fits.PrimaryHDU(visible, cards).writeto(folder / "checked.fits", checksum=True)
    sections = fits.Header({"TRIMSEC": "[7:108,1:72]", "BIASSEC": "[1:6,1:72]", "SATURATE": 60000.0})
    fits.PrimaryHDU(visible.astype(np.float32), sections).writeto(folder / "floats.fits")
    extension = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(visible.astype(np.int16))])
    extension.writeto(folder / "extension.fits")
    for ending in ("png", "jpg", "tif"):
        Image.fromarray((visible >> 6).astype(np.uint8)).save(folder / f"picture.{ending}")
    real = ("RAW_NIKON_D1.NEF", "RAW_KODAK_DC50.KDC", "CRW.CRW")
    seeds = [path for path in (REAL_DATA / "raws" / name for name in real) if path.exists()]
    return sorted(folder.iterdir()) + seeds


def flip(content, chance):
    """Flip bits anywhere, or in the first kilobytes."""
    end = len(content) if chance.random() < 0.5 else min(len(content), 4096)
    for _ in range(chance.choice((1, 2, 8, 32))):
        content[chance.randrange(end)] ^= 1 << chance.randrange(8)


def truncate(content, chance):
    """Cut off the end."""
    del content[chance.randrange(len(content)) :]


def set_number(content, chance):
    """Replace numbers of 2 or 4 bytes in the first kilobytes, or the last, by extreme ones."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        size = chance.choice((2, 4))
        start = chance.randrange(0, max(min(len(content), 4096) - 4, 1), 2)
        if chance.random() < 0.3:
            start = max(len(content) - 4 - start, 0)
        value = chance.choice(EXTREMES) % 256**size
        content[start : start + size] = value.to_bytes(size, chance.choice(("little", "big")))


def shift(content, chance):
    """Take out a piece, or put one in twice."""
    start, size = chance.randrange(len(content)), chance.choice((1, 2, 80, 512, 2880))
    piece = content[start : start + size]
    content[start : start + size] = b"" if chance.random() < 0.5 else piece * 2


def set_card(content, chance):
    """Replace the value of a FITS card."""
    cards = [start for start in range(0, 2880, 80) if content[start + 8 : start + 10] == b"= "]
    for _ in range(chance.choice((1, 1, 2))):
        start = chance.choice(cards)
        content[start + 10 : start + 80] = chance.choice(CARDS).rjust(20).ljust(70)[:70].encode()


MUTATIONS = (flip, truncate, set_number, shift)


def mutate(seed, chance):
    """Content of a mutant, and what was done to it."""
    content = bytearray(seed.read_bytes())
    mutations = (*MUTATIONS, set_card, set_card, set_card) if seed.suffix == ".fits" else MUTATIONS
    chosen = chance.choice(mutations)
    chosen(content, chance)
    return bytes(content), chosen.__name__


def read(path):
    """Read a file as the jobs do, and say what came of it; a picture as the diagnosis does."""
    if is_picture(path):
        try:
            return {"shape": read_picture(path).shape}
        except FrameError as error:
            return {"refused": str(error)}
    (record,), _ = inspect_frames([str(path)], [path.name], screened=True)
    if not record.used:
        return {"refused": record.reason}
    frame = read_frame(path)
    np.save(path.with_suffix(".npy"), frame.mosaic)
    return {"shape": frame.mosaic.shape}


def serve():
    """What a child does: read the files whose names come in, one a line."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    answers, sys.stdout = sys.stdout, sys.stderr  # where progress is told
    for line in sys.stdin:
        signal.alarm(SECONDS)
        told = read(Path(line.rstrip("\n")))
        signal.alarm(0)
        print(json.dumps(told), file=answers, flush=True)


def start_child():
    return subprocess.Popen(
        [sys.executable, __file__, "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def read_again(path):
    """Pixels of a frame by other means; None where these do not understand the file."""
    try:
        if path.suffix == ".dng":
            with tifffile.TiffFile(path) as file:
                page = file.pages[0]
                top, left, bottom, right = page.tags[50829].value
                pixels = page.asarray()
                inside = top < bottom <= pixels.shape[0] and left < right <= pixels.shape[1]
                return pixels[top:bottom, left:right] if inside else None
        return read_fits_again(path.read_bytes()) if path.suffix == ".fits" else None
    except Exception:  # whatever a stranger's reader thinks of it
        return None


def read_fits_again(content):
    """The first two-dimensional image, by the letter of the standard."""
    start = 0
    while start < len(content):
        cards = {}
        for at in range(start, len(content), 80):
            card = content[at : at + 80].decode("ascii")
            if card.startswith("END "):
                break
            if card[8:10] == "= ":
                cards.setdefault(card[:8].strip(), card[10:].partition("/")[0].strip().strip("'").strip())
        first = start + -(-(at + 80 - start) // 2880) * 2880
        sizes = [int(cards[f"NAXIS{axis + 1}"]) for axis in range(int(cards["NAXIS"]))]
        bits = int(cards["BITPIX"])
        length = int(np.prod(sizes)) * abs(bits) // 8 if sizes else 0
        if len(sizes) == 2:
            kind = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}[bits]
            stored = np.frombuffer(content[first : first + length], kind).reshape(sizes[::-1])
            values = stored * float(cards.get("BSCALE", 1)) + float(cards.get("BZERO", 0))
            found = re.fullmatch(r"\[(\d+):(\d+),(\d+):(\d+)\]", cards.get("TRIMSEC", "").replace(" ", ""))
            if "TRIMSEC" not in cards:
                return values
            left, right, bottom, top = map(int, found.groups())
            return values[bottom - 1 : top, left - 1 : right]
        start = first + -(-length // 2880) * 2880
    return None


def run_campaign(folder, files, seed, tell=print):
    """Read mutants.

    Parameters
    ----------
    folder : pathlib.Path
        To work in.
    files : int
        How many, of all seeds in turn.
    seed : int
    tell : callable
        Takes a line of progress.

    Returns
    -------
    tally : dict
        By seed: how many were read (compared: with another reader), refused, and failed.
    failures : list of str
    """
    (folder / "seeds").mkdir()
    seeds = write_seeds(folder / "seeds")
    tally, failures = defaultdict(Counter), []
    child = start_child()
    for number in range(-len(seeds), files):
        origin, chance = seeds[number % len(seeds)], random.Random(1_000_003 * seed + number)
        content, how = mutate(origin, chance) if number >= 0 else (origin.read_bytes(), "nothing")
        path = folder / f"{number}{origin.suffix}"
        path.write_bytes(content)
        child.stdin.write(f"{path}\n")
        child.stdin.flush()
        line = child.stdout.readline()
        outcome, problem = judge(json.loads(line) if line else None, path, number < 0)
        if not line:
            problem = f"the child ended with {child.wait()}"
            child = start_child()
        tally[origin.name][outcome] += number >= 0
        if problem:
            failures.append(f"{origin.name}, {how}, number {number}: {problem}")
            tell(failures[-1])
            path.rename(folder / f"failed-{path.name}")
        for left in folder.glob(f"{number}.*"):
            left.unlink()
    child.stdin.close()
    child.wait()
    return dict(tally), failures


def judge(told, path, untouched):
    """What became of a file, and what is wrong with that (or None)."""
    if told is None:
        return "failed", "ended"
    if "refused" in told:
        wrong = untouched or "\n" in told["refused"] or path.name not in told["refused"]
        return "refused", told["refused"] if wrong else None
    if is_picture(path):
        return "read", None
    ours, theirs = np.load(path.with_suffix(".npy")), read_again(path)
    if theirs is None:
        return "read", None
    if ours.shape != theirs.shape or not np.allclose(ours, theirs.astype(np.float32), rtol=1e-6, equal_nan=True):
        return "failed", f"read as {ours.shape} other than {theirs.shape}"
    return "compared", None


def main():
    """Read mutants and print the tally; exit code 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="keep what fails there")
    options = parser.parse_args()
    if options.serve:
        return serve()
    with tempfile.TemporaryDirectory() as folder:
        tally, failures = run_campaign(options.folder or Path(folder), options.files, options.seed)
    print("| file | read | read, and compared | refused | failed |\n| --- | --- | --- | --- | --- |")
    for name, counts in tally.items():
        print(f"| {name} |", *(f"{counts[key]} |" for key in ("read", "compared", "refused", "failed")))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
