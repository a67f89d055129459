"""Check that the frames of a light and those of its flat agree in what the division needs."""

from flatfield.files.errors import CalibrationError
from flatfield.files.frame_table import used_frames
from flatfield.files.job import logged_job
from flatfield.files.tables import number_of, read_table, write_table

COLUMNS = ["frame", "quantity", "light", "flat", "agreement", "remark"]
#: Quantities that must be the same, with the reason.
SAME = {
    "size": "pixels would not match",
    "cfa": "colours would be mixed up",
    "row_order": "the flat would be upside down",
    "camera": "another sensor has another pixel response",
    "body": "another sensor has another pixel response and other dust",
    "lens": "another lens has another vignetting",
    "filter": "another filter has another vignetting and dust",
}
#: Quantities that must be near, with the threshold in the configuration and what it is to be further apart.
NEAR = {
    "focal_length_mm": ("focal_length_percent", "error", "vignetting depends on the focal length"),
    "aperture": ("aperture_percent", "error", "vignetting depends on the aperture"),
    "distance_m": ("distance_percent", "warning", "vignetting depends a little on the focus"),
}


def main(light, flat, dark, agreement, options):
    """Write ``agreement.tsv``.

    Parameters
    ----------
    light, flat : str
        ``frames.tsv`` of the light, ``inspected.tsv`` of the set.
    dark : str or None
        ``dark.tsv`` of the light.
    agreement : str
        Table to write: frame, quantity, light, flat, agreement (same, differs, warning, error, unknown), remark.
    options : dict
        guard (section of the configuration), mismatch, borrowed_bias (the bias is that of the flats), has_bias.

    Raises
    ------
    CalibrationError
        If a division would be wrong, unless ``mismatch`` allows it.
    """
    reference = with_size(used_frames(read_table(flat))[0])
    dark_frame = read_table(dark)[0] if dark else None
    rows = []
    for frame in map(with_size, read_table(light)):
        rows += [{"frame": frame["file"], **row} for row in compare(frame, reference, dark_frame, options)]
    wrong = next((row for row in rows if row["agreement"] == "error"), None)
    if wrong and options["mismatch"] == "error":
        raise CalibrationError(
            f"light {wrong['frame']}: {wrong['quantity']} is {wrong['light']}, but {wrong['flat']} in its flat: "
            f"{wrong['remark']}; name another flat in `lights`, or set `mismatch: allow` to divide nevertheless"
        )
    write_table(agreement, rows, COLUMNS)


def with_size(row):
    return row | {"size": f"{row['rows']} x {row['columns']}"}


def compare(light, flat, dark, options):
    """Rows of the table for one frame."""
    rows = [judge_same(name, light[name], flat[name], why) for name, why in SAME.items()]
    rows += [judge_near(name, light, flat, options["guard"]) for name in NEAR]
    rows.append(judge_same("white_dn", light["white_dn"], flat["white_dn"], "another bit depth?", "warning"))
    why = "the bias of the flats was taken at another ISO" if options["borrowed_bias"] else ""
    rows.append(judge_same("iso", light["iso"], flat["iso"], why, "warning" if why else "differs"))
    if dark:
        remark = (
            "the dark current is scaled by the exposures" if options["has_bias"] else "and there is no bias to scale it"
        )
        kind = "differs" if options["has_bias"] else "error"
        rows.append(judge_same("exposure of the dark", light["exposure_s"], dark["exposure_s"], remark, kind))
        rows.append(judge_same("ISO of the dark", light["iso"], dark["iso"], "the dark is of another gain", "warning"))
    return rows


def judge_same(name, light, flat, why, otherwise="error"):
    """A row for a quantity that must be the same."""
    if light is None or flat is None:
        return row_of(name, light, flat, "unknown", "")
    equal = light == flat or (number(light) is not None and number(light) == number(flat))
    return row_of(name, light, flat, "same" if equal else otherwise, "" if equal else why)


def number(text):
    try:
        return float(text)
    except ValueError:
        return None


def judge_near(name, light, flat, guard):
    """A row for a quantity that may differ a little."""
    threshold, otherwise, why = NEAR[name]
    a, b = number_of(light[name]), number_of(flat[name])
    if a is None or b is None:
        return row_of(name, light[name], flat[name], "unknown", "")
    apart = 100 * abs(a - b) / b
    if apart <= guard[threshold]:
        return row_of(name, light[name], flat[name], "same" if a == b else "differs", "")
    return row_of(name, light[name], flat[name], otherwise, f"{apart:.3g} % apart, {why}")


def row_of(name, light, flat, agreement, remark):
    return {"quantity": name, "light": light, "flat": flat, "agreement": agreement, "remark": remark}


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.light,
            snakemake.input.flat,
            snakemake.input.dark or None,
            snakemake.output.agreement,
            snakemake.params.options,
        )
