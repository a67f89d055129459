"""Apply the flat to one light frame, in linear raw space: divide the mosaic, then debayer."""

from flatfield.calibration import (
    check_fit,
    compare_regions,
    divide,
    light_error,
    measure_norms,
    normalise_mosaic,
    render_picture,
)
from flatfield.demosaicing import interpolate_bilinear
from flatfield.frames import read_signal
from flatfield.inventory import find_row
from flatfield.job import logged_job
from flatfield.products import (
    cite_file,
    describe_frames,
    describe_mosaic,
    image_hdu,
    read_image,
    write_fits,
    write_picture,
    write_planes,
)
from flatfield.tables import number_of, read_table, write_table


def main(frame, file, flat, noise, bias, inventory, products, options, overscan):
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
    bias : str or None
        Master of the offset frames.
    inventory : str
        ``frames.tsv`` of the light.
    products : dict
        Files to write: mosaic (FITS, DN above black, with ``UNCERT`` where the gain is known), planes (FITS),
        picture (PNG), vignetting (table).
    options : dict
        normalise, regions (boxes center and corner).
    overscan : bool
    """
    before, light = read_signal(frame, read_image(bias)[0] if bias else None, overscan)
    master, flat_header = read_image(flat)
    flat_cfa = flat_header.get("BAYERPAT", "MONO")
    check_fit(frame, before.shape, light.cfa.name, flat, master.shape, flat_cfa)
    planes, channels = interpolate_bilinear(master, light.cfa), light.cfa.channels
    norms = measure_norms(planes, channels, options["normalise"], options["regions"]["center"])
    relative = normalise_mosaic(master, light.cfa, norms)
    after = divide(before, relative)
    after_planes = interpolate_bilinear(after, light.cfa)

    header = describe_frames([find_row(read_table(inventory), file)])
    header["IMAGETYP"] = "Light Frame"
    if bias:
        header.update(cite_file("BIAS", bias, "subtracted"))
    header.update(cite_file("FLAT", flat, "divided by"))
    header["NORMALIS"] = (options["normalise"], "what was made 1 in the flat")
    write_planes(products["planes"], after_planes, channels, header, "Light Frame")
    header.update(describe_mosaic(light.cfa.name))
    hdus = [image_hdu(after, header)]
    camera = describe_noise(read_table(noise), flat_header.get("ISOSPEED"), light.metadata.iso)
    if camera:
        hdus[0].header.extend(camera["cards"])
        flat_error = normalise_mosaic(read_image(flat, "UNCERT")[0], light.cfa, norms)
        error = light_error(before, relative, flat_error, light.cfa, camera["gains"], camera["read_noises"])
        layout = describe_mosaic(light.cfa.name)
        hdus.append(image_hdu(error, layout, "UNCERT", utype="StdDevUncertainty"))
    write_fits(products["mosaic"], hdus)
    write_picture(products["picture"], render_picture(after_planes, light.white_balance[: len(channels)]))
    stages = {
        "before": interpolate_bilinear(before, light.cfa),
        "flat": planes / norms[:, None, None],
        "after": after_planes,
    }
    rows = compare_regions(stages, channels, options["regions"])
    write_table(products["vignetting"], rows, list(rows[0]))


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
            snakemake.input.bias or None,
            snakemake.input.inventory,
            dict(snakemake.output.items()),
            snakemake.params.options,
            snakemake.params.overscan,
        )
