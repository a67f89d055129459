"""What the frames of a light and those of its flat must agree in."""

from flatfield.files.errors import CalibrationError
from flatfield.files.fields import FIELDS, NOTE, REFUSE, action_of, distance, tolerance_of, value_to_compare
from flatfield.files.frame_table import used_frames
from flatfield.files.names import is_fits
from flatfield.files.tables import format_value

AGREEMENT_COLUMNS = ["frame", "quantity", "light", "flat", "agreement", "remark"]
#: What it says of frames that are not calibrated (`mismatch: exclude`).
LEFT_OUT = "left out"
#: What a table says of the action of a rule.
AGREEMENT = {REFUSE: "error", "warn": "warning", NOTE: "differs"}


def compare_light(lights, flats, darks, options, bias=()):
    """Rows of ``agreement.tsv``.

    Parameters
    ----------
    lights, flats, darks : list of FrameRecord
        Of the light, of its flat, and its dark frames (empty without any).
    options : dict
        guard (section of the configuration), mismatch, borrowed_bias (the bias is that of the flats), has_bias.
    bias : list of FrameRecord
        Its offset frames, or those of the flats.

    Returns
    -------
    list of dict
        frame, quantity, light, flat, agreement (same, differs, warning, error, left out, unknown), remark.

    Raises
    ------
    CalibrationError
        If a division would be wrong, unless ``mismatch`` allows it or leaves some of the frames out.
    """
    rows = [
        {"frame": light.file, **row}
        for light in lights
        for row in (compare(light, flats, darks, bias, options) if light.used else [_unread(light)])
    ]
    wrong = [row for row in rows if row["agreement"] == "error"]
    lost = {row["frame"] for row in rows if row["agreement"] in ("error", LEFT_OUT)}
    intolerable = {"error": bool(wrong), "exclude": len(lost) == len(lights), "allow": False}
    if wrong and intolerable[options["mismatch"]]:
        raise CalibrationError(f"light {wrong[0]['frame']}: {_sentence(wrong[0])}")
    for row in wrong if options["mismatch"] == "exclude" else ():
        row["agreement"] = LEFT_OUT
    return rows


def left_out(rows):
    """Why frames are left out, by their file, of the rows of ``agreement.tsv``."""
    reasons = {}
    for row in rows:
        if row["agreement"] == LEFT_OUT:
            values = [format_value(row[name]) for name in ("light", "flat") if row[name] is not None]
            words = f"{row['quantity']} {' against '.join(values)}: " if values else ""
            reasons.setdefault(row["frame"], words + row["remark"])
    return reasons


def _unread(light):
    return _row("file", None, None, LEFT_OUT, light.reason)


def _sentence(row):
    allow = "or set `mismatch: allow` to divide anyway"
    if row["quantity"] == "calibrated":
        return f"{row['remark']}; give the frame as it was recorded, {allow}"
    quantity, _, of = row["quantity"].partition(" of the ")
    light, other = (format_value(row[name]) for name in ("light", "flat"))
    return f"{quantity} is {light}, but {other} in its {of or 'flat'}: {row['remark']}; {REMEDIES[of]}, {allow}"


#: What to do where a light disagrees with its flat, dark or bias.
REMEDIES = {
    "": "name another flat in `lights`",
    "dark": "give darks of the light's settings",
    "bias": "give the light `bias` frames of its settings",
}


def compare(light, flats, darks, bias, options):
    """Rows of the table for one frame."""
    used, guard = used_frames(flats), options["guard"]
    rows = []
    for field in FIELDS:
        if field.light and _is_written(field, light, used[0]):
            rows.append(judge(field, field.light, light, nearest(field, field.light, light, used), guard))
    rows.append(row_of("white_dn", light.white_dn, used[0].white_dn, "warning", "another bit depth?"))
    subtracted = not set("BD") & set(light.calibrated or "")
    for name, frames, relation in (("bias", bias, "offset"), ("dark", darks, "dark")):
        for field in FIELDS if frames and subtracted else ():
            rule = getattr(field, relation)
            if rule and _is_written(field, light, used_frames(frames)[0]):
                row = judge(field, rule, light, used_frames(frames)[0], guard, f" of the {name}")
                rows.append(soften_iso(row) if options["borrowed_bias"] and field.name == "iso" else row)
    if darks:
        remark = (
            "the dark current is scaled by the exposures" if options["has_bias"] else "and there is no bias to scale it"
        )
        otherwise = "differs" if options["has_bias"] else "error"
        rows.append(
            row_of("exposure of the dark", light.exposure_s, used_frames(darks)[0].exposure_s, otherwise, remark)
        )
    return rows + judge_corrections(light, bool(bias or darks))


def _is_written(field, light, other):
    """Whether files of such a kind could have a field: raws have no cards, FITS files no tags."""
    known = getattr(light, field.name) is not None or getattr(other, field.name) is not None
    return known or not field.kind or bool(field.cards if is_fits(light.file) else field.tags)


def soften_iso(row):
    """The zero level of a camera for photographers depends little on ISO."""
    if row["agreement"] == "error":
        return row | {"agreement": "warning", "remark": "the bias of the flats was taken at another ISO"}
    return row


def nearest(field, rule, light, flats):
    """The flat that is nearest to a light in a field: the subsets of a set may differ in some."""
    own = value_to_compare(field, light)
    known = [flat for flat in flats if value_to_compare(field, flat) is not None]
    if own is None or not known:
        return known[0] if known else flats[0]
    return min(known, key=lambda flat: distance(rule, own, value_to_compare(field, flat)))


def judge(field, rule, light, other, guard, of=""):
    """A row for a field of a light, and of its flat, dark or bias."""
    own, its = value_to_compare(field, light), value_to_compare(field, other)
    shown = getattr(light, field.name), getattr(other, field.name)
    if own is None or its is None:
        both = None not in shown  # rows that both are put the right way round
        return row_of(field.name + of, *shown, "same" if both else "unknown", "")
    far = distance(rule, own, its)
    if far <= tolerance_of(rule, guard):
        return row_of(field.name + of, *shown, "differs", "")
    if field.name == "row_order":
        shown = own, its
    by = f"{far:.3g} % apart, " if rule.measure == "percent" and rule.tolerance in guard else ""
    return row_of(field.name + of, *shown, AGREEMENT[action_of(field, rule, light, other, guard)], by + rule.why)


def judge_corrections(light, has_offset):
    """Rows for what was done to a light before, and would be done again."""
    done = light.calibrated or ""
    if "F" in done:
        return [_row("calibrated", done, None, "error", "it was divided by a flat already")]
    if set("BD") & set(done) and has_offset:
        return [_row("calibrated", done, None, "differs", "its bias or dark was subtracted already, and is not again")]
    return []


def row_of(quantity, light, flat, otherwise, remark):
    """A row: `otherwise` says what it is where both are known and not the same."""
    if light is None or flat is None:
        return _row(quantity, light, flat, "unknown", "")
    same = light == flat
    return _row(quantity, light, flat, "same" if same else otherwise, "" if same else remark)


def _row(quantity, light, flat, agreement, remark):
    return {"quantity": quantity, "light": light, "flat": flat, "agreement": agreement, "remark": remark}
