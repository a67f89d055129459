"""What a header says about a frame: one table of fields, where each is read, and what must agree with what.

The readers of metadata, the checks of sets, offsets and lights, `make init`, the headers of products and docs/tables.md
all take their fields from `FIELDS`.
"""

from dataclasses import dataclass

#: What happens where two frames differ in a field: refused (or set apart), a warning, or a note in a table.
REFUSE, WARN, NOTE = "refuse", "warn", "note"
#: How far apart two values are: not at all, in percent of the second, in the unit of the field, on the circle.
EQUAL, PERCENT, ABSOLUTE, CIRCLE = "equal", "percent", "absolute", "circle"
#: What is compared with what: flats with each other; flats or lights with their bias frames or flat-darks, and these
#: with each other; lights with their darks, and these with each other; lights with their flat.
RELATIONS = ("flats", "offset", "dark", "light")


@dataclass(frozen=True)
class Rule:
    """What must agree.

    Attributes
    ----------
    action : {"refuse", "warn", "note"}
    why : str
        What a disagreement means.
    measure : {"equal", "percent", "absolute", "circle"}
    tolerance : float or str
        In the unit of the measure; or the key of the section ``guard`` of the configuration that has it.
    """

    action: str
    why: str = ""
    measure: str = EQUAL
    tolerance: float | str = 0.0


@dataclass(frozen=True)
class Field:
    """A field of the tables of frames.

    Attributes
    ----------
    name : str
        Column of the tables, with its unit.
    words : str
        What it is called in messages.
    kind : str
        How its text is read, see `flatfield.raw.metadata`; empty for what the pixels show.
    cards, tags : tuple of str
        FITS cards and EXIF tags; the first that is known counts.
    card, comment : str
        Card of products that carries it on; empty for none.
    flats, offset, dark, light : Rule or None
        What must agree, by the relation; see `RELATIONS`.
    unless : str
        Another field: where both frames have it and agree in it, a refusal becomes a warning.
    """

    name: str
    words: str
    kind: str = ""
    cards: tuple = ()
    tags: tuple = ()
    card: str = ""
    comment: str = ""
    flats: Rule | None = None
    offset: Rule | None = None
    dark: Rule | None = None
    light: Rule | None = None
    unless: str = ""

    @property
    def attribute(self):
        """Name of the attribute of `flatfield.raw.metadata.Metadata`."""
        return ATTRIBUTES.get(self.name, self.name)


#: Attributes of the metadata that are not named as their column.
ATTRIBUTES = {
    "distance_m": "distance",
    "focal_length_mm": "focal_length",
    "exposure_s": "exposure",
    "egain_e_per_dn": "egain",
    "temperature_c": "temperature",
    "rotator_deg": "rotator",
}


def _all(why):
    rule = Rule(REFUSE, why)
    return dict.fromkeys(RELATIONS, rule)


def _readout(why, measure=EQUAL, tolerance=0.0):
    """Rules of what changes the zero level and the scale of the numbers."""
    rule = Rule(REFUSE, why, measure, tolerance)
    light = Rule(WARN, "pixels respond slightly differently, and the zero level differs", measure, tolerance)
    return {"flats": rule, "offset": rule, "dark": rule, "light": light}


