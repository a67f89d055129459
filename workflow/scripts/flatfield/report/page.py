"""The page of the report: pictures, captions and numbers as they stand in it."""

import base64
import hashlib
import io
import os
import platform
import re
from importlib.metadata import version
from itertools import count
from pathlib import Path

import yaml
from docutils.core import publish_parts
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from flatfield.files.tables import UNKNOWN, number_of
from flatfield.files.version import VERSION
from flatfield.report.many_lights import count_values, is_long, join_agreement, summarize_frames
from flatfield.report.tables import round_number, show_noise, show_table, summarize_inventory

#: Packages that products depend on.
PACKAGES = (
    *("snakemake", "rawpy", "exifread", "numpy", "scipy", "numba", "astropy", "matplotlib", "pillow", "tifffile"),
    *("exiv2", "bokeh"),
)
#: Tables of the template that a run may not have.
OPTIONAL = (
    *("vignetting", "diagnosis", "agreement", "stars", "preset_vignetting", "preset_diagnosis", "preset_stats"),
    *("uniformity", "cross", "drift", "models", "stats", "illumination_tests", "camera", "validity"),
)
#: End of the name of pictures before and after.
COMPARISON = "_comparison"
#: Of the embedded pictures, 0 to 100; the PNG files beside the page are exact.
WEBP_QUALITY = 90


def cite(path):
    """How to cite the program, from its CITATION.cff."""
    citation = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    names = "; ".join(
        ", ".join(author[key] for key in ("name", "family-names", "given-names") if key in author)
        for author in citation["authors"]
    )
    return f"{names}: {citation['title']}, version {VERSION}."


def coded(sentence):
    """A sentence as HTML; what stands in backquotes is code.

    Examples
    --------
    >>> str(coded("`a < b`"))
    '<code>a &lt; b</code>'
    """
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(sentence))))


def select(plots, prefix):
    """The plots under a folder, by the stem of their name."""
    return {Path(path).stem: data for path, data in plots.items() if path.startswith(prefix)}


def figures_of(plots, light):
    """The figures of a light, by the stem of their name."""
    return {stem: data for stem, data in select(plots, f"lights/{light}/").items() if not stem.endswith(COMPARISON)}


def comparisons(plots, lights):
    """Pictures before and after, by light and frame: data, size of a half, and a name for the style sheet."""
    found, numbers = {}, count()
    for light in lights:
        for stem, data in select(plots, f"lights/{light}/").items():
            if stem.endswith(COMPARISON):
                name = f"picture-{next(numbers)}"
                found.setdefault(light, {})[stem.removesuffix(COMPARISON)] = {"name": name, **data_of_halves(data)}
    return found


