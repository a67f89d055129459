"""Stars of a light, one row a star and one column a frame."""

from dataclasses import dataclass

import numpy as np

from flatfield.measure.star_matching import match_frames

#: Frames that must show a star.
FEWEST_FRAMES = 2
#: Least flux over that of the faintest stars that were found, so that noise does not choose who counts.
ABOVE_FAINTEST = 1.5


@dataclass(frozen=True)
class StarGrid:
    """Stars of a light, one row a star and one column a frame.

    Attributes
    ----------
    positions : numpy.ndarray, ``(stars, frames, 2)``
        Right and down from the centre, half diagonals; NaN where a star is not seen.
    flux, wide : dict of numpy.ndarray, ``(stars, frames)``
        By channel, DN; NaN likewise, and where pixels are masked.
    aspect : tuple of float
        Half the width and half the height, half diagonals.
    half_diagonal : float
        Pixels.
    """

    positions: np.ndarray
    flux: dict
    wide: dict
    aspect: tuple
    half_diagonal: float

    @property
    def seen(self):
        return np.isfinite(self.positions[..., 0])


def arrange_stars(frames, shape, channels):
    """Match the stars of frames and arrange them in a grid.

    Parameters
    ----------
    frames, shape, channels
        See `compare_stars`.

    Returns
    -------
    StarGrid
        Of the stars that are seen in two frames or more, and are not the faintest.
    """
    numbers = match_frames([each.positions for each in frames])
    count = 1 + max((int(each.max(initial=-1)) for each in numbers), default=-1)
    grid = np.full((count, len(frames), 2 + 2 * len(channels)), np.nan)
    center, half = (np.array(shape) - 1) / 2, np.hypot(*shape) / 2
    for index, (own, each) in enumerate(zip(numbers, frames, strict=True)):
        use = own >= 0
        if not use.any():
            continue
        places = ((each.positions - center) / half)[:, ::-1]
        fluxes = [kind[channel] for kind in (each.flux, each.wide) for channel in channels]
        grid[own[use], index] = np.column_stack([places, *fluxes])[use]
    total = np.nansum(grid[..., 2 : 2 + len(channels)], axis=2)
    total[~np.isfinite(grid[..., 0])] = np.nan
    often = np.isfinite(total).sum(axis=1) >= FEWEST_FRAMES
    if often.any():
        faintest = np.nanmedian([np.nanpercentile(each, 5) for each in total.T if np.isfinite(each).any()])
        often[often] = np.nanmedian(total[often], axis=1) > ABOVE_FAINTEST * faintest
    grid = grid[often]
    columns = np.moveaxis(grid[..., 2:], 2, 0)
    flux, wide = (dict(zip(channels, part, strict=True)) for part in np.split(columns, 2))
    rows, across = shape
    return StarGrid(grid[..., :2], flux, wide, (across / 2 / half, rows / 2 / half), half)
