"""What is written of a calibrated light for people and other programs: planes, TIFF, DNG, a picture."""

import numpy as np

from flatfield.combine.demosaicing import interpolate_bilinear
from flatfield.files.fits import write_planes
from flatfield.measure.blocks import average_channels
from flatfield.raw.dng import write_calibrated
from flatfield.raw.mosaic import header_of_planes
from flatfield.report.handover import scale_image, write_colour_image, write_image
from flatfield.report.pictures import (
    COMPARED_COLUMNS,
    PICTURE_COLUMNS,
    measure_stretch,
    render_alike,
    render_picture,
    write_picture,
    write_tiff,
)


def write_products(paths, mosaic, frame, source, order):
    """Write products of a calibrated light.

    Parameters
    ----------
    paths : dict
        Files to write, by kind: rgb (FITS), tiff (16 bit, linear), dng (mosaic), picture (PNG), siril (mosaic alone),
        siril_colour, pixinsight_colour (three planes in one FITS image); None: not.
    mosaic : Mosaic
        The calibrated light, DN above black.
    frame : flatfield.raw.decode.Frame
        The light as it was decoded: white balance and colours.
    source : str
        Its raw file.
    order : str or None
        In which Siril holds its rows, see `flatfield.report.handover.order_in_siril`.
    """
    if paths.get("rgb") or paths.get("tiff"):
        planes = interpolate_bilinear(mosaic.value, mosaic.cfa)
        if paths.get("rgb"):
            write_planes(paths["rgb"], planes, mosaic.cfa.channels, header_of_planes(mosaic), "Light Frame")
        if paths.get("tiff"):
            level = mosaic.header.get("SATURATE") or float(np.nan_to_num(mosaic.value).max())
            write_tiff(paths["tiff"], planes, level or 1.0)
    if paths.get("dng"):
        write_calibrated(paths["dng"], mosaic, frame, source)
    if paths.get("siril"):
        write_image(paths["siril"], scale_image(mosaic, "Light Frame"), order)
    for kind, rows in (("siril_colour", order), ("pixinsight_colour", "TOP-DOWN")):
        if paths.get(kind):
            write_colour_image(paths[kind], scale_image(mosaic, "Light Frame"), rows)
    if paths.get("picture"):
        small = shrink_mosaic(mosaic.value, mosaic.cfa, PICTURE_COLUMNS)
        balance = frame.white_balance[: len(small)]
        write_picture(paths["picture"], render_picture(small, balance, measure_stretch(small, balance)))


def write_comparison(path, stages, cfa, white_balance):
    """Write one picture with those before and after the division side by side, with the same stretch.

    Parameters
    ----------
    path : str
    stages : list of numpy.ndarray, float32, ``(rows, columns)``
        Mosaics, DN above black.
    cfa : ColorFilterArray
    white_balance : tuple of float
    """
    small = [shrink_mosaic(value, cfa, COMPARED_COLUMNS) for value in stages]
    write_picture(path, np.hstack(render_alike(small, white_balance)))


def shrink_mosaic(value, cfa, columns):
    """Planes of at most `columns` columns: means of each channel over blocks of whole tiles; NaN counts as 0.

    Parameters
    ----------
    value : numpy.ndarray, float32, ``(rows, columns)``
    cfa : ColorFilterArray
    columns : int

    Returns
    -------
    numpy.ndarray, float32, ``(channels, rows, columns)``
    """
    size = -(-value.shape[1] // (columns * cfa.period)) * cfa.period
    size = min(size, min(value.shape) // cfa.period * cfa.period)
    return average_channels(np.nan_to_num(value), cfa, size).astype(np.float32)
