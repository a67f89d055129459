"""Debayer each used frame of a set to linear RGB and combine the planes: the notebook's product."""

from threading import Lock

import numpy as np
from flatfield.combine.bands import cut_band, join_bands
from flatfield.raw.cfa import ColorFilterArray
from flatfield.combine.methods import combine_interpolated, combine_stack, warm_up
from flatfield.combine.demosaicing import develop, interpolate_variance
from flatfield.files.errors import FrameError
from flatfield.combine.scaling import scale_factors
from flatfield.files.frame_table import used_frames
from flatfield.files.job import limits_of, logged_job, source_of
from flatfield.files.fits import describe_combination, read_image, write_planes
from flatfield.files.frame_table import check_unchanged
from flatfield.files.reading import read_each
from flatfield.combine.stack import Stack, afford_threads, allocate, describe_used, read_used_stack, select_used
from flatfield.files.memory import HALO
from flatfield.files.tables import read_table

#: What a combination gives of each channel.
PARTS = ("value", "error")


def main(source, bands, flat, uncert, options, limits):
    """Write ``flat.fits`` and ``flat_uncert.fits``.

    Parameters
    ----------
    source : dict
        frames (paths of all frames of the set), files (their names in the table), inspected (``inspected.tsv`` of the
        set), bias (master of the offset frames, or None), overscan, debayer (section of the configuration).
    bands : list of str
        Files with bands that were combined already, which take the place of the frames.
    flat : str
        FITS file to write: extensions RED, GREEN, BLUE (or MONO), DN above black.
    uncert : str
        FITS file to write: their standard errors, DN, in extensions of the same names.
    options : dict
        Section ``combine`` of the configuration.
    limits : dict
        threads, memory_mb, scratch, see `flatfield.files.job.limits_of`.
    """
    debayer = source["debayer"]
    rows, header = describe_used(source, debayer["step"])
    if debayer["algorithm"] == "bilinear":
        arrays = join_bands(bands) if bands else combine(source, options, limits)
        channels = ColorFilterArray.from_name(rows[0]["cfa"]).channels
        planes, errors = (np.stack([arrays[f"{part}_{name.lower()}"] for name in channels]) for part in PARTS)
    else:
        warm_up(combine_stack)
        paths, _ = select_used(source, debayer["step"])
        factors = scale_factors(used_frames(read_table(source["inspected"])), rows, options["scale"])
        limits = afford_threads(paths, rows, limits, planes=3)
        planes, errors = combine_developed(paths, factors, debayer["algorithm"], options, limits)
        check_unchanged(paths, rows, source["inspected"])
        channels = ("RED", "GREEN", "BLUE")
    header.update(describe_combination(options, debayer))
    write_planes(flat, planes, channels, header, "Master Flat")
    write_planes(uncert, errors, channels, header, "Standard Error")


def combine(source, options, limits, band=None):
    """Interpolate and combine the frames, or a band of their rows.

    Parameters
    ----------
    source, options, limits
        See `main`.
    band : tuple of int, optional
        See `flatfield.combine.bands.cut_band`.

    Returns
    -------
    dict
        value_<channel> and error_<channel>, DN.
    """
    warm_up(combine_interpolated)
    step = source["debayer"]["step"]
    stack, rows = read_used_stack(source, options["scale"], limits, step, band, HALO)
    planes, errors = combine_interpolated(stack, options)
    whole = int(rows[0]["rows"])
    needed, inner = cut_band(whole, band, HALO)
    if source["bias"]:  # its noise is the same in all frames
        shared = read_image(source["bias"], "UNCERT")[0][needed] ** 2
        errors = np.sqrt(errors**2 + interpolate_variance(shared, stack.cfa))
    names = [channel.lower() for channel in stack.cfa.channels]
    return {
        f"{part}_{name}": plane[inner]
        for part, parts in zip(PARTS, (planes, errors), strict=True)
        for name, plane in zip(names, parts, strict=True)
    }


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
            source_of(snakemake),
            snakemake.input.bands,
            snakemake.output.flat,
            snakemake.output.uncert,
            snakemake.params.options,
            limits_of(snakemake),
        )
