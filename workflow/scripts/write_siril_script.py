"""Write the script with which Siril goes on from the calibrated lights that are handed over to it."""

from flatfield.files.frame_table import read_frames
from flatfield.files.job import run
from flatfield.files.writing import write_text
from flatfield.report.siril_script import script_to_stack


def main(inventory, script, name):
    """Write the script.

    Parameters
    ----------
    inventory : str
        ``frames.tsv`` of the light.
    script : str
        File to write.
    name : str
        Of the light.
    """
    frames = read_frames(inventory)
    write_text(script, script_to_stack(name, len(frames), frames[0].cfa == "MONO"))


if "snakemake" in globals():
    run(main, snakemake)
