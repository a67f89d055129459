"""Select the frames of a light that are left out, and why."""

from flatfield.files.job import run
from flatfield.files.tables import read_table, write_table
from flatfield.measure.agreement import left_out


def main(agreement, lost):
    """Write ``left_out.tsv``: one row per frame that is not calibrated.

    Parameters
    ----------
    agreement : str
        ``agreement.tsv`` of the light.
    lost : str
        Table to write.
    """
    rows = [{"frame": frame, "reason": reason} for frame, reason in left_out(read_table(agreement)).items()]
    write_table(lost, rows, ["frame", "reason"])


if "snakemake" in globals():
    run(main, snakemake)
