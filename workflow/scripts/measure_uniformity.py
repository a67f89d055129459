"""Measure how the subsets of a set differ at large, per channel: the evenness of the light source."""

from flatfield.raw.cfa import ColorFilterArray
from flatfield.measure.differences import measure_uniformity
from flatfield.files.job import logged_job
from flatfield.files.fits import read_image
from flatfield.files.tables import NOT_DETERMINED, write_table

COLUMNS = [
    *["pair", "channel", "rms_percent", "noise_percent", "gradient_percent", "gradient_error", "direction_deg"],
    *["direction_error", "z_mean", "z_std", "significant", "reason"],
]


def main(subsets, differences, uniformity, pairs):
    """Write ``uniformity.tsv``: a row a pair and channel, none for a set with one subset.

    Parameters
    ----------
    subsets : dict
        Combined mosaic of each subset by name.
    differences : list of str
        Differences of the pairs, in their order.
    uniformity : str
        Table to write.
    pairs : dict
        The two subsets of each pair by its name.
    """
    rows = []
    for (name, pair), difference in zip(pairs.items(), differences, strict=True):
        (a, header), (b, _) = (read_image(subsets[subset]) for subset in pair)
        errors = [read_image(subsets[subset], "UNCERT")[0] for subset in pair]
        cfa = ColorFilterArray.from_name(header.get("BAYERPAT", "MONO"))
        measured = measure_uniformity(a, b, errors, read_image(difference, "Z")[0], cfa)
        rows += [{"pair": name, "channel": channel, **row} for channel, row in zip(cfa.channels, measured, strict=True)]
    for row in rows:
        row.update({name: NOT_DETERMINED for name in COLUMNS if row[name] is None})
    write_table(uniformity, rows, COLUMNS)


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            dict(zip(snakemake.params.subsets, snakemake.input.subsets, strict=True)),
            snakemake.input.differences,
            snakemake.output.uniformity,
            snakemake.params.pairs["pairs"],
        )
