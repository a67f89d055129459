"""Digital scales of frames: bit depths, steps and gains that must not be mixed in a set."""

from statistics import median_low

import numpy as np

from flatfield.files.errors import InventoryError
from flatfield.files.frame_table import list_files

#: Ratios of two scales that bit depths make, and how near to one the ratio of two frames must be, relative.
BITS, NEAR = (4.0, 16.0, 64.0, 256.0), 0.25
#: S/N of a pixel from which its noise is that of photons, which gives the scale.
LEAST_SNR = 15.0
#: Pixels that must lie on the multiples of a step, as a part.
ON_STEPS = 0.999


def step_of_values(values):
    """Step of the values that occur, DN: 4 where 12 bits were stored in 14; 1 where none is known.

    Parameters
    ----------
    values : flatfield.measure.saturation.ValueCounts

    Returns
    -------
    float
    """
    counts = values.counts.sum(axis=0)
    present = np.flatnonzero(counts)
    if len(present) < 3 or values.step != 1:
        return 1.0
    top = counts[present].argmax()
    for step in (256, 64, 16, 8, 4, 2):
        if counts[(present[top] % step) :: step].sum() >= ON_STEPS * counts.sum():
            return float(step)
    return 1.0


def check_scales(frames, statistics, mismatch):
    """Check that all frames of a set have one digital scale.

    Parameters
    ----------
    frames : list of FrameRecord
        ``used`` and ``reason`` are updated in place.
    statistics : list of flatfield.measure.screening.FrameStatistics
        None for frames that could not be read.
    mismatch : {"error", "exclude"}

    Raises
    ------
    InventoryError
        With ``mismatch="error"``, or where there is no majority: if white levels, the steps of the values, or the noise
        of photons in DN differ as those of bit depths do.
    """
    steps = {frame: each.step for frame, each in zip(frames, statistics, strict=True) if each and each.constant is None}
    for words, values in (
        ("the white level is {:g} DN", {frame: frame.white_dn for frame in frames if frame.white_dn is not None}),
        ("values lie {:g} DN apart", steps),
        ("the level is {:.4g} DN where the S/N of a pixel is the same", _scaled_levels(frames, steps)),
    ):
        found = {frame: value for frame, value in values.items() if frame.used}
        usual = max(found.values(), key=list(found.values()).count, default=None)
        odd = {frame: value for frame, value in found.items() if value != usual}
        if not odd:
            continue
        other = next(iter(odd.values()))
        mixture = f"bit depths or gains differ: {words.format(usual)} in most frames, but {words.format(other)}"
        if mismatch == "error" or 2 * len(odd) >= len(found):
            raise InventoryError(
                f"results would mix frames, as {mixture} in {list_files(list(odd))}; make a set of each kind, or take "
                "them again with one setting (cameras record fewer bits in continuous drive)"
            )
        for frame in odd:
            frame.leave_out(mixture)


def _scaled_levels(frames, bright):
    """The usual level, or that of a frame which differs by a bit depth at the same S/N, so for the same light."""
    lit = [
        frame
        for frame in frames
        if frame.used and frame in bright and frame.snr and frame.snr > LEAST_SNR and not frame.saturations_dn
    ]
    if not lit:
        return {}
    levels = {frame: frame.level_dn / frame.snr**2 for frame in lit}
    usual = min(lit, key=lambda frame: abs(levels[frame] - median_low(levels.values())))
    found = {}
    for frame in lit:
        ratio = max(levels[frame] / levels[usual], levels[usual] / levels[frame])
        depth = any(abs(ratio / bits - 1) < NEAR for bits in BITS) and abs(frame.snr / usual.snr - 1) < NEAR
        found[frame] = frame.level_dn if depth else usual.level_dn
    return found
