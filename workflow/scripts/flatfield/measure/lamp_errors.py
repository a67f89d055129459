"""How uneven a light source is, and how wrong the response may be: with the errors of the whole."""

import numpy as np

from flatfield.measure.lamp_blocks import slopes_of
from flatfield.measure.lamp_terms import VISIBLE
from flatfield.measure.zernike import evaluate_terms


def seen_terms(solution):
    """Terms of the source that count as seen: determined ones, and finer ones of angular orders that are determined."""
    hidden = {abs(term[1]) for term in solution.model.hidden}
    seen = {abs(term[1]) for term in solution.terms}
    finer = [term for term in solution.model.finer if abs(term[1]) not in hidden]
    turned = np.exp(1j * np.radians(solution.poses.rotations))
    finer = [term for term in finer if abs(term[1]) in seen or abs(np.mean(turned ** abs(term[1]))) < 1 - VISIBLE]
    return [*solution.terms, *finer]


def unevenness(solution, x, y, chosen=lambda term: True):
    """Rms of the part of ln I over points of the frame that the subsets determine, and its standard error.

    Parameters
    ----------
    solution : Illumination
    x, y : numpy.ndarray
        Half diagonals.
    chosen : callable
        Says of each term whether it counts.

    Returns
    -------
    rms, error : float
        What the errors of the coefficients add to the square is taken off.
    """
    which = [term for term in seen_terms(solution) if chosen(term)]
    if not which:
        return 0.0, 0.0
    values = evaluate_terms(which, x, y).reshape(-1, len(which))
    values = values - values.mean(axis=0)
    gram, index = values.T @ values / len(values), [solution.model.source.index(term) for term in which]
    covariance, coefficients = solution.covariance[np.ix_(index, index)], solution.values[index]
    square, noise = coefficients @ gram @ coefficients, float(np.trace(gram @ covariance))
    rms = float(np.sqrt(max(square - noise, 0)))
    slope = gram @ coefficients
    error = float(np.sqrt(slope @ covariance @ slope)) / rms if square > 4 * noise else float(np.sqrt(noise))
    if solution.other:
        error = float(np.hypot(error, (unevenness(solution.other, x, y, chosen)[0] - rms) / np.sqrt(2)))
    return rms, error


def hidden_part(solution, x, y):
    """Rms that the hidden terms of ln I may have over points of the frame, finer ones of the same orders included."""
    seen, model = seen_terms(solution), solution.model
    if not model.hidden:
        return 0.0
    finer = [index for index in model.columns["finer"] if model.source[index] not in seen]
    terms = [*model.hidden, *(model.source[index] for index in finer)]
    sizes = np.concatenate([solution.hidden, np.sqrt(np.diag(solution.covariance)[finer])])
    values = evaluate_terms(terms, x, y).reshape(-1, len(terms))
    return float(np.sqrt((values.std(axis=0) ** 2 * sizes**2).sum()))


def whole_unevenness(solution, x, y):
    """Rms of the part of ln I that shows, as `unevenness`, and its standard error as that of the whole of ln I."""
    seen, error = unevenness(solution, x, y)
    return seen, float(np.hypot(error, np.hypot(seen, hidden_part(solution, x, y)) - seen))


def response_errors(solution, x, y, weights):
    """Variances of ln of the response at points of the frame: of the solution, and of what stays hidden in it.

    The response is the mean over the subsets, with these weights, of ln C less ln I. Its level does not count.

    Parameters
    ----------
    solution : Illumination
    x, y : numpy.ndarray, ``(points,)``
        Half diagonals, over the whole frame.
    weights : sequence of float
        Of the subsets, 1 in sum.

    Returns
    -------
    solved, hidden : numpy.ndarray, ``(points,)``
    """
    model, slopes = solution.model, slopes_of(solution.level, x, y)
    mean = np.zeros((x.size, model.count))
    for k, weight in enumerate(weights):
        mean += weight * model.evaluate(k, x, y, solution.poses, solution.source, slopes)
    mean -= mean.mean(axis=0)
    hidden = model.columns["hidden"]
    left = solution.values.copy()  # what was not divided out: the best estimate of it is part of the error
    left[model.columns["told"]] = left[model.columns["finer"]] = left[model.columns["geometry"]] = 0
    rest = np.delete(np.arange(model.count), hidden)
    of_hidden = (mean[:, hidden] ** 2 * solution.hidden**2).sum(axis=1)
    solved = np.einsum("bi,ij,bj->b", mean[:, rest], solution.covariance[np.ix_(rest, rest)], mean[:, rest])
    solved = np.maximum(solved, 0) + (mean[:, rest] @ left[rest]) ** 2
    if solution.other:
        apart = log_of_mean(solution.other, x, y, weights) - log_of_mean(solution, x, y, weights)
        solved += (apart - apart.mean()) ** 2 / 2
    return solved, of_hidden


def log_of_mean(solution, x, y, weights):
    """What is divided out: mean of ln I over the subsets, with these weights, at points of the frame."""
    return sum(weight * solution.log_source(x, y, k) for k, weight in enumerate(weights))


def source_errors(solution, x, y):
    """Variance of ln of the part of the source that shows, at points of its frame; its level does not count.

    Parameters
    ----------
    solution : Illumination
    x, y : numpy.ndarray
        Half diagonals.

    Returns
    -------
    numpy.ndarray
    """
    terms = seen_terms(solution)
    index = [solution.model.source.index(term) for term in terms]
    values = evaluate_terms(terms, x, y)
    values = values - values.reshape(-1, len(terms)).mean(axis=0)
    variance = np.einsum("...i,ij,...j->...", values, solution.covariance[np.ix_(index, index)], values)
    if solution.other:
        variance += (values @ (solution.other.values - solution.values)[index]) ** 2 / 2
    return variance
