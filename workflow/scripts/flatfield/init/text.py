"""The text of a proposed configuration, with a comment ``# ?`` wherever something is not sure."""

import glob
import json
import os
import re
import textwrap
from pathlib import Path

from flatfield.init.kinds import BIAS
from flatfield.init.path_facts import describe_master
from flatfield.init.proposal import title_of
from flatfield.plan.selection import natural_key

BOX = 100  # pixels, of the boxes for statistics
YAML_WORDS = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")


def write_config(proposal, root, files):
    """Text of a configuration.

    Parameters
    ----------
    proposal : Proposal
    root : str
        Folder of the frames, as the configuration shall name it.
    files : list of str
        All files below `root`, so that patterns match what they should only.

    Returns
    -------
    str
        YAML with a comment ``# ?`` wherever something is not sure.
    """
    size = min(BOX, min(min(each.first.shape) for each in proposal.sets) // 7 // 2 * 2)
    lines = [
        "# Proposed by `make init` from the frames found. Lines with `# ?` are guesses: look at them.",
        "# All keys, their units, ranges and defaults: workflow/schemas/config.schema.yaml",
        "",
        f"raw_root: {quote(root)}",
        "",
        "sets:",
    ]
    for each in proposal.sets:
        lines += _set_lines(each, files)
    lines += ["", "regions:  # boxes for statistics: first row and column, pixels"]
    for name, place in (("center", "center"), ("corner", "10")):
        lines.append(f"  {name}: {{row: {place}, column: {place}, size: {size}}}")
    usable = [light for light in proposal.lights if light.flat]
    if usable:
        lines += ["", "lights:"]
        for light in usable:
            lines += _light_lines(light, files)
    missing = [light for light in proposal.lights if not light.flat]
    if missing:
        lines += ["", "# Not among the lights, as no flats fit them (the reasons are above, at the terminal):"]
        lines += [f"#   {light.name}: {len(light.entries)} frames, {light.first.path} ..." for light in missing]
    return "\n".join(lines) + "\n"


def _set_lines(each, files):
    lines = [f"  {quote(each.name)}:", *_comments(each.doubts, "    "), f"    title: {quote(title_of(each))}"]
    whole = [entry.path for entry in each.entries]
    pattern = _pattern(whole, files) if sorted(whole, key=natural_key) == whole else None
    if pattern:
        lines.append(f"    frames: {quote(pattern)}")
    if each.bias:
        lines += _frames_lines("bias", each.bias, files, "    ", _kind_of_offsets(each.bias))
    if each.overscan:
        lines.append("    overscan: true  # BIASSEC of the headers")
    exposures = [entry.metadata.exposure for entry in each.entries if entry.metadata.exposure]
    if exposures and max(exposures) > 2 * min(exposures):
        span = max(exposures) / min(exposures)
        lines.append(f"    exposure_span: {1.01 * span:.3g}  # longest over shortest exposure")
    if len(each.parts) == 1:
        return lines if pattern else lines + _frames_lines("frames", each.entries, files, "    ")
    lines.append("    subsets:")
    start = 0
    for part in each.parts:
        stop = start + len(part.entries)
        lines.append(f"      {quote(part.name)}:")
        if pattern:
            lines.append(f'        slice: "{start}:{stop}"')
        else:
            lines += _frames_lines("frames", part.entries, files, "        ")
        doubt = f"  # ? {'; '.join(part.doubts)}" if part.doubts else ""
        lines.append(f"        rotation: {'null' if part.rotation is None else f'{part.rotation:g}'}{doubt}")
        if part.aimed:
            lines.append("        aim: free  # ? aimed aside by its folder; better [x, y], see docs/shooting.md")
        start = stop
    return lines


def _light_lines(light, files):
    lines = [f"  {quote(light.name)}:", *_comments(light.doubts, "    ")]
    lines += _frames_lines("frames", light.entries, files, "    ")
    lines.append(f"    flat: {quote(light.flat)}")
    for key in ("bias", "dark"):
        if getattr(light, key):
            lines += _frames_lines(key, getattr(light, key), files, "    ")
    return lines


def _comments(doubts, indent):
    return [f"{indent}# ? {doubt}" for doubt in doubts]


def _kind_of_offsets(entries):
    """What offset frames of flats are, where they are no bias frames."""
    if entries[0].metadata.combined:
        return f"  # {describe_master(entries[0].metadata.combined)}"
    return "" if entries[0].kind == BIAS else f"  # {entries[0].kind} frames with the exposure of the flats"


def _frames_lines(key, entries, files, indent, comment=""):
    """``key: pattern`` where one matches just these frames, else ``key: [names]``."""
    paths = sorted((entry.path for entry in entries), key=natural_key)
    pattern = _pattern(paths, files)
    if pattern:
        return [f"{indent}{key}: {quote(pattern)}{comment}"]
    names = ", ".join(quote(glob.escape(path)).replace(" ", "\0") for path in paths)
    wrapped = textwrap.wrap(names, 110, break_long_words=False, break_on_hyphens=False)
    return [f"{indent}{key}: [{comment}", *(f"{indent}  {line}".replace("\0", " ") for line in wrapped), f"{indent}]"]


def _pattern(paths, files):
    """``folder/*.suffix`` if it matches just these paths; None otherwise."""
    folders, suffixes = {os.path.dirname(path) for path in paths}, {Path(path).suffix for path in paths}
    if len(folders) > 1 or len(suffixes) > 1 or len(paths) < 2:
        return None
    folder, suffix = folders.pop(), suffixes.pop()
    there = {path for path in files if os.path.dirname(path) == folder and path.endswith(suffix)}
    return os.path.join(glob.escape(folder), f"*{suffix}") if there == set(paths) else None


def quote(text):
    """Text as a YAML scalar, quoted where it must be."""
    plain = re.fullmatch(r"[A-Za-z][\w./ -]*\*?[\w./-]*", text) and text.lower() not in YAML_WORDS
    return text if plain else json.dumps(text)
