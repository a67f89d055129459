"""The products of a run against the truth of its world: pulls of quoted errors, rights and wrongs of yes and no.

It reads tables and FITS files as any other program would, and shares no code with the library.

A record is a dict: ``of`` (set, light or ranking), ``about`` (how it was drawn), ``faults`` (sizes of what is wrong,
by name), ``pulls`` (quantity: list of error over quoted error), ``ratios`` (the same where what is quoted is a size
without a sign: true over quoted), and ``asked`` (question: list of [true answer, answer given]).
"""

import csv
from collections import defaultdict

import numpy as np
import worlds
from astropy.io import fits

#: Pixels of a product whose pulls are kept, drawn at random.
PIXELS = 100
#: Side of the blocks of large scales, pixels: 1/50 of the width.
BLOCK = 6
#: Light sources and responses closer to even, or to each other, than this are not asked about (relative).
TINY = 1e-3
#: What is there of a sky is at least this, and what is not at most that (relative).
THERE, ABSENT = 3e-3, 3e-4
#: What is excluded is said to be less than this (relative).
LARGE = 1e-2


class Record:
    def __init__(self, of, faults, about=""):
        self.of, self.faults, self.about = of, faults, about
        self.pulls, self.ratios, self.asked = defaultdict(list), defaultdict(list), defaultdict(list)

    def pull(self, quantity, found, error, true):
        """Of one value; what is not determined does not count."""
        if found is not None and error:
            self.pulls[quantity].append(round(float((found - true) / error), 3))

    def pixels(self, quantity, found, error, true, good):
        """Of some pixels of a map."""
        good = good & np.isfinite(found) & np.isfinite(error) & (error > 0)
        z = ((found - true) / np.where(good, error, 1))[good]
        if z.size:
            self.pulls[quantity] += np.random.default_rng(1).choice(z, PIXELS).round(3).tolist()

    def ratio(self, quantity, true, quoted):
        if quoted:
            self.ratios[quantity].append(round(float(true / quoted), 3))

    def ask(self, question, true, said):
        if true is not None:
            self.asked[question].append([bool(true), bool(said)])

    def dict(self):
        return dict(vars(self))


def table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def number(text):
    try:
        return float(text)
    except ValueError:
        return None


def image(path, *names):
    """Planes of a FITS file by name."""
    with fits.open(path) as hdus:
        return [hdus[name].data.astype(float) for name in names]


def leveled(found, true, channels, good):
    """The truth at the level of what was found, for each channel."""
    scaled = np.empty(true.shape)
    for c in np.unique(channels):
        at = channels == c
        scaled[at] = true[at] * np.median(found[at & good] / true[at & good])
    return scaled


def blocks(log, flats, good):
    """Means over blocks of a map, each channel less its mean and weighted with its light: ``(rows, columns)``."""
    rows, columns = (length // BLOCK for length in worlds.SHAPE)
    channels, good = flats.camera.channels(), good & np.isfinite(log)
    weight, apart = np.where(good, flats.camera.color(), 0), np.where(good, log, 0)
    for c in np.unique(channels):
        apart[channels == c] -= apart[(channels == c) & good].mean()

    def summed(values):
        cut = values[: rows * BLOCK, : columns * BLOCK]
        return cut.reshape(rows, BLOCK, columns, BLOCK).sum(axis=(1, 3))

    with np.errstate(invalid="ignore", divide="ignore"):
        return summed(weight * apart) / summed(weight)


def rms(values):
    return float(np.sqrt(np.nanmean(np.square(values))))


def fitted(log, functions, good):
    """Part of a map that functions of the place hold."""
    columns = np.stack([np.ones(log.shape), *functions], axis=-1)
    return columns @ np.linalg.lstsq(columns[good], log[good], rcond=None)[0]


def smooth(log, good):
    """Part of a map that polynomials to degree 6 hold."""
    x, y = worlds.positions()
    return fitted(log, [x**i * y**j for i in range(7) for j in range(7 - i) if i + j], good)


def interpolate(mosaic, channels, c):
    """Bilinear: what is recorded stays; else the mean of the neighbours with weights 1 2 1, 2 4 2, 1 2 1."""
    known = np.pad((channels == c).astype(float), 1)
    values = np.pad(np.where(channels == c, mosaic, 0), 1)

    def spread(plane):
        rows = plane[:-2] + 2 * plane[1:-1] + plane[2:]
        return rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]

    return np.where(channels == c, mosaic, spread(values) / spread(known))


