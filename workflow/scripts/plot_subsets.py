"""Plot the combined subsets in a row."""

from flatfield.files.job import logged_job
from flatfield.report.plotting import describe_exposure, plot_rows
from flatfield.files.fits import read_image


def main(subsets, plot, title):
    """Write a PNG.

    Parameters
    ----------
    subsets : list of str
        Combined mosaics.
    plot : str
        PNG to write.
    title : str
        Of the set.
    """
    images = [read_image(path) for path in subsets]
    panels = [
        (f"{header['SUBSET']}: {header['NCOMBINE']} frames, camera at {header['ROTATION']:g}°", image)
        for image, header in images
    ]
    title = ", ".join(filter(None, [title, describe_exposure(images[0][1])]))
    plot_rows(plot, title, [{"panels": panels, "unit": "DN above black", "signed": False, "shared": True}])


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(snakemake.input.subsets, snakemake.output.plot, snakemake.params.title)
