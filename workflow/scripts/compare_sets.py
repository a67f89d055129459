"""Compare the sets: how much their subsets differ, their S/N, and which is the most uniform."""

import numpy as np
from flatfield.inventory import used_frames
from flatfield.job import logged_job
from flatfield.products import read_image
from flatfield.regions import block_average
from flatfield.tables import read_table, write_table

#: The difference maps are averaged over about this many blocks across, so that pixel noise does not count.
BLOCKS_ACROSS = 24


def main(inventories, stats, differences, sets, pairs):
    """Write ``sets.tsv``.

    Parameters
    ----------
    inventories, stats : list of str
        ``frames.tsv`` and ``stats.tsv`` of each set, in the order of `pairs`.
    differences : list of str
        Differences of all pairs of all sets, in the order of `pairs`.
    sets : str
        Table to write.
    pairs : dict
        Names of the pairs of subsets of each set.
    """
    files = iter(differences)
    rows = []
    for (name, labels), inventory, table in zip(pairs.items(), inventories, stats, strict=True):
        frames = used_frames(read_table(inventory))
        center = [row for row in read_table(table) if row["region"] == "center"]
        residuals = {label: measure_difference(next(files)) for label in labels}
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
    known = [row["rms_percent"] for row in rows if row["rms_percent"] is not None]
    for row in rows:
        comparable = len(known) > 1 and row["rms_percent"] is not None
        row["most_uniform"] = row["rms_percent"] == min(known) if comparable else None
    columns = list(dict.fromkeys(name for row in rows for name in row))
    first = ["set", "most_uniform", "frames", "exposure_s", "iso"]
    order = {"rms": 1, "snr": 2}
    columns = first + sorted(
        [name for name in columns if name not in first], key=lambda name: order[name.split("_")[0]]
    )
    write_table(sets, [dict.fromkeys(columns) | row for row in rows], columns)


def measure_difference(path):
    """Scatter of a difference in percent about its mean, rms over blocks: gradients, not pixel noise or exposure."""
    percent, _ = read_image(path, "PERCENT")
    size = max(2, 2 * round(percent.shape[1] / (2 * BLOCKS_ACROSS)))  # even, so that all colours are in each block
    blocks = block_average(percent, min(size, *percent.shape))
    return float(np.nanstd(blocks)) if np.isfinite(blocks).any() else None


def _median(frames, name):
    values = [float(frame[name]) for frame in frames if frame[name] is not None]
    return float(np.median(values)) if values else None


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.inventories,
            snakemake.input.stats,
            snakemake.input.differences,
            snakemake.output.sets,
            snakemake.params.pairs,
        )
