"""Figure of old master flats over the new one."""

from matplotlib.figure import Figure

from flatfield.report.plotting import DIFFERENCE_COLORS, color_limits, save
from flatfield.report.validity_sentences import by_flat

#: Width of a panel, inches, and panels side by side.
WIDTH, ACROSS = 6.0, 2
#: Marks of shadows by their verdict, and the size of a mark, points.
MARKS, SIZE = {"new": "+", "gone": "-", "moved": "o", "changed": "~"}, 9


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
        bar = axis.inset_axes([1.03, 0, 0.05, 1])  # as high as the panel
        figure.colorbar(drawn, cax=bar, label="percent", extend="both")
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