# Sets


def judge_set(folder, own, flats, bands, method):
    """Record of a set: folder of its products, its plan, its truth, amplitude of the bands in each frame by path."""
    angles = "/".join(f"{angle:g}" for angle, *_ in flats.given)
    record = Record("set", flats.faults, f"{method}, {angles}, {flats.frames} frames, {flats.level:.0f} e-")
    used = [row["used"] == "yes" for row in table(folder / "inspected.tsv")]
    weights = np.reshape(used, (len(flats.poses), -1)).sum(axis=1) / sum(used)
    judge_masters(record, folder, own.subset_names, flats, method, weights)
    judge_noise(record, table(folder / "noise.tsv"), flats)
    frames = table(folder / "inspected.tsv")
    amplitudes = [bands[path] for path in own.frames]
    for frame, amplitude in zip(frames, amplitudes, strict=True):
        record.ask("bands in a frame", amplitude > 0, "bands of" in frame["reason"])
        record.ask("a frame without fault is left out", None if flats.faults else False, frame["used"] == "no")
    judge_saturation(record, frames, flats)
    judge_drift(record, table(folder / "drift.tsv"), flats)
    judge_source(record, folder, own.subset_names, flats)
    return record.dict()


def judge_masters(record, folder, names, flats, method, weights):
    """Errors of pixels: of a subset, of the whole set (its subsets by weight), of its debayered subset, of a model."""
    channels, count = flats.camera.channels(), len(flats.poses)
    value, error, mask = image(folder / "flat_cfa.fits", 0, "UNCERT", "MASK")
    good = (mask == 0) & (value > 0)
    seen = [flats.response(k) * np.exp(flats.log_lamp(k)) for k in range(count)]
    true = flats.camera.color() * np.tensordot(weights, seen, 1)
    record.pixels("UNCERT of the master mosaic", value, error, leveled(value, true, channels, good), good)
    if method == "mean":
        lens = flats.mean_response() / flats.camera.pixels / flats.camera.shadows()
        lamp = np.tensordot(weights, [np.exp(flats.log_lamp(k)) for k in range(count)], 1)
        model, uncert = image(folder / "models/model.fits", 0, "UNCERT")
        steady = good & (flats.camera.shadows() * flats.moved_shadow(0) * flats.moved_shadow(-1) > 0.999)
        true = leveled(model, lens * lamp * flats.camera.color(), channels, steady)
        record.pixels("UNCERT of the model", model, uncert, true, steady)
    value, error = image(folder / f"subsets/{names[0]}.fits", 0, "UNCERT")
    true = flats.seen(0)
    record.pixels("UNCERT of a subset", value, error, leveled(value, true, channels, good), good)
    planes = ("RED", "GREEN", "BLUE") if flats.camera.colors else ("MONO",)
    pairs = zip(image(folder / "flat.fits", *planes), image(folder / "flat_uncert.fits", *planes), strict=True)
    for c, (plane, uncert) in enumerate(pairs):
        expected = interpolate(true, channels, c) if flats.camera.colors else true
        scale = np.median(plane[good] / expected[good])
        record.pixels("UNCERT of the debayered master", plane, uncert, scale * expected, good)


