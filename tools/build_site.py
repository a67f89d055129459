"""Build the site: documentation, every configuration key, the library, the demo's report: `make site`."""

import argparse
import os
import re
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parent.parent
SCRIPTS = PROJECT / "workflow/scripts"
sys.path.insert(0, str(SCRIPTS))

from flatfield.files.errors import ConfigurationError, FlatfieldError  # noqa: E402
from flatfield.files.version import VERSION  # noqa: E402

SCHEMA = "workflow/schemas/config.schema.yaml"
#: Pages under the headings of the navigation; other pages of docs/ follow under the last one.
NAVIGATION = {
    "First steps": (
        *("docs/tutorial.md", "docs/own-camera.md", "docs/shooting.md", "docs/one-angle.md", "docs/nights.md"),
        *("docs/other-programs.md", "docs/updating.md"),
    ),
    "Results": ("demo.md", "gallery.md", "docs/report.md", "docs/results.md", "docs/tables.md", "docs/glossary.md"),
    "Configuration": ("config/README.md", "configuration.md"),
    "Elsewhere": ("docs/platforms.md", "docs/scale.md", "docs/cluster.md", "docs/storage.md"),
    "Evidence": (
        *("docs/flatbench.md", "docs/science.md", "docs/truth.md", "docs/limits.md", "docs/reliability.md"),
        "benchmarks/results.md",
    ),
    "Project": ("library.md", "docs/dependencies.md", "CHANGELOG.md"),
}
#: Files that are called otherwise on the site.
MOVED = {"README.md": "index.md", SCHEMA: "configuration.md"}
LINK = re.compile(r"(\]\()(?![a-z]+:|#)([^)#\s]+)")
HIDDEN_COLON = "\N{RATIO}"
IMAGE = re.compile(r"!\[([^\]]+)\]\(([^)\s]+)\)")
STYLE = """\
.gallery { columns: 20rem; column-gap: 1.5rem; }
.gallery figure { break-inside: avoid; margin: 0 0 1.5rem; }
.gallery figcaption { text-align: left; font-size: var(--font-size--small); }
article img { background: #fff; border-radius: 4px; }
iframe.page { width: 100%; height: 80vh; border: 1px solid var(--color-background-border); border-radius: 4px; }
article :is(h1, h2, h3) code.literal { font-size: 1em; background: none; border: 0; padding: 0; }
@media (min-width: 87em) { .content { width: 51em; } }
@media (min-width: 100em) { .content { width: 64em; } }
"""
OPTIONS = {
    "project": "flatfield",
    "version": VERSION,
    "release": VERSION,
    "language": "en",
    "extensions": ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"],
    "html_theme": "furo",
    "html_title": f"flatfield {VERSION}",
    "html_static_path": ["_static"],
    "html_css_files": ["site.css"],
    "html_show_sourcelink": False,
    "html_show_copyright": False,
    "html_copy_source": False,
    "myst_heading_anchors": 4,  # as GitHub makes them: links between pages lead there too
    "myst_enable_extensions": ["colon_fence"],
    "autodoc_member_order": "bysource",
    "napoleon_google_docstring": False,
    "napoleon_use_rtype": False,
    "suppress_warnings": ["ref.python"],  # a word in a list of types may be the name of several things
    "default_role": "py:obj",  # names in backquotes lead to what has them, if anything
}


def main(output, results):
    """Write the site.

    Parameters
    ----------
    output : str
        Folder to write; one that is there must be a site.
    results : str
        Folder of results; the demo's are shown on the site.

    Raises
    ------
    ConfigurationError
        If `output` is another folder, or a page has a link that leads nowhere.
    """
    target = Path(output).absolute()
    if target.exists() and any(target.iterdir()) and not (target / ".buildinfo").exists():
        raise ConfigurationError(f"{output} is there and is no site; it is kept")
    with tempfile.TemporaryDirectory(prefix="flatfield-site-") as folder:
        source = Path(folder, "source")
        write_sources(source, Path(results))
        made = Path(folder, "site")
        build(source, made)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(made, target)
    print(f"Wrote {output}: open {output}/index.html")


