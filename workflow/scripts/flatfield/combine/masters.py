"""Masters: the frames of a subset or set, or a band of their rows, combined to what the products hold."""

from dataclasses import replace
from threading import Lock

import numpy as np

from flatfield.combine.bands import cut_band, join_bands
from flatfield.combine.demosaicing import interpolate_variance
from flatfield.combine.methods import combine_interpolated, combine_stack, warm_up
from flatfield.combine.pooling import pool_errors
from flatfield.combine.scaling import scale_factors
from flatfield.combine.stack import (
    Stack,
    afford_threads,
    allocate,
    describe_used,
    mask_pixels,
    read_used_stack,
)
from flatfield.files.errors import FrameError
from flatfield.files.fits import describe_frames, read_image
from flatfield.files.frame_table import check_unchanged
from flatfield.files.memory import HALO
from flatfield.files.reading import read_each
from flatfield.raw.cfa import ColorFilterArray
from flatfield.raw.decode import Reading
from flatfield.raw.develop import develop
from flatfield.raw.mosaic import Mosaic
from flatfield.raw.robust import robust_deviation


def combine_subset(selection, options, limits, band=None):
    """Combine the frames of a subset per pixel.

    Parameters
    ----------
    selection : flatfield.files.frame_table.Selection
    options : dict
        Section ``combine`` of the configuration.
    limits : dict
        threads, memory_mb, scratch (folder).
    band : tuple of int, optional
        See `flatfield.combine.bands.cut_band`.

    Returns
    -------
    dict
        value, error (DN above black) and used, ``(rows, columns)``, see `flatfield.combine.methods.combine_stack`.

    Raises
    ------
    FrameError, ResourceError
        See `flatfield.combine.stack.read_used_stack`.
    """
    warm_up(combine_stack)
    stack, _ = read_used_stack(selection, options["scale"], limits, band)
    return dict(zip(("value", "error", "used"), combine_stack(stack, options), strict=True))


def combine_flat(selection, options, limits, band=None):
    """Combine all used frames of a set per pixel: as `combine_subset`, and ``mask``; the noise of the bias is added."""
    warm_up(combine_stack)
    stack, frames = read_used_stack(selection, options["scale"], limits, band)
    value, error, used = combine_stack(stack, options)
    if selection.bias:  # its noise is the same in all frames
        shared = read_image(selection.bias, "UNCERT")[0]
        error = np.hypot(error, shared[cut_band(len(shared), band)[0]])
    mask = mask_pixels(stack, value, [frame.saturations_dn for frame in frames])
    return {"value": value, "error": error, "used": used, "mask": mask}


def combine_debayered(selection, options, limits, band=None):
    """Interpolate all used frames of a set and combine each channel.

    Parameters
    ----------
    selection, options, limits, band
        As for `combine_subset`.

    Returns
    -------
    dict
        value_<channel> and error_<channel>, DN above black, ``(rows, columns)``.
    """
    warm_up(combine_interpolated)
    stack, frames = read_used_stack(selection, options["scale"], limits, band, HALO)
    planes, errors = combine_interpolated(stack, options)
    needed, inner = cut_band(frames[0].rows, band, HALO)
    if selection.bias:
        shared = read_image(selection.bias, "UNCERT")[0][needed] ** 2
        errors = np.sqrt(errors**2 + interpolate_variance(shared, stack.cfa))
    return {
        f"{part}_{channel.lower()}": plane[inner]
        for part, parts in (("value", planes), ("error", errors))
        for channel, plane in zip(stack.cfa.channels, parts, strict=True)
    }


#: What combines a product, or a band of it, by the folder or stem of its name.
COMBINE = {"subsets": combine_subset, "flat_cfa": combine_flat, "flat": combine_debayered}