def judge_noise(record, rows, flats):
    camera, faults = flats.camera, flats.faults
    channels = camera.channels()
    for c, row in enumerate(rows):
        get = {name: number(text) for name, text in row.items()}
        record.pull("gain", get["gain_e_per_dn"], get["gain_error"], camera.gain)
        read_noise = np.hypot(camera.read_noise, camera.gain / 12**0.5)
        record.pull("read noise", get["read_noise_e"], get["read_noise_error"], read_noise)
        prnu = 100 * camera.pixels[channels == c].std()
        dust = " beside dust" if camera.dust or "dust moved" in faults else ""
        record.pull(f"pixel response (PRNU){dust}", get["prnu_percent"], get["prnu_error"], prnu)
        left = faults.get("black level", 0.0)
        record.pull("black level left", get["black_left_dn"], get["black_left_error"], left)
        record.ask("the black level is wrong", None if 0 < left < 10 else left > 0, "black" in row["reason"])
        record.ask("neighbours share noise", "shared charge" in faults, "neighbouring pixels share" in row["reason"])
        record.ask("the variance bends", "not linear" in faults, "the variance bends" in row["reason"])
        if not {"not linear", "saturated", "soft saturation"} & set(faults):
            record.pull("non-linearity", get["nonlinearity_percent"], get["nonlinearity_error"], 0.0)


def judge_saturation(record, frames, flats):
    names = ("red", "green", "blue") if flats.camera.colors else ("mono",)
    kind = "soft " if "soft saturation" in flats.faults else ""
    planned = {"saturated", "soft saturation"} & set(flats.faults)
    for name, part in zip(names, flats.clipped(), strict=True):
        said = np.median([number(frame[f"saturated_{name}_percent"]) or 0 for frame in frames])
        true = part > 0.002 if planned else False
        if not planned or part > 0.002 or part == 0:
            record.ask(f"a channel saturates{' (softly)' if kind and true else ''}", true, said > 0.05)


def judge_drift(record, rows, flats):
    size = flats.faults.get("lamp drifts", 0.0)
    true = None if 0 < size < 0.01 else size > 0
    for row in rows:
        if row["significant"] in ("yes", "no"):
            record.ask("the lamp drifts in a subset", true, row["significant"] == "yes")


def judge_source(record, folder, names, flats):
    """The light source, angles and aims, the response and its error."""
    tests = {row["test"]: row for row in table(folder / "illumination_tests.tsv")}
    faults, x, y = flats.faults, *worlds.positions()
    terms = [row for row in table(folder / "illumination.tsv") if row["channel"] == "ALL"]
    signed = [(int(row["n"]), -int(row["m"]) if row["kind"] == "sin" else int(row["m"])) for row in terms]
    true = flats.mean_terms()
    solved, warned = tests["divided out"]["verdict"] == "yes", tests["angles"]["verdict"].startswith("probably wrong")
    for row, term in zip(terms, signed, strict=True):
        found, error = (number(row[name]) for name in ("percent", "error"))
        if not warned and not flats.spot:  # what is finer has no terms
            record.pull("terms of the light source", found, error, 100 * true[term])
    hidden = [term for row, term in zip(terms, signed, strict=True) if number(row["error"]) is None]
    spot = unseen_of_spot(flats, x, y)
    seen = (
        worlds.draw_lamp({term: value for term, value in true.items() if term not in hidden}, flats.spot, x, y) - spot
    )
    unseen = worlds.draw_lamp({term: value for term, value in true.items() if term in hidden}, None, x, y) + spot
    shown, whole = 100 * seen.std(), 100 * (seen + unseen).std()
    for test, quantity, size in (
        ("part that shows", "uneven, the part that shows", shown),
        ("light source uneven", "uneven, the whole", whole),
    ):
        row = tests[test]
        if not warned:
            record.pull(quantity, number(row["percent"]), number(row["error"]), size)
    if not flats.faults and (shown > 0.1 or shown < 1e-3):
        record.ask("the light source is uneven", shown > 0.1, row["verdict"] == "yes")
    if hidden:
        record.ratio("what the light source hides", 100 * unseen.std(), number(tests["part that is hidden"]["percent"]))
    if "wrong sign" not in faults:
        judge_geometry(record, table(folder / "geometry.tsv"), names, flats)
    two = " (two angles)" if len(names) == 2 else ""
    if shown > 0.3 and not two:
        record.ask("an angle has the wrong sign", "wrong sign" in faults, warned)
    if shown > 0.1 and "wrong sign" not in faults:
        record.ask(f"the light source is divided out{two}", True, solved)
    for row in table(folder / "cross.tsv"):
        if not faults and solved and row["light"] != "flat":
            record.ask("subsets differ by more than the light source", False, row["significant"] == "yes")
    record.ask("channels see different lamps", False, tests["channels differ"]["verdict"] == "yes")
    record.ask("dust moved", "dust moved" in faults, tests["dust moved"]["verdict"] != "no")
    left = tests["left over"]["verdict"]
    record.ask("something is left over, if nothing is wrong", None if faults else False, left.startswith("much more"))
    judge_response(record, folder, tests, hidden, solved, flats)


