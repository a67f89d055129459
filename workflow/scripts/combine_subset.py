"""Combine the frames of one subset per pixel, black subtracted, without debayering."""

from pathlib import Path

from flatfield.combine.masters import combine_subset, describe_master
from flatfield.files.fits import describe_combination
from flatfield.files.frame_table import Selection
from flatfield.files.job import run
from flatfield.raw.mosaic import write_mosaic


def main(frames, bands, inspected, subset, files, reading, rotation, aim, combine, limits, bias=None):
    """Write the combined mosaic of a subset.

    Parameters
    ----------
    frames : list of str
        All frames of the subset; none where bands take their place.
    bands : list of str
        Files with bands that were combined already.
    inspected : str
        ``inspected.tsv`` of the set.
    subset : str
        FITS file to write, named as the subset: mosaic (DN above black), standard error ``UNCERT``; with a method that
        clips also the number of frames that count, ``NUSED``.
    files : list of str
        Names of the frames in the table.
    reading : bool or dict
        How frames are read, see `flatfield.raw.decode.Reading`.
    rotation : float or None
        Of the camera, degrees counter-clockwise seen from behind it; None where it is not known.
    aim : list of float or str
        Half diagonals of the frame to the right and down, or ``free``.
    combine : dict
        Section of the configuration.
    limits : dict
        See `flatfield.files.job.arguments_of`.
    bias : str, optional
        Master of the offset frames.
    """
    selection = Selection(frames, files, inspected, bias, reading)
    parts = bands or combine_subset(selection, combine, limits)
    mosaic = describe_master(selection, parts, "Flat Field", combine)
    mosaic.header["SUBSET"] = (Path(subset).stem, "frames between two rotations")
    if rotation is not None:
        mosaic.header["ROTATION"] = (rotation, "[deg] counter-clockwise, from behind the camera")
    if aim != [0, 0]:
        text = aim if aim == "free" else ", ".join(f"{value:g}" for value in aim)
        mosaic.header["AIM"] = (text, "half diagonals to the right, down")
    mosaic.header.update(describe_combination(combine))
    write_mosaic(subset, mosaic)


if "snakemake" in globals():
    run(main, snakemake)
