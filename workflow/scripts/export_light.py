"""Write products of a calibrated light for people and other programs: planes, TIFF, DNG, a picture, FITS for Siril."""

from flatfield.files.job import run
from flatfield.measure.light import check_inspected
from flatfield.raw.decoded import read_again
from flatfield.raw.mosaic import read_mosaic
from flatfield.report.handover import order_in_siril
from flatfield.report.light_products import write_products


def main(
    mosaic, frame, inventory, file, reading, rgb=None, tiff=None, dng=None, picture=None, siril=None,
    siril_colour=None, pixinsight_colour=None,
):  # fmt: skip
    """Write products.

    Parameters
    ----------
    mosaic : str
        Calibrated light, DN above black.
    frame : str
        The raw file that it was made of.
    inventory : str
        ``frames.tsv`` of the light.
    file : str
        Name of the frame in the inventory.
    reading : bool or dict
        How frames are read, see `flatfield.raw.decode.Reading`.
    rgb, tiff, dng, picture, siril, siril_colour, pixinsight_colour : str, optional
        Files to write, see `flatfield.report.light_products.write_products`.
    """
    record = check_inspected(frame, file, inventory)
    paths = {"rgb": rgb, "tiff": tiff, "dng": dng, "picture": picture, "siril": siril}
    paths |= {"siril_colour": siril_colour, "pixinsight_colour": pixinsight_colour}
    raw = read_again(frame, record.sha256, reading)
    write_products(paths, read_mosaic(mosaic), raw, frame, order_in_siril(record))


if "snakemake" in globals():
    run(main, snakemake)
