"""Sets judge each other: responses of one lens before different lamps must agree, but for what each lamp hides."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.optimize import nnls

from flatfield.files.fits import read_image
from flatfield.measure.zernike import evaluate_terms, zernike_terms

#: Terms of the smooth part of a difference: dust that moved between the sets is not the lamp.
SMOOTH = ((0, 0), *zernike_terms(6))
#: Weight of what is expected of a set beside what differences say.
WEIGHT_OF_PRIOR = 0.1
#: Differences are significant above this many errors.
SIGNIFICANT = 4.0


@dataclass(frozen=True)
class Closure:
    """How far the responses of two sets agree: rms of ln of their ratio on large scales and its error, relative."""

    first: str
    second: str
    rms: float
    error: float

    @property
    def significant(self):
        """Whether they differ by more than their errors."""
        return self.rms > SIGNIFICANT * self.error

    def other(self, name):
        """The other set."""
        return self.second if name == self.first else self.first


def read_response(path):
    """ln of a response in blocks, and its standard error, ``(channels, rows, columns)``."""
    return read_image(path)[0], read_image(path, "UNCERT")[0]


def compare_responses(one, other):
    """Rms of the smooth part of ln of the ratio of two responses, and what noise adds to it.

    Parameters
    ----------
    one, other : tuple of numpy.ndarray, ``(channels, rows, columns)``
        ln of the response in blocks, and its standard error.

    Returns
    -------
    rms, noise : float
        None where the blocks cannot be compared.
    """
    if one[0].shape != other[0].shape:
        return None, None
    difference, error = one[0] - other[0], np.hypot(one[1], other[1])
    known = (np.isfinite(difference) & np.isfinite(error) & (error > 0)).all(axis=0)
    if known.sum() < 3 * len(SMOOTH):
        return None, None
    difference, weight = difference[:, known], 1 / error[:, known] ** 2
    difference = difference - np.average(difference, axis=1, weights=weight)[:, None]
    mean, weight = (difference * weight).sum(axis=0) / weight.sum(axis=0), weight.sum(axis=0)
    rows, columns = known.shape
    y, x = np.mgrid[0:rows, 0:columns]
    half = np.hypot(rows, columns) / 2
    x, y = (x[known] + 0.5 - columns / 2) / half, (rows / 2 - y[known] - 0.5) / half
    terms = evaluate_terms(SMOOTH, x, y)
    scaled = terms * np.sqrt(weight)[:, None]
    covariance = np.linalg.inv(scaled.T @ scaled)
    fit = terms @ (covariance @ (scaled.T @ (mean * np.sqrt(weight))))
    noise = np.einsum("bi,ij,bj->b", terms, covariance, terms).mean()
    return float(np.sqrt(max(fit.var() - noise, 0))), float(np.sqrt(noise))


def close(responses, errors):
    """Compare the responses of sets of one lens with each other.

    Parameters
    ----------
    responses : dict
        What `read_response` returns, by set.
    errors : dict
        Error of each response but for what its lamp hides, relative.

    Returns
    -------
    list of Closure
    """
    found = []
    for one, other in combinations(responses, 2):
        rms, noise = compare_responses(responses[one], responses[other])
        if rms is not None:
            found.append(Closure(one, other, rms, float(np.hypot(noise, np.hypot(errors[one], errors[other])))))
    return found


def hidden_of_sets(closures, hidden):
    """What the lamp of each set hides, from what is expected of it and from differences between sets.

    The variance of a difference is the sum of those of its two sets. A set whose lamp hides nothing (a subset with
    another aim gave its radial part) is the measure of the others. Without one, what is larger than expected is shared
    out by least squares: two sets alone do not show which is wrong, so that both may be.

    Parameters
    ----------
    closures : list of Closure
    hidden : dict
        What the lamp of each set may hide, relative rms; 0 where nothing.

    Returns
    -------
    dict
    """
    found = dict(hidden)
    known = {name for name, size in hidden.items() if size == 0}
    for name in hidden.keys() - known:
        measured = [each.rms for each in closures if name in (each.first, each.second) and each.other(name) in known]
        if measured:
            found[name] = float(np.sqrt(np.mean(np.square(measured))))
    names = [name for name in hidden if name not in known and found[name] == hidden[name]]
    pairs = [each for each in closures if each.first in names and each.second in names]
    if pairs:
        scale = max(max(each.rms**2 for each in pairs), max(hidden[name] ** 2 for name in names))
        rows = [[float(name in (each.first, each.second)) for name in names] for each in pairs]
        rows += (WEIGHT_OF_PRIOR * np.eye(len(names))).tolist()
        right = [each.rms**2 / scale for each in pairs]
        right += [WEIGHT_OF_PRIOR * hidden[name] ** 2 / scale for name in names]
        shares, _ = nnls(np.array(rows), np.array(right))
        for name, share in zip(names, shares, strict=True):
            found[name] = max(hidden[name], float(np.sqrt(share * scale)))
    return found
