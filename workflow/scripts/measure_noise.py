"""Measure the noise of a set: photon transfer, read noise, pixel response, and how many frames are enough."""

from flatfield.files.frame_table import check_unchanged, read_frames, used_frames
from flatfield.files.job import run
from flatfield.files.tables import write_table
from flatfield.measure.code_steps import measure_steps
from flatfield.measure.frame_maps import read_maps
from flatfield.measure.level_fit import measure_levels
from flatfield.measure.noise_table import DEPTH_COLUMNS, NOISE_COLUMNS, TRANSFER_COLUMNS, tabulate_noise
from flatfield.measure.pair_evidence import gather_evidence, write_evidence
from flatfield.measure.pairs import measure_offsets, measure_pairs
from flatfield.raw.mosaic import read_mosaic


def main(
    frames, inspected, maps, flat, noise, transfer, depth, pairs, files, subsets, aimed, bias_files, options, threads,
    bias_frames=(), bias_inventory=None, bias=None,
):  # fmt: skip
    """Write what frames show of the camera's noise.

    Parameters
    ----------
    frames, bias_frames : list of str
        Flats and offset frames.
    inspected, bias_inventory : str
        Their tables.
    maps : str
        Frames averaged in blocks, see `inspect_frames.main`.
    flat, bias : str
        ``flat_cfa.fits``, and the master of the offset frames.
    noise, transfer, depth, pairs : str
        To write: a row per channel; variance against level; noise against the number of frames; ``pairs.fits``.
    files, bias_files, subsets, aimed : list of str
        Names of the frames in the tables, the subset of each flat, and subsets with an aim of their own.
    options : dict
        combine (section of the configuration), center (box), wanted_error_percent, reading.
    threads : int
    """
    owners, paths = dict(zip(files, subsets, strict=True)), dict(zip(files, frames, strict=True))
    listed = read_frames(inspected)
    records = {record.file: record for record in used_frames(listed)}
    for file, record in records.items():
        record.subset = owners[file]
    master = read_mosaic(flat, error=True, mask=True)
    offset = read_mosaic(bias, error=True) if bias else None
    seen = measure_pairs(records, paths, master.cfa, offset and offset.value, options, threads)
    check_unchanged([paths[file] for file in records], list(records.values()), inspected)
    offsets = dict(zip(bias_files, bias_frames, strict=True))
    of_bias = measure_offsets(bias_inventory, offsets, master.cfa, options["reading"], threads)
    coarse = read_maps(maps)[0][[record.used for record in listed]]
    levels = measure_levels(coarse, list(records.values()), master.cfa.channels, aimed)
    tables = tabulate_noise(records, seen, of_bias, master, offset, levels[0], options)
    headers = NOISE_COLUMNS, TRANSFER_COLUMNS, DEPTH_COLUMNS
    for path, rows, columns in zip((noise, transfer, depth), tables, headers, strict=True):
        write_table(path, rows, columns)
    steps = [measure_steps(counts) for counts in seen.steps.of_channels(len(master.cfa.channels))]
    write_evidence(pairs, gather_evidence(seen.tiles, seen.lines, seen.codes.counts, master, of_bias[0], levels, steps))


if "snakemake" in globals():
    run(main, snakemake)
