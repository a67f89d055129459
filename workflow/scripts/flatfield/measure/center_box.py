"""The box `center` of all frames of a set: S/N of a frame, of their master, and of masters of fewer frames."""

import numpy as np

from flatfield.combine.methods import combine, scatter_of_master
from flatfield.measure import noise
from flatfield.measure.boxes import locate_box
from flatfield.measure.pairs import cut_channels


def measure_frames(inside):
    """S/N of a pixel of one frame in the box `center`, measured."""
    level, variance, count = (np.array(values, float) for values in zip(*inside, strict=True))
    mean, freedom = np.average(variance, weights=count), (count - 1).sum()
    if not mean > 0:
        return {}
    snr = float(level.mean() / np.sqrt(mean))
    return {"snr_frame": snr, "snr_frame_error": snr / np.sqrt(2 * freedom)}


class CenterBox:
    """Pixels of one channel in the box `center` of all frames, at one level, without their light source.

    A light source that is uneven turns with the camera, so that the frames of all subsets scatter by more than noise.
    Here each subset is divided by the plane in which its mean differs from that of all, so that noise alone is left.

    Parameters
    ----------
    index, channel : int, str
        Number and name of the channel.
    frames : dict
        `FrameRecord` of each used flat by file.
    seen : flatfield.measure.pairs.PairStatistics
    flat : Mosaic
        With mask.
    offset : float
        Variance that the master of the offset frames adds, DN^2.
    options : dict
        combine (section of the configuration), center (box).
    """

    def __init__(self, index, channel, frames, seen, flat, offset, options):
        self.options, self.offset = options["combine"], offset
        where = locate_box("center", options["center"], flat.shape)
        files = [file for file in frames if file in seen.boxes]
        levels = np.array([frames[file].levels_dn[channel] for file in files])
        self.lit = bool(len(files) and (levels > 0).all())
        self.good = cut_channels(flat.good, flat.cfa, where)[index]
        if not self.lit:
            return
        self.factors = levels.mean() / levels
        values = [seen.boxes[file][index] * np.float32(f) for file, f in zip(files, self.factors, strict=True)]
        inner = flat.cfa.shifted(where[0].start, where[1].start)
        rows, columns = (inner.pixels(each, index) for each in np.indices(flat.value[where].shape))
        terms = np.column_stack([np.ones(len(rows)), rows - rows.mean(), columns - columns.mean()])
        self.values = divide_planes(np.array(values), [frames[file].subset for file in files], terms)
        self.level = float(self.values.mean(dtype=np.float64))

    def snr_of_master(self):
        """S/N of a pixel of the master, from the scatter of the frames."""
        if not self.lit or len(self.values) < 2:
            return {}
        value, error = combine(self.values, self.options, self.factors)
        kept = self.good & np.isfinite(error)
        if not kept.any() or not (error[kept] > 0).any():
            return {}
        variance = error[kept].astype(np.float64) ** 2
        snr = float(value[kept].mean(dtype=np.float64) / np.sqrt(variance.mean() + self.offset))
        # the errors of pixels scatter themselves, from few frames the more
        spread = variance.std() / (variance.mean() + self.offset)
        return {"snr_master": snr, "snr_master_error": snr * float(spread) / 2 / np.sqrt(kept.sum())}


def divide_planes(values, subsets, terms):
    """Frames divided by what the mean of their subset differs from that of all, as a plane."""
    mean = values.mean(axis=0, dtype=np.float64)
    if len(set(subsets)) < 2 or len(mean) <= terms.shape[1] or not (mean > 0).all():
        return values
    result = values.copy()
    for subset in dict.fromkeys(subsets):
        members = np.array([each == subset for each in subsets])
        ratio = values[members].mean(axis=0, dtype=np.float64) / mean
        plane = terms @ np.linalg.lstsq(terms, ratio, rcond=None)[0]
        result[members] /= np.where(plane > 0, plane, 1).astype(np.float32)
    return result


def tabulate_depth(row, box, fit, options):
    """Noise against the number of frames, measured and predicted; fills in what `row` says of it."""
    combining = options["combine"]
    if not box.lit:
        row["reason"].append("noise against frames: a frame is not brighter than black")
        return []
    depth = noise.measure_depth(box.values, combining, box.factors)
    depth = [point for point in depth if point["noise_percent"] > 0]
    level = box.level
    one = None if fit is None or level <= 0 else 100 * np.sqrt(fit.variance_at(level)) / level
    if one is None and depth:
        one = depth[0]["noise_percent"]
    for point in depth:
        scatter = scatter_of_master(combining, point["frames"])
        point.update(predicted_percent=one * scatter, effective_frames=scatter**-2)
    row["depth_slope"], row["depth_slope_error"] = noise.fit_slope(depth)
    if one:
        bias, wanted = 100 * np.sqrt(box.offset) / level, options["wanted_error_percent"]
        row["snr_predicted"] = 100 / np.hypot(one * scatter_of_master(combining, len(box.values)), bias)
        if bias < wanted:
            row["frames_needed"] = noise.frames_needed(one, np.sqrt(wanted**2 - bias**2), combining)
        else:
            row["reason"].append(f"frames needed: the bias frames alone leave {bias:.2g} %; take more of them")
    return depth
