"""Selection: which files each set, subset and light consists of, and what they are called in tables."""

import glob
import os
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from flatfield.files.errors import ConfigurationError
from flatfield.files.names import is_picture, stem_of
from flatfield.files.tables import clean_text

#: What Snakemake expands in the names of files: wildcards and path variables.
EXPANDED = re.compile(r"[{}]|<[a-z][a-z0-9_]*>")


#: Bytes of the name of a light frame: a file name has 255, and those of products are longer.
LONGEST_STEM = 200


@dataclass(frozen=True)
class Subset:
    """Frames taken without moving the camera: paths, rotation in degrees (None: not known), and aim.

    The aim is a list of two numbers, half diagonals to the right and down, or ``free``: not known.
    """

    frames: list
    rotation: float | None
    aim: list | str


@dataclass(frozen=True)
class FrameSet:
    """A set of frames.

    Attributes
    ----------
    frames : list of str
        Paths in order.
    subsets : dict
        `Subset` by name.
    owners : list of str
        Name of the subset that claims each frame; empty where none does.
    bias : list of str
    labels : dict
        What each file is called in tables.
    """

    frames: list
    subsets: dict
    owners: list
    bias: list
    labels: dict


def natural_key(path):
    """Sort key that counts: ``DSC9.ARW`` before ``DSC10.ARW``.

    Examples
    --------
    >>> sorted(["b10", "b9", "a11"], key=natural_key)
    ['a11', 'b9', 'b10']
    """
    return [
        (0, int(part), part) if part[0] in "0123456789" else (1, 0, part)
        for part in re.split(r"([0-9]+)", str(path))
        if part
    ]


def matches_parts(parts, patterns):
    """Whether the parts of a path match those of a pattern as they would on a disk.

    Examples
    --------
    >>> matches_parts(["raws", "a", "DSC1.dng"], ["raws", "**", "*.dng"])
    True
    >>> matches_parts(["raws", "a", "DSC1.dng"], ["raws", "*.dng"])
    False
    """
    if not patterns or not parts:
        return not parts and all(pattern == "**" for pattern in patterns)
    hidden = parts[0].startswith(".") and not patterns[0].startswith(".")
    if patterns[0] == "**":
        return matches_parts(parts, patterns[1:]) or (not hidden and matches_parts(parts[1:], patterns))
    return not hidden and fnmatchcase(parts[0], patterns[0]) and matches_parts(parts[1:], patterns[1:])


def find_frames(patterns, root, key, planned=()):
    """List the files that match, in natural order.

    Parameters
    ----------
    patterns : str or list of str
        Relative to `root`, or absolute; ``**`` descends into folders.
    root : str
    key : str
        Where the pattern stands in the configuration, for messages.
    planned : collection of str
        Files that the workflow itself will make (the demo's) or that are in a storage, matched without looking at the
        disk.

    Raises
    ------
    ConfigurationError
        If a pattern matches nothing, or what is no file; or if two names are those of one file.
    """
    found = {}
    root = os.path.expanduser(root)
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        full = os.path.normpath(os.path.join(glob.escape(root), os.path.expanduser(pattern)))
        matches = {path for path in planned if matches_parts(path.split(os.sep), full.split(os.sep))}
        matches = matches or {path for path in glob.glob(full, recursive=True) if not os.path.isdir(path)}
        if not matches:
            shown = os.path.normpath(os.path.join(root, os.path.expanduser(pattern)))
            folder = re.split(r"[*?\[]", pattern)[0].rpartition("/")[0]
            folder = os.path.normpath(os.path.join(root, os.path.expanduser(folder)))
            missing = "" if os.path.isdir(folder) else f" (there is no folder {folder})"
            raise ConfigurationError(f"key `{key}`: nothing matches {shown}{missing}; change the pattern or `raw_root`")
        for path in matches:
            if EXPANDED.search(path):
                raise ConfigurationError(
                    f"key `{key}`: the name of {path} has a brace or a word in angle brackets, "
                    "which Snakemake expands; rename it"
                )
            found.setdefault(os.path.abspath(path), path)  # a file may match an absolute and a relative pattern
    frames = sorted(found.values(), key=natural_key)
    _check_files(frames, key)
    odd = next((path for path in frames if path not in planned and not os.path.isfile(path)), None)
    if odd:
        raise ConfigurationError(f"key `{key}`: {odd} is no file, or a broken link; remove it, or repair it")
    return frames


