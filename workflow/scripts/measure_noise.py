"""Measure the noise of a set: photon transfer, read noise, pixel response, and how many frames are enough."""

import numpy as np
from flatfield.measure import noise
from flatfield.raw.cfa import ColorFilterArray
from flatfield.combine.methods import scatter_of_master
from flatfield.files.frame_table import used_frames
from flatfield.files.job import logged_job
from flatfield.files.names import is_fits
from flatfield.measure.pairs import cut_channels, look_at_flats, measure_offsets
from flatfield.files.fits import read_image
from flatfield.files.frame_table import check_unchanged
from flatfield.measure.boxes import locate_box
from flatfield.files.tables import NOT_DETERMINED, read_table, write_table

#: Standard deviations by which bias frames and flats must differ for a warning.
DISAGREEMENT = 5
NOISE_COLUMNS = [
    *["channel", "pairs", "gain_e_per_dn", "gain_error", "read_noise_e", "read_noise_error", "prnu_percent"],
    *["prnu_error", "saturation_dn", "nonlinearity_percent", "nonlinearity_error", "snr_frame", "snr_frame_error"],
    *["snr_master", "snr_master_error", "snr_predicted", "depth_slope", "depth_slope_error", "wanted_error_percent"],
    *["frames_needed", "adds_to_light_percent", "reason"],
]
TRANSFER_COLUMNS = ["channel", "level_dn", "variance_dn2", "error_dn2", "fit_dn2", "fitted"]
DEPTH_COLUMNS = [
    *["channel", "frames", "effective_frames", "noise_percent", "noise_error_percent", "predicted_percent"]
]


def main(frames, bias, flat, products, options, threads):
    """Write ``noise.tsv``, ``photon_transfer.tsv`` and ``depth.tsv``.

    Parameters
    ----------
    frames : dict
        flats and bias: for each path its name in the tables; inspected and bias_inventory: these tables.
    bias : str or None
        Master of the offset frames.
    flat : str
        ``flat_cfa.fits``.
    products : dict
        Tables to write: noise (a row a channel), transfer (variance against level), depth (noise against frames).
    options : dict
        subsets (of each frame), combine (section of the configuration), center (box), wanted_error_percent, overscan.
    threads : int
    """
    rows = {row["file"]: row for row in used_frames(read_table(frames["inspected"]))}
    paths = {file: path for path, file in frames["flats"].items() if file in rows}
    for file, subset in zip(frames["flats"].values(), options["subsets"], strict=True):
        if file in rows:
            rows[file]["subset"] = subset
    cfa = ColorFilterArray.from_name(next(iter(rows.values()))["cfa"])
    master = read_image(bias)[0] if bias else None
    first = next(iter(rows.values()))
    known = bias or options["overscan"] or not is_fits(first["file"]) or set(first["black_dn"].split()) != {"0"}
    options = options | {"has_black": bool(known)}
    seen = look_at_flats(rows, paths, cfa, master, options, threads)
    check_unchanged([paths[file] for file in rows], list(rows.values()), frames["inspected"])
    read_variances, why_not = measure_offsets(frames, cfa, options["overscan"], threads)
    value, error, good = read_master(flat)
    shared = read_image(bias, "UNCERT")[0].astype(np.float64) ** 2 if bias else np.zeros(value.shape)
    where = locate_box("center", options["center"], value.shape)
    tables = {"noise": [], "transfer": [], "depth": []}
    for index, channel in enumerate(cfa.channels):
        offset = float(np.mean(cut_channels(shared, cfa, where)[index]))
        row, fit, depth = measure_channel(index, channel, seen, rows, read_variances, offset, options)
        variance = error.astype(np.float64) ** 2
        if fit:  # without what turned with the camera, which the scatter of all frames holds
            scatter = scatter_of_master(options["combine"], len(rows))
            variance = np.maximum(fit.intercept + fit.slope * value, 0) * scatter**2 + shared
        prnu, prnu_error, why = noise.measure_response(value, variance, good, cfa, index)
        row.update(prnu_percent=prnu, prnu_error=prnu_error)
        row.update(measure_master(value, error, good, cfa, index, options["center"]))
        row["reason"] += [text for text in (why, why_not) if text]
        if row["snr_frame"] and row["snr_master"]:
            row["adds_to_light_percent"] = 100 * (np.hypot(1, row["snr_frame"] / row["snr_master"]) - 1)
        tables["noise"].append(row)
        tables["transfer"] += [
            {"channel": channel, "fit_dn2": fit.variance_at(point["level_dn"]), **point}
            for point in (fit.points if fit else [])
        ]
        tables["depth"] += [{"channel": channel, **point} for point in depth]
    for row in tables["noise"]:
        row["reason"] = "; ".join(row["reason"])
        row.update({name: NOT_DETERMINED for name in NOISE_COLUMNS if row[name] is None})
    columns = {"noise": NOISE_COLUMNS, "transfer": TRANSFER_COLUMNS, "depth": DEPTH_COLUMNS}
    for name, table in tables.items():
        write_table(products[name], table, columns[name])


