"""Scaling: factors that bring frames to a common level."""

import numpy as np

from flatfield.files.errors import InventoryError
from flatfield.files.frame_table import list_files
from flatfield.raw.cfa import CHANNEL_OF_COLOR, ColorFilterArray


def scale_factors(used, rows, scale):
    """Factors that bring frames to the mean level of their set.

    factor of frame k, channel c = mean level of the set / level of the frame.

    Parameters
    ----------
    used : list of dict
        Rows of all used frames of the set.
    rows : list of dict
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
        return np.ones((len(rows), 4), np.float32)
    channels = ColorFilterArray.from_name(rows[0]["cfa"]).channels
    names = [f"level_{channel.lower()}_dn" for channel in channels] if scale == "channel" else ["level_dn"]
    factors = []
    for name in names:
        dark = [row for row in rows if float(row[name]) <= 0]
        if dark:
            verb = "is" if len(dark) == 1 else "are"
            raise InventoryError(
                f"{list_files(dark)} {verb} not brighter than black ({name} {dark[0][name]}), so that frames cannot be "
                "scaled; take out what is dark, mend the black level, or set `combine: {scale: none}`"
            )
        mean = np.mean([float(row[name]) for row in used])
        factors.append([mean / float(row[name]) for row in rows])
    by_channel = np.array(factors, np.float32)
    return np.ascontiguousarray(by_channel[[min(c, len(factors) - 1) for c in CHANNEL_OF_COLOR]].T)
