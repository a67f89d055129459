"""Compare the sets: error of the response, light source, noise, repeatability; which is the one to use."""

from flatfield.files.frame_table import read_frames
from flatfield.files.job import run
from flatfield.files.tables import read_table, write_table
from flatfield.measure.closure import read_response
from flatfield.measure.verdict import tabulate_sets


def main(inventories, stats, uniformity, noise, sources, responses, sets, pairs):
    """Write ``sets.tsv``: one row per set.

    Parameters
    ----------
    inventories, stats, uniformity, noise, sources : list of str
        ``frames.tsv``, ``stats.tsv``, ``uniformity.tsv``, ``noise.tsv`` and ``illumination_tests.tsv`` of each set, in
        the order of `pairs`.
    responses : list of str
        ``response_blocks.fits`` of each set.
    sets : str
        Table to write.
    pairs : dict
        Names of the pairs of subsets of each set.
    """
    tables = zip(*(map(read_table, paths) for paths in (stats, uniformity, noise, sources)), strict=True)
    frames = map(read_frames, inventories)
    of_sets = {name: (own, *rest) for name, own, rest in zip(pairs, frames, tables, strict=True)}
    blocks = {name: read_response(path) for name, path in zip(pairs, responses, strict=True)}
    write_table(sets, *tabulate_sets(of_sets, pairs, blocks))


if "snakemake" in globals():
    run(main, snakemake)
