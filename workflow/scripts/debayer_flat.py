"""Debayer each used frame of a set to linear RGB and combine the planes: the notebook's product."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from flatfield.combining import combine
from flatfield.demosaicing import REACH, develop, interpolate_bilinear
from flatfield.inventory import scale_factors, used_frames
from flatfield.job import logged_job
from flatfield.products import cite_file, describe_combination, describe_frames, write_planes
from flatfield.stacks import BLOCK_PIXELS, read_used_stack, row_blocks, select_used
from flatfield.tables import read_table


def main(frames, files, inspected, bias, flat, options, debayer, overscan, threads):
    """Write ``flat.fits``.

    Parameters
    ----------
    frames : list of str
        All frames of the set.
    files : list of str
        Their names in the table of the inspected frames.
    inspected : str
        ``inspected.tsv`` of the set.
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
        stack, rows = read_used_stack(frames, files, inspected, bias, options["scale"], overscan, threads, step)
        planes, channels = combine_interpolated(stack, options, threads), stack.cfa.channels
    else:
        paths, rows = select_used(frames, files, inspected, step)
        factors = scale_factors(used_frames(read_table(inspected)), rows, options["scale"])
        planes = combine_developed(paths, factors, debayer["algorithm"], options, threads)
        channels = ("RED", "GREEN", "BLUE")
    header = describe_frames(rows)
    if bias:
        header.update(cite_file("BIAS", bias, "subtracted"))
    header.update(describe_combination(options, debayer))
    write_planes(flat, planes, channels, header, "Master Flat")


def combine_interpolated(stack, options, threads=1):
    """Interpolate every frame of a stack and combine the planes, without holding debayered frames.

    Parameters
    ----------
    stack : flatfield.stacks.Stack
    options : dict
        Section ``combine`` of the configuration.
    threads : int

    Returns
    -------
    numpy.ndarray, float32, ``(channels, rows, columns)``
        DN above black.
    """
    rows, columns = stack.mosaics.shape[1:]
    planes = np.empty((len(stack.cfa.channels), rows, columns), np.float32)

    def work(block):
        first, last = max(block.start - REACH, 0), min(block.stop + REACH, rows)
        frames = interpolate_bilinear(stack.rows(first, last), stack.cfa.shifted(first, 0))
        for plane, values in zip(planes, frames, strict=True):
            plane[block] = combine(values[:, block.start - first : block.stop - first], options)[0]

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, stack.blocks(4 * BLOCK_PIXELS)))  # higher, as each needs rows of its neighbours
    return planes


def combine_developed(paths, factors, algorithm, options, threads=1):
    """Debayer raw files by one of LibRaw's algorithms and combine the planes.

    Parameters
    ----------
    paths : list of str
    factors : numpy.ndarray, float32, ``(frames, 4)``
        Scale factor of each frame and colour.
    algorithm : str
        See `develop`.
    options : dict
        Section ``combine`` of the configuration.
    threads : int

    Returns
    -------
    numpy.ndarray, float32, ``(3, rows, columns)``
        DN above black.
    """
    with ThreadPoolExecutor(threads) as pool:
        frames = list(pool.map(lambda path: develop(path, algorithm), paths))
        planes = np.empty(frames[0].shape, np.float32)

        def work(channel_and_block):
            channel, block = channel_and_block
            values = np.stack([frame[channel, block] for frame in frames]).astype(np.float32)
            planes[channel, block] = combine(values * factors[:, channel, None, None], options)[0]

        blocks = row_blocks(frames[0].shape[1:])
        list(pool.map(work, [(channel, block) for channel in range(3) for block in blocks]))
    return planes


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.frames,
            snakemake.params.files,
            snakemake.input.inspected,
            snakemake.input.bias or None,
            snakemake.output.flat,
            snakemake.params.options,
            snakemake.params.debayer["debayer"],
            snakemake.params.overscan,
            snakemake.threads,
        )
