"""Simulate the raw lights of the demo."""

from pathlib import Path

from flatfield.demo.simulation import simulate_light, write_dng
from flatfield.files.fits import image_hdu, write_fits
from flatfield.files.job import run


def main(frames, truth, demo):
    """Write the DNG files and the true scenes.

    Parameters
    ----------
    frames : list of str
        DNG files to write.
    truth : str
        FITS file to write: an extension per light, named as the file, with the true mosaic without vignetting,
        DN above black.
    demo : dict
        Section of the configuration.
    """
    hdus = [image_hdu(None)]
    for index, path in enumerate(frames):
        mosaic, exif, scene = simulate_light(index, (demo["rows"], demo["columns"]), demo["seed"])
        write_dng(path, mosaic, exif)
        hdus.append(image_hdu(scene, name=Path(path).stem))
    write_fits(truth, hdus)


if "snakemake" in globals():
    run(main, snakemake)
