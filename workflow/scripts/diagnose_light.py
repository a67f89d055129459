"""Find out why a light is not even after the division by its flat."""

from functools import partial

from flatfield.files.job import run
from flatfield.files.tables import write_table
from flatfield.measure.diagnosis import DIAGNOSIS_COLUMNS, diagnose_tiles, summarize_verdicts
from flatfield.measure.falloff import FALLOFF_COLUMNS, describe_falloff
from flatfield.measure.offset import Offset
from flatfield.measure.sky import read_sky, read_source, tile_sky
from flatfield.raw.cfa import CHANNELS
from flatfield.raw.mosaic import read_mosaic
from flatfield.report.plotting import plot_diagnosis


def main(
    frame, flat, source, diagnosis, falloff, plot, kind, flat_kind, file, reading, title,
    inventory=None, bias=None, dark=None, dark_inventory=None,
):  # fmt: skip
    """Write the diagnosis of a light.

    Parameters
    ----------
    frame : str
        Raw frame, or a picture (JPEG, PNG, TIFF).
    flat : str
        Mosaic that lights are divided by.
    source : list of str
        ``flat_cfa.fits``, ``response.fits``, and tables of the light source: its
        tests, its terms, geometry.
    diagnosis, falloff : str
        Tables to write: one row per cause; the centre against other places.
    plot : str
        PNG to write.
    kind : {"linear", "picture", "file"}
        See `flatfield.measure.sky.read_sky`.
    flat_kind : {"flat", "response"}
    file, title : str
        Name of the frame in the inventory, and in the figure.
    reading : bool or dict
        How frames are read, see `flatfield.raw.decode.Reading`.
    inventory : str, optional
        ``frames.tsv`` of the light; pictures have none.
    bias, dark, dark_inventory : str, optional
        Masters of the offset and dark frames, and ``dark.tsv``.
    """
    master = read_mosaic(flat)
    sky = read_sky(frame, kind, file, inventory, Offset(bias, dark, dark_inventory), reading)
    whole, response, *lamp = source
    own_source = partial(read_source, whole, response, lamp[0], flat_kind, cfa=master.cfa)
    tiles, stages, remark = tile_sky(frame, sky, master, own_source, lamp=lamp)
    rows, known = diagnose_tiles(tiles, kind != "linear", remark)
    write_table(diagnosis, rows, DIAGNOSIS_COLUMNS)
    channels = CHANNELS if len(tiles.light) == 3 else ("MONO",)
    write_table(falloff, describe_falloff(stages, tiles, channels), FALLOFF_COLUMNS)
    unit = "DN above black" if kind == "linear" else "8-bit value"
    plot_diagnosis(plot, title, tiles, channels, known, summarize_verdicts(rows), unit)


if "snakemake" in globals():
    run(main, snakemake)
