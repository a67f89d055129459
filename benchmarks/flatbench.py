"""The same frames through this workflow and through other programs, against their truth: `make flatbench`.

Writes docs/flatbench.md and its figures. Frames and what is measured are kept in resources/flatbench (4 GB); what was
measured there before is not measured again, so that a run can be stopped and go on: `make clean` removes it. BaSiCPy is
run where `FLATBENCH_BASICPY` names a Python that has it, see `flatbench_programs.BASICPY`. With `--tiny FOLDER` frames
are small, few mistakes are planted, and everything is in that folder: whether it still works.
"""

import argparse
import json
import os
import re
import shutil
import time
from collections import namedtuple
from datetime import date
from pathlib import Path

import flatbench_page
import flatbench_programs
import numpy as np
import psutil
from flatbench_errors import BLOCKS, TRIM, block_means, block_size, errors_of, native, pull_of, ratio_to_truth, trimmed
from flatbench_programs import OURS, programs, run_ours
from flatbench_worlds import COLORS, LIGHT_SECONDS, MISTAKES, SKY, World, write_world
from projects import ROOT

SCRATCH = ROOT / "resources/flatbench"
PAGE = ROOT / "docs"
SMALL, LARGE = (240, 360), (2840, 4244)
#: Worlds without mistakes.
WORLDS = {
    "raw, even lamp": World("dng", SMALL, 8, even=True),
    "raw": World("dng", SMALL, 8),
    "FITS": World("fits", SMALL, 8),
    "raw, 12 MP": World("dng", LARGE, 6),
    "FITS, 12 MP": World("fits", LARGE, 4),
}
#: Worlds that are not measured this time.
LEFT_OUT = []
#: Frames in each subset of the worlds with a mistake, and their size.
FEW, PLANTED = 8, SMALL
CHOSEN = tuple(MISTAKES)
#: Further error of a pixel of the light, percent, below which a mistake did no harm.
HARMLESS = 0.1
Judged = namedtuple("Judged", "sentence made harm clean")


def folder_of(world):
    """Where the frames of a world are."""
    number = list(MISTAKES).index(world.mistake) + 1 if world.mistake else 0
    rows, columns = world.shape
    return SCRATCH / f"frames/{world.kind}_{rows}x{columns}_{world.frames}_{'even' * world.even}{number}"


def measure(program, world):
    """What a program made of a world, as it was measured before or now.

    Returns
    -------
    dict
        ``taken`` (see `usage.Usage`), ``others`` (cores that other work took meanwhile), ``text``, ``masters`` and
        ``lights`` by name (``errors``, ``pull``; ``map`` of the light without noise), of this workflow also ``alone``
        and ``quoted``.
    """
    frames = folder_of(world)
    name = re.sub(r"\W+", "_", f"{frames.name}_{program.name}")
    record, out = SCRATCH / f"measured/{name}.json", SCRATCH / f"out/{name}"
    if record.exists():
        return json.loads(record.read_text())
    write_world(world, frames)
    shutil.rmtree(out, ignore_errors=True)
    before = clocks()
    result = program.run(frames, out, world)
    wall, own, all_work = (now - then for now, then in zip(clocks(), before, strict=True))
    found = describe(result, world) | {"version": program.version, "others": max(all_work - own, 0) / wall}
    if program.name == OURS:
        found["quoted"] = quoted_error(out / "results/sets.tsv")
        if flatbench_programs.WHOLE and not world.mistake:
            shutil.rmtree(out)
            found["alone"] = run_ours(frames, out, world, alone=True).taken
    paths = [str(out), str(frames), str(SCRATCH)]
    found["text"] = [re.sub("|".join(map(re.escape, paths)), "...", line) for line in result.text]
    shutil.rmtree(out)
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(found))
    print(f"{found['taken'][1]:8.1f} s of processor time: {program.name}, {frames.name}", flush=True)
    return found


def clocks():
    """Seconds: of the clock, of processors for this process and its children, and for all that runs here."""
    used, here = psutil.cpu_times(), os.times()
    return time.monotonic(), sum(here[:4]), used.user + used.nice + used.system


def describe(result, world):
    """Errors of what a program made."""
    channel, response = world.channel(), world.response()
    _, starry = world.stars()
    found = {"taken": list(result.taken), "masters": {}, "lights": {}}
    for name, (value, error) in result.masters.items():
        found["masters"][name] = judge(value, error, response, channel)
    for name, (value, error) in result.lights.items():
        even = np.ones(world.shape, np.float32)
        found["lights"][name] = judge(value, error, even, channel, ~starry if name == "night" else None)
        if name == "probe":
            found["lights"][name]["map"] = green_map(value, channel)
    return found


def judge(value, error, true, channel, chosen=None):
    """Errors, and the pull where errors are quoted; None of what has another size."""
    if value.shape[:2] != true.shape:
        return {"errors": None, "pull": None}
    value = native(value, channel) if value.ndim == 3 else value
    pull = None if error is None else pull_of(value, error, true, channel, chosen)
    return {"errors": list(errors_of(value, true, channel, chosen)), "pull": pull}


