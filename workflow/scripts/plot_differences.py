"""Plot the differences of the subsets, per channel, in percent and in standard errors."""

import numpy as np
from flatfield.raw.cfa import ColorFilterArray
from flatfield.report.plotting import plotted_size
from flatfield.files.job import logged_job
from flatfield.report.plotting import describe_exposure, plot_rows
from flatfield.files.fits import read_image
from flatfield.measure.blocks import average_channels


def main(differences, plot, title):
    """Write a PNG.

    Parameters
    ----------
    differences : list of str
        Differences of subsets, with the extensions ``PERCENT`` and ``Z``.
    plot : str
        PNG to write.
    title : str
        Of the set.
    """
    header = read_image(differences[0])[1]
    cfa = ColorFilterArray.from_name(header.get("BAYERPAT", "MONO"))
    rows = []
    for extension, unit in (("PERCENT", "percent"), ("Z", "standard errors")):
        images = [read_image(path, extension) for path in differences]
        maps = [average_blocks(image, cfa, extension == "Z") for image, _ in images]
        labels = [f"{header['MINUEND']} - {header['SUBTRAHE']}" for _, header in images]
        for index, channel in enumerate(cfa.channels):
            panels = [(f"{label}, {channel}", each[index]) for label, each in zip(labels, maps, strict=True)]
            rows.append({"panels": panels, "unit": unit, "signed": True, "shared": True, "shape": images[0][0].shape})
    title = ", ".join(filter(None, [title, describe_exposure(header)]))
    size = plotted_size(images[0][0].shape, cfa)
    plot_rows(plot, f"{title}: differences of subsets, in blocks of {size} x {size} pixels", rows)


def average_blocks(image, cfa, is_significance):
    """Means of each channel in blocks; those of z times the root of their number, which have the scatter 1."""
    size = plotted_size(image.shape, cfa)
    means = average_channels(image, cfa, size)
    if not is_significance:
        return means
    tile = cfa.channel_map((cfa.period, cfa.period))
    pixels = [np.count_nonzero(tile == channel) * (size // cfa.period) ** 2 for channel in range(len(means))]
    return means * np.sqrt(pixels)[:, None, None]


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(snakemake.input.differences, snakemake.output.plot, snakemake.params.title)
