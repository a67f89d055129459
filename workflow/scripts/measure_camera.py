"""Is the raw raw? Shading corrections, filtered noise, steps and gaps of the numbers, linearity, from flats alone."""

from flatfield.files.frame_table import read_frames, used_frames
from flatfield.files.job import run
from flatfield.files.tables import mark_undetermined, write_table
from flatfield.measure.camera import CAMERA_COLUMNS, tabulate_camera
from flatfield.measure.linearity import LINEARITY_COLUMNS, gather_sets
from flatfield.measure.pair_evidence import read_evidence


def main(inspected, pairs, camera, linearity, names, name):
    """Write ``camera.tsv``, a row an effect and channel, and ``linearity.tsv``, one row.

    Parameters
    ----------
    inspected, pairs : list of str
        Of all sets: tables of the frames, and what pairs of frames show, see `measure_noise.main`.
    camera, linearity : str
        Tables to write.
    names : list of str
        Of all sets.
    name : str
        Of the set that they are of; others count where they are of the same camera.
    """
    frames = {each: used_frames(read_frames(path)) for each, path in zip(names, inspected, strict=True)}
    paths = dict(zip(names, pairs, strict=True))
    rows, line = tabulate_camera(gather_sets(name, frames, lambda each: read_evidence(paths[each])))
    write_table(camera, [mark_undetermined(row) for row in rows], CAMERA_COLUMNS)
    write_table(linearity, [mark_undetermined(line)], LINEARITY_COLUMNS)


if "snakemake" in globals():
    run(main, snakemake)
