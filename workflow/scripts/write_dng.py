"""Write a calibrated light as a mosaic DNG, with the metadata of the original."""

from flatfield.files.job import run
from flatfield.measure.light import check_inspected
from flatfield.raw import dng
from flatfield.raw.decode import read_frame
from flatfield.raw.mosaic import read_mosaic


def main(mosaic, frame, inventory, product, file):
    """Write the DNG: values + black level, whole numbers; what exceeds 16 bits is 65535.

    Parameters
    ----------
    mosaic : str
        Calibrated light, DN above black.
    frame : str
        The raw file that it was made of: colours, white balance, EXIF, orientation.
    inventory : str
        ``frames.tsv`` of the light.
    product : str
        DNG to write.
    file : str
        Name of the frame in the inventory.
    """
    light, original = read_mosaic(mosaic), read_frame(frame)
    check_inspected(frame, file, inventory)
    dng.write_calibrated(product, light, original, frame)


if "snakemake" in globals():
    run(main, snakemake)
