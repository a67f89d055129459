"""Combine a band of rows of the frames of a subset or set: what other jobs put together to the product."""

import combine_flat
import combine_subset
import debayer_flat
from flatfield.combine.bands import write_band
from flatfield.files.job import limits_of, logged_job, source_of

COMBINE = {
    "subsets": combine_subset.combine,
    "flat_cfa": combine_flat.combine,
    "flat": debayer_flat.combine,
}


def main(product, source, part, band, options, limits):
    """Write one band.

    Parameters
    ----------
    product : {"subsets", "flat_cfa", "flat"}
    source : dict
        frames, files, inspected, bias, overscan, and for ``flat`` debayer, see the scripts of these products.
    part : str
        FITS file to write: the arrays of the combination in these rows.
    band : tuple of int
        Number of the band, from 0, and how many there are.
    options : dict
        Section ``combine`` of the configuration.
    limits : dict
        threads, memory_mb, scratch, see `flatfield.files.job.limits_of`.
    """
    write_band(part, COMBINE[product](source, options, limits, band))


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.wildcards.product.partition("/")[0],
            source_of(snakemake),
            snakemake.output.part,
            (int(snakemake.wildcards.band) - 1, snakemake.params.source["bands"]),
            snakemake.params.options,
            limits_of(snakemake),
        )
