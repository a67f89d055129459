"""Write a calibrated light as a mosaic DNG, with the metadata of the original."""

import numpy as np
from flatfield.raw import dng
from flatfield.raw.cfa import ColorFilterArray
from flatfield.raw.decode import read_frame
from flatfield.files.job import logged_job
from flatfield.files.fits import read_image
from flatfield.files.frame_table import find_inspected
from flatfield.files.version import VERSION

#: Black level of the DNG where that of the camera leaves no room for noise below it, DN.
LEAST_BLACK = 256


def main(mosaic, frame, file, inventory, product):
    """Write the DNG.

    Parameters
    ----------
    mosaic : str
        Calibrated light, DN above black.
    frame : str
        The raw file that it was made of: colours, white balance, EXIF, orientation.
    file : str
        Its name in the inventory.
    inventory : str
        ``frames.tsv`` of the light.
    product : str
        DNG to write: values + black level, whole numbers; what exceeds 16 bits is 65535.
    """
    value, header = read_image(mosaic)
    original = read_frame(frame)
    black = max(round(float(np.mean(original.black))), LEAST_BLACK)
    saturation = header.get("SATURATE", float(np.nanmax(value)))
    data = np.rint(np.clip(np.nan_to_num(value, nan=0.0, posinf=65535.0) + black, 0, 65535)).astype(np.uint16)
    print(f"{np.count_nonzero(value + black > 65535)} pixels are brighter than 16 bits hold and are 65535")
    print(f"{np.count_nonzero(value + black < 0)} pixels are more than {black} DN below black and are 0")
    matrix = original.color_matrix if original.color_matrix is not None else dng.read_color_matrix(frame)
    sensor = {
        "margins": (0, 0),
        "black": (black,) * 4,
        "white": min(round(saturation + black), 65535),
        "color_matrix": matrix,
        "neutral": [1 / factor for factor in original.white_balance],
    }
    exif = dng.read_exif(frame) | {"Exif.Image.Software": f"flatfield {VERSION}"}
    find_inspected(frame, file, inventory)
    dng.write_dng(product, data, ColorFilterArray.from_name(header["BAYERPAT"]), sensor, exif)


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.mosaic,
            snakemake.input.frame,
            snakemake.params.file,
            snakemake.input.inventory,
            snakemake.output.dng,
        )
