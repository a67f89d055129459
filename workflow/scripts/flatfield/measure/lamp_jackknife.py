"""Errors of the light source from the data themselves: the solution without one part of them after the other."""

import numpy as np

#: Side of the areas that are left out, blocks.
SIDE = 6


def jackknife(normal, rows, residuals, sizes, scale, group):
    """Covariance of all columns from solutions that leave out one group of data in turn.

    Parameters
    ----------
    normal : flatfield.measure.components.Normal
        Normal equations of all data.
    rows, residuals : numpy.ndarray, ``(subsets, blocks, columns)``, ``(subsets, blocks)``
        Whitened columns of the model, and what the solution leaves.
    sizes, scale : numpy.ndarray, float
        Of the columns (infinite for fixed ones), and variance of the data, as `flatfield.measure.components.estimate`
        takes them.
    group : numpy.ndarray of int
        Of each datum, or what broadcasts to it.

    Returns
    -------
    numpy.ndarray, ``(columns, columns)``
        (n - 1) / n times the sum of the products of the changes about their mean (Tukey 1958), which holds for data
        that go together within groups (Kunsch 1989).

    Notes
    -----
    Sizes of random columns are kept. Then a change is exactly -(A - A_g)^-1 s_g, where A_g is the part of the group in
    the matrix A of the normal equations, and s_g its part of the right side, of what is left of the data.
    """
    fixed = np.isinf(sizes)
    unit = np.where(fixed, 1.0, sizes)
    whole = normal.matrix * np.outer(unit, unit) / scale + np.diag(np.where(fixed, 0.0, 1.0))
    columns, left = rows.reshape(-1, rows.shape[-1]) * (unit / np.sqrt(scale)), residuals.ravel() / np.sqrt(scale)
    group, changes = np.broadcast_to(group, residuals.shape).ravel(), []
    order = np.argsort(group, kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        own = columns[part]
        changes.append(unit * np.linalg.solve(whole - own.T @ own, own.T @ left[part]))
    apart = np.array(changes)
    apart -= apart.mean(axis=0)
    return (1 - 1 / len(apart)) * apart.T @ apart


def larger(found, expected, columns):
    """How much larger variances are than expected ones, the mean over some columns; 1 at least."""
    ratios = np.diag(found)[columns] / np.maximum(np.diag(expected)[columns], np.finfo(float).tiny)
    return max(float(ratios.mean()), 1.0) if ratios.size else 1.0


def areas(blocks, side=SIDE):
    """Number of the area of the frame, `side` blocks wide and high, in which each block lies."""
    across = np.unique(np.round(blocks.x, 9)).size
    width = np.ptp(blocks.x) / max(across - 1, 1) * side
    right, up = (np.floor((each - each.min()) / width + 1e-9).astype(int) for each in (blocks.x, blocks.y))
    return np.unique(right * 1000 + up, return_inverse=True)[1]
