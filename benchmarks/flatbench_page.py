"""The page of `make flatbench`, and its figures."""

import numpy as np
from flatbench_programs import OURS
from flatbench_worlds import BIASES, DARKS, MISTAKES, SKY
from matplotlib.figure import Figure
from projects import machine

FLOOR = "the true response"
#: A light that is this wrong without any mistake, percent, does not show what one adds.
WRONG = 5
HEADER = """# Beside other programs

The same frames through this workflow and through the programs that one would take instead, against a truth that is
known. This page is written by

```sh
make flatbench                            # python benchmarks/flatbench.py
```

on {machine}, {day}. Frames are simulated: what holds here need not hold for a camera of yours. No program was
configured by its authors; each was set as its documentation says, and rows where another one is better stay.

## In short

{summary}

Errors are of a light without noise, explained below. This workflow's seconds are those of its whole run, analysis and
report included. Bold is best; small differences mean nothing.

## The programs

| program | version | settings |
| --- | --- | --- |
{settings}

Not run: {missing}.
"""
FRAMES = """## The frames

| world | rows x columns | flats | lamp |
| --- | --- | --- | --- |
{worlds}

A world is a colour camera (RGGB) behind a lens whose corners are 3.2 to 3.4 times darker than its centre, with 0.6
% rms of pixel response and six dust shadows of 3 to 8 %. *Raw* are DNG files of 14 bits with the black level in
their metadata, *FITS* files of 16 bits with columns in their bias, dark current and a glow in a corner. Each has
{biases} bias frames, FITS also {darks} darks. Flats are taken with the camera at 0, 90 and 180 degrees; an uneven
lamp is about 2 % brighter on one side and 0.5 % darker in all corners alike, which no angle shows; an even one has
a tenth of that. This workflow is told the angles; the others have no use for them. Two lights of an even sky of
{sky} electrons in green: *night* has noise and stars; *probe* has no noise but that of whole numbers, so that what
it shows is the error of the calibration.

All errors are percent. Each channel is first scaled to a median of 1, as programs differ in what they scale to;
colours that are wrong all over the frame alike are thus no error. {trim} pixels at the edges are left out. *Pixel*
is the rms over pixels, *shape* that over blocks ({blocks} along the height), *corner* the largest departure of a
corner from the centre, and *colour* the rms over blocks of red over green and blue over green.
"""
READING = {
    "light": """## Errors of a calibrated light

The probe after calibration. A sky that is even should be even. The last row of each world divides by the true
response.
""",
    "master": """## Errors of the master flat

Against the response to an even light. `flat_cfa.fits` is this workflow's flat before the light source is divided
out, as the others make it. RawTherapee keeps no master.
""",
    "bars": """## Error bars

Standard deviation of (found - true) / quoted error, pixel by pixel about the mean of their block, so that what is
smooth does not count. 1 is right; above, errors are quoted too small. Siril, RawTherapee and the notebook quote
none.
""",
    "mistakes": """## Mistakes

Each of {count} mistakes is planted alone in small frames ({few} flats in each subset). *Says so* counts where a
sentence that the program did not say of the same frames without the mistake names it; of this workflow sentences of
`conclusions.yaml` and those that a run ends with, of the others all that they print. *Stops* leaves no calibrated
light. The number is what the mistake added to the error of a pixel of the probe, percent rms; below {harmless} it
did no harm. *Wrong anyway*: by more than 5 % without any mistake. A dash: the program does not read such files, or
takes no bias frames. That a mistake is named does not mean that all else that is said of it is right.
""",
    "costs": """## What it costs

Whole processes with all that they start. *Whole run* of this workflow has the analysis, the figures and the report,
which the others do not make; *alone* is its master and lights only. Two lights each. **The machine had other work
to do: wall times are not to be compared; of processor times only large differences count.** Memory is that of the
largest process, the disk what is left behind.
""",
}
LIMITS = """## Limits

- Everything is simulated by one simulator, with smooth lamps, a response that does not change, and a linear sensor.
  The angles are exact, and the light source is one of the kind that this workflow solves for: its gain from
  dividing it out is the best that can be expected.
- The errors of one set of frames of each world are given, not their scatter: small differences mean nothing.
- RawTherapee and the notebook make pictures. They are compared at the pixels of the mosaic, in linear camera
  colours where the program can be set so; the notebook's 8-bit picture is gamma-coded and compared as it is.
- ccdproc is a library. Another script could check what this one does not.
- Siril also registers and stacks, RawTherapee and darktable develop, ccdproc does much of spectroscopy: that is not
  measured.
- The mistakes were chosen by the authors of this workflow, who know which ones it looks for.
"""


