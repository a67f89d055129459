"""Measure this project against decoding alone, Siril, ccdproc and the notebook: `make bench`.

Frames are simulated once, in resources/bench (9 GB). Each program runs in a process of its own, several times in a
row after a run that does not count; the median of the wall times and the largest memory are kept. Writes results.md
and growth.png beside this file. With `--tiny FOLDER` each measurement is made once, with small frames and everything
in that folder: whether it still works.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import time
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from threading import Timer

import yaml
from matplotlib.figure import Figure

HERE = Path(__file__).parent
ROOT = HERE.parent
SCRATCH = ROOT / "resources/bench"
RESULTS = HERE
BIN = Path(sys.executable).parent
REPEATS = int(os.environ.get("REPEATS", 3))
SETS = ("indoors", "outdoors", "outdoors_f4")
SHAPES = {3: (1416, 2120), 12: (2840, 4244), 48: (5680, 8488)}  # megapixels: visible rows and columns
METHODS = ("median", "mean")
PACKAGES = ("numpy", "numba", "rawpy", "snakemake", "ccdproc")
COUNTS = (10, 30, 90, 300)
#: Frames of a subset in the demo's sets; targets of the measured run of the workflow, by default all.
FRAMES, TARGETS = 30, ()
SIRIL = """requires 1.0.0
setcpu 2
cd {folder}/frames
convert flat {form} -out=../work
cd ../work
stack flat {stack} -out=master
close
"""


def measure(command, repeats=REPEATS, before=None, limit=1800):
    """Median wall time (s) and largest memory (MB) of a command; one that hangs is killed and started again."""
    command = [str(part) for part in command]
    seconds, memory, wanted = [], [], repeats + (repeats > 1)
    while len(seconds) < wanted:
        if before:
            before()
        start = time.perf_counter()
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(command, cwd=ROOT, **streams)
        watch = Timer(limit, process.kill)
        watch.start()
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - start
        process.returncode = status
        watch.cancel()
        if took >= limit:
            print(f"killed after {limit} s: {' '.join(command)[:120]}", flush=True)
            continue
        if status:
            sys.exit(f"{' '.join(command)[:300]} failed:\n{output.decode()[-3000:]}")
        seconds.append(took)
        memory.append(usage.ru_maxrss / 1000)
    seconds = seconds[-repeats:]
    print(f"{median(seconds):7.2f} s {max(memory):6.0f} MB  {' '.join(command)[:120]}", flush=True)
    return median(seconds), max(memory)


def start(command, **options):
    """Run what is not measured."""
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT, **options)


def program(name, *arguments, repeats=REPEATS):
    """Measure one of programs.py."""
    return measure([sys.executable, HERE / "programs.py", name, *arguments], repeats)


def ours(rule, options, frames):
    """Measure the script of a rule; the table that it needs is made before."""
    work = SCRATCH / "work"
    work.mkdir(exist_ok=True)
    inspect = [sys.executable, HERE / "programs.py", "ours", "inspect_frames", options, work / "inspected.tsv", *frames]
    start(inspect, stdout=subprocess.DEVNULL)
    return program("ours", rule, options, work / "out.fits", *frames)


def siril(frames, stack):
    """Measure the faster of Siril's forms of a sequence."""
    folder, results = SCRATCH / "siril", []
    for form in ("-fitseq", ""):
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "frames").mkdir(parents=True)
        for frame in frames:
            (folder / "frames" / Path(frame).name).symlink_to(frame)
        (folder / "stack.ssf").write_text(SIRIL.format(folder=folder, form=form, stack=stack))
        clean = lambda: shutil.rmtree(folder / "work", ignore_errors=True)  # noqa: E731
        settings = [
            f"{name}={SCRATCH / 'settings'}" for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
        ]  # its own
        results.append(
            measure(["env", *settings, "siril-cli", "-d", folder, "-s", folder / "stack.ssf"], before=clean, limit=120)
        )
        if not list((folder / "work").glob("master*")):  # its log reports success even when nothing ran
            sys.exit(f"Siril left no master: {stack}")
        shutil.rmtree(folder)
    return min(results)


def configure(name, folder, shape, sets, frames):
    """Write a configuration of the demo's sets at a size; its path."""
    (SCRATCH / name).mkdir(parents=True, exist_ok=True)
    path = SCRATCH / name / "config.yaml"
    subsets = {
        label: {"slice": f"{i * frames}:{(i + 1) * frames}", "rotation": 90 * i} for i, label in enumerate("ABC")
    }
    config = {
        "raw_root": str(SCRATCH / folder / "demo"),
        "sets": {each: {"frames": f"{each}/*.dng", "subsets": subsets} for each in sets},
        "demo": {"rows": shape[0], "columns": shape[1], "frames": frames},
        "pathvars": {"resources": str(SCRATCH / folder), "results": str(SCRATCH / name / "results")},
    }
    path.write_text(yaml.safe_dump(config))
    return path


def snakemake(config, *arguments):
    return [BIN / "snakemake", "--cores", "2", "--configfile", config, *arguments]


