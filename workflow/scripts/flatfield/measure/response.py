"""The response: the flat without its light source (an illumination correction)."""

import numpy as np
from scipy.ndimage import uniform_filter

from flatfield.measure import illumination

#: Side of the box, in blocks, over which the squares of errors are averaged.
NEIGHBOURS = 9


def average_subset(mosaic, error, mask, cfa):
    """Blocks of a subset, their errors from those of their neighbours, as one of few frames and pixels is uncertain."""
    logs, errors, x, y = illumination.average_logs(mosaic, error, mask == 0, cfa)
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


def draw(solution, degree, shape, rotation):
    """ln I at all pixels with the camera turned, float32."""
    return illumination.draw_polynomial(lambda x, y: solution.log_ratio(x, y, rotation), degree, shape)


def correct(subsets, rotations, solved, differ, degree):
    """Flat without the light source, and its standard error."""
    frames = np.array([subset.header["NCOMBINE"] for subset in subsets.values()], float)
    weights = frames / frames.sum()
    first = next(iter(subsets.values()))
    shape = first.shape
    solutions = solved["channels"] if differ else [solved["common"]]
    channel_map = first.cfa.channel_map(shape) if differ else None
    value, variance = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for subset, rotation, weight in zip(subsets.values(), rotations, weights, strict=True):
        factor = by_channel([draw(each, degree, shape, rotation) for each in solutions], channel_map)
        factor = np.float32(weight) * np.exp(-factor)
        value += factor * subset.value
        factor *= subset.error
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
