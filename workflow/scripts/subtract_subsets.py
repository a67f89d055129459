"""Subtract one subset from another: what turned with the camera stays, what did not cancels."""

from flatfield.files.fits import describe_mosaic, image_hdu, write_fits
from flatfield.files.job import run
from flatfield.measure.differences import describe_difference, percent_difference, significance
from flatfield.raw.mosaic import read_mosaic


def main(pair, difference):
    """Write a - b.

    Parameters
    ----------
    pair : list of str
        Combined mosaics of the subsets a and b.
    difference : str
        FITS file to write: a - b (DN), ``PERCENT`` of their mean, and ``Z``, in standard errors.
    """
    a, b = (read_mosaic(path, error=True) for path in pair)
    counts = a.header["NCOMBINE"], b.header["NCOMBINE"]
    percent = percent_difference(a.value, b.value)
    z = significance(a.value, b.value, (a.error, b.error), counts, a.cfa)
    header, layout = describe_difference(a.header, b.header), describe_mosaic(a.cfa.name)
    for name in ("MINUEND", "SUBTRAHE"):
        layout[name] = header[name]
    hdus = [image_hdu(a.value - b.value, header), image_hdu(percent, layout, "PERCENT", "percent")]
    write_fits(difference, [*hdus, image_hdu(z, layout, "Z", "sigma")])


if "snakemake" in globals():
    run(main, snakemake)
