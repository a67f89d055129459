"""Magnitudes of stars, zero points of frames and a smooth error of the flat, solved for together."""

import numpy as np
from scipy.optimize import nnls

#: What the fit determines: the corner against the centre, and from edge to edge.
TERMS = {
    "corner": "brightness of stars at the corners against the centre",
    "gradient x": "from the left to the right edge",
    "gradient y": "from the top to the bottom edge",
}
#: Stars that must count; those that a frame must show; frames that must show a star.
FEWEST_STARS, FEWEST_IN_FRAME, FEWEST_FRAMES = 20, 8, 2
#: Standard deviations beyond which an observation counts less.
CLIPPED = 3.0
#: Steps of the fit.
STEPS = 8
#: One over the squares of the widths of the priors on r^2, r^4, x, y: a flat is hardly wrong by 50 %, and its error
#: beyond r^2 is of the order of 1 % where the stars do not show that it is larger.
PRIOR = np.diag([4.0, 1e4, 4.0, 4.0])


def fit_flat_error(grid, flux):
    """Solve for the magnitudes of the stars, the zero points of the frames and a smooth error of the flat together.

    A flux is star x frame x (1 + a r^2 + b r^4 + c x + d y). The fit is of ratios to the model, not of logarithms of
    fluxes, which noise would bias. The weights follow the scatter of bright and faint stars; what is far off counts
    less. The errors come from the residuals, star by star.

    Parameters
    ----------
    grid : StarGrid
    flux : numpy.ndarray, ``(stars, frames)``
        NaN where not known.

    Returns
    -------
    tuple of numpy.ndarray or None
        Percent and standard error of `TERMS`; None where there are too few stars.
    """
    use = _usable(flux, grid.seen)
    stars = use.any(axis=1)
    if np.count_nonzero(stars) < FEWEST_STARS:
        return None
    use, flux = use[stars], np.where(use, flux, 1.0)[stars]
    x, y = np.moveaxis(np.where(use[..., None], grid.positions[stars], 0), 2, 0)
    square = x**2 + y**2
    basis = np.stack([square, square**2, x, y], axis=-1)
    star, zero = _start(flux, use)
    terms = np.zeros(len(basis[0, 0]))
    for _ in range(STEPS):
        model = np.exp(star[:, None] + zero + basis @ terms)
        miss = np.where(use, flux / model - 1, 0)
        weight = _weigh(miss, model, use)
        steps, inverse, projected = _solve(weight, basis, miss, terms)
        star, zero, terms = star + steps[0], zero + steps[1], terms + steps[2]
    covariance = _jackknife(weight, miss, inverse, projected)
    shown = np.array([[1, 1, 0, 0], [0, 0, 2 * grid.aspect[0], 0], [0, 0, 0, 2 * grid.aspect[1]]])
    error = 100 * np.sqrt(np.einsum("ti,ij,tj->t", shown, covariance, shown))
    return 100 * np.expm1(shown @ terms), error


def _jackknife(weight, miss, inverse, projected):
    """Covariance of the terms from what each star changes in them: the residuals of a star need not be independent."""
    scores = np.einsum("sk,skt->st", weight * miss, projected)
    own = np.einsum("sk,ski,skj->sij", weight, projected, projected)
    changes = np.linalg.solve(np.linalg.inv(inverse) - own, scores[..., None])[..., 0]
    count, zeros = int(np.count_nonzero(weight)), int(np.count_nonzero(weight.any(axis=0)))
    growth = count / max(count - zeros, 1)  # the zero points take their part of the residuals as well
    return growth * changes.T @ changes + inverse @ PRIOR @ inverse


def _usable(flux, seen):
    """Observations of stars that are seen in two frames, of frames that have a few."""
    use = seen & (np.nan_to_num(flux) > 0)
    use &= (use.sum(axis=0) >= FEWEST_IN_FRAME)[None, :]
    return use & (use.sum(axis=1) >= FEWEST_FRAMES)[:, None]


def _start(flux, use):
    """Logarithms of the stars and zero points, by medians."""
    known = np.where(use, np.log(flux), np.nan)
    zero = np.zeros(flux.shape[1])
    seen = use.any(axis=0)
    for _ in range(10):
        star = np.nanmedian(known - zero, axis=1)
        zero[seen] = np.nanmedian((known - star[:, None])[:, seen], axis=0)
    return star, zero


def _weigh(miss, model, use):
    """Weights: one over the variance of stars as bright, less for what is far off, and none for what is further."""
    order = np.argsort(model[use])
    bins = np.array_split(order, min(12, max(len(order) // 30, 1)))
    level = np.array([np.median(model[use][each]) for each in bins])
    scatter = np.array([np.median(miss[use][each] ** 2) for each in bins]) / 0.455  # median of chi squared of one
    scatter = np.maximum(scatter, 1e-10)
    parts = np.stack([np.ones_like(level), level[0] / level, (level[0] / level) ** 2], axis=1)
    found = nnls(parts / scatter[:, None], np.ones_like(level))[0]
    share = level[0] / np.where(use, model, level[0])
    variance = np.maximum(found[0] + found[1] * share + found[2] * share**2, scatter.min())
    off = np.abs(miss) / np.sqrt(variance)
    weight = np.minimum(1, CLIPPED / np.maximum(off, 1e-9)) * (off < 2 * CLIPPED) / variance
    return np.where(use, weight, 0)


def _solve(weight, basis, miss, terms):
    """Steps of stars, zero points and terms; inverse information of the terms; their part that only they explain.

    Stars are eliminated first, then zero points, so that what is solved has as many unknowns as there are frames.
    """
    of_star = np.maximum(weight.sum(axis=1), 1e-30)
    heavy = weight[..., None] * basis
    star_terms, star_miss = heavy.sum(axis=1), (weight * miss).sum(axis=1)
    mean = weight / of_star[:, None]
    zz = np.diag(weight.sum(axis=0)) - mean.T @ weight
    zt = heavy.sum(axis=0) - mean.T @ star_terms
    tt = np.einsum("ski,skj->ij", heavy, basis) - star_terms.T @ (star_terms / of_star[:, None])
    z_miss = (weight * miss).sum(axis=0) - mean.T @ star_miss
    t_miss = np.einsum("ski,sk->i", heavy, miss) - star_terms.T @ (star_miss / of_star)
    solved = np.linalg.pinv(zz, rcond=1e-10, hermitian=True) @ np.column_stack([zt, z_miss])
    by_terms, by_miss = solved[:, :-1], solved[:, -1]
    inverse = np.linalg.inv(tt - zt.T @ by_terms + PRIOR)
    terms = inverse @ (t_miss - zt.T @ by_miss - PRIOR @ terms)
    zeros = by_miss - by_terms @ terms
    stars = (star_miss - weight @ zeros - star_terms @ terms) / of_star
    projected = basis - by_terms
    projected = projected - np.einsum("sk,skt->st", mean, projected)[:, None]
    return (stars, zeros, terms), inverse, projected
