"""Plot the residual of the chosen model, and how well each model predicts blocks that it was not fitted to."""

import numpy as np

from flatfield.files.job import run
from flatfield.files.tables import number_of, read_table
from flatfield.measure.blocks import average_channels
from flatfield.raw.mosaic import read_mosaic
from flatfield.report.plotting import plot_models, plotted_size


def main(models, model, detail, plot, title):
    """Write a PNG.

    Parameters
    ----------
    models : str
        ``models.tsv``.
    model, detail : str
        The chosen model, and the flat over it.
    plot : str
        PNG to write.
    title : str
        Of the set.
    """
    ratio, name = read_mosaic(detail), read_mosaic(model).header["MODEL"]
    size = plotted_size(ratio.shape, ratio.cfa)
    left = 100 * (average_channels(np.nan_to_num(ratio.value, nan=1), ratio.cfa, size) - 1)
    panels = [(f"{channel}: flat / model - 1", image) for channel, image in zip(ratio.cfa.channels, left, strict=True)]
    ladder = [row for row in read_table(models) if number_of(row["cv_rms_percent"]) is not None]
    plot_models(plot, f"{title}: {name}", panels, ratio.shape, ladder)


if "snakemake" in globals():
    run(main, snakemake)
