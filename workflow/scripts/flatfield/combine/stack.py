"""Stacks: the used frames of a set or subset, as recorded, with what turns them into signal at a common level."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np

from flatfield.combine.bands import cut_band
from flatfield.combine.scaling import scale_factors
from flatfield.combine.store import FrameStore, MappedStore
from flatfield.files.errors import FrameError, ResourceError
from flatfield.files.fits import cite_file, describe_frames, read_image
from flatfield.files.frame_table import check_unchanged
from flatfield.files.memory import affordable_threads, band_rows, bytes_of_pixel, least_mb, needed_mb
from flatfield.files.reading import read_each
from flatfield.raw.cfa import CHANNEL_OF_COLOR, ColorFilterArray
from flatfield.raw.decode import black_beside_bias, read_frame
from flatfield.raw.decoded import recall

#: Values of the pixels of ``MASK``.
MASK_DARK, MASK_SATURATED = 1, 2
#: Part of the values of a pixel that may be saturated: more bias the mean, and any average of the rest.
MOST_SATURATED = 0.02
#: Pixels of a frame that a thread works on at a time where all frames are in memory.
BAND_PIXELS = 1 << 18
#: The same where they are mapped, and copied to a buffer first.
MAPPED_PIXELS = 1 << 17


@dataclass(frozen=True)
class Stack:
    """Frames of one camera.

    Attributes
    ----------
    store : FrameStore or MappedStore
        ``(frames, rows, columns)``, uint16 or float32, DN.
    blacks : numpy.ndarray, float32, ``(frames, 4)``, DN
        Black level of each frame and colour.
    factors : numpy.ndarray, float32, ``(frames, 4)``
        Scale factor of each frame and colour, see `flatfield.combine.scaling.scale_factors`.
    cfa : ColorFilterArray
    bias : numpy.ndarray, float32, ``(rows, columns)``, optional
        Master of the offset frames, DN.
    threads : int
        That work on the stack.
    band_rows : int
        Rows that each of them takes at a time.
    """

    store: Any  # FrameStore or MappedStore
    blacks: np.ndarray
    factors: np.ndarray
    cfa: ColorFilterArray
    bias: np.ndarray | None = None
    threads: int = 1
    band_rows: int = 64

    @property
    def shape(self):
        """Rows and columns of a frame."""
        return self.store.shape

    def work_in_bands(self, work, halo=0):
        """Do something with all rows of all frames, band by band, in several threads.

        Parameters
        ----------
        work : callable
            Takes the slice of rows of the band, a block of frames ``(frames, rows, columns)`` that holds them, and
            the row of the frames with which that block begins.
        halo : int
            Further rows that the block holds on either side of the band, as far as the frames have them.
        """
        rows = self.shape[0]

        def run(start):
            stop = min(start + self.band_rows, rows)
            work(slice(start, stop), *self.store.read(max(start - halo, 0), min(stop + halo, rows)))

        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(run, range(0, rows, self.band_rows)))


def stack_frames(frames, blacks, factors, cfa, bias=None, **options):
    """Make a stack of frames that are in memory; parameters as the attributes of `Stack`."""
    store = FrameStore(len(frames), frames[0].shape, frames[0].dtype)
    for index, frame in enumerate(frames):
        store.write(index, frame)
    return Stack(store, blacks, factors, cfa, bias, **options)


def describe_used(selection):
    """Describe the frames that count, and the master that is subtracted from them.

    Parameters
    ----------
    selection : flatfield.files.frame_table.Selection

    Returns
    -------
    frames : list of FrameRecord
    header : astropy.io.fits.Header
        Cards of a product, see `flatfield.files.fits.describe_frames`.

    Raises
    ------
    InventoryError
        If the table lacks a frame.
    """
    _, frames = selection.choose()
    header = describe_frames(frames)
    if selection.bias:
        header.update(cite_file("BIAS", selection.bias, "subtracted"))
    return frames, header


def read_used_stack(selection, scale, limits, band=None, halo=0):
    """Read the frames that count, or a band of their rows.

    Parameters
    ----------
    selection : flatfield.files.frame_table.Selection
    scale : {"none", "frame", "channel"}
    limits : dict
        threads, memory_mb, scratch (folder).
    band, halo
        See `flatfield.combine.bands.cut_band`.

    Returns
    -------
    stack : Stack
    frames : list of FrameRecord

    Raises
    ------
    FrameError
        If a frame cannot be read, differs from the first in size, type or colour filter array, or changed since it
        was inspected.
    ResourceError
        If memory or scratch space does not suffice.
    """
    bias = selection.bias
    paths, frames = selection.choose()
    needed, _ = cut_band(frames[0].rows, band, halo)
    bands = 1 if band is None else band[1]
    limits = afford_threads(paths, frames, limits, bands=bands)
    kept = {
        index: recall(frame.sha256, path, selection.reading)
        for index, (path, frame) in enumerate(zip(paths, frames, strict=True))
    }
    stack = read_stack(paths, selection.reading, limits, needed, bands, kept)
    check_unchanged(paths, frames, selection.table)
    return replace(
        stack,
        blacks=black_beside_bias(stack.blacks, bool(bias), selection.reading),
        factors=scale_factors(selection.used_of_table(), frames, scale),
        bias=read_image(bias)[0][needed] if bias else None,
    ), frames


def afford_threads(paths, frames, limits, planes=1, bands=1):
    """Limits with no more threads than memory allows, as each holds a frame while it is decoded.

    Parameters
    ----------
    paths : list of str
    frames : list of FrameRecord
    limits, planes, bands
        See `allocate`.

    Returns
    -------
    dict
        threads, memory_mb, scratch.
    """
    if limits["memory_mb"] is None:
        return limits
    size = (frames[0].shape, len(paths), planes * bytes_of_pixel(paths[0]), limits["threads"], bands)
    return limits | {"threads": affordable_threads(*size, limit_mb=limits["memory_mb"])}


def read_stack(paths, reading, limits, needed=slice(0, None), bands=1, kept=None):
    """Read frames; those that were decoded before are mapped into memory, the others are decoded, each once.

    Parameters
    ----------
    paths : list of str
    reading : bool or dict
        How frames are read, see `flatfield.raw.decode.Reading`.
    limits : dict
        threads, memory_mb, scratch (folder).
    needed : slice
        Rows to keep, one of several bands.
    bands : int
    kept : dict, optional
        Frames that were decoded before, by index; None for those that were not.

    Returns
    -------
    Stack
        Not scaled.

    Raises
    ------
    FrameError
        If a frame cannot be read, or differs from the first in size, type or colour filter array.
    ResourceError
        If memory or scratch space does not suffice.
    """
    blacks = np.empty((len(paths), 4), np.float32)
    mapped = {index: frame for index, frame in (kept or {}).items() if frame is not None}
    missing = [index for index in range(len(paths)) if index not in mapped]
    lock, made, usual = Lock(), [], []

    def check(index, pixels):
        description = f"{pixels.shape[0]} x {pixels.shape[1]} pixels, {pixels.dtype}"
        if not usual:
            usual.extend((description, paths[index]))
        if description != usual[0]:
            raise FrameError(f"{paths[index]} is {description}, but {usual[1]} is {usual[0]}")

    def load(place):
        def keep(pixels):
            with lock:
                check(missing[place], pixels)
                if not made:  # the first one shows how much there is to keep
                    made.append(allocate(len(missing), pixels[needed], limits, bands=bands))
            made[0][0].write(place, pixels[needed])

        frame = read_frame(paths[missing[place]], reading, keep=keep, with_metadata=False)
        blacks[missing[place]] = frame.black
        return frame.cfa

    for index, frame in mapped.items():
        check(index, frame.mosaic)
        blacks[index] = frame.black
    patterns = {index: frame.cfa for index, frame in mapped.items()}
    decoded = read_each([paths[index] for index in missing], load, limits["threads"]) if missing else []
    patterns |= dict(zip(missing, decoded, strict=True))
    for index, cfa in patterns.items():
        if cfa != patterns[0]:
            raise FrameError(f"{paths[index]} has the colour pattern {cfa.name}, but {paths[0]} has {patterns[0].name}")
    store, band_rows = made[0] if made else (None, BAND_PIXELS)
    if mapped:
        pixels = {index: frame.mosaic[needed] for index, frame in mapped.items()}
        store = MappedStore(pixels, store)
        band_rows = min(band_rows, max(MAPPED_PIXELS // store.shape[1], 1))
        print(f"{len(mapped)} of {len(paths)} frames were decoded before", flush=True)
    cfa = patterns[0].shifted(needed.start, 0)
    return Stack(store, blacks, np.ones_like(blacks), cfa, None, limits["threads"], band_rows)


def allocate(frames, frame, limits, planes=1, bands=1):
    """Make room for frames like one of them, in memory if the limit allows.

    Parameters
    ----------
    frames : int
    frame : numpy.ndarray, ``(rows, columns)``
    limits : dict
        See `read_used_stack`.
    planes : int
        How many stores of that kind there will be.
    bands : int
        How many of them make a whole frame.

    Returns
    -------
    store : FrameStore
    band_rows : int
        Rows that a thread can take at a time.

    Raises
    ------
    ResourceError
        If memory or scratch space does not suffice.
    """
    size = ((bands * frame.shape[0], frame.shape[1]), frames, frame.itemsize * planes, limits["threads"], bands)
    limit, needed, least = limits["memory_mb"], needed_mb(*size), least_mb(*size)
    what = f"{frames} frames of {frame.shape[0]} x {frame.shape[1]} pixels"
    if limit is None or needed <= limit:
        print(f"{what}: in memory, about {needed} MB in all", flush=True)
        return FrameStore(frames, frame.shape, frame.dtype), max(BAND_PIXELS // frame.shape[1], 1)
    if least > limit:
        raise ResourceError(
            f"memory_mb: {limit} is too little for {what} and {limits['threads']} threads; give {least}"
        )
    print(
        f"{what}: {needed} MB, more than the {limit} MB allowed: in a scratch file in {limits['scratch']}", flush=True
    )
    store = FrameStore(frames, frame.shape, frame.dtype, limits["scratch"])
    return store, band_rows(*size, limit_mb=limit)


def mask_pixels(stack, value, saturations):
    """Mark the pixels of a master that must not be trusted.

    Parameters
    ----------
    stack : Stack
    value : numpy.ndarray, float32, ``(rows, columns)``, DN above black
        The master.
    saturations : list of dict
        Saturation level by channel of each frame, DN, of channels that saturate.

    Returns
    -------
    numpy.ndarray, uint8, ``(rows, columns)``
        Sum of `MASK_DARK` (not above black, or not finite) and `MASK_SATURATED` (saturated in `MOST_SATURATED` of the
        frames or more).
    """
    mask = np.empty(value.shape, np.uint8)
    channels, p = stack.cfa.channels, stack.cfa.period
    fewest = max(int(np.ceil(MOST_SATURATED * len(saturations))), 1)

    def work(rows, block, first):
        saturated, start = np.zeros(value[rows].shape, np.uint16), rows.start - first
        for index, levels in enumerate(saturations):
            for i, j, color in stack.cfa.shifted(rows.start, 0).phases() if levels else ():
                level = levels.get(channels[CHANNEL_OF_COLOR[color]])
                if level is not None:
                    saturated[i::p, j::p] += block[index, start : rows.stop - first][i::p, j::p] >= level
        mask[rows] = np.where(value[rows] > 0, 0, MASK_DARK)
        mask[rows] += np.where(saturated >= fewest, np.uint8(MASK_SATURATED), np.uint8(0))

    stack.work_in_bands(work)
    return mask
