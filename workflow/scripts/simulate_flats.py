"""Simulate the raw flats of one set of the demo."""

from pathlib import Path

from flatfield.files.job import logged_job
from flatfield.files.fits import image_hdu, write_fits
from flatfield.demo.simulation import CFA, OPTICS, response, simulate_flats, source, write_dng


def main(frames, truth, options):
    """Write the DNG files and the truth.

    Parameters
    ----------
    frames : list of str
        DNG files to write, in order of capture; their folder has the name of the set.
    truth : str
        FITS file to write: true response of the mosaic (relative, primary HDU) and true light source at
        rotation 0 (``SOURCE``).
    options : dict
        Section ``demo`` of the configuration.
    """
    name = Path(frames[0]).parent.name
    size = options["rows"], options["columns"]
    simulated = simulate_flats(name, size, options["seed"], options["frames"])
    for path, (mosaic, exif) in zip(frames, simulated, strict=True):
        write_dng(path, mosaic, exif)
    optics = OPTICS[name]
    hdus = [
        image_hdu(response(optics, *size, options["seed"]), unit="", bayerpat=CFA.name),
        image_hdu(source(optics, 0, *size), name="SOURCE", unit=""),
    ]
    hdus[0].header["IMAGETYP"] = "Truth"
    write_fits(truth, hdus)


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(snakemake.output.frames, snakemake.output.truth, snakemake.params.options)
