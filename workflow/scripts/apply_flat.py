"""Apply the flat to one light frame, in linear raw space: divide the mosaic, then debayer."""

from functools import partial

import numpy as np
from flatfield.report import pictures
from flatfield.measure import calibration
from flatfield.combine.demosaicing import interpolate_bilinear, interpolate_box
from flatfield.raw.decode import black_beside_bias, read_frame, signal
from flatfield.files.job import logged_job
from flatfield.measure.light import read_offset
from flatfield.files.fits import (
    cite_file,
    describe_frames,
    describe_mosaic,
    image_hdu,
    read_image,
    write_fits,
    write_planes,
)
from flatfield.report.pictures import write_picture, write_tiff
from flatfield.files.frame_table import find_inspected
from flatfield.measure.boxes import locate_box
from flatfield.files.tables import number_of, read_table, write_table


#: Part of the range below which values that pile up are those of a blank frame.
BLANK = 0.05


def main(frame, file, flat, noise, offsets, inventory, products, options, overscan):
    """Write the calibrated light.

    Parameters
    ----------
    frame : str
        Raw light frame.
    file : str
        Its name in the inventory.
    flat : str
        Mosaic to divide by: ``response.fits``, ``flat_cfa.fits``, or a part of it in ``models/``.
    noise : str
        ``noise.tsv`` of the set: gain and read noise.
    offsets : dict
        Files, or None: bias and dark (masters), dark_inventory (``dark.tsv``), model (smooth model of the flat).
    inventory : str
        ``frames.tsv`` of the light.
    products : dict
        Files to write: mosaic (FITS, DN above black, with ``MASK``, and ``UNCERT`` where the gain is known), planes
        (FITS), tiff (the same, 16 bit), picture (PNG), vignetting (table).
    options : dict
        normalise, correct, lowest_flat, regions (boxes center and corner).
    overscan : bool
    """
    light = read_frame(frame, overscan)
    row = find_inspected(frame, file, inventory)
    offset, offset_error = read_offset(
        offsets["bias"], offsets["dark"], offsets["dark_inventory"], number_of(row["exposure_s"])
    )
    black = black_beside_bias(light.black, offset is not None, overscan)
    before = signal(light.mosaic[None], black[None], light.cfa, offset)[0]
    master, flat_header = read_image(flat)
    flat_cfa = flat_header.get("BAYERPAT", "MONO")
    calibration.check_fit(frame, before.shape, light.cfa.name, flat, master.shape, flat_cfa)
    channels, cfa = light.cfa.channels, light.cfa
    norms = norms_of(master, cfa, options, flat)
    whole = calibration.normalise_mosaic(master, cfa, norms)
    relative = whole
    if options["correct"] != "both":
        model = read_image(offsets["model"])[0]
        smooth = calibration.normalise_mosaic(model, cfa, norms_of(model, cfa, options, offsets["model"]))
        brightness = interpolate_bilinear(smooth, cfa).mean(axis=0)
        relative = calibration.part_colors(whole, smooth, brightness, options["correct"])
    after = calibration.divide(before, relative)
    top = saturation_of(number_of(row["saturation_dn"]), light)
    saturated, level = np.zeros(after.shape, bool), None
    if top is not None:
        level = float(top - (np.mean(light.black) if offset is None else np.median(offset)))
        saturated = light.mosaic >= top
        after[saturated] = np.fmax(after[saturated], np.float32(level))
    mask = calibration.mask_light(after, whole, saturated, options["lowest_flat"])
    after_planes = interpolate_bilinear(after, cfa)

    header = describe_light(row, offsets, flat, options, level)
    write_planes(products["planes"], after_planes, channels, header, "Light Frame")
    brightest = level or float(np.nan_to_num(after).max()) or 1.0
    write_tiff(products["tiff"], after_planes, brightest)
    small = pictures.shrink_planes(after_planes)
    balance = light.white_balance[: len(channels)]
    stretch = pictures.measure_stretch(small, balance)
    write_picture(products["picture"], pictures.render_picture(small, balance, stretch))
    del after_planes, master  # memory for the errors
    layout = describe_mosaic(cfa.name)
    header.update(layout)
    marks = {
        "lowflat": (1, "value: flat too low"),
        "satur": (2, "value: saturated"),
        "unknown": (4, "value: not finite"),
    }
    hdus = [image_hdu(after, header), image_hdu(mask, layout, "MASK", **marks)]
    camera = describe_noise(read_table(noise), flat_header.get("ISOSPEED"), light.metadata.iso)
    if camera:
        hdus[0].header.extend(camera["cards"])
        flat_error = calibration.normalise_mosaic(read_image(flat, "UNCERT")[0], cfa, norms)
        if relative is not whole:
            flat_error *= calibration.divide(relative, whole)
        error = calibration.light_error(
            before, relative, flat_error, cfa, camera["gains"], camera["read_noises"], offset_error
        )
        hdus.insert(1, image_hdu(error, layout, "UNCERT", utype="StdDevUncertainty"))
    write_fits(products["mosaic"], hdus)
    stages = {"before": before, "flat": relative, "after": after}
    stages = {stage: partial(interpolate_box, mosaic, cfa) for stage, mosaic in stages.items()}
    rows = calibration.compare_regions(stages, channels, options["regions"], after.shape)
    write_table(products["vignetting"], rows, list(rows[0]))


