"""Debayer each used frame of a set to linear RGB and combine the planes: the notebook's product."""

from flatfield.combine.masters import combine_debayered, combine_developed, planes_of
from flatfield.combine.pooling import pool_errors
from flatfield.combine.stack import describe_used
from flatfield.files.fits import describe_combination, write_planes
from flatfield.files.frame_table import Selection
from flatfield.files.job import run
from flatfield.raw.cfa import CHANNELS, ColorFilterArray


def main(frames, bands, inspected, flat, uncert, files, reading, debayer, combine, limits, bias=None):
    """Write ``flat.fits`` and ``flat_uncert.fits``.

    Parameters
    ----------
    frames, bands, inspected, files, reading, combine, limits, bias
        As for `combine_subset.main`, of the whole set.
    flat : str
        FITS file to write: extensions RED, GREEN, BLUE (or MONO), DN above black.
    uncert : str
        FITS file to write: their standard errors, DN, in extensions of the same names.
    debayer : dict
        Section of the configuration.
    """
    selection = Selection(frames, files, inspected, bias, reading, debayer["step"])
    records, header = describe_used(selection)
    if debayer["algorithm"] == "bilinear":
        channels = ColorFilterArray.from_name(records[0].cfa).channels
        planes, errors = planes_of(bands or combine_debayered(selection, combine, limits), channels)
    else:
        channels = CHANNELS
        planes, errors = combine_developed(selection, debayer["algorithm"], combine, limits)
    cfa = ColorFilterArray.from_name(records[0].cfa)
    errors = [pool_errors(plane, cfa, combine["method"], len(records)) for plane in errors]
    header.update(describe_combination(combine, debayer))
    write_planes(flat, planes, channels, header, "Master Flat")
    write_planes(uncert, errors, channels, header, "Standard Error")


if "snakemake" in globals():
    run(main, snakemake)
