"""Tables of the report: heads in words, values with their errors and no more digits than these leave."""

import math

from flatfield.files.frame_table import used_frames
from flatfield.files.tables import NOT_DETERMINED, UNKNOWN, format_exposure, number_of

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


#: Units at the end of the names of columns, in words.
UNITS = {"percent": "%", "dn": "DN", "deg": "°", "s": "s", "e": "e-", "sigma": "errors"}
#: Columns of which ``error`` is the error, in the order in which they are looked for.
MEASURED = ("percent", "value", "size_percent")
#: What stands for a value that is not known.
DASH = "\N{EN DASH}"


def show_table(rows, columns=None):
    """A table for people: heads in words with units, values with their errors.

    Parameters
    ----------
    rows : list of dict
        Of a table, as text; or objects with attributes of these names.
    columns : list of str, optional
        All of the first row, where they are not given.

    Returns
    -------
    dict
        heads, a list of text; rows, for each a list of pairs of a text and what explains it (why a value is not known).

    Examples
    --------
    >>> show_table([{"rms_percent": "1.2345", "rms_error": "0.0321", "snr": "not determined", "reason": "dark"}])
    {'heads': ['rms, %', 'snr', 'reason'], 'rows': [[('1.23 ± 0.03', ''), ('\N{EN DASH}', 'dark'), ('dark', '')]]}
    >>> show_table([{"value": "-0.3", "error": "2"}])["rows"]
    [[('0 ± 2', '')]]
    """
    names = list(columns or (rows[0] if rows else []))
    errors = {measured: name for name in names if (measured := _measured_by(name, names))}
    kept = [name for name in names if name not in errors.values()]
    shown = []
    for row in rows:
        texts = row if isinstance(row, dict) else {name: getattr(row, name) for name in names}
        why = texts.get("reason") or texts.get("remark") or texts.get("evidence") or ""
        shown.append([_cell(texts[name], texts.get(errors.get(name)), why) for name in kept])
    return {"heads": [in_words(name) for name in kept], "rows": shown}


def _measured_by(name, names):
    """The column of which a column is the error, or None."""
    begin, _, end = name.rpartition("_")
    if end != "error":
        return None
    candidates = [begin, *(f"{begin}_{unit}" for unit in UNITS)] if begin else MEASURED
    return next((each for each in candidates if each in names), None)


def in_words(name):
    """The head of a column: ``rms, %`` for ``rms_percent``."""
    words, _, unit = name.rpartition("_")
    if words and unit in UNITS:
        return f"{words.replace('_', ' ')}, {UNITS[unit]}"
    return UNITS.get(name, name.replace("_", " "))


def _cell(value, error, why):
    if value is None or value in (UNKNOWN, NOT_DETERMINED):
        return DASH, why or "not known"
    try:
        number, uncertainty = float(value), number_of(error)
    except (TypeError, ValueError):
        return str(value), ""
    if uncertainty:
        digits = min(max(-math.floor(math.log10(uncertainty / 2)), 0), 6)  # one digit of the error, two from 10 to 19
        return f"{number:z.{digits}f} ± {uncertainty:.{digits}f}", ""  # z: no zero with a sign
    return round_number(value), ""


def round_number(text):
    """A number of a table with 3 significant digits, or as a whole; other text as it is."""
    try:
        number = float(text)
    except (TypeError, ValueError):
        return str(text)
    return f"{number:.0f}" if 100 <= abs(number) < 1e9 else f"{number:.3g}"


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
    return _cell(row[column], row[error] if error else None, "")[0]


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
