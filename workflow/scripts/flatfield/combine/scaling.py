"""Scaling: factors that bring frames to a common level."""

import numpy as np

from flatfield.files.errors import InventoryError
from flatfield.files.frame_table import list_files
from flatfield.raw.cfa import CHANNEL_OF_COLOR, ColorFilterArray


def scale_factors(used, frames, scale):
    """Factors that bring frames to the mean level of their set.

    factor of frame k, channel c = mean level of the set / level of the frame.

    Parameters
    ----------
    used : list of FrameRecord
        All used frames of the set.
    frames : list of FrameRecord
        Those to scale.
    scale : {"none", "frame", "channel"}

    Returns
    -------
    numpy.ndarray, float32, ``(frames, 4)``
        For each colour (0 red, 1 green, 2 blue, 3 second green).

    Raises
    ------
    InventoryError
        If a level is not above black, so that no factor exists.
    """
    if scale == "none":
        return np.ones((len(frames), 4), np.float32)
    channels = ColorFilterArray.from_name(frames[0].cfa).channels if scale == "channel" else [None]
    factors = []
    for channel in channels:
        dark = [frame for frame in frames if _level(frame, channel) <= 0]
        if dark:
            verb = "is" if len(dark) == 1 else "are"
            column = "level_dn" if channel is None else f"level_{channel.lower()}_dn"
            raise InventoryError(
                f"{list_files(dark)} {verb} not brighter than black ({column} {_level(dark[0], channel):.9g}), so that "
                "frames cannot be scaled; take out what is dark, correct the black level, or set "
                "`combine: {scale: none}`"
            )
        mean = np.mean([_level(frame, channel) for frame in used])
        factors.append([mean / _level(frame, channel) for frame in frames])
    by_channel = np.array(factors, np.float32)
    return np.ascontiguousarray(by_channel[[min(c, len(factors) - 1) for c in CHANNEL_OF_COLOR]].T)


def _level(frame, channel):
    return frame.level_dn if channel is None else frame.levels_dn[channel]
