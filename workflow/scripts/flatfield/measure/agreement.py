"""What the frames of a light and those of its flat must agree in."""

from flatfield.files.errors import CalibrationError
from flatfield.files.frame_table import used_frames
from flatfield.files.tables import format_value

AGREEMENT_COLUMNS = ["frame", "quantity", "light", "flat", "agreement", "remark"]
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


def compare_light(lights, flats, darks, options):
    """Rows of ``agreement.tsv``.

    Parameters
    ----------
    lights, flats, darks : list of FrameRecord
        Of the light, of its flat, and its dark frames (empty without any).
    options : dict
        guard (section of the configuration), mismatch, borrowed_bias (the bias is that of the flats), has_bias.

    Returns
    -------
    list of dict
        frame, quantity, light, flat, agreement (same, differs, warning, error, unknown), remark.

    Raises
    ------
    CalibrationError
        If a division would be wrong, unless ``mismatch`` allows it.
    """
    flat, dark = used_frames(flats)[0], darks[0] if darks else None
    rows = [{"frame": light.file, **row} for light in lights for row in compare(light, flat, dark, options)]
    wrong = next((row for row in rows if row["agreement"] == "error"), None)
    if wrong and options["mismatch"] == "error":
        light, other = (format_value(wrong[name]) for name in ("light", "flat"))
        raise CalibrationError(
            f"light {wrong['frame']}: {wrong['quantity']} is {light}, but {other} in its flat: "
            f"{wrong['remark']}; name another flat in `lights`, or set `mismatch: allow` to divide nevertheless"
        )
    return rows


def compare(light, flat, dark, options):
    """Rows of the table for one frame."""
    rows = [judge_same(name, getattr(light, name), getattr(flat, name), why) for name, why in SAME.items()]
    rows += [judge_near(name, getattr(light, name), getattr(flat, name), options["guard"]) for name in NEAR]
    rows.append(judge_same("white_dn", light.white_dn, flat.white_dn, "another bit depth?", "warning"))
    why = "the bias of the flats was taken at another ISO" if options["borrowed_bias"] else ""
    rows.append(judge_same("iso", light.iso, flat.iso, why, "warning" if why else "differs"))
    if dark:
        remark = (
            "the dark current is scaled by the exposures" if options["has_bias"] else "and there is no bias to scale it"
        )
        kind = "differs" if options["has_bias"] else "error"
        rows.append(judge_same("exposure of the dark", light.exposure_s, dark.exposure_s, remark, kind))
        rows.append(judge_same("ISO of the dark", light.iso, dark.iso, "the dark is of another gain", "warning"))
    return rows


def judge_same(name, light, flat, why, otherwise="error"):
    """A row for a quantity that must be the same."""
    if light is None or flat is None:
        return row_of(name, light, flat, "unknown", "")
    same = light == flat
    return row_of(name, light, flat, "same" if same else otherwise, "" if same else why)


def judge_near(name, light, flat, guard):
    """A row for a quantity that may differ a little."""
    threshold, otherwise, why = NEAR[name]
    if light is None or flat is None:
        return row_of(name, light, flat, "unknown", "")
    apart = 100 * abs(light - flat) / flat
    if apart <= guard[threshold]:
        return row_of(name, light, flat, "same" if light == flat else "differs", "")
    return row_of(name, light, flat, otherwise, f"{apart:.3g} % apart, {why}")


def row_of(name, light, flat, agreement, remark):
    return {"quantity": name, "light": light, "flat": flat, "agreement": agreement, "remark": remark}
