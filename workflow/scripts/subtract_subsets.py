"""Subtract one subset from another: what turned with the camera stays, what did not cancels."""

from flatfield.raw.cfa import ColorFilterArray
from flatfield.measure.differences import percent_difference, significance
from flatfield.files.job import logged_job
from flatfield.files.fits import describe_mosaic, image_hdu, read_image, write_fits


def main(pair, difference):
    """Write a - b.

    Parameters
    ----------
    pair : list of str
        Combined mosaics of the subsets a and b.
    difference : str
        FITS file to write: a - b (DN), ``PERCENT`` of their mean, and ``Z``, in standard errors.
    """
    (a, header_a), (b, header_b) = map(read_image, pair)
    errors = [read_image(path, "UNCERT")[0] for path in pair]
    cfa = ColorFilterArray.from_name(header_a.get("BAYERPAT", "MONO"))
    percent = percent_difference(a, b)
    z = significance(a, b, errors, (header_a["NCOMBINE"], header_b["NCOMBINE"]), cfa)
    layout = describe_mosaic(cfa.name)
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
    hdus = [image_hdu(a - b, header), image_hdu(percent, layout, "PERCENT", "percent")]
    write_fits(difference, [*hdus, image_hdu(z, layout, "Z", "sigma")])


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(snakemake.input.pair, snakemake.output.difference)
