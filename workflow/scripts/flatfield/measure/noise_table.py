"""Tables of the noise of a set: photon transfer (PTC), read noise, S/N, and noise against the number of frames."""

import numpy as np

from flatfield.combine.methods import scatter_of_master
from flatfield.files.names import is_fits
from flatfield.files.tables import mark_undetermined
from flatfield.measure import noise
from flatfield.measure.boxes import locate_box
from flatfield.measure.pairs import cut_channels

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


def tabulate_noise(frames, seen, of_bias, flat, bias, options):
    """Rows of ``noise.tsv``, ``photon_transfer.tsv`` and ``depth.tsv``.

    Parameters
    ----------
    frames : dict
        `FrameRecord` of each used flat by file.
    seen : flatfield.measure.pairs.PairStatistics
    of_bias : tuple
        Variances of the offset frames and why there are none, see `flatfield.measure.pairs.measure_offsets`.
    flat : Mosaic
        ``flat_cfa.fits``, with error and mask.
    bias : Mosaic or None
        Master of the offset frames, with error.
    options : dict
        combine (section of the configuration), center (box), wanted_error_percent, overscan.

    Returns
    -------
    noise, transfer, depth : list of dict
    """
    first = next(iter(frames.values()))
    known = bias or options["overscan"] or not is_fits(first.file) or any(first.black_dn)
    options = options | {"has_black": bool(known)}
    read_variances, why_not = of_bias
    shared = np.zeros(flat.shape) if bias is None else bias.error.astype(np.float64) ** 2
    where = locate_box("center", options["center"], flat.shape)
    table, transfer, depth = [], [], []
    for index, channel in enumerate(flat.cfa.channels):
        offset = float(np.mean(cut_channels(shared, flat.cfa, where)[index]))
        row, fit, points = measure_channel(index, channel, seen, frames, read_variances, offset, options)
        variance = flat.error.astype(np.float64) ** 2
        if fit:  # without what turned with the camera, which the scatter of all frames holds
            scatter = scatter_of_master(options["combine"], len(frames))
            variance = np.maximum(fit.intercept + fit.slope * flat.value, 0) * scatter**2 + shared
        prnu, prnu_error, why = noise.measure_response(flat.value, variance, flat.good, flat.cfa, index)
        row.update(prnu_percent=prnu, prnu_error=prnu_error)
        row.update(snr_of_master(flat, index, options["center"]))
        row["reason"] = "; ".join([*row["reason"], *filter(None, (why, why_not))])
        if row["snr_frame"] and row["snr_master"]:
            row["adds_to_light_percent"] = 100 * (np.hypot(1, row["snr_frame"] / row["snr_master"]) - 1)
        table.append(mark_undetermined(row))
        fitted = fit.points if fit else []
        transfer += [{"channel": channel, "fit_dn2": fit.variance_at(point["level_dn"]), **point} for point in fitted]
        depth += [{"channel": channel, **point} for point in points]
    return table, transfer, depth


def measure_channel(index, channel, seen, frames, read_variances, offset, options):
    """A row of ``noise.tsv``, the fit of photon transfer or None, and rows of ``depth.tsv``, of one channel.

    `offset` is the variance that the master of the offset frames adds in the box, DN^2.
    """
    reasons = []
    row = dict.fromkeys(NOISE_COLUMNS) | {"channel": channel, "pairs": len(seen.tiles), "reason": reasons}
    row["wanted_error_percent"] = options["wanted_error_percent"]
    saturations = [frame.saturation_dn for frame in frames.values() if frame.saturation_dn]
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
        full = full_signal(frames, saturations)
        fit, why = noise.fit_photon_transfer(level, variance, count, full, measured)
        if fit is None:
            reasons.append(f"gain and read noise: {why}")
        else:
            values, unknown = noise.gain_and_read_noise(fit, measured)
            row.update(values, nonlinearity_percent=fit.nonlinearity_percent)
            row.update(nonlinearity_error=fit.nonlinearity_error_percent)
            reasons += unknown + (read_noise_conflicts(level, variance, count, full, measured) if measured else [])
        row.update(measure_frames([each[index] for each in seen.box_variances]))
    else:
        reasons.append("gain and read noise: no two consecutive frames of a subset are at one level")
    if not options["has_black"]:
        row.update(read_noise_e=None, read_noise_error=None)
        reasons.append("read noise: the black level is not known; give the set bias frames or overscan")
    return row, fit, tabulate_depth(row, index, channel, seen, frames, fit, offset, options)


def read_noise_conflicts(level, variance, count, full, measured):
    """Sentences on bias frames and flats that disagree on the read noise."""
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


def full_signal(frames, saturations):
    """Signal at saturation, DN above black: measured, or as the camera says; None where neither is known."""
    first = next(iter(frames.values()))
    white = min(saturations) if saturations else first.white_dn
    return white and white - np.mean(first.black_dn)


def measure_frames(inside):
    """S/N of a pixel of one frame in the box `center`, measured."""
    level, variance, count = (np.array(values, float) for values in zip(*inside, strict=True))
    mean, freedom = np.average(variance, weights=count), (count - 1).sum()
    if not mean > 0:
        return {}
    snr = float(level.mean() / np.sqrt(mean))
    return {"snr_frame": snr, "snr_frame_error": snr / np.sqrt(2 * freedom)}


def tabulate_depth(row, index, channel, seen, frames, fit, offset, options):
    """Noise against the number of frames, measured and predicted; fills in what `row` says of it."""
    combine = options["combine"]
    files = [file for file in frames if file in seen.boxes]
    levels = np.array([frames[file].levels_dn[channel] for file in files])
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


def snr_of_master(flat, index, center):
    """S/N of a pixel of the master in the box `center`, from its standard error."""
    where = locate_box("center", center, flat.shape)
    values, errors, kept = (
        cut_channels(image, flat.cfa, where)[index] for image in (flat.value, flat.error, flat.good)
    )
    kept = kept & np.isfinite(errors)
    if not kept.any() or not (errors[kept] > 0).any():
        return {}
    snr = float(values[kept].mean() / np.sqrt(np.mean(errors[kept].astype(np.float64) ** 2)))
    # the errors of pixels scatter themselves, from few frames the more
    spread = np.std(errors[kept].astype(np.float64) ** 2) / np.mean(errors[kept].astype(np.float64) ** 2)
    return {"snr_master": snr, "snr_master_error": snr * float(spread) / 2 / np.sqrt(kept.sum())}