def data_of_halves(data):
    """Width and height of each of two pictures that stand side by side in one, and that."""
    with Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))) as picture:
        return {"data": data, "width": picture.width // 2, "height": picture.height}


def describe_title(summaries):
    """Title of the page: the cameras, and the day of the first frame, as far as they are known."""
    cameras = dict.fromkeys(each["camera"] for each in summaries.values() if each["camera"] != UNKNOWN)
    days = sorted(each["time"][:10] for each in summaries.values() if each["time"] != UNKNOWN)
    return ", ".join([f"Flat fields of {' and '.join(cameras)}" if cameras else "Flat fields", *days[:1]])


def embed(path):
    """A picture as a data URL, in WebP: a fifth of the PNG's size, so that the page can be sent."""
    buffer = io.BytesIO()
    Image.open(path).convert("RGB").save(buffer, "webp", quality=WEBP_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def render_caption(path):
    """HTML of a caption in reStructuredText."""
    settings = {"file_insertion_enabled": False, "raw_enabled": False}
    return publish_parts(Path(path).read_text(encoding="utf-8"), writer="html5", settings_overrides=settings)[
        "fragment"
    ]


def digest(inventories):
    """One checksum of all frames: sha256 of their sha256 values, in order."""
    sums = "\n".join(frame.sha256 or "" for frames in inventories for frame in frames)
    return hashlib.sha256(sums.encode()).hexdigest()


def embed_all(paths, report):
    """Pictures as data URLs, by their path beside the report."""
    return {os.path.relpath(path, Path(report).parent): embed(path) for path in paths}


def versions():
    """Versions of the packages that products depend on."""
    return {package: version(package) for package in PACKAGES}


def describe_run(config, rules):
    """What repeats a run, as YAML: configuration, versions, and the digest of the code of each rule.

    Parameters
    ----------
    config : dict
    rules : list of dict
        Name and digest of the code of each rule.
    """
    record = {
        "config": config,
        "python": platform.python_version(),
        "packages": versions(),
        "code": {rule["rule"]: rule["code"] for rule in rules},
    }
    return yaml.safe_dump(record, sort_keys=False, allow_unicode=True)


class Page:
    """The report, put together from its parts.

    Parameters
    ----------
    template, script, citation : str
        Files: the page, its script, CITATION.cff.
    captions : list of str
        Files in reStructuredText, named as the figures.
    conclusions : str
        ``conclusions.yaml``.
    """

    def __init__(self, template, script, citation, captions, conclusions):
        self.template = Path(template)
        self.content = {
            "story": yaml.safe_load(Path(conclusions).read_text(encoding="utf-8")),
            "captions": {Path(path).stem: render_caption(path) for path in captions},
            "citation": cite(citation),
            "script": Path(script).read_text(encoding="utf-8"),
            "versions": {"flatfield": VERSION} | versions(),
        }

    def add(self, **content):
        """Add values that the template names."""
        self.content |= content

    def add_run(self, config, preset, rules):
        """Add the configuration, the preset (its name and how it treats lights, or None) and the rules."""
        self.add(
            config=yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
            config_noise=config["noise"],
            titles={name: entry["title"] or name for name, entry in config["sets"].items()},
            preset=preset,
            rules=rules,
        )

    def add_frames(self, inventories, lights):
        """Add what went in: frames by set, and by light."""
        summaries = {name: summarize_inventory(frames) for name, frames in inventories.items()}
        self.add(
            summaries=summaries,
            title=describe_title(summaries),
            digest=digest([*inventories.values(), *lights.values()]),
        )

    def add_sets(self, rows, lights):
        """Add ``sets.tsv``, and what to open first: the flat to use, its maps, the calibrated lights (their names)."""
        best, titles = [row["set"] for row in rows if row["verdict"] in ("use", "only")], self.content["titles"]
        opened = [(f"{name}/response.fits", f"the flat of {titles[name]}") for name in best]
        opened += [(f"{name}/interactive.html", f"maps of {titles[name]}") for name in best]
        opened += [(f"lights/{name}/", f"calibrated lights of {name}") for name in lights]
        self.add(sets=rows, opened=opened)

    def add_tables(self, tables, of_lights, of_preset):
        """Add tables by the stem of their name and by set or light; those of the preset begin with ``preset_``."""
        diagnosis, vignetting = of_lights.get("diagnosis", {}), of_lights.get("vignetting", {})
        summed = {name: summarize_frames(vignetting.get(name, []), rows) for name, rows in diagnosis.items()}
        many = {name: rows for name, rows in summed.items() if is_long(diagnosis[name])}
        joined = {name: join_agreement(rows) for name, rows in of_lights.get("agreement", {}).items() if name in many}
        self.add(**tables, **of_lights, **{f"preset_{name}": rows for name, rows in of_preset.items()})
        self.add(counted={name: count_values(rows, "after") for name, rows in many.items()})
        self.add(light_rows=summed, many=many)
        self.add(agreement={**of_lights.get("agreement", {}), **joined})
        self.add(noise={name: show_noise(rows) for name, rows in tables["noise"].items()})

    def add_plots(self, plots, config, preset):
        """Add figures: data URLs by their path."""
        sets, lights, name = config["sets"], config["lights"], preset and preset["name"]
        self.add(
            set_plots={each: select(plots, f"{each}/plots/") for each in sets},
            compared=comparisons(plots, lights),
            light_plots={each: figures_of(plots, each) for each in lights},
            preset_plots={each: select(plots, f"{name}/lights/{each}/") for each in lights},
        )

    def render(self):
        """The page as text."""
        environment = Environment(
            loader=FileSystemLoader(self.template.parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        environment.filters |= {
            "coded": coded,
            "number": round_number,
            "shown": show_table,
            "positive": lambda text: (number_of(text) or 0) > 0,
            "zip": lambda ours, others: zip(ours, others, strict=True),
        }
        content = {name: {} for name in OPTIONAL} | self.content
        return environment.get_template(self.template.name).render(content)
