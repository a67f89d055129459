"""Measure the debayered master in boxes: noise and structure apart."""

from flatfield.files.fits import read_planes
from flatfield.files.frame_table import read_frames, used_frames
from flatfield.files.job import run
from flatfield.files.tables import read_table, write_table
from flatfield.measure.box_statistics import measure_master
from flatfield.raw.cfa import ColorFilterArray


def main(flat, uncert, noise, inspected, stats, regions, combine, debayer):
    """Write ``stats.tsv``: one row per channel and box.

    Parameters
    ----------
    flat, uncert : str
        ``flat.fits`` and ``flat_uncert.fits``.
    noise, inspected : str
        ``noise.tsv`` and ``inspected.tsv`` of the set.
    stats : str
        Table to write.
    regions, combine, debayer : dict
        Sections of the configuration.
    """
    planes, channels, header = read_planes(flat)
    errors = read_planes(uncert)[0]
    cameras = {row["channel"]: row for row in read_table(noise)}
    cfa = ColorFilterArray.from_name(used_frames(read_frames(inspected))[0].cfa)
    options = {"regions": regions, "combine": combine, "debayer": debayer}
    rows = measure_master(planes, errors, channels, header["NCOMBINE"], cameras, cfa, options)
    write_table(stats, rows, list(rows[0]))


if "snakemake" in globals():
    run(main, snakemake)
