"""What the stars of a light say of its flat, in sentences."""

from flatfield.files.tables import number_of

#: Verdicts of ``stars.tsv`` that name an error of the flat.
WRONG = {"over-corrects": "over-corrected", "under-corrects": "under-corrected"}


def describe_stars(name, rows):
    """Sentences on the stars of a light.

    Parameters
    ----------
    name : str
        Of the light.
    rows : list of dict
        ``stars.tsv``.

    Returns
    -------
    list of str
        One on the corners; one more where stars show a gradient.
    """
    corners = [row for row in rows if row["term"] == "corner"]
    tilted = [row for row in rows if row["term"] != "corner" and row["verdict"] in WRONG]
    told = [row for row in corners if row["verdict"] != "not told"]
    wrong = [row for row in told if row["verdict"] in WRONG]
    if wrong:
        words = " and ".join(dict.fromkeys(WRONG[row["verdict"]] for row in wrong))
        sentences = [f"{name}: by its stars the corners are {words}: {_listed(told)}."]
    elif told:
        sentences = [f"{name}: its stars agree, at the corners and at the centre: {_listed(told)}."]
    else:
        why = corners[0]["meaning"].removeprefix("not told: ")
        sentences = [f"{name}: whether its stars agree at the corners and at the centre is not known: {why}."]
    if tilted:
        parts = (f"{row['meaning']} {_figure(row)} in {row['channel']}" for row in tilted)
        sentences.append(f"{name}: its stars show a gradient of the flat: {', '.join(parts)}.")
    return sentences


def _listed(rows):
    return ", ".join(f"{row['channel']} {_figure(row)}" for row in rows)


def _figure(row):
    return f"{number_of(row['percent']):+.1f} ± {number_of(row['error']):.1f} %"
