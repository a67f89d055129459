"""Tell the light source from the camera: what turned between the subsets is divided out of the flat."""

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.special import chdtrc
from flatfield.measure import illumination
from flatfield.measure.calibration import divide, normalise_mosaic
from flatfield.raw.cfa import ColorFilterArray
from flatfield.combine.demosaicing import interpolate_bilinear
from flatfield.measure.gradients import measure_map
from flatfield.files.job import logged_job
from flatfield.files.fits import describe_mosaic, image_hdu, read_image, write_fits, write_planes
from flatfield.measure.blocks import block_side
from flatfield.files.tables import NOT_DETERMINED, write_table

TERM_COLUMNS = ["channel", "n", "m", "kind", "percent", "error", "sigma", "reason"]
TEST_COLUMNS = ["test", "verdict", "percent", "error", "evidence"]
CROSS = [
    "light",
    "flat",
    "channel",
    "rms_percent",
    "noise_percent",
    "gradient_percent",
    "gradient_error",
    "significant",
]
CROSS += ["reason"]
#: Side of the box, in blocks, over which the squares of errors are averaged.
NEIGHBOURS = 9
#: Probability below which something is called significant.
SIGNIFICANT = 1e-3


def main(subsets, flat, bias, products, rotations, degree):
    """Write the light source, as far as the angles tell it, and the flat without it.

    Parameters
    ----------
    subsets : dict
        Combined mosaic of each subset by name.
    flat : str
        ``flat_cfa.fits``.
    bias : str or None
        Master of the offset frames.
    products : dict
        Files to write: terms, tests and cross (tables), source (FITS, percent, in the frame of the source), response
        (mosaic like `flat`) and rgb (like ``flat.fits``).
    rotations : list of float
        Of the subsets, degrees.
    degree : int
        Of the Zernike terms.
    """
    images = {name: (*read_image(path), read_image(path, "UNCERT")[0]) for name, path in subsets.items()}
    value, header = read_image(flat)
    error, mask = read_image(flat, "UNCERT")[0], read_image(flat, "MASK")[0].astype(np.uint8)
    cfa = ColorFilterArray.from_name(header.get("BAYERPAT", "MONO"))
    maps = [average_subset(mosaic, error, mask, cfa) for mosaic, _, error in images.values()]
    channels, reason = channels_of(maps, rotations, degree, cfa)
    solved = None if reason else solve(channels, rotations, degree)
    tests = run_tests(solved, channels, rotations, degree) if solved else unsolved(channels, reason)
    write_table(products["terms"], describe_terms(solved, degree, rotations, cfa.channels, reason), TERM_COLUMNS)
    write_table(products["tests"], tests, TEST_COLUMNS)
    found = {row["test"]: row["verdict"] for row in tests}
    own = np.zeros(value.shape, np.float32)
    if solved:
        own = draw(solved["common"], degree, value.shape, 0)
    divided = bool(solved) and found["angles"] == "as given"
    if divided:
        value, error = correct(images, rotations, solved, found["channels differ"] == "yes", degree, cfa)
        if bias:
            error = np.hypot(error, read_image(bias, "UNCERT")[0])
    write_table(products["cross"], cross_check(maps, images, rotations, solved if divided else None, value, cfa), CROSS)
    layout = describe_mosaic(cfa.name)
    write_fits(products["source"], [image_hdu(100 * np.expm1(own), unit="percent")])
    for name in ("CHECKSUM", "DATASUM"):
        header.remove(name, ignore_missing=True)
    header["IMAGETYP"] = "Response"
    header["ILLUMIN"] = (degree if divided else 0, "degree of the source divided out")
    hdus = [image_hdu(value, header), image_hdu(error, layout, "UNCERT", utype="StdDevUncertainty")]
    write_fits(products["response"], [*hdus, image_hdu(mask, layout, "MASK")])
    for name in layout:
        header.remove(name, ignore_missing=True)
    write_planes(products["rgb"], interpolate_bilinear(value, cfa), cfa.channels, header, "Response")


def average_subset(mosaic, error, mask, cfa):
    """Blocks of a subset, their errors from those of their neighbours, as one of few frames and pixels is uncertain."""
    logs, errors, x, y = illumination.average_blocks(mosaic, error, mask == 0, cfa)
    for plane in errors:
        known = np.isfinite(plane)
        share = np.where(known, uniform_filter(known.astype(float), NEIGHBOURS), 1)
        square = uniform_filter(np.where(known, plane, 0) ** 2, NEIGHBOURS)
        plane[:] = np.where(known, np.sqrt(square / share), np.nan)
    return logs, errors, x, y


