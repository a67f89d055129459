"""Plot the channels and the colour picture of a light, before and after the flat was applied."""

from functools import partial
from pathlib import Path

import numpy as np
from flatfield.calibration import picture_of_maxima, render_picture
from flatfield.demosaicing import develop_picture, interpolate_bilinear
from flatfield.frames import read_signal
from flatfield.job import logged_job
from flatfield.plotting import describe_exposure, plot_rows
from flatfield.products import read_image, read_planes


def main(frame, planes, bias, plot, light, overscan):
    """Write a PNG.

    Parameters
    ----------
    frame : str
        Raw light frame.
    planes : str
        Calibrated planes.
    bias : str or None
        Master of the offset frames.
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
        signal, decoded = read_signal(frame, read_image(bias)[0] if bias else None, overscan)
        before, unit = interpolate_bilinear(signal, decoded.cfa), "DN above black"
        render = partial(render_picture, white_balance=decoded.white_balance[: len(channels)])
    rows = []
    for stage, data in (("before", before), ("after", after)):
        panels = [(f"{channel}, {stage}", plane) for channel, plane in zip(channels, data, strict=True)]
        if len(channels) == 3:
            panels.append((f"picture, {stage}", render(data)))
        rows.append({"panels": panels, "unit": unit, "signed": False, "shared": False})
    plot_rows(plot, ", ".join(filter(None, [Path(frame).stem, describe_exposure(header)])), rows)


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.frame,
            snakemake.input.planes,
            snakemake.input.bias or None,
            snakemake.output.plot,
            snakemake.params.light,
            snakemake.params.overscan,
        )
