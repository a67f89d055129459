"""Measure the whole workflow beside an older commit, decoding alone, Siril, ccdproc and the notebook: `make bench`.

Frames are simulated once, in resources/bench (30 GB with the results). Writes results.md and growth.png beside this
file. `BASE=commit` in the environment measures that commit beside this one. With `--tiny FOLDER` each measurement is
made once, with small frames and everything in that folder: whether it still works.
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
    return usage.measure(project.command(code, "--quiet", "all", "--", *chosen), code, **options)


def measure_workflow(codes, flats, lights):
    """Whole runs, by name and checkout; and the processor time of jobs of one set."""
    sets = {name: copy(flats, SCRATCH / "sets" / name, len(flats), number) for number, name in enumerate(SETS)}
    few = {"one": link(flats, SCRATCH / "few", 3 * FEW)}
    three = Project(SCRATCH / "three", sets, FRAMES, lights[0].parent)
    found = {}
    for name, code in codes.items():
        few_alone = Project(SCRATCH / "few_one", few, FEW)
        measure_run(few_alone, code)  # compiles what is compiled once
        found["one set of few frames", name] = measure_run(few_alone, code)
        found["three sets, two lights", name] = measure_run(three, code)
    products = [f"{name}/{product}.fits" for name in SETS for product in ("flat_cfa", *(f"subsets/{s}" for s in "ABC"))]
    found["masters", "ours"] = measure_run(three, targets=products)
    one = Project(SCRATCH / "one", {"one": sets["one"]}, FRAMES)
    found["one set", "ours"] = measure_run(one)
    jobs = {job: one.seconds_of(f"one/{log}.log") for job, log in JOBS.items()}
    planned = Project(SCRATCH / "planned", few, FEW, pretend(SCRATCH / "planned_lights", PLANNED))
    plan = planned.command(ROOT, "-n", "--quiet", "all")
    found[f"plan of {PLANNED} lights", "ours"] = usage.measure(plan, ROOT, before=planned.clean)
    return found, jobs, sets


def measure_lights(sets, lights, products=None):
    """All lights of a set that is there, planning the same run once more, and the size of the report, MB."""
    measure_run(Project(SCRATCH / "lights_all", sets, FEW))  # all that is made of the set
    project = Project(SCRATCH / "lights_all", sets, FEW, lights, products)
    targets = [f"lights/sky/{path.stem}.fits" for path in sorted(lights.glob("*.dng"))] if products else None
    whole = measure_run(project, targets=targets, before=None, written=project.results / "lights")
    page = project.results / "report.html"
    again = measure_run(project, targets=targets, before=None)
    return whole, again, page.stat().st_size / 1e6 if page.exists() else None


def measure_compressed(flats):
    """A set of compressed frames, and decoding these once."""
    folder = compress(flats, SCRATCH / "compressed")
    frames = sorted(folder.glob("*.dng"))
    return measure_run(Project(SCRATCH / "compressed_one", {"one": folder}, FRAMES)), program("decode", *frames)


def measure_growth(flats, sets, found):
    """Whole runs by the number of frames, pixels, sets and lights; those that were measured before count."""
    few = found["one set of few frames", "ours"]
    rows = [("frames", 3 * FEW, few), ("frames", 3 * FRAMES, found["one set", "ours"])]
    middle = max(FRAMES // 3, FEW)
    folder = link(flats, SCRATCH / "growing", 3 * middle)
    rows.insert(1, ("frames", 3 * middle, measure_run(Project(SCRATCH / "growth", {"one": folder}, middle))))
    small = min(SHAPES)
    folder = link(simulate(SCRATCH / f"{small}mp", SHAPES[small], FEW)[0], SCRATCH / "growing", 3 * FEW)
    rows.append(("megapixels", small, measure_run(Project(SCRATCH / "growth", {"one": folder}, FEW))))
    rows += [("megapixels", max(SHAPES), few), ("sets", 1, few)]
    for count in (2, 3):
        chosen = {
            name: link(sorted(sets[name].glob("*.dng")), SCRATCH / f"few_{name}", 3 * FEW) for name in SETS[:count]
        }
        rows.append(("sets", count, measure_run(Project(SCRATCH / "growth", chosen, FEW))))
    rows.append(("lights", 0, few))
    for count in (max(LIGHTS // 4, 1), LIGHTS):
        folder = link(sorted((SCRATCH / "lights").glob("*.dng")), SCRATCH / "growing_lights", count)
        chosen = {"one": link(flats, SCRATCH / "few", 3 * FEW)}
        rows.append(("lights", count, measure_run(Project(SCRATCH / "growth", chosen, FEW, folder))))
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
    codes = ({BASE: check_out(BASE, SCRATCH / f"base-{BASE}")} if BASE else {}) | {"ours": ROOT}
    flats, lights = simulate(SCRATCH / "full", SHAPES[12], FRAMES)
    found, jobs, sets = measure_workflow(codes, flats, lights)
    few, many = {"one": link(flats, SCRATCH / "few", 3 * FEW)}, copy(lights, SCRATCH / "lights", LIGHTS)
    found["lights", "ours"], found["nothing to do", "ours"], page = measure_lights(few, many)
    found["lights, mosaics alone", "ours"], *_ = measure_lights(few, many, ["mosaic"])
    found["decode", "alone"] = program("decode", *flats)
    if find_spec("imagecodecs"):
        found["compressed set", "ours"], found["decode compressed", "alone"] = measure_compressed(flats)
    if shutil.which("siril-cli"):
        for work, taken in measure_siril(sets, lights).items():
            found[work, "Siril"] = taken
    if find_spec("ccdproc"):
        found["median of a subset", "ccdproc"] = program("ccdproc", *flats[:FRAMES])
    found["median of a subset", "the notebook"] = program("notebook", "mosaic", *flats[:FRAMES])
    growth = measure_growth(flats, sets, found)
    draw_growth(growth)
    (RESULTS / "results.md").write_text(report(found, jobs, page, growth))


def ratios(found, jobs, page):
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
    add(f"plan of {PLANNED} lights", "seconds", found[f"plan of {PLANNED} lights", "ours"].wall, 15)
    add(f"report of {LIGHTS} lights", "MB", page, 15)
    for job, seconds in (("inspection", 4), ("noise", 6), ("light source", 5)):
        own = jobs[job]
        read = decoding.cpu if job == "inspection" else 0
        add(f"{job} of {3 * FRAMES} frames", "seconds beyond decoding", own and own - read, seconds)
    own = jobs["debayered median"]
    add("debayered median, processor time", "3 x (decoding + 1 s)", own and own / (3 * (decoding.cpu + 1)), 1)
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


def report(found, jobs, page, growth):
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
        *ratios(found, jobs, page),
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
    lines += [f"| {' | '.join(JOBS)} |", "| --- " * len(JOBS) + "|"]
    lines.append(f"| {' | '.join('not known' if jobs[job] is None else f'{jobs[job]:.1f}' for job in JOBS)} |")
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
