"""Subtract one subset from another: what turned with the camera stays, what did not cancels."""

import numpy as np
from flatfield.job import logged_job
from flatfield.products import describe_mosaic, image_hdu, read_image, write_fits


def main(pair, difference):
    """Write a - b.

    Parameters
    ----------
    pair : list of str
        Combined mosaics of the subsets a and b.
    difference : str
        FITS file to write: a - b (DN), and ``PERCENT``, 100 (a - b) / ((a + b) / 2), NaN where a + b is not above 0.
    """
    (a, header_a), (b, header_b) = map(read_image, pair)
    total = a + b
    percent = np.divide(200 * (a - b), total, out=np.full(a.shape, np.nan, np.float32), where=total > 0)
    layout = describe_mosaic(header_a.get("BAYERPAT", "MONO"))
    header = header_a.copy(strip=True)
    for name in ("CHECKSUM", "DATASUM", "SUBSET", "ROTATION"):
        header.remove(name, ignore_missing=True)
    dates = [h[name] for h in (header_a, header_b) for name in ("DATE-OBS", "DATE-END") if name in h]
    if dates:
        header["DATE-OBS"], header["DATE-END"], header["DATE"] = min(dates), max(dates), max(dates)
    header["IMAGETYP"] = "Difference"
    header["NCOMBINE"] = header_a["NCOMBINE"] + header_b["NCOMBINE"]
    header["MINUEND"] = (header_a["SUBSET"], "subset a")
    header["SUBTRAHE"] = (header_b["SUBSET"], "subset b, subtracted")
    for name in ("MINUEND", "SUBTRAHE"):
        layout[name] = header[name]
    for line in header_b["HISTORY"]:
        if line not in header_a["HISTORY"]:
            header["HISTORY"] = line
    write_fits(difference, [image_hdu(a - b, header), image_hdu(percent, layout, "PERCENT", unit="percent")])


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(snakemake.input.pair, snakemake.output.difference)
