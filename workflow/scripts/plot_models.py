"""Plot what the chosen model leaves over, and how well each model predicts blocks that it was not fitted to."""

import numpy as np
from flatfield.raw.cfa import ColorFilterArray
from flatfield.report.plotting import plotted_size
from flatfield.files.job import logged_job
from flatfield.report.plotting import plot_models
from flatfield.files.fits import read_image
from flatfield.measure.blocks import average_channels
from flatfield.files.tables import number_of, read_table


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
    ratio, _ = read_image(detail)
    _, header = read_image(model)
    cfa = ColorFilterArray.from_name(header.get("BAYERPAT", "MONO"))
    left = 100 * (average_channels(np.nan_to_num(ratio, nan=1), cfa, plotted_size(ratio.shape, cfa)) - 1)
    panels = [(f"{channel}: flat / model - 1", image) for channel, image in zip(cfa.channels, left, strict=True)]
    ladder = [row for row in read_table(models) if number_of(row["cv_rms_percent"]) is not None]
    plot_models(plot, f"{title}: {header['MODEL']}", panels, ratio.shape, ladder)


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.models,
            snakemake.input.model,
            snakemake.input.detail,
            snakemake.output.plot,
            snakemake.params.title,
        )
