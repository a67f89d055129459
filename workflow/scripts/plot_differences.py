"""Plot the differences of the subsets in a row, in DN and in percent."""

from flatfield.job import logged_job
from flatfield.plotting import describe_exposure, plot_rows
from flatfield.products import read_image


def main(differences, plot, title):
    """Write a PNG.

    Parameters
    ----------
    differences : list of str
        Differences of subsets, with the extension ``PERCENT``.
    plot : str
        PNG to write.
    title : str
        Of the set.
    """
    exposure = describe_exposure(read_image(differences[0])[1])
    rows = []
    for extension, unit in ((0, "DN"), ("PERCENT", "percent")):
        images = [read_image(path, extension) for path in differences]
        panels = [(f"{header['MINUEND']} - {header['SUBTRAHE']}", image) for image, header in images]
        rows.append({"panels": panels, "unit": unit, "signed": True, "shared": True})
    title = ", ".join(filter(None, [title, exposure]))
    plot_rows(plot, f"{title}: differences of subsets", rows)


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(snakemake.input.differences, snakemake.output.plot, snakemake.params.title)