def _check_files(paths, key):
    """Refuse names that cannot be printed, and two names of one file."""
    first = {}
    real_folder = cache(os.path.realpath)
    for path in paths:
        if len(path.splitlines()) > 1 or path != path.encode(errors="replace").decode():
            raise ConfigurationError(f"key `{key}`: the name of {clean_text(path)!r} cannot be printed; rename it")
        folder, name = os.path.split(path)
        real = os.path.realpath(path) if os.path.islink(path) else os.path.join(real_folder(folder), name)
        same = first.setdefault(real, path)
        if same != path:
            raise ConfigurationError(
                f"key `{key}`: {same} and {path} are the same file under two names (a link), which would count twice; "
                "correct the pattern"
            )


def resolve_set(name, options, root, planned=()):
    """Find the frames of a set and divide them among its subsets.

    Parameters
    ----------
    name : str
    options : dict
        ``sets.<name>`` of a validated configuration.
    root : str
    planned : collection of str
        See `find_frames`.

    Returns
    -------
    FrameSet

    Raises
    ------
    ConfigurationError
        If a slice reaches beyond the frames, a subset is empty, or a frame belongs to two subsets or to
        none (unless leftovers are allowed).
    """
    key = f"sets.{name}"
    frames = find_frames(options["frames"], root, f"{key}.frames", planned) if options["frames"] else []
    subsets = {}
    for label, subset in options["subsets"].items():
        subset_key = f"{key}.subsets.{label}"
        cut, patterns = subset.get("slice"), subset["frames"]
        if (cut is None) == (patterns is None):
            raise ConfigurationError(
                f"key `{subset_key}` needs either a `slice` of the set's frames or its own `frames`"
            )
        if patterns is not None:
            chosen = find_frames(patterns, root, f"{subset_key}.frames", planned)
        elif not frames:
            raise ConfigurationError(f"key `{subset_key}` has a slice, but `{key}` has no `frames` to slice")
        else:
            chosen = _cut(frames, cut, subset_key)
        rotation = subset["rotation"]
        subsets[label] = Subset(chosen, None if rotation is None else float(rotation), subset["aim"])
    first = next(iter(subsets))
    if subsets[first].aim == "free" or (subsets[first].rotation is None and len(subsets) > 1):
        raise ConfigurationError(
            f"key `{key}.subsets.{first}`: the other subsets are compared with the first; give its rotation and aim"
        )
    claims = {path: [] for path in frames}
    for label, subset in subsets.items():
        for path in subset.frames:
            claims.setdefault(path, []).append(label)
    whole = frames + sorted(set(claims) - set(frames), key=natural_key)
    _check_claims(claims, key, options["leftover"])
    owners = ["".join(claims[path]) for path in whole]
    bias = find_frames(options["bias"], root, f"{key}.bias", planned) if options["bias"] else []
    return FrameSet(whole, subsets, owners, bias, label_frames([*whole, *bias], root))


def _cut(frames, text, key):
    """Apply a slice, refusing ends beyond the list (which Python would pass over in silence)."""
    start, stop, step = ([int(part) if part else None for part in text.split(":")] + [None])[:3]
    if step == 0:
        raise ConfigurationError(f"key `{key}.slice` is '{text}'; its step must not be 0")
    if any(bound is not None and not -len(frames) <= bound <= len(frames) for bound in (start, stop)):
        raise ConfigurationError(
            f"key `{key}.slice` is '{text}', which reaches beyond the {len(frames)} frames of the set; "
            "correct the slice, or look for missing files"
        )
    chosen = frames[slice(start, stop, step)]
    if not chosen:
        raise ConfigurationError(f"key `{key}.slice` is '{text}', which holds no frame; correct the slice")
    return chosen