def table(header, rows):
    """Lines of a table."""
    return "\n".join(
        [f"| {' | '.join(header)} |", "| --- " * len(header) + "|"] + [f"| {' | '.join(r)} |" for r in rows]
    )


def number(value):
    """Three digits."""
    if value is None or not np.isfinite(value):
        return ""
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def cells(errors):
    """Of a row: pixel, shape, that of the channels, corner, colour."""
    if errors is None:
        return ["another size", "", "", "", ""]
    pixel, shape, channels, corner, color = errors
    return [number(pixel), number(shape), " ".join(map(number, channels)), number(corner), number(color)]


def write(facts, worlds, every, found, floors, noticed):
    """Text of the page.

    Parameters
    ----------
    facts : dict
        day, harmless, few, trim, blocks, drawn, left_out (titles of worlds).
    worlds : dict
        `World` by title.
    every : list of flatbench_programs.Program
    found : dict
        What `flatbench.measure` returns, by title of the world and name of the program.
    floors : dict
        Unavoidable errors of the light by title.
    noticed : dict
        `flatbench.Judged` by mistake and name of the program.
    """
    run = [each for each in every if not each.missing]
    versions = {name: each["version"] for (_, name), each in found.items()}
    settings = "\n".join(f"| {each.name} | {versions[each.name]} | {each.settings} |" for each in run)
    missing = "; ".join(f"{each.name}, which {each.missing}" for each in every if each.missing)
    missing += "".join(f"; world *{title}*, which was left out this time" for title in facts["left_out"])
    short = summary(worlds, run, found, noticed, facts["harmless"])
    titles = [
        f"| {title} | {w.shape[0]} x {w.shape[1]} | 3 x {w.frames} | {'even' if w.even else 'uneven'} |"
        for title, w in worlds.items()
    ]
    parts = [
        HEADER.format(summary=short, machine=machine(), day=facts["day"], settings=settings, missing=missing),
        FRAMES.format(
            worlds="\n".join(titles), biases=BIASES, darks=DARKS, sky=SKY, trim=facts["trim"],
            blocks=facts["blocks"],
        ),
        READING["light"],
        lights(worlds, run, found, floors),
        "",
        "![errors of a calibrated light, by world and program](images/flatbench.png)\n",
        f"*Shape error of the calibrated probe. Grey: divided by {FLOOR}.*\n",
        "![maps of the calibrated probe](images/flatbench_maps.png)\n",
        f"*World \"{facts['drawn']}\": departure of the calibrated probe from evenness, green, percent.*\n",
        READING["master"],
        masters(worlds, found),
        "",
        READING["bars"],
        bars(worlds, found),
        "",
        *quoted(found),
        READING["mistakes"].format(count=len({m for m, _ in noticed}), few=facts["few"], harmless=facts["harmless"]),
        mistakes(run, noticed, facts["harmless"]),
        "",
        "What they said:\n",
        *quotes(noticed),
        "",
        READING["costs"],
        costs(worlds, found),
        "",
        LIMITS,
    ]  # fmt: skip
    return "\n".join(parts)


