"""Figures: rows of panels with shared axes and colour bars; matplotlib without its global state."""

import numpy as np
from matplotlib.figure import Figure

from flatfield.files.tables import format_exposure
from flatfield.files.writing import completed
from flatfield.measure.blocks import block_average, block_side

#: Panels are block-averaged to about this many columns: more cannot be seen.
PANEL_COLUMNS = 500
#: Maps of channels are averaged over blocks, about this many across, halved: twice as fine as differences are measured.
BLOCKS_ACROSS = 24
#: Percentiles that the colour scale spans: a hot pixel must not decide it.
PERCENTILES = (0.5, 99.5)
#: Rows of panels, inches: width of a panel; room at the left, for a colour bar, between panels without one, at the top
#: of the figure, above each panel (its title), and at the bottom.
PANEL_WIDTH, LEFT, BESIDE, SPACE, TOP, ABOVE, BELOW = 3.3, 0.8, 1.15, 0.25, 0.5, 0.4, 0.6
#: Width of a figure below which its title is cut, inches.
MINIMUM_WIDTH = 5.5
NOISE_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)  # percent
IMAGE_COLORS = "viridis"
DIFFERENCE_COLORS = "RdBu_r"  # blue and red, with white for 0; colour-blind readers can distinguish them
CHANNEL_COLORS = {"RED": "#d55e00", "GREEN": "#009e73", "BLUE": "#0072b2", "MONO": "#444444"}


def plot_rows(path, title, rows):
    """Draw rows of panels that share their axes.

    Parameters
    ----------
    path : str
    title : str
    rows : list of dict
        For each row: ``panels``, a list of ``(title, image)``; ``unit`` of the colour bar; ``signed``, whether
        0 is in the middle of the colour scale; ``shared``, whether all panels of the row have one colour scale;
        ``shape``, rows and columns of the frame, where the images are averages over blocks of it; ``frame``, the
        same where only some are.
        An image of ``(rows, columns, 3)``, uint8, is shown as it is.
    """
    columns = max(len(row["panels"]) for row in rows)
    shape = rows[0].get("shape", rows[0]["panels"][0][1].shape[:2])
    figure, axes = _grid(len(rows), columns, shape, SPACE if all(row["shared"] for row in rows) else BESIDE)
    figure.suptitle(title, y=1 - 0.12 / figure.get_figheight(), fontsize="x-large", parse_math=False)
    for row, row_axes in zip(rows, axes, strict=True):
        _draw_row(figure, row, row_axes)
    save(figure, path)


def plot_planes_and_profiles(path, title, planes, channels):
    """Draw the channels of a flat in a row, and below them their profiles along both diagonals.

    Parameters
    ----------
    path : str
    title : str
    planes : numpy.ndarray, ``(channels, rows, columns)``, DN above black
    channels : sequence of str
    """
    count, (rows, columns) = len(channels), planes.shape[1:]
    width = 4.6
    height = (width - 1.3) * rows / columns + 1.3
    figure = Figure(figsize=(max(width * count, 2 * MINIMUM_WIDTH), height + 3.2), layout="constrained")
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=(height, 3.2))[:, 0]
    upper.suptitle(title, fontsize="x-large", parse_math=False)
    axes = upper.subplots(1, count, sharex=True, sharey=True, squeeze=False)[0]
    panels = list(zip(channels, planes, strict=True))
    _draw_row(upper, {"panels": panels, "unit": "DN above black", "signed": False, "shared": False}, axes)
    axes[0].set_ylabel("row")
    for axis in axes:
        axis.set_xlabel("column")
    profile_axes = lower.subplots(1, 2, sharey=True)
    corners = ("top left to bottom right", "bottom left to top right")
    for axis, direction, flip in zip(profile_axes, corners, (False, True), strict=True):
        for channel, plane in panels:
            blocks = shrink(plane[::-1] if flip else plane)
            position = np.linspace(0, 1, 201)
            indices = [np.rint(position * (length - 1)).astype(int) for length in blocks.shape]
            profile = blocks[tuple(indices)]
            axis.plot(2 * position - 1, profile / profile[95:106].mean(), color=CHANNEL_COLORS[channel], label=channel)
        axis.set_xlabel(f"half diagonals, {direction}")
        axis.grid(alpha=0.3)
    profile_axes[0].set_ylabel("relative to the centre")
    profile_axes[0].legend()
    save(figure, path)


