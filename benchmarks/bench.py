"""Measure the whole workflow beside an older commit, decoding alone, Siril, ccdproc and the notebook: `make bench`.

Frames are simulated once, in resources/bench (15 GB). Writes results.md and growth.png beside this file. `BASE=commit`
in the environment measures that commit beside this one. With `--tiny FOLDER` each measurement is made once, with small
frames and everything in that folder: whether it still works.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
from datetime import date
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import usage
from matplotlib.figure import Figure
from projects import ROOT, SETS, Project, check_out, compress, copy, link, machine, own_settings, pretend, simulate

HERE = Path(__file__).parent
SCRATCH = ROOT / "resources/bench"
RESULTS = HERE
BASE = os.environ.get("BASE")
SHAPES = {3: (1416, 2120), 12: (2840, 4244)}  # megapixels: visible rows and columns
#: Frames of each of three subsets, and of a set of few; lights; lights of which a run is only planned.
FRAMES, FEW, LIGHTS, PLANNED = 30, 4, 20, 500
#: Targets of the runs, by default all.
TARGETS = ()
PACKAGES = ("numpy", "numba", "rawpy", "snakemake", "ccdproc")
#: Jobs of a set whose time is bounded.
JOBS = {"inspection": "inspected", "debayered median": "flat", "noise": "noise", "light source": "illumination"}
MASTERS = """requires 1.0.0
setcpu 2
cd {folder}/frames
convert flat -fitseq -out=../work
cd ../work
stack flat med -norm=mul -out=master
close
"""
CALIBRATION = """requires 1.0.0
setcpu 2
cd {folder}/frames
convert light -fitseq -out=../work
cd ../work
preprocess light -flat={master} -cfa
close
"""


def measure_run(project, code=ROOT, targets=None, **options):
    """A run from nothing, or what `before` leaves."""
    chosen = [project.results / target for target in (TARGETS or targets or ())]
    options = {"before": project.clean, "written": project.results} | options
    return usage.measure(project.command(code, "--quiet", "all", "--", *chosen), ROOT, **options)


def measure_workflow(codes, flats, lights):
    """Whole runs of all sizes, by name and checkout; and the processor time of jobs of one set."""
    sets = {name: copy(flats, SCRATCH / "sets" / name, len(flats), number) for number, name in enumerate(SETS)}
    one = {"one": sets["one"]}
    few = {"one": link(flats, SCRATCH / "few", 3 * FEW)}
    many = copy(lights, SCRATCH / "lights", LIGHTS)
    projects = {
        "three sets, two lights": Project(SCRATCH / "three", sets, FRAMES, lights[0].parent),
        "one set": Project(SCRATCH / "one", one, FRAMES),
        "one set of few frames": Project(SCRATCH / "few_one", few, FEW),
    }
    found, jobs = {}, {}
    for name, code in codes.items():
        measure_run(projects["one set of few frames"], code)  # compiles what is compiled once
        for title, project in projects.items():
            found[title, name] = measure_run(project, code)
        jobs[name] = {job: projects["one set"].seconds_of(f"one/{log}.log") for job, log in JOBS.items()}
        found["lights", name], _ = measure_lights(code, few, many)
        jobs[name]["report"] = SCRATCH / "lights_all/results/report.html"
        jobs[name]["report"] = jobs[name]["report"].stat().st_size / 1e6 if jobs[name]["report"].exists() else None
        planned = Project(SCRATCH / "planned", few, FEW, pretend(SCRATCH / "planned_lights", PLANNED))
        found["plan", name] = usage.measure(planned.command(code, "-n", "--quiet", "all"), ROOT, before=planned.clean)
    products = [f"{name}/{product}.fits" for name in SETS for product in ("flat_cfa", *(f"subsets/{s}" for s in "ABC"))]
    found["masters", "ours"] = measure_run(projects["three sets, two lights"], targets=products)
    return found, jobs, sets


def measure_lights(code, sets, lights, products=None):
    """All lights of a set that is there: with this usage goes that of planning the same run once more."""
    project = Project(SCRATCH / "lights_all", sets, FEW, lights, products)
    project.clean()
    measure_run(project, code, targets=["one/noise.tsv", "one/illumination.tsv", "one/stats.tsv"], before=None)
    targets = [f"lights/sky/{path.stem}.fits" for path in sorted(lights.glob("*.dng"))] if products else None
    whole = measure_run(project, code, targets=targets, before=None, written=project.results / "lights")
    return whole, measure_run(project, code, targets=targets, before=None)


def measure_compressed(flats):
    """A set of compressed frames, and decoding these once."""
    folder = compress(flats, SCRATCH / "compressed")
    frames = sorted(folder.glob("*.dng"))
    return measure_run(Project(SCRATCH / "compressed_one", {"one": folder}, FRAMES)), program("decode", *frames)


def measure_growth(flats, sets, lights):
    """Whole runs by the number of frames, pixels, sets and lights."""
    rows = []
    for count in dict.fromkeys((FEW, max(FRAMES // 3, FEW), FRAMES)):
        folder = link(flats, SCRATCH / "growing", 3 * count)
        rows.append(("frames", 3 * count, measure_run(Project(SCRATCH / "growth", {"one": folder}, count))))
    for megapixels, shape in SHAPES.items():
        small = flats if shape == SHAPES[12] else simulate(SCRATCH / f"{megapixels}mp", shape, FEW)[0]
        folder = link(small, SCRATCH / "growing", 3 * FEW)
        rows.append(("megapixels", megapixels, measure_run(Project(SCRATCH / "growth", {"one": folder}, FEW))))
    for count in (1, 2, 3):
        chosen = {name: link(sorted(sets[name].glob("*.dng"))[: 3 * FEW], SCRATCH / f"few_{name}", 3 * FEW)
                  for name in SETS[:count]}  # fmt: skip
        rows.append(("sets", count, measure_run(Project(SCRATCH / "growth", chosen, FEW))))
    few = {"one": link(flats, SCRATCH / "few", 3 * FEW)}
    for count in (1, max(LIGHTS // 2, 1), LIGHTS):
        folder = link(sorted((SCRATCH / "lights").glob("*.dng")), SCRATCH / "growing_lights", count)
        rows.append(("lights", count, measure_run(Project(SCRATCH / "growth", few, FEW, folder))))
    return rows


def program(name, *arguments):
    """Measure one of programs.py."""
    return usage.measure([sys.executable, HERE / "programs.py", name, *arguments], ROOT)


def siril(frames, script, **values):
    """Measure a script of Siril on frames; the folder that it leaves, and what it took."""
    folder = SCRATCH / "siril"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "frames").mkdir(parents=True)
    for frame in frames:
        (folder / "frames" / Path(frame).name).symlink_to(frame)
    (folder / "script.ssf").write_text(script.format(folder=folder, **values))
    command = ["env", *own_settings(SCRATCH / "settings"), "siril-cli", "-d", folder, "-s", folder / "script.ssf"]
    clean = partial(shutil.rmtree, folder / "work", ignore_errors=True)
    found = usage.measure(command, ROOT, before=clean, written=folder / "work", limit=300)
    made = sorted((folder / "work").glob("*"))
    if not any(path.name.startswith(("master", "pp_")) for path in made):  # its log reports success in any case
        sys.exit(f"Siril left nothing: {script}")
    return found, made


def measure_siril(sets, lights):
    """Nine subsets and three masters, and lights."""
    parts = []
    for folder in sets.values():
        frames = sorted(folder.glob("*.dng"))
        for chosen in (*(frames[i * FRAMES : (i + 1) * FRAMES] for i in range(3)), frames):
            found, made = siril(chosen, MASTERS)
            parts.append(found)
    master = shutil.copyfile(next(path for path in made if path.name.startswith("master")), SCRATCH / "master.fit")
    of_lights, _ = siril(sorted(copy(lights, SCRATCH / "lights", LIGHTS).glob("*")), CALIBRATION, master=master)
    wall, cpu, memory, disk = zip(*parts, strict=True)
    return {"masters": usage.Usage(sum(wall), sum(cpu), max(memory), sum(disk)), "lights": of_lights}


def main():
    """Measure everything."""
    codes = {"ours": ROOT} | ({BASE: check_out(BASE, SCRATCH / f"base-{BASE}")} if BASE else {})
    flats, lights = simulate(SCRATCH / "full", SHAPES[12], FRAMES)
    found, jobs, sets = measure_workflow(codes, flats, lights)
    found["decode", "alone"] = program("decode", *flats)
    few = {"one": link(flats, SCRATCH / "few", 3 * FEW)}
    alone, again = measure_lights(ROOT, few, copy(lights, SCRATCH / "lights", LIGHTS), ["mosaic"])
    found["lights, mosaics alone", "ours"], found["nothing to do", "ours"] = alone, again
    if find_spec("imagecodecs"):
        found["compressed set", "ours"], found["decode compressed", "alone"] = measure_compressed(flats)
    if shutil.which("siril-cli"):
        for work, taken in measure_siril(sets, lights).items():
            found[work, "Siril"] = taken
    if find_spec("ccdproc"):
        found["median of a subset", "ccdproc"] = program("ccdproc", *flats[:FRAMES])
    found["median of a subset", "the notebook"] = program("notebook", "mosaic", *flats[:FRAMES])
    growth = measure_growth(flats, sets, lights)
    draw_growth(growth)
    (RESULTS / "results.md").write_text(report(found, jobs, growth))


def ratios(found, jobs):
    """Rows of what is wanted: work, against what, value, bound, reached or missed."""
    rows = []

    def add(work, against, value, limit):
        if value is not None:
            reached = "reached" if value <= limit else "missed"
            rows.append(f"| {work} | {against} | {value:.2f} | at most {limit:g} | {reached} |")

    def ratio(one, other, part="cpu"):
        return getattr(found[one], part) / getattr(found[other], part) if {one, other} <= set(found) else None

    for title in ("three sets, two lights", "one set of few frames"):
        for part, word in (("cpu", "processor time"), ("wall", "wall time"), ("disk", "size of the results")):
            add(
                f"{title}: {word}",
                f"commit {BASE}",
                ratio((title, "ours"), (title, BASE), part),
                0.5 - (part != "disk") / 6,
            )
    decoding = found["decode", "alone"]
    if ("compressed set", "ours") in found:
        limit = found["decode compressed", "alone"].cpu + found["one set", "ours"].cpu
        add(
            "compressed set",
            "decoding it once + the set uncompressed",
            found["compressed set", "ours"].cpu / limit,
            1.3,
        )
    for work, title, seconds in (("a light", "lights", 3), ("its mosaic alone", "lights, mosaics alone", 0.8)):
        rest = found["nothing to do", "ours"].cpu
        add(work, "seconds of processor time", (found[title, "ours"].cpu - rest) / LIGHTS, seconds)
    add("a light: size", "raw", found["lights", "ours"].disk / LIGHTS / raw_size(), 6)
    add(f"plan of {PLANNED} lights", "seconds", found["plan", "ours"].wall, 15)
    add(f"report of {LIGHTS} lights", "MB", jobs["ours"]["report"], 15)
    for job, seconds in (("inspection", 4), ("noise", 6), ("light source", 5)):
        own = jobs["ours"][job]
        read = decoding.cpu if job == "inspection" else 0
        add(f"{job} of {3 * FRAMES} frames", "seconds beyond decoding", own and own - read, seconds)
    own = jobs["ours"]["debayered median"]
    add("debayered median", "3 x (decoding + 1 s)", own and own / (3 * (decoding.cpu + 1)), 1)
    add(
        "nine subsets and three masters: wall time",
        "Siril",
        ratio(("masters", "ours"), ("masters", "Siril"), "wall"),
        0.5,
    )
    add(
        f"{LIGHTS} lights: wall time", "Siril", ratio(("lights, mosaics alone", "ours"), ("lights", "Siril"), "wall"), 3
    )
    return rows


def raw_size():
    """Of one light, MB."""
    return next((SCRATCH / "lights").resolve().glob("*.dng")).stat().st_size / 1e6


def report(found, jobs, growth):
    """Text of results.md."""
    rows, columns = SHAPES[12]
    lines = [
        "# Speed and memory",
        "",
        f"Made by `make bench`{f' with `BASE={BASE}`' if BASE else ''}; nothing here is tested, as times depend on the "
        f"machine. Frames of {rows} x {columns} visible",
        f"pixels, 14 bit, DNG; sets of {3 * FRAMES} frames in three subsets, of few: {3 * FEW}; {LIGHTS} lights. Whole "
        "processes with all that they start,",
        "each measured once, files in the page cache, two cores; kernels were compiled before.",
        "",
        f"{date.today()}, {machine()}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in PACKAGES if find_spec(name))
        + f", {siril_version()}.",
        "",
        "## Ratios",
        "",
        "| work | against | measured | wanted | |",
        "| --- | --- | --- | --- | --- |",
        *ratios(found, jobs),
        "",
        "## Times, memory, disk",
        "",
        "The memory is that of the largest process; the disk what the work leaves.",
        "",
        "| work | by | processor s | wall s | MB of memory | MB of disk |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for (work, by), taken in found.items():
        lines.append(f"| {work} | {by} | {taken.cpu:.1f} | {taken.wall:.1f} | {taken.memory:.0f} | {taken.disk:.0f} |")
    lines += ["", f"Jobs of one set of {3 * FRAMES} frames, seconds of processor time:", ""]
    lines += [f"| by | {' | '.join(JOBS)} |", f"| --- |{' --- |' * len(JOBS)}"]
    for by, seconds in jobs.items():
        lines.append(
            f"| {by} | {' | '.join('not known' if seconds[job] is None else f'{seconds[job]:.1f}' for job in JOBS)} |"
        )
    lines += ["", "## Growth", "", "![processor and wall time by frames, pixels, sets and lights](growth.png)", ""]
    lines += ["Whole runs, by what grows; the others are one set of few frames without lights.", ""]
    lines += ["| of | number | processor s | wall s | MB of memory |", "| --- | --- | --- | --- | --- |"]
    lines += [
        f"| {kind} | {n} | {taken.cpu:.1f} | {taken.wall:.1f} | {taken.memory:.0f} |" for kind, n, taken in growth
    ]
    return "\n".join(lines) + "\n"


def draw_growth(growth):
    """Processor and wall time by what grows."""
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    kinds = list(dict.fromkeys(kind for kind, _, _ in growth))
    for axis, kind in zip(figure.subplots(1, len(kinds)), kinds, strict=True):
        chosen = [(number, taken) for each, number, taken in growth if each == kind]
        for part, label in (("cpu", "processor time"), ("wall", "wall time")):
            axis.plot([each[0] for each in chosen], [getattr(each[1], part) for each in chosen], "o-", label=label)
        axis.set(xlabel=kind, ylabel="seconds", xlim=(0, None), ylim=(0, None))
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(RESULTS / "growth.png", dpi=100, metadata={"Software": None})


def siril_version():
    """Version of Siril, where it is there."""
    if not shutil.which("siril-cli"):
        return "no Siril"
    return subprocess.run(["siril-cli", "--version"], capture_output=True, text=True).stdout.strip()


def shrink(folder):
    """Measure with small frames, once each, everything in a folder."""
    global SCRATCH, RESULTS, SHAPES, FRAMES, FEW, LIGHTS, PLANNED, TARGETS
    SCRATCH = RESULTS = Path(folder).resolve()
    SHAPES, FRAMES, FEW, LIGHTS, PLANNED = {3: (120, 180), 12: (120, 180)}, 2, 2, 2, 3
    TARGETS = ("one/inspected.tsv",)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tiny", metavar="FOLDER")
    arguments = parser.parse_args()
    if arguments.tiny:
        shrink(arguments.tiny)
    main()
