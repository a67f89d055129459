"""Combine all used frames of a set per pixel: the master mosaic."""

from flatfield.combine.masters import combine_flat, describe_master
from flatfield.files.fits import describe_combination
from flatfield.files.frame_table import Selection
from flatfield.files.job import run
from flatfield.raw.mosaic import write_mosaic


def main(frames, bands, inspected, flat, files, reading, combine, limits, bias=None):
    """Write the master mosaic.

    Parameters
    ----------
    frames, bands, inspected, files, reading, combine, limits, bias
        As for `combine_subset.main`, of the whole set.
    flat : str
        FITS file to write: mosaic (DN above black), standard error ``UNCERT`` (DN), ``MASK``, and with a method that
        clips the number of frames that count, ``NUSED``.
    """
    selection = Selection(frames, files, inspected, bias, reading)
    parts = bands or combine_flat(selection, combine, limits)
    mosaic = describe_master(selection, parts, "Master Flat", combine)
    mosaic.header.update(describe_combination(combine))
    write_mosaic(flat, mosaic, dark=(1, "value: not above black"), satur=(2, "value: saturated"))


if "snakemake" in globals():
    run(main, snakemake)
