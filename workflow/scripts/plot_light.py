"""Plot the channels and the colour picture of a light, before and after, and what its diagnosis rests on."""

from functools import partial
from pathlib import Path

from flatfield.files.job import run
from flatfield.measure.diagnosis import diagnose_tiles, summarize_verdicts
from flatfield.measure.light import read_light
from flatfield.measure.offset import Offset
from flatfield.measure.sky import read_source, sky_of, tile_sky
from flatfield.measure.straightening import Linearity
from flatfield.raw.mosaic import read_mosaic
from flatfield.report.light_products import shrink_mosaic, write_comparison
from flatfield.report.pictures import render_alike
from flatfield.report.plotting import PANEL_COLUMNS, plot_diagnosis, plot_stages


def main(
    frame, inventory, mosaic, whole, source, channels_plot, diagnosis_plot, comparison, file, reading, flat_kind, title,
    bias=None, dark=None, dark_inventory=None, linearity=None,
):  # fmt: skip
    """Write three PNGs.

    Parameters
    ----------
    frame, inventory, mosaic : str
        Raw light frame, ``frames.tsv`` of the light, and the calibrated light.
    whole, source : str, list of str
        The flat, and what is known of its light source.
    channels_plot, diagnosis_plot, comparison : str
        PNGs to write: figures, and the pictures before and after side by side.
    file : str
        Name of the frame in the inventory.
    reading : bool or dict
        How frames are read, see `flatfield.raw.decode.Reading`.
    flat_kind, title : str
    bias, dark, dark_inventory, linearity : str, optional
        Masters of the offset and dark frames, ``dark.tsv``, and ``linearity.tsv`` to correct it.
    """
    after, line = read_mosaic(mosaic), Linearity.read(linearity, source[0])
    light = read_light(frame, file, inventory, Offset(bias, dark, dark_inventory), reading, line)
    values = {"before": light.signal, "after": after.value}
    stages = {stage: shrink_mosaic(value, light.cfa, PANEL_COLUMNS) for stage, value in values.items()}
    write_comparison(comparison, values.values(), light.cfa, light.frame.white_balance)
    colour = len(light.cfa.channels) == 3
    pictures = render_alike(list(stages.values()), light.frame.white_balance) if colour else []
    size = {"shape": light.signal.shape}
    name, unit = Path(frame).stem, "DN above black"
    plot_stages(channels_plot, name, after.header, light.cfa.channels, stages, pictures, unit, **size)
    flat, response, *lamp = source
    own_source = partial(read_source, flat, response, lamp[0], flat_kind, cfa=light.cfa)
    undivided = line.read_flat(whole)
    tiles, _, remark = tile_sky(frame, sky_of(light), undivided, own_source, lamp=lamp)
    exposures = undivided.header.get("EXPTIME"), light.frame.metadata.exposure
    rows, known = diagnose_tiles(tiles, False, remark, *exposures)
    plot_diagnosis(diagnosis_plot, title, tiles, light.cfa.channels, known, summarize_verdicts(rows), unit)


if "snakemake" in globals():
    run(main, snakemake)
