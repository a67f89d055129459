"""Compare the sets: how much their subsets differ, their S/N, and which is the most uniform."""

import numpy as np
from flatfield.inventory import used_frames
from flatfield.job import logged_job
from flatfield.tables import number_of, read_table, write_table


def main(inventories, stats, uniformity, sets, pairs):
    """Write ``sets.tsv``.

    Parameters
    ----------
    inventories, stats, uniformity : list of str
        ``frames.tsv``, ``stats.tsv`` and ``uniformity.tsv`` of each set, in the order of `pairs`.
    sets : str
        Table to write.
    pairs : dict
        Names of the pairs of subsets of each set.
    """
    rows, doubtful = [], set()
    for (name, labels), inventory, table, even in zip(pairs.items(), inventories, stats, uniformity, strict=True):
        frames = used_frames(read_table(inventory))
        center = [row for row in read_table(table) if row["region"] == "center"]
        measured = read_table(even)
        failed = [frame for frame in frames if frame["reason"]]
        if 2 * len(failed) > len(frames) or any(row["significant"] not in ("yes", "no") for row in measured):
            doubtful.add(name)  # nothing tells whether its subsets differ by more than noise
        residuals = {label: rms([row for row in measured if row["pair"] == label]) for label in labels}
        known = [value for value in residuals.values() if value is not None]
        rows.append(
            {
                "set": name,
                "frames": len(frames),
                "exposure_s": _median(frames, "exposure_s"),
                "iso": _median(frames, "iso"),
                **{f"rms_{label}_percent": value for label, value in residuals.items()},
                "rms_percent": float(np.sqrt(np.mean(np.square(known)))) if known else None,
                **{f"snr_{row['channel'].lower()}": row["snr"] and float(row["snr"]) for row in center},
            }
        )
    known = [row["rms_percent"] for row in rows if row["rms_percent"] is not None and row["set"] not in doubtful]
    for row in rows:
        comparable = len(known) > 1 and row["rms_percent"] is not None and row["set"] not in doubtful
        row["most_uniform"] = row["rms_percent"] == min(known) if comparable else None
    columns = list(dict.fromkeys(name for row in rows for name in row))
    first = ["set", "most_uniform", "frames", "exposure_s", "iso"]
    order = {"rms": 1, "snr": 2}
    columns = first + sorted(
        [name for name in columns if name not in first], key=lambda name: order[name.split("_")[0]]
    )
    write_table(sets, [dict.fromkeys(columns) | row for row in rows], columns)


def rms(rows):
    """Quadratic mean over the channels of the differences at large, percent; None where there is none."""
    values = [number_of(row["rms_percent"]) for row in rows]
    known = [value for value in values if value is not None]
    return float(np.sqrt(np.mean(np.square(known)))) if known else None


def _median(frames, name):
    values = [float(frame[name]) for frame in frames if frame[name] is not None]
    return float(np.median(values)) if values else None


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.inventories,
            snakemake.input.stats,
            snakemake.input.uniformity,
            snakemake.output.sets,
            snakemake.params.pairs,
        )