def channels_of(blocks, rotations, degree, cfa):
    """Blocks of the channels that the solution is fitted to; and why there is none, or nothing."""
    if len(blocks) < 2:
        return [], "there is one subset only"
    x, y = blocks[0][2:]
    logs, errors = (np.array([each[part] for each in blocks]) for part in (0, 1))  # (subsets, channels, rows, columns)
    channels = []
    for index in range(len(cfa.channels)):
        known = np.isfinite(logs[:, index]).all(axis=0) & (errors[:, index] > 0).all(axis=0)
        known &= np.isfinite(errors[:, index]).all(axis=0)
        if known.sum() < 4 * (degree + 1) ** 2:
            return [], f"too few blocks of {cfa.channels[index]} have a level and a standard error"
        channels.append((logs[:, index][:, known], errors[:, index][:, known], x[index][known], y[index][known]))
    if len({rotation % 360 for rotation in rotations}) < 2:
        return channels, "all subsets were taken at one angle: the light source cannot be told from the camera"
    if not illumination.visible_terms(degree, rotations)[0]:
        return channels, "no term changes with these angles"
    return channels, ""


def solve(channels, rotations, degree):
    """Solutions common to all channels, and of each."""
    return {
        "common": illumination.solve_illumination(channels, rotations, degree),
        "channels": [illumination.solve_illumination([channel], rotations, degree) for channel in channels],
    }


def cross_check(maps, images, rotations, solved, value, cfa):
    """Rows of ``cross.tsv``: each subset divided by the master of the others, and the flat divided by itself.

    Both without the light source where it is solved for; in blocks.
    """
    rows = divide_by_itself(value, cfa)
    x, y = maps[0][2:]
    frames = np.array([header["NCOMBINE"] for _, header, _ in images.values()], float)
    logs, errors = (np.array([each[part] for each in maps]) for part in (0, 1))
    if solved:
        seen = [solved["common"].log_ratio(x, y, rotation) for rotation in rotations]
        logs = logs - np.array(seen)
    size, shape = block_side(value.shape, cfa, illumination.BLOCKS_ACROSS), value.shape
    for index, name in enumerate(images):
        others = [each for each in range(len(images)) if each != index]
        if not others:
            continue
        weights = (frames[others] / frames[others].sum())[:, None, None, None]
        flat = (weights * np.exp(logs[others])).sum(axis=0)
        flat_error = np.sqrt(((weights * np.exp(logs[others]) * errors[others]) ** 2).sum(axis=0)) / flat
        ratio = np.exp(logs[index]) / flat
        for channel, plane, error in zip(cfa.channels, ratio, np.hypot(errors[index], flat_error), strict=True):
            level = np.nanmedian(plane) if np.isfinite(plane).any() else 1.0
            row = measure_map(100 * (plane / level - 1), 100 * error, size, shape)
            rows.append({"light": name, "flat": "master of the others", "channel": channel, **row})
    for row in rows:
        row.update({name: NOT_DETERMINED for name in CROSS if row[name] is None})
    return rows


def divide_by_itself(value, cfa):
    """What is left of each channel of a flat that is divided by itself: nothing but rounding."""
    norms = np.array([cfa.pixels(value, index).mean(dtype=np.float64) for index in range(len(cfa.channels))])
    quotient, rows = divide(value, normalise_mosaic(value, cfa, norms)), []
    for index, name in enumerate(cfa.channels):
        ratio = cfa.pixels(quotient, index) / np.float32(norms[index]) - 1
        rms = 100 * float(np.sqrt(np.nanmean(np.square(ratio, out=ratio), dtype=np.float64)))
        rows.append(dict.fromkeys(CROSS, "") | {"light": "flat", "flat": "itself", "channel": name, "rms_percent": rms})
        rows[-1] |= {"noise_percent": 0, "gradient_percent": None, "gradient_error": None, "significant": False}
    return rows


def verdict(test, text, evidence="", rms=None, error=None):
    """A row of the table of tests; `rms` and `error` are relative."""
    numbers = (NOT_DETERMINED if each is None else 100 * each for each in (rms, error))
    return dict(zip(TEST_COLUMNS, (test, text, *numbers, evidence), strict=True))


def unsolved(channels, reason):
    """What can be said where no source is solved for: whether the subsets repeat."""
    rows = [verdict("solvable", "no", reason)]
    return (
        [*rows, judge_repeatability(illumination.solve_illumination(channels, [0, 0], 1), channels)]
        if channels
        else rows
    )


def judge_repeatability(solution, channels):
    """What is left of the differences of the subsets."""
    noise = float(np.sqrt(np.mean(np.concatenate([errors.ravel() for _, errors, *_ in channels]) ** 2)))
    fit = solution.chi2 / solution.freedom
    text = "noise" if chdtrc(solution.freedom, solution.chi2) > SIGNIFICANT else "more than noise"
    return verdict(
        "left over", text, f"chi^2 per degree of freedom {fit:.3g}", *illumination.left_over(solution, noise)
    )


