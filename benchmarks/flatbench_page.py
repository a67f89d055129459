"""The page of `make flatbench`, and its figures."""

from collections import namedtuple

import numpy as np
from flatbench_programs import OURS
from flatbench_worlds import BIASES, DARKS, MISTAKES, SERIES, SKY
from matplotlib.figure import Figure
from projects import machine

FLOOR = "the true response"
#: A light that is this wrong without any mistake, percent, does not show what one adds.
WRONG = 5
#: Factor within which two programs count as alike.
ALIKE = 1.1
STANDING = ("Where it is better", "Where it is neither better nor worse", "Where it is worse")
Measure = namedtuple("Measure", "quantity world cells scores")
HEADER = """# Beside other programs

Is this workflow better than what you have? The same frames went through it and through the programs that one would
take instead, against a truth that is known.

## In a minute

{standing}

Each figure is this workflow's against that of the best of the others; less is better. They count as different by more
than {percent} %. What they mean:

- **Take it** if you turn the camera between the flats: only then the light source is divided out, and that is most of
  its gain in *shape*; or if you want errors, a verdict on your flats, and to hear of mistakes.
- **Stay with what you have** if your lamp is even and your frames are in order: other programs then make as good a
  light in a fraction of the time. The seconds of this workflow hold its analysis and report.
- **Take both**: it does not register, stack or develop. `make handover` writes masters and lights for
  [Siril and PixInsight](other-programs.md).
- Frames are simulated by its authors, who also chose the mistakes: what holds here need not hold for your camera
  ([limits](#limits)). No program was configured by its own authors; each was set as its documentation says.

## In short

{summary}

Errors are of a light without noise, explained below. Bold is best; small differences mean nothing.

This page is written by

```sh
make flatbench                            # python benchmarks/flatbench.py
make flatbench FLATBENCH_BASICPY=path     # with BaSiCPy too: path of a Python that has it, rawpy, astropy and pyyaml
```

on {machine}, {day}.

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
it shows is the error of the calibration. BaSiCPy takes {series} lights like *night*, each of another field of stars,
in place of flats.

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
smooth does not count. 1 is right; above, errors are quoted too small. The other programs quote none.
""",
    "mistakes": """## Mistakes

Each of {count} mistakes is planted alone in small frames ({few} flats in each subset). *Says so* counts where a
sentence that the program did not say of the same frames without the mistake names it; of this workflow sentences of
`conclusions.yaml` and those that a run ends with, of the others all that they print. *Stops* leaves no calibrated
light. The number is what the mistake added to the error of a pixel of the probe, percent rms; below {harmless} it
did no harm. *Wrong anyway*: by more than 5 % without any mistake. A dash: the program does not read such files, or
takes no such frames (BaSiCPy no flats at all). That a mistake is named does not mean that all else that is said of it
is right.
""",
    "costs": """## What it costs

Whole processes with all that they start. *Whole run* of this workflow has the analysis, the figures and the report,
which the others do not make; *alone* is its master and lights only. Two lights each. {others} Memory is
that of the largest process, the disk what is left behind.
""",
}
LIMITS = """## Limits

- Everything is simulated by one simulator, with smooth lamps, a response that does not change, and a linear sensor.
  The angles are exact, and the light source is one of the kind that this workflow solves for: its gain from
  dividing it out is the best that can be expected.
- The errors of one set of frames of each world are given, not their scatter: small differences mean nothing.
- RawTherapee and the notebook make pictures. They are compared at the pixels of the mosaic, in linear camera
  colours where the program can be set so; the notebook's 8-bit picture is gamma-coded and compared as it is.
- This workflow combines frames by a median, its default, which is noisier than the clipped averages of Siril and
  ccdproc: a pixel of its flat shows it. `combine: {method: sigma_clip}` is nearer to theirs.
- ccdproc is a library. Another script could check what this one does not.
- BaSiCPy is made for microscopes. Its lights have wholly different fields and an even sky, which suits it best: the
  gradient of a real sky, the same in all lights, would be in its flat.
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
    compared = measures(worlds, run, found, noticed, facts["harmless"])
    titles = [
        f"| {title} | {w.shape[0]} x {w.shape[1]} | 3 x {w.frames} | {'even' if w.even else 'uneven'} |"
        for title, w in worlds.items()
    ]
    parts = [
        HEADER.format(
            standing=standing(run, compared), summary=summary(run, compared), percent=round(100 * (ALIKE - 1)),
            machine=machine(), day=facts["day"], settings=settings, missing=missing,
        ),
        FRAMES.format(
            worlds="\n".join(titles), biases=BIASES, darks=DARKS, sky=SKY, series=SERIES, trim=facts["trim"],
            blocks=facts["blocks"],
        ),
        READING["light"],
        lights(worlds, run, found, floors),
        "",
        "![Errors of a calibrated light, by world and program](images/flatbench.png)\n",
        f"*Shape error of the calibrated probe. Grey: divided by {FLOOR}.*\n",
        "![Maps of the calibrated probe](images/flatbench_maps.png)\n",
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
        READING["costs"].format(others=beside(facts["others"])),
        costs(worlds, found),
        "",
        LIMITS,
    ]  # fmt: skip
    return "\n".join(parts)


def measures(worlds, run, found, noticed, harmless):
    """What programs are compared by: quantity, world, and of each program what is shown and its score.

    A score is better the lower it is; a program that has none has None, and "-" is shown.
    """
    rows = []

    def add(quantity, world, scores, shown):
        if any(score is not None for score in scores):
            cells = ["-" if score is None else show for score, show in zip(scores, shown, strict=True)]
            rows.append(Measure(quantity, world, cells, scores))

    def errors(title, part):
        lights = [found[title, each.name]["lights"] if (title, each.name) in found else {} for each in run]
        measured = [each.get("probe", {}).get("errors") for each in lights]
        return [each[part] if each else None for each in measured]

    for part, quantity in ((1, "light, error of its shape, %"), (0, "light, error of a pixel, %")):
        for title in worlds:
            add(quantity, title, errors(title, part), list(map(number, errors(title, part))))
    own = [[judged for (_, by), judged in noticed.items() if by == each.name] for each in run]
    for quantity, counted in (
        ("planted mistakes not named", lambda each: not each.sentence),
        ("lights wrong without a word", lambda each: is_silent(each, harmless)),
    ):
        counts = [sum(map(counted, each)) for each in own]
        scores = [count / len(each) if each else None for count, each in zip(counts, own, strict=True)]
        add(quantity, "", scores, [f"{count} of {len(each)}" for count, each in zip(counts, own, strict=True)])
    quoting = {by for (_, by), each in found.items() if any(m["pull"] is not None for m in each["masters"].values())}
    scores = [0 if each.name in quoting else 1 for each in run]
    add("error bars of each pixel", "", scores, ["no" if score else "yes" for score in scores])
    for title in worlds:
        taken = [found[title, each.name]["taken"][1] if (title, each.name) in found else None for each in run]
        add("processor seconds", title, taken, ["" if each is None else f"{each:.1f}" for each in taken])
    return rows


def summary(run, rows):
    """A column a program, the best of each row in bold."""
    lines = []
    for row in rows:
        known = [score for score in row.scores if score is not None]
        bold = [len(known) > 1 and score == min(known) for score in row.scores]
        cells = [f"**{cell}**" if best else cell for cell, best in zip(row.cells, bold, strict=True)]
        lines.append([": ".join(filter(None, row[:2])), *cells])
    return table(["", *(each.name for each in run)], lines)


def standing(run, rows):
    """Where this workflow is better than the best of the others, where worse, and where neither: a paragraph each."""
    ours = [each.name for each in run].index(OURS)
    items = {words: {} for words in STANDING}
    for row in rows:
        rest = [(score, index) for index, score in enumerate(row.scores) if score is not None and index != ours]
        if row.scores[ours] is None or not rest:
            continue
        best, index = min(rest)
        better, worse = (row.scores[ours] < best / ALIKE, row.scores[ours] > best * ALIKE)
        words = list(STANDING)[0 if better else 2 if worse else 1]
        text = f"{row.cells[ours]} against {row.cells[index]} ({run[index].name})"
        items[words].setdefault(row.quantity, []).append(f"*{row.world}* {text}" if row.world else text)
    return "\n\n".join(
        f"**{words}**\n\n" + "\n".join(f"- {quantity}: {'; '.join(each)}" for quantity, each in found.items())
        for words, found in items.items()
        if found
    )


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


def beside(others):
    """What else the machine did, and what follows: a sentence."""
    if others < 0.1:
        return "Nothing else ran meanwhile."
    return (
        f"**Other work took {others:.1f} cores meanwhile: wall times are not to be compared; of processor times only "
        "large differences count.**"
    )


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
    colors = {each.name: f"C{index}" for index, each in enumerate(run)}
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
