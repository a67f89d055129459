"""What is handed over to other programs: the names of the files, which are those that the programs give their own."""

from flatfield.plan.offsets import RESULTS

#: Folder of a set or light, by program.
FOLDERS = {"siril": "for_siril", "pixinsight": "for_pixinsight"}
#: Kinds of products of a light, by program.
KINDS = {"siril": ("siril", "siril_colour"), "pixinsight": ("pixinsight_colour",)}
#: Script that goes on from the calibrated lights.
STACKING = f"{FOLDERS['siril']}/stack.ssf"
#: Masters of a set: the flat, and what is to be subtracted from lights.
NAMES = {
    "siril": {"master": "pp_flat_stacked.fit", "offset": "bias_stacked.fit", "script": "calibrate.ssf"},
    "pixinsight": {
        "master": "masterFlat_{set}.fit",
        "offset": "masterBias_{set}.fit",
        "master_xisf": "masterFlat_{set}.xisf",
        "offset_xisf": "masterBias_{set}.xisf",
    },
}


def kinds_for(programs):
    """Kinds of products of a light (see `flatfield.plan.light.PRODUCTS`) for some programs."""
    return [kind for program in programs for kind in KINDS[program]]


def masters(program):
    """Paths of the masters of a set for a program, by what they are; ``{set}`` stands for the name of the set."""
    return {what: f"{RESULTS}/{{set}}/{FOLDERS[program]}/{name}" for what, name in NAMES[program].items()}
