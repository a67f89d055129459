"""Plot the channels and the colour picture of a light, before and after the flat was applied."""

from functools import partial
from pathlib import Path

import numpy as np
from flatfield.report.pictures import measure_stretch, picture_of_maxima, render_picture, shrink_planes
from flatfield.combine.demosaicing import develop_picture, interpolate_bilinear
from flatfield.raw.decode import read_signal
from flatfield.files.job import logged_job
from flatfield.report.plotting import describe_exposure, plot_rows
from flatfield.files.fits import read_image, read_planes
from flatfield.files.frame_table import find_inspected


def main(frame, file, inventory, planes, bias, dark, plot, light, overscan):
    """Write a PNG.

    Parameters
    ----------
    frame : str
        Raw light frame.
    file : str
        Its name in the inventory.
    inventory : str
        ``frames.tsv`` of the light.
    planes : str
        Calibrated planes.
    bias, dark : str or None
        Masters of the offset or dark frames.
    plot : str
        PNG to write.
    light : {"linear", "picture"}
        How the flat was applied.
    overscan : bool
    """
    after, channels, header = read_planes(planes)
    if light == "picture":
        before, unit, render = develop_picture(frame).astype(np.float32), "8-bit value", picture_of_maxima
    else:
        offset = dark or bias
        signal, decoded = read_signal(frame, read_image(offset)[0] if offset else None, overscan)
        before, unit = interpolate_bilinear(signal, decoded.cfa), "DN above black"
        balance = decoded.white_balance[: len(channels)]
        stages = [measure_stretch(shrink_planes(each), balance) for each in (before, after)]
        stretch = min(stages[0][0], stages[1][0]), stages[1][1], max(stages[0][2], stages[1][2])  # one for both
        render = partial(render_picture, white_balance=balance, stretch=stretch)
    find_inspected(frame, file, inventory)
    rows = []
    for stage, data in (("before", before), ("after", after)):
        panels = [(f"{channel}, {stage}", plane) for channel, plane in zip(channels, data, strict=True)]
        if len(channels) == 3:
            panels.append((f"picture, {stage}", render(shrink_planes(data))))
        rows.append({"panels": panels, "unit": unit, "signed": False, "shared": False, "frame": data.shape[1:]})
    plot_rows(plot, ", ".join(filter(None, [Path(frame).stem, describe_exposure(header)])), rows)


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.frame,
            snakemake.params.file,
            snakemake.input.inventory,
            snakemake.input.planes,
            snakemake.input.bias or None,
            snakemake.input.dark or None,
            snakemake.output.plot,
            snakemake.params.light,
            snakemake.params.overscan,
        )
