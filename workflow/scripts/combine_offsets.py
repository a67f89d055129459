"""Combine the offset or dark frames of a set or light."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from flatfield.combine.methods import combine_stack, warm_up
from flatfield.files.job import limits_of, logged_job
from flatfield.files.fits import combined_hdus, describe_combination, describe_frames, describe_mosaic, write_fits
from flatfield.combine.stack import read_used_stack


def main(frames, files, inventory, master, options, overscan, limits):
    """Combine offset or dark frames per pixel; nothing but the overscan, where asked for, is subtracted from them.

    Parameters
    ----------
    frames : list of str
        All frames.
    files : list of str
        Their names in the inventory.
    inventory : str
        ``bias.tsv`` or ``dark.tsv``.
    master : str
        FITS file to write: master (DN) and its standard error ``UNCERT``.
    options : dict
        Section ``combine`` of the configuration; offset frames are never scaled, and sigma_clip takes the place of
        ccd_clip.
    overscan : bool
    limits : dict
        threads, memory_mb, scratch, see `flatfield.files.job.limits_of`.
    """
    warm_up(combine_stack)
    source = {"frames": frames, "files": files, "inspected": inventory, "bias": None, "overscan": overscan}
    stack, rows = read_used_stack(source, "none", limits)
    if options["method"] == "ccd_clip":  # which would take the offset for light
        options = options | {"method": "sigma_clip"}
    header = describe_frames(rows)
    if not overscan:
        stack = replace(stack, blacks=np.zeros_like(stack.blacks))  # the offset is what these frames measure
        header["BLACKLVL"] = (0, "[DN] nothing subtracted")
        header.remove("BLACK[0-3]", ignore_missing=True, remove_all=True)
    value, error, used = combine_stack(stack, options)
    header["IMAGETYP"] = f"Master {Path(master).stem.capitalize()}"
    header.update(describe_combination(options | {"scale": "none"}))
    layout = describe_mosaic(stack.cfa.name)
    header.update(layout)
    write_fits(master, combined_hdus({"value": value, "error": error, "used": used}, header, layout))


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.frames,
            snakemake.params.files,
            snakemake.input.inventory,
            snakemake.output.master,
            snakemake.params.options["offsets"],
            snakemake.params.overscan,
            limits_of(snakemake),
        )
