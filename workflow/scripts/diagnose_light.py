"""Find out why a light is not even after the division by its flat."""

from itertools import pairwise

import numpy as np
from flatfield.measure import diagnosis
from flatfield.raw.cfa import CHANNELS, ColorFilterArray
from flatfield.combine.demosaicing import develop_picture
from flatfield.files.errors import CalibrationError
from flatfield.raw.decode import black_beside_bias, read_frame, read_picture, signal
from flatfield.files.job import logged_job
from flatfield.measure.light import read_offset
from flatfield.report.plotting import plot_diagnosis
from flatfield.files.fits import read_image
from flatfield.files.frame_table import find_inspected
from flatfield.files.tables import NOT_DETERMINED, read_table, write_table
from flatfield.measure.tiles import Tiles, measure_mean, measure_sky, tile_positions

COLUMNS = ["cause", "meaning", "verdict", "size_percent", "error_percent", "evidence"]
FALLOFF_COLUMNS = ["channel", "stage", "place", "radius", "level", "error", "ratio", "ratio_error", "ev", "ev_error"]
#: Rings of the radial profile.
RINGS = 10
#: Part of the sides of a frame that picture and flat may differ by, as raw converters cut borders.
CROP = 0.02


def main(frame, file, inventory, flat, sources, offsets, products, options, overscan, name):
    """Write the diagnosis of a light.

    Parameters
    ----------
    frame : str
        Raw frame, or a picture (JPEG, PNG, TIFF).
    file : str
        Its name in the inventory.
    inventory : str or None
        ``frames.tsv`` of the light; pictures have none.
    flat : str
        Mosaic that lights are divided by.
    sources : list of str
        ``flat_cfa.fits``, ``response.fits`` and ``illumination_tests.tsv`` of the set.
    offsets : dict
        bias, dark, dark_inventory: files, or None.
    products : dict
        Files to write: diagnosis (table, a row a cause), falloff (table: centre against other places), plot (PNG).
    options : dict
        kind (linear: raw signal; picture: what LibRaw makes of it by default; file: the frame is a picture),
        flat_kind.
    overscan : bool
    name : str
        For the title.
    """
    master, header = read_image(flat)
    cfa = ColorFilterArray.from_name(header.get("BAYERPAT", "MONO"))
    planes, good, own_cfa = read_light(frame, cfa, offsets, options["kind"], overscan)
    if inventory:
        find_inspected(frame, file, inventory)
    check_shape(frame, planes.shape[-2:], master.shape)
    known = np.isfinite(master) & (master > 0)
    flat_level, flat_error = measure_mean(master, known, cfa)
    middle = [slice(length // 2 - 1, length // 2 + 1) for length in flat_level.shape[1:]]
    norm = np.nanmean(flat_level[:, *middle], axis=(1, 2))[:, None, None]
    level, error = measure_sky(planes, good, own_cfa)
    flats, errors = flat_level / norm, flat_error / norm
    if len(level) != len(flats):
        flats, errors = (np.repeat(each.mean(axis=0, keepdims=True), len(level), axis=0) for each in (flats, errors))
    source, remark = read_source(sources, options["flat_kind"], known, cfa)
    if source is not None and len(source) != len(level):
        source = np.repeat(source.mean(axis=0, keepdims=True), len(level), axis=0)
    relative = np.hypot(error, level * errors / flats)
    x, y = tile_positions(planes.shape[-2:])
    tiles = Tiles(x, y, level, relative, flats, source)
    doctor = diagnosis.Doctor(tiles, is_picture=options["kind"] != "linear")
    found = doctor.diagnose()
    if found["flat not flat"] is None:
        found["flat not flat"] = judge_hidden(found, remark)
    rows = [describe(cause, found[cause]) for cause in diagnosis.CAUSES]
    write_table(products["diagnosis"], rows, COLUMNS)
    channels = CHANNELS if len(level) == 3 else ("MONO",)
    stages = {"light": (level, error), "flat": (flats, errors)}
    stages["result"] = level / flats, relative / flats
    write_table(products["falloff"], describe_falloff(stages, tiles, channels), FALLOFF_COLUMNS)
    verdicts = (diagnosis.SUPPORTED, diagnosis.OPEN, diagnosis.EXCLUDED)
    causes = {each: [cause for cause in diagnosis.CAUSES if found[cause]["verdict"] == each] for each in verdicts}
    words = [f"{verdict}: {', '.join(names)}" for verdict, names in causes.items() if names]
    unit = "DN above black" if options["kind"] == "linear" else "8-bit value"
    plot_diagnosis(products["plot"], name, tiles, channels, doctor.known, words, unit)


def read_light(frame, cfa, offsets, kind, overscan):
    """Signal of a light, the pixels that count, and its colour pattern (None for planes of a picture)."""
    if kind != "linear":
        planes = (develop_picture(frame) if kind == "picture" else read_picture(frame)).astype(np.float32)
        return planes, ((planes > 0) & (planes < 250)).all(axis=0), None
    light = read_frame(frame, overscan)
    offset, _ = read_offset(offsets["bias"], offsets["dark"], offsets["dark_inventory"], light.metadata.exposure)
    black = black_beside_bias(light.black, offset is not None, overscan)
    top = float(light.mosaic.max()) if light.white is None else light.white
    return signal(light.mosaic[None], black[None], light.cfa, offset)[0], light.mosaic < top, light.cfa


def check_shape(frame, shape, flat_shape):
    """A picture may be of another size than the flat, but not of another form."""
    ratios = [rows / columns for rows, columns in (shape, flat_shape)]
    if abs(ratios[0] / ratios[1] - 1) > CROP:
        raise CalibrationError(
            f"light {frame} is {shape[0]} x {shape[1]} pixels and its flat {flat_shape[0]} x {flat_shape[1]}: it was "
            "cropped or turned; take the whole picture, as the sensor lies"
        )


def read_source(sources, flat_kind, known, cfa):
    """ln of the light source that the flat holds, in tiles; None, and why, where that is not known."""
    flat, response, tests = sources
    verdicts = {row["test"]: row for row in read_table(tests)}
    if "solvable" in verdicts or verdicts["angles"]["verdict"] != "as given":
        return None, "the rotations of the subsets do not tell the light source of the flat"
    if flat_kind == "response":
        return None, "the light source was divided out as far as the rotations of the subsets tell it"
    ratio = read_image(flat)[0] / read_image(response)[0]
    return np.log(measure_mean(ratio, known & np.isfinite(ratio), cfa)[0]), ""


def judge_hidden(found, remark):
    """Verdict on the part of the flat's light source that no rotation tells."""
    open_ = diagnosis.OPEN
    other = [cause for cause in diagnosis.CAUSES if found[cause] and found[cause]["verdict"] != diagnosis.EXCLUDED]
    if other or "_best" not in found or found["_best"].causes:
        text = f"{remark}; a part that depends on the distance from the centre alone would look like other causes"
        return {"verdict": open_, "size_percent": None, "error_percent": None, "evidence": text}
    left = found["_left_percent"]
    verdict = diagnosis.EXCLUDED if left < diagnosis.NEGLIGIBLE else open_
    text = f"{remark}; the sky follows the flat within {left:.2g} % rms"
    return {"verdict": verdict, "size_percent": left, "error_percent": None, "evidence": text}


def describe(cause, found):
    """A row of the table."""
    numbers = {
        name: NOT_DETERMINED if found[name] is None else found[name] for name in ("size_percent", "error_percent")
    }
    row = {"cause": cause, "meaning": diagnosis.CAUSES[cause], "verdict": found["verdict"], **numbers}
    return row | {"evidence": found["evidence"]}


def describe_falloff(stages, tiles, channels):
    """Levels of boxes and rings, and centre over level as a ratio and in EV (log2), with errors."""
    radius = np.hypot(tiles.x, tiles.y[:, None])
    middle = tuple(slice(length // 2 - 1, length // 2 + 1) for length in radius.shape)
    places = {"centre": middle}
    for name, down in (("top", slice(0, 2)), ("bottom", slice(-2, None))):
        for side, across in (("left", slice(0, 2)), ("right", slice(-2, None))):
            places[f"{name} {side}"] = (down, across)
    places |= {"top": (slice(0, 2), middle[1]), "bottom": (slice(-2, None), middle[1])}
    places |= {"left": (middle[0], slice(0, 2)), "right": (middle[0], slice(-2, None))}
    edges = np.linspace(0, radius.max() + 1e-9, RINGS + 1)
    for inner, outer in pairwise(edges):
        places[f"ring {inner:.2f} to {outer:.2f}"] = (radius >= inner) & (radius < outer)
    rows = []
    for stage, (levels, errors) in stages.items():
        for channel, level, error in zip(channels, levels, errors, strict=True):
            centre = mean_of(level[middle], error[middle])
            for place, where in places.items():
                own = mean_of(level[where], error[where])
                rows.append({"channel": channel, "stage": stage, "place": place, **ratio_of(centre, own)})
                rows[-1]["radius"] = float(np.mean(radius[where])) if radius[where].size else None
    return rows


def mean_of(levels, errors):
    """Mean of tiles and its error; None where there is none."""
    known = np.isfinite(levels) & np.isfinite(errors)
    if not known.any():
        return None
    return float(levels[known].mean()), float(np.sqrt((errors[known] ** 2).sum()) / known.sum())


def ratio_of(centre, own):
    """Fields of a place."""
    fields = dict.fromkeys(("level", "error", "ratio", "ratio_error", "ev", "ev_error"))
    if own is None:
        return fields
    fields.update(level=own[0], error=own[1])
    if centre is None or centre[0] <= 0 or own[0] <= 0:
        return fields
    ratio = centre[0] / own[0]
    relative = np.hypot(centre[1] / centre[0], own[1] / own[0])
    return fields | {
        "ratio": ratio,
        "ratio_error": ratio * relative,
        "ev": float(np.log2(ratio)),
        "ev_error": relative / np.log(2),
    }


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.frame,
            snakemake.params.file,
            snakemake.input.inventory or None,
            snakemake.input.flat,
            snakemake.input.source,
            {name: snakemake.input[name] or None for name in ("bias", "dark", "dark_inventory")},
            dict(snakemake.output.items()),
            snakemake.params.options,
            snakemake.params.overscan,
            f"{snakemake.wildcards.light}, {snakemake.wildcards.frame}",
        )