def norms_of(mosaic, cfa, options, name):
    """What becomes 1 in each channel of a mosaic flat, DN."""
    how = options["normalise"]
    if how == "center":
        box = locate_box("center", options["regions"]["center"], mosaic.shape)
        planes = interpolate_box(mosaic, cfa, box)
    else:
        planes = interpolate_bilinear(mosaic, cfa)
    return calibration.measure_norms(planes, cfa.channels, how, name)


def saturation_of(piled_up, light):
    """Level at which pixels of a light saturate, DN: where they pile up, or the white level; None if neither is known.

    A dark or blank frame piles up near black, which is no saturation.
    """
    white, black = light.white, float(np.mean(light.black))
    if piled_up is not None and (white is None or piled_up - black > BLANK * (white - black)):
        return piled_up
    return white


def describe_light(row, offsets, flat, options, level):
    """Header of the products."""
    header = describe_frames([row])
    header["IMAGETYP"] = "Light Frame"
    for keyword in ("bias", "dark"):
        if offsets[keyword]:
            header.update(cite_file(keyword.upper(), offsets[keyword], "subtracted"))
    header.update(cite_file("FLAT", flat, "divided by"))
    header["NORMALIS"] = (options["normalise"], "what was made 1 in the flat")
    header["CORRECT"] = (options["correct"], "what of the flat was divided by")
    if level is not None:
        header["SATURATE"] = (level, "[DN] saturated pixels are at least this")
    return header


def describe_noise(cameras, flat_iso, light_iso):
    """Gain and read noise of a light, from those that the flats tell.

    Parameters
    ----------
    cameras : list of dict
        ``noise.tsv``.
    flat_iso, light_iso : float or None

    Returns
    -------
    dict or None
        gains (e-/DN, scaled with ISO) and read_noises (e-, 0 where not determined) of the channels, and cards for
        the header; None where a gain is not determined, or one ISO is known and the other is not.
    """
    gains = [number_of(row["gain_e_per_dn"]) for row in cameras]
    if None in gains or (flat_iso is None) != (light_iso is None):
        return None
    ratio = flat_iso / light_iso if flat_iso else 1.0
    read_noises = [number_of(row["read_noise_e"]) for row in cameras]
    cards = []
    for row, gain, read_noise in zip(cameras, gains, read_noises, strict=True):
        letter = row["channel"][0]
        how = "of the flats" if ratio == 1 else "of the flats, scaled with ISO"
        cards.append((f"GAIN_{letter}", gain * ratio, f"[e-/DN] {row['channel']}, {how}"))
        if read_noise is not None:
            cards.append((f"RDNOIS_{letter}", read_noise, f"[e-] {row['channel']}, of the flats"))
    return {
        "gains": [gain * ratio for gain in gains],
        "read_noises": [read_noise or 0.0 for read_noise in read_noises],
        "cards": cards,
    }


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.frame,
            snakemake.params.file,
            snakemake.input.flat,
            snakemake.input.noise,
            {name: snakemake.input[name] or None for name in ("bias", "dark", "dark_inventory", "model")},
            snakemake.input.inventory,
            dict(snakemake.output.items()),
            snakemake.params.options,
            snakemake.params.overscan,
        )
