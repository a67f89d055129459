"""What a flat may be wrong by on large scales: its light source, as far as the subsets leave it open."""

import numpy as np

from flatfield.files.tables import number_of
from flatfield.measure.lamp_terms import hidden_sizes
from flatfield.measure.zernike import evaluate_terms

#: Functions of a smaller rms over the frame, relative, do not count.
NEGLIGIBLE = 1e-5


def smooth_errors(terms, geometry, divided_out, x, y):
    """Functions whose sum, with independent normal numbers of standard deviation 1, is the error of ln of a response.

    Terms of the light source that look the same in all subsets are in the response, as large as they are expected to be
    (`flatfield.measure.lamp_terms.hidden_sizes`). Of the others their errors are, less what the turns of the camera
    average out: of a term of order m the modulus of the mean of exp(i m t) over the angles t is left. Of a source that
    was not divided out they are there themselves.

    Parameters
    ----------
    terms, geometry : list of dict
        Rows of ``illumination.tsv`` and ``geometry.tsv``.
    divided_out : bool
        Whether the response is the flat without what is known of the source.
    x, y : numpy.ndarray, ``(columns,)`` and ``(rows,)``
        Where they are evaluated, half diagonals, to the right and up.

    Returns
    -------
    numpy.ndarray, ``(functions, rows, columns)``
        Relative.
    """
    found, hidden = {}, []
    for row in terms:
        if row["channel"] != "ALL":
            continue
        term = int(row["n"]), int(row["m"]) * (-1 if row["kind"] == "sin" else 1)
        value, error = number_of(row["percent"]), number_of(row["error"])
        if value is None or error is None:
            hidden.append(term)
        else:
            found[term] = value / 100, error / 100
    values, errors = np.array(list(found.values())).reshape(-1, 2).T
    angles = [number_of(row["found"]) or 0.0 for row in geometry if row["quantity"] == "rotation"]
    turned = np.exp(1j * np.radians(angles or [0.0]))
    stays = np.array([abs(np.mean(turned ** abs(m))) for _, m in found])
    left = (errors if divided_out else np.hypot(values, errors)) * stays
    sizes = np.concatenate([left, hidden_sizes(list(found), values, errors**2, hidden)])
    functions = np.moveaxis(evaluate_terms([*found, *hidden], *np.meshgrid(x, y)) * sizes, -1, 0)
    return functions[functions.std(axis=(1, 2)) > NEGLIGIBLE]
