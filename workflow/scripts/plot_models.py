"""Plot what the models of the flat leave over."""

from flatfield.job import logged_job
from flatfield.modelling import residual_percent
from flatfield.plotting import plot_rows
from flatfield.products import read_planes


def main(flat, models, plot, title):
    """Write a PNG.

    Parameters
    ----------
    flat : str
        ``flat.fits``.
    models : list of str
        The models, like ``flat.fits``.
    plot : str
        PNG to write.
    title : str
        Of the set.
    """
    planes, channels, _ = read_planes(flat)
    rows = []
    for path in models:
        fitted, _, header = read_planes(path)
        residuals = [residual_percent(plane, model) for plane, model in zip(planes, fitted, strict=True)]
        panels = [(f"{channel}: {header['MODEL']}", image) for channel, image in zip(channels, residuals, strict=True)]
        rows.append({"panels": panels, "unit": "percent", "signed": True, "shared": True})
    plot_rows(plot, f"{title}: flat against model", rows)


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.flat,
            [snakemake.input.polynomial, snakemake.input.smooth],
            snakemake.output.plot,
            snakemake.params.title,
        )
