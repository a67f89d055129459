"""Apply the flat to one light frame, in linear raw space: divide the mosaic, then debayer."""

from flatfield.combine.demosaicing import interpolate_bilinear
from flatfield.files.fits import write_planes
from flatfield.files.job import run
from flatfield.files.tables import read_table, write_table
from flatfield.measure.calibrated import calibrate_light, compare_stages
from flatfield.measure.light import MASK_MARKS, Offset, read_light
from flatfield.raw.mosaic import read_mosaic, write_mosaic
from flatfield.report.pictures import write_stretched, write_tiff


def main(
    frame, flat, noise, inventory, mosaic, planes, tiff, picture, vignetting, file, overscan, apply, regions,
    bias=None, dark=None, dark_inventory=None, model=None,
):  # fmt: skip
    """Write the calibrated light.

    Parameters
    ----------
    frame : str
        Raw light frame.
    flat : str
        Mosaic to divide by: ``response.fits``, ``flat_cfa.fits``, or a part of it in ``models/``.
    noise : str
        ``noise.tsv`` of the set: gain and read noise.
    inventory : str
        ``frames.tsv`` of the light.
    mosaic : str
        FITS file to write: DN above black, with ``MASK``, and ``UNCERT`` where the gain is known.
    planes, tiff, picture : str
        Files to write: debayered (FITS, and TIFF of 16 bit), and a PNG.
    vignetting : str
        Table to write: centre, corner, ratio.
    file : str
        Name of the frame in the inventory.
    overscan : bool
    apply : dict
        Keys of the configuration: normalise, correct, lowest_flat.
    regions : dict
        Boxes center and corner.
    bias, dark, dark_inventory : str, optional
        Masters of the offset and dark frames, and ``dark.tsv``.
    model : str, optional
        Smooth model of the flat.
    """
    light = read_light(frame, file, inventory, Offset(bias, dark, dark_inventory), overscan)
    master, smooth = read_mosaic(flat, error=True), read_mosaic(model, error=True) if model else None
    names = {"bias": bias, "dark": dark, "flat": flat, "model": model}
    result = calibrate_light(light, master, smooth, read_table(noise), apply, regions["center"], names)
    debayered = interpolate_bilinear(result.mosaic.value, light.cfa)
    write_planes(planes, debayered, light.cfa.channels, result.header, "Light Frame")
    write_tiff(tiff, debayered, result.brightest)
    write_stretched(picture, debayered, light.frame.white_balance)
    write_mosaic(mosaic, result.mosaic, **MASK_MARKS)
    rows = compare_stages(light.signal, result.divisor, result.mosaic.value, light.cfa, regions)
    write_table(vignetting, rows, list(rows[0]))


if "snakemake" in globals():
    run(main, snakemake)
