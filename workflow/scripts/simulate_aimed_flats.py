"""Simulate the raw flats of the demo's subset with the camera aimed aside."""

from flatfield.demo.names import AIMED_SET
from flatfield.demo.simulation import simulate_aimed_flats, write_dng
from flatfield.files.job import run


def main(frames, demo):
    """Write the DNG files.

    Parameters
    ----------
    frames : list of str
        DNG files to write, in order of capture.
    demo : dict
        Section of the configuration.
    """
    size = demo["rows"], demo["columns"]
    simulated = simulate_aimed_flats(AIMED_SET, size, demo["seed"], demo["frames"])
    for path, (mosaic, exif) in zip(frames, simulated, strict=True):
        write_dng(path, mosaic, exif)


if "snakemake" in globals():
    run(main, snakemake)
