"""Plot the combined subsets in a row."""

from flatfield.files.job import run
from flatfield.raw.mosaic import read_mosaic
from flatfield.report.plotting import describe_exposure, describe_pose, plot_rows


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
    mosaics = [read_mosaic(path) for path in subsets]
    panels = [
        (f"{each.header['SUBSET']}: {each.header['NCOMBINE']} frames, {describe_pose(each.header)}", each.value)
        for each in mosaics
    ]
    title = ", ".join(filter(None, [title, describe_exposure(mosaics[0].header)]))
    plot_rows(plot, title, [{"panels": panels, "unit": "DN above black", "signed": False, "shared": True}])


if "snakemake" in globals():
    run(main, snakemake)
