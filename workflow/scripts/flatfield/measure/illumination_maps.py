"""Maps of the light source in blocks, for figures: as each subset saw it, as found, what remains, what is not known."""

import numpy as np
from astropy.io import fits

from flatfield.files.fits import read_image
from flatfield.files.tables import number_of
from flatfield.measure.blocks import average_channels, block_positions
from flatfield.measure.poses import place
from flatfield.measure.zernike import evaluate_terms

#: Aims below this are not named, half diagonals.
SHOWN_AIM = 0.03


def map_subsets(subsets, flat, terms, geometry, size, channel, field=0.0):
    """Maps of the light source of each subset, percent.

    Parameters
    ----------
    subsets : iterable of Mosaic
    flat : Mosaic
        The response.
    terms, geometry : list of dict
        Rows of ``illumination.tsv`` and ``geometry.tsv``.
    size : int
        Side of a block, pixels.
    channel : int
    field : float
        See `flatfield.measure.poses.Poses`.

    Returns
    -------
    list of list
        Three rows of ``(label, map)``: as seen, as found, and what remains.
    """
    name = flat.cfa.channels[channel] if len(flat.cfa.channels) > 1 else "ALL"
    found = [row for row in terms if row["channel"] == name and number_of(row["percent"]) is not None]
    kinds = [(int(row["n"]), int(row["m"]) * (-1 if row["kind"] == "sin" else 1)) for row in found]
    coefficients = np.array([float(row["percent"]) / 100 for row in found])
    x, y = np.meshgrid(*(each[channel] for each in block_positions(flat.shape, size, flat.cfa)))
    response = average_channels(flat.value, flat.cfa, size)[channel]
    poses = {(row["subset"], row["quantity"]): float(row["found"]) for row in geometry}
    seen, solved, left = [], [], []
    for subset in subsets:
        name = subset.header["SUBSET"]
        angle = poses.get((name, "rotation"), subset.header.get("ROTATION", 0.0))
        aim = [poses.get((name, quantity), 0.0) for quantity in ("aim_x", "aim_y")]
        with np.errstate(all="ignore"):
            ratio = average_channels(subset.value, flat.cfa, size)[channel] / response
        before = 100 * (ratio / np.nanmedian(ratio) - 1)
        model = 100 * np.expm1(evaluate_terms(kinds, *place(x, y, angle, aim, field)) @ coefficients)
        rest = 100 * ((1 + before / 100) / (1 + model / 100) - 1)
        aimed = f", aimed at {aim[0]:.2g}, {aim[1]:.2g}" if max(map(abs, aim)) >= SHOWN_AIM else ""
        seen.append((f"{name}, camera at {angle:.3g}°{aimed}", before))
        solved.append((f"{name}: found", model - np.nanmedian(model)))
        left.append((f"{name}: remains", rest - np.nanmedian(rest)))
    return [seen, solved, left]


def map_unknown(source, cfa, size, channel):
    """A row of ``(label, map)``: the error of the light source, and what it may hide in the response, percent.

    Parameters
    ----------
    source : str
        ``illumination.fits``.
    cfa : ColorFilterArray
    size : int
        Side of a block, pixels.
    channel : int
    """
    labels = {"UNCERT": "standard error of what was found", "HIDDEN": "what may be hidden in the response"}
    return [
        (label, average_channels(read_image(source, name)[0], cfa, size)[channel]) for name, label in labels.items()
    ]


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
    true += found.mean() - true.mean()  # levels do not count
    return [("found, camera at 0°", found), ("true", true), ("true - found", true - found)]
