"""Tables of the noise of a set: photon transfer (PTC), read noise, S/N, and noise against the number of frames."""

import numpy as np

from flatfield.files.names import is_fits
from flatfield.files.tables import mark_undetermined
from flatfield.measure.boxes import locate_box
from flatfield.measure.center_box import CenterBox, measure_frames, tabulate_depth
from flatfield.measure.common_noise import find_common_noise, join_tiles
from flatfield.measure.level_fit import describe_black, solve_blacks
from flatfield.measure.pairs import cut_channels
from flatfield.measure.photon_transfer import BENT, fit_photon_transfer, gain_and_read_noise
from flatfield.measure.pixel_response import mark_dust, measure_response
from flatfield.raw.decode import Reading

#: Standard deviations by which bias frames and flats must differ for a warning.
DISAGREEMENT = 5
#: Standard errors from which on a variance near saturation is not that expected from below.
NOT_LINEAR = 4.0
NOISE_COLUMNS = [
    *["channel", "pairs", "gain_e_per_dn", "gain_error", "read_noise_e", "read_noise_error", "prnu_percent"],
    *["prnu_error", "covariance_percent", "covariance_error", "saturation_dn", "nonlinearity_percent"],
    *["nonlinearity_error", "black_left_dn", "black_left_error", "snr_frame", "snr_frame_error"],
    *["snr_master", "snr_master_error", "snr_predicted", "depth_slope", "depth_slope_error", "wanted_error_percent"],
    *["frames_needed", "adds_to_light_percent", "reason"],
]
TRANSFER_COLUMNS = ["channel", "level_dn", "variance_dn2", "error_dn2", "fit_dn2", "fitted"]
DEPTH_COLUMNS = [
    *["channel", "frames", "effective_frames", "noise_percent", "noise_error_percent", "predicted_percent"]
]


def tabulate_noise(frames, seen, of_bias, flat, bias, levels, options):
    """Rows of ``noise.tsv``, ``photon_transfer.tsv`` and ``depth.tsv``.

    Parameters
    ----------
    frames : dict
        `FrameRecord` of each used flat by file.
    seen : flatfield.measure.pairs.PairStatistics
    of_bias : tuple
        Variances of the offset frames and why there are none, see `flatfield.measure.pairs.measure_offsets`.
    flat : Mosaic
        ``flat_cfa.fits``, with mask.
    bias : Mosaic or None
        Master of the offset frames, with error.
    levels : flatfield.measure.level_fit.LevelEvidence or None
        What frames of unequal level show of the black level.
    options : dict
        combine (section of the configuration), center (box), wanted_error_percent, reading.

    Returns
    -------
    noise, transfer, depth : list of dict
    """
    first = next(iter(frames.values()))
    known = bias or Reading.of(options["reading"]).overscan or not is_fits(first.file) or any(first.black_dn)
    options = options | {"has_black": bool(known)}
    read_variances, why_not = of_bias
    shared = None if bias is None else bias.error.astype(np.float32) ** 2
    where = locate_box("center", options["center"], flat.shape)
    offsets = [0.0] * 3 if shared is None else [each.mean() for each in cut_channels(shared, flat.cfa, where)]
    full = [full_signal(frames, channel) for channel in flat.cfa.channels]
    common, blacks = find_common_noise(seen.tiles, full, flat.cfa.period), solve_blacks(levels, full)
    clean = flat.good & ~mark_dust(seen.halves, flat.good, flat.cfa) if seen.halves else flat.good
    table, transfer, depth = [], [], []
    for index, channel in enumerate(flat.cfa.channels):
        box = CenterBox(index, channel, frames, seen, flat, float(offsets[index]), options)
        row, fit = measure_channel(index, channel, seen, frames, read_variances, common, options)
        points = tabulate_depth(row, box, fit, options)
        row.update(box.snr_of_master())
        prnu, prnu_error, why = None, None, "pixel response: one frame does not separate it from noise"
        if seen.halves:
            prnu, prnu_error, why = measure_response(seen.halves, shared, clean, flat.cfa, index)
        row.update(prnu_percent=prnu, prnu_error=prnu_error)
        if blacks[index] is not None:
            row.update(dict(zip(("black_left_dn", "black_left_error"), blacks[index], strict=True)))
        row["reason"] = "; ".join([*row["reason"], *filter(None, (why, why_not, describe_black(blacks[index])))])
        if row["snr_frame"] and row["snr_master"]:
            row["adds_to_light_percent"] = 100 * (np.hypot(1, row["snr_frame"] / row["snr_master"]) - 1)
        table.append(mark_undetermined(row))
        fitted = fit.points if fit else []
        transfer += [{"channel": channel, "fit_dn2": fit.variance_at(point["level_dn"]), **point} for point in fitted]
        depth += [{"channel": channel, **point} for point in points]
    return table, transfer, depth


