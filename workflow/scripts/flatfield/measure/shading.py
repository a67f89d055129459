"""Shading corrections in raw frames: a factor g(x, y) of the camera's own shows as a change of variance over level."""

from dataclasses import dataclass

import numpy as np

from flatfield.measure.photon_transfer import LEAST_VARIANCE, LINEAR_PART, NONLINEARITY
from flatfield.raw.robust import SIGMA_PER_MAD

#: Rounds of the fit, which is not linear.
ROUNDS = 10
#: Weight of an expectation that holds a parameter where it is.
HELD = 1e12
#: Tiles that a fit needs.
FEWEST_TILES = 30
#: Read noise that is expected at most without offset frames, e-; what may be left of the black level, relative and DN.
READ_NOISE, BLACK_LEFT, BLACK_LEFT_DN = 20.0, 0.005, 1.0
#: Tiles further than this many standard deviations off hold more than noise (stars).
OUTLIER = 5.0
#: Effects, in the order of the terms.
TERMS = "shading radial", "shading left to right", "shading top to bottom", "amplifiers left and right"


@dataclass(frozen=True)
class Shading:
    """Factor of the camera, and what the same data show of its linearity.

    Attributes
    ----------
    percent, error : numpy.ndarray, ``(terms,)``
        Of `TERMS`: corner over centre, right edge over left, bottom over top, right half over left, less 1. The error
        holds what a sensor that is not linear (`NONLINEARITY`) would change.
    percent_if_linear, error_if_linear : numpy.ndarray, ``(terms,)``
        The same for a sensor that is linear.
    nonlinearity, nonlinearity_error : float
        Signal at saturation against a straight line, percent, from the variances alone.
    """

    percent: np.ndarray
    error: np.ndarray
    percent_if_linear: np.ndarray
    error_if_linear: np.ndarray
    nonlinearity: float
    nonlinearity_error: float


def measure_shading(level, variance, count, positions, shape, full=None, read_variance=None, has_black=True):
    """Factor by which a camera multiplied its frames, the same for all channels that are given.

    Parameters
    ----------
    level, variance, count : numpy.ndarray, ``(levels, channels, rows, columns)``
        Of tiles: DN above black, DN^2 (with what neighbours share), number of pixels.
    positions : tuple of numpy.ndarray, ``(rows, columns)``
        x right and y down, pixels from the centre of the frame.
    shape : tuple of int
        Of the frame, pixels.
    full : list of float, optional
        Signal at saturation of each channel, DN above black; the highest level stands for what is not known.
    read_variance : tuple of float, optional
        Mean variance of offset frames and its error, DN^2.
    has_black : bool
        Whether the black level is known, but for `BLACK_LEFT` and `BLACK_LEFT_DN`.

    Returns
    -------
    Shading or None
    reason : str
        Why there is none.

    Notes
    -----
    Light s (DN) has the variance s / gain + r^2. Multiplied by g, its level is S = g s and its variance
    g S / gain + g^2 r^2, whatever the light is like: the gain of each channel and r^2 are fitted with
    g = 1 + sum c_k B_k(x, y). A signal s (1 - a s / full) adds -3 a S^2 / (gain full), which looks like a shading where
    the light falls off from the centre, unless tiles of one place have several levels. So does an intercept.
    """
    channels = level.shape[1]
    known = [limit or 0.0 for limit in full or [None] * channels]
    full = np.array([limit or max(float(level[:, index].max()), 1.0) for index, limit in enumerate(known)])
    limits = np.where(np.array(known) > 0, LINEAR_PART * full, np.inf)[:, None, None]
    kept = (level > 0) & (level < limits) & (count > 4)
    if kept.sum() < FEWEST_TILES * channels:
        return None, "too few tiles below 70 % of saturation"
    if np.median(variance[kept]) < LEAST_VARIANCE:
        return None, f"noise below {LEAST_VARIANCE**0.5:g} DN is lost in the steps of the digitisation"
    owner = np.broadcast_to(np.arange(channels)[:, None, None], level.shape)[kept]
    basis = np.array([np.broadcast_to(each, level.shape)[kept] for each in _basis(positions, shape)])
    if read_variance is None:
        gain = float(np.median(variance[kept] / level[kept]))
        usual = float(np.median(variance[kept]))
        # a wrong black level p is an intercept of -p / gain
        left = np.hypot(BLACK_LEFT * usual, BLACK_LEFT_DN * gain) if has_black else usual
        read_variance = 0.0, float(np.hypot((READ_NOISE * gain) ** 2, left))
    data = level[kept], variance[kept], count[kept], owner, basis, full, read_variance
    fits = [_fit(*data, allowed) for allowed in (NONLINEARITY, 1e-9, 1e3)]
    if not all(np.isfinite(each).all() for fit in fits for each in fit):
        return None, "variance and level do not separate a factor from the gain"
    (expected, error), (linear, linear_error), (free, free_error) = fits
    first = channels + 2
    of_black = BLACK_LEFT_DN / float(np.median(level[kept]))  # a black level that differs across the frame
    terms = [
        expected[first:],
        np.hypot(error[first:], of_black),
        linear[first:],
        np.hypot(linear_error[first:], of_black),
    ]
    terms = [100 * each for each in terms]
    bend = [100 / 3 * float(each[first - 1]) for each in (free, free_error)]
    return Shading(terms[0], terms[1], terms[2], terms[3], bend[0], bend[1]), ""


