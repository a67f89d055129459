"""Combine a band of rows of the frames of a subset or set, joined by the job that writes the product."""

from flatfield.combine.bands import write_band
from flatfield.combine.masters import COMBINE
from flatfield.files.frame_table import Selection
from flatfield.files.job import run


def main(frames, inspected, part, product, band, step, files, reading, combine, limits, bias=None):
    """Write one band.

    Parameters
    ----------
    frames, inspected, files, reading, combine, limits, bias
        As for `combine_subset.main`, of the subset or set.
    part : str
        FITS file to write: the arrays of the combination in these rows.
    product : {"subsets", "flat_cfa", "flat"}
    band : list of int
        Number of the band, from 0, and how many there are.
    step : int
        Every n-th frame.
    """
    selection = Selection(frames, files, inspected, bias, reading, step)
    write_band(part, COMBINE[product](selection, combine, limits, tuple(band)))


if "snakemake" in globals():
    run(main, snakemake)
