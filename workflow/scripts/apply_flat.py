"""Apply the flat to one light frame, in linear raw space: divide the mosaic, then debayer."""

from flatfield.calibration import check_fit, compare_regions, divide, measure_norms, normalise_mosaic, render_picture
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
    read_planes,
    write_fits,
    write_picture,
    write_planes,
)
from flatfield.tables import read_table, write_table


def main(frame, file, flat, mosaic_flat, bias, inventory, products, options, overscan):
    """Write the calibrated light.

    Parameters
    ----------
    frame : str
        Raw light frame.
    file : str
        Its name in the inventory.
    flat, mosaic_flat : str
        ``flat.fits`` (which gives the norms) and ``flat_cfa.fits`` (which is divided by) of the set.
    bias : str or None
        Master of the offset frames.
    inventory : str
        ``frames.tsv`` of the light.
    products : dict
        Files to write: mosaic and planes (FITS, DN above black), picture (PNG), vignetting (table).
    options : dict
        normalise, regions (boxes center and corner).
    overscan : bool
    """
    before, light = read_signal(frame, read_image(bias)[0] if bias else None, overscan)
    master, header = read_image(mosaic_flat)
    flat_cfa = header.get("BAYERPAT", "MONO")
    check_fit(frame, before.shape, light.cfa.name, mosaic_flat, master.shape, flat_cfa)
    planes, channels, _ = read_planes(flat)
    norms = measure_norms(planes, channels, options["normalise"], options["regions"]["center"])
    after = divide(before, normalise_mosaic(master, light.cfa, norms))
    after_planes = interpolate_bilinear(after, light.cfa)

    header = describe_frames([find_row(read_table(inventory), file)])
    header["IMAGETYP"] = "Light Frame"
    if bias:
        header.update(cite_file("BIAS", bias, "subtracted"))
    header.update(cite_file("FLAT", mosaic_flat, "divided by"))
    header["NORMALIS"] = (options["normalise"], "what was made 1 in the flat")
    write_planes(products["planes"], after_planes, channels, header, "Light Frame")
    header.update(describe_mosaic(light.cfa.name))
    write_fits(products["mosaic"], [image_hdu(after, header)])
    write_picture(products["picture"], render_picture(after_planes, light.white_balance[: len(channels)]))
    stages = {
        "before": interpolate_bilinear(before, light.cfa),
        "flat": planes / norms[:, None, None],
        "after": after_planes,
    }
    rows = compare_regions(stages, channels, options["regions"])
    write_table(products["vignetting"], rows, list(rows[0]))


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.frame,
            snakemake.params.file,
            snakemake.input.flat,
            snakemake.input.mosaic_flat,
            snakemake.input.bias or None,
            snakemake.input.inventory,
            dict(snakemake.output.items()),
            snakemake.params.options,
            snakemake.params.overscan,
        )
