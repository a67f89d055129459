"""Why a light divided by its flat is not even: the table of its possible causes.

Sky levels of many tiles are compared with the flat. The causes are weighed in `flatfield.measure.cause_fit` and judged
in `flatfield.measure.cause_verdicts`.
"""

from flatfield.files.tables import mark_undetermined
from flatfield.measure.cause_verdicts import (
    CAUSES,
    EXCLUDED,
    NEGLIGIBLE,
    OPEN,
    SMALL,
    SUPPORTED,
    Diagnosis,
    verdict_row,
)  # fmt: skip

DIAGNOSIS_COLUMNS = ["cause", "meaning", "verdict", "size_percent", "error_percent", "evidence"]


def judge_hidden(found, remark, left_percent):
    """Verdict on the part of the flat's light source that no rotation reveals.

    Parameters
    ----------
    found : dict
        Verdicts on all other causes.
    remark : str
        Why that part is not known.
    left_percent : float or None
        What the most probable sky and causes leave of the tiles, rms.
    """
    other = [cause for cause, row in found.items() if row and row["verdict"] != EXCLUDED]
    if other or left_percent is None or left_percent >= NEGLIGIBLE:
        text = f"{remark}; a part that depends only on the distance from the centre would look like other causes"
        return verdict_row(OPEN, None, None, text)
    return verdict_row(
        EXCLUDED, left_percent, None, f"{remark}; the sky follows the flat within {left_percent:.2g} % rms"
    )


def describe(cause, found):
    """A row of the table."""
    row = {"cause": cause, "meaning": CAUSES[cause], **found}
    return mark_undetermined({name: row[name] for name in DIAGNOSIS_COLUMNS})


def diagnose_tiles(tiles, is_picture, remark, flat_exposure_s=None, light_exposure_s=None):
    """Test all causes of a light that is not even after the division.

    Parameters
    ----------
    tiles : flatfield.measure.tiles.Tiles
    is_picture : bool
        Values of 0 to 255 of a picture.
    remark : str
        Why the light source of the flat is not known, if so.
    flat_exposure_s, light_exposure_s : float, optional
        See `Diagnosis`; not known where left out.

    Returns
    -------
    rows : list of dict
        Of ``diagnosis.tsv``, but for the frame.
    known : numpy.ndarray of bool, ``(channels, rows, columns)``
        Tiles that count.
    """
    diagnosis = Diagnosis(tiles, is_picture, flat_exposure_s, light_exposure_s)
    found = diagnosis.verdicts()
    if found["flat not flat"] is None:
        found["flat not flat"] = judge_hidden(found, remark, diagnosis.left_percent)
    return [describe(cause, each) for cause, each in found.items()], diagnosis.fit.known


def summarize_verdicts(rows):
    """Lines that list the causes by their verdicts, those that are supported first."""
    verdicts = (SUPPORTED, SMALL, OPEN, EXCLUDED)
    causes = {verdict: [row["cause"] for row in rows if row["verdict"] == verdict] for verdict in verdicts}
    return [f"{verdict}: {', '.join(names)}" for verdict, names in causes.items() if names]