def summary(worlds, run, found, noticed, harmless):
    """A column a program, the best of each row in bold; of costs this workflow's whole run."""
    rows = []

    def add(title, values, shown=number, best=min):
        known = [value for value in values if value is not None]
        if known:
            top = {best(known)} if len(known) > 1 and best else set()
            marks = ["**" if value in top else "" for value in values]
            cut = ["-" if value is None else shown(value) for value in values]
            rows.append([title, *(f"{mark}{text}{mark}" for mark, text in zip(marks, cut, strict=True))])

    def errors(title, part):
        lights = [found[title, each.name]["lights"] if (title, each.name) in found else {} for each in run]
        measured = [each.get("probe", {}).get("errors") for each in lights]
        return [each[part] if each else None for each in measured]

    for title in worlds:
        add(f"light, shape, %: {title}", errors(title, 1))
    for title in worlds:
        add(f"light, pixel, %: {title}", errors(title, 0))
    counts = [[judged for (_, by), judged in noticed.items() if by == each.name] for each in run]
    named = [sum(bool(each.sentence) for each in own) for own in counts]
    add("mistakes named", list(zip(named, map(len, counts), strict=True)), lambda pair: f"{pair[0]} of {pair[1]}", max)
    add("wrong without a word", [sum(is_silent(each, harmless) for each in own) for own in counts], str, None)
    bars = [any(m["pull"] is not None for (_, by), each in found.items() if by == program.name
                for m in each["masters"].values()) for program in run]  # fmt: skip
    add("error bars", bars, lambda value: "yes" if value else "no", None)
    for title in worlds:
        taken = [found[title, each.name]["taken"][1] if (title, each.name) in found else None for each in run]
        add(f"processor s: {title}", taken, lambda value: f"{value:.1f}")
    return table(["", *(each.name for each in run)], rows)


def is_silent(judged, harmless):
    """Whether a light came out that is wrong, and nothing named the mistake."""
    return judged.made and not judged.sentence and max(judged.harm, judged.clean - WRONG) > harmless


def lights(worlds, run, found, floors):
    rows = []
    for title in worlds:
        for program in run:
            if (title, program.name) in found:
                light = found[title, program.name]["lights"].get("probe")
                rows.append([title, program.name, *(cells(light["errors"]) if light else ["no light", "", "", "", ""])])
        rows.append([title, FLOOR, *cells(floors[title])])
    return table(["world", "by", "pixel", "shape", "red green blue", "corner", "colour"], rows)


def masters(worlds, found):
    rows = []
    for (title, name), each in found.items():
        for master, measured in each["masters"].items():
            by = f"{name}, `{master}`" if name == OURS else name
            rows.append([title, by, *cells(measured["errors"])])
    return table(["world", "by", "pixel", "shape", "red green blue", "corner", "colour"], rows)


def bars(worlds, found):
    rows = []
    for (title, name), each in found.items():
        measured = [(f"master, `{key}`" if name == OURS else "master", value) for key, value in each["masters"].items()]
        measured += [("light, sky of `night`", each["lights"]["night"])] if "night" in each["lights"] else []
        rows += [[title, name, what, f"{own['pull']:.2f}"] for what, own in measured if own["pull"] is not None]
    return table(["world", "by", "errors of", "standard deviation"], rows)


def quoted(found):
    """Of this workflow: what it says of the shape of its response, and what that is."""
    rows = []
    for (title, name), each in found.items():
        if name == OURS and each.get("quoted") is not None and "response.fits" in each["masters"]:
            true = each["masters"]["response.fits"]["errors"][1]
            rows.append([title, number(each["quoted"]), number(true)])
    if not rows:
        return []
    text = (
        "This workflow also says how wrong its response is on large scales, percent rms; no other program does. It\n"
        "holds an expectation of what the angles cannot show, which is on the large side:\n"
    )
    return [text, table(["world", "said", "true (shape)"], rows), ""]


def verdict(judged, harmless):
    """A cell of the table of mistakes."""
    said = "says so" if judged.sentence else ""
    if not judged.made:
        return f"**{said}**, stops" if said else "stops, gives no reason"
    if judged.clean > WRONG:
        return f"**{said}**; wrong anyway" if said else "silent; wrong anyway"
    harm = f"{number(judged.harm)}" + ("" if judged.harm > harmless else ", no harm")
    return f"**{said}**; {harm}" if said else f"silent; {harm}"


