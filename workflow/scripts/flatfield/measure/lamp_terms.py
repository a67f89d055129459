"""Which terms of the light source the angles and aims of the subsets determine, and how large the others may be."""

import numpy as np

from flatfield.measure.zernike import evaluate_terms, unit_size, zernike_terms

#: Least change of a term over the angles (1 is most) for which angles determine it: below, errors of angles dominate.
VISIBLE = 0.1
#: Least change of a term, in parts of the largest distance of two aims, for which aims determine it.
VISIBLE_BY_AIM = 0.03
#: Rms of the radial part of a lamp of which nothing is known, over the unit circle.
UNKNOWN_RADIAL = 0.005


def told_terms(degree, poses, x=None, y=None):
    """Terms that the angles and aims of the subsets separate from the flat, by the rank of the whole problem.

    Parameters
    ----------
    degree : int
    poses : Poses
    x, y : numpy.ndarray, optional
        Where the blocks lie, half diagonals; a frame of 2 to 3 where left out.

    Returns
    -------
    told, hidden : dict
        For each term how much of it changes between the subsets that no other term and no level explains, in parts of
        its rms over the frame.

    Notes
    -----
    A term of angular order m only turns its phase by m t under a turn by t, so that angles alone change it by
    ``sqrt(1 - |mean of exp(i m t)|^2)``. For aims the change is what is left of the
    column of the term after the others.
    """
    if x is None:
        x, y = (each.ravel() for each in np.meshgrid(np.linspace(-0.83, 0.83, 24), np.linspace(-0.55, 0.55, 16)))
    terms = zernike_terms(degree)
    turned = np.exp(1j * np.radians(poses.rotations))
    change = {term: float(np.sqrt(max(1 - abs(np.mean(turned ** abs(term[1]))) ** 2, 0))) for term in terms}
    told = {term: each for term, each in change.items() if each >= VISIBLE}
    if poses.aim_span > 0:
        seen = np.array([evaluate_terms(terms, *poses.place(x, y, k)) for k in range(len(poses))])
        size = seen[0].std(axis=0)
        seen = seen - seen.mean(axis=0)
        seen -= seen.mean(axis=1, keepdims=True)
        matrix = np.einsum("kbi,kbj->ij", seen, seen) / (seen.shape[0] * seen.shape[1]) / np.outer(size, size)
        left = np.sqrt(1 / np.diag(np.linalg.inv(matrix + 1e-12 * np.eye(len(terms)))))
        least = min(VISIBLE, VISIBLE_BY_AIM * poses.aim_span)
        for term, each in zip(terms, left, strict=True):
            if term not in told and each >= least:
                told[term] = float(each)
    told = {term: told[term] for term in terms if term in told}
    return told, {term: change[term] for term in terms if term not in told}


def hidden_sizes(told, coefficients, variances, hidden):
    """Sizes that hidden terms may have: as large as determined ones of their degree.

    All terms of a degree of a source without a preferred direction have the same rms. A radial one may be
    `UNKNOWN_RADIAL` in addition: a lamp that is even in all that angles show may well be brighter in the middle.

    Returns
    -------
    numpy.ndarray
        Standard deviations of the coefficients.
    """
    power: dict[int, float] = {}
    for n in sorted({n for n, _ in told}):
        squares = [
            max(value**2 - variance, 0) * unit_size(term) ** 2
            for term, value, variance in zip(told, coefficients, variances, strict=True)
            if term[0] == n
        ]
        power[n] = float(np.mean(squares))
    lowest = next(iter(power.values()), 0.0)
    sizes = []
    for term in hidden:
        floor = 0.0 if term[1] else UNKNOWN_RADIAL / 4 ** (term[0] // 2 - 1)
        sizes.append(np.sqrt(power.get(term[0], lowest) + floor**2) / unit_size(term))
    return np.array(sizes)
