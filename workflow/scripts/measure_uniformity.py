"""Measure how the subsets of a set differ on large scales, per channel: the evenness of the light source."""

from flatfield.files.fits import read_image
from flatfield.files.job import run
from flatfield.files.tables import mark_undetermined, write_table
from flatfield.measure.differences import UNIFORMITY_COLUMNS, measure_uniformity
from flatfield.raw.mosaic import read_mosaic


def main(subsets, differences, uniformity, names, pairs):
    """Write ``uniformity.tsv``: one row per pair and channel, none for a set with one subset.

    Parameters
    ----------
    subsets, differences : list of str
        Combined mosaics of the subsets, and differences of the pairs.
    uniformity : str
        Table to write.
    names : list of str
        Of the subsets.
    pairs : dict
        The two subsets of each pair by its name.
    """
    paths, rows = dict(zip(names, subsets, strict=True)), []
    for (name, pair), difference in zip(pairs.items(), differences, strict=True):
        a, b = (read_mosaic(paths[subset], error=True) for subset in pair)
        measured = measure_uniformity(a.value, b.value, (a.error, b.error), read_image(difference, "Z")[0], a.cfa)
        rows += [
            {"pair": name, "channel": channel, **row} for channel, row in zip(a.cfa.channels, measured, strict=True)
        ]
    write_table(uniformity, map(mark_undetermined, rows), UNIFORMITY_COLUMNS)


if "snakemake" in globals():
    run(main, snakemake)
