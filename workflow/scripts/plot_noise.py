"""Plot photon transfer, and the noise of masters against the number of frames."""

from flatfield.files.job import logged_job
from flatfield.report.plotting import plot_noise
from flatfield.files.tables import read_table


def main(transfer, depth, plot, title, wanted_percent):
    """Write a PNG.

    Parameters
    ----------
    transfer, depth : str
        ``photon_transfer.tsv`` and ``depth.tsv`` of a set.
    plot : str
        PNG to write.
    title : str
        Of the set.
    wanted_percent : float
        Error of the master to be marked.
    """
    points, frames = ([numbers_of(row) for row in read_table(path)] for path in (transfer, depth))
    plot_noise(
        plot, f"{title}: noise, measured (points) and fitted or predicted (lines)", points, frames, wanted_percent
    )


def numbers_of(row):
    """A row with its numbers as such."""
    return {
        name: text if name == "channel" else text == "yes" if name == "fitted" else float(text)
        for name, text in row.items()
    }


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.transfer,
            snakemake.input.depth,
            snakemake.output.plot,
            snakemake.params.title,
            snakemake.params.wanted["wanted_error_percent"],
        )
