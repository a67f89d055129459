"""Simulate the raw lights of the demo."""

from pathlib import Path

from flatfield.files.job import logged_job
from flatfield.files.fits import image_hdu, write_fits
from flatfield.demo.simulation import simulate_light, write_dng


def main(frames, truth, options):
    """Write the DNG files and the true scenes.

    Parameters
    ----------
    frames : list of str
        DNG files to write.
    truth : str
        FITS file to write: an extension a light, named as the file, with the true mosaic without vignetting,
        DN above black.
    options : dict
        Section ``demo`` of the configuration.
    """
    hdus = [image_hdu(None)]
    for index, path in enumerate(frames):
        mosaic, exif, scene = simulate_light(index, (options["rows"], options["columns"]), options["seed"])
        write_dng(path, mosaic, exif)
        hdus.append(image_hdu(scene, name=Path(path).stem))
    write_fits(truth, hdus)


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(snakemake.output.frames, snakemake.output.truth, snakemake.params.options)
