"""Maps of the light source in blocks, for figures: as each subset saw it, as solved for, and what is left."""

import numpy as np
from astropy.io import fits

from flatfield.files.fits import read_image
from flatfield.files.tables import number_of
from flatfield.measure.blocks import average_channels, block_positions
from flatfield.measure.illumination import design


def map_subsets(subsets, flat, terms, size, channel):
    """Maps of the light source of each subset, percent.

    Parameters
    ----------
    subsets : iterable of Mosaic
    flat : Mosaic
        The response.
    terms : list of dict
        Rows of ``illumination.tsv``.
    size : int
        Side of a block, pixels.
    channel : int

    Returns
    -------
    list of list
        Three rows of ``(label, map)``: as seen, as found, and what is left.
    """
    name = flat.cfa.channels[channel] if len(flat.cfa.channels) > 1 else "ALL"
    found = [row for row in terms if row["channel"] == name and number_of(row["percent"]) is not None]
    kinds = [(int(row["n"]), int(row["m"]) * (-1 if row["kind"] == "sin" else 1)) for row in found]
    coefficients = np.array([float(row["percent"]) / 100 for row in found])
    x, y = np.meshgrid(*(each[channel] for each in block_positions(flat.shape, size, flat.cfa)))
    response = average_channels(flat.value, flat.cfa, size)[channel]
    seen, solved, left = [], [], []
    for subset in subsets:
        name, angle = subset.header["SUBSET"], subset.header["ROTATION"]
        with np.errstate(all="ignore"):
            ratio = average_channels(subset.value, flat.cfa, size)[channel] / response
        before = 100 * (ratio / np.nanmedian(ratio) - 1)
        model = 100 * np.expm1(design(kinds, x, y, angle) @ coefficients) if kinds else np.zeros(x.shape)
        rest = 100 * ((1 + before / 100) / (1 + model / 100) - 1)
        seen.append((f"{name}, camera at {angle:g}°", before))
        solved.append((f"{name}: found", model - np.nanmedian(model)))
        left.append((f"{name}: left over", rest - np.nanmedian(rest)))
    return [seen, solved, left]


def map_truth(source, truth, cfa, size, channel):
    """A row of ``(label, map)``: the light source as found, as it truly was, and the difference, percent.

    Parameters
    ----------
    source, truth : str
        ``illumination.fits``, and the demo's truth.
    cfa : ColorFilterArray
    size : int
        Side of a block, pixels.
    channel : int
    """
    found = average_channels(read_image(source)[0], cfa, size)[channel]
    with fits.open(truth) as hdus:
        true = average_channels(100 * (hdus["SOURCE"].data.astype(np.float32) - 1), cfa, size)[channel]
    return [("found, camera at 0°", found), ("true", true), ("true - found", true - found)]