def write_sources(source, results):
    """The pages that the site is made of: those of the repository in its own layout, and those that are generated."""
    listed = [page for pages in NAVIGATION.values() for page in pages]
    found = sorted(f"docs/{path.name}" for path in (PROJECT / "docs").glob("*.md"))
    others = [page for page in found if page not in listed]
    navigation = {**NAVIGATION, "Project": (*others, *NAVIGATION["Project"])}
    generated = {
        "configuration.md": describe_configuration(yaml.safe_load((PROJECT / SCHEMA).read_text(encoding="utf-8"))),
        "library.md": list_library(),
        **{f"library/{wing}.md": describe_wing(wing) for wing in wings()},
    }
    pages = {page: relink(page) for page in ("README.md", *listed, *others) if (PROJECT / page).exists()}
    extra = source / "_extra"
    for page, content in pages.items():
        for _, path in IMAGE.findall(content):
            place = os.path.normpath(Path(page).parent / path)
            (source / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / place, source / place)
    generated["demo.md"] = show_demo(results, extra)
    generated["gallery.md"] = show_pictures(pages, results, source)
    for heading, names in navigation.items():
        pages["README.md"] += list_pages(heading, [name for name in names if name in {**pages, **generated}])
    for name, text in {**pages, **generated}.items():
        place = source / MOVED.get(name, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    (source / "_static").mkdir()
    (source / "_static/site.css").write_text(STYLE)
    extra.mkdir(exist_ok=True)


def build(source, target):
    """Let Sphinx make the pages; its warnings are errors."""
    try:
        from sphinx.application import Sphinx
    except ImportError as error:
        raise ConfigurationError(f"{error}; `make site` installs what the site needs") from error
    os.environ["NUMBA_DISABLE_JIT"] = "1"  # kernels are functions then, and have their docstrings
    options = {**OPTIONS, "html_extra_path": [str(source / "_extra")], "exclude_patterns": ["_extra"]}
    app = Sphinx(source, None, target, target.parent / "doctrees", "html", options, status=None, warningiserror=True)
    for priority, colons in {400: (":", HIDDEN_COLON), 600: (HIDDEN_COLON, ":")}.items():  # before and after napoleon
        app.connect("autodoc-process-docstring", partial(exchange, *colons), priority)
    app.build()
    if app.statuscode:
        raise ConfigurationError("the site has warnings, see above")


def exchange(old, new, app, what, name, obj, options, lines):
    """A colon in the words of a constant: napoleon takes what is before it for a type."""
    if what in ("data", "attribute"):
        lines[:] = [line.replace(old, new) for line in lines]


# Pages of the repository


def relink(page):
    """The text of a page, its links to files that are called otherwise on the site changed."""
    folder = Path(page).parent

    def change(found):
        path = os.path.normpath(folder / found[2])
        return found[1] + (os.path.relpath(MOVED[path], folder) if path in MOVED else found[2])

    return LINK.sub(change, (PROJECT / page).read_text(encoding="utf-8"))


def list_pages(heading, pages):
    """A part of the navigation."""
    names = "\n".join(page.removesuffix(".md") for page in pages)
    return f"\n```{{toctree}}\n:hidden:\n:titlesonly:\n:caption: {heading}\n\n{names}\n```\n"


def title_of(text):
    found = re.search(r"^# (.+)$", text, re.MULTILINE)
    return found[1] if found else ""


# Pictures and the demo


def show_pictures(pages, results, source):
    """All pictures of the documentation with their words, and the figures of the demo with their captions."""
    text = "# Pictures\n\nOf the documentation; each leads to where it is explained.\n\n::::{container} gallery\n"
    for page, content in pages.items():
        for words, path in IMAGE.findall(content):
            place = os.path.normpath(Path(page).parent / path)
            title = "front page" if page == "README.md" else title_of(content)
            text += f":::{{figure}} {place}\n\n{words} ([{title}]({MOVED.get(page, page)}))\n:::\n"
    text += "::::\n"
    if not is_demo(results):
        return text
    text += "\n## Figures of the demo\n\nOf its set `outdoors`, and its first light.\n\n::::{container} gallery\n"
    figures = sorted(results.glob("outdoors/plots/*.png")) + sorted(results.glob("lights/*/*_comparison.png"))[:1]
    for figure in figures:
        place = source / "demo-figures" / figure.name
        place.parent.mkdir(exist_ok=True)
        shutil.copy2(figure, place)
        caption = PROJECT / f"workflow/report/{figure.stem}.rst"
        words = caption.read_text().strip() if caption.exists() else "A light before and after, side by side."
        text += f":::{{figure}} demo-figures/{figure.name}\n\n{words}\n:::\n"
    return text + "::::\n"


def is_demo(results):
    """Whether these are finished results of the demo."""
    return (results / "demo.tsv").exists() and (results / "report.html").exists()


def show_demo(results, extra):
    """The demo's report and interactive pages in frames; without results, how to have them."""
    text = "# The demo's report\n\n"
    if not is_demo(results):
        return text + "This copy was made without the demo's results. `make`, then `make site` adds them here.\n"
    text += (
        "Made by `make` from simulated frames. Each of these files stands for itself and can be sent as it is. Of what "
        "the report says is beside it, only the maps are on this site.\n"
    )
    maps = {path: f"Maps of the set {path.parent.name}" for path in sorted(results.glob("*/interactive.html"))}
    for path, words in {results / "report.html": "Report", **maps}.items():
        name = path.relative_to(results).as_posix()
        (extra / "demo" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, extra / "demo" / name)
        text += (
            f"\n## {words}\n\n```{{raw}} html\n"
            f'<p><a href="demo/{name}">Open it in the whole window</a></p>\n'
            f'<iframe class="page" src="demo/{name}" title="{words}" loading="lazy"></iframe>\n```\n'
        )
    return text


# The configuration


def describe_configuration(schema):
    """A page of all keys of the configuration, from its schema.

    Parameters
    ----------
    schema : dict

    Returns
    -------
    str
        In Markdown; each key is a heading, so that it can be linked to and searched for.
    """
    text = (
        "---\ntocdepth: 2\n---\n\n# Every key of the configuration\n\n"
        f"{schema['description']} Made from the schema that each run checks its configuration with; "
        "[the overview](config/README.md) says what the keys are for.\n"
    )
    for name, node in schema["properties"].items():
        text += f"\n## `{name}`\n\n{describe_key(node, schema)}"
        for key, inner in keys_below(name, node, schema):
            text += f"\n### `{key}`\n\n{describe_key(inner, schema)}"
    return text


def keys_below(name, node, schema):
    """Keys within a key, with the place of names that the user gives in angle brackets."""
    node = resolve(node, schema)
    places = {**node.get("properties", {})}
    if isinstance(node.get("additionalProperties"), dict):
        places[f"<{name.rpartition('.')[2].removesuffix('s')}>"] = node["additionalProperties"]
    for key, inner in places.items():
        if not key.startswith("<"):
            yield f"{name}.{key}", inner
        yield from keys_below(f"{name}.{key}", inner, schema)


def resolve(node, schema):
    """A node with what its reference says."""
    if "$ref" not in node:
        return node
    return {**schema["$defs"][node["$ref"].rpartition("/")[2]], **node}


def describe_key(node, schema):
    """Meaning, values and default of a key."""
    node = resolve(node, schema)
    values, default = values_of(node), node.get("default", {})
    facts = [values] * bool(values) + [f"default `{as_yaml(default)}`"] * (default != {})
    description = " ".join(node.get("description", "").split())
    return "\n\n".join(part for part in (description, f"*{'; '.join(facts)}*" if facts else "") if part) + "\n"


def as_yaml(value):
    """A value as one writes it in the configuration."""
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False).removesuffix("...\n").strip()


