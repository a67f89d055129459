"""Propose a configuration for a folder of frames: `make init FRAMES=folder`."""

import argparse
import os
import sys
import traceback
from collections import Counter, defaultdict
from pathlib import Path

import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from flatfield.files.errors import ConfigurationError, FlatfieldError  # noqa: E402
from flatfield.files.writing import write_text  # noqa: E402
from flatfield.init import proposal  # noqa: E402
from flatfield.init.catalogue import catalogue, list_files  # noqa: E402
from flatfield.init.coverage import coverage  # noqa: E402
from flatfield.init.text import write_config  # noqa: E402
from flatfield.plan import configuration, selection  # noqa: E402

DEMO = ROOT / "config/config.yaml"
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
SHOWN = 8  # files of one reason that are named
console = Console(width=None if sys.stdout.isatty() else 140)


def main(frames, config, project, overwrite, threads):
    """Show what is in `frames`, then write `config`.

    Parameters
    ----------
    frames : str
        Folder, searched with all folders in it.
    config : str
        File to write.
    project : str
        Folder in which it is written, made where it is not there; of one that ends with ``/`` the name is proposed,
        and made in it. Empty for the folder that this is started in.
    overwrite : bool
        Replace it although it is there. The demo's configuration is replaced in any case: a copy is config/config.yaml.
    threads : int

    Raises
    ------
    ConfigurationError
        If there is nothing to propose, or `config` must not be replaced.
    """
    chosen = f" CONFIG={config}" if config != "config.yaml" else ""
    if not project.endswith("/"):
        check_free(Path(project, config), overwrite, f"{frames}{f' PROJECT={project}' if project else ''}{chosen}")
    frames = os.path.abspath(frames) if project else frames
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("reading", total=None)
        found = catalogue(frames, threads, lambda done, total: progress.update(task, completed=done, total=total))
    if not found.runs:
        show_unusable(found.unusable)
        raise ConfigurationError(f"there is no frame that can be used in {frames}")
    proposed = proposal.propose(found)
    show(proposed)
    show_unusable(found.unusable | proposed.unused)
    if not proposed.sets:
        raise ConfigurationError(
            f"there are no flats in {frames}: no frame is smooth and bright, or called a flat by its header or folder"
        )
    if project.endswith("/"):
        project += proposal.name_of_project(proposed) or "flats"
    path, chosen = Path(project, config), (f" PROJECT={project}" if project else "") + chosen
    check_free(path, overwrite, f"{frames}{chosen}")
    if sys.stdin.isatty():
        ask_turns(proposed)
    text = write_config(proposed, frames, list_files(frames))
    check(yaml.safe_load(text))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    guesses = sum("# ?" in line for line in text.splitlines()[1:])  # the first explains the mark
    unsure = f" Look at its {guesses} line{'s' * (guesses != 1)} marked `# ?`." if guesses else ""
    console.print(Text(f"Wrote {path}.{unsure} Next: make{chosen}"))


def check_free(path, overwrite, arguments):
    """Refuse to replace a configuration that somebody wrote: `arguments` of `make init`, for the message."""
    if path.exists() and not overwrite and path.read_bytes() != DEMO.read_bytes():
        again = f"make init FRAMES={arguments} OVERWRITE=yes"
        raise ConfigurationError(f"{path} exists and is kept; to replace it: {again}")


def show(proposed):
    """Print what was found, a row a subset or light."""
    table = Table(title="What was found", title_justify="left")
    for name in ("what", "name", "subset", "frames", "turned", "camera", "optics", "settings", "taken"):
        table.add_column(
            name,
            justify="right" if name == "frames" else "left",
            max_width=24 if name in ("camera", "optics") else None,
            overflow="fold",
        )
    for each in proposed.sets:
        for part in each.parts:
            turned = "?" if part.rotation is None else f"{part.rotation:g}°" + ("?" if part.doubts else "")
            subset = part.name if len(each.parts) > 1 else ""
            shown = proposal.describe(proposal.SetProposal(each.name, [part]))
            add(table, "flats", each.name, subset, len(part.entries), turned if subset else "", *shown.values())
    for each in proposed.lights:
        flat = f"lights, flat: {each.flat or 'none'}"
        add(table, flat, each.name, "", len(each.entries), "", *proposal.describe(each).values())
    everything = (*proposed.sets, *proposed.lights)
    for kind in ("bias", "dark"):
        groups = {tuple(entry.path for entry in getattr(each, kind)): each for each in everything}
        for paths, each in groups.items():
            if paths:
                one = proposal.SetProposal("", [proposal.Part("", getattr(each, kind))])
                folder = os.path.dirname(paths[0]) or "."
                add(table, kind, folder, "", len(paths), "", *proposal.describe(one).values())
    console.print(table)
    show_nights(coverage(proposed))
    for each in everything:
        for doubt in (*each.doubts, *dict.fromkeys(doubt for part in each.parts for doubt in part.doubts)):
            console.print(Text(f"? {each.name}: {doubt}"))


