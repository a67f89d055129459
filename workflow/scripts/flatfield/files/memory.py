"""Memory that combining takes: upper bounds from the number of frames and their size."""

from flatfield.files.names import is_fits

#: Bytes that a combining job takes beside its frames: interpreter and libraries, and for each pixel of a frame what is
#: written (planes, their errors and copies). Upper bounds: measured were two thirds of the sum of all and less.
BASE, PRODUCTS = 250_000_000, 28
#: Memory of the Snakemake that starts a job on a node of a cluster, MB; measured were 100.
STARTER_MB = 250
#: Rows above and below a band that interpolation needs, and rows of the largest colour filter array.
HALO, TILE = 2, 6


def bytes_of_pixel(path):
    """Bytes that a pixel of a frame takes in memory; those of FITS frames may be floats."""
    return 4 if is_fits(path) else 2


def needed_mb(shape, frames, itemsize, threads, bands=1):
    """Memory that a job takes to combine frames, all held in memory.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of a frame.
    frames : int
    itemsize : int
        Bytes of a pixel: 2 for raws, 4 for floats, 6 for LibRaw's three planes.
    threads : int
    bands : int
        Number of bands of rows, of which one is kept.

    Returns
    -------
    int
        Megabytes (10^6 bytes).
    """
    return _megabytes(_overhead(shape, itemsize, threads, bands) + frames * shape[0] * shape[1] * itemsize // bands)


def least_mb(shape, frames, itemsize, threads, bands=1):
    """The least memory that will do, with the frames in a scratch file; parameters as for `needed_mb`."""
    return _megabytes(
        _overhead(shape, itemsize, threads, bands) + threads * (2 * HALO + TILE) * shape[1] * frames * itemsize
    )


def affordable_threads(shape, frames, itemsize, threads, bands=1, *, limit_mb):
    """As many of `threads` as let the frames stay in memory within `limit_mb`, or else as many as will do at all.

    At least one; other parameters as for `needed_mb`.
    """
    numbers = range(threads, 0, -1)
    for size in (needed_mb, least_mb):
        for number in numbers:
            if size(shape, frames, itemsize, number, bands) <= limit_mb:
                return number
    return 1


def band_height(rows, count):
    """Rows of each band of a frame, in whole tiles of the colour filter array; the last one may have fewer."""
    return -(-rows // (count * TILE)) * TILE


def band_rows(shape, frames, itemsize, threads, bands=1, *, limit_mb):
    """Rows of all frames that each thread can take at a time within `limit_mb`; other parameters as for `needed_mb`."""
    left = (limit_mb * 1_000_000 - _overhead(shape, itemsize, threads, bands)) // threads
    return left // (shape[1] * frames * itemsize) - 2 * HALO


def _overhead(shape, itemsize, threads, bands):
    decoding = 4 + 2 * itemsize  # in each thread: the file, the decoder's copy and ours
    return BASE + shape[0] * shape[1] * (PRODUCTS // bands + decoding * threads)


def _megabytes(size):
    return -(-size // 1_000_000)
