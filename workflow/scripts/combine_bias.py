"""Combine the offset frames of a set."""

from pathlib import Path

import numpy as np
from astropy.io import fits
from flatfield.combining import combine_stack
from flatfield.frames import read_stack
from flatfield.job import logged_job
from flatfield.products import describe_combination, describe_mosaic, image_hdu, write_fits
from flatfield.stacks import Stack


def main(frames, bias, options, overscan, threads):
    """Combine offset frames per pixel; nothing but the overscan, where asked for, is subtracted from them.

    Parameters
    ----------
    frames : list of str
    bias : str
        FITS file to write: master (DN) and its standard error ``UNCERT``.
    options : dict
        Section ``combine`` of the configuration; offset frames are never scaled.
    overscan : bool
    threads : int
    """
    mosaics, blacks, cfa = read_stack(frames, overscan, threads)
    if not overscan:
        blacks[:] = 0  # the offset is what these frames measure
    options = options | {"scale": "none"}
    value, error = combine_stack(Stack(mosaics, blacks, np.ones_like(blacks), cfa), options, threads)
    header = fits.Header()
    header["IMAGETYP"] = "Master Bias"
    header["NCOMBINE"] = len(frames)
    header.update(describe_combination(options))
    header.update(describe_mosaic(cfa.name))
    for path in frames:
        header["HISTORY"] = Path(path).name
    write_fits(bias, [image_hdu(value, header), image_hdu(error, name="UNCERT", utype="StdDevUncertainty")])


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.frames,
            snakemake.output.bias,
            snakemake.params.options["bias"],
            snakemake.params.overscan,
            snakemake.threads,
        )