def show_nights(rows):
    """Print what the lights of each night and filter have, where there are several, or flats are missing."""
    if len(rows) < 2 and not any(row["flats"].startswith(("no flats", "none")) for row in rows):
        return
    table = Table(title="Nights", title_justify="left")
    for name in ("night", "filter", "angle", "lights", "flats", "bias", "darks"):
        table.add_column(name, justify="right" if name == "lights" else "left", overflow="fold")
        if not any(row[name] for row in rows):
            table.columns.pop()
    for row in rows:
        add(table, *(row[column.header] for column in table.columns))
    console.print(table)


def add(table, *cells):
    """Add a row of plain text: names of files and lenses are no markup."""
    table.add_row(*(Text(str(cell)) for cell in cells))


def show_unusable(unusable):
    """Print the files that are not used, by reason."""
    by_reason = defaultdict(list)
    for path, reason in unusable.items():
        by_reason[reason].append(path)
    for reason, paths in by_reason.items():
        more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
        if reason.startswith("neither a camera raw nor FITS") and more:
            kinds = Counter(Path(path).suffix.lower() or "no suffix" for path in paths)
            more += f" ({', '.join(f'{number} {kind}' for kind, number in kinds.most_common())})"
        console.print(Text(f"not used: {', '.join(paths[:SHOWN])}{more}: {reason}"), soft_wrap=True)


def ask(question):
    """Words of an answer; none where the input ends."""
    try:
        return console.input(question).replace(",", " ").split()
    except EOFError:
        return []


def ask_turns(proposed):
    """Ask the person at the terminal for the turns of the camera that nothing gives; Enter leaves them open."""
    for each in proposed.sets:
        unknown = [part for part in each.parts[1:] if part.rotation is None]
        if not unknown:
            continue
        names = ", ".join(part.name for part in each.parts)
        example = " ".join(f"{90 * number % 360}" for number in range(len(each.parts)))
        question = Text(
            f"{each.name}: by how many degrees was the camera turned in {names}\n"
            f"(counter-clockwise, seen from behind)? Example: {example}. Enter to leave it open: "
        )
        while answer := ask(question):
            try:
                angles = [float(word) for word in answer]
            except ValueError:
                angles = []
            if len(angles) == len(each.parts):
                for part, angle in zip(each.parts, angles, strict=True):
                    part.rotation, part.doubts = angle, []
                break
            console.print(Text(f"{len(each.parts)} numbers are needed, one each for {names}."))


def check(config):
    """Check that the workflow would take the configuration."""
    config = configuration.validate(config, configuration.read_yaml(SCHEMA))
    for name, options in config["sets"].items():
        selection.resolve_set(name, options, config["raw_root"])
    lights = {
        name: selection.resolve_lights(name, options, config["raw_root"]) for name, options in config["lights"].items()
    }
    selection.check_stems(lights)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make init", description=__doc__)
    parser.add_argument("frames", help="folder of frames")
    parser.add_argument("--config", default="config.yaml", help="file to write")
    parser.add_argument("--project", default="", help="folder of the project; with / at its end, a name is proposed")
    parser.add_argument("--overwrite", action="store_true", help="replace it although it is there")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    try:
        main(**vars(parser.parse_args()))
    except FlatfieldError as error:
        sys.exit(f"error: {error}")
    except Exception as error:
        if os.environ.get("FLATFIELD_DEBUG"):
            raise
        where = traceback.extract_tb(error.__traceback__)[-1]
        sys.exit(
            f"error: {type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno}): a mistake of "
            "this program; please report it, with the file that it stopped at"
        )