def measure_channel(index, channel, seen, frames, read_variances, common, options):
    """A row of ``noise.tsv`` and the fit of photon transfer, or None, of one channel."""
    reasons = []
    row = dict.fromkeys(NOISE_COLUMNS) | {"channel": channel, "pairs": len(seen.tiles), "reason": reasons}
    row["wanted_error_percent"] = options["wanted_error_percent"]
    row["saturation_dn"] = saturation_of(frames, channel)
    if row["saturation_dn"] is None:
        reasons.append("saturation: no frame saturates")
    if not seen.tiles:
        reasons.append("gain and read noise: no two consecutive frames of a subset are at one level")
        fit = None
    else:
        fit = measure_transfer(row, index, seen, full_signal(frames, channel), read_variances, common)
        row.update(measure_frames([each[index] for each in seen.box_variances]))
    if not options["has_black"]:
        row.update(read_noise_e=None, read_noise_error=None)
        reasons.append("read noise: the black level is not known; give the set bias frames or overscan")
    return row, fit


def measure_transfer(row, index, seen, full, read_variances, common):
    """Fit photon transfer of one channel and fill in its part of `row`. The fit is that of a pixel's variance."""
    level, variance, count, covariance = join_tiles(seen.tiles, index)
    measured = read_variances and read_variances[index][:2]
    fit, why = fit_photon_transfer(level, variance, count, full, measured)
    if fit is None:
        row["reason"].append(f"gain and read noise: {why}")
        return None
    of_sum, of_bias = fit, measured
    row.update(covariance_percent=common.percent[index], covariance_error=common.error[index])
    if common.distances:
        total = covariance[:, common.distances].sum(axis=1)
        if measured:
            of_bias = (
                measured[0] + float(read_variances[index][2][:, common.distances].sum(axis=1).mean()),
                measured[1],
            )
        # the covariances add noise of their own to that of the variances
        spread = np.average((total / fit.variance_at(level) - common.sum_of(index)) ** 2 * count, weights=count)
        of_sum, _ = fit_photon_transfer(level, variance + total, count / (1 + spread / 2), full, of_bias)
        row["reason"].append(common.sentence)
        of_sum = of_sum or fit
    values, unknown = gain_and_read_noise(of_sum, fit, measured)
    if values["gain_error"]:
        values["gain_error"] = float(np.hypot(values["gain_error"], values["gain_e_per_dn"] * common.hidden))
    row.update(values, nonlinearity_percent=fit.nonlinearity_percent)
    row.update(nonlinearity_error=fit.nonlinearity_error_percent)
    row["reason"] += [*unknown, *describe_bend(of_sum, fit, full)]
    if measured:
        row["reason"] += read_noise_conflicts(level, variance, count, full, measured)
    return fit


def describe_bend(of_sum, fit, full):
    """Sentences on a variance that is no straight line."""
    found = []
    if full and of_sum.bend_sigma > BENT:
        size = of_sum.nonlinearity_of_response(full)
        found.append(
            f"the variance bends with the level ({of_sum.bend_sigma:.2g} sigma), like that of a sensor whose signal is "
            f"{-size:+.2g} % off a straight line at saturation; the gain given is that of faint light"
        )
    percent, error = fit.nonlinearity_percent, fit.nonlinearity_error_percent
    if percent is not None and abs(percent) > NOT_LINEAR * error:
        found.append(
            f"from 70 to 95 % of saturation the variance is {percent:+.2g} +- {error:.1g} % off that expected from "
            "below: flats so bright are not linear"
        )
    return found


def read_noise_conflicts(level, variance, count, full, measured):
    """Sentences on bias frames and flats that disagree on the read noise."""
    free, _ = fit_photon_transfer(level, variance, count, full)
    if free is None:
        return []
    error = float(np.hypot(measured[1], np.sqrt(free.covariance[0, 0])))
    if abs(free.intercept - measured[0]) <= DISAGREEMENT * error:
        return []
    return [
        f"read noise: the variance of bias frames is {measured[0]:.3g} DN^2, but flats lead to {free.intercept:.3g} at "
        "level 0"
    ]


def saturation_of(frames, channel):
    """Least level at which a channel saturates, DN; None where no frame does."""
    found = [frame.saturations_dn[channel] for frame in frames.values() if channel in frame.saturations_dn]
    return min(found) if found else None


def full_signal(frames, channel):
    """Signal of a channel at saturation, DN above black: measured, else as the camera says, else None."""
    first, measured = next(iter(frames.values())), saturation_of(frames, channel)
    white = first.white_dn if measured is None else measured
    return white and white - float(np.mean(first.black_dn))
