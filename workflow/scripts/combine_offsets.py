"""Combine the offset or dark frames of a set or light."""

from pathlib import Path

from flatfield.combine.masters import combine_offsets
from flatfield.files.fits import describe_combination
from flatfield.files.frame_table import Selection
from flatfield.files.job import run
from flatfield.raw.mosaic import write_mosaic


def main(frames, inventory, master, files, reading, combine, limits):
    """Write the master, DN: nothing but the overscan, where asked for, is subtracted.

    Parameters
    ----------
    frames : list of str
    inventory : str
        ``bias.tsv`` or ``dark.tsv``.
    master : str
        FITS file to write: master and its standard error ``UNCERT``.
    files : list of str
        Names of the frames in the inventory.
    reading : bool or dict
        How frames are read, see `flatfield.raw.decode.Reading`.
    combine : dict
        Section of the configuration; offset frames are never scaled.
    limits : dict
        See `flatfield.files.job.arguments_of`.
    """
    mosaic = combine_offsets(Selection(frames, files, inventory, reading=reading), combine, limits)
    mosaic.header["IMAGETYP"] = f"Master {Path(master).stem.capitalize()}"
    mosaic.header.update(describe_combination(combine | {"scale": "none"}))
    write_mosaic(master, mosaic)


if "snakemake" in globals():
    run(main, snakemake)
