"""Colour filter arrays: which colour each pixel of a mosaic has."""

from dataclasses import dataclass

import numpy as np

CHANNELS = ("RED", "GREEN", "BLUE")
# LibRaw counts the green pixels of the blue rows as a colour of their own (3), with a black level of its own.
CHANNEL_OF_COLOR = (0, 1, 2, 1)
COLOR_OF_LETTER = {"R": 0, "G": 1, "B": 2}
BAYER = ("RGGB", "BGGR", "GRBG", "GBRG")


@dataclass(frozen=True)
class ColorFilterArray:
    """The repeating tile of a colour filter array, as seen from the first visible pixel.

    Attributes
    ----------
    tile : tuple of tuple of int
        Colour of each pixel of the tile, ``(period, period)``: 0 red, 1 green, 2 blue, 3 second
        green (LibRaw's ``raw_colors_visible``). The period is 2 for Bayer, 6 for X-Trans; a sensor
        without filters has the tile ``((0,),)`` and the single channel MONO.
    """

    tile: tuple

    @classmethod
    def from_name(cls, name):
        """Make a colour filter array from the letters of its tile, row by row (``BAYERPAT``).

        Raises
        ------
        ValueError
            If the name is neither ``MONO`` nor 4 or 36 letters of R, G and B; or if the greens of 4 letters are not
            on a diagonal.

        Examples
        --------
        >>> ColorFilterArray.from_name("RGGB").tile
        ((0, 1), (1, 2))
        """
        name = name.strip().upper()
        if name == "MONO":
            return cls(((0,),))
        period = {4: 2, 36: 6}.get(len(name))
        if period is None or set(name) != set(COLOR_OF_LETTER):
            raise ValueError(f"'{name}' is not a colour filter array of 4 or 36 letters R, G, B")
        if period == 2 and name not in BAYER:
            raise ValueError(f"'{name}' is no Bayer pattern ({', '.join(BAYER)})")
        colors = [COLOR_OF_LETTER[letter] for letter in name]
        return cls(tuple(tuple(colors[i : i + period]) for i in range(0, len(colors), period)))

    @property
    def is_mono(self):
        """Whether the sensor has no colour filters."""
        return self.period == 1

    @property
    def period(self):
        """Rows (and columns) of the tile."""
        return len(self.tile)

    @property
    def name(self):
        """Letters of the tile, row by row: ``RGGB``; ``MONO`` without filters."""
        return "MONO" if self.is_mono else "".join("RGBG"[color] for row in self.tile for color in row)

    @property
    def channels(self):
        """Names of the channels, in the order of the extensions of ``flat.fits``."""
        return ("MONO",) if self.is_mono else CHANNELS

    def shifted(self, rows, columns):
        """The same array as seen from another first pixel, `rows` and `columns` further on.

        Examples
        --------
        >>> ColorFilterArray.from_name("RGGB").shifted(1, 0).name
        'GBRG'
        """
        p = self.period
        return ColorFilterArray(
            tuple(tuple(self.tile[(i + rows) % p][(j + columns) % p] for j in range(p)) for i in range(p))
        )

    def phases(self):
        """Iterate over ``(row, column, color)`` of the tile: pixels ``[row::period, column::period]``."""
        for i, row in enumerate(self.tile):
            for j, color in enumerate(row):
                yield i, j, color

    def channel_map(self, shape):
        """Channel index of each pixel, uint8 of `shape` ``(rows, columns)``."""
        tile = np.array([[CHANNEL_OF_COLOR[color] for color in row] for row in self.tile], np.uint8)
        return np.tile(tile, [-(-n // self.period) for n in shape])[: shape[0], : shape[1]]

    def pixels(self, mosaic, channel):
        """All pixels of one channel, 1-D, in the order of the tile's phases.

        Parameters
        ----------
        mosaic : numpy.ndarray, ``(rows, columns)``
            Its first pixel must be the first pixel of the tile.
        channel : int
            Index into `channels`.
        """
        p = self.period
        return np.concatenate(
            [mosaic[i::p, j::p].ravel() for i, j, color in self.phases() if CHANNEL_OF_COLOR[color] == channel]
        )
