"""Plot the channels and the colour picture of a light, before and after the flat was applied."""

from pathlib import Path

import numpy as np

from flatfield.combine.demosaicing import interpolate_bilinear
from flatfield.files.fits import read_planes
from flatfield.files.job import run
from flatfield.measure.light import Offset, check_inspected, read_light
from flatfield.raw.develop import develop_picture
from flatfield.report.pictures import picture_of_maxima, render_alike, shrink_planes
from flatfield.report.plotting import plot_stages


def main(frame, inventory, planes, plot, file, overscan, light, bias=None, dark=None, dark_inventory=None):
    """Write a PNG.

    Parameters
    ----------
    frame : str
        Raw light frame.
    inventory : str
        ``frames.tsv`` of the light.
    planes : str
        Calibrated planes.
    plot : str
        PNG to write.
    file : str
        Name of the frame in the inventory.
    overscan : bool
    light : {"linear", "picture"}
        How the flat was applied.
    bias, dark, dark_inventory : str, optional
        Masters of the offset and dark frames, and ``dark.tsv``.
    """
    after, channels, header = read_planes(planes)
    if light == "picture":
        before, unit = develop_picture(frame).astype(np.float32), "8-bit value"
        check_inspected(frame, file, inventory)
        pictures = [picture_of_maxima(shrink_planes(each)) for each in (before, after)] if len(channels) == 3 else []
    else:
        read = read_light(frame, file, inventory, Offset(bias, dark, dark_inventory), overscan)
        before, unit = interpolate_bilinear(read.signal, read.cfa), "DN above black"
        pictures = render_alike([before, after], read.frame.white_balance) if len(channels) == 3 else []
    plot_stages(plot, Path(frame).stem, header, channels, {"before": before, "after": after}, pictures, unit)


if "snakemake" in globals():
    run(main, snakemake)
