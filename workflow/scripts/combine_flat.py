"""Combine all used frames of a set per pixel: the master mosaic."""

import numpy as np
from flatfield.combine.bands import cut_band, join_bands
from flatfield.combine.methods import combine_stack, warm_up
from flatfield.files.job import limits_of, logged_job, source_of
from flatfield.files.fits import (
    combined_hdus,
    describe_combination,
    describe_mosaic,
    image_hdu,
    read_image,
    write_fits,
)
from flatfield.combine.stack import describe_used, mask_pixels, read_used_stack


def main(source, bands, flat, options, limits):
    """Write the master mosaic.

    Parameters
    ----------
    source : dict
        frames (paths of all frames of the set), files (their names in the table), inspected (``inspected.tsv`` of the
        set), bias (master of the offset frames, or None), overscan.
    bands : list of str
        Files with bands that were combined already, which take the place of the frames.
    flat : str
        FITS file to write: mosaic (DN above black), standard error ``UNCERT`` (DN), ``MASK``, and with a method
        that clips the number of frames that count, ``NUSED``.
    options : dict
        Section ``combine`` of the configuration.
    limits : dict
        threads, memory_mb, scratch, see `flatfield.files.job.limits_of`.
    """
    arrays = join_bands(bands) if bands else combine(source, options, limits)
    rows, header = describe_used(source)
    header["IMAGETYP"] = "Master Flat"
    header.update(describe_combination(options))
    layout = describe_mosaic(rows[0]["cfa"])
    header.update(layout)
    hdus = combined_hdus(arrays, header, layout)
    marks = {"dark": (1, "value: not above black"), "satur": (2, "value: saturated")}
    hdus.insert(2, image_hdu(arrays["mask"], layout, "MASK", **marks))
    write_fits(flat, hdus)


def combine(source, options, limits, band=None):
    """Combine the frames, or a band of their rows.

    Parameters
    ----------
    source, options, limits
        See `main`.
    band : tuple of int, optional
        See `flatfield.combine.bands.cut_band`.

    Returns
    -------
    dict
        value, error (DN), used and mask.
    """
    warm_up(combine_stack)
    stack, rows = read_used_stack(source, options["scale"], limits, band=band)
    value, error, used = combine_stack(stack, options)
    if source["bias"]:  # its noise is the same in all frames
        shared = read_image(source["bias"], "UNCERT")[0]
        error = np.hypot(error, shared[cut_band(len(shared), band)[0]])
    mask = mask_pixels(stack, value, [row["saturation_dn"] for row in rows])
    return {"value": value, "error": error, "used": used, "mask": mask}


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            source_of(snakemake),
            snakemake.input.bands,
            snakemake.output.flat,
            snakemake.params.options,
            limits_of(snakemake),
        )
