"""Plot the channels of the debayered master with their profiles, and what its models leave over."""

from flatfield.job import logged_job
from flatfield.plotting import plot_planes_and_profiles, plot_rows
from flatfield.products import read_planes
from flatfield.regions import residual_percent


def main(flat, models, flat_plot, models_plot, title):
    """Write two PNG files.

    Parameters
    ----------
    flat : str
        ``flat.fits``.
    models : list of str
        The models, like ``flat.fits``.
    flat_plot, models_plot : str
        PNG files to write.
    title : str
        Of the set.
    """
    planes, channels, header = read_planes(flat)
    plot_planes_and_profiles(flat_plot, f"{title}: {header['NCOMBINE']} frames combined", planes, channels)
    rows = []
    for path in models:
        fitted, _, header = read_planes(path)
        residuals = [residual_percent(plane, model) for plane, model in zip(planes, fitted, strict=True)]
        panels = [(f"{channel}: {header['MODEL']}", image) for channel, image in zip(channels, residuals, strict=True)]
        rows.append({"panels": panels, "unit": "percent", "signed": True, "shared": True})
    plot_rows(models_plot, f"{title}: flat against model", rows)


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.flat,
            snakemake.input.models,
            snakemake.output.flat,
            snakemake.output.models,
            snakemake.params.title,
        )
