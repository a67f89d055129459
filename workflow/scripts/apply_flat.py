"""Apply the flat to one light frame, in linear raw space, and find out why the result is not even."""

from functools import partial

from flatfield.files.job import run
from flatfield.files.tables import read_table, write_table
from flatfield.measure.calibrated import calibrate_light
from flatfield.measure.diagnosis import DIAGNOSIS_COLUMNS, diagnose_tiles
from flatfield.measure.falloff import FALLOFF_COLUMNS, describe_falloff
from flatfield.measure.light import MASK_MARKS, read_light
from flatfield.measure.offset import Offset
from flatfield.measure.sky import read_source, sky_of, tile_sky
from flatfield.measure.straightening import Linearity
from flatfield.raw.mosaic import write_mosaic


def main(
    frame, flat, whole, source, noise, inventory, diagnosis, falloff, file, reading, apply, regions,
    mosaic, bias=None, dark=None, dark_inventory=None, model=None, linearity=None,
):  # fmt: skip
    """Write the calibrated light.

    Parameters
    ----------
    frame, flat, whole : str
        Raw light frame, mosaic to divide by, and the flat that this is, or is a part of.
    source : list of str
        ``flat_cfa.fits``, ``response.fits``, and tables of the light source: its tests, its terms, geometry.
    noise, inventory : str
        ``noise.tsv`` of the set; ``frames.tsv`` of the light.
    mosaic : str
        FITS file to write, with error and mask.
    diagnosis, falloff : str
        Tables to write: one row per cause; the centre against other places.
    file : str
        Name of the frame in the inventory.
    reading : bool or dict
        How frames are read, see `flatfield.raw.decode.Reading`.
    apply, regions : dict
        Keys of the configuration.
    bias, dark, dark_inventory, model, linearity : str, optional
        Masters of the offset and dark frames, ``dark.tsv``, model of the flat, and ``linearity.tsv`` to correct it.
    """
    line = Linearity.read(linearity, source[0])
    light = read_light(frame, file, inventory, Offset(bias, dark, dark_inventory), reading, line)
    master, smooth = line.read_flat(flat, error=True), line.read_flat(model, error=True) if model else None
    names = {"bias": bias, "dark": dark, "flat": flat, "model": model}
    result = calibrate_light(light, master, smooth, read_table(noise), apply, regions["center"], names)
    write_mosaic(mosaic, result.mosaic, **MASK_MARKS)
    whole_flat, response, *lamp = source
    own_source = partial(read_source, whole_flat, response, lamp[0], apply["flat_kind"], cfa=light.cfa)
    undivided = master if flat == whole else line.read_flat(whole)
    tiles, stages, remark = tile_sky(frame, sky_of(light), undivided, own_source, lamp=lamp)
    exposures = undivided.header.get("EXPTIME"), light.frame.metadata.exposure
    rows = diagnose_tiles(tiles, False, remark, *exposures)[0] + line.describe(light.signal[result.mosaic.mask < 2])
    write_table(diagnosis, rows, DIAGNOSIS_COLUMNS)
    write_table(falloff, describe_falloff(stages, tiles, light.cfa.channels), FALLOFF_COLUMNS)


if "snakemake" in globals():
    run(main, snakemake)
