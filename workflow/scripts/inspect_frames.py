"""Read each frame of a set once: what it is, and whether it belongs with the others."""

from flatfield.files.frame_table import read_frames, used_frames, write_frames
from flatfield.files.job import run
from flatfield.measure.consistency import check_offsets, reject_mismatches
from flatfield.measure.frame_maps import write_maps
from flatfield.measure.full_well import mark_full_wells
from flatfield.measure.inspection import inspect_frames
from flatfield.measure.layout import judge_used
from flatfield.measure.scales import check_scales
from flatfield.measure.screening import screen_frames
from flatfield.raw.cfa import ColorFilterArray
from flatfield.raw.mosaic import read_mosaic


def main(frames, inspected, maps, files, subsets, reading, acceptance, threads, bias=None, bias_inventory=None):
    """Write ``inspected.tsv`` and the frames averaged in blocks.

    Parameters
    ----------
    frames : list of str
        In natural order.
    inspected : str
        Table to write: one row per frame, ``frames.tsv`` but for subset and rotation.
    maps : str
        FITS file to write: each frame in coarse blocks, by which halves of a subset are compared.
    files : list of str
        Names of the frames for the table.
    subsets : list of str
        Subset of each frame; frames are compared within.
    reading : bool or dict
        How frames are read, see `flatfield.raw.decode.Reading`.
    acceptance : dict
        Keys of the configuration: mismatch, exposure_span, bad_frames, min_frames, frame_tests, guard, cfa.
    threads : int
    bias, bias_inventory : str, optional
        Master of the offset frames, and their table.
    """
    offset = read_mosaic(bias).value if bias else None
    records, statistics = inspect_frames(frames, files, reading, lambda _: offset, threads, screened=True)
    mark_full_wells(records, frames, subsets, reading, threads)
    reject_mismatches(records, acceptance["exposure_span"], acceptance["mismatch"], guard=acceptance["guard"])
    if bias_inventory:
        check_offsets(records, read_frames(bias_inventory))
    check_scales(records, statistics, acceptance["mismatch"])
    tests = (acceptance[key] for key in ("frame_tests", "min_frames", "bad_frames"))
    screen_frames(records, statistics, subsets, *tests)
    judge_used(records, frames, reading, offset, bool(acceptance["cfa"]))
    channels = ColorFilterArray.from_name(used_frames(records)[0].cfa).channels
    write_frames(inspected, records, channels, tested=True)
    write_maps(maps, records, statistics)


if "snakemake" in globals():
    run(main, snakemake)
