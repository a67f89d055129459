"""Plot old masters over the new one, with the shadows of dust that changed."""

from astropy.io import fits

from flatfield.files.job import run
from flatfield.files.tables import read_table
from flatfield.report.validity_plot import plot_validity


def main(validity, quotients, plot, title):
    """Write a PNG.

    Parameters
    ----------
    validity : str
        ``validity.tsv``.
    quotients : str
        ``validity.fits``.
    plot : str
        PNG to write.
    title : str
        Of the set.
    """
    with fits.open(quotients) as hdus:
        images = [(hdu.data.copy(), (hdu.header["FROWS"], hdu.header["FCOLUMNS"])) for hdu in hdus[1:]]
    plot_validity(plot, title, read_table(validity), images)


if "snakemake" in globals():
    run(main, snakemake)
