"""The light source separated from the camera: solution, tests, and the flat without it."""

from dataclasses import dataclass, replace

import numpy as np

from flatfield.measure.angles import find_free, one_sign_only
from flatfield.measure.blocks import block_side
from flatfield.measure.illumination import solve_channel, solve_illumination
from flatfield.measure.illumination_tests import (
    SIGNIFICANT,
    chance_of_even,
    cross_check,
    describe_geometry,
    describe_terms,
    run_tests,
    unsolved,
    verdict,
)
from flatfield.measure.lamp_blocks import Blocks
from flatfield.measure.lamp_errors import source_errors
from flatfield.measure.moved_dust import find_moved
from flatfield.measure.response import (
    BLOCKS_ACROSS,
    DEGREE_OF_VARIANCE,
    average_logs,
    average_subset,
    channels_of,
    correct,
    draw_error,
    draw_hidden,
    share_of_blocks,
    weights_of,
)
from flatfield.measure.zernike import draw_smooth
from flatfield.raw.mosaic import Mosaic

#: Value of ``MASK`` of a response where dust moved between the subsets.
MASKED_MOVED = 8
#: Spots that are listed.
LISTED = 3


@dataclass(frozen=True)
class Separation:
    """A light source and what remains of the flat.

    Attributes
    ----------
    terms, tests, cross, geometry : list of dict
        Rows of ``illumination.tsv``, ``illumination_tests.tsv``, ``cross.tsv`` and ``geometry.tsv``.
    source, source_error, hidden : numpy.ndarray, float32, ``(rows, columns)``
        Light source in its own frame, its standard error, and what may stay hidden in the response; percent.
    response : Mosaic
        The flat without it, as far as the subsets determine it.
    blocks : tuple of numpy.ndarray, ``(channels, block rows, block columns)``
        ln of the response in blocks, and its standard error, for comparison with other sets.
    """

    terms: list
    tests: list
    cross: list
    geometry: list
    source: np.ndarray
    source_error: np.ndarray
    hidden: np.ndarray
    response: Mosaic
    blocks: tuple


#: Why angles that are not known cannot be solved for.
NOT_TURNED = (
    "the angles are not known and the subsets do not differ: the camera was not turned, or the light source is even; "
    "fill in `rotation`"
)


def separate(subsets, flat, bias, poses, degree, trust_angles=False):
    """Separate the light source from the camera.

    Parameters
    ----------
    subsets : dict
        Combined mosaic of each subset by name, with error.
    flat : Mosaic
        ``flat_cfa.fits``, with error and mask.
    bias : Mosaic or None
        Master of the offset frames, with error.
    poses : flatfield.measure.poses.Poses
        Angles and aims of the subsets.
    degree : int
        Of the Zernike terms.
    trust_angles : bool
        Take the sign of two angles, which the frames do not show, as given.

    Returns
    -------
    Separation
    """
    cfa, shape, names, parts = flat.cfa, flat.shape, list(subsets), list(subsets.values())
    moved, spots = find_moved(subsets, flat.mask == 0, cfa)
    good = (flat.mask == 0) & ~moved
    share = share_of_blocks(good, cfa)
    maps = [average_subset(each.value, each.error, good, cfa, share) for each in parts]
    channels, reason = channels_of(maps, poses, degree, cfa)
    blocks, solution, singles = Blocks.merge(channels) if channels else None, None, []
    if blocks and not reason:
        poses = find_free(blocks, poses, degree)
        solution, other = solve_illumination(blocks, poses, degree), None
        if one_sign_only(poses):
            other = solve_illumination(blocks, poses.turned(-poses.rotations), degree)
            solution = replace(solution, other=None if trust_angles else other)
        if not solution.terms:
            solution, reason = None, "no term changes with these angles and aims"
        elif poses.free[:, 0].any() and chance_of_even(solution) >= SIGNIFICANT:
            solution, reason = None, NOT_TURNED
    weights = weights_of(parts)
    if solution:
        singles = [solve_channel(solution, Blocks.merge([channel])) for channel in channels]
        options = {
            "degree": degree,
            "other": other,
            "place_of": _place_of(maps, names, shape, cfa, blocks),
        }
        tests = run_tests(solution, singles, blocks, poses, names, weights, options)
    else:
        tests = unsolved(blocks, poses, reason)
    tests.append(_judge_dust(spots))
    found = {row["test"]: row["verdict"] for row in tests}
    value, error, divided = flat.value, flat.error, False
    if solution and found["divided out"] == "yes":
        divided = True
        own = [solution.coefficients]
        if found["channels differ"] == "yes":
            mean = np.mean([each for each, _ in singles], axis=0)
            own = [solution.coefficients + each - mean for each, _ in singles]
        value, error = correct(parts, solution, own, draw_error(solution, weights, shape))
        if bias is not None:
            error = np.hypot(error, bias.error, out=error)
    header = flat.header.copy()
    header["IMAGETYP"] = "Response"
    header["ILLUMIN"] = (degree if divided else 0, "degree of the source divided out")
    mask = flat.mask | np.where(moved, np.uint8(MASKED_MOVED), np.uint8(0)) if spots else flat.mask
    logs, errors, *_ = average_logs(value, error, good, cfa, share)
    cross = cross_check(maps, subsets, solution if divided else None, value, cfa)
    source, source_error, hidden = _draw_source(solution, weights, shape)  # last, as planes are large
    return Separation(
        describe_terms(solution, singles, degree, poses, cfa.channels, reason),
        tests,
        cross,
        describe_geometry(solution, names) if solution else [],
        source,
        source_error,
        hidden,
        Mosaic(value, cfa, header, error, mask),
        (logs, errors),
    )


def _draw_source(solution, weights, shape):
    """Light source, its error, and what may stay hidden in the response, percent; zero where there is no solution."""
    if solution is None:
        return tuple(np.zeros(shape, np.float32) for _ in range(3))
    source = draw_smooth(solution.log_source, solution.drawn_degree, shape)
    variance = draw_smooth(lambda x, y: source_errors(solution, x, y), DEGREE_OF_VARIANCE, shape)
    np.expm1(source, out=source)
    np.sqrt(np.maximum(variance, 0, out=variance), out=variance)
    planes = source, variance, draw_hidden(solution, weights, shape)
    return tuple(np.multiply(plane, 100, out=plane) for plane in planes)


def _place_of(maps, names, shape, cfa, blocks):
    """Words for the place and size of the largest residual of the blocks."""
    size = block_side(shape, cfa, BLOCKS_ACROSS)

    def words(residuals):
        subset, index = np.unravel_index(np.abs(residuals).argmax(), residuals.shape)
        x, y = maps[0][2].mean(axis=0), maps[0][3].mean(axis=0)
        distance = np.hypot(x - blocks.x[index], y - blocks.y[index])
        row, column = (int((each + 0.5) * size) for each in np.unravel_index(distance.argmin(), distance.shape))
        percent = 100 * float(np.expm1(residuals[subset, index]))
        return f"most in {names[subset]}, {percent:+.2g} % at row {row}, column {column}"

    return words


def _judge_dust(spots):
    """Whether dust moved between the subsets: a row of the table of tests."""
    listed = "; ".join(
        f"row {spot.row}, column {spot.column}: {100 * spot.depth:+.2g} % in {spot.subset}" for spot in spots[:LISTED]
    )
    more = f" and {len(spots) - LISTED} more" if len(spots) > LISTED else ""
    return verdict("dust moved", f"{len(spots)} spots" if spots else "no", listed + more)