def _check_claims(claims, key, leftover):
    """Refuse frames that two subsets claim, or none: names of subsets by path."""
    twice = [path for path in claims if len(claims[path]) > 1]
    if twice:
        names = " and ".join(claims[twice[0]])
        raise ConfigurationError(
            f"key `{key}.subsets`: {_names(twice)} belong to {names}; each frame may be in one subset"
        )
    lost = [path for path in claims if not claims[path]]
    if lost and leftover == "error":
        raise ConfigurationError(
            f"key `{key}.subsets`: no subset claims {_names(lost)}; correct the slices, or set `leftover: allow` "
            "to use them for the masters of the whole set only"
        )


def _names(paths):
    names = [Path(path).name for path in paths]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more frames" if len(names) > 3 else "")


def resolve_lights(name, options, root, planned=()):
    """Find the frames of a light, by the stem that names their products.

    Returns
    -------
    dict
        Path of each frame by stem, in natural order.

    Raises
    ------
    ConfigurationError
        If products of two frames would have the same name.
    """
    key = f"lights.{name}.frames"
    frames = {}
    for path in find_frames(options["frames"], root, key, planned):
        stem = stem_of(path)
        if not stem.strip(".") or len(os.fsencode(stem)) > LONGEST_STEM:
            raise ConfigurationError(f"key `{key}`: products cannot be named after {path}; rename it")
        if stem in frames:
            raise ConfigurationError(
                f"key `{key}`: {frames[stem]} and {path} have the same name, and so would their products; "
                "split them into two lights, or rename one"
            )
        frames[stem] = path
    return frames


def resolve_offsets(name, options, root, planned=()):
    """Find the offset and dark frames of a light.

    Returns
    -------
    dict
        bias and dark: paths in natural order, empty where none are given.
    """
    return {
        kind: find_frames(options[kind], root, f"lights.{name}.{kind}", planned) if options[kind] else []
        for kind in ("bias", "dark")
    }


def find_pictures(lights):
    """Names of the lights that are 8-bit pictures, which can be diagnosed and not calibrated.

    Parameters
    ----------
    lights : dict
        For each light what `resolve_lights` returns.

    Raises
    ------
    ConfigurationError
        If a light holds both pictures and raw frames.
    """
    pictures = set()
    for name, frames in lights.items():
        kinds = {is_picture(path) for path in frames.values()}
        if len(kinds) > 1:
            picture = next(path for path in frames.values() if is_picture(path))
            raise ConfigurationError(
                f"key `lights.{name}.frames`: {picture} is a picture, others are raw; split them into two lights"
            )
        if kinds == {True}:
            pictures.add(name)
    return pictures


def check_stems(lights):
    """Check that products of one light frame cannot be taken for those of another.

    Parameters
    ----------
    lights : dict
        For each light what `resolve_lights` returns.

    Raises
    ------
    ConfigurationError
        Naming the file.
    """
    stems = {stem: path for frames in lights.values() for stem, path in frames.items()}
    for stem, path in stems.items():
        if any(stem.endswith(end) and stem.removesuffix(end) in stems for end in ("_rgb", "_channels", "_diagnosis")):
            raise ConfigurationError(
                f"key `lights`: products of {path} would have the same names as those of another; rename the file"
            )


def label_frames(paths, root):
    """Names of frames in tables and headers: no absolute path, and different for different files.

    Parameters
    ----------
    paths : list of str
    root : str
        Files in it are named relative to it, others relative to the folder above their common one.

    Returns
    -------
    dict
        Name by path.
    """
    root = os.path.abspath(os.path.expanduser(root))
    full = {path: os.path.abspath(path) for path in paths}
    outside = [os.path.dirname(path) for path in full.values() if not path.startswith(root + os.sep)]
    base = os.path.dirname(os.path.commonpath(outside)) if outside else root
    labels = {
        path: clean_text(os.path.relpath(name, root if name.startswith(root + os.sep) else base))
        for path, name in full.items()
    }
    if len(set(labels.values())) < len(labels):  # they differ only in what cannot be printed
        labels = {path: f"{label} ({number})" for number, (path, label) in enumerate(labels.items(), 1)}
    return labels
