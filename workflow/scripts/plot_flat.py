"""Plot the channels of the debayered master with their profiles."""

from flatfield.files.fits import read_planes
from flatfield.files.job import run
from flatfield.report.plotting import plot_planes_and_profiles


def main(flat, plot, title):
    """Write a PNG.

    Parameters
    ----------
    flat : str
        ``flat.fits``.
    plot : str
        PNG to write.
    title : str
        Of the set.
    """
    planes, channels, header = read_planes(flat)
    plot_planes_and_profiles(plot, f"{title}: {header['NCOMBINE']} frames combined", planes, channels)


if "snakemake" in globals():
    run(main, snakemake)
