"""Noise of a light: gain of the flats, noise of reading from where it is known best."""

import re

import numpy as np

from flatfield.files.tables import number_of
from flatfield.measure.calibration import FAINT
from flatfield.raw.cfa import CHANNEL_OF_COLOR

#: Side of the tiles in which the scatter of a light is taken: groups of four pixels, and rows, of one colour.
GROUPS, ROWS = 8, 16
#: Tiles that are enough, and the part of them, the darkest, that is taken.
ENOUGH_TILES, DARKEST = 8, 0.25
#: Groups further than this many standard deviations off hold stars or defects.
OUTLIER = 5.0
#: Photon noise, electrons, above which scatter does not show the read noise, nor is it needed.
BRIGHT = 2000.0
#: What a parameter of a combination looks like in the history of a header.
PARAMETER = re.compile(r"^\w+ (\w+) = (\S+)$")


def frame_variances(master):
    """Noise of one of the offset frames that a master is made of.

    Parameters
    ----------
    master : flatfield.raw.mosaic.Mosaic
        With error and the header of its combination.

    Returns
    -------
    list of float, or None
        Variance for each channel, DN^2; None where a single frame does not show it.
    """
    from flatfield.combine.methods import scatter_of_master  # loads compiled code, which most lights do without

    count, options = int(master.header.get("NCOMBINE", 0)), {"method": master.header.get("COMBINE", "")}
    for line in master.header.get("HISTORY", []):
        found = PARAMETER.match(str(line))
        if found and found[2] != "None":
            options[found[1]] = float(found[2]) if "." in found[2] or "e" in found[2] else int(found[2])
    if count < 2 or not options["method"]:
        return None
    variances = []
    for channel in range(len(master.cfa.channels)):
        square = master.cfa.pixels(master.error, channel).astype(np.float64) ** 2
        square = square[np.isfinite(square)]
        if not square.size:
            return None
        # hot pixels have noise of their own
        usual = square[square <= np.quantile(square, 0.99) * 4]
        variances.append(float(usual.mean()) / scatter_of_master(options, count) ** 2)
    return variances


def measure_scatter(signal, cfa, gains, responses):
    """Noise of reading of a light from the scatter of neighbouring pixels of its darkest parts, less photon noise.

    Third differences of four pixels of a colour in a row, in tiles, so that neither gradients nor stars count.

    Parameters
    ----------
    signal : numpy.ndarray, float32, ``(rows, columns)``
        DN above black.
    cfa : ColorFilterArray
    gains : sequence of float
        Of each channel, e-/DN.
    responses : sequence of float
        Pixel response non-uniformity of each channel, relative; 0 where it is not known.

    Returns
    -------
    list
        Variance for each channel, DN^2; 0 where the light is so bright that it does not count, None where too few
        pixels show it.
    """
    p, found = cfa.period, []  # type: int, list[float | None]
    for channel in range(len(cfa.channels)):
        levels, variances = [], []
        for i, j, color in cfa.phases():
            if CHANNEL_OF_COLOR[color] == channel:
                level, variance = _scatter_in_tiles(signal[i::p, j::p])
                levels.append(level)
                variances.append(variance)
        level, variance = np.concatenate(levels), np.concatenate(variances)
        if len(level) < ENOUGH_TILES:
            found.append(None)
            continue
        dark = level <= np.quantile(level, DARKEST)
        photons = np.median(np.maximum(level[dark], 0))
        if photons * gains[channel] > BRIGHT:
            found.append(0.0)
            continue
        # the median of a variance of n values is 1 - 2 / (9 n) of its mean
        total = np.median(variance[dark]) / (1 - 2 / (9 * GROUPS * ROWS))
        found.append(max(float(total - photons / gains[channel] - (responses[channel] * photons) ** 2), 0.0))
    return found


def _scatter_in_tiles(plane):
    """Mean level and variance of a pixel in tiles of a plane, DN and DN^2; none of a plane that is smaller than one."""
    rows, columns = plane.shape[0] // ROWS, plane.shape[1] // (4 * GROUPS)
    if not rows * columns:
        return np.zeros(0), np.zeros(0)
    part = plane[: rows * ROWS, : columns * 4 * GROUPS].astype(np.float64).reshape(rows, ROWS, columns, GROUPS, 4)
    a, b, c, d = np.moveaxis(part, -1, 0)
    tiles = ((a - d + 3 * (c - b)) / np.sqrt(20)).swapaxes(1, 2).reshape(rows * columns, -1)
    means = ((a + b + c + d) / 4).swapaxes(1, 2).reshape(rows * columns, -1)
    kept, variance = np.ones(tiles.shape, bool), np.zeros(len(tiles))
    for _ in range(3):
        variance = np.where(kept, tiles**2, 0).sum(axis=1) / np.maximum(kept.sum(axis=1), 1)
        kept = tiles**2 <= OUTLIER**2 * variance[:, None]
    return np.where(kept, means, 0).sum(axis=1) / np.maximum(kept.sum(axis=1), 1), variance


def describe_noise(cameras, flat_iso, light):
    """Gain and noise of reading of a light.

    Parameters
    ----------
    cameras : list of dict
        ``noise.tsv``.
    flat_iso : float or None
    light : flatfield.measure.light.LightFrame

    Returns
    -------
    dict or None
        gains (e-/DN, those of the flats, scaled with ISO) and read_noises (e-) of the channels, and cards for the
        header; None where a gain is not determined, or one ISO is known and the other is not. A read noise is that of
        the offset frames of the light, if they are of its ISO; else that of flats of its ISO; else what the scatter
        of its darkest parts leaves; NaN where nothing gives it.
    """
    gains, iso = [number_of(row["gain_e_per_dn"]) for row in cameras], light.frame.metadata.iso
    if None in gains or (flat_iso is None) != (iso is None):
        return None
    ratio = flat_iso / iso if flat_iso else 1.0
    gains, cards, read_noises = [gain * ratio for gain in gains], [], []
    responses = [(number_of(row["prnu_percent"]) or 0.0) / 100 for row in cameras]
    scatter = None
    for index, (row, gain) in enumerate(zip(cameras, gains, strict=True)):
        read_noise, of_flats = None, number_of(row["read_noise_e"])
        if light.read_variances:
            read_noise, source = gain * float(np.sqrt(light.read_variances[index])), "of its offset frames"
        elif of_flats is not None and ratio == 1:
            read_noise, source = of_flats, "of the flats"
        else:
            scatter = scatter or measure_scatter(light.signal, light.cfa, gains, responses)
            variance, source = scatter[index], "from the scatter of the light"
            read_noise = None if variance is None else gain * float(np.sqrt(variance))
        how = "of the flats" if ratio == 1 else "of the flats, scaled with ISO"
        name = row["channel"]
        cards.append((f"GAIN_{name[0]}", gain, f"[e-/DN] {name}, {how}"))
        if read_noise:
            cards.append((f"RDNOIS_{name[0]}", read_noise, f"[e-] {name}, {source}"))
        else:
            unknown = f"no error below {FAINT:g} e-" if read_noise is None else "less than photon noise"
            cards.append((f"RDNOIS_{name[0]}", "unknown", f"{name}: {unknown}"))
        read_noises.append(float("nan") if read_noise is None else read_noise)
    return {"gains": gains, "read_noises": read_noises, "cards": cards}
