"""Plot photon transfer, and the noise of masters against the number of frames."""

from flatfield.files.job import run
from flatfield.files.tables import numbers_of, read_table
from flatfield.report.plotting import plot_noise


def main(transfer, depth, plot, title, wanted_error_percent):
    """Write a PNG.

    Parameters
    ----------
    transfer, depth : str
        ``photon_transfer.tsv`` and ``depth.tsv`` of a set.
    plot : str
        PNG to write.
    title : str
        Of the set.
    wanted_error_percent : float
        Error of the master to be marked.
    """
    points, frames = ([numbers_of(row) for row in read_table(path)] for path in (transfer, depth))
    title = f"{title}: noise, measured (points) and fitted or predicted (lines)"
    plot_noise(plot, title, points, frames, wanted_error_percent)


if "snakemake" in globals():
    run(main, snakemake)
