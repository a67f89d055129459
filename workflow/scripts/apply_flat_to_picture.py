"""Apply the flat to a light as the notebook did: an 8-bit, gamma-coded picture divided by the linear flat."""

import numpy as np
from flatfield.measure.calibration import compare_regions, cut_planes, divide, measure_norms
from flatfield.report.pictures import picture_of_maxima
from flatfield.combine.demosaicing import develop_picture
from flatfield.files.job import logged_job
from flatfield.files.fits import cite_file, describe_frames, read_planes, write_planes
from flatfield.report.pictures import write_picture
from flatfield.files.frame_table import find_inspected
from flatfield.measure.boxes import locate_box
from flatfield.files.tables import write_table


def main(frame, file, flat, inventory, products, options):
    """Write the divided picture.

    Parameters
    ----------
    frame : str
        Raw light frame.
    file : str
        Its name in the inventory.
    flat : str
        ``flat.fits`` of the set.
    inventory : str
        ``frames.tsv`` of the light.
    products : dict
        Files to write: planes (FITS, 8-bit picture values over the normalised flat), picture (PNG, each plane
        divided by its maximum), vignetting (table).
    options : dict
        normalise, regions (boxes center and corner).
    """
    before = develop_picture(frame).astype(np.float32)
    row = find_inspected(frame, file, inventory)
    planes, channels, _ = read_planes(flat)
    box = locate_box("center", options["regions"]["center"], planes.shape[1:])
    normed = planes[(slice(None), *box)] if options["normalise"] == "center" else planes
    norms = measure_norms(normed, channels, options["normalise"], flat)
    normalised = (planes / norms[:, None, None]).astype(np.float32)
    after = divide(before, normalised)
    header = describe_frames([row])
    header.update(cite_file("FLAT", flat, "divided by"))
    header["NORMALIS"] = (options["normalise"], "what was made 1 in the flat")
    header["BLACKLVL"] = (0, "LibRaw subtracted the black level")
    write_planes(products["planes"], after, channels, header, "Light Frame", unit="")
    write_picture(products["picture"], picture_of_maxima(after))
    stages = {"before": before, "flat": normalised, "after": after}
    cuts = {stage: cut_planes(each) for stage, each in stages.items()}
    rows = compare_regions(cuts, channels, options["regions"], after.shape[1:])
    write_table(products["vignetting"], rows, list(rows[0]))


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.frame,
            snakemake.params.file,
            snakemake.input.flat,
            snakemake.input.inventory,
            dict(snakemake.output.items()),
            snakemake.params.options,
        )