def measure_channel(index, channel, seen, rows, read_variances, offset, options):
    """A row of ``noise.tsv``, the fit of photon transfer or None, and rows of ``depth.tsv``, of one channel.

    `offset` is the variance that the master of the offset frames adds in the box, DN^2.
    """
    reasons = []
    row = dict.fromkeys(NOISE_COLUMNS) | {"channel": channel, "pairs": len(seen.tiles), "reason": reasons}
    row["wanted_error_percent"] = options["wanted_error_percent"]
    saturations = [float(each["saturation_dn"]) for each in rows.values() if each["saturation_dn"]]
    if saturations:
        row["saturation_dn"] = min(saturations)
    else:
        reasons.append("saturation: no frame saturates")
    fit = None
    if seen.tiles:
        level, variance, count = (
            np.concatenate([getattr(tiles, name)[index] for tiles in seen.tiles])
            for name in ("level", "variance", "count")
        )
        measured = read_variances and read_variances[index]
        full = full_signal(rows, saturations)
        fit, why = noise.fit_photon_transfer(level, variance, count, full, measured)
        if fit is None:
            reasons.append(f"gain and read noise: {why}")
        else:
            values, unknown = noise.gain_and_read_noise(fit, measured)
            row.update(values, nonlinearity_percent=fit.nonlinearity_percent)
            row.update(nonlinearity_error=fit.nonlinearity_error_percent)
            reasons += unknown + (contradict(level, variance, count, full, measured) if measured else [])
        row.update(measure_frames([each[index] for each in seen.box_variances]))
    else:
        reasons.append("gain and read noise: no two consecutive frames of a subset are at one level")
    if not options["has_black"]:
        row.update(read_noise_e=None, read_noise_error=None)
        reasons.append("read noise: the black level is not known; give the set bias frames or overscan")
    return row, fit, measure_depth(row, index, channel, seen, rows, fit, offset, options)


def contradict(level, variance, count, full, measured):
    """Whether bias frames and flats disagree on the read noise."""
    free, _ = noise.fit_photon_transfer(level, variance, count, full)
    if free is None:
        return []
    error = float(np.hypot(measured[1], np.sqrt(free.covariance[0, 0])))
    if abs(free.intercept - measured[0]) <= DISAGREEMENT * error:
        return []
    return [
        f"read noise: the variance of bias frames is {measured[0]:.3g} DN^2, but flats lead to {free.intercept:.3g} at "
        "level 0"
    ]


def full_signal(rows, saturations):
    """Signal at saturation, DN above black: measured, or as the camera says; None where neither is known."""
    first = next(iter(rows.values()))
    white = min(saturations) if saturations else first["white_dn"] and float(first["white_dn"])
    return white and white - np.mean([float(level) for level in first["black_dn"].split()])


def measure_frames(inside):
    """S/N of a pixel of one frame in the box `center`, measured."""
    level, variance, count = (np.array(values, float) for values in zip(*inside, strict=True))
    mean, freedom = np.average(variance, weights=count), (count - 1).sum()
    if not mean > 0:
        return {}
    snr = float(level.mean() / np.sqrt(mean))
    return {"snr_frame": snr, "snr_frame_error": snr / np.sqrt(2 * freedom)}


def measure_depth(row, index, channel, seen, rows, fit, offset, options):
    """Noise against the number of frames, measured and predicted; fills in what `row` says of it."""
    combine = options["combine"]
    files = [file for file in rows if file in seen.boxes]
    levels = np.array([float(rows[file][f"level_{channel.lower()}_dn"]) for file in files])
    if not (levels > 0).all():
        row["reason"].append("noise against frames: a frame is not brighter than black")
        return []
    factors = levels.mean() / levels
    box = np.array([seen.boxes[file][index] * np.float32(f) for file, f in zip(files, factors, strict=True)])
    depth = noise.measure_depth(box, combine, factors)
    depth = [point for point in depth if point["noise_percent"] > 0]
    level = float(box.mean(dtype=np.float64))
    one = None if fit is None or level <= 0 else 100 * np.sqrt(fit.variance_at(level)) / level
    if one is None and depth:
        one = depth[0]["noise_percent"]
    for point in depth:
        scatter = scatter_of_master(combine, point["frames"])
        point.update(predicted_percent=one * scatter, effective_frames=scatter**-2)
    row["depth_slope"], row["depth_slope_error"] = noise.fit_slope(depth)
    if one:
        bias, wanted = 100 * np.sqrt(offset) / level, options["wanted_error_percent"]
        row["snr_predicted"] = 100 / np.hypot(one * scatter_of_master(combine, len(files)), bias)
        if bias < wanted:
            row["frames_needed"] = noise.frames_needed(one, np.sqrt(wanted**2 - bias**2), combine)
        else:
            row["reason"].append(f"frames needed: the bias frames alone leave {bias:.2g} %; take more of them")
    return depth


def read_master(flat):
    """The mosaic master, its standard error, and which pixels are good."""
    return read_image(flat)[0], read_image(flat, "UNCERT")[0], read_image(flat, "MASK")[0] == 0


def measure_master(value, error, good, cfa, index, center):
    """S/N of a pixel of the master in the box `center`, from its standard error."""
    where = locate_box("center", center, value.shape)
    values, errors, kept = (cut_channels(image, cfa, where)[index] for image in (value, error, good))
    kept = kept & np.isfinite(errors)
    if not kept.any() or not (errors[kept] > 0).any():
        return {}
    snr = float(values[kept].mean() / np.sqrt(np.mean(errors[kept].astype(np.float64) ** 2)))
    # the errors of pixels scatter themselves, from few frames the more
    spread = np.std(errors[kept].astype(np.float64) ** 2) / np.mean(errors[kept].astype(np.float64) ** 2)
    return {"snr_master": snr, "snr_master_error": snr * float(spread) / 2 / np.sqrt(kept.sum())}


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            {
                "flats": dict(zip(snakemake.input.frames, snakemake.params.files, strict=True)),
                "bias": dict(zip(snakemake.input.bias_frames, snakemake.params.bias_files, strict=True)),
                "inspected": snakemake.input.inspected,
                "bias_inventory": snakemake.input.bias_inventory or None,
            },
            snakemake.input.bias or None,
            snakemake.input.flat,
            dict(snakemake.output.items()),
            snakemake.params.options,
            snakemake.threads,
        )
