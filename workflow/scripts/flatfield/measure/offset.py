"""The zero level of lights."""

from flatfield.files.frame_table import read_frames
from flatfield.measure import calibration
from flatfield.raw.mosaic import read_mosaic


class Offset:
    """Zero level of lights: the dark scaled to the exposure, or the bias.

    Parameters
    ----------
    bias, dark : str or None
        Masters of the offset and dark frames.
    dark_inventory : str or None
        ``dark.tsv``.
    """

    def __init__(self, bias=None, dark=None, dark_inventory=None):
        self.masters = [read_mosaic(path, error=True) if path else None for path in (bias, dark)]
        self.dark_exposure = read_frames(dark_inventory)[0].exposure_s if dark_inventory else None

    def at(self, exposure):
        """Value and standard error, DN, for an exposure (s, or None); see `calibration.master_offset`."""
        bias, dark = ((each.value, each.error) if each else None for each in self.masters)
        return calibration.master_offset(bias, dark, exposure, self.dark_exposure)