def values_of(node):
    """What a key may be, in words; nothing for one that holds keys."""
    if "const" in node:
        return f"`{as_yaml(node['const'])}`"
    if "enum" in node:
        return "one of " + ", ".join(f"`{as_yaml(value)}`" for value in node["enum"])
    if "anyOf" in node:
        return ", or ".join(map(values_of, node["anyOf"]))
    kinds = node.get("type", "object")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds == ["object"]:
        return ""
    if kinds == ["array"]:
        number = f"{node['minItems']} " if "minItems" in node and node["minItems"] == node.get("maxItems") else ""
        return f"list of {number}values, each {values_of(node['items'])}"
    bounds = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    limits = " and ".join(f"{word} {node[key]}" for key, word in bounds.items() if key in node)
    form = f"of the form `{node['pattern']}`" if "pattern" in node else ""
    words = " ".join(part for part in (" or ".join(kind for kind in kinds if kind != "null"), limits, form) if part)
    return ", or ".join(part for part in (words, "`null`" if "null" in kinds else "") if part)


# The library


def wings():
    """Parts of the library, in alphabetical order."""
    return sorted(path.parent.name for path in (SCRIPTS / "flatfield").glob("*/__init__.py"))


def purpose_of(path):
    """The first line of the docstring of a module."""
    return path.read_text(encoding="utf-8").split('"""')[1].partition("\n")[0]


def list_library():
    """A page that leads to those of the wings."""
    text = (
        "# The library\n\nThe mathematics of the workflow, in `workflow/scripts/flatfield`: pure functions on arrays, "
        "with input and output at the edges. Before version 1 names may change.\n\n"
    )
    for wing in wings():
        purpose = purpose_of(SCRIPTS / f"flatfield/{wing}/__init__.py")
        text += f"- [`flatfield.{wing}`](library/{wing}.md): {purpose}\n"
    names = "\n".join(f"library/{wing}" for wing in wings())
    return f"{text}\n```{{toctree}}\n:hidden:\n:titlesonly:\n\n{names}\n```\n"


def describe_wing(wing):
    """A page of the modules of a wing: their functions and classes, from their docstrings."""
    text = f"# `flatfield.{wing}`\n\n"
    for path in sorted((SCRIPTS / f"flatfield/{wing}").glob("[!_]*.py")):
        name = f"flatfield.{wing}.{path.stem}"
        text += f"## `{path.stem}`\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```\n\n"
    return text


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make site", description=__doc__)
    parser.add_argument("--output", default="site", help="folder to write")
    parser.add_argument("--results", default="results", help="folder of results; the demo's are shown")
    try:
        main(**vars(parser.parse_args()))
    except FlatfieldError as error:
        sys.exit(f"error: {error}")
