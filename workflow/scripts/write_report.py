"""Write the report: one self-contained page with conclusions, tables, figures and how they were made."""

import base64
import hashlib
import io
import os
import platform
from importlib.metadata import version
from pathlib import Path

import yaml
from docutils.core import publish_parts
from flatfield.files.job import logged_job
from flatfield.report.tables import summarize_inventory, tabulate_noise
from flatfield.files.tables import read_table, tables_by_folder
from flatfield.files.version import VERSION
from flatfield.files.writing import write_text
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

#: Of the embedded pictures, 0 to 100; the PNG files beside the page are exact.
WEBP_QUALITY = 90
PACKAGES = (
    *("snakemake", "rawpy", "exifread", "numpy", "scipy", "numba", "astropy", "matplotlib", "pillow", "tifffile"),
    *("exiv2", "bokeh"),
)


def main(inputs, report, provenance, options):
    """Write the page, and what repeats it.

    Parameters
    ----------
    inputs : dict
        template, script, citation, captions, conclusions, inventories, stats, noise, uniformity, illumination, drift,
        cross, models, sets, plots, lights (their inventories), vignetting, diagnosis, agreement, preset, preset_plots,
        demo: paths.
    report : str
        HTML file to write.
    provenance : str
        YAML file to write: configuration, versions of Python and the packages, digest of the code of each rule.
    options : dict
        config (the whole configuration), sets and lights (names), preset (name and how it treats lights; None without
        one), rules (name, product and digest of the code of each).
    """
    root, packages = Path(report).parent, {package: version(package) for package in PACKAGES}
    inventories, models, stats = (tables_by_folder(inputs[name]) for name in ("inventories", "models", "stats"))
    vignetting = tables_by_folder(inputs["vignetting"])
    preset, preset_stats, preset_diagnosis = (
        tables_by_folder(inputs["preset"], name) for name in ("vignetting.tsv", "stats.tsv", "diagnosis.tsv")
    )
    diagnosis, agreement = tables_by_folder(inputs["diagnosis"]), tables_by_folder(inputs["agreement"])
    name = options["preset"] and options["preset"]["name"]
    lights, noise, uniformity, illumination = (
        tables_by_folder(inputs[name]) for name in ("lights", "noise", "uniformity", "illumination")
    )
    drift = tables_by_folder(inputs["drift"])
    sets, demo = read_table(inputs["sets"]), [row for path in inputs["demo"] for row in read_table(path)]
    plots = {os.path.relpath(path, root): embed(path) for path in [*inputs["plots"], *inputs["preset_plots"]]}
    story = yaml.safe_load(Path(inputs["conclusions"]).read_text(encoding="utf-8"))
    content = {
        "title": "Flat-field report",
        "story": story,
        "captions": {Path(path).stem: render_caption(path) for path in inputs["captions"]},
        "summaries": {name: summarize_inventory(rows) for name, rows in inventories.items()},
        "titles": {name: entry["title"] or name for name, entry in options["config"]["sets"].items()},
        "sets": sets,
        "stats": stats,
        "models": models,
        "noise": {name: tabulate_noise(rows) for name, rows in noise.items()},
        "uniformity": uniformity,
        "illumination": illumination,
        "drift": drift,
        "cross": tables_by_folder(inputs["cross"]),
        "vignetting": vignetting,
        "preset": options["preset"],
        "diagnosis": diagnosis,
        "agreement": agreement,
        "preset_vignetting": preset,
        "preset_diagnosis": preset_diagnosis,
        "preset_stats": preset_stats,
        "demo": demo,
        "set_plots": {name: select(plots, f"{name}/plots/") for name in options["sets"]},
        "shown_light": first_light(plots, options["lights"]),
        "light_plots": {name: select(plots, f"lights/{name}/") for name in options["lights"]},
        "preset_plots": {light: select(plots, f"{name}/lights/{light}/") for light in options["lights"]},
        "config_noise": options["config"]["noise"],
        "config": yaml.safe_dump(options["config"], sort_keys=False, allow_unicode=True),
        "versions": {"flatfield": VERSION} | packages,
        "digest": digest([*inventories.values(), *lights.values()]),
        "rules": options["rules"],
        "citation": cite(inputs["citation"]),
        "script": Path(inputs["script"]).read_text(encoding="utf-8"),
    }
    template = Path(inputs["template"])
    environment = Environment(
        loader=FileSystemLoader(template.parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"number": round_number, "zip": lambda ours, others: zip(ours, others, strict=True)}
    write_text(report, environment.get_template(template.name).render(content))
    record = {
        "config": options["config"],
        "python": platform.python_version(),
        "packages": packages,
        "code": {rule["rule"]: rule["code"] for rule in options["rules"]},
    }
    write_text(provenance, yaml.safe_dump(record, sort_keys=False, allow_unicode=True))


def cite(path):
    """How to cite the program, from its CITATION.cff."""
    citation = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    names = "; ".join(
        ", ".join(author[key] for key in ("name", "family-names", "given-names") if key in author)
        for author in citation["authors"]
    )
    return f"{names}: {citation['title']}, version {VERSION}."


def round_number(text):
    """A number of a table with 4 significant digits or as a whole; other text as it is, unknown where there is none."""
    if text is None:
        return "unknown"
    try:
        number = float(text)
    except ValueError:
        return text
    return f"{number:.0f}" if 1000 <= abs(number) < 1e9 else f"{number:.4g}"


def select(plots, prefix):
    """The plots under a folder, by the stem of their name."""
    return {Path(path).stem: data for path, data in plots.items() if path.startswith(prefix)}


def first_light(plots, lights):
    """The first picture of a light before and after, for the front page: its name and data; empty without one."""
    pictures = ((f"{name} {stem}", data) for name in lights for stem, data in select(plots, f"lights/{name}/").items())
    return next(
        ({"name": name, "data": data} for name, data in pictures if name.endswith("_channels")),
        {"name": "", "data": ""},
    )


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
    sums = "\n".join(row["sha256"] or "" for rows in inventories for row in rows)
    return hashlib.sha256(sums.encode()).hexdigest()


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            dict(snakemake.input.items()),
            snakemake.output.report,
            snakemake.output.provenance,
            snakemake.params.options,
        )
