"""Write the script with which Siril goes on from the calibrated lights that are handed over to it."""

from flatfield.files.frame_table import read_frames, used_frames
from flatfield.files.job import run
from flatfield.files.writing import write_text
from flatfield.report.siril_script import script_to_stack


def main(frames, inventory, script, name):
    """Write the script.

    Parameters
    ----------
    frames : list of str
        Calibrated frames that are handed over.
    inventory : str
        ``frames.tsv`` of the light.
    script : str
        File to write.
    name : str
        Of the light.
    """
    first = used_frames(read_frames(inventory))[0]
    write_text(script, script_to_stack(name, len(frames), first.cfa == "MONO"))


if "snakemake" in globals():
    run(main, snakemake)
