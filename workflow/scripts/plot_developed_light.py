"""Plot the channels and the picture of a light that was developed before the division, as the notebook did."""

from pathlib import Path

import numpy as np

from flatfield.files.fits import read_planes
from flatfield.files.job import run
from flatfield.measure.light import check_inspected
from flatfield.raw.develop import develop_picture
from flatfield.report.pictures import picture_of_maxima, shrink_planes
from flatfield.report.plotting import plot_stages


def main(frame, inventory, planes, plot, file):
    """Write a PNG.

    Parameters
    ----------
    frame : str
        Raw light frame.
    inventory : str
        ``frames.tsv`` of the light.
    planes : str
        Divided planes.
    plot : str
        PNG to write.
    file : str
        Name of the frame in the inventory.
    """
    after, channels, header = read_planes(planes)
    before = develop_picture(frame).astype(np.float32)
    check_inspected(frame, file, inventory)
    pictures = [picture_of_maxima(shrink_planes(each)) for each in (before, after)] if len(channels) == 3 else []
    stages = {"before": before, "after": after}
    plot_stages(plot, Path(frame).stem, header, channels, stages, pictures, "8-bit value")


if "snakemake" in globals():
    run(main, snakemake)
