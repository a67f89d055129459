"""Check all that can be known before anything is combined, and sum up what went in."""

from collections import Counter

from flatfield.measure.calibration import check_fit
from flatfield.files.errors import CombinationError
from flatfield.files.frame_table import used_frames
from flatfield.files.job import logged_job
from flatfield.measure.boxes import locate_box
from flatfield.files.tables import read_table, write_table


def main(sets, lights, summary, options):
    """Write a row a set and light.

    Parameters
    ----------
    sets, lights : list of str
        ``frames.tsv`` of each set and light, in the order of `options`.
    summary : str
        Table to write: kind (set or light), name, frames, used.
    options : dict
        sets (names), flats (name of the set whose flat is applied, by light), regions, combine (sections of
        the configuration), step (every n-th frame is debayered).

    Raises
    ------
    ConfigurationError
        If a region does not lie within the frames.
    CombinationError
        If a subset has too few frames for the method.
    CalibrationError
        If a light differs from its flat in size or colour pattern.
    """
    tables = {name: read_table(path) for name, path in zip(options["sets"], sets, strict=True)}
    rows = []
    for name, frames in tables.items():
        used = used_frames(frames)
        for region, box in options["regions"].items():
            locate_box(region, box, shape_of(used[0]))
        check_counts(name, used, options["combine"], options["step"])
        rows.append({"kind": "set", "name": name, "frames": len(frames), "used": len(used)})
    for (light, flat), path in zip(options["flats"].items(), lights, strict=True):
        frames = read_table(path)
        reference = used_frames(tables[flat])[0]
        for frame in frames:
            check_fit(frame["file"], shape_of(frame), frame["cfa"], flat, shape_of(reference), reference["cfa"])
        rows.append({"kind": "light", "name": light, "frames": len(frames), "used": len(frames)})
    write_table(summary, rows, ["kind", "name", "frames", "used"])


def shape_of(row):
    """Rows and columns of a frame of the inventory."""
    return int(row["rows"]), int(row["columns"])


def check_counts(name, used, combine, step):
    """Check that minmax leaves a frame of each subset, and of every n-th frame."""
    counts = Counter(f"subset {row['subset']}" for row in used if row["subset"])
    counts[f"every {step}th frame" if step > 1 else "all frames"] = len(used[::step])
    rejected = combine["nlow"] + combine["nhigh"]
    for which, count in counts.items():
        if combine["method"] == "minmax" and rejected >= count:
            raise CombinationError(
                f"minmax would reject nlow + nhigh = {rejected} of the {count} frames of {name}, {which}; "
                "lower `combine.nlow` or `combine.nhigh`, or take another method"
            )


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(snakemake.input.sets, snakemake.input.lights, snakemake.output.summary, snakemake.params.options)
