"""Plot the differences of the subsets, per channel, in percent and in standard errors."""

from flatfield.files.fits import read_image
from flatfield.files.job import run
from flatfield.measure.blocks import average_channels, average_significance
from flatfield.raw.cfa import ColorFilterArray
from flatfield.report.plotting import describe_exposure, plot_rows, plotted_size


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
    first, header = read_image(differences[0])
    cfa, rows = ColorFilterArray.from_name(header.get("BAYERPAT", "MONO")), []
    size = plotted_size(first.shape, cfa)
    for extension, unit, average in (
        ("PERCENT", "percent", average_channels),
        ("Z", "standard errors", average_significance),
    ):
        images = [read_image(path, extension) for path in differences]
        maps = [average(image, cfa, size) for image, _ in images]
        labels = [f"{cards['MINUEND']} - {cards['SUBTRAHE']}" for _, cards in images]
        for index, channel in enumerate(cfa.channels):
            panels = [(f"{label}, {channel}", each[index]) for label, each in zip(labels, maps, strict=True)]
            rows.append({"panels": panels, "unit": unit, "signed": True, "shared": True, "shape": first.shape})
    title = ", ".join(filter(None, [title, describe_exposure(header)]))
    plot_rows(plot, f"{title}: differences of subsets, in blocks of {size} x {size} pixels", rows)


if "snakemake" in globals():
    run(main, snakemake)
