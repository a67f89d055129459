"""What lies in a folder of frames: each file's metadata, and whether it is a flat, bias, dark or light."""

import filecmp
import os
import re
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import rawpy
from astropy.io import fits

from flatfield.files.errors import ConfigurationError, FrameError
from flatfield.files.fields import BY_NAME, describe_differences, distance
from flatfield.files.frame_table import FrameRecord
from flatfield.files.names import is_fits, is_picture
from flatfield.init.kinds import (
    BIAS,
    DARK,
    FLAT_DARK,
    KINDS,
    OTHER_FRAMES,
    evidence_of_path,
    kind_of_path,
    kind_of_words,
    weigh,
)
from flatfield.init.path_facts import AT_LEAST, complete, refusal_of_path
from flatfield.init.pixels import look_at_pixels
from flatfield.plan.selection import EXPANDED, natural_key
from flatfield.raw.decode import read_frame, reason_of
from flatfield.raw.dng_tags import explain_undecoded
from flatfield.raw.fits_image import read_image_header
from flatfield.raw.metadata import COLUMNS, Metadata, from_exif, from_header

#: Ends of the names of camera raws that LibRaw reads.
RAW_SUFFIXES = {
    *(".3fr", ".ari", ".arw", ".bay", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq", ".k25"),
    *(".kdc", ".mdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".ptx", ".raf", ".raw", ".rw2", ".rwl"),
    *(".rwz", ".sr2", ".srf", ".srw", ".x3f"),
}
SESSION_HOURS = 6  # frames further apart than this were not taken in one session
EXPOSURE_STEP = 2.0  # neighbouring exposures of frames taken together differ by less than this factor
PAUSE_S = 8.0  # a pause is longer than this, and
PAUSE_RATIO = 5.0  # than this many usual intervals between frames
SHORT_FILE = 0.5  # of the usual size in its run: such a file may be cut off
#: Fields that frames of one run have in common, known or not.
EXACT = ("camera", "body", "lens", "filter", "iso", "gain", "offset", "readout_mode", "binning", "combined")
MASTER = "master"  # in IMAGETYP


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
        What determined the kind: header, name, pixels.
    doubt : str
        Why the kind is not sure; empty if it is.
    shape : tuple of int
        Rows and columns, where pixels were looked at.
    has_overscan : bool
        Whether a FITS header says where the overscan lies.
    """

    path: str
    metadata: Metadata
    image_type: str = ""
    kind: str = ""
    evidence: str = ""
    doubt: str = ""
    shape: tuple = ()
    has_overscan: bool = False

    @property
    def folder(self):
        return os.path.dirname(self.path)

    @property
    def moment(self):
        return datetime.fromisoformat(self.metadata.time) if self.metadata.time else None

    @cached_property
    def record(self):
        """The same as a row of a table, in which fields are compared."""
        known = {column: getattr(self.metadata, attribute) for attribute, column in COLUMNS.items()}
        rows, columns = self.shape or (None, None)
        return FrameRecord(self.path, time=self.metadata.time, rows=rows, columns=columns, **known)

    @property
    def exact(self):
        """What frames of one run have in common, known or not."""
        return tuple(getattr(self.record, name) for name in EXACT)


@dataclass
class Catalogue:
    """Runs of frames taken in a row with the same settings, and the files that cannot be used, with the reason."""

    runs: list = field(default_factory=list)
    unusable: dict = field(default_factory=dict)


def list_files(folder):
    """All files below a folder, relative to it, in natural order; hidden ones are passed over, links are followed.

    Raises
    ------
    ConfigurationError
        If there is no such folder.
    """
    if not os.path.isdir(folder):
        raise ConfigurationError(f"there is no folder {folder}; give that of your frames: make init FRAMES=folder")
    found, seen = [], {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, followlinks=True):
        kept = []
        for name in sorted(folders):
            real = os.path.realpath(os.path.join(parent, name))
            if not name.startswith(".") and real not in seen:  # two links to one folder, or a link to one above
                kept.append(name)
                seen.add(real)
        folders[:] = kept
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
        picture = ", but a picture, whose numbers are not linear" if is_picture(path) else ""
        raise FrameError(f"neither a camera raw nor FITS{picture}")
    try:
        if not os.path.getsize(full):
            raise FrameError("it is empty; copy it again")
        if is_fits(path) and (reason := refusal_of_path(path)):
            raise FrameError(reason)
        if is_fits(path):
            return _entry_of_header(path, read_image_header(full))
        metadata = from_exif(full)
        if metadata.time is None and metadata.exposure is None:  # LibRaw may know more; it is slower
            with rawpy.imread(full) as raw:
                metadata = from_exif(full, raw)
        return Entry(path, metadata)
    except FrameError as error:
        raise FrameError(str(error).replace(full, "it", 1)) from None
    except rawpy.LibRawError as error:
        raise FrameError(explain_undecoded(full, reason_of(error)).replace(full, "it", 1)) from None
    except (OSError, ValueError, TypeError, KeyError, struct.error, fits.VerifyError) as error:
        raise FrameError(f"it cannot be read ({reason_of(error)}); copy it again") from None


def _entry_of_header(path, header):
    metadata = complete(from_header(header), path)
    stated = str(header.get("IMAGETYP", header.get("OBSTYPE", header.get("FRAME", ""))))
    words = set(stated.lower().replace("_", " ").split())
    if words & OTHER_FRAMES:
        raise FrameError(f"its header says that it is neither flat, bias, dark nor light but {stated[:40]!r}")
    kind = kind_of_words(stated)
    if MASTER in words or any(MASTER in word for word in words):
        kind = kind or kind_of_words(stated.lower().replace(MASTER, MASTER + " "))
        metadata = replace(metadata, combined=metadata.combined or AT_LEAST)
    if metadata.combined and (kind or kind_of_path(path)) not in (BIAS, DARK, FLAT_DARK):
        number = f"{metadata.combined} " if metadata.combined > AT_LEAST else ""
        raise FrameError(f"it is a combination of {number}frames, not one as recorded")
    if "F" in (metadata.calibrated or ""):
        raise FrameError(f"it was divided by a flat already ({metadata.calibrated}); give it as it was recorded")
    return Entry(path, metadata, kind, has_overscan="BIASSEC" in header)


def drop_copies(folder, entries):
    """Leave out what is there twice: a raw beside its DNG, files in two folders, links to files, Siril's conversions.

    Files of one name, camera, time and exposure are one frame if they differ in their endings, or in nothing; a file of
    a sequence of Siril (``light_00001.fit`` beside ``light_.seq``) is the frame of its time and exposure.

    Parameters
    ----------
    folder : str
    entries : list of Entry

    Returns
    -------
    entries : list of Entry
    unusable : dict
        Reason by path.
    """
    kept, files, moments, unusable = {}, {}, {}, {}

    def is_converted(entry):
        return os.path.exists(
            os.path.join(folder, f"{re.sub(r'[0-9]+$', '', str(Path(entry.path).with_suffix('')))}.seq")
        )

    def rank(entry):
        derived = os.path.islink(os.path.join(folder, entry.path)) or is_converted(entry)
        return derived, Path(entry.path).suffix.lower() == ".dng", len(Path(entry.path).parts), natural_key(entry.path)

    for entry in sorted(entries, key=rank):
        meta = entry.metadata
        key = (Path(entry.path).stem.lower(), meta.time, meta.exposure, entry.exact)
        originals = kept.setdefault(key if meta.time else entry.path, [])
        original = next((each for each in originals if _same_frame(folder, each.path, entry.path)), None)
        originals.append(entry)
        file = files.setdefault(os.path.realpath(os.path.join(folder, entry.path)), entry.path)
        taken = moments.setdefault((meta.time, meta.exposure), entry.path)
        if original:
            unusable[entry.path] = (
                f"the same frame as the {Path(original.path).suffix} of its name in {original.folder or '.'} (a "
                "copy, or another format); one of them counts"
            )
        elif file != entry.path:
            unusable[entry.path] = f"a link to {file}; one of them counts"
        elif meta.time and taken != entry.path and is_converted(entry):
            unusable[entry.path] = f"{taken} in a sequence of Siril; one of them counts"
    return [entry for entry in entries if entry.path not in unusable], unusable


def _same_frame(folder, one, other):
    if Path(one).suffix.lower() != Path(other).suffix.lower():
        return True
    return filecmp.cmp(os.path.join(folder, one), os.path.join(folder, other), shallow=False)


def split_runs(entries):
    """Divide frames into runs: same settings, folder and kind by name, taken in a row.

    A run ends where the exposure changes by more than a factor, where there was a pause, or the camera was turned (its
    orientation tag or the angle of the rotator changed).

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
        key = entry.folder, entry.exact, entry.image_type, evidence_of_path(entry.path)[:2]
        groups.setdefault(key, []).append(entry)
    runs = []
    for group in groups.values():
        group.sort(key=lambda entry: (entry.metadata.time or "", natural_key(entry.path)))
        gaps = [_gap(before, after) for before, after in pairwise(group)]
        usual = float(np.median([gap for gap in gaps if gap is not None] or [0]))
        limit = max(PAUSE_S, PAUSE_RATIO * usual)
        runs.append([group[0]])
        for before, after, gap in zip(group, group[1:], gaps, strict=False):
            turned = before.metadata.orientation != after.metadata.orientation or is_turned(before, after)
            other = describe_differences(before.record, after.record, "flats") or is_warmer(before, after)
            if (gap is not None and gap > limit) or turned or other or not _similar_exposure(before, after):
                runs.append([])
            runs[-1].append(after)
    return sorted(runs, key=lambda run: (run[0].metadata.time or "", natural_key(run[0].path)))


def is_turned(one, other):
    """Whether the rotator stood at another angle."""
    return _beyond("rotator_deg", "light", one, other)


def is_warmer(one, other):
    """Whether the sensor had another temperature."""
    return _beyond("temperature_c", "dark", one, other)


def _beyond(name, relation, one, other):
    rule, values = getattr(BY_NAME[name], relation), (getattr(one.record, name), getattr(other.record, name))
    return None not in values and distance(rule, *values) > rule.tolerance


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
    """Tell of what kind the frames of a run are: by header and name, else by their pixels.

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
        full = os.path.join(folder, entry.path)
        try:
            seen[index] = look_at_pixels(read_frame(full, with_metadata=False), entry)
        except FrameError as error:
            unusable[entry.path] = str(error).replace(full, "it", 1)

    sizes = [os.path.getsize(os.path.join(folder, entry.path)) for entry in run]
    short = {index for index, size in enumerate(sizes) if size < SHORT_FILE * median(sizes)}
    for index in sorted({0, len(run) // 2, len(run) - 1} | short):
        look(index)
    named, sure, _ = evidence_of_path(run[0].path)
    stated = run[0].image_type or (named if sure else "")
    if (not stated and len({kind for kind, *_ in seen.values()}) > 1) or unusable:
        for index in range(len(run)):
            if index not in seen and run[index].path not in unusable:
                look(index)
    known = [seen[index] for index in sorted(seen)]
    entries = []
    for index, entry in enumerate(run):
        if entry.path not in unusable:
            looked, doubt, shape = seen.get(index, known[0])
            kind, evidence, doubt = weigh(entry.image_type, entry.path, looked, doubt)
            entries.append(replace(entry, kind=kind, evidence=evidence, doubt=doubt, shape=shape))
    return entries, unusable


def catalogue(folder, threads, step=lambda done, total: None):
    """Read a tree of frames and determine what each is.

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
    entries, copies = drop_copies(folder, entries)
    result.unusable |= copies
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
