"""What stands for black in a light: masters of its offset and dark frames."""

from flatfield.measure.calibration import master_offset
from flatfield.files.fits import read_image
from flatfield.files.tables import number_of, read_table


def read_offset(bias, dark, dark_inventory, exposure):
    """Read the masters and scale the dark to the light's exposure, see `flatfield.measure.calibration.master_offset`.

    Parameters
    ----------
    bias, dark, dark_inventory : str or None
        Masters, and ``dark.tsv``.
    exposure : float or None
        Of the light, s.

    Returns
    -------
    value, error : numpy.ndarray, float32, ``(rows, columns)``, or None
        DN.
    """
    masters = [(read_image(path)[0], read_image(path, "UNCERT")[0]) if path else None for path in (bias, dark)]
    dark_exposure = number_of(read_table(dark_inventory)[0]["exposure_s"]) if dark_inventory else None
    return master_offset(masters[0], masters[1], exposure, dark_exposure)