def run_tests(solved, channels, rotations, degree):
    """What the solution is worth: rows of the table of tests."""
    common, single = solved["common"], solved["channels"]
    scale = max(common.chi2 / common.freedom, 1.0)
    chance = chdtrc(len(common.terms), (common.chi2_even - common.chi2) / scale)
    uneven = "yes" if chance < SIGNIFICANT else "no"
    x, y = channels[len(channels) // 2][2:]
    rows = [
        verdict(
            "light source uneven", uneven, f"probability of chance {chance:.2g}", *illumination.unevenness(common, x, y)
        ),
        verdict("gradient", *judge_part(illumination.unevenness(common, x, y, lambda term: term[0] == 1))),
        verdict("higher terms", *judge_part(illumination.unevenness(common, x, y, lambda term: term[0] > 1))),
        judge_repeatability(common, channels),
    ]
    chance = illumination.compare_channels(single) if len(single) > 1 else 1.0
    rows.append(verdict("channels differ", "yes" if chance < SIGNIFICANT else "no", f"probability {chance:.2g}"))
    angles = illumination.better_angles(channels, rotations, degree)
    if angles is None:
        words = "neither the opposite sign nor other quarter turns fit better"
        two = len({rotation % 360 for rotation in rotations}) == 2
        rows.append(verdict("angles", "as given", "two angles do not tell the sign" if two else words))
    else:
        opposite = all(abs((a + b) % 360) < 1e-6 for a, b in zip(angles, rotations, strict=True))
        words = "opposite sign" if opposite else "other angles"
        listed = ", ".join(f"{angle % 360:g}" for angle in angles)
        evidence = f"{listed} degrees fit much better; nothing was divided out"
        rows.append(verdict("angles", f"probably wrong: {words}", evidence))
    hidden = illumination.visible_terms(degree, rotations)[1]
    rows.append(verdict("cannot be seen", f"{len(hidden)} terms", illumination.describe_hidden(hidden)))
    return rows


def judge_part(size):
    """Verdict, evidence and size of some terms."""
    rms, error = size
    return "significant" if rms > 4 * error else "not significant", "rms over the frame", rms, error


def describe_terms(solved, degree, rotations, channels, reason):
    """Rows of the table of terms."""
    rows = []
    names = ["ALL", *channels] if solved and len(channels) > 1 else ["ALL"]
    visible = illumination.visible_terms(degree, rotations)[0]
    for name in names:
        solution = solved and (solved["common"] if name == "ALL" else solved["channels"][names.index(name) - 1])
        for term in illumination.zernike_terms(degree):
            kind = "radial" if not term[1] else "cos" if term[1] > 0 else "sin"
            row = {"channel": name, "n": term[0], "m": abs(term[1]), "kind": kind, "reason": ""}
            row |= dict.fromkeys(("percent", "error", "sigma"), NOT_DETERMINED)
            if not solved:
                row["reason"] = reason
            elif term not in visible:
                row["reason"] = "looks the same at all angles"
            else:
                index = solution.terms.index(term)
                value, error = solution.coefficients[index], np.sqrt(solution.covariance[index, index])
                row.update(percent=100 * value, error=100 * error, sigma=abs(value) / error)
            rows.append(row)
    return rows


def draw(solution, degree, shape, rotation):
    """ln I at all pixels with the camera turned, float32."""
    return illumination.draw_polynomial(lambda x, y: solution.log_ratio(x, y, rotation), degree, shape)


def correct(images, rotations, solved, differ, degree, cfa):
    """Flat without the light source, and its standard error."""
    frames = np.array([header["NCOMBINE"] for _, header, _ in images.values()], float)
    weights = frames / frames.sum()
    shape = next(iter(images.values()))[0].shape
    solutions = solved["channels"] if differ else [solved["common"]]
    channel_map = cfa.channel_map(shape) if differ else None
    value, variance = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for (mosaic, _, error), rotation, weight in zip(images.values(), rotations, weights, strict=True):
        factor = by_channel([draw(each, degree, shape, rotation) for each in solutions], channel_map)
        factor = np.float32(weight) * np.exp(-factor)
        value += factor * mosaic
        factor *= error
        variance += factor * factor
    of_solution = [
        illumination.draw_polynomial(
            lambda x, y, each=each: each.variance_of_mean(x, y, rotations, weights), 2 * degree, shape
        )
        for each in solutions
    ]
    return value, np.sqrt(variance + value**2 * by_channel(of_solution, channel_map))


def by_channel(planes, channel_map):
    """Each pixel from the plane of its channel; one plane is that of all."""
    return planes[0] if len(planes) == 1 else np.choose(channel_map, planes)


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            dict(zip(snakemake.params.subsets, snakemake.input.subsets, strict=True)),
            snakemake.input.flat,
            snakemake.input.bias or None,
            dict(snakemake.output.items()),
            snakemake.params.rotations["rotations"],
            snakemake.params.degree["degree"],
        )
