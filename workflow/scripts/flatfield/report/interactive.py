"""The page in which all maps of a set are zoomed, measured and cut together."""

import base64
import json
import zlib
from pathlib import Path

import numpy as np
from bokeh.embed import json_item
from bokeh.layouts import column, gridplot
from bokeh.models import ColorBar, ColumnDataSource, CrosshairTool, LinearColorMapper, Range1d, Span
from bokeh.palettes import RdBu11, Viridis256, interp_palette
from bokeh.plotting import figure
from bokeh.resources import Resources
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from flatfield.files.fits import read_image, read_planes
from flatfield.measure.blocks import block_average
from flatfield.raw.mosaic import read_mosaic
from flatfield.raw.robust import robust_deviation
from flatfield.report.plotting import CHANNEL_COLORS, color_limits, describe_pose

#: Pixels of all maps together: a page with this many loads in less than 3 s.
PIXELS = 4_000_000
#: Values are rounded to this part of the noise of a map.
NOISE_PARTS = 16
WIDTH = 340  # of a map on the page, screen pixels
LINE_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")


def render_page(template, code, paths, title):
    """The page as text.

    Parameters
    ----------
    template, code : str
        Files.
    paths : dict
        subsets, differences: lists of mosaics; flat, response: debayered planes; source: the light source.
    title : str
        Of the set.
    """
    first = read_mosaic(paths["subsets"][0])
    count = len(paths["subsets"]) + 2 * len(paths["differences"]) + 9
    size = choose_size(first.shape, first.cfa.period, count)
    groups = collect(paths, size)
    layout, maps = draw(groups, first.shape, size)
    description = {
        "rows": first.shape[0],
        "columns": first.shape[1],
        "size": size,
        "groups": [{key: group[key] for key in ("name", "unit", "signed")} for group in groups],
        "maps": maps,
    }
    file = Path(template)
    environment = Environment(loader=FileSystemLoader(file.parent), autoescape=True, undefined=StrictUndefined)
    return environment.get_template(file.name).render(
        title=title,
        size=size,
        groups=groups,
        bokeh="\n".join(Resources(mode="inline", components=["bokeh"]).js_raw),
        code=Path(code).read_text(encoding="utf-8"),
        item=script_json(json_item(layout, "view")),
        description=script_json(description),
    )