def green_map(value, channel):
    """Departure of an even light from evenness, percent, block by block."""
    if value.shape[:2] != channel.shape:
        return None
    value, cut = trimmed(native(value, channel) if value.ndim == 3 else value, channel)
    ratio, chosen = ratio_to_truth(value, np.ones(value.shape), cut, cut == 1)
    blocks = block_means(ratio, chosen, block_size(channel.shape[0]))
    return (100 * (blocks / np.nanmean(blocks) - 1)).round(4).tolist()


def quoted_error(table):
    """What this workflow says of its response, percent rms; None where it says nothing."""
    if not table.exists():
        return None
    header, row = (line.split("\t") for line in table.read_text().splitlines()[:2])
    text = dict(zip(header, row, strict=True)).get("response_error_percent", "")
    return float(text) if re.fullmatch(r"[\d.e+-]+", text) else None


def unavoidable(world):
    """Errors of the light without noise divided by the true response: what whole numbers leave."""
    response = world.response() * COLORS.astype(np.float32)[world.channel()]
    dark = world.dark(LIGHT_SECONDS)
    recorded = world.record(SKY * response + dark, None)
    corrected = ((recorded - world.offset()) * world.gain - dark) / response
    return list(errors_of(corrected, np.ones(world.shape), world.channel()))


def template(line):
    """A line without its numbers, to compare with another run."""
    return re.sub(r"[\d.:]+", "#", line).strip()


def notice(program, mistake):
    """Whether a program names a mistake, whether it made a light, and how wrong that is.

    Returns
    -------
    Judged
        The first sentence that names it and was not said of the frames without the mistake, or nothing; whether a light
        came out; what the mistake added to its error, percent rms of the pixels, None where nothing came out; the error
        without it.
    """
    kind, pattern = MISTAKES[mistake]
    clean = measure(program, World(kind, PLANTED, FEW))
    wrong = measure(program, World(kind, PLANTED, FEW, mistake=mistake))
    known = {template(line) for line in clean["text"]}
    new = [line for line in wrong["text"] if template(line) not in known and re.search(pattern, line)]
    before = clean["lights"]["probe"]["errors"][0]
    errors = wrong["lights"].get("probe", {}).get("errors")
    harm = float(np.sqrt(max(errors[0] ** 2 - before**2, 0))) if errors else None
    return Judged(new[0] if new else "", bool(errors), harm, before)


def main():
    """Measure everything, and write the page."""
    every = programs()
    run = [each for each in every if not each.missing]
    noticed = {
        (mistake, program.name): notice(program, mistake)
        for mistake in CHOSEN
        for program in run
        if program.meets(MISTAKES[mistake][0], mistake)
    }
    found, floors = {}, {}
    for title, world in WORLDS.items():
        floors[title] = unavoidable(world)
        for program in run:
            if world.kind in program.kinds:
                found[title, program.name] = measure(program, world)
        if world.shape != SMALL:
            shutil.rmtree(folder_of(world), ignore_errors=True)
    PAGE.mkdir(parents=True, exist_ok=True)
    (PAGE / "images").mkdir(exist_ok=True)
    flatbench_page.draw_errors(PAGE / "images/flatbench.png", WORLDS, run, found, floors)
    drawn = "raw" if "raw" in WORLDS else next(iter(WORLDS))
    flatbench_page.draw_maps(PAGE / "images/flatbench_maps.png", drawn, run, found)
    facts = {"day": date.today(), "harmless": HARMLESS, "few": FEW, "trim": TRIM, "blocks": BLOCKS, "drawn": drawn}
    facts |= {"left_out": LEFT_OUT, "others": float(np.mean([each["others"] for each in found.values()]))}
    text = flatbench_page.write(facts, WORLDS, every, found, floors, noticed)
    (PAGE / "flatbench.md").write_text(text)


def shrink(folder):
    """Measure with small frames, everything in a folder."""
    global SCRATCH, PAGE, SMALL, PLANTED, FEW, WORLDS, CHOSEN
    SCRATCH = PAGE = Path(folder).resolve()
    SMALL = PLANTED = (120, 180)
    FEW = 4
    WORLDS = {"raw": World("dng", SMALL, FEW)}
    CHOSEN = ("bias frames of another ISO",)
    flatbench_programs.WHOLE = False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tiny", metavar="FOLDER")
    parser.add_argument("--worlds", nargs="+", metavar="WORLD", choices=WORLDS, help="only these; the page says so")
    arguments = parser.parse_args()
    if arguments.worlds:
        LEFT_OUT = [title for title in WORLDS if title not in arguments.worlds]
        WORLDS = {title: WORLDS[title] for title in arguments.worlds}
    if arguments.tiny:
        shrink(arguments.tiny)
    main()
