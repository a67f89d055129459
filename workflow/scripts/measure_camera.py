"""Is the raw raw? Shading corrections, filtered noise, steps and gaps of the numbers, linearity, from flats alone."""

from flatfield.files.frame_table import read_frames, used_frames
from flatfield.files.job import run
from flatfield.files.tables import mark_undetermined, read_table, write_table
from flatfield.measure.camera import CAMERA_COLUMNS, tabulate_camera
from flatfield.measure.noise_table import full_signal
from flatfield.measure.pair_evidence import read_evidence
from flatfield.raw.cfa import ColorFilterArray


def main(inspected, pairs, noise, camera):
    """Write ``camera.tsv``: a row an effect and channel.

    Parameters
    ----------
    inspected, noise : str
        Tables of the frames and of their noise.
    pairs : str
        What pairs of frames show, see `measure_noise.main`.
    camera : str
        Table to write.
    """
    frames = {frame.file: frame for frame in used_frames(read_frames(inspected))}
    cfa = ColorFilterArray.from_name(next(iter(frames.values())).cfa)
    full = [full_signal(frames, channel) for channel in cfa.channels]
    has_black = any(next(iter(frames.values())).black_dn)
    rows = tabulate_camera(read_evidence(pairs), full, read_table(noise), cfa.channels, cfa.period, has_black)
    write_table(camera, [mark_undetermined(row) for row in rows], CAMERA_COLUMNS)


if "snakemake" in globals():
    run(main, snakemake)