def plot_noise(path, title, transfer, depth, wanted_percent):
    """Draw variance against level with its fit, and the noise of masters against the number of frames.

    Parameters
    ----------
    path : str
    title : str
    transfer : list of dict
        channel, level_dn, variance_dn2, error_dn2, fit_dn2, fitted (yes or no).
    depth : list of dict
        channel, frames, noise_percent, noise_error_percent, predicted_percent.
    wanted_percent : float
        Error to be marked.
    """
    figure = Figure(figsize=(2 * MINIMUM_WIDTH, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    figure.suptitle(title, fontsize="x-large", parse_math=False)
    for channel, color in CHANNEL_COLORS.items():
        points = [row for row in transfer if row["channel"] == channel]
        if points:
            x, y, error, fit = (
                np.array([row[name] for row in points]) for name in ("level_dn", "variance_dn2", "error_dn2", "fit_dn2")
            )
            fitted = np.array([row["fitted"] for row in points])
            left.errorbar(x, y, error, fmt="none", ecolor=color, alpha=0.5)
            left.plot(x[fitted], y[fitted], ".", color=color, label=channel)
            left.plot(x[~fitted], y[~fitted], "o", color=color, mfc="none")
            left.plot(x, fit, color=color, linewidth=1)
        points = [row for row in depth if row["channel"] == channel]
        if points:
            x, y, error, predicted = (
                np.array([row[name] for row in points])
                for name in ("frames", "noise_percent", "noise_error_percent", "predicted_percent")
            )
            right.errorbar(x, y, error, fmt=".", color=color, label=channel)
            right.plot(x, predicted, color=color, linewidth=1)
    left.set(xlabel="level, DN above black", ylabel="variance of a pixel of one frame, DN²", title="Photon transfer")
    right.set(
        xlabel="frames in a master", ylabel="noise of a pixel at the centre, percent", title="How many are enough"
    )
    right.axhline(wanted_percent, color="0.4", linestyle="--", linewidth=1, label=f"wanted: {wanted_percent:g} %")
    if depth:
        right.set(xscale="log", yscale="log")
        ticks = sorted({row["frames"] for row in depth})
        right.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        right.minorticks_off()
        low, high = right.get_ylim()
        right.set_yticks([tick for tick in NOISE_TICKS if low <= tick <= high])
        right.yaxis.set_major_formatter("{x:g}")
    for axis, rows, reason in (
        (left, transfer, "not determined: see noise.tsv"),
        (right, depth, "not determined: too few frames"),
    ):
        axis.grid(alpha=0.3)
        if rows:
            axis.legend()
        else:
            axis.text(0.5, 0.5, reason, ha="center", va="center", transform=axis.transAxes)
    save(figure, path)


def plot_models(path, title, panels, shape, ladder):
    """Draw the residuals of a model in each channel, and below them the prediction errors of all models.

    Parameters
    ----------
    path : str
    title : str
    panels : list of tuple
        Title and image, percent, of each channel.
    shape : tuple of int
        Rows and columns of the frame.
    ladder : list of dict
        Rows of ``models.tsv``.
    """
    count, (rows, columns) = len(panels), shape
    width = 4.6
    height = (width - 1.3 / count) * rows / columns + 1.3  # one colour bar for all panels
    names = list(dict.fromkeys(row["model"] for row in ladder)) or ["none: too few blocks are known"]
    below = 0.28 * len(names) + 1.2
    figure = Figure(figsize=(max(width * count, 2 * MINIMUM_WIDTH), height + below), layout="constrained")
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=(height, below))[:, 0]
    upper.suptitle(title, fontsize="x-large", parse_math=False)
    axes = upper.subplots(1, count, sharex=True, sharey=True, squeeze=False)[0]
    _draw_row(upper, {"panels": panels, "unit": "percent", "signed": True, "shared": True, "shape": shape}, axes)
    axes[0].set_ylabel("row")
    for axis in axes:
        axis.set_xlabel("column")
    axis = lower.subplots()
    for channel, color in CHANNEL_COLORS.items():
        own = [row for row in ladder if row["channel"] == channel]
        if own:
            where = [names.index(row["model"]) for row in own]
            axis.plot([float(row["cv_rms_percent"]) for row in own], where, "o", color=color, label=channel)
            axis.axvline(float(own[0]["noise_percent"]), color=color, linestyle="--", linewidth=1)
    chosen = {row["model"] for row in ladder if row["chosen"] == "yes"}
    axis.set_yticks(range(len(names)), [f"{name} (chosen)" if name in chosen else name for name in names])
    axis.set(
        xscale="log" if ladder else "linear",
        xlabel="rms error of prediction of blocks left out, percent (dashed: noise of a block)",
    )
    axis.xaxis.set_major_formatter("{x:g}")
    axis.invert_yaxis()
    axis.grid(alpha=0.3, which="both")
    if ladder:
        axis.legend()
    save(figure, path)


def plot_diagnosis(path, title, tiles, channels, known, verdicts, unit):
    """Draw the quotient of light and flat in tiles, the light against the flat, and both along the radius.

    Parameters
    ----------
    path : str
    title : str
    tiles : flatfield.measure.diagnosis.Tiles
    channels : sequence of str
    known : numpy.ndarray of bool, ``(channels, rows, columns)``
        Tiles that count.
    verdicts : list of str
        Lines beneath the title.
    unit : str
        Of the light.
    """
    figure = Figure(figsize=(14, 5.2), layout="constrained")
    figure.suptitle(title + "\n" + "; ".join(verdicts), fontsize="medium", parse_math=False)
    image, scatter, profile = figure.subplots(1, 3)
    quotient = np.ma.masked_array(tiles.light, ~known) / tiles.flat
    mean = (quotient / np.ma.median(quotient, axis=(1, 2), keepdims=True)).mean(axis=0)
    shown = 100 * (mean.filled(1) - 1)  # where no channel counts it is drawn even
    low, high = color_limits(shown, True)
    extent = (tiles.x[0], tiles.x[-1], tiles.y[-1], tiles.y[0])
    drawn = image.imshow(shown, cmap=DIFFERENCE_COLORS, vmin=low, vmax=high, extent=extent, interpolation="nearest")
    figure.colorbar(drawn, ax=image, label="percent", extend="both", shrink=0.7)
    image.set(title="light / flat", xlabel="half diagonals", ylabel="half diagonals")
    radius = np.hypot(tiles.x, tiles.y[:, None])
    for channel, light, flat, here in zip(channels, tiles.light, tiles.flat, known, strict=True):
        color = CHANNEL_COLORS[channel]
        scatter.plot(flat[here], light[here], ".", color=color, markersize=3, label=channel)
        if here.any():
            near = here & (radius <= np.sort(radius[here])[min(7, here.sum() - 1)])
            for values, style in ((light, "."), (flat, "x")):
                profile.plot(radius[here], values[here] / values[near].mean(), style, color=color, markersize=3)
    scatter.set(
        xlabel="flat, relative to the centre", ylabel=f"sky level of the light, {unit}", title="light against flat"
    )
    scatter.set_xlim(left=0)
    scatter.set_ylim(bottom=min(0, scatter.get_ylim()[0]))
    scatter.legend()
    profile.set(xlabel="distance from the centre, half diagonals", ylabel="relative to the centre")
    profile.set_title("light (dots) and flat (crosses)")
    for axis in (scatter, profile):
        axis.grid(alpha=0.3)
    save(figure, path)


def _grid(count, columns, shape, space):
    """Figure with rows of panels in the form of a frame, which share their axes, and room for titles and bars.

    The places are computed: matplotlib's layout engines draw all labels to find them, which takes longer than the rest.
    """
    width, height = PANEL_WIDTH, PANEL_WIDTH * shape[0] / shape[1]
    size = LEFT + columns * (width + space) - space + BESIDE, TOP + count * (height + ABOVE) + BELOW
    size = max(size[0], MINIMUM_WIDTH), size[1]
    figure, axes = Figure(figsize=size), np.empty((count, columns), object)
    for i, j in np.ndindex(count, columns):
        bottom = BELOW + (count - 1 - i) * (height + ABOVE)
        place = (LEFT + j * (width + space)) / size[0], bottom / size[1], width / size[0], height / size[1]
        axis = figure.add_axes(place, sharex=axes[0, 0], sharey=axes[0, 0])
        axis.tick_params(labelbottom=i == count - 1, labelleft=j == 0)
        axes[i, j] = axis
    for axis in axes[:, 0]:
        axis.set_ylabel("row")
    for axis in axes[-1]:
        axis.set_xlabel("column")
    return figure, axes


def _draw_row(figure, row, axes):
    images = [image if "shape" in row else shrink(image) for _, image in row["panels"]]
    measured = [image for image in images if image.ndim == 2]
    shared = color_limits(np.concatenate([image.ravel() for image in measured]), row["signed"])
    for axis, image, (title, original) in zip(axes, images, row["panels"], strict=False):
        rows, columns = row.get("frame") or row.get("shape", original.shape[:2])
        extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
        axis.set_title(title, y=1, parse_math=False)
        if image.ndim == 3:
            axis.imshow(image, extent=extent)
            continue
        low, high = shared if row["shared"] else color_limits(image, row["signed"])
        colors = DIFFERENCE_COLORS if row["signed"] else IMAGE_COLORS
        drawn = axis.imshow(image, extent=extent, cmap=colors, vmin=low, vmax=high, interpolation="nearest")
        if not row["shared"] or axis is axes[len(images) - 1]:  # one scale has one bar
            bar = axis.inset_axes([1.03, 0, 0.05, 1])  # beside the panel, as high as it is
            figure.colorbar(drawn, cax=bar, label=row["unit"], extend="both")
    for axis in axes[len(images) :]:
        axis.remove()


def shrink(image):
    """Average blocks so that a panel is about `PANEL_COLUMNS` wide; even blocks, so that mosaics mix their colours."""
    if image.ndim == 3:
        step = max(1, image.shape[1] // (2 * PANEL_COLUMNS))
        return image[::step, ::step]
    size = image.shape[1] // PANEL_COLUMNS // 2 * 2
    return block_average(image, max(size, 2))


def color_limits(values, signed):
    """Limits of the colour scale: percentiles, or symmetric about 0."""
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    if signed:
        limit = float(np.percentile(np.abs(values), PERCENTILES[1])) or 1.0
        return -limit, limit
    low, high = (float(limit) for limit in np.percentile(values, PERCENTILES))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def save(figure, path):
    """Write a PNG that depends on the figure only."""
    with completed(path) as file:
        figure.savefig(file, dpi=100, format="png", metadata={"Software": None})


def describe_pose(header):
    """How the camera was held in a subset: its angle, and its aim where it is not that of the first."""
    angle = f"camera at {header['ROTATION']:g}°" if "ROTATION" in header else "angle not given"
    return f"{angle}, aimed at {header['AIM']}" if "AIM" in header else angle


def describe_exposure(header):
    """Exposure and ISO for titles, as far as they are known: ``1/30 s, ISO 100, f/2.8``."""
    parts = []
    if "EXPTIME" in header:
        parts.append(format_exposure(header["EXPTIME"]))
    if "ISOSPEED" in header:
        parts.append(f"ISO {header['ISOSPEED']:g}")
    if "APERTURE" in header:
        parts.append(f"f/{header['APERTURE']:.2g}")
    return ", ".join(parts)


def plotted_size(shape, cfa):
    """Side of the blocks that are plotted, pixels: half of that in which differences are measured."""
    return max(block_side(shape, cfa, BLOCKS_ACROSS) // 2 // cfa.period, 1) * cfa.period


def plot_stages(path, name, header, channels, stages, pictures, unit, shape=None):
    """Draw the channels and the picture of a light before and after.

    Parameters
    ----------
    path : str
    name : str
        Of the light.
    header : astropy.io.fits.Header
    channels : sequence of str
    stages : dict
        Planes ``(channels, rows, columns)`` of each stage.
    pictures : list of numpy.ndarray, uint8, ``(rows, columns, 3)``
        One a stage, or none.
    unit : str
    shape : tuple of int, optional
        Rows and columns of the frame, where planes are averages over blocks of it.
    """
    rows = []
    for index, (stage, planes) in enumerate(stages.items()):
        panels = [(f"{channel}, {stage}", plane) for channel, plane in zip(channels, planes, strict=True)]
        panels += [(f"picture, {stage}", picture) for picture in pictures[index : index + 1]]
        rows.append(
            {"panels": panels, "unit": unit, "signed": False, "shared": False, "frame": shape or planes.shape[1:]}
        )
    plot_rows(path, ", ".join(filter(None, [name, describe_exposure(header)])), rows)