def _basis(positions, shape):
    """Functions of the `TERMS`."""
    x, y = positions
    side = float(np.abs(np.diff(x, axis=1)).max(initial=0.0))
    half = np.where(2 * np.abs(x) < 0.99 * side, 0.0, np.sign(x))  # a tile in the middle holds both halves
    return (x**2 + y**2) / (np.hypot(*shape) / 2) ** 2, x / shape[1], y / shape[0], half / 2


def _fit(s, v, n, owner, basis, full, read_variance, nonlinearity):
    """Parameters (1 / gain of each channel, read variance, bend, shading) and errors, by Gauss-Newton steps.

    Errors are the larger ones of those at the solution and those without any shading, as they depend on it.
    """
    channels, usual = len(full), float(np.median(v))
    one_of = (owner == np.arange(channels)[:, None]).astype(float)
    gains = np.array([np.median(v[owner == index] / s[owner == index]) for index in range(channels)])
    found = np.concatenate([gains, [0.0, 0.0], np.zeros(len(basis))])
    middle = np.concatenate([np.zeros(channels), [read_variance[0]], np.zeros(1 + len(basis))])
    priors = np.concatenate([np.zeros(channels), [read_variance[1] ** -2, (3 * nonlinearity) ** -2]])
    scale = np.concatenate([gains, [usual], np.ones(1 + len(basis))])
    relative, kept = s / full[owner], np.ones(len(s))

    def equations(found, of_terms):
        slope, r2, bend = found[:channels][owner], found[channels], found[channels + 1]
        g = 1 + found[channels + 2 :] @ basis
        model = slope * s * (g + bend * relative) + r2 * g**2
        weight = kept * (n - 1) / (2 * np.maximum(model, 0.2 * gains[owner] * s) ** 2)
        terms = [one_of * s * (g + bend * relative), [g**2, slope * s * relative], basis * (slope * s + 2 * r2 * g)]
        slopes, prior = np.vstack(terms), np.concatenate([priors, np.full(len(basis), of_terms)])
        normal = ((slopes * weight) @ slopes.T + np.diag(prior)) * np.outer(scale, scale)
        right = (slopes * weight) @ (v - model) + prior * (middle - found)
        return np.linalg.inv(normal) * np.outer(scale, scale), right, np.sqrt(weight) * (v - model)

    errors = []
    try:
        for of_terms in (HELD, 1.0):  # first without shading
            for _ in range(ROUNDS):
                inverse, right, pulls = equations(found, of_terms)
                step = inverse @ right
                found = found + step / max(1.0, float(np.abs(step / scale).max()) / 0.5)
            if of_terms == HELD:
                rest = np.abs(pulls - np.median(pulls))
                kept[rest > OUTLIER * max(1.0, SIGMA_PER_MAD * float(np.median(rest)))] = 0.0
            inverse, _, pulls = equations(found, 1.0)
            errors.append(np.sqrt(np.diag(inverse)))
    except np.linalg.LinAlgError:
        return found * np.nan, found * np.nan
    return found, np.maximum(*errors) * np.sqrt(max(float(pulls @ pulls) / max(kept.sum() - len(found), 1), 1.0))
