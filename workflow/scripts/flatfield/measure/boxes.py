"""Boxes of pixels: where they lie, and their statistics."""

import numpy as np

from flatfield.files.errors import ConfigurationError
from flatfield.files.tables import number_of


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


def separate_causes(row, errors, variance=None):
    """What a box of a debayered master scatters by: noise, and structure (gradient and pixel response).

    Parameters
    ----------
    row : dict
        Of `measure_boxes`.
    errors : numpy.ndarray, ``(size, size)``
        Standard errors of its pixels, in the unit of its mean.
    variance : float, optional
        Variance that is predicted for a pixel of the master, from photon and read noise.

    Returns
    -------
    dict
        temporal_std (quadratic mean of the errors), snr_temporal, snr_photon (predicted), structure_percent
        (100 sqrt(std^2 - temporal_std^2) / mean, 0 where noise explains all); None where not known.
    """
    mean, square = row["mean"], float(np.mean(errors.astype(np.float64) ** 2))
    known = np.isfinite(square)
    return {
        "temporal_std": square**0.5 if known else None,
        "snr_temporal": mean / square**0.5 if known and square else None,
        "snr_photon": mean / variance**0.5 if variance else None,
        "structure_percent": 100 * max(row["std"] ** 2 - square, 0) ** 0.5 / mean if known and mean else None,
    }


def frame_variance(camera, level):
    """Variance of a recorded pixel of one frame at a level, DN^2: photon noise, and read noise where it is known."""
    gain, read_noise = number_of(camera["gain_e_per_dn"]), number_of(camera["read_noise_e"])
    if gain is None or level <= 0:
        return None
    return level / gain + ((read_noise or 0) / gain) ** 2
