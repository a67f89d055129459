"""Compare what the analysis recovered from the demo with the truth that the demo was simulated from."""

import numpy as np
from astropy.io import fits
from flatfield.measure.calibration import compare_regions, cut_planes
from flatfield.raw.cfa import ColorFilterArray
from flatfield.combine.demosaicing import interpolate_bilinear
from flatfield.files.job import logged_job
from flatfield.files.fits import read_image, read_planes
from flatfield.measure.blocks import block_average
from flatfield.demo.simulation import GAIN, OPTICS, PRNU, READ_NOISE
from flatfield.files.tables import number_of, read_table, write_table

#: Side of the blocks in which the shape of a flat is compared, pixels.
BLOCK = 12
SHAPE = f"shape of the master, rms error over {BLOCK} x {BLOCK} pixels"
RESPONSE = "the same, light source divided out"
VIGNETTING, LIGHT = "vignetting, centre / corner", "calibrated light, centre / corner"
CAMERA = {
    ("gain_e_per_dn", "gain, e-/DN"): GAIN,
    ("read_noise_e", "read noise, e-"): READ_NOISE,
    ("prnu_percent", "pixel response, percent"): 100 * PRNU,
}
COLUMNS = ["subject", "channel", "quantity", "recovered", "true", "error_percent"]


def main(flats, masters, responses, noise, truths, lights, scenes, sets, truth, options):
    """Write ``demo.tsv``.

    Parameters
    ----------
    flats, masters, responses, noise, truths : list of str
        ``flat.fits``, ``flat_cfa.fits``, ``response.fits``, ``noise.tsv`` and the truth of each of the demo's sets,
        in the order of ``options["sets"]``.
    lights : list of str
        Calibrated mosaics of the demo's lights.
    scenes : str or None
        Their true scenes.
    sets : str
        ``sets.tsv``.
    truth : str
        Table to write: subject, channel, quantity, recovered, true, error_percent.
    options : dict
        sets (names), regions (boxes center and corner).
    """
    rows = []
    files = flats, masters, responses, noise, truths
    for name, flat, master, response, camera, true in zip(options["sets"], *files, strict=True):
        rows += compare_camera(name, read_table(camera))
        mosaics = {SHAPE: read_image(master)[0], RESPONSE: read_image(response)[0]}
        rows += compare_flat(name, read_planes(flat), mosaics, read_image(true), options["regions"])
    for path in lights:
        rows += compare_light(path, scenes, options["regions"])
    named = [row["set"] for row in read_table(sets) if row["most_uniform"] == "yes"]
    if named and len(options["sets"]) == len(read_table(sets)):
        best = min(options["sets"], key=lambda name: abs(OPTICS[name].gradient))
        rows.append(_row("sets", "", "most uniform light source", named[0], best, ""))
    write_table(truth, rows, COLUMNS)


def compare_flat(name, flat, mosaics, truth, regions):
    """Vignetting in the boxes, and the shape of whole mosaics, against the true response."""
    planes, channels, _ = flat
    true, header = truth
    cfa = ColorFilterArray.from_name(header["BAYERPAT"])
    true_planes = interpolate_bilinear(true, cfa)
    rows = _compare_ratios(name, VIGNETTING, planes, true_planes, channels, regions)
    for quantity, mosaic in mosaics.items():
        for channel, plane, true_plane in zip(channels, interpolate_bilinear(mosaic, cfa), true_planes, strict=True):
            ratio = block_average(plane / true_plane, BLOCK)
            rows.append(_row(name, channel, quantity, "", "", 100 * float(ratio.std() / ratio.mean())))
    return rows


def compare_camera(name, noise):
    """Gain, read noise and pixel response against those that were simulated, where they are determined."""
    rows = []
    for row in noise:
        for (column, quantity), true in CAMERA.items():
            found = number_of(row[column])
            if found is not None:
                rows.append(_row(name, row["channel"], quantity, found, true, 100 * (found / true - 1)))
    return rows


def compare_light(path, scenes, regions):
    """Centre/corner ratio of a calibrated light against that of the true scene."""
    light, header = read_image(path)
    name = path.rpartition("/")[2].removesuffix(".fits")
    with fits.open(scenes) as hdus:
        true = hdus[name].data.astype(np.float32)
    cfa = ColorFilterArray.from_name(header["BAYERPAT"])
    planes, true_planes = interpolate_bilinear(light, cfa), interpolate_bilinear(true, cfa)
    return _compare_ratios(name, LIGHT, planes, true_planes, cfa.channels, regions)


def _compare_ratios(subject, quantity, planes, true_planes, channels, regions):
    stages = {"recovered": cut_planes(planes), "true": cut_planes(true_planes)}
    rows = compare_regions(stages, channels, regions, planes.shape[1:])
    recovered, true = rows[: len(channels)], rows[len(channels) :]
    return [
        _row(subject, a["channel"], quantity, a["ratio"], b["ratio"], 100 * (a["ratio"] / b["ratio"] - 1))
        for a, b in zip(recovered, true, strict=True)
    ]


def _row(*values):
    return dict(zip(COLUMNS, values, strict=True))


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.flats,
            snakemake.input.masters,
            snakemake.input.responses,
            snakemake.input.noise,
            snakemake.input.truths,
            snakemake.input.lights,
            snakemake.input.scenes or None,
            snakemake.input.sets,
            snakemake.output.truth,
            snakemake.params.options,
        )
