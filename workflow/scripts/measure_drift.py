"""How the light changed during each subset: its second half against its first."""

from flatfield.files.frame_table import read_frames, used_frames
from flatfield.files.job import run
from flatfield.files.tables import write_table
from flatfield.measure.drift import DRIFT_COLUMNS, measure_drift
from flatfield.measure.frame_maps import read_maps
from flatfield.raw.cfa import ColorFilterArray


def main(inspected, maps, drift, subsets):
    """Write ``drift.tsv``: one row per subset and channel.

    Parameters
    ----------
    inspected, maps : str
        Table of the frames, and each frame in coarse blocks.
    drift : str
        Table to write.
    subsets : list of str
        Subset of each frame.
    """
    frames = read_frames(inspected)
    cfa = ColorFilterArray.from_name(used_frames(frames)[0].cfa)
    blocks, step = read_maps(maps)
    write_table(drift, measure_drift(frames, blocks, step, subsets, cfa), DRIFT_COLUMNS)


if "snakemake" in globals():
    run(main, snakemake)
