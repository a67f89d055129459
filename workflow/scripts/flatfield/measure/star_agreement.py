"""Do the stars agree? One star at two places of the sensor must have one brightness after flat-fielding."""

import numpy as np

from flatfield.files.tables import mark_undetermined
from flatfield.measure.pixel_area import fit_pixel_area
from flatfield.measure.star_fit import FEWEST_FRAMES, FEWEST_IN_FRAME, FEWEST_STARS, TERMS, fit_flat_error
from flatfield.measure.star_grid import arrange_stars
from flatfield.measure.star_matching import find_staying
from flatfield.measure.stars import LARGEST

STAR_COLUMNS = ["term", "channel", "percent", "error", "verdict", "meaning"]
CONSISTENT, OVER, UNDER, NOT_TOLD = "consistent", "over-corrects", "under-corrects", "not told"
#: Standard errors beyond which a flat is wrong, and up to which stars agree; the least that counts, percent.
SIGNIFICANT, AGREEING, NEGLIGIBLE = 3.5, 2.5, 0.3
#: Standard error, percent, up to which stars agree; and from which there is no number.
TELLING, HOPELESS = 1.0, 10.0
#: Elongation of the images of stars that trail.
TRAILED = 2.5
#: Pixels that stars must move at least.
MOVED = 5.0
#: Part of its movement by which the distance of a star from the centre must change, else the field only turned.
RADIAL = 0.1
#: Why stars of a channel, and gradients, tell nothing.
TOO_FEW = "too few stars that are not saturated"
SHIFTED = "a shift changes all stars alike, as another exposure would; a turn of the camera tells (meridian flip)"


def compare_stars(frames, shape, channels):
    """Rows of ``stars.tsv``: the error of the flat that the stars of a light show.

    Parameters
    ----------
    frames : list of flatfield.measure.stars.Stars
        In the order of the frames.
    shape : tuple of int
        Rows and columns of a frame.
    channels : sequence of str

    Returns
    -------
    list of dict
        See `STAR_COLUMNS`; a row a term and channel.
    """
    grid = arrange_stars(frames, shape, channels)
    reason = _why_no_stars(frames) or _why_no_matches(grid, frames)
    if reason:
        return [_row(term, channel, None, None, reason) for channel in channels for term in TERMS]
    area = fit_pixel_area(grid.positions)
    lost_sky = np.array([100 * float(area.error(1.0)), 0, 0])
    seen_area = np.exp(area.logarithm(np.hypot(grid.positions[..., 0], grid.positions[..., 1])))
    rows, why = [], [_why_not_radial(grid), *[SHIFTED] * 2]
    for channel in channels:
        found, again = (fit_flat_error(grid, kind[channel] * seen_area) for kind in (grid.flux, grid.wide))
        if found is None or again is None:
            rows += [_row(term, channel, None, None, TOO_FEW) for term in TERMS]
            continue
        (value, error), (other, other_error) = found, again
        apart = np.abs(value - other)
        lost = np.where(apart > SIGNIFICANT * np.maximum(error, other_error), apart, 0)
        total = np.sqrt(error**2 + lost**2 + lost_sky**2)
        rows += [
            _row(term, channel, float(value[i]), float(total[i]), _why_large(error[i], lost[i], lost_sky[i], why[i]))
            for i, term in enumerate(TERMS)
        ]
    return rows


def _why_no_stars(frames):
    """Why stars cannot be compared, before they are matched; empty where they can."""
    found = [each for each in frames if len(each)]
    if len(frames) < FEWEST_FRAMES:
        return "one frame"
    if not found or np.median([len(each) for each in frames]) < FEWEST_IN_FRAME:
        return "too few stars above the noise that stand alone and are not at the edge"
    if np.median([each.radius for each in found]) >= LARGEST:
        return "the images of the stars are too large: trails, or out of focus"
    if np.median(np.concatenate([each.elongation for each in found])) > TRAILED:
        return "the stars are trails"
    return ""


def _why_no_matches(grid, frames):
    """Why matched stars cannot be compared; empty where they can."""
    if len(grid.positions) >= FEWEST_STARS:
        return ""
    staying = np.concatenate(find_staying([each.positions for each in frames]))
    if np.mean(staying) > 0.5:
        return "the frames did not move: all that looks like a star stays at its place"
    return f"too few stars found again in other frames ({len(grid.positions)})"


def _why_not_radial(grid):
    """Why the error is large, from the way the stars moved."""
    positions = np.where(grid.seen[..., None], grid.positions, np.nan)
    moved = np.median(np.hypot(*np.moveaxis(np.nanmax(positions, axis=1) - np.nanmin(positions, axis=1), 1, 0)))
    radius = np.hypot(positions[..., 0], positions[..., 1])
    radial = np.median(np.nanmax(radius, axis=1) - np.nanmin(radius, axis=1))
    pixels = moved * grid.half_diagonal
    if pixels < MOVED:
        return f"the frames hardly moved (stars by {pixels:.2g} pixels)"
    if radial < RADIAL * moved:
        return "the field turned about the centre, which changes no distance from it"
    frames = np.count_nonzero(grid.seen.any(axis=0))
    return f"stars moved by {pixels:.0f} pixels ({len(positions)} stars, {frames} frames): more of each tells more"


def _why_large(error, lost, area, why):
    """The largest part of an error, in words."""
    if lost > max(error, area):
        return f"a wider aperture gives {lost:.2g} % more or less: star images differ over the frame"
    if area > error:
        return f"the sky area of a pixel at the corner is known to {area:.2g} % only; {why}"
    return why


def _row(term, channel, percent, error, meaning):
    """A row of the table; without a number where there is none."""
    verdict = NOT_TOLD
    if percent is None or error > HOPELESS:
        percent = error = None
    else:
        if abs(percent) > max(SIGNIFICANT * error, NEGLIGIBLE):
            verdict = OVER if percent > 0 else UNDER
        elif error > TELLING:
            verdict = NOT_TOLD
        elif abs(percent) <= max(AGREEING * error, NEGLIGIBLE):
            verdict = CONSISTENT
        else:
            meaning = f"{percent / error:+.1f} standard errors neither show an error of the flat nor exclude one"
    text = f"not told: {meaning}" if verdict == NOT_TOLD else TERMS[term]
    return mark_undetermined(
        {"term": term, "channel": channel, "percent": percent, "error": error, "verdict": verdict, "meaning": text}
    )
