"""Simulate the raw flats of one set of the demo."""

from pathlib import Path

from flatfield.demo.simulation import CFA, OPTICS, response, simulate_flats, source, write_dng
from flatfield.files.fits import image_hdu, write_fits
from flatfield.files.job import run


def main(frames, truth, demo):
    """Write the DNG files and the truth.

    Parameters
    ----------
    frames : list of str
        DNG files to write, in order of capture; their folder has the name of the set.
    truth : str
        FITS file to write: true response of the mosaic (relative, primary HDU) and true light source at
        rotation 0 (``SOURCE``).
    demo : dict
        Section of the configuration.
    """
    name, size, seed = Path(frames[0]).parent.name, (demo["rows"], demo["columns"]), demo["seed"]
    for path, (mosaic, exif) in zip(frames, simulate_flats(name, size, seed, demo["frames"]), strict=True):
        write_dng(path, mosaic, exif)
    hdus = [
        image_hdu(response(OPTICS[name], *size, seed), unit="", bayerpat=CFA.name),
        image_hdu(source(OPTICS[name], 0, *size), name="SOURCE", unit=""),
    ]
    hdus[0].header["IMAGETYP"] = "Truth"
    write_fits(truth, hdus)


if "snakemake" in globals():
    run(main, snakemake)
