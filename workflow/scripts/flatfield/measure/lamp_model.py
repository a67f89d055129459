"""The linear model of the subsets: columns for the light source, the geometry, and what changed between subsets."""

import numpy as np

from flatfield.measure.components import Normal
from flatfield.measure.lamp_blocks import slopes_of
from flatfield.measure.zernike import evaluate_slopes, evaluate_terms, unit_size, zernike_terms

#: Degrees above that of the terms that are looked for in the source, and as many where these leave structure.
FINER, FINEST = 4, 8
#: How far a lens may give way to gravity, half diagonals: 0.01 mm behind a full-frame lens. As frames hardly show it,
#: it is not solved for, but part of the errors; its size in the solution is next to nothing.
SAG, UNKNOWABLE = 5e-4, 1e-9


class Model:
    """Columns of the linear model about a state: which is which, and their values at points of the frame.

    Columns: determined terms (`told`), hidden terms, finer terms; geometry (3 of each subset but the first); terms of
    the hidden part times errors of geometry; for each subset what changed in its light (terms), and a shift of the
    vignetting; and a shift that keeps its direction in the frame of the source, as that of a lens that sags does, which
    looks like terms of order 1.
    """

    def __init__(self, told, hidden, degree, poses, finer=FINER):
        self.told, self.hidden = list(told), list(hidden)
        self.finer = zernike_terms(degree + finer, degree + 1)
        self.source = [*self.told, *self.hidden, *self.finer]
        self.changing = zernike_terms(degree)
        self.poses = poses
        k, t, h, f = len(poses), len(self.told), len(self.hidden), len(self.finer)
        counts = {
            "told": t,
            "hidden": h,
            "finer": f,
            "geometry": 3 * (k - 1),
            "products": 3 * (k - 1) * h,
            "light": k * len(self.changing),
            "vignetting": 2 * k,
            "sag": 2,
        }
        ends = np.cumsum([0, *counts.values()])
        self.columns = {name: np.arange(a, b) for name, a, b in zip(counts, ends[:-1], ends[1:], strict=True)}
        self.count = int(ends[-1])

    def evaluate(self, subset, x, y, poses, coefficients, slopes=None):
        """Values of all columns in a subset, ``(points, columns)``, about poses and coefficients of the source."""
        result = np.zeros((x.size, self.count))
        at = poses.place(x, y, subset)
        n = len(self.source)
        result[:, :n], right, up = evaluate_slopes(self.source, *at)
        if subset:
            first = 3 * (subset - 1)
            hidden = self.columns["hidden"]
            along = np.stack([right @ coefficients, up @ coefficients])
            for part, (du, dv) in enumerate(poses.slopes(x, y, subset)):
                result[:, self.columns["geometry"][first + part]] = du * along[0] + dv * along[1]
                start = (first + part) * hidden.size
                products = du[:, None] * right[:, hidden] + dv[:, None] * up[:, hidden]
                result[:, self.columns["products"][start : start + hidden.size]] = products
        block = self.columns["light"].reshape(len(poses), -1)[subset]
        result[:, block] = evaluate_terms(self.changing, x, y)
        if slopes is not None:
            result[:, self.columns["vignetting"][2 * subset : 2 * subset + 2]] = slopes
            turn = np.radians(poses.rotations[subset])
            down = [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
            result[:, self.columns["sag"]] = slopes @ down
        return result

    def sizes(self, hidden, priors, spread):
        """Sizes of the columns; those with a common size that is fitted in units of it."""
        result = np.full(self.count, np.inf)
        result[self.columns["hidden"]] = hidden
        result[self.columns["finer"]] = [1 / unit_size(term) / term[0] for term in self.finer]
        result[self.columns["geometry"]] = priors[1:].ravel()
        result[self.columns["products"]] = np.outer(spread.ravel(), hidden).ravel()
        per_subset = [1 / unit_size(term) / term[0] for term in self.changing]
        result[self.columns["light"]] = np.tile(per_subset, len(self.poses))
        result[self.columns["vignetting"]] = 1.0
        result[self.columns["sag"]] = UNKNOWABLE
        return result


def normal_of(model, blocks, poses, coefficients, offsets):
    """Normal equations after ln R of each block and a level of each subset are eliminated, and the whitened rows."""
    count, n = blocks.logs.shape
    weight, slopes = 1 / blocks.errors**2, slopes_of(blocks.level, blocks.x, blocks.y)
    values = np.empty((count, n, model.count + count))
    for k in range(count):
        values[k, :, : model.count] = model.evaluate(k, blocks.x, blocks.y, poses, coefficients, slopes)
        values[k, :, model.count : -1] = 0
        if k:
            values[k, :, model.count + k - 1] = 1
        values[k, :, -1] = blocks.logs[k] + values[k][:, model.columns["geometry"]] @ offsets
    values -= (values * weight[..., None]).sum(axis=0) / weight.sum(axis=0)[:, None]
    values *= np.sqrt(weight)[..., None]
    flat = values.reshape(count * n, -1)
    levels = flat[:, model.count : -1]
    flat = np.delete(flat, np.s_[model.count : flat.shape[1] - 1], axis=1)
    flat -= levels @ np.linalg.solve(levels.T @ levels, levels.T @ flat)
    whole = flat.T @ flat
    normal = Normal(whole[:-1, :-1], whole[:-1, -1], float(whole[-1, -1]), (count - 1) * (n - 1))
    return normal, flat.reshape(count, n, -1)


def sagging(model, normal, found):
    """Covariance of all columns that comes with a lens that may sag by `SAG`.

    Parameters
    ----------
    model : Model
    normal : flatfield.measure.components.Normal
        Normal matrix of its columns.
    found : flatfield.measure.components.Estimate
        The solution.

    Returns
    -------
    numpy.ndarray, ``(columns, columns)``

    Sag looks like terms of order 1. It is a consider parameter (Schmidt 1966): left out of the solution, whose error is
    the part of it that the solution takes for something else.
    """
    sag = model.columns["sag"]
    taken = found.covariance @ normal.matrix[:, sag] / found.scale
    taken[sag] = -np.eye(2)
    return SAG**2 * taken @ taken.T
