"""Plot the combined subsets in a row, and their differences."""

from flatfield.job import logged_job
from flatfield.plotting import describe_exposure, plot_note, plot_rows
from flatfield.products import read_image


def main(subsets, differences, subsets_plot, differences_plot, title):
    """Write two PNG files.

    Parameters
    ----------
    subsets : list of str
        Combined mosaics.
    differences : list of str
        Differences of subsets, with the extension ``PERCENT``; none where there is only one subset.
    subsets_plot, differences_plot : str
        PNG files to write.
    title : str
        Of the set.
    """
    images = [read_image(path) for path in subsets]
    panels = [
        (f"{header['SUBSET']}: {header['NCOMBINE']} frames, camera at {header['ROTATION']:g}°", image)
        for image, header in images
    ]
    title = ", ".join(filter(None, [title, describe_exposure(images[0][1])]))
    plot_rows(subsets_plot, title, [{"panels": panels, "unit": "DN above black", "signed": False, "shared": True}])
    if not differences:
        plot_note(differences_plot, "There is only one subset, so that there are no differences.")
        return
    rows = []
    for extension, unit in ((0, "DN"), ("PERCENT", "percent")):
        images = [read_image(path, extension) for path in differences]
        panels = [(f"{header['MINUEND']} - {header['SUBTRAHE']}", image) for image, header in images]
        rows.append({"panels": panels, "unit": unit, "signed": True, "shared": True})
    plot_rows(differences_plot, f"{title}: differences of subsets", rows)


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.subsets,
            snakemake.input.differences,
            snakemake.output.subsets,
            snakemake.output.differences,
            snakemake.params.title,
        )