def simulate(name, shape, sets, frames):
    """Frames of the demo's sets at a size, made by the workflow's own rule; paths by set."""
    folder = SCRATCH / name / "demo"
    first = [folder / each / "DSC00001.dng" for each in sets]
    command = snakemake(configure(name, name, shape, sets, frames), "--quiet", "all", "--", *first)
    start(command)
    return {each: [str(path) for path in sorted((folder / each).glob("*.dng"))] for each in sets}


def repeat_frames(frames, count):
    """As many frames as asked for: links to those that there are."""
    folder = SCRATCH / "links"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    paths = [folder / f"DSC{index:05d}.dng" for index in range(count)]
    for index, path in enumerate(paths):
        path.symlink_to(frames[index % len(frames)])
    return [str(path) for path in paths]


def measure_growth(frames):
    """Time and memory by the number of frames, and by that of pixels of ten frames."""
    rows = []
    for count in COUNTS:
        linked = repeat_frames(frames, count)
        rows.append(("frames", count, *(ours("combine_subset", f"{method},channel", linked) for method in METHODS)))
    rows.append(
        ("frames, 1 GB allowed", COUNTS[-1], *(ours("combine_subset", f"{m},channel,1000", linked) for m in METHODS))
    )
    for megapixels, shape in SHAPES.items():
        sized = simulate(f"{megapixels}mp", shape, ["outdoors"], 4)["outdoors"][:10]
        rows.append(("megapixels", megapixels, *(ours("combine_subset", f"{m},channel", sized) for m in METHODS)))
    return rows


def measure_workflow(shape):
    """The whole workflow on three sets of 90 frames, and a run with nothing to do."""
    config = configure("workflow", "full", shape, SETS, FRAMES)
    results = SCRATCH / "workflow/results"
    clean = lambda: shutil.rmtree(results, ignore_errors=True)  # noqa: E731
    whole = measure(snakemake(config, "--", *(results / target for target in TARGETS)), 1, clean)
    return whole, measure(snakemake(config, "-n", "--", *(results / target for target in TARGETS)))


def main():
    """Measure everything."""
    frames = simulate("full", SHAPES[12], SETS, FRAMES)["outdoors"]
    few, step = frames[:30], frames[::2]
    took = {"decode 30": program("decode", *few), "decode 90": program("decode", *frames)}
    for options in ("median,none", "median,channel", "mean,channel", "sigma_clip,channel"):
        took[f"{options} 30"] = ours("combine_subset", options, few)
    took["median,none 90"] = ours("combine_subset", "median,none", frames)
    took["median,channel 90"] = ours("combine_subset", "median,channel", frames)
    took["debayered 90"] = ours("debayer_flat", "median,channel", frames)
    if shutil.which("siril-cli"):
        took["siril median 30"] = siril(few, "med -nonorm")
        took["siril median 90"] = siril(frames, "med -nonorm")
        took["siril scaled median 90"] = siril(frames, "med -norm=mul")
        took["siril clip 30"] = siril(few, "rej s 3 3 -norm=mul")
    if find_spec("ccdproc"):
        took["ccdproc median 30"] = program("ccdproc", *few, repeats=1)
    took["notebook mosaic 30"] = program("notebook", "mosaic", *few)
    took["notebook mosaic 90"] = program("notebook", "mosaic", *frames, repeats=1)
    took["notebook debayered 45"] = program("notebook", "debayered", *step, repeats=1)
    growth = measure_growth(frames)
    took["workflow"], took["nothing to do"] = measure_workflow(SHAPES[12])
    draw_growth(growth)
    (RESULTS / "results.md").write_text(report(took, growth))


