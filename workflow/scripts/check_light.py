"""Check that the frames of a light and those of its flat agree in what the division needs."""

from flatfield.files.frame_table import read_frames
from flatfield.files.job import run
from flatfield.files.tables import write_table
from flatfield.measure.agreement import AGREEMENT_COLUMNS, compare_light


def main(light, flat, agreement, guard, mismatch, borrowed_bias, has_bias, dark=None, bias_inventory=None):
    """Write ``agreement.tsv``: one row per frame and quantity.

    Parameters
    ----------
    light, flat : str
        ``frames.tsv`` of the light, ``inspected.tsv`` of the set.
    agreement : str
        Table to write.
    guard, mismatch
        Keys of the configuration.
    borrowed_bias, has_bias : bool
        Whether the bias is that of the flats, and whether there is one.
    dark : str, optional
        ``dark.tsv`` of the light.
    bias_inventory : str, optional
        ``bias.tsv`` of the light, or of its flat.
    """
    options = {"guard": guard, "mismatch": mismatch, "borrowed_bias": borrowed_bias, "has_bias": has_bias}
    offsets = [read_frames(path) if path else [] for path in (dark, bias_inventory)]
    rows = compare_light(read_frames(light), read_frames(flat), offsets[0], options, offsets[1])
    write_table(agreement, rows, AGREEMENT_COLUMNS)


if "snakemake" in globals():
    run(main, snakemake)