def unseen_of_spot(flats, x, y):
    """The part of a spot that looks the same in all subsets, as far as no aim shows it: some orders of its angle."""
    unseen = np.zeros_like(x)
    if flats.spot is None or any(any(aim) for _, *aim in flats.given):
        return unseen
    turns = np.radians([angle for angle, *_ in flats.given])
    radii, angles = np.linspace(0, 1, 200), np.arange(256) * 2 * np.pi / 256
    along, around = radii[:, None] * np.cos(angles), radii[:, None] * np.sin(angles)
    orders = np.fft.rfft(worlds.draw_lamp({}, flats.spot, along, around), axis=1) / 256
    r, phi = np.hypot(x, y), np.arctan2(y, x)
    for m in range(24):
        if abs(np.exp(1j * m * turns).mean()) > 0.995:
            size = np.interp(r, radii, orders[:, m].real) + 1j * np.interp(r, radii, orders[:, m].imag)
            unseen += (size * np.exp(1j * m * phi)).real * (2 if m else 1)
    return unseen


def judge_geometry(record, rows, names, flats):
    for row in rows:
        k = names.index(row["subset"])
        part = ("rotation", "aim_x", "aim_y").index(row["quantity"])
        if k:
            quantity = "angles found" if part == 0 else "aims found"
            true = flats.poses[k][part]
            record.pull(quantity, number(row["found"]), number(row["error"]), true)
            # true angles and aims that are those given
            if not flats.faults:
                record.ask(f"{quantity} other than given", False, row["differs"] == "yes")


def judge_response(record, folder, tests, hidden, solved, flats):
    channels, (x, y) = flats.camera.channels(), worlds.positions()
    value, error, mask = image(folder / "response.fits", 0, "UNCERT", "MASK")
    good = (mask == 0) & (value > 0)
    log = np.log(np.where(good, value, 1) / flats.camera.color() / flats.mean_response())
    for c in np.unique(channels):
        log[channels == c] -= np.median(log[(channels == c) & good])
    relative = error / np.where(good, value, 1)
    record.pixels("UNCERT of the response, pixels", log - smooth(log, good), relative, 0.0, good)
    large = 100 * blocks(log, flats, good)
    record.ratio("response", rms(large), number(tests["response"]["percent"]))
    rest = 100 * blocks(log - fitted(log, [worlds.zernike(*term, x, y) for term in hidden], good), flats, good)
    record.ratio("response, hidden part aside", rms(rest), number(tests["response, hidden part aside"]["percent"]))
    (flat,) = image(folder / "flat_cfa.fits", 0)
    of_flat = np.log(np.where(good, flat, 1) / flats.camera.color() / flats.mean_response())
    of_flat = 100 * blocks(of_flat, flats, good)
    if solved:
        record.ask("the response is worse than the flat", False, rms(large) > 1.2 * rms(of_flat) + 0.02)


# Lights


def judge_light(folder, set_folder, light, flats):
    """Record of a light: errors of its pixels, and causes of what is not even after the division."""
    record = Record("light", light.causes, f"{light.sky}, {light.level:.0f} e-")
    camera, channels = light.camera, light.camera.channels()
    value, error, mask = image(folder / "light.fits", 0, "UNCERT", "MASK")
    response, center = camera.response(), (slice(100, 200), slice(150, 250))
    level = np.empty(worlds.SHAPE)
    for c in np.unique(channels):
        level[channels == c] = response[center][channels[center] == c].mean()
    electrons, stars = light.expected()
    true = (electrons / camera.gain + light.pedestal()) * level / response
    sound = not flats.faults
    if sound:
        record.pixels("UNCERT of a calibrated light, sky", value, error, true, (mask == 0) & ~stars)
        record.pixels("UNCERT of a calibrated light, stars", value, error, true, (mask == 0) & stars)
    judge_causes(record, table(folder / "diagnosis/light.tsv"), light, sound, set_folder)
    return record.dict()