def choose_size(shape, period, count):
    """Side of the blocks that are averaged, pixels: the smallest multiple of the colour pattern that fits the page."""
    size = period = max(period, 1)
    while count * (shape[0] // size) * (shape[1] // size) > PIXELS:
        size += period
    return size


def collect(inputs, size):
    """Groups of maps that share their unit and colours, averaged in blocks.

    Returns
    -------
    list of dict
        name, unit, signed, and maps: label and values ``(rows, columns)``.
    """
    subsets = [read_image(path) for path in inputs["subsets"]]
    subsets = [(f"{header['SUBSET']}, {describe_pose(header)}", block_average(data, size)) for data, header in subsets]
    percent, sigma = [], []
    for path in inputs["differences"]:
        data, header = read_image(path, "PERCENT")
        label = f"{header['MINUEND']} - {header['SUBTRAHE']}"
        percent.append((label, block_average(data, size)))
        sigma.append((label, block_average(read_image(path, "Z")[0], size) * size))
    source = read_image(inputs["source"])[0]
    unknown = [("error", "UNCERT"), ("may be hidden in the response", "HIDDEN")]
    unknown = [(label, block_average(read_image(inputs["source"], name)[0], size)) for label, name in unknown]
    groups = [
        ("subsets", "DN above black", False, subsets),
        ("differences", "percent", True, percent),
        ("differences, significance", "standard errors", True, sigma),
        ("flat", "percent of the centre", False, relative(inputs["flat"], size)),
        ("light source", "percent", True, [("camera at 0°", block_average(source, size))]),
        ("light source, not known", "percent", False, unknown),
        ("response", "percent of the centre", False, relative(inputs["response"], size)),
    ]
    return [
        {"name": name, "unit": unit, "signed": signed, "maps": maps}
        for name, unit, signed, maps in groups
        if any(np.isfinite(values).any() for _, values in maps)
    ]


def relative(path, size):
    """Channels of debayered planes in percent of their mean in the middle of the field."""
    planes, channels, _ = read_planes(path)
    maps = []
    for channel, plane in zip(channels, planes, strict=True):
        values = block_average(plane, size)
        rows, columns = (slice(3 * length // 8, max(5 * length // 8, 3 * length // 8 + 1)) for length in values.shape)
        center = float(np.nanmean(values[rows, columns]))
        maps.append((f"{channel}, centre {center:.5g} DN", 100 * values / center))
    return maps


def color_of(label, number):
    """Colour of the profile of a map: of its channel, if it is one."""
    return CHANNEL_COLORS.get(label.partition(",")[0], LINE_COLORS[number % len(LINE_COLORS)])


def draw(groups, shape, size):
    """Figures whose ranges and crosshairs are linked, and the packed values of their maps.

    Returns
    -------
    layout : bokeh.models.Column
    maps : list of dict
        group (index), label, color, rows, columns, and what `pack` returns.
    """
    x_range = Range1d(-0.5, shape[1] - 0.5, bounds="auto")
    y_range = Range1d(shape[0] - 0.5, -0.5, bounds="auto")
    lines = Span(dimension="width", line_dash="dashed"), Span(dimension="height", line_dash="dashed")
    rows_of_figures, maps = [], []
    for index, group in enumerate(groups):
        values = np.concatenate([values.ravel() for _, values in group["maps"]])
        low, high = color_limits(values, group["signed"])
        palette = interp_palette(RdBu11, 256) if group["signed"] else Viridis256
        mapper = LinearColorMapper(palette=palette, low=low, high=high, nan_color="#bbbbbb", name=f"mapper-{index}")
        figures = []
        for number, (label, values) in enumerate(group["maps"]):
            plot = figure(
                title=f"{group['name']}: {label}",
                x_range=x_range,
                y_range=y_range,
                frame_width=WIDTH,
                frame_height=round(WIDTH * shape[0] / shape[1]),
                tools="pan,wheel_zoom,box_zoom,reset,save",
                active_scroll="wheel_zoom",
                output_backend="canvas",
                name=f"figure-{len(maps)}",
            )
            plot.add_tools(CrosshairTool(overlay=lines))
            plot.grid.visible = False
            source = ColumnDataSource({"image": [np.zeros((1, 1), np.float32)]}, name=f"source-{len(maps)}")
            rows, columns = values.shape
            plot.image("image", source=source, x=-0.5, y=-0.5, dw=columns * size, dh=rows * size, color_mapper=mapper)
            place = {"group": index, "label": label, "color": color_of(label, number), "rows": rows, "columns": columns}
            maps.append(place | pack(values))
            figures.append(plot)
        bar = ColorBar(color_mapper=mapper, title=group["unit"])
        figures[-1].add_layout(bar, "right" if len(figures) > 1 else "below")  # columns stay as wide as a map
        rows_of_figures.append(figures)
    profile = figure(
        title="profile", frame_width=2 * WIDTH, frame_height=240, tools="pan,wheel_zoom,box_zoom,reset", name="profile"
    )
    profile.toolbar.logo = None
    lines_of_profile = ColumnDataSource({"xs": [[0, 1]], "ys": [[0, 1]], "color": ["#000000"]}, name="profile-lines")
    profile.multi_line("xs", "ys", color="color", source=lines_of_profile, line_width=1.5)
    grid = gridplot(rows_of_figures, merge_tools=True, toolbar_location="above", toolbar_options={"logo": None})
    return column(grid, profile), maps


def pack(values):
    """Values as text for the page: rounded, differences of neighbours, compressed.

    Parameters
    ----------
    values : numpy.ndarray, ``(rows, columns)``

    Returns
    -------
    dict
        step: rounding, a part of the noise; data: base64 of the zlib stream of four planes of bytes, lowest first, of
        the differences d of neighbours in reading order as ``2 |d| - (d < 0)``; unknown: the same of a byte a value, 1
        where it is not finite, or empty.
    """
    finite = np.isfinite(values)
    known = np.where(finite, values, 0)
    noise = robust_deviation(np.diff(known, axis=1))[1] / 2**0.5 if values.shape[1] > 1 else 0
    step = float(noise / NOISE_PARTS or np.ptp(known) / 65535 or 1)
    step = max(step, float(np.abs(known).max()) / 2**29)
    whole = np.rint(known.ravel() / step).astype(np.int64)
    change = np.diff(whole, prepend=0)
    folded = np.where(change < 0, -2 * change - 1, 2 * change).astype("<u4")
    planes = folded.view(np.uint8).reshape(-1, 4).T
    return {"step": step, "data": squeeze(planes), "unknown": "" if finite.all() else squeeze(~finite)}


def squeeze(array):
    return base64.b64encode(zlib.compress(np.ascontiguousarray(array).astype(np.uint8).tobytes(), 9)).decode()


def script_json(value):
    """JSON that can stand in a script element: no text of a file can end it."""
    return json.dumps(value).replace("<", "\\u003c")
