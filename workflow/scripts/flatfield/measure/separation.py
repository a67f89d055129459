"""The light source separated from the camera: solution, tests, and the flat without it."""

from dataclasses import dataclass

import numpy as np

from flatfield.measure.illumination_tests import cross_check, describe_terms, run_tests, unsolved
from flatfield.measure.response import average_subset, channels_of, correct, draw, solve
from flatfield.raw.mosaic import Mosaic


@dataclass(frozen=True)
class Separation:
    """A light source and what is left of the flat.

    Attributes
    ----------
    terms, tests, cross : list of dict
        Rows of ``illumination.tsv``, ``illumination_tests.tsv`` and ``cross.tsv``.
    source : numpy.ndarray, float32, ``(rows, columns)``
        Light source in its own frame, percent of its mean.
    response : Mosaic
        The flat without it, as far as the angles tell it.
    """

    terms: list
    tests: list
    cross: list
    source: np.ndarray
    response: Mosaic


def separate(subsets, flat, bias, rotations, degree):
    """Separate the light source from the camera.

    Parameters
    ----------
    subsets : dict
        Combined mosaic of each subset by name, with error.
    flat : Mosaic
        ``flat_cfa.fits``, with error and mask.
    bias : Mosaic or None
        Master of the offset frames, with error.
    rotations : list of float
        Of the subsets, degrees.
    degree : int
        Of the Zernike terms.

    Returns
    -------
    Separation
    """
    cfa = flat.cfa
    maps = [average_subset(each.value, each.error, flat.mask, cfa) for each in subsets.values()]
    channels, reason = channels_of(maps, rotations, degree, cfa)
    solved = None if reason else solve(channels, rotations, degree)
    tests = run_tests(solved, channels, rotations, degree) if solved else unsolved(channels, reason)
    found = {row["test"]: row["verdict"] for row in tests}
    source = np.zeros(flat.shape, np.float32)
    if solved:
        source = 100 * np.expm1(draw(solved["common"], degree, flat.shape, 0))
    value, error = flat.value, flat.error
    divided = bool(solved) and found["angles"] == "as given"
    if divided:
        value, error = correct(subsets, rotations, solved, found["channels differ"] == "yes", degree)
        if bias is not None:
            error = np.hypot(error, bias.error)
    header = flat.header.copy()
    header["IMAGETYP"] = "Response"
    header["ILLUMIN"] = (degree if divided else 0, "degree of the source divided out")
    return Separation(
        describe_terms(solved, degree, rotations, cfa.channels, reason),
        tests,
        cross_check(maps, subsets, rotations, solved if divided else None, value, cfa),
        source,
        Mosaic(value, cfa, header, error, flat.mask),
    )