def mistakes(run, noticed, harmless):
    names = [each.name for each in run]
    rows = []
    for mistake in dict.fromkeys(m for m, _ in noticed):
        own = [noticed.get((mistake, name)) for name in names]
        rows.append(
            [mistake, MISTAKES[mistake][0], *("-" if each is None else verdict(each, harmless) for each in own)]
        )
    counts = []
    for name in names:
        own = [judged for (_, by), judged in noticed.items() if by == name]
        wrong = sum(is_silent(each, harmless) for each in own)
        counts.append(f"{sum(bool(each.sentence) for each in own)} of {len(own)} said; {wrong} wrong without a word")
    rows.append(["all", "", *counts])
    return table(["mistake", "frames", *names], rows)


def quotes(noticed):
    """The first sentence of each that named a mistake."""
    lines = []
    for (mistake, name), judged in noticed.items():
        if judged.sentence:
            text = judged.sentence.replace("`", "'").replace("|", "/").strip()
            lines.append(f"- {mistake}, {name}: `{text if len(text) < 330 else text[:330] + ' ...'}`")
    return lines or ["- nothing."]


def costs(worlds, found):
    rows = []
    for (title, name), each in found.items():
        made = [("whole run", each["taken"])] + ([("alone", each["alone"])] if "alone" in each else [])
        for what, (wall, cpu, memory, disk) in made:
            by = f"{name}, {what}" if "alone" in each else name
            rows.append([title, by, f"{cpu:.1f}", f"{wall:.1f}", f"{memory:.0f}", f"{disk:.1f}"])
    return table(["world", "by", "processor s", "wall s", "MB of memory", "MB of disk"], rows)


def draw_errors(path, worlds, run, found, floors):
    """Shape error of the calibrated probe by world and program, logarithmic."""
    figure = Figure(figsize=(8, 1.2 + 1.15 * len(worlds)), layout="constrained")
    axis = figure.subplots()
    colors = dict(zip((each.name for each in run), ("C0", "C1", "C2", "C3", "C5", "C4"), strict=False))
    labels, place = set(), 0.0
    ticks = []
    for title in worlds:
        start = place
        for name, color in colors.items():
            light = found.get((title, name), {}).get("lights", {}).get("probe")
            if light and light["errors"]:
                label = None if name in labels else name
                labels.add(name)
                axis.barh(place, light["errors"][1], color=color, label=label)
                place += 1
        axis.barh(place, floors[title][1], color="0.6", label=None if FLOOR in labels else FLOOR)
        labels.add(FLOOR)
        ticks.append(((start + place) / 2, title))
        place += 2
    axis.set(xscale="log", xlabel="percent rms over blocks", yticks=[at for at, _ in ticks])
    axis.set_yticklabels([title for _, title in ticks])
    axis.invert_yaxis()
    axis.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside right upper")
    figure.savefig(path, dpi=90, metadata={"Software": None})


def draw_maps(path, title, run, found):
    """Departure of the calibrated probe from evenness, a map of each program, at one scale."""
    maps = [(each.name, found[title, each.name]["lights"].get("probe", {}).get("map")) for each in run
            if (title, each.name) in found]  # fmt: skip
    maps = [(name, np.array(each, float)) for name, each in maps if each is not None]
    columns = 3
    rows = -(-len(maps) // columns)
    figure = Figure(figsize=(9, 2.5 * rows), layout="constrained")
    axes = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for axis in axes:
        axis.axis("off")
    for axis, (name, values) in zip(axes, maps, strict=False):
        drawn = axis.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1)
        axis.set_title(f"{name}\n{np.nanmin(values):+.2f} to {np.nanmax(values):+.2f} %", fontsize=9)
    if maps:
        figure.colorbar(drawn, ax=axes, label="percent", shrink=0.8, extend="both")
    figure.savefig(path, dpi=90, metadata={"Software": None})
