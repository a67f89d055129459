"""Apply the flat to a light as the notebook did: an 8-bit, gamma-coded picture divided by the linear flat."""

import numpy as np

from flatfield.files.fits import cite_file, describe_frames, read_planes, write_planes
from flatfield.files.job import run
from flatfield.files.tables import write_table
from flatfield.measure.calibration import compare_regions, cut_planes, divide, normalise_planes
from flatfield.measure.light import check_inspected
from flatfield.raw.develop import develop_picture
from flatfield.report.pictures import picture_of_maxima, write_picture


def main(frame, flat, inventory, planes, picture, vignetting, file, apply, regions):
    """Write the divided picture.

    Parameters
    ----------
    frame : str
        Raw light frame.
    flat : str
        ``flat.fits`` of the set.
    inventory : str
        ``frames.tsv`` of the light.
    planes, picture : str
        Files to write: FITS (8-bit picture values over the normalised flat), PNG (each plane over its maximum).
    vignetting : str
        Table to write: centre, corner, ratio.
    file : str
        Name of the frame in the inventory.
    apply, regions : dict
        Keys of the configuration.
    """
    before = develop_picture(frame).astype(np.float32)
    header = describe_frames([check_inspected(frame, file, inventory)])
    whole, channels, _ = read_planes(flat)
    relative = normalise_planes(whole, channels, apply["normalise"], regions["center"], flat)
    after = divide(before, relative)
    header.update(cite_file("FLAT", flat, "divided by"))
    header["NORMALIS"] = (apply["normalise"], "what was made 1 in the flat")
    header["BLACKLVL"] = (0, "LibRaw subtracted the black level")
    write_planes(planes, after, channels, header, "Light Frame", unit="")
    write_picture(picture, picture_of_maxima(after))
    stages = {"before": before, "flat": relative, "after": after}
    cuts = {stage: cut_planes(each) for stage, each in stages.items()}
    rows = compare_regions(cuts, channels, regions, after.shape[1:])
    write_table(vignetting, rows, list(rows[0]))


if "snakemake" in globals():
    run(main, snakemake)