def report(took, growth):
    """Text of results.md."""
    t, m = ({name: value[i] for name, value in took.items()} for i in (0, 1))
    notebook = 3 * (3 * t["notebook mosaic 30"] + t["notebook mosaic 90"] + 2 * t["notebook debayered 45"])
    by_frames = {count: results for kind, count, *results in growth if kind == "frames"}
    growths = {name: by_frames[COUNTS[-1]][i][0] / by_frames[COUNTS[1]][i][0] / 10 for i, name in enumerate(METHODS)}
    limit30, limit90 = t["decode 30"] + 1, t["decode 90"] + 1
    wanted = [
        ("median of 30 frames", "decoding + 1 s", t["median,none 30"] / limit30, "at most", 1.5),
        ("scaled median of 30 frames", "decoding + 1 s", t["median,channel 30"] / limit30, "at most", 1.5),
        ("scaled mean of 30 frames", "decoding + 1 s", t["mean,channel 30"] / limit30, "at most", 2.5),
        ("scaled sigma_clip of 30 frames", "decoding + 1 s", t["sigma_clip,channel 30"] / limit30, "at most", 2.5),
        ("debayered scaled median of 90 frames", "decoding + 1 s", t["debayered 90"] / limit90, "at most", 3),
        ("300 frames against 30, mean", "proportional", growths["mean"], "at most", 1.2),
        ("300 frames against 30, median", "proportional", growths["median"], "at most", 2),
        ("median of 30 frames", "the notebook", t["notebook mosaic 30"] / t["median,none 30"], "at least", 10),
        ("memory of it", "the notebook", m["notebook mosaic 30"] / m["median,none 30"], "at least", 3),
        (
            *("debayered median, a frame", "the notebook"),
            t["notebook debayered 45"] / 45 / (t["debayered 90"] / 90),
            *("at least", 15),
        ),
        (
            *("memory of it, a frame", "the notebook"),
            m["notebook debayered 45"] / 45 / (m["debayered 90"] / 90),
            *("at least", 4),
        ),
        ("workflow, 3 sets of 90 frames", "the notebook, same products", notebook / t["workflow"], "at least", 8),
        ("`snakemake -n`, nothing to do", "seconds", t["nothing to do"], "at most", 4),
    ]
    if "siril clip 30" in t:
        wanted += [
            ("median of 30 frames", "Siril", t["siril median 30"] / t["median,none 30"], "at least", 2),
            ("median of 90 frames", "Siril", t["siril median 90"] / t["median,none 90"], "at least", 3),
            ("scaled sigma_clip of 30 frames", "Siril", t["siril clip 30"] / t["sigma_clip,channel 30"], "at least", 3),
        ]
    lines = [
        "# Speed and memory",
        "",
        "Made by `make bench`; nothing here is tested, as times depend on the machine. Frames of 2840 x 4244 visible",
        f"pixels (12 megapixels, 14 bit, uncompressed DNG, 24 MB). Medians of {REPEATS} runs in a row after one that",
        "does not count (one run of ccdproc, of the notebook's 45 and 90 frames, and of the workflow), each a whole",
        "process, files in the page cache, two threads where the program can use them.",
        "",
        f"{date.today()}, {machine()}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in PACKAGES if find_spec(name))
        + f", {siril_version()}.",
        "",
        "## Ratios",
        "",
        "| work | against | measured | wanted | |",
        "| --- | --- | --- | --- | --- |",
    ]
    for work, against, value, bound, limit in wanted:
        reached = value <= limit if bound == "at most" else value >= limit
        lines.append(f"| {work} | {against} | {value:.2f} | {bound} {limit:g} | {'reached' if reached else 'missed'} |")
    lines += ["", "## Times and memory", "", "| program and work | s | peak MB |", "| --- | --- | --- |"]
    lines += [f"| {name} | {seconds:.2f} | {memory:.0f} |" for name, (seconds, memory) in took.items()]
    lines += [
        "",
        "Names with a comma are this project's: method, scale, number of frames. The memory of the workflow is that",
    ]
    lines += [
        "of Snakemake itself. The notebook's products of the workflow are computed from the rows above: for each of"
    ]
    lines += [
        "3 sets, 3 medians of 30 mosaics, the median of 90, and twice the debayered median of 45 (90 need 26 GB)."
    ]
    lines += ["", "## Growth", "", "![time and memory by frames and pixels](growth.png)", ""]
    lines += ["| of | number | median s | median MB | mean s | mean MB |", "| --- | --- | --- | --- | --- | --- |"]
    for kind, count, *results in growth:
        cells = " | ".join(f"{seconds:.2f} | {memory:.0f}" for seconds, memory in results)
        lines.append(f"| {kind} | {count} | {cells} |")
    return "\n".join(lines) + "\n"


def draw_growth(growth):
    """Time and memory by the number of frames, and of pixels."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    for row, (kind, label) in enumerate(
        (("frames", "frames of 12 megapixels"), ("megapixels", "megapixels, 10 frames"))
    ):
        chosen = [each for each in growth if each[0] == kind]
        for column, quantity in enumerate(("wall time, s", "peak memory, MB")):
            axis = figure.add_subplot(2, 2, 2 * row + column + 1)
            for index, method in enumerate(METHODS):
                axis.plot(
                    [each[1] for each in chosen], [each[2 + index][column] for each in chosen], "o-", label=method
                )
            axis.set(xlabel=label, ylabel=quantity, xlim=(0, None), ylim=(0, None))
            axis.grid(alpha=0.3)
            axis.legend()
    figure.savefig(RESULTS / "growth.png", dpi=100, metadata={"Software": None})


def machine():
    """Processor and cores."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{cpu}, {os.cpu_count()} cores"


def siril_version():
    """Version of Siril, where it is there."""
    if not shutil.which("siril-cli"):
        return "no Siril"
    return subprocess.run(["siril-cli", "--version"], capture_output=True, text=True).stdout.strip()


def shrink(folder):
    """Measure with small frames, once each, everything in a folder."""
    global SCRATCH, RESULTS, REPEATS, SETS, SHAPES, COUNTS, FRAMES, TARGETS
    SCRATCH = RESULTS = Path(folder).resolve()
    REPEATS, SETS, SHAPES, COUNTS, FRAMES = 1, ("outdoors",), {3: (120, 180), 12: (120, 180)}, (3, 4), 2
    TARGETS = ("outdoors/inspected.tsv",)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tiny", metavar="FOLDER")
    arguments = parser.parse_args()
    if arguments.tiny:
        shrink(arguments.tiny)
    main()
