"""What names of files and folders say of a frame beside its kind, where programs write it nowhere else.

Names of DWARFLAB's telescopes (help.dwarflab.com, *Files in DWARF 3*), of PixInsight's WBPP (its grouping keywords, and
what it writes), and of Siril.
"""

import re
from dataclasses import replace
from pathlib import Path

from flatfield.raw.metadata import from_header

#: Darks that the telescope made: ``dark_exp_15.000000_gain_60_bin_1_38C_stack_10``.
DWARF_DARK = re.compile(
    r"dark_exp_(?P<exposure>[\d.]+)_gain_(?P<gain>\d+)_bin_\d+_(?P<temperature>-?\d+)C_stack_(?P<combined>\d+)"
)
#: Bias and flats of the factory: the number behind ``gain`` is an index; ``ir`` the filter.
DWARF_FACTORY = re.compile(r"(bias|flat)_gain_\d+_bin_\d+(_ir_(?P<ir>\d))?")
DWARF_FILTERS = ("VIS", "Astro", "Duo-Band")
#: Single frames: ``M 33_30s60_Astro_20251021-221929504_24C``, ``raw_30s_60_0000_20251021-003814624_22C``.
DWARF_FRAME = re.compile(
    r"(?P<failed>failed_)?.*_(?P<exposure>[\d.]+)s_?(?P<gain>\d+)(_\d{4}|_(?P<filter>[A-Z][A-Za-z-]+))?"
    r"_(?P<day>\d{8})-(?P<clock>\d{9})_(?P<temperature>-?\d+)C"
)
MASTER = re.compile(r"(^|[^a-z])master([-_ .]|bias|offset|zero|dark|flat|light)", re.IGNORECASE)
STACK = re.compile(r"stacked\b|stacked[-_]", re.IGNORECASE)
SIRIL = re.compile(r"(r_|bkg_)*pp_", re.IGNORECASE)
#: Steps of WBPP behind a name (calibrated, corrected, debayered, registered), and its folders.
WBPP_STEPS = re.compile(r"(_c)?(_cc)?(_d)?(_r)?")
WBPP_FOLDERS = {"calibrated", "cosmetized", "debayered", "registered"}
#: Grouping keywords in the names of folders and files: ``FILTER_Ha``, ``SESSION_2``, ``Night-1``.
KEYWORD = re.compile(r"(?<![A-Za-z])(FILTER(?=[_-][A-Za-z])|(?i:SESSION|NIGHT)(?=[_-]\d))[_-]([A-Za-z0-9.+]+)")
#: Frames that a master is taken for where nothing counts them.
AT_LEAST = 2


def refusal_of_path(path):
    """Why a file is no frame as it was recorded, by its name; empty if nothing says so."""
    parts, stem = Path(path).parts, Path(path).stem
    if STACK.match(stem):
        return "it is a stack by its name, not a frame as recorded"
    if SIRIL.match(stem):
        return "Siril corrected it already (pp_ in its name); give it as it was recorded"
    steps = next(end for at in range(len(stem) + 1) if WBPP_STEPS.fullmatch(end := stem[at:]))
    if WBPP_FOLDERS & {part.lower() for part in parts[:-1]} and Path(path).suffix.lower() == ".xisf" and steps:
        return f"PixInsight corrected it already ({steps} in its name); give it as it was recorded"
    frame = DWARF_FRAME.fullmatch(stem)
    if frame and frame["failed"]:
        return "the telescope marked it as failed (in its name); to use it, rename it"
    return ""


def keywords_of_path(path):
    """Grouping keywords in a path; the nearest to the file counts.

    Examples
    --------
    >>> keywords_of_path("SESSION_1/FILTER_Ha/light_001.fits")
    {'SESSION': '1', 'FILTER': 'Ha'}
    """
    return {name.upper(): value for name, value in KEYWORD.findall(str(Path(path).with_suffix("")))}


def describe_master(combined):
    """Words for a master of so many frames.

    Examples
    --------
    >>> describe_master(20), describe_master(AT_LEAST)
    ('a master of 20 frames', 'a master')
    """
    return f"a master of {combined} frames" if combined > AT_LEAST else "a master"


def complete(metadata, path):
    """Metadata with what its path says where the header says nothing.

    Parameters
    ----------
    metadata : flatfield.raw.metadata.Metadata
    path : str

    Returns
    -------
    flatfield.raw.metadata.Metadata
    """
    stem = Path(path).stem
    found: dict = {}
    match = DWARF_DARK.fullmatch(stem) or DWARF_FRAME.fullmatch(stem)
    if match:
        found = {key: float(match[key]) for key in ("exposure", "gain", "temperature")}
    if match and match.re is DWARF_FRAME:
        day, clock = match["day"], match["clock"]
        found["time"] = f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock[:2]}:{clock[2:4]}:{clock[4:6]}.{clock[6:]}"
        found["filter"] = match["filter"]
    elif match:
        found["combined"] = int(match["combined"]) if int(match["combined"]) > 1 else None
    factory = DWARF_FACTORY.fullmatch(stem)
    if factory:
        found = {"combined": AT_LEAST}
        if factory["ir"] and int(factory["ir"]) < len(DWARF_FILTERS):
            found["filter"] = DWARF_FILTERS[int(factory["ir"])]
    if MASTER.search(stem):
        count = re.search(r"stack_?(\d+)", stem, re.IGNORECASE)  # of the ASIAIR
        found.setdefault("combined", int(count[1]) if count else AT_LEAST)
    if "FILTER" in keywords_of_path(path):
        found["filter"] = from_header({"FILTER": keywords_of_path(path)["FILTER"]}).filter
    return replace(metadata, **{key: value for key, value in found.items() if getattr(metadata, key) is None})
