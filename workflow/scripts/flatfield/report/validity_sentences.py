"""Sentences on old master flats: whether they still hold."""

from collections import Counter, defaultdict

from flatfield.files.tables import UNKNOWN

#: Verdicts that need something to be done, and what.
REMEDIES = {
    "take the model only": "Divide by its model only (`apply: {flat_part: model}`), or use the new flat.",
    "detail only": "Use the new flat, or multiply the new model by the detail of the old one.",
    "new flats needed": "Use the new flat.",
    "not told": "Give masters with more pixels that count.",
}


#: Old masters up to which each has a sentence of its own.
MOST_TOLD = 3


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
        flats = by_flat(rows)
        if len(flats) > MOST_TOLD:
            findings.append(describe_history(name, [found[0] for found in flats.values()]))
            continue
        for flat, found in by_flat(rows).items():
            verdict, why = found[0]["verdict"], found[0]["meaning"]
            sentence = f"The old flat {flat}, against the new one of {name}: {verdict} ({why})."
            if verdict in REMEDIES:
                warnings.append((sentence, REMEDIES[verdict]))
            else:
                findings.append(sentence)
    return findings, warnings


def describe_history(name, heads):
    """A sentence on many old masters of a set, the oldest first.

    Parameters
    ----------
    name : str
        Of the set.
    heads : list of dict
        First rows of each in ``validity.tsv``.
    """
    days, counts = [(row["taken"] or UNKNOWN)[:10] for row in heads], Counter(row["verdict"] for row in heads)
    listed = ", ".join(f"{number} {verdict}" for verdict, number in counts.most_common())
    last = next((index for index in reversed(range(len(heads))) if heads[index]["verdict"] in REMEDIES), None)
    if last is None:
        since = f"nothing that matters has changed since {days[0]}"
    else:
        row = heads[last]
        since = f"the last that does not is {row['flat']} of {days[last]}: {row['verdict']} ({row['meaning']})"
    return f"Of {len(heads)} old flats, {days[0]} to {days[-1]}, against the new one of {name}: {listed}; {since}."
