"""Separate the light source from the camera: what turned between the subsets is divided out of the flat."""

from flatfield.combine.demosaicing import interpolate_bilinear
from flatfield.files.fits import image_hdu, write_fits, write_planes
from flatfield.files.job import run
from flatfield.files.tables import write_table
from flatfield.measure.illumination_tests import CROSS_COLUMNS, GEOMETRY_COLUMNS, TERM_COLUMNS, TEST_COLUMNS
from flatfield.measure.poses import Poses, field_of
from flatfield.measure.separation import separate
from flatfield.raw.mosaic import header_of_planes, read_mosaic, write_mosaic


def main(
    subsets, flat, terms, tests, cross, geometry, source, response, rgb, blocks, names, rotations, aims, aim_of,
    trust_angles, crop_factor, degree, angle_error_deg, aim_error, bias=None,
):  # fmt: skip
    """Write the light source, as far as the subsets determine it, and the flat without it.

    Parameters
    ----------
    subsets : list of str
        Combined mosaic of each subset.
    flat : str
        ``flat_cfa.fits``.
    terms, tests, cross, geometry : str
        Tables to write.
    source : str
        FITS file to write: percent, in the frame of the source, with its error and what stays hidden.
    response, rgb, blocks : str
        FITS files to write: mosaic like `flat`, planes like ``flat.fits``, and ln of the response in blocks.
    names, rotations, aims : list
        Of the subsets; degrees, half diagonals.
    aim_of, trust_angles, crop_factor, degree, angle_error_deg, aim_error
        See the schema of the configuration.
    bias : str, optional
        Master of the offset frames.
    """
    mosaics = {name: read_mosaic(path, error=True) for name, path in zip(names, subsets, strict=True)}
    master, offset = read_mosaic(flat, error=True, mask=True), read_mosaic(bias, error=True) if bias else None
    field = field_of(aim_of, aims, master.header.get("FOCALLEN"), crop_factor)
    poses = Poses.make(rotations, aims, angle_error_deg, aim_error, field)
    found = separate(mosaics, master, offset, poses, degree, trust_angles)
    del mosaics, master, offset  # as large as what is made of them
    write_table(terms, found.terms, TERM_COLUMNS)
    write_table(tests, found.tests, TEST_COLUMNS)
    write_table(cross, found.cross, CROSS_COLUMNS)
    write_table(geometry, found.geometry, GEOMETRY_COLUMNS)
    planes = {None: found.source, "UNCERT": found.source_error, "HIDDEN": found.hidden}
    cards = {"field": (field, "tangent of axis to corner: aims turn")} if field else {}
    write_fits(source, [image_hdu(plane, name=name, unit="percent", **cards) for name, plane in planes.items()])
    planes = {None: found.blocks[0], "UNCERT": found.blocks[1]}
    write_fits(blocks, [image_hdu(plane, name=name, unit="") for name, plane in planes.items()])
    write_mosaic(response, found.response)
    planes = interpolate_bilinear(found.response.value, found.response.cfa)
    write_planes(rgb, planes, found.response.cfa.channels, header_of_planes(found.response), "Response")


if "snakemake" in globals():
    run(main, snakemake)
