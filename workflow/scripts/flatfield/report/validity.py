"""Old masters in the report: a figure of old over new, and sentences."""

from collections import defaultdict

from matplotlib.figure import Figure

from flatfield.report.plotting import DIFFERENCE_COLORS, color_limits, save

#: Width of a panel, inches, and panels side by side.
WIDTH, ACROSS = 6.0, 2
#: Marks of shadows by their verdict, and the size of a mark, points.
MARKS, SIZE = {"new": "+", "gone": "-", "moved": "o", "changed": "~"}, 9
#: Verdicts that need something to be done, and what.
REMEDIES = {
    "take the model only": "Divide by its model only (`apply: {flat_part: model}`), or use the new flat.",
    "detail only": "Use the new flat, or multiply the new model by the detail of the old one.",
    "new flats needed": "Use the new flat.",
}


def plot_validity(path, title, rows, images):
    """Draw old over new with the shadows that changed.

    Parameters
    ----------
    path : str
    title : str
    rows : list of dict
        ``validity.tsv``.
    images : list of tuple
        Of each old master, in the order of the table: percent ``(rows, columns)`` in blocks, and shape of the frame.
    """
    count, (height, width) = len(images), images[0][1]
    across = min(count, ACROSS)
    down = -(-count // across)
    size = across * WIDTH + 0.5, down * (WIDTH * height / width + 0.6) + 0.4
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(f"{title}: old over new", parse_math=False)
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for axis, (name, found), (image, shape) in zip(axes, by_flat(rows).items(), images, strict=False):
        low, high = color_limits(image, signed=True)
        extent = (-0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5)
        drawn = axis.imshow(image, extent=extent, cmap=DIFFERENCE_COLORS, vmin=low, vmax=high, interpolation="nearest")
        figure.colorbar(drawn, ax=axis, label="percent", extend="both")
        axis.set_title(f"{name}: {found[0]['verdict']}", parse_math=False, fontsize="medium")
        axis.set(xlabel="column", ylabel="row")
        for row in found:
            if row["subject"].endswith(", depth") and row["verdict"] in MARKS:
                place = float(row["column"]), float(row["row"])
                axis.plot(*place, "o", mfc="none", mec="black", markersize=2 * SIZE)
                axis.annotate(MARKS[row["verdict"]], place, xytext=(SIZE, SIZE), textcoords="offset points")
    for axis in axes[count:]:
        axis.remove()
    save(figure, path)


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
