"""Combine all used frames of a set per pixel: the master mosaic."""

import numpy as np
from flatfield.combining import combine_stack, warm_up
from flatfield.job import limits_of, logged_job
from flatfield.products import (
    cite_file,
    combined_hdus,
    describe_combination,
    describe_frames,
    describe_mosaic,
    image_hdu,
    read_image,
    write_fits,
)
from flatfield.stacks import mask_pixels, read_used_stack


def main(frames, files, inspected, bias, flat, options, overscan, limits):
    """Write the master mosaic.

    Parameters
    ----------
    frames : list of str
        All frames of the set.
    files : list of str
        Their names in the table of the inspected frames.
    inspected : str
        ``inspected.tsv`` of the set.
    bias : str or None
        Master of the offset frames.
    flat : str
        FITS file to write: mosaic (DN above black), standard error ``UNCERT`` (DN), ``MASK``, and with a method
        that clips the number of frames that count, ``NUSED``.
    options : dict
        Section ``combine`` of the configuration.
    overscan : bool
    limits : dict
        threads, memory_mb, scratch, see `flatfield.job.limits_of`.
    """
    warm_up(combine_stack)
    stack, rows = read_used_stack(frames, files, inspected, bias, options["scale"], overscan, limits)
    value, error, used = combine_stack(stack, options)
    if bias:  # its noise is the same in all frames
        error = np.hypot(error, read_image(bias, "UNCERT")[0])
    mask = mask_pixels(stack, value, [row["saturation_dn"] for row in rows])
    header = describe_frames(rows)
    if bias:
        header.update(cite_file("BIAS", bias, "subtracted"))
    header["IMAGETYP"] = "Master Flat"
    header.update(describe_combination(options))
    layout = describe_mosaic(stack.cfa.name)
    header.update(layout)
    hdus = combined_hdus(value, error, used, header, layout)
    marks = {"dark": (1, "value: not above black"), "satur": (2, "value: saturated")}
    hdus.insert(2, image_hdu(mask, layout, "MASK", **marks))
    write_fits(flat, hdus)


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.frames,
            snakemake.params.files,
            snakemake.input.inspected,
            snakemake.input.bias or None,
            snakemake.output.flat,
            snakemake.params.options,
            snakemake.params.overscan,
            limits_of(snakemake),
        )
