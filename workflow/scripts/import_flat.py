"""Read a master flat of any program, as lights need it."""

from flatfield.files.frame_table import write_frames
from flatfield.files.job import run
from flatfield.files.tables import NOT_DETERMINED, write_table
from flatfield.measure.illumination_tests import GEOMETRY_COLUMNS, TERM_COLUMNS, TEST_COLUMNS, describe_terms
from flatfield.measure.imported_flat import NOISE_REASON, SOURCE_REASON, import_flat
from flatfield.measure.poses import Poses
from flatfield.raw.mosaic import write_mosaic


def main(old, flat, inspected, noise, tests, terms, geometry, file, cfa, degree):
    """Write the master, and what is known of it.

    Parameters
    ----------
    old : str
        FITS or XISF file of one image.
    flat : str
        FITS file to write; its error is not finite where the master has none.
    inspected, noise, tests, terms, geometry : str
        Tables to write, as of a set.
    file : str
        Name of the master in tables.
    cfa : str or None
        Its colour pattern, where the file has none.
    degree : int
        Of the terms of a light source, none of which is known.
    """
    mosaic, record = import_flat(old, file, cfa)
    write_mosaic(flat, mosaic)
    write_frames(inspected, [record], mosaic.cfa.channels, tested=True)
    row = {"gain_e_per_dn": NOT_DETERMINED, "reason": NOISE_REASON}
    write_table(noise, [{"channel": channel, **row} for channel in mosaic.cfa.channels], ["channel", *row])
    row = {"test": "solvable", "verdict": "no", "percent": NOT_DETERMINED, "error": NOT_DETERMINED}
    write_table(tests, [row | {"evidence": SOURCE_REASON}], TEST_COLUMNS)
    one = Poses.make([0.0])
    write_table(terms, describe_terms(None, [], degree, one, mosaic.cfa.channels, SOURCE_REASON), TERM_COLUMNS)
    write_table(geometry, [], GEOMETRY_COLUMNS)


if "snakemake" in globals():
    run(main, snakemake)
