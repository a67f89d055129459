"""Falloff of a light, its flat and the result: the centre against corners, edges and rings."""

from itertools import pairwise

import numpy as np

FALLOFF_COLUMNS = ["channel", "stage", "place", "radius", "level", "error", "ratio", "ratio_error", "ev", "ev_error"]
#: Rings of the radial profile.
RINGS = 10


def describe_falloff(stages, tiles, channels):
    """Levels of boxes and rings, and centre over level as a ratio and in EV (log2), with errors."""
    radius = np.hypot(tiles.x, tiles.y[:, None])
    middle = tuple(slice(length // 2 - 1, length // 2 + 1) for length in radius.shape)
    places = {"centre": middle}
    for name, down in (("top", slice(0, 2)), ("bottom", slice(-2, None))):
        for side, across in (("left", slice(0, 2)), ("right", slice(-2, None))):
            places[f"{name} {side}"] = (down, across)
    places |= {"top": (slice(0, 2), middle[1]), "bottom": (slice(-2, None), middle[1])}
    places |= {"left": (middle[0], slice(0, 2)), "right": (middle[0], slice(-2, None))}
    edges = np.linspace(0, radius.max() + 1e-9, RINGS + 1)
    for inner, outer in pairwise(edges):
        places[f"ring {inner:.2f} to {outer:.2f}"] = (radius >= inner) & (radius < outer)
    rows = []
    for stage, (levels, errors) in stages.items():
        for channel, level, error in zip(channels, levels, errors, strict=True):
            centre = mean_of(level[middle], error[middle])
            for place, where in places.items():
                own = mean_of(level[where], error[where])
                rows.append({"channel": channel, "stage": stage, "place": place, **ratio_of(centre, own)})
                rows[-1]["radius"] = float(np.mean(radius[where])) if radius[where].size else None
    return rows


def mean_of(levels, errors):
    """Mean of tiles and its error; None where there is none."""
    known = np.isfinite(levels) & np.isfinite(errors)
    if not known.any():
        return None
    return float(levels[known].mean()), float(np.sqrt((errors[known] ** 2).sum()) / known.sum())


def ratio_of(centre, own):
    """Fields of a place."""
    fields = dict.fromkeys(("level", "error", "ratio", "ratio_error", "ev", "ev_error"))
    if own is None:
        return fields
    fields.update(level=own[0], error=own[1])
    if centre is None or centre[0] <= 0 or own[0] <= 0:
        return fields
    ratio = centre[0] / own[0]
    relative = np.hypot(centre[1] / centre[0], own[1] / own[0])
    return fields | {
        "ratio": ratio,
        "ratio_error": ratio * relative,
        "ev": float(np.log2(ratio)),
        "ev_error": relative / np.log(2),
    }
