"""Boxes of pixels: where they lie, and their statistics."""

import numpy as np

from flatfield.errors import ConfigurationError


def locate_box(name, box, shape):
    """Slices of a box.

    Parameters
    ----------
    name : str
        For messages.
    box : dict
        ``row`` and ``column`` of its first pixel (or ``center``: size // 2 of the frame) and ``size``, pixels.
    shape : tuple of int
        Rows and columns of the frame.

    Returns
    -------
    tuple of slice
        Rows and columns.

    Raises
    ------
    ConfigurationError
        If the box does not lie within the frame.
    """
    starts = [
        length // 2 if first == "center" else first
        for first, length in zip((box["row"], box["column"]), shape, strict=True)
    ]
    size = box["size"]
    if any(start + size > length for start, length in zip(starts, shape, strict=True)):
        raise ConfigurationError(
            f"key `regions.{name}`: the box of {size} x {size} pixels from row {starts[0]}, column {starts[1]} "
            f"does not lie within the frame of {shape[0]} x {shape[1]}; move it or make it smaller"
        )
    return tuple(slice(start, start + size) for start in starts)


def measure_boxes(planes, channels, regions):
    """Statistics of boxes, per channel, as the notebook printed them.

    Parameters
    ----------
    planes : numpy.ndarray, ``(channels, rows, columns)``
    channels : sequence of str
    regions : dict
        Section ``regions`` of the configuration.

    Returns
    -------
    list of dict
        channel, region, row, column, size, mean and std (unit of `planes`), std_over_mean, snr (mean / std).
        The standard deviation is that of the box (n in the denominator): it holds the vignetting gradient
        and the pixel response as well as noise. A ratio to 0 is None.
    """
    rows = []
    for region, box in regions.items():
        where = locate_box(region, box, planes.shape[1:])
        for channel, plane in zip(channels, planes, strict=True):
            values = plane[where].astype(np.float64)
            mean, std = float(values.mean()), float(values.std())
            rows.append(
                {
                    "channel": channel,
                    "region": region,
                    "row": where[0].start,
                    "column": where[1].start,
                    "size": box["size"],
                    "mean": mean,
                    "std": std,
                    "std_over_mean": std / mean if mean else None,
                    "snr": mean / std if std else None,
                }
            )
    return rows


def block_average(plane, size):
    """Mean of blocks of `size` x `size` pixels, ``(rows // size, columns // size)``; a remainder is left out.

    Examples
    --------
    >>> block_average(np.arange(8.0).reshape(2, 4), 2)
    array([[2.5, 4.5]])
    """
    rows, columns = plane.shape[0] // size, plane.shape[1] // size
    whole = plane[: rows * size, : columns * size].astype(np.float64)
    return whole.reshape(rows, size, columns, size).mean(axis=(1, 3))


def residual_percent(plane, model):
    """Deviation of the flat from a model, 100 (flat - model) / model, percent."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 100 * (plane.astype(np.float64) - model) / model
