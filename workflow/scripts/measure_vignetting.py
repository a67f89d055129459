"""Measure centre and corner of the frames of a light: before, in the flat, and after the division."""

from pathlib import Path

from astropy.io import fits

from flatfield.files.job import run
from flatfield.files.tables import write_table
from flatfield.measure.calibrated import compare_stages, divisor_of
from flatfield.measure.straightening import Linearity


def main(mosaics, flat, recorded, vignetting, apply, regions, model=None, linearity=None):
    """Write ``vignetting.tsv``: one row per frame, channel and stage.

    Parameters
    ----------
    mosaics : list of str
        Calibrated lights.
    flat, recorded : str
        Mosaic that they were divided by, and ``flat_cfa.fits``.
    vignetting : str
        Table to write.
    apply, regions : dict
        Keys of the configuration.
    model, linearity : str, optional
        Smooth model of the flat, where only colour or brightness was corrected; ``linearity.tsv`` to correct them.
    """
    line = Linearity.read(linearity, recorded)
    master, smooth = line.read_flat(flat), line.read_flat(model) if model else None
    divisor = divisor_of(master, smooth, apply, regions["center"], {"flat": flat, "model": model})
    rows = []
    for path in mosaics:
        with fits.open(path, memmap=True) as hdus:
            found = compare_stages(hdus[0].data, divisor.applied, master.cfa, regions)
        rows += [{"frame": Path(path).stem, **row} for row in found]
    write_table(vignetting, rows, list(rows[0]))


if "snakemake" in globals():
    run(main, snakemake)
