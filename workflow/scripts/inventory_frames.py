"""Inventory of a set: the subset and rotation of each inspected frame, and whether the order is right."""

from flatfield.files.errors import InventoryError
from flatfield.files.frame_table import read_frames, used_frames, write_frames
from flatfield.files.job import run
from flatfield.measure.consistency import check_order
from flatfield.raw.cfa import ColorFilterArray


def main(inspected, inventory, subsets, rotations, sliced, check_times):
    """Write ``frames.tsv``: one row per frame.

    Parameters
    ----------
    inspected : str
        ``inspected.tsv`` of the set.
    inventory : str
        Table to write.
    subsets, rotations : list
        Of the frames, in the order of the table.
    sliced, check_times : bool
        Whether subsets are slices, and whether the order of capture is checked then.

    Raises
    ------
    InventoryError
        If frames are out of order, or a subset is left without a frame.
    """
    frames = read_frames(inspected)
    for frame, subset, rotation in zip(frames, subsets, rotations, strict=True):
        frame.subset, frame.rotation_deg = subset, rotation
    used = used_frames(frames)
    if sliced and check_times:
        check_order(used)
    empty = set(subsets) - {frame.subset for frame in used} - {""}
    if empty:
        reason = next(frame.reason for frame in frames if frame.subset in empty)
        raise InventoryError(f"no usable frame is left in subset {min(empty)}: {reason}")
    write_frames(inventory, frames, ColorFilterArray.from_name(used[0].cfa).channels, placed=True, tested=True)


if "snakemake" in globals():
    run(main, snakemake)
