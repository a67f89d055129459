"""Sentences on old master flats: whether they still hold."""

from collections import defaultdict

#: Verdicts that need something to be done, and what.
REMEDIES = {
    "take the model only": "Divide by its model only (`apply: {flat_part: model}`), or use the new flat.",
    "detail only": "Use the new flat, or multiply the new model by the detail of the old one.",
    "new flats needed": "Use the new flat.",
    "not told": "Give masters with more pixels that count.",
}


def by_flat(rows):
    """Rows of each old master; two of one name are told apart by where the rows of one begin."""
    flats = defaultdict(list)
    number = 0
    for row in rows:
        number += row["subject"] == "old flat"
        flats[number].append(row)
    names = [found[0]["flat"] for found in flats.values()]
    numbered = [f"{name} ({i})" if names.count(name) > 1 else name for i, name in enumerate(names, 1)]
    return dict(zip(numbered, flats.values(), strict=True))


def describe_old_flats(validity):
    """Sentences on old masters.

    Parameters
    ----------
    validity : dict
        Rows of ``validity.tsv`` by set.

    Returns
    -------
    findings : list of str
        On those that still hold.
    warnings : list of tuple of str
        On the others, with what to do.
    """
    findings, warnings = [], []
    for name, rows in validity.items():
        for flat, found in by_flat(rows).items():
            verdict, why = found[0]["verdict"], found[0]["meaning"]
            sentence = f"The old flat {flat}, against the new one of {name}: {verdict} ({why})."
            if verdict in REMEDIES:
                warnings.append((sentence, REMEDIES[verdict]))
            else:
                findings.append(sentence)
    return findings, warnings
