"""Debayer each used frame of a set to linear RGB and combine the planes: the notebook's product."""

from flatfield.demosaicing import combine_developed, combine_interpolated
from flatfield.inventory import scale_factors, used_frames
from flatfield.job import logged_job
from flatfield.products import describe_combination, describe_frames, write_planes
from flatfield.stacks import read_used_stack, select_used
from flatfield.tables import read_table


def main(frames, inventory, bias, flat, options, debayer, overscan, threads):
    """Write ``flat.fits``.

    Parameters
    ----------
    frames : list of str
        All frames of the set, in the order of the inventory.
    inventory : str
        ``frames.tsv`` of the set.
    bias : str or None
        Master of the offset frames.
    flat : str
        FITS file to write: extensions RED, GREEN, BLUE (or MONO), DN above black.
    options : dict
        Section ``combine`` of the configuration.
    debayer : dict
        Section ``debayer``: algorithm, step.
    overscan : bool
    threads : int
    """
    step = debayer["step"]
    if debayer["algorithm"] == "bilinear":
        stack, rows = read_used_stack(frames, inventory, None, bias, options["scale"], overscan, threads, step)
        planes, channels = combine_interpolated(stack, options, threads), stack.cfa.channels
    else:
        paths, rows = select_used(frames, inventory, None, step)
        factors = scale_factors(used_frames(read_table(inventory)), rows, options["scale"])
        planes = combine_developed(paths, factors, debayer["algorithm"], options, threads)
        channels = ("RED", "GREEN", "BLUE")
    header = describe_frames(rows)
    header.update(describe_combination(options, debayer))
    write_planes(flat, planes, channels, header, "Master Flat")


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.frames,
            snakemake.input.inventory,
            snakemake.input.bias or None,
            snakemake.output.flat,
            snakemake.params.options,
            snakemake.params.debayer["debayer"],
            snakemake.params.overscan,
            snakemake.threads,
        )
