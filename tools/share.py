"""Pack a finished analysis into one archive that explains itself and can be run again: `make share`."""

import argparse
import hashlib
import json
import os
import re
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import yaml
from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from flatfield.files.errors import FlatfieldError  # noqa: E402
from flatfield.files.tables import read_table  # noqa: E402
from flatfield.files.version import VERSION  # noqa: E402
from flatfield.files.writing import completed  # noqa: E402
from flatfield.plan import configuration  # noqa: E402
from flatfield.plan.claims import is_claimed, unclaimed_results  # noqa: E402

#: What runs the analysis again.
CODE = (
    *("Snakefile", "Makefile", "README.md", "LICENSE", "CITATION.cff"),
    *("config", "docs", "envs", "profiles", "tools", "workflow"),
)
#: Results that are packed; calibrated lights are not, as they are large and made again from the masters.
RESULTS = ("*.tsv", "*.yaml", "*.html", "*.png", "*.xml", "*.fits")
NOT_RESULTS = ("logs/", "benchmarks/", "*/bands/*", "lights/*/*.fits", "*/lights/*/*.fits")
SECRETS = ("__pycache__", ".pyc")
#: Media types by suffix; the rest is plain text.
FORMATS = {
    ".html": "text/html",
    ".md": "text/markdown",
    ".tsv": "text/tab-separated-values",
    ".yaml": "application/yaml",
    ".json": "application/json",
    ".xml": "application/xml",
    ".png": "image/png",
    ".fits": "application/fits",
    ".py": "text/x-python",
    ".js": "text/javascript",
}
#: Where a second person puts the frames, if they were at an absolute path.
FRAMES_FOLDER = "frames"
RUN_CRATE = "https://w3id.org/ro/wfrun"
PROFILES = {
    f"{RUN_CRATE}/process/0.5": ("Process Run Crate", "0.5"),
    f"{RUN_CRATE}/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
LICENSE_URL = "https://spdx.org/licenses/BSD-3-Clause"
HOW_TO = """\
A flat-field analysis, packed by `make share`. Look at {results}/report.html first.

To run it again: put the raw frames into {frames} under the names in frames.sha256, check them there with
`sha256sum -c`, then type `make` in this folder (Python 3.11 or newer). `sha256sum -c results.sha256` then shows whether
all results are the same, byte for byte. Calibrated lights are not packed; the run makes them.
"""


def main(config, archive):
    """Write a ZIP archive: report, tables, masters, configuration, code, pins, checksums, and an RO-Crate description.

    Parameters
    ----------
    config : str
        Configuration of the run.
    archive : str
        File to write. The same results give the same bytes.

    Raises
    ------
    ConfigurationError
        If the run has not finished.
    """
    options, results, report = configuration.read_finished(config, "report.html")
    made = datetime.fromtimestamp(report.stat().st_mtime, UTC).replace(microsecond=0)
    unclaimed = unclaimed_results(options, results)
    products = [path for path in find_results(results) if is_claimed(path, unclaimed)]
    frames = frames_of(products)
    root, text = relocate(Path(config).read_text(encoding="utf-8"), options.get("raw_root", "."))
    contents = {path.relative_to(ROOT).as_posix(): path for name in CODE for path in files_in(ROOT / name)}
    old = [path for path in configuration.old_flats(options) if not {"/", ".."} & set(Path(path).parts)]
    contents |= {Path(path).as_posix(): Path(path) for path in old}
    contents |= {f"{results}/{path.relative_to(results).as_posix()}": path for path in products}
    contents |= {
        "config.yaml": text.encode(),
        "frames.sha256": checksums({row["file"]: row["sha256"] for row in frames}),
        "results.sha256": checksums({path.as_posix(): digest(path) for path in products if path.suffix != ".html"}),
        "SHARED.txt": HOW_TO.format(results=results, frames=root).encode(),
    }
    contents["ro-crate-metadata.json"] = describe(contents, results, frames, made)
    with completed(archive) as file:
        write_archive(file, contents, made)
    size = Path(archive).stat().st_size / 1e6
    print(f"Wrote {archive}: {len(contents)} files, {size:.1f} MB; {len(frames)} raw frames by checksum only.")
    if unclaimed:
        print(f"Not packed, as {config} does not name them: {', '.join(map(str, unclaimed))}")


def files_in(path):
    """A file, or the files of a folder in order, without what Python leaves there."""
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [each for each in found if each.is_file() and not any(mark in each.as_posix() for mark in SECRETS)]


def find_results(results):
    """Report, tables, masters and pictures of a run."""
    found = {path for pattern in RESULTS for path in results.rglob(pattern)}
    kept = [path for path in found if not any(_under(path.relative_to(results), mark) for mark in NOT_RESULTS)]
    return sorted(kept)


def _under(path, mark):
    return path.as_posix().startswith(mark) if mark.endswith("/") else path.match(mark)


def frames_of(products):
    """Rows of all inventories, each frame once: file and sha256."""
    paths = [path for name in ("frames", "bias", "dark") for path in products if path.name == f"{name}.tsv"]
    rows = [row for path in paths for row in read_table(path) if row.get("sha256")]
    return list({(row["file"], row["sha256"]): row for row in rows}.values())


def relocate(text, root):
    """Folder of the frames for a second person, and the configuration that names it."""
    if not Path(os.path.expanduser(root)).is_absolute():
        return root, text
    return FRAMES_FOLDER, re.sub(r"(?m)^raw_root:.*$", f"raw_root: {FRAMES_FOLDER}", text)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksums(sums):
    """Lines that ``sha256sum -c`` reads."""
    return "".join(f"{value}  {name}\n" for name, value in sums.items()).encode()


def describe(contents, results, frames, made):
    """Metadata of a Workflow Run RO-Crate, JSON."""
    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append("https://w3id.org/ro/terms/workflow-run/context")
    crate.name = "Flat-field analysis"
    crate.description = "Master flats of a camera, how good they are, and the workflow that made them from raw frames."
    crate.license = crate.add(ContextEntity(crate, LICENSE_URL, {"@type": "CreativeWork", "name": "BSD-3-Clause"}))
    crate.datePublished = made
    crate.root_dataset["conformsTo"] = [
        crate.add(ContextEntity(crate, url, {"@type": "CreativeWork", "name": name, "version": version}))
        for url, (name, version) in PROFILES.items()
    ]
    about = {
        "name": "flatfield",
        "version": VERSION,
        "description": "Flat-field analysis",
        "encodingFormat": "text/plain",
    }
    workflow = crate.add_workflow("Snakefile", "Snakefile", main=True, lang="snakemake", properties=about)
    pins = (ROOT / "envs/requirements.txt").read_text(encoding="utf-8")
    workflow.lang["version"] = re.findall(r"(?m)^snakemake==(\S+)", pins)[0]
    files = {}
    for name, path in contents.items():
        if name != "Snakefile":
            kind = {"name": Path(name).name, "encodingFormat": FORMATS.get(Path(name).suffix, "text/plain")}
            source = None if isinstance(path, bytes) else str(path)
            files[name] = crate.add_file(source=source, dest_path=name, properties=kind)
    inputs = []
    for row in frames:
        kind = {
            "@type": "File",
            "name": row["file"],
            "sha256": row["sha256"],
            "encodingFormat": "application/octet-stream",
        }
        inputs.append(crate.add(ContextEntity(crate, f"urn:hash::sha256:{row['sha256']}", kind)))
        crate.root_dataset.append_to("hasPart", inputs[-1])
    action = ContextEntity(
        crate,
        "#run",
        {
            "@type": "CreateAction",
            "name": "Run of the flat-field analysis",
            "description": "Raw flat frames and a configuration in; master flats, tables and the report out.",
            "endTime": made.isoformat(),
            "actionStatus": "http://schema.org/CompletedActionStatus",
        },
    )
    crate.add(action)
    action["instrument"] = workflow
    action["object"] = [files["config.yaml"], *inputs]
    action["result"] = [entity for name, entity in files.items() if name.startswith(f"{results}/")]
    crate.root_dataset["mentions"] = [action]
    return (json.dumps(crate.metadata.generate(), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def write_archive(file, contents, made):
    """Write a ZIP file whose bytes depend on contents and time of the run only."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(f"flatfield-shared/{name}", made.timetuple()[:6])
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            content = contents[name]
            archive.writestr(entry, content if isinstance(content, bytes) else content.read_bytes())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make share", description=__doc__)
    parser.add_argument("--config", default="config.yaml", help="configuration of the run")
    parser.add_argument("--archive", default="flatfield-shared.zip", help="file to write")
    parser.add_argument("--project", default=".", help="folder of the project")
    arguments = vars(parser.parse_args())
    try:
        os.chdir(arguments.pop("project"))
        main(**arguments)
    except (FlatfieldError, yaml.YAMLError) as error:
        sys.exit(f"error: {error}")
