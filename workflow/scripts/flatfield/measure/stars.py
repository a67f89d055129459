"""Stars of a calibrated light: found above the noise, and their fluxes by colour in round apertures."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from flatfield.raw.cfa import CHANNEL_OF_COLOR
from flatfield.raw.robust import SIGMA_PER_MAD

#: Standard deviations of the smoothed image above which a maximum is a star.
DETECTION = 8.0
#: Stars of a frame that are kept, the brightest.
MOST_STARS = 500
#: Side of a block whose median and scatter are the sky, superpixels of 2 x 2 pixels.
BLOCK = 32
#: Radius of the aperture over that with half of the flux: three standard deviations of a round Gaussian star.
APERTURE = 2.55
#: Radii of apertures, pixels; a star image that needs more than the largest is a trail, or out of focus.
SMALLEST, LARGEST = 4.0, 16.0
#: Part of the peak at which the profile of a star ends.
FAINT = 0.01
#: Radius of the second aperture, which shows what the first one loses.
WIDE = 1.5
#: Half the side of the cut-outs that sizes are measured in, pixels; and bright stars that are measured.
CUTOUT, MEASURED = 25, 60
#: The same of cut-outs that centroids are measured in.
CENTERED = 7


@dataclass(frozen=True)
class Stars:
    """Stars of a frame, the brightest first.

    Attributes
    ----------
    positions : numpy.ndarray, float64, ``(stars, 2)``
        Row and column, pixels.
    flux, wide : dict of numpy.ndarray, float64, ``(stars,)``
        DN, by channel: in the aperture, and in one of 1.5 times its radius; NaN where a pixel there is masked.
    radius : float
        Of the aperture, pixels; NaN without stars.
    elongation : numpy.ndarray, float64, ``(stars,)``
        Longer over shorter axis.
    """

    positions: np.ndarray
    flux: dict
    wide: dict
    radius: float
    elongation: np.ndarray

    def __len__(self):
        return len(self.positions)


def columns_of_stars(channels):
    """Header of the table of the stars of a frame."""
    fluxes = [f"{channel.lower()}{kind}_dn" for channel in channels for kind in ("", "_wide")]
    return ["row", "column", "radius_px", "elongation", *fluxes]


def rows_of_stars(stars):
    """The table of the stars of a frame, see `columns_of_stars`."""
    names = columns_of_stars(stars.flux)
    columns = [*stars.positions.T, np.full(len(stars), stars.radius), stars.elongation]
    columns += [values[channel] for channel in stars.flux for values in (stars.flux, stars.wide)]
    return [dict(zip(names, row, strict=True)) for row in np.transpose(columns).tolist()]


def stars_of_rows(rows, channels):
    """Stars of a table that was read."""
    values = {name: np.array([row[name] or np.nan for row in rows], float) for name in columns_of_stars(channels)}
    radius = float(values["radius_px"][0]) if rows else np.nan
    flux, wide = ({name: values[f"{name.lower()}{kind}_dn"] for name in channels} for kind in ("", "_wide"))
    positions = np.column_stack([values["row"], values["column"]])
    return Stars(positions, flux, wide, radius, values["elongation"])


def find_stars(mosaic):
    """Find the stars of a calibrated light and measure them.

    A superpixel of 2 x 2 pixels counts without its brightest pixel, so that no hot pixel is a star. The radius of the
    aperture follows the sharpness of the frame. The sky is the median of a ring around each star, colour by colour.

    Parameters
    ----------
    mosaic : flatfield.raw.mosaic.Mosaic
        With mask.

    Returns
    -------
    Stars
        Those without a neighbour in their apertures.
    """
    channels, shape = mosaic.cfa.channels, mosaic.shape
    signal = _above_sky(mosaic)
    found = _find_maxima(signal)
    found = found[_is_inside(found, shape, CENTERED + 5)]
    if len(found) == 0:
        nothing = {name: np.empty(0) for name in channels}
        return Stars(np.empty((0, 2)), nothing, nothing, np.nan, np.empty(0))
    positions = _center(signal, found)
    whole = positions[_is_inside(positions, shape, CUTOUT + 1)]
    sharpness = _half_flux_radius(signal, whole[:MEASURED]) if len(whole) else np.nan
    radius = float(np.clip(APERTURE * sharpness, SMALLEST, LARGEST)) if sharpness == sharpness else LARGEST
    positions = positions[_is_alone(positions, WIDE * radius + 2)]
    positions = positions[_is_inside(positions, shape, _outer_radius(radius) + 2)][:MOST_STARS]
    narrow, wide = _measure_fluxes(signal, positions, radius, mosaic.cfa)
    flux, wider = (dict(zip(channels, each, strict=True)) for each in (narrow, wide))
    return Stars(positions, flux, wider, radius, _elongation(signal, positions, radius))


def _above_sky(mosaic):
    """Signal above the median of its channel, DN; NaN where it is masked."""
    cfa, p = mosaic.cfa, mosaic.cfa.period
    signal = mosaic.value.astype(np.float32)
    signal[~(np.isfinite(signal) & mosaic.good)] = np.nan
    thinned = 8 * p  # a sixty-fourth of the pixels is enough for a level
    for channel in range(len(cfa.channels)):
        phases = [(i, j) for i, j, color in cfa.phases() if CHANNEL_OF_COLOR[color] == channel]
        sample = np.concatenate([signal[i::thinned, j::thinned].ravel() for i, j in phases])
        level = np.nanmedian(sample) if np.isfinite(sample).any() else 0
        for i, j in phases:
            signal[i::p, j::p] -= level
    return signal


def _find_maxima(signal):
    """Places of stars, ``(stars, 2)``, int: pixels, the brightest first."""
    rows, columns = (n // (2 * BLOCK) * 2 * BLOCK for n in signal.shape)
    if not rows or not columns:
        return np.empty((0, 2), int)
    quads = [np.nan_to_num(signal[i:rows:2, j:columns:2]) for i in (0, 1) for j in (0, 1)]
    smooth = gaussian_filter(sum(quads) - np.maximum.reduce(quads), 1.0, truncate=3)
    blocks = smooth.reshape(rows // 2 // BLOCK, BLOCK, columns // 2 // BLOCK, BLOCK)
    sample = blocks[:, ::2, :, ::2].transpose(0, 2, 1, 3).reshape(blocks.shape[0], blocks.shape[2], -1)
    sky = np.median(sample, axis=2)
    noise = SIGMA_PER_MAD * np.median(np.abs(sample - sky[..., None]), axis=2)
    height = (blocks - sky[:, None, :, None]).reshape(smooth.shape)
    threshold = (DETECTION * np.maximum(noise, 1e-6))[:, None, :, None]
    high = np.argwhere((blocks - sky[:, None, :, None] > threshold).reshape(smooth.shape))
    high = high[_is_inside(high, smooth.shape, 3)]
    offsets = np.mgrid[-2:3, -2:3].reshape(2, -1)
    around = smooth[high[:, :1] + offsets[0], high[:, 1:] + offsets[1]]
    peaks = high[around.argmax(axis=1) == len(offsets[0]) // 2]
    brightness = height[peaks[:, 0], peaks[:, 1]]
    return 2 * peaks[np.argsort(-brightness, kind="stable")][: 3 * MOST_STARS]


def _is_inside(places, shape, margin):
    return ((places >= margin) & (places < np.array(shape) - margin)).all(axis=1)


def _is_alone(positions, distance):
    """Whether no other star is nearer."""
    near = np.zeros(len(positions), bool)
    near[cKDTree(positions).query_pairs(distance, output_type="ndarray").ravel()] = True
    return ~near


def _cut_out(signal, positions, half):
    """Squares around stars without the sky of their outermost pixels, and the distances of these pixels by axis."""
    whole = np.rint(positions).astype(int)
    steps = np.arange(-half, half + 1)
    rows, columns = whole[:, 0, None, None] + steps[:, None], whole[:, 1, None, None] + steps
    cut = signal[rows, columns]
    ring = np.hypot(*np.meshgrid(steps, steps)) > 0.8 * half
    cut = cut - np.nan_to_num(np.nanmedian(np.where(np.isfinite(cut), cut, 0)[:, ring], axis=1))[:, None, None]
    return np.nan_to_num(cut), rows - positions[:, 0, None, None], columns - positions[:, 1, None, None]


def _center(signal, found):
    """Centroids under a round window."""
    positions = found + 0.5
    for width in (3.0, 2.5, 2.0):
        cut, down, right = _cut_out(signal, positions, CENTERED)
        weight = np.maximum(cut, 0) * np.exp(-(down**2 + right**2) / (2 * width**2))
        total = np.maximum(weight.sum(axis=(1, 2)), 1e-9)
        step = np.stack([(weight * each).sum(axis=(1, 2)) / total for each in (down, right)], axis=1)
        # the window pulls a centroid to its own centre: half of the way for a star as wide as the window
        positions = np.clip(positions + 1.5 * step, found - 3, found + 4)
    return positions


def _half_flux_radius(signal, positions):
    """Radius with half of the flux of the mean star, pixels; NaN where nothing is measured.

    Its profile is the median of all stars at each distance, which neighbours do not change.
    """
    cut, down, right = _cut_out(signal, positions, CUTOUT)
    distance = np.hypot(down, right)
    heights = np.where(distance < 3, cut, 0).sum(axis=(1, 2))
    use = heights > 0
    if not use.any():
        return np.nan
    shape = (cut[use] / heights[use, None, None]).ravel()
    ring = distance[use].ravel().astype(int)
    rings = np.arange(int(0.8 * CUTOUT))
    profile = np.array([np.median(shape[ring == each]) if (ring == each).any() else 0 for each in rings])
    peak = int(profile.argmax())
    if profile[peak] <= 0:
        return np.nan
    end = peak + int(np.argmax(np.append(profile[peak:], 0) < FAINT * profile[peak]))
    grown = np.cumsum((profile * (2 * rings + 1))[:end])
    return float(np.interp(0.5, np.append(0, grown) / grown[-1], np.arange(end + 1)))


def _outer_radius(radius):
    """Of the ring that the sky is measured in."""
    return WIDE * radius + 8


def _measure_fluxes(signal, positions, radius, cfa):
    """Fluxes in both apertures, each a list by channel, DN."""
    half = int(np.ceil(_outer_radius(radius)))
    whole = np.rint(positions).astype(int)
    steps = np.arange(-half, half + 1)
    rows, columns = whole[:, 0, None, None] + steps[:, None], whole[:, 1, None, None] + steps
    values = signal[rows, columns]
    color = cfa.channel_map((cfa.period, cfa.period))[rows % cfa.period, columns % cfa.period]
    distance = np.hypot(rows - positions[:, 0, None, None], columns - positions[:, 1, None, None])
    ring = (distance > WIDE * radius + 2) & (distance <= _outer_radius(radius))
    found: tuple[list, list] = [], []
    for channel in range(len(cfa.channels)):
        own = color == channel
        sky = [np.median(each[use]) for each, use in zip(values, ring & own & np.isfinite(values), strict=True)]
        above = values - np.array(sky, np.float32).reshape(-1, 1, 1)
        for fluxes, size in zip(found, (radius, WIDE * radius), strict=True):
            weight = np.clip(size + 0.5 - distance, 0, 1) * own
            fluxes.append(np.where(weight > 0, weight * above, 0).sum(axis=(1, 2), dtype=float))
    return found


def _elongation(signal, positions, radius):
    """Longer over shorter axis of each star in its aperture, from the second moments."""
    cut, down, right = _cut_out(signal, positions, int(np.ceil(WIDE * radius)))
    weight = np.where(np.hypot(down, right) < WIDE * radius, np.maximum(cut, 0), 0)
    total = np.maximum(weight.sum(axis=(1, 2)), 1e-9)
    a, b, c = ((weight * each).sum(axis=(1, 2)) / total for each in (down**2, right**2, down * right))
    mean, half = (a + b) / 2, np.hypot((a - b) / 2, c)
    return np.sqrt((mean + half) / np.maximum(mean - half, 1e-3))