def combine_developed(selection, algorithm, options, limits):
    """Debayer all used frames of a set by one of LibRaw's algorithms and combine the planes.

    Parameters
    ----------
    selection, options, limits
        As for `combine_subset`.
    algorithm : str
        See `flatfield.raw.develop.develop`.

    Returns
    -------
    planes, errors : numpy.ndarray, float32, ``(3, rows, columns)``
        DN above black, and their standard errors.

    Raises
    ------
    FrameError
        If a frame cannot be developed, differs in size, or changed since it was inspected.
    ResourceError
        If memory or scratch space does not suffice.
    """
    warm_up(combine_stack)
    paths, frames = selection.choose()
    factors = scale_factors(selection.used_of_table(), frames, options["scale"])
    limits = afford_threads(paths, frames, limits, planes=3)
    lock, stores = Lock(), []

    def load(index):
        planes = develop(paths[index], algorithm)
        with lock:
            if not stores:  # the first one shows how much there is to keep
                stores.extend(allocate(len(paths), planes[0], limits, planes=3) for _ in planes)
        if planes.shape[1:] != stores[0][0].shape:
            raise FrameError(f"{paths[index]} has another size than the other frames; run the workflow again")
        for (store, _), plane in zip(stores, planes, strict=True):
            store.write(index, plane)

    read_each(paths, load, limits["threads"])
    check_unchanged(paths, frames, selection.table)
    blacks, mono = np.zeros_like(factors), ColorFilterArray.from_name("MONO")
    combined = []
    for channel, (store, band_rows) in enumerate(stores):
        same = np.repeat(factors[:, [channel]], 4, axis=1)
        stack = Stack(store, blacks, same, mono, None, limits["threads"], band_rows)
        combined.append(combine_stack(stack, options)[:2])
    planes, errors = zip(*combined, strict=True)
    return np.stack(planes), np.stack(errors)


def combine_offsets(selection, options, limits):
    """Combine offset or dark frames per pixel: the offset is what these frames measure.

    Parameters
    ----------
    selection, options, limits
        As for `combine_subset`; sigma_clip takes the place of ccd_clip, which would take the offset for light.

    Returns
    -------
    Mosaic
        DN, with its standard error; its header describes the frames.
    """
    warm_up(combine_stack)
    stack, frames = read_used_stack(selection, "none", limits)
    header = describe_frames(frames)
    if not Reading.of(selection.reading).overscan:
        stack = replace(stack, blacks=np.zeros_like(stack.blacks))
        header["BLACKLVL"] = (0, "[DN] nothing subtracted")
        header.remove("BLACK[0-3]", ignore_missing=True, remove_all=True)
    if options["method"] == "ccd_clip":
        options = options | {"method": "sigma_clip"}
    value, error, used = combine_stack(stack, options)
    error = pool_errors(error, stack.cfa, options["method"], len(frames), used)
    if len(frames) == 1:
        error = np.full_like(value, scatter_of_neighbours(value, stack.cfa.period))
        header["HISTORY"] = "UNCERT is the scatter between neighbours of one frame, its fixed pattern included"
    return Mosaic(value, stack.cfa, header, error, used=used)


def scatter_of_neighbours(value, period):
    """Robust scatter of pixels of one colour, from differences of neighbours: an upper bound of the error of one frame.

    Parameters
    ----------
    value : numpy.ndarray, float32, ``(rows, columns)``
    period : int
        Of the colour pattern.
    """
    return robust_deviation(value[:, period:] - value[:, :-period])[1] / np.sqrt(2)


def describe_master(selection, parts, imagetyp, options):
    """The mosaic of a combination, its header describing the frames; errors of few frames from those of neighbours.

    Parameters
    ----------
    selection : flatfield.files.frame_table.Selection
    parts : dict or list of str
        What `combine_subset` or `combine_flat` return, or files with bands of it.
    imagetyp : str
    options : dict
        Section ``combine`` of the configuration.
    """
    frames, header = describe_used(selection)
    header["IMAGETYP"] = imagetyp
    arrays = parts if isinstance(parts, dict) else join_bands(parts)
    cfa = ColorFilterArray.from_name(frames[0].cfa)
    error = pool_errors(arrays["error"], cfa, options["method"], len(frames), arrays.get("used"))
    return Mosaic(arrays["value"], cfa, header, error, arrays.get("mask"), arrays.get("used"))


def planes_of(parts, channels):
    """Planes and standard errors, ``(channels, rows, columns)``, of what `combine_debayered` returns, or of bands."""
    arrays = parts if isinstance(parts, dict) else join_bands(parts)
    return tuple(np.stack([arrays[f"{part}_{name.lower()}"] for name in channels]) for part in ("value", "error"))
