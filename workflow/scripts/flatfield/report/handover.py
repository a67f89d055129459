"""Masters and calibrated lights as Siril and PixInsight store their own conversion of a raw: one image a file.

Both take the range of 16 bits for 0 to 1, so that pixels are DN / 65535. Siril 1.0 stores the raws that it converts
bottom-up and leaves FITS frames as they are, names the colour pattern from the top either way, and compares nothing
when it divides; by a flat of another size it does not divide, without a word; it divides an image by 65535 once more if
any of its values is above 2 (all tried with 1.0.6).
PixInsight keeps images top-down: XISF knows nothing else, and the order of the rows in FITS is read from ROWORDER
(since 1.8.8-6, pixinsight.com/forum, thread 14906).
"""

from dataclasses import replace

import numpy as np
import rawpy
from astropy.io import fits

from flatfield.combine.demosaicing import interpolate_bilinear
from flatfield.files.fits import describe_mosaic, image_hdu, write_fits
from flatfield.files.names import is_fits
from flatfield.raw.fits_image import read_image_header
from flatfield.raw.mosaic import Mosaic, header_of_planes

#: What 1 is in these programs, DN.
FULL_SCALE_DN = 65535
#: Cards of a file that are not those of its image, or that are written anew.
STRUCTURE = ("SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "EXTEND", "BUNIT", "ROWORDER")

#: Cards of a flat that hold of what is subtracted from its frames as well.
ABOUT_CAMERA = ("INSTRUME", "XBINNING", "YBINNING", "BLACKLVL", "BLACK0", "BLACK1", "BLACK2", "BLACK3", "DATE")


def order_in_siril(record):
    """Order of the rows in which Siril holds a frame: ``BOTTOM-UP``, ``TOP-DOWN``, or None where FITS does not say.

    Parameters
    ----------
    record : flatfield.files.frame_table.FrameRecord
    """
    return record.row_order if is_fits(record.file) else "BOTTOM-UP"


def stored_shape(path):
    """Rows and columns of a frame in another program: of the whole image of FITS, of the visible area of a raw."""
    if is_fits(path):
        header = read_image_header(path)
        return header["NAXIS2"], header["NAXIS1"]
    with rawpy.imread(str(path)) as raw:
        return raw.sizes.height, raw.sizes.width


def scale_image(mosaic, imagetyp):
    """A mosaic in the range from 0 to 1, without its error and mask.

    Parameters
    ----------
    mosaic : Mosaic
        DN, or a ratio (an empty BUNIT), whose largest value becomes 1.
    imagetyp : str

    Returns
    -------
    Mosaic
        Values that are not finite are 0, and those above 1 are 1, of which the log has the number.
    """
    header = mosaic.header.copy()
    is_ratio = header.get("BUNIT") == ""
    unit = float(np.nanmax(mosaic.value)) if is_ratio else FULL_SCALE_DN
    for name in STRUCTURE:
        header.remove(name, ignore_missing=True)
    header["IMAGETYP"] = imagetyp
    header["DNSCALE"] = (unit, "what the value 1 is" if is_ratio else "[DN] what the value 1 is")
    if header.get("SATURATE"):
        header["SATURATE"] = (header["SATURATE"] / unit, "saturated pixels are this")
    value = np.nan_to_num(mosaic.value, nan=0, posinf=np.inf, neginf=0) / np.float32(unit)
    print(f"{np.count_nonzero(value > 1)} pixels are brighter than 16 bits hold and are 1")
    return Mosaic(np.minimum(value, np.float32(1)), mosaic.cfa, header)


def scale_flat(mosaic):
    """A flat to divide by, see `scale_image`; pixels that are not above 0 get the mean of the others."""
    bad = ~(mosaic.value > 0)
    value = np.where(bad, mosaic.value[~bad].mean(), mosaic.value)
    return scale_image(replace(mosaic, value=value), "Master Flat")


def offset_of(flat, bias):
    """What was subtracted from the frames of a flat: their master bias, or the black level of each colour.

    Parameters
    ----------
    flat : Mosaic
    bias : Mosaic or None

    Returns
    -------
    Mosaic
        DN.
    """
    if bias is not None:
        return bias
    blacks = black_levels(flat.header)
    value = np.empty(flat.shape, np.float32)
    for row, column, color in flat.cfa.phases():
        second = color == 1 and flat.cfa.period == 2 and 2 in flat.cfa.tile[row]  # letters do not tell two greens apart
        value[row :: flat.cfa.period, column :: flat.cfa.period] = blacks[3 if second else color]
    header = fits.Header([card for card in flat.header.cards if card.keyword in ABOUT_CAMERA])
    header["HISTORY"] = "black level of the frames of the flat, no image of frames"
    return Mosaic(value, flat.cfa, header)


def black_levels(header):
    """Black level that a header of frames gives, DN: of red, green, blue, and green in the rows of blue."""
    return [header.get(f"BLACK{color}", header.get("BLACKLVL", 0)) for color in range(4)]


def write_image(path, image, order="TOP-DOWN"):
    """Write an image as the only one of a FITS file.

    Parameters
    ----------
    path : str
    image : Mosaic
        First row at the top.
    order : str or None
        Order in which its rows are stored: ``TOP-DOWN``, ``BOTTOM-UP``, or None for top-down without saying so.
    """
    header = image.header.copy()
    header.update(describe_mosaic(image.cfa.name))
    if order is None:
        header.remove("ROWORDER")
    else:
        header["ROWORDER"] = (order, "row that is stored first")
    write_fits(path, [image_hdu(image.value[::-1] if order == "BOTTOM-UP" else image.value, header, unit="")])


def write_colour_image(path, image, order="TOP-DOWN"):
    """Write an image with its colours interpolated, as three planes (one without colours) of one FITS image.

    Parameters
    ----------
    path : str
    image : Mosaic
        First row at the top.
    order : str
        Order in which its rows are stored: ``TOP-DOWN`` or ``BOTTOM-UP``.
    """
    planes, header = interpolate_bilinear(image.value, image.cfa), header_of_planes(image)
    header["ROWORDER"] = (order, "row that is stored first")
    planes = planes[:, ::-1] if order == "BOTTOM-UP" else planes
    write_fits(path, [image_hdu(planes if len(planes) > 1 else planes[0], header, unit="")])