def effects(light):
    """What causes and sky change over the frame, rms, by cause; and the part of the sky that is no gradient."""
    camera, (x, y), channels = light.camera, worlds.positions(), light.camera.channels()

    def spread(ratio):
        """Of the logarithm, each channel for itself."""
        return rms([np.log(ratio[channels == c]).std() for c in np.unique(channels)])

    sky = np.log(light.scene())
    plane = fitted(sky, [x, y], np.ones(sky.shape, bool))
    lens = camera.lens(shift=light.shift())
    through = light.level * light.scene() * camera.color() * lens / camera.gain
    whole = through + light.pedestal()
    found = {
        "pedestal": spread(whole / through),
        "wrong flat": spread(whole / (through * camera.lens() / lens + light.pedestal())),
        "sky gradient": spread(whole / (through * np.exp(-plane) + light.pedestal())),
        "encoded": 0.0,
    }
    return found, (sky - plane).std()


def judge_causes(record, rows, light, sound, set_folder):
    """Causes that are named; those of a size between nothing and what should be named are not asked about."""
    found = {row["cause"]: row for row in rows}
    named = {cause: row["verdict"] in ("supported", "there, but small") for cause, row in found.items()}
    where = "" if sound else ", flat with imperfections"
    sizes, structure = effects(light)
    there = {cause: size > THERE if size > THERE or size < ABSENT else None for cause, size in sizes.items()}
    if structure > sizes["sky gradient"] / 3:  # structure that is also brighter on one side is neither
        there["sky gradient"] = False if sizes["sky gradient"] < structure else None
    gradient = sizes["sky gradient"]
    there["sky structure"] = True if structure > max(THERE, gradient) else False if structure < ABSENT else None
    (response,), channels = image(set_folder / "response.fits", 0), light.camera.channels()
    log = np.log(np.maximum(response, 1e-3) / light.camera.color() / light.camera.response())
    for c in np.unique(channels):
        log[channels == c] -= np.median(log[channels == c])
    wrong = smooth(log, np.abs(log) < 1.5).std()
    there["flat not flat"] = True if wrong > THERE else False if wrong < TINY else None
    sizes |= {"sky structure": structure, "flat not flat": wrong}
    for cause, true in there.items():
        record.ask(f"cause: {cause}{where}", true, named[cause])
        if sizes[cause] > LARGE:
            excluded = found[cause]["verdict"] == "excluded"
            record.ask(f"a cause of more than 1 % is excluded{where}", False, excluded)
        if true and named[cause] and cause in ("pedestal", "wrong flat", "sky gradient"):
            size, error = (number(found[cause][name]) for name in ("size_percent", "error_percent"))
            record.pull(f"size of a cause: {cause}{where}", size, error, 100 * sizes[cause])


# Sets of one lens


def judge_ranking(folder, sets):
    """Record of what is said of the sets together."""
    record = Record("ranking", {name: size for flats in sets for name, size in flats.faults.items()})
    rows, errors = table(folder / "sets.tsv"), []
    for row, flats in zip(rows, sets, strict=True):
        value, mask = image(folder / row["set"] / "response.fits", 0, "MASK")
        good = (mask == 0) & (value > 0)
        log = np.log(np.where(good, value, 1) / flats.camera.color() / flats.camera.response())
        errors.append(rms(100 * blocks(log, flats, good)))
        record.ratio("response, after sets are compared", errors[-1], number(row["response_error_percent"]))
    verdicts = [row["verdict"] for row in rows]
    best, worst = int(np.argmin(errors)), int(np.argmax(errors))
    if "use" in verdicts:
        named = verdicts.index("use")
        record.ask("the worse set is named (by half)", False, named == worst and errors[worst] > 1.5 * errors[best])
    if errors[worst] > 1.5 * errors[best] and "cannot be judged" not in verdicts:
        record.ask("the better set is named (by half)", True, verdicts[best] == "use")
    return record.dict()
