"""Combine the frames of one subset per pixel, black subtracted, without debayering."""

from pathlib import Path

from flatfield.combine.bands import join_bands
from flatfield.combine.methods import combine_stack, warm_up
from flatfield.files.job import limits_of, logged_job, source_of
from flatfield.files.fits import combined_hdus, describe_combination, describe_mosaic, write_fits
from flatfield.combine.stack import describe_used, read_used_stack


def main(source, bands, subset, rotation, options, limits):
    """Write the combined mosaic of a subset.

    Parameters
    ----------
    source : dict
        frames (paths of all frames of the subset), files (their names in the table), inspected (``inspected.tsv`` of
        the set), bias (master of the offset frames, or None), overscan.
    bands : list of str
        Files with bands that were combined already, which take the place of the frames.
    subset : str
        FITS file to write, named as the subset: mosaic (DN above black), standard error ``UNCERT``; with a
        method that clips also the number of frames that count, ``NUSED``.
    rotation : float
        Of the camera, degrees counter-clockwise seen from behind it.
    options : dict
        Section ``combine`` of the configuration.
    limits : dict
        threads, memory_mb, scratch, see `flatfield.files.job.limits_of`.
    """
    name = Path(subset).stem
    arrays = join_bands(bands) if bands else combine(source, options, limits)
    rows, header = describe_used(source)
    header["IMAGETYP"] = "Flat Field"
    header["SUBSET"] = (name, "frames between two rotations")
    header["ROTATION"] = (rotation, "[deg] counter-clockwise, from behind the camera")
    header.update(describe_combination(options))
    layout = describe_mosaic(rows[0]["cfa"])
    header.update(layout)
    write_fits(subset, combined_hdus(arrays, header, layout))


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
        value, error (DN) and used.
    """
    warm_up(combine_stack)
    stack, _ = read_used_stack(source, options["scale"], limits, band=band)
    return dict(zip(("value", "error", "used"), combine_stack(stack, options), strict=True))


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            source_of(snakemake),
            snakemake.input.bands,
            snakemake.output.subset,
            snakemake.params.rotation["rotation"],
            snakemake.params.options,
            limits_of(snakemake),
        )
