"""Statistics of a debayered master in boxes, with what noise alone would give."""

from flatfield.combine.demosaicing import noise_of_interpolation
from flatfield.combine.methods import scatter_of_master
from flatfield.measure.boxes import frame_variance, locate_box, measure_boxes, separate_causes


def measure_master(planes, errors, channels, count, cameras, cfa, options):
    """Rows of ``stats.tsv``.

    Parameters
    ----------
    planes, errors : numpy.ndarray, float32, ``(channels, rows, columns)``
        Debayered master and its standard errors, DN above black.
    channels : sequence of str
    count : int
        Frames that it is made of.
    cameras : dict
        Row of ``noise.tsv`` by channel.
    cfa : ColorFilterArray
        Of the frames.
    options : dict
        Sections regions, combine and debayer of the configuration.

    Returns
    -------
    list of dict
        See `flatfield.measure.boxes.measure_boxes` and `flatfield.measure.boxes.separate_causes`.
    """
    rows = measure_boxes(planes, channels, options["regions"])
    share = dict.fromkeys(channels)
    if options["debayer"]["algorithm"] in ("bilinear", "LINEAR"):
        share = dict(zip(channels, noise_of_interpolation(cfa), strict=True))
    efficiency = scatter_of_master(options["combine"], count) ** 2
    for row in rows:
        where = locate_box(row["region"], options["regions"][row["region"]], planes.shape[1:])
        channel = row["channel"]
        variance = frame_variance(cameras[channel], row["mean"])
        variance = variance and share[channel] and variance * share[channel] * efficiency
        row.update(separate_causes(row, errors[list(channels).index(channel)][where], variance))
    return rows
