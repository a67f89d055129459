"""Separate the light source from the camera: what turned between the subsets is divided out of the flat."""

from flatfield.combine.demosaicing import interpolate_bilinear
from flatfield.files.fits import image_hdu, write_fits, write_planes
from flatfield.files.job import run
from flatfield.files.tables import write_table
from flatfield.measure.illumination_tests import CROSS_COLUMNS, TERM_COLUMNS, TEST_COLUMNS
from flatfield.measure.separation import separate
from flatfield.raw.mosaic import header_of_planes, read_mosaic, write_mosaic


def main(subsets, flat, terms, tests, cross, source, response, rgb, names, rotations, degree, bias=None):
    """Write the light source, as far as the angles tell it, and the flat without it.

    Parameters
    ----------
    subsets : list of str
        Combined mosaic of each subset.
    flat : str
        ``flat_cfa.fits``.
    terms, tests, cross : str
        Tables to write.
    source : str
        FITS file to write: percent, in the frame of the source.
    response, rgb : str
        FITS files to write: mosaic like `flat`, and planes like ``flat.fits``.
    names : list of str
        Of the subsets.
    rotations : list of float
        Of the subsets, degrees.
    degree : int
        Of the Zernike terms.
    bias : str, optional
        Master of the offset frames.
    """
    mosaics = {name: read_mosaic(path, error=True) for name, path in zip(names, subsets, strict=True)}
    master, offset = read_mosaic(flat, error=True, mask=True), read_mosaic(bias, error=True) if bias else None
    found = separate(mosaics, master, offset, rotations, degree)
    write_table(terms, found.terms, TERM_COLUMNS)
    write_table(tests, found.tests, TEST_COLUMNS)
    write_table(cross, found.cross, CROSS_COLUMNS)
    write_fits(source, [image_hdu(found.source, unit="percent")])
    write_mosaic(response, found.response)
    planes = interpolate_bilinear(found.response.value, master.cfa)
    write_planes(rgb, planes, master.cfa.channels, header_of_planes(found.response), "Response")


if "snakemake" in globals():
    run(main, snakemake)
