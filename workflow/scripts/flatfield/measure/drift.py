"""Drift: how the light changed while a subset was taken."""

import numpy as np

from flatfield.files.tables import mark_undetermined
from flatfield.measure.gradients import measure_map
from flatfield.measure.screening import ENOUGH, map_block_size

DRIFT_COLUMNS = [
    *["subset", "channel", "rms_percent", "noise_percent", "gradient_percent", "gradient_error", "direction_deg"],
    *["direction_error", "significant", "reason"],
]


def measure_drift(frames, maps, step, owners, cfa):
    """Rows of ``drift.tsv``: for each subset and channel what changed between its halves.

    Parameters
    ----------
    frames : list of FrameRecord
    maps, step
        See `read_maps`.
    owners : list of str
        Subset of each frame.
    cfa : ColorFilterArray

    Returns
    -------
    list of dict
        subset, channel, and what `flatfield.measure.gradients.measure_map` finds in the difference, percent.
    """
    rows = []
    for subset in filter(None, dict.fromkeys(owners)):
        members = [
            (frame, plane_map)
            for frame, plane_map, owner in zip(frames, maps, owners, strict=True)
            if owner == subset and frame.used
        ]
        if members:
            size = map_block_size(members[0][0].shape, cfa) * step
            found = compare_halves(np.array([each for _, each in members]), size, members[0][0].shape)
            rows += [{"subset": subset, "channel": name} | row for name, row in zip(cfa.channels, found, strict=True)]
    return [mark_undetermined(row) for row in rows]


def compare_halves(maps, size, shape):
    """How the light source changed during a subset: its second half against its first, level taken out.

    Parameters
    ----------
    maps : numpy.ndarray, float64, ``(frames, channels, rows, columns)``
        Mean signal in blocks, in the order of capture, DN above black.
    size : int
        Side of a block, pixels.
    shape : tuple of int
        Of a frame.

    Returns
    -------
    list of dict
        For each channel what `flatfield.measure.gradients.measure_map` finds in the difference, percent.
    """
    if len(maps) < 2 * ENOUGH:
        unknown = dict.fromkeys(measure_map(np.full((1, 1), np.nan), np.zeros((1, 1)), size, shape))
        return [unknown | {"reason": f"fewer than {2 * ENOUGH} frames"} for _ in range(maps.shape[1])]
    level = np.mean(maps, axis=(2, 3), keepdims=True)
    relative = maps / np.where(level > 0, level, 1)
    half, usual = len(maps) // 2, np.maximum(np.median(relative, axis=0), 1e-6)
    difference = (relative[half:].mean(axis=0) - relative[:half].mean(axis=0)) / usual
    # photon noise: the relative variance of a block goes with 1 / level
    noise = np.sqrt(np.mean(np.diff(relative, axis=0) ** 2 / usual / 2, axis=(0, 2, 3)))
    error = noise[:, None, None] / np.sqrt(usual) * np.sqrt(1 / half + 1 / (len(maps) - half))
    return [measure_map(100 * a, 100 * b, size, shape) for a, b in zip(difference, error, strict=True)]
