"""Tables of the report that are not those of the files: noise with its errors, inventories in one line."""

import math

from flatfield.files.frame_table import used_frames
from flatfield.files.tables import format_exposure, number_of

#: Columns of ``noise.tsv`` in words, with the column of their error, in the order of the report.
NOISE_WORDS = {
    "gain, e-/DN": ("gain_e_per_dn", "gain_error"),
    "read noise, e-": ("read_noise_e", "read_noise_error"),
    "pixel response (PRNU), %": ("prnu_percent", "prnu_error"),
    "shared with neighbouring pixels, % of the variance": ("covariance_percent", "covariance_error"),
    "saturation, DN": ("saturation_dn", None),
    "non-linearity at high level, %": ("nonlinearity_percent", "nonlinearity_error"),
    "left of the black level, DN": ("black_left_dn", "black_left_error"),
    "S/N of a pixel of one frame": ("snr_frame", "snr_frame_error"),
    "S/N of a pixel of the master": ("snr_master", "snr_master_error"),
    "the same, predicted": ("snr_predicted", None),
    "slope of log noise against log frames": ("depth_slope", "depth_slope_error"),
    "frames needed for the wanted error": ("frames_needed", None),
    "added to the noise of a light as bright as one flat, %": ("adds_to_light_percent", None),
    "pairs of frames measured": ("pairs", None),
}


def show_noise(rows):
    """``noise.tsv`` with a row a quantity and a column a channel, values with their errors.

    Parameters
    ----------
    rows : list of dict

    Returns
    -------
    list of dict
        quantity, and a text for each channel.
    """
    table = []
    for words, (column, error) in NOISE_WORDS.items():
        table.append({"quantity": words} | {row["channel"]: _with_error(row, column, error) for row in rows})
    return [*table, {"quantity": "not determined"} | {row["channel"]: row["reason"] or "-" for row in rows}]


def _with_error(row, column, error):
    value = number_of(row[column])
    if value is None:
        return row[column]
    uncertainty = number_of(row[error]) if error else None
    if not uncertainty:
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    digits = min(max(1 - math.floor(math.log10(uncertainty)), 0), 6)
    return f"{value:.{digits}f} ± {uncertainty:.{digits}f}"


def summarize_inventory(frames):
    """One line of a set for the report: frames, subsets, camera and settings, exclusions.

    Parameters
    ----------
    frames : list of FrameRecord

    Returns
    -------
    dict
        frames, used, subsets, camera, lens (or telescope), settings, size, time, unused (frames that are not used),
        kept (of those used although a test failed).
    """
    used = used_frames(frames)

    def span(name, show="{:g}".format):
        values = [getattr(frame, name) for frame in used if getattr(frame, name)]
        return " to ".join(dict.fromkeys((show(min(values)), show(max(values))))) if values else "unknown"

    times = sorted(frame.time for frame in used if frame.time)
    return {
        "frames": len(frames),
        "used": len(used),
        "subsets": ", ".join(dict.fromkeys(frame.subset for frame in used if frame.subset)),
        "camera": used[0].camera or "unknown",
        "lens": used[0].lens or used[0].telescope or "unknown",
        "settings": f"{span('exposure_s', format_exposure)}, ISO {span('iso')}, f/{span('aperture')}",
        "size": f"{used[0].size}, {used[0].cfa}",
        "time": " to ".join(dict.fromkeys((times[0], times[-1]))) if times else "unknown",
        "unused": [frame for frame in frames if not frame.used],
        "kept": [frame for frame in used if frame.reason],
    }