_BITS = Rule(REFUSE, "the numbers have another scale")
FIELDS = (
    Field("size", "the size", **_all("pixels would not match")),
    Field(
        "cfa",
        "the colour pattern",
        **(_all("colours would be mixed up") | {"offset": None, "dark": None}),
    ),
    Field("row_order", "the order of the rows", "rows", ("ROWORDER",), **_all("one would be upside down")),
    Field("maker", "the maker", "text", (), ("Make",)),
    Field(
        "camera",
        "the camera",
        "text",
        ("INSTRUME", "DETECTOR", "CAMERA"),
        ("Model",),
        "INSTRUME",
        "camera",
        **_all("another sensor has another pixel response"),
    ),
    Field(
        "body",
        "the camera's body (by its serial number)",
        "digest",
        ("SERIALNO", "CAMSERNO", "SERIAL"),
        ("BodySerialNumber", "CameraSerialNumber"),
        **_all("another sensor has another pixel response and other dust"),
    ),
    Field(
        "lens",
        "the lens",
        "text",
        ("LENS",),
        ("LensModel",),
        "TELESCOP",
        "lens or telescope",
        flats=Rule(REFUSE),
        light=Rule(REFUSE, "another lens has another vignetting"),
    ),
    Field(
        "telescope",
        "the telescope",
        "text",
        ("TELESCOP",),
        (),
        "TELESCOP",
        "lens or telescope",
        flats=Rule(REFUSE),
        light=Rule(REFUSE, "another telescope has another vignetting; some programs record the mount here"),
        unless="focal_length_mm",
    ),
    Field(
        "filter",
        "the filter",
        "filter",
        ("FILTER", "FILTNAME", "FILTNAM", "FILTER1", "FILTER2", "FILTER3", "INSFILTE", "FILTERID"),
        (),
        "FILTER",
        "filter",
        flats=Rule(REFUSE),
        light=Rule(REFUSE, "another filter has another vignetting and dust"),
    ),
    Field(
        "distance_m",
        "the focus distance (m)",
        "positive",
        (),
        ("SubjectDistance",),
        light=Rule(WARN, "vignetting depends a little on the focus", PERCENT, "distance_percent"),
    ),
    Field("orientation", "how the camera was held", "orientation", (), ("Orientation",)),
    Field(
        "focal_length_mm",
        "the focal length (mm)",
        "positive",
        ("FOCALLEN", "FOCAL"),
        ("FocalLength",),
        "FOCALLEN",
        "[mm] focal length",
        flats=Rule(REFUSE, "", PERCENT, "focal_length_percent"),
        light=Rule(REFUSE, "vignetting depends on the focal length", PERCENT, "focal_length_percent"),
    ),
    Field(
        "aperture",
        "the aperture f/",
        "aperture",
        ("FOCRATIO", "APERTURE"),
        ("FNumber",),
        "APERTURE",
        "f-number",
        flats=Rule(REFUSE, "", PERCENT, "aperture_percent"),
        light=Rule(REFUSE, "vignetting depends on the aperture", PERCENT, "aperture_percent"),
    ),
    Field(
        "iso",
        "ISO",
        "iso",
        ("ISOSPEED", "ISO"),
        ("ISOSpeedRatings", "PhotographicSensitivity"),
        "ISOSPEED",
        "ISO speed",
        flats=Rule(REFUSE),
        offset=Rule(REFUSE, "the zero level depends on the gain"),
        dark=Rule(WARN, "the dark has another gain"),
        light=Rule(NOTE),
    ),
    Field("exposure_s", "the exposure (s)", "exposure", ("EXPTIME", "EXPOSURE"), ("ExposureTime",)),
    Field(
        "gain",
        "the gain setting",
        "number",
        ("GAIN",),
        (),
        "GAIN",
        "gain setting of the camera",
        **_readout("the zero level and the scale depend on the gain", PERCENT, 0.1),
    ),
    Field(
        "offset",
        "the offset setting",
        "number",
        ("OFFSET", "BLKLEVEL"),
        (),
        "OFFSET",
        "offset setting of the camera",
        **_readout("it is the zero level"),
    ),
    Field(
        "egain_e_per_dn",
        "the gain (e-/DN)",
        "positive",
        ("EGAIN",),
        (),
        "EGAIN",
        "[e-/DN] as the driver says",
        **_readout("the zero level and the scale depend on the gain", PERCENT, 1.0),
        unless="gain",
    ),
    Field(
        "readout_mode",
        "the readout mode",
        "text",
        ("READOUTM", "READMODE"),
        (),
        "READOUTM",
        "readout mode",
        **_readout("the zero level and the scale depend on it"),
    ),
    Field(
        "binning",
        "the binning",
        "binning",
        ("XBINNING", "YBINNING", "CCDXBIN", "CCDYBIN", "XBIN", "YBIN", "CCDSUM", "BINNING"),
        (),
        **_all("pixels would not match"),
    ),
    Field(
        "temperature_c",
        "the temperature (degrees C)",
        "number",
        ("CCD-TEMP", "CCDTEMP", "CCD_TEMP", "DET-TEMP", "DETTEMP", "SENSTEMP", "SET-TEMP"),
        (),
        "CCD-TEMP",
        "[deg C] of the sensor, median",
        dark=Rule(REFUSE, "dark current doubles every 6 degrees", ABSOLUTE, 2.0),
    ),
    Field(
        "rotator_deg",
        "the angle of the rotator (degrees)",
        "number",
        ("ROTATANG", "ROTATOR", "ROTANG", "ROTANGLE"),
        (),
        light=Rule(WARN, "vignetting and dust of the telescope turn with the rotator", CIRCLE, 1.0),
    ),
    Field(
        "focus_position",
        "the position of the focuser",
        "number",
        ("FOCUSPOS", "FOCPOS"),
        (),
        light=Rule(NOTE),
    ),
    Field("pier_side", "the side of the pier", "text", ("PIERSIDE",), (), light=Rule(NOTE)),
    Field("bits", "the bit depth", "", ("DATAMAX", "SATURATE"), (), flats=_BITS, offset=_BITS, dark=_BITS),
    Field(
        "combined",
        "the number of frames it is made from",
        "count",
        ("NCOMBINE", "STACKCNT", "SNAPSHOT", "FLAT_CNT", "DARK_CNT", "BIAS_CNT", "LIGH_CNT"),
    ),
    Field(
        "calibrated",
        "what was corrected before",
        "calibrated",
        ("CALSTAT", "ZEROCOR", "DARKCOR", "FLATCOR", "FLATFILE"),
    ),
)
BY_NAME = {field.name: field for field in FIELDS}


