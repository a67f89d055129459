"""Stacks: the used frames of a set or subset, as recorded, with what turns them into signal at a common level."""

from dataclasses import dataclass

import numpy as np

from flatfield.cfa import ColorFilterArray
from flatfield.errors import InventoryError
from flatfield.frames import black_beside_bias, read_stack, signal
from flatfield.inventory import scale_factors, used_frames
from flatfield.products import read_image
from flatfield.tables import read_table

#: Values of the pixels of ``MASK``.
MASK_DARK, MASK_SATURATED = 1, 2
#: Pixels of each frame that a thread combines at a time, so that all frames of the block stay in the processor's cache.
BLOCK_PIXELS = 1 << 14


@dataclass(frozen=True)
class Stack:
    """Frames of one camera.

    Attributes
    ----------
    mosaics : numpy.ndarray, uint16 or float32, ``(frames, rows, columns)``, DN
    blacks : numpy.ndarray, float32, ``(frames, 4)``, DN
        Black level of each frame and colour.
    factors : numpy.ndarray, float32, ``(frames, 4)``
        Scale factor of each frame and colour, see `flatfield.inventory.scale_factors`.
    cfa : ColorFilterArray
    bias : numpy.ndarray, float32, ``(rows, columns)``, optional
        Master of the offset frames, DN.
    """

    mosaics: np.ndarray
    blacks: np.ndarray
    factors: np.ndarray
    cfa: ColorFilterArray
    bias: np.ndarray | None = None

    def rows(self, start, stop):
        """Scaled signal of some rows, float32, ``(frames, stop - start, columns)``, DN above black."""
        cfa = self.cfa.shifted(start, 0)
        bias = None if self.bias is None else self.bias[start:stop]
        result = signal(self.mosaics[:, start:stop], self.blacks, cfa, bias)
        p = cfa.period
        for i, j, color in cfa.phases():
            result[:, i::p, j::p] *= self.factors[:, color, None, None]
        return result

    def blocks(self, pixels=BLOCK_PIXELS):
        """Slices of rows of about `pixels` pixels, whole tiles of the colour filter array each."""
        return row_blocks(self.mosaics.shape[1:], self.cfa.period, pixels)


def row_blocks(shape, multiple=1, pixels=BLOCK_PIXELS):
    """Cut ``(rows, columns)`` into slices of rows of about `pixels` pixels, a multiple of `multiple` rows each."""
    rows, columns = shape
    step = max(pixels // columns // multiple, 1) * multiple
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def select_used(frames, files, inventory, step=1):
    """Choose the frames that count.

    Parameters
    ----------
    frames : list of str
    files : list of str
        Their names in the table.
    inventory : str
        ``inspected.tsv`` of the set, or ``bias.tsv``.
    step : int
        Every n-th of the used frames.

    Returns
    -------
    paths : list of str
    rows : list of dict
        Their rows of the table.

    Raises
    ------
    InventoryError
        If the table lacks a frame.
    """
    rows = {row["file"]: row for row in read_table(inventory)}
    lost = [file for file in files if file not in rows]
    if lost:
        raise InventoryError(f"{inventory} does not list {lost[0]}; remove that table and run the workflow again")
    used = [(path, rows[file]) for path, file in zip(frames, files, strict=True) if rows[file]["used"] == "yes"][::step]
    return [path for path, _ in used], [row for _, row in used]


def read_used_stack(frames, files, inventory, bias, scale, overscan, threads, step=1):
    """Read the frames that count.

    Parameters
    ----------
    frames, files, inventory, step
        See `select_used`.
    bias : str or None
        Master of the offset frames, which takes the place of the black level of the metadata.
    scale : {"none", "frame", "channel"}
    overscan : bool
    threads : int

    Returns
    -------
    stack : Stack
    rows : list of dict
        Rows of the table.
    """
    paths, rows = select_used(frames, files, inventory, step)
    mosaics, blacks, cfa = read_stack(paths, overscan, threads)
    blacks = black_beside_bias(blacks, bool(bias), overscan)
    factors = scale_factors(used_frames(read_table(inventory)), rows, scale)
    return Stack(mosaics, blacks, factors, cfa, read_image(bias)[0] if bias else None), rows


def mask_pixels(stack, value, saturations):
    """Mark the pixels of a master that must not be trusted.

    Parameters
    ----------
    stack : Stack
    value : numpy.ndarray, float32, ``(rows, columns)``, DN above black
        The master.
    saturations : list
        Measured saturation level of each frame, DN (text or number); None where it has no saturated pixel.

    Returns
    -------
    numpy.ndarray, uint8, ``(rows, columns)``
        Sum of `MASK_DARK` (not above black, or not finite) and `MASK_SATURATED` (saturated in half of the
        frames or more).
    """
    saturated = np.zeros(value.shape, np.uint16)
    for mosaic, level in zip(stack.mosaics, saturations, strict=True):
        if level is not None:
            saturated += mosaic >= float(level)
    mask = np.where(value > 0, 0, MASK_DARK) + np.where(2 * saturated >= len(saturations), MASK_SATURATED, 0)
    return mask.astype(np.uint8)
