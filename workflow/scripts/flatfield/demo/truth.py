"""Recovered against true: what the analysis found in the demo's frames beside what they were simulated from."""

import numpy as np
from astropy.io import fits

from flatfield.combine.demosaicing import interpolate_bilinear
from flatfield.demo.simulation import GAIN, OPTICS, PRNU, READ_NOISE
from flatfield.files.fits import read_planes
from flatfield.files.tables import number_of
from flatfield.measure.blocks import block_average
from flatfield.measure.calibration import compare_regions, cut_planes
from flatfield.measure.poses import Poses
from flatfield.measure.separation import separate
from flatfield.raw.mosaic import read_mosaic

#: Side of the blocks in which the shape of a flat is compared, pixels.
BLOCK = 12
SHAPE = f"shape of the master, rms error over {BLOCK} x {BLOCK} pixels"
RESPONSE = "the same, light source divided out"
UNAIMED = "the same, without the subset that is aimed aside"
VIGNETTING, LIGHT = "vignetting, centre / corner", "calibrated light, centre / corner"
CAMERA = {
    ("gain_e_per_dn", "gain, e-/DN"): GAIN,
    ("read_noise_e", "read noise, e-"): READ_NOISE,
    ("prnu_percent", "pixel response, percent"): 100 * PRNU,
}
TRUTH_COLUMNS = ["subject", "channel", "quantity", "recovered", "true", "error_percent"]


def compare_flat(name, flat, master, response, truth, regions):
    """Vignetting in the boxes, and the shape of whole mosaics, against the true response; parameters are paths."""
    planes, channels, _ = read_planes(flat)
    true = read_mosaic(truth)
    true_planes = interpolate_bilinear(true.value, true.cfa)
    rows = _compare_ratios(name, VIGNETTING, planes, true_planes, channels, regions)
    for quantity, path in ((SHAPE, master), (RESPONSE, response)):
        rows += _compare_shape(name, quantity, read_mosaic(path).value, true)
    return rows


def compare_unaimed(name, subsets, flat, truth, options):
    """Shape of the response as it would be without the subsets that are aimed aside.

    Parameters
    ----------
    name : str
        Of the set.
    subsets : list of str
        Combined mosaics of the subsets with the aim of the first.
    flat, truth : str
        ``flat_cfa.fits`` and the true response.
    options : dict
        degree, angle_error_deg, aim_error.
    """
    parts = [read_mosaic(path, error=True) for path in subsets]
    poses = Poses.make(
        [each.header["ROTATION"] for each in parts], None, options["angle_error_deg"], options["aim_error"]
    )
    named = {each.header["SUBSET"]: each for each in parts}
    found = separate(named, read_mosaic(flat, error=True, mask=True), None, poses, options["degree"])
    return _compare_shape(name, UNAIMED, found.response.value, read_mosaic(truth))


def _compare_shape(name, quantity, value, true):
    """Rms error of the shape of a mosaic over blocks, for each channel."""
    rows = []
    planes = zip(*(interpolate_bilinear(each, true.cfa) for each in (value, true.value)), strict=True)
    for channel, (plane, true_plane) in zip(true.cfa.channels, planes, strict=True):
        ratio = block_average(plane / true_plane, BLOCK)
        rows.append(row_of_truth(name, channel, quantity, "", "", 100 * float(ratio.std() / ratio.mean())))
    return rows


def compare_camera(name, noise):
    """Gain, read noise and pixel response against those that were simulated, where they are determined."""
    rows = []
    for row in noise:
        for (column, quantity), true in CAMERA.items():
            found = number_of(row[column])
            if found is not None:
                rows.append(row_of_truth(name, row["channel"], quantity, found, true, 100 * (found / true - 1)))
    return rows


def compare_light(path, scenes, regions):
    """Centre/corner ratio of a calibrated light against that of the true scene."""
    light = read_mosaic(path)
    name = path.rpartition("/")[2].removesuffix(".fits")
    with fits.open(scenes) as hdus:
        true = hdus[name].data.astype(np.float32)
    planes, true_planes = interpolate_bilinear(light.value, light.cfa), interpolate_bilinear(true, light.cfa)
    return _compare_ratios(name, LIGHT, planes, true_planes, light.cfa.channels, regions)


def compare_verdict(sets, names):
    """Whether the set that is called most uniform has the most even light source, where all sets are the demo's."""
    found = [row["set"] for row in sets if row["most_uniform"] == "yes"]
    if not found or len(names) != len(sets):
        return []
    best = min(names, key=lambda name: abs(OPTICS[name].gradient))
    return [row_of_truth("sets", "", "most uniform light source", found[0], best, "")]


def _compare_ratios(subject, quantity, planes, true_planes, channels, regions):
    stages = {"recovered": cut_planes(planes), "true": cut_planes(true_planes)}
    rows = compare_regions(stages, channels, regions, planes.shape[1:])
    recovered, true = rows[: len(channels)], rows[len(channels) :]
    return [
        row_of_truth(subject, a["channel"], quantity, a["ratio"], b["ratio"], 100 * (a["ratio"] / b["ratio"] - 1))
        for a, b in zip(recovered, true, strict=True)
    ]


def row_of_truth(*values):
    return dict(zip(TRUTH_COLUMNS, values, strict=True))
