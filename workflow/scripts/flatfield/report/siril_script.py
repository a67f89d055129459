"""Scripts for Siril (1.0 or newer) that go on from what is handed over."""

CALIBRATE = """\
# Siril script: calibrates raw lights with the master flat of the set {name}, and stacks them.
# Copy this folder, put the raw lights into a folder `lights` in it, and run, with the path of the copy:
#     siril-cli -d COPY -s COPY/calibrate.ssf
#
# pp_flat_stacked.fit is {source}, above black: subtract nothing from it.
# bias_stacked.fit is what has to be subtracted from the lights:
# {offset}.
# With a master dark of the lights, which holds this too, write -dark=... in the place of -bias=...
# Newer versions of Siril call `preprocess` `calibrate`.
requires 1.0.0
setext fit
set32bits
cd lights
convert light -out=../process
cd ../process
preprocess light -bias=../bias_stacked -flat=../pp_flat_stacked{colour}
register pp_light
stack r_pp_light rej 3 3 -norm=addscale -out=../stacked
close
"""
CROPPED = """\
# Siril cannot calibrate the raw lights of the set {name} with these masters. Its frames have {stored} pixels
# as Siril opens them, and the masters {cut}, as this workflow cuts borders off. Siril 1.0 would leave the division
# out without a word. Take the calibrated lights: lights/<light>/for_siril/.
"""
STACK = """\
# Siril script: registers and stacks the calibrated lights {name}, which lie beside it as pp_*.fit.
# The result is process/stacked.fit; here it would be taken for one more light.
#     siril-cli -d FOLDER -s FOLDER/stack.ssf
# Black level, dark and flat are taken out already: no `preprocess` (`calibrate`) any more.
requires 1.0.0
setext fit
set32bits
convert pp_light -out=process{colour}
cd process
{combination}
close
"""
REGISTER = """\
register pp_light
stack r_pp_light rej 3 3 -norm=addscale -out=stacked"""
ONLY_ONE = """\
load pp_light_00001
save stacked"""


def script_to_calibrate(name, flat, blacks, bias, is_mono):
    """Script that calibrates and stacks raw lights.

    Parameters
    ----------
    name : str
        Of the set.
    flat : str
        Product that is handed over.
    blacks : list of float
        Black level of the four colours, DN.
    bias : bool
        Whether there is a master bias, which takes their place.
    is_mono : bool
        Whether the sensor has no colour filters.
    """
    levels = ", ".join(f"{black:.9g}" for black in blacks)
    level = f"the black level of each colour, {levels} DN"
    if len(set(blacks)) == 1:
        same = f'; -bias="={blacks[0]:.0f}" does the same' if blacks[0] == round(blacks[0]) else ""
        level = f"the black level of the raw files, {blacks[0]:.9g} DN{same}"
    offset = "the master of the bias frames of the set" if bias else level
    colour = "" if is_mono else " -cfa -equalize_cfa -debayer"
    return CALIBRATE.format(name=name, source=flat, offset=offset, colour=colour)


def script_not_to_calibrate(name, stored, cut):
    """Comments, which Siril prints, for a set whose masters are not as large as its frames.

    Parameters
    ----------
    name : str
        Of the set.
    stored, cut : tuple of int
        Rows and columns of a frame as Siril opens it, and of the masters.
    """
    return CROPPED.format(name=name, stored=" x ".join(map(str, stored)), cut=" x ".join(map(str, cut)))


def script_to_stack(name, frames, is_mono):
    """Script that registers and stacks calibrated lights; one alone is only debayered.

    Parameters
    ----------
    name : str
        Of the light.
    frames : int
        Number of frames.
    is_mono : bool
        Whether the sensor has no colour filters.
    """
    return STACK.format(
        name=name, colour="" if is_mono else " -debayer", combination=REGISTER if frames > 1 else ONLY_ONE
    )
