"""Plot the light source as each subset saw it, what was solved for, and what is left over."""

import numpy as np
from astropy.io import fits
from flatfield.raw.cfa import ColorFilterArray
from flatfield.report.plotting import plotted_size
from flatfield.files.job import logged_job
from flatfield.report.plotting import plot_rows
from flatfield.files.fits import read_image
from flatfield.measure.illumination import design
from flatfield.measure.blocks import average_channels, block_positions
from flatfield.files.tables import number_of, read_table


def main(subsets, terms, source, response, truth, plot, title):
    """Write a PNG.

    Parameters
    ----------
    subsets : list of str
        Combined mosaics.
    terms, source, response : str
        ``illumination.tsv``, ``illumination.fits`` and ``response.fits``.
    truth : str or None
        The demo's true light source.
    plot : str
        PNG to write.
    title : str
        Of the set.
    """
    flat, header = read_image(response)
    cfa = ColorFilterArray.from_name(header.get("BAYERPAT", "MONO"))
    size = plotted_size(flat.shape, cfa)
    channel = len(cfa.channels) // 2  # green, which has the least noise
    name = cfa.channels[channel] if len(cfa.channels) > 1 else "ALL"
    found = [row for row in read_table(terms) if row["channel"] == name and number_of(row["percent"]) is not None]
    kinds = [(int(row["n"]), int(row["m"]) * (-1 if row["kind"] == "sin" else 1)) for row in found]
    coefficients = np.array([float(row["percent"]) / 100 for row in found])
    x, y = np.meshgrid(*(each[channel] for each in block_positions(flat.shape, size, cfa)))
    rows = {"subset": [], "found": [], "left over": []}
    for path in subsets:
        mosaic, header = read_image(path)
        name = header["SUBSET"]
        with np.errstate(all="ignore"):
            ratio = average_channels(mosaic, cfa, size)[channel] / average_channels(flat, cfa, size)[channel]
        before = 100 * (ratio / np.nanmedian(ratio) - 1)
        model = np.zeros(x.shape)
        if kinds:
            model = 100 * np.expm1(design(kinds, x, y, header["ROTATION"]) @ coefficients)
        left = 100 * ((1 + before / 100) / (1 + model / 100) - 1)
        label = f"{name}, camera at {header['ROTATION']:g}°"
        rows["subset"].append((label, before))
        rows["found"].append((f"{name}: found", model - np.nanmedian(model)))
        rows["left over"].append((f"{name}: left over", left - np.nanmedian(left)))
    figures = [
        {"panels": panels, "unit": "percent", "signed": True, "shared": True, "shape": flat.shape}
        for panels in rows.values()
    ]
    if truth:
        found = average_channels(read_image(source)[0], cfa, size)[channel]
        with fits.open(truth) as hdus:
            true = average_channels(100 * (hdus["SOURCE"].data.astype(np.float32) - 1), cfa, size)[channel]
        panels = [("found, camera at 0°", found), ("true", true), ("true - found", true - found)]
        figures.append({"panels": panels, "unit": "percent", "signed": True, "shared": True, "shape": flat.shape})
    of_channel = f", {cfa.channels[channel]}" if len(cfa.channels) > 1 else ""
    plot_rows(plot, f"{title}: the light source{of_channel}", figures)


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.subsets,
            snakemake.input.terms,
            snakemake.input.source,
            snakemake.input.response,
            snakemake.input.truth or None,
            snakemake.output.plot,
            snakemake.params.title,
        )
