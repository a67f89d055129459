"""Signals of a sensor that is not linear, made so: light and flat alike, with the error of that."""

from dataclasses import dataclass, replace

import numpy as np

from flatfield.files.tables import mark_undetermined, number_of, read_table
from flatfield.raw.mosaic import read_mosaic

#: Pixels of a light, percent, that may be beyond the levels at which linearity was measured, and by how much.
MOST_BEYOND, BEYOND = 1.0, 1.05
#: Verdicts on a sensor that is not linear as a cause of a light that is not even, beside that it is excluded.
CORRECTED, IN_PART, NOT_CORRECTED, EXCLUDED = "corrected", "corrected in part", "not corrected", "excluded"


def straighten(signal, curvature):
    """Light x, as faint light is recorded, of a signal x - q x^2.

    Parameters
    ----------
    signal : numpy.ndarray
        DN above black.
    curvature : float
        q, 1/DN. Beyond the vertex of the parabola, which no sensor that is used reaches, that of the vertex.

    Returns
    -------
    numpy.ndarray
        DN, of the type of `signal`.

    Examples
    --------
    >>> float(straighten(np.float64(980.0), 2e-5))
    1000.0
    """
    return 2 * signal / (1 + np.sqrt(np.maximum(1 - 4 * curvature * signal, 0)))


@dataclass(frozen=True)
class Linearity:
    """How far the sensor of a set is from linear, see `flatfield.measure.linearity`; by default, not to be corrected.

    Attributes
    ----------
    meaning : str or None
        What was found, or why nothing was; None where no correction is asked for.
    verdict : str
        Of ``linearity.tsv``: corrected is what is *found*, significant and measured.
    curvature, error : float
        q of `straighten` and its error, 1/DN.
    full, highest : float
        Signal at saturation, and the highest level that was compared, DN above black.
    scatter : float
        Of the levels of the flats, relative: the master of frames of unequal level is bent as that of their mean.
    recorded : str or None
        ``flat_cfa.fits``: the levels at which the flats were recorded.
    """

    meaning: str | None = None
    verdict: str = "not told"
    curvature: float = 0.0
    error: float = 0.0
    full: float = 0.0
    highest: float = 0.0
    scatter: float = 0.0
    recorded: str | None = None

    @classmethod
    def read(cls, path, recorded):
        """From ``linearity.tsv``; without a path nothing is to be corrected."""
        if not path:
            return cls()
        (row,) = read_table(path)
        if row["verdict"] != "found":
            return cls(row["meaning"], row["verdict"])
        percent, error, full, highest, scatter = (
            number_of(row[name]) for name in ("percent", "error", "full_dn", "highest_dn", "level_scatter_percent")
        )
        per_dn = 1 / (100 * full)
        return cls(row["meaning"], "found", -percent * per_dn, error * per_dn, full, highest, scatter / 100, recorded)

    @property
    def is_found(self):
        return self.verdict == "found"

    def straighten(self, signal):
        """A recorded signal as a linear sensor would have it, DN above black."""
        return straighten(signal, np.float32(self.curvature)) if self.is_found else signal

    def read_flat(self, path, error=False):
        """Read a flat, or its smooth model, as a linear sensor would have it; a ratio of both is one already.

        Parameters
        ----------
        path : str
        error : bool

        Returns
        -------
        flatfield.raw.mosaic.Mosaic
        """
        flat = read_mosaic(path, error=error)
        if not self.is_found or flat.header.get("BUNIT") != "DN":
            return flat
        level = read_mosaic(self.recorded).value
        with np.errstate(invalid="ignore", divide="ignore"):
            factor = np.nan_to_num(self.straighten(level) / level, nan=1.0, posinf=1.0, neginf=1.0)
        return replace(flat, value=flat.value * factor, error=flat.error * factor if error else None)

    def relative_error(self, light, flat_level, norm_level):
        """What the error of the curvature changes in light / flat, relative.

        Parameters
        ----------
        light : numpy.ndarray, float32, ``(rows, columns)``
            Straightened signal of the light, DN.
        flat_level, norm_level : numpy.ndarray, float32, ``(rows, columns)``
            Levels of the straightened flat, and of its norm in the channel of each pixel, DN.

        Returns
        -------
        numpy.ndarray, float32, ``(rows, columns)``

        Notes
        -----
        d ln x / d q = x, so that the quotient has the derivative x_light - x_flat + x_norm. The scatter of the levels
        of the flats counts as far as it bends flat against norm, and a light beyond the levels that were compared has
        all of its correction beyond them as an error.
        """
        of_flat = flat_level - norm_level
        parts = (
            self.error * (light - of_flat),
            self.curvature * self.scatter * of_flat,
            self.curvature * np.maximum(light - self.highest, 0),
        )
        return np.sqrt(sum(np.square(part, dtype=np.float32) for part in parts))

    def describe(self, light):
        """Rows of ``diagnosis.tsv`` on what was done to a light: one where a correction was asked for.

        Parameters
        ----------
        light : numpy.ndarray, float32, 1-D
            Its straightened signal without saturated pixels, DN.
        """
        if self.meaning is None:
            return []
        row = {"cause": "not linear", "size_percent": None, "error_percent": None, "evidence": self.meaning}
        if not self.is_found:
            verdict = EXCLUDED if self.verdict == EXCLUDED else NOT_CORRECTED
            return [mark_undetermined(row | {"verdict": verdict, "meaning": "light and flat are as recorded"})]
        row["meaning"] = "light and flat are corrected for a sensor that is not linear"
        size = {"size_percent": -100 * self.curvature * self.full, "error_percent": 100 * self.error * self.full}
        beyond = 100 * float((light > BEYOND * self.highest).mean()) if light.size else 0.0
        if beyond <= MOST_BEYOND:
            return [row | size | {"verdict": CORRECTED}]
        evidence = (
            f"{beyond:.2g} % of its pixels are brighter than the {self.highest:.5g} DN up to which linearity was "
            f"measured, and have all of the correction beyond that in their error; {self.meaning}"
        )
        return [row | size | {"verdict": IN_PART, "evidence": evidence}]


#: Signals and flats stay as they are.
AS_RECORDED = Linearity()
