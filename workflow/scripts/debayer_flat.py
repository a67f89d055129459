"""Debayer each used frame of a set to linear RGB and combine the planes: the notebook's product."""

from threading import Lock

import numpy as np
from flatfield.cfa import ColorFilterArray
from flatfield.combining import combine_interpolated, combine_stack, warm_up
from flatfield.demosaicing import develop, interpolate_variance
from flatfield.errors import FrameError
from flatfield.inventory import scale_factors, used_frames
from flatfield.job import limits_of, logged_job
from flatfield.products import cite_file, describe_combination, describe_frames, read_image, write_planes
from flatfield.reading import check_unchanged, read_each
from flatfield.stacks import Stack, allocate, read_used_stack, select_used
from flatfield.tables import read_table


def main(frames, files, inspected, bias, flat, uncert, options, debayer, overscan, limits):
    """Write ``flat.fits`` and ``flat_uncert.fits``.

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
    uncert : str
        FITS file to write: their standard errors, DN, in extensions of the same names.
    options : dict
        Section ``combine`` of the configuration.
    debayer : dict
        Section ``debayer``: algorithm, step.
    overscan : bool
    limits : dict
        threads, memory_mb, scratch, see `flatfield.job.limits_of`.
    """
    step = debayer["step"]
    if debayer["algorithm"] == "bilinear":
        warm_up(combine_interpolated)
        stack, rows = read_used_stack(frames, files, inspected, bias, options["scale"], overscan, limits, step)
        planes, errors = combine_interpolated(stack, options)
        channels = stack.cfa.channels
        if bias:  # its noise is the same in all frames
            shared = interpolate_variance(read_image(bias, "UNCERT")[0] ** 2, stack.cfa)
            errors = np.sqrt(errors**2 + shared)
    else:
        warm_up(combine_stack)
        paths, rows = select_used(frames, files, inspected, step)
        factors = scale_factors(used_frames(read_table(inspected)), rows, options["scale"])
        planes, errors = combine_developed(paths, factors, debayer["algorithm"], options, limits)
        check_unchanged(paths, rows, inspected)
        channels = ("RED", "GREEN", "BLUE")
    header = describe_frames(rows)
    if bias:
        header.update(cite_file("BIAS", bias, "subtracted"))
    header.update(describe_combination(options, debayer))
    write_planes(flat, planes, channels, header, "Master Flat")
    write_planes(uncert, errors, channels, header, "Standard Error")


def combine_developed(paths, factors, algorithm, options, limits):
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
    limits : dict
        See `main`.

    Returns
    -------
    planes, errors : numpy.ndarray, float32, ``(3, rows, columns)``
        DN above black, and their standard errors.

    Raises
    ------
    FrameError
        See `develop`.
    ResourceError
        If memory or scratch space does not suffice.
    """
    lock, stores = Lock(), []

    def load(index):
        planes = develop(paths[index], algorithm)
        with lock:
            if not stores:  # the first one tells how much there is to keep
                stores.extend(allocate(len(paths), planes[0], limits, planes=3) for _ in planes)
        if planes.shape[1:] != stores[0][0].shape:
            raise FrameError(f"{paths[index]} has another size than the other frames; run the workflow again")
        for (store, _), plane in zip(stores, planes, strict=True):
            store.write(index, plane)

    read_each(paths, load, limits["threads"])
    blacks, mono = np.zeros_like(factors), ColorFilterArray.from_name("MONO")
    combined = []
    for channel, (store, band_rows) in enumerate(stores):
        same = np.repeat(factors[:, [channel]], 4, axis=1)
        stack = Stack(store, blacks, same, mono, None, limits["threads"], band_rows)
        combined.append(combine_stack(stack, options)[:2])
    planes, errors = zip(*combined, strict=True)
    return np.stack(planes), np.stack(errors)


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.frames,
            snakemake.params.files,
            snakemake.input.inspected,
            snakemake.input.bias or None,
            snakemake.output.flat,
            snakemake.output.uncert,
            snakemake.params.options,
            snakemake.params.debayer["debayer"],
            snakemake.params.overscan,
            limits_of(snakemake),
        )