def value_to_compare(field, record):
    """Value of a field of a frame for a comparison; None where it is not known.

    Rows are put the right way round where a header names their order. One that says BOTTOM-UP and one that says nothing
    do not agree; others do.
    """
    if field.name == "row_order":
        return {"BOTTOM-UP": "BOTTOM-UP", "TOP-DOWN": None}.get(record.row_order, "not said")
    return getattr(record, field.name)


def apart(rule, one, other, guard=None):
    """How far apart two values are beyond what a rule allows.

    Parameters
    ----------
    rule : Rule
    one, other : float or str
    guard : dict, optional
        Section of the configuration; its defaults without.

    Returns
    -------
    bool
    """
    return distance(rule, one, other) > tolerance_of(rule, guard)


#: Defaults of the section ``guard``, for where there is no configuration yet.
GUARD = {"focal_length_percent": 2.0, "aperture_percent": 5.0, "distance_percent": 30.0}


def tolerance_of(rule, guard=None):
    """Tolerance of a rule as a number."""
    return (guard or GUARD)[rule.tolerance] if isinstance(rule.tolerance, str) else rule.tolerance


def distance(rule, one, other):
    """Distance of two values in the measure of a rule; 0 or infinity for what must be equal.

    Examples
    --------
    >>> distance(Rule(REFUSE, "", CIRCLE), 359.5, 0.5), distance(Rule(REFUSE, "", PERCENT), 384.0, 383.0) < 0.3
    (1.0, True)
    """
    if one == other:
        return 0.0
    if rule.measure == EQUAL:
        return float("inf")
    if rule.measure == CIRCLE:
        turn = abs(one - other) % 360
        return min(turn, 360 - turn)
    if rule.measure == PERCENT:
        return 100 * abs(one - other) / abs(other) if other else float("inf")
    return abs(one - other)


def describe_differences(one, other, relation, guard=None, actions=(REFUSE,)):
    """Fields in which two frames differ more than a relation allows.

    Parameters
    ----------
    one, other : object
        With the fields as attributes, such as a `FrameRecord`.
    relation : {"flats", "offset", "dark", "light"}
    guard : dict, optional
    actions : tuple of str
        What counts.

    Returns
    -------
    list of tuple
        Field, value of `one`, value of `other`. What is unknown in one of both does not count: it is neither the same
        nor another.
    """
    found = []
    for field in FIELDS:
        rule = getattr(field, relation)
        if rule is None:
            continue
        values = value_to_compare(field, one), value_to_compare(field, other)
        if None in values or not apart(rule, *values, guard):
            continue
        if action_of(field, rule, one, other, guard) in actions:
            found.append((field, *values))
    return found


def action_of(field, rule, one, other, guard=None):
    """What happens where two frames differ in a field: a refusal is a warning where another field clears it."""
    if rule.action != REFUSE or not field.unless:
        return rule.action
    judge = BY_NAME[field.unless]
    own, others = getattr(one, judge.name), getattr(other, judge.name)
    cleared = None not in (own, others) and not apart(judge.light or judge.flats, own, others, guard)
    return WARN if cleared else REFUSE


def show(value):
    """Text of a value in a message."""
    return value if isinstance(value, str) else f"{value:g}"


#: How docs/tables.md names the measures of rules.
_MEASURES = {PERCENT: "{} %", ABSOLUTE: "{}", CIRCLE: "{} degrees"}


def table_of_fields():
    """Lines of the table of fields in docs/tables.md.

    Examples
    --------
    >>> table_of_fields()[2].startswith("| `size` |")
    True
    """
    lines = [
        "| field | FITS cards; EXIF tags | flats | bias | darks | light and flat |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for field in FIELDS:
        read = "; ".join(", ".join(f"`{name}`" for name in names) for names in (field.cards, field.tags) if names)
        rules = " | ".join(_words_of(getattr(field, relation)) for relation in RELATIONS)
        lines.append(f"| `{field.name}` | {read} | {rules} |")
    return lines


def _words_of(rule):
    if rule is None:
        return ""
    tolerance = f"`guard.{rule.tolerance}`" if isinstance(rule.tolerance, str) else f"{rule.tolerance:g}"
    within = _MEASURES[rule.measure].format(tolerance) if rule.measure in _MEASURES else ""
    if isinstance(rule.tolerance, str):
        within = tolerance
    return f"{rule.action} beyond {within}" if within else rule.action
