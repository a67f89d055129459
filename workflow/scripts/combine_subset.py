"""Combine the frames of one subset per pixel, black subtracted, without debayering."""

from pathlib import Path

from flatfield.combining import combine_stack, warm_up
from flatfield.job import limits_of, logged_job
from flatfield.products import (
    cite_file,
    combined_hdus,
    describe_combination,
    describe_frames,
    describe_mosaic,
    write_fits,
)
from flatfield.stacks import read_used_stack


def main(frames, files, inspected, bias, subset, rotation, options, overscan, limits):
    """Write the combined mosaic of a subset.

    Parameters
    ----------
    frames : list of str
        All frames of the subset.
    files : list of str
        Their names in the table of the inspected frames.
    inspected : str
        ``inspected.tsv`` of the set.
    bias : str or None
        Master of the offset frames.
    subset : str
        FITS file to write, named as the subset: mosaic (DN above black), standard error ``UNCERT``; with a
        method that clips also the number of frames that count, ``NUSED``.
    rotation : float
        Of the camera, degrees counter-clockwise seen from behind it.
    options : dict
        Section ``combine`` of the configuration.
    overscan : bool
    limits : dict
        threads, memory_mb, scratch, see `flatfield.job.limits_of`.
    """
    name = Path(subset).stem
    warm_up(combine_stack)
    stack, rows = read_used_stack(frames, files, inspected, bias, options["scale"], overscan, limits)
    value, error, used = combine_stack(stack, options)
    header = describe_frames(rows)
    if bias:
        header.update(cite_file("BIAS", bias, "subtracted"))
    header["IMAGETYP"] = "Flat Field"
    header["SUBSET"] = (name, "frames between two rotations")
    header["ROTATION"] = (rotation, "[deg] counter-clockwise, from behind the camera")
    header.update(describe_combination(options))
    layout = describe_mosaic(stack.cfa.name)
    header.update(layout)
    write_fits(subset, combined_hdus(value, error, used, header, layout))


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.frames,
            snakemake.params.files,
            snakemake.input.inspected,
            snakemake.input.bias or None,
            snakemake.output.subset,
            snakemake.params.rotation["rotation"],
            snakemake.params.options,
            snakemake.params.overscan,
            limits_of(snakemake),
        )
