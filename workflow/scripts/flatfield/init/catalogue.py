"""What lies in a folder of frames: each file's metadata, and whether it is a flat, bias, dark or light."""

import os
import re
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import rawpy
from astropy.io import fits
from numpy.polynomial.legendre import legvander2d

from flatfield.files.errors import ConfigurationError, FrameError
from flatfield.files.names import is_fits
from flatfield.plan.selection import EXPANDED, natural_key
from flatfield.raw.decode import read_frame, reason_of
from flatfield.raw.metadata import Metadata, from_exif, from_header
from flatfield.raw.robust import robust_deviation

FLAT, BIAS, DARK, LIGHT = KINDS = ("flat", "bias", "dark", "light")
#: Ends of the names of camera raws that LibRaw reads.
RAW_SUFFIXES = {
    *(".3fr", ".ari", ".arw", ".bay", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq", ".k25"),
    *(".kdc", ".mdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".ptx", ".raf", ".raw", ".rw2", ".rwl"),
    *(".rwz", ".sr2", ".srf", ".srw", ".x3f"),
}
#: Words of folder and file names, and of the card IMAGETYP, that tell the kind.
WORDS = {
    FLAT: {"flat", "flats", "flatfield", "flatfields", "skyflat", "skyflats", "domeflat", "domeflats"},
    BIAS: {"bias", "biases", "offset", "offsets", "zero", "zeros"},
    DARK: {"dark", "darks"},
    LIGHT: {"light", "lights", "object", "objects", "science", "target"},
}
#: Words of IMAGETYP of what is none of these.
OTHER_FRAMES = {"arc", "comparison", "comp", "difference", "focus", "master", "response", "truth"}
SESSION_HOURS = 6  # frames further apart than this were not taken in one session
EXPOSURE_STEP = 2.0  # neighbouring exposures of frames taken together differ by less than this factor
PAUSE_S = 8.0  # a pause is longer than this, and
PAUSE_RATIO = 5.0  # than so many usual intervals between frames
SHORT_S = 1 / 500  # a dark exposure up to this is a bias frame
DARK_LEVEL = 0.005  # of the range from black to white: less than this, and no pattern, is dark
DARK_LEVEL_UNKNOWN_BLACK = 0.05  # the same of the whole range, where black is not known
FLAT_LEVEL = (0.02, 0.98)  # of the range
FLAT_STRUCTURE = 0.06  # relative scatter of blocks about a smooth surface that a flat stays below
FLAT_POINTS = 0.25  # fraction of the blocks with a pixel far above the others (a star) that a flat stays below
LONG_S = 5.0  # what is exposed longer is rather a plain sky than a flat
DIM_LEVEL = 0.05  # of the range: dim for a flat
SHORT_FILE = 0.5  # of the usual size in its run: such a file may be cut off
LOOKED_AT = 600  # pixels of one colour that suffice across the shorter side
BLOCKS = 24  # across the shorter side of the frame
POINT_DEVIATIONS = 8


@dataclass(frozen=True)
class Entry:
    """One file.

    Attributes
    ----------
    path : str
        Relative to the folder that was searched.
    metadata : Metadata
    image_type : str
        Kind that a FITS header states; empty if none.
    kind : str
        One of `KINDS`.
    evidence : str
        What the kind was told by: header, name, pixels.
    doubt : str
        Why the kind is not sure; empty if it is.
    shape : tuple of int
        Rows and columns, where pixels were looked at.
    """

    path: str
    metadata: Metadata
    image_type: str = ""
    kind: str = ""
    evidence: str = ""
    doubt: str = ""
    shape: tuple = ()

    @property
    def folder(self):
        return os.path.dirname(self.path)

    @property
    def moment(self):
        return datetime.fromisoformat(self.metadata.time) if self.metadata.time else None

    @property
    def settings(self):
        """What frames of one run have in common."""
        meta = self.metadata
        return meta.camera, meta.lens, meta.focal_length, meta.aperture, meta.filter, meta.iso, self.image_type


@dataclass
class Catalogue:
    """Runs of frames taken in a row with the same settings, and the files that cannot be used, with the reason."""

    runs: list = field(default_factory=list)
    unusable: dict = field(default_factory=dict)


def list_files(folder):
    """All files below a folder, relative to it, in natural order; hidden ones are passed over.

    Raises
    ------
    ConfigurationError
        If there is no such folder.
    """
    if not os.path.isdir(folder):
        raise ConfigurationError(f"there is no folder {folder}; give that of your frames: make init FRAMES=folder")
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [os.path.relpath(os.path.join(parent, name), folder) for name in names if not name.startswith(".")]
    return sorted(found, key=natural_key)


def read_entry(folder, path):
    """Read the header of a file; its pixels are not decoded.

    Returns
    -------
    Entry

    Raises
    ------
    FrameError
        If it is no frame, or cannot be read.
    """
    full = os.path.join(folder, path)
    if EXPANDED.search(path):
        raise FrameError("its name has a brace or a word in angle brackets, which Snakemake expands; rename it")
    if not is_fits(path) and Path(path).suffix.lower() not in RAW_SUFFIXES:
        raise FrameError("neither a camera raw nor FITS")
    try:
        if not os.path.getsize(full):
            raise FrameError("it is empty; copy it again")
        if not is_fits(path):
            metadata = from_exif(full)
            if metadata.time is None and metadata.exposure is None:  # LibRaw may know more; it is slower
                with rawpy.imread(full) as raw:
                    metadata = from_exif(full, raw)
            return Entry(path, metadata)
        with fits.open(full) as hdus:
            header = next(hdu.header for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS") == 2)
            if _combined(header):
                raise FrameError(f"it is a combination of {header['NCOMBINE']} frames, not one as recorded")
            stated = str(header.get("IMAGETYP", header.get("OBSTYPE", "")))
            if set(re.findall("[a-z]+", stated.lower())) & OTHER_FRAMES:
                raise FrameError(f"its header says that it is neither flat, bias, dark nor light but {stated[:40]!r}")
            image_type = kind_of_words(stated)
            return Entry(path, from_header(header), image_type)
    except StopIteration:
        raise FrameError("it holds no two-dimensional image") from None
    except (rawpy.LibRawError, OSError, ValueError, TypeError, struct.error, fits.VerifyError) as error:
        raise FrameError(f"it cannot be read ({reason_of(error)}); copy it again") from None


def _combined(header):
    number = header.get("NCOMBINE")
    return isinstance(number, int | float) and number > 1


def kind_of_words(text):
    """Kind that a name states by a whole word; empty if none or several do.

    Examples
    --------
    >>> kind_of_words("2026-05-01_Flats_f2.8"), kind_of_words("Flat Field"), kind_of_words("flatland")
    ('flat', 'flat', '')
    """
    words = set(re.findall(r"[a-z]+", text.lower()))
    found = [kind for kind in KINDS if words & WORDS[kind]]
    return found[0] if len(found) == 1 else ""


def kind_of_path(path):
    """Kind that the nearest folder, or the file itself, states in its name."""
    parts = Path(path).parts
    return next((kind for part in reversed(parts) if (kind := kind_of_words(part))), "")


def split_runs(entries):
    """Divide frames into runs: same settings, folder and kind by name, taken in a row.

    A run ends where the exposure changes by more than a factor, where there was a pause, or the camera was turned (its
    orientation tag changed).

    Parameters
    ----------
    entries : list of Entry

    Returns
    -------
    list of list of Entry
        In order of time, then of names.
    """
    groups = {}
    for entry in entries:
        groups.setdefault((entry.folder, entry.settings, kind_of_path(entry.path)), []).append(entry)
    runs = []
    for group in groups.values():
        group.sort(key=lambda entry: (entry.metadata.time or "", natural_key(entry.path)))
        gaps = [_gap(before, after) for before, after in pairwise(group)]
        usual = float(np.median([gap for gap in gaps if gap is not None] or [0]))
        limit = max(PAUSE_S, PAUSE_RATIO * usual)
        runs.append([group[0]])
        for before, after, gap in zip(group, group[1:], gaps, strict=False):
            turned = before.metadata.orientation != after.metadata.orientation
            if (gap is not None and gap > limit) or turned or not _similar_exposure(before, after):
                runs.append([])
            runs[-1].append(after)
    return sorted(runs, key=lambda run: (run[0].metadata.time or "", natural_key(run[0].path)))


def _gap(before, after):
    """Seconds between two frames; None where a time is unknown."""
    return (after.moment - before.moment).total_seconds() if before.moment and after.moment else None


def _similar_exposure(before, after):
    exposures = before.metadata.exposure, after.metadata.exposure
    if None in exposures:
        return exposures == (None, None)
    low, high = sorted(exposures)
    return high <= EXPOSURE_STEP * low


def classify_run(folder, run):
    """Tell of what kind the frames of a run are: by header, else by name, else by their pixels.

    The first, the middle and the last frame are looked at, and those with short files; all are, where these differ.

    Parameters
    ----------
    folder : str
    run : list of Entry

    Returns
    -------
    entries : list of Entry
        Those that can be decoded, with kind, evidence, doubt and shape.
    unusable : dict
        Reason by path.
    """
    unusable, seen = {}, {}

    def look(index):
        entry = run[index]
        try:
            seen[index] = look_at_pixels(read_frame(os.path.join(folder, entry.path), with_metadata=False), entry)
        except FrameError as error:
            unusable[entry.path] = str(error).replace(os.path.join(folder, entry.path), "it", 1)

    sizes = [os.path.getsize(os.path.join(folder, entry.path)) for entry in run]
    short = {index for index, size in enumerate(sizes) if size < SHORT_FILE * median(sizes)}
    for index in sorted({0, len(run) // 2, len(run) - 1} | short):
        look(index)
    stated = run[0].image_type or kind_of_path(run[0].path)
    if (not stated and len({kind for kind, *_ in seen.values()}) > 1) or unusable:
        for index in range(len(run)):
            if index not in seen and run[index].path not in unusable:
                look(index)
    known = [seen[index] for index in sorted(seen)]
    entries = []
    for index, entry in enumerate(run):
        if entry.path in unusable:
            continue
        kind, doubt, shape = seen.get(index, known[0])
        evidence = "header" if entry.image_type else "name" if stated else "pixels"
        if stated:
            doubt = f"by its {evidence} a {stated}, by its pixels a {kind}" if _contradicts(stated, kind) else ""
            kind = stated
        entries.append(replace(entry, kind=kind, evidence=evidence, doubt=doubt, shape=shape))
    return entries, unusable


def _contradicts(stated, seen):
    """Whether pixels speak against what is stated: bias and dark look alike, a dark sky looks like a dark."""
    dark = (BIAS, DARK)
    return (stated == FLAT) != (seen == FLAT) or (stated in dark and seen not in dark)


def look_at_pixels(frame, entry):
    """Tell the kind of a frame by its pixels.

    Parameters
    ----------
    frame : flatfield.raw.decode.Frame
    entry : Entry

    Returns
    -------
    kind, doubt : str
    shape : tuple of int
    """
    cfa = frame.cfa
    row, column, color = next(phase for phase in cfa.phases() if phase[2] == 1 or cfa.is_mono)
    step = cfa.period * max(1, min(frame.mosaic.shape) // cfa.period // LOOKED_AT)
    plane = frame.mosaic[row::step, column::step].astype(np.float32) - frame.black[color]
    white = frame.white or (65535.0 if frame.mosaic.dtype == np.uint16 else float(frame.mosaic.max()))
    span = max(white - float(frame.black[color]), 1.0)
    size = max(min(plane.shape) // BLOCKS, 4)
    rows, columns = (length // size for length in plane.shape)
    pixels = plane[: rows * size, : columns * size].reshape(rows, size, columns, size).swapaxes(1, 2)
    pixels = pixels.reshape(rows, columns, size * size)
    blocks = np.median(pixels, axis=2)
    noise = robust_deviation(np.diff(plane[::3], axis=1))[1] / 2**0.5
    level = float(np.median(blocks)) / span
    pattern = robust_deviation(blocks)[1]
    kind, doubt = LIGHT, ""
    lowest = DARK_LEVEL if frame.black.any() else DARK_LEVEL_UNKNOWN_BLACK
    if level < lowest and pattern < 3 * noise / size + 2e-4 * span:
        exposure = entry.metadata.exposure
        kind = BIAS if exposure is not None and exposure <= SHORT_S else DARK
        doubt = "" if exposure is not None else "without an exposure time, bias and dark look alike"
    elif FLAT_LEVEL[0] < level < FLAT_LEVEL[1]:
        y, x = (np.linspace(-1, 1, length) for length in (rows, columns))
        terms = legvander2d(*np.meshgrid(y, x, indexing="ij"), [4, 4]).reshape(rows * columns, -1)
        surface = terms @ np.linalg.lstsq(terms, blocks.ravel(), rcond=None)[0]
        structure = robust_deviation(blocks.ravel() / np.maximum(surface, 1e-3 * span) - 1)[1]
        above = pixels - blocks[..., None] > POINT_DEVIATIONS * noise + 0.05 * np.abs(blocks[..., None])
        if structure < FLAT_STRUCTURE and above.any(axis=2).mean() < FLAT_POINTS:
            long = entry.metadata.exposure is not None and entry.metadata.exposure > LONG_S
            kind = LIGHT if long else FLAT  # a plain sky is as smooth as a flat
            if long or level < DIM_LEVEL:
                doubt = f"as smooth as a flat, but {'exposed long' if long else 'dim'}: is it one?"
    return kind, doubt, frame.mosaic.shape


def catalogue(folder, threads, step=lambda done, total: None):
    """Read a tree of frames and tell what each is.

    Parameters
    ----------
    folder : str
    threads : int
    step : callable
        Told the number of things done and to do.

    Returns
    -------
    Catalogue

    Raises
    ------
    ConfigurationError
        If there is no such folder.
    """
    result, entries = Catalogue(), []
    files = list_files(folder)
    for number, path in enumerate(files, 1):
        try:
            entries.append(read_entry(folder, path))
        except FrameError as error:
            result.unusable[path] = str(error)
        step(number, len(files))
    runs = split_runs(entries)
    with ThreadPoolExecutor(threads) as pool:
        for number, (classified, unusable) in enumerate(pool.map(lambda run: classify_run(folder, run), runs), 1):
            result.unusable |= unusable
            for kind in KINDS:  # a run may hold several, as lights and darks taken in a row
                same = [entry for entry in classified if entry.kind == kind]
                if same:
                    result.runs.append(same)
            step(number, len(runs))
    return result
