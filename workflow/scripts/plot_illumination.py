"""Plot the light source as each subset saw it, what was found, what remains, and what is not known."""

from flatfield.files.fits import read_image
from flatfield.files.job import run
from flatfield.files.tables import read_table
from flatfield.measure.illumination_maps import map_subsets, map_truth, map_unknown
from flatfield.raw.mosaic import read_mosaic
from flatfield.report.plotting import plot_rows, plotted_size


def main(subsets, terms, geometry, source, response, plot, title, truth=None):
    """Write a PNG.

    Parameters
    ----------
    subsets : list of str
        Combined mosaics.
    terms, geometry, source, response : str
        ``illumination.tsv``, ``geometry.tsv``, ``illumination.fits`` and ``response.fits``.
    plot : str
        PNG to write.
    title : str
        Of the set.
    truth : str, optional
        The demo's true light source.
    """
    flat = read_mosaic(response)
    size, channel = plotted_size(flat.shape, flat.cfa), len(flat.cfa.channels) // 2  # green has the least noise
    field = read_image(source)[1].get("FIELD", 0.0)
    tables = read_table(terms), read_table(geometry)
    rows = map_subsets(map(read_mosaic, subsets), flat, *tables, size, channel, field)
    unknown = map_unknown(source, flat.cfa, size, channel)
    if truth:
        rows.append(map_truth(source, truth, flat.cfa, size, channel))
    style = {"unit": "percent", "signed": True, "shared": True, "shape": flat.shape}
    of_channel = f", {flat.cfa.channels[channel]}" if len(flat.cfa.channels) > 1 else ""
    plot_rows(
        plot,
        f"{title}: the light source{of_channel}",
        [{"panels": panels, **style} for panels in rows] + [{"panels": unknown, **style, "signed": False}],
    )


if "snakemake" in globals():
    run(main, snakemake)
