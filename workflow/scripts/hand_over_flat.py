"""Hand the master flat over to Siril and PixInsight, with what is to be subtracted from lights, as these store it."""

from flatfield.files.frame_table import read_frames, used_frames
from flatfield.files.job import run
from flatfield.files.writing import write_text
from flatfield.raw.mosaic import read_mosaic
from flatfield.report import handover
from flatfield.report.siril_script import script_not_to_calibrate, script_to_calibrate
from flatfield.report.xisf import write_xisf


def main(flat, frame, inventory, name, master, offset, script=None, master_xisf=None, offset_xisf=None, bias=None):
    """Write masters with one image a file.

    Parameters
    ----------
    flat : str
        Mosaic that lights are divided by.
    frame, inventory : str
        A frame of the set, and its ``frames.tsv``.
    name : str
        Of the set.
    master, offset : str
        FITS files to write: the flat, and what was subtracted from its frames.
    script : str, optional
        Script to write; the FITS files are for Siril then, in its order of the rows.
    master_xisf, offset_xisf : str, optional
        XISF files to write, for PixInsight.
    bias : str, optional
        Master of the offset frames of the set.
    """
    mosaic = read_mosaic(flat)
    image = handover.scale_flat(mosaic)
    subtracted = handover.scale_image(handover.offset_of(mosaic, read_mosaic(bias) if bias else None), "Master Bias")
    order = handover.order_in_siril(used_frames(read_frames(inventory))[0]) if script else "TOP-DOWN"
    handover.write_image(master, image, order)
    handover.write_image(offset, subtracted, order)
    if script:
        stored, blacks = handover.stored_shape(frame), handover.black_levels(mosaic.header)
        text = script_to_calibrate(name, flat.rpartition("/")[2], blacks, bool(bias), mosaic.cfa.is_mono)
        write_text(script, text if stored == mosaic.shape else script_not_to_calibrate(name, stored, mosaic.shape))
    if master_xisf:
        write_xisf(master_xisf, image, "MasterFlat")
        write_xisf(offset_xisf, subtracted, "MasterBias")


if "snakemake" in globals():
    run(main, snakemake)
