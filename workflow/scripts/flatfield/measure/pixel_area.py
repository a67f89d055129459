"""The area of sky that a pixel sees, over the frame, from how far stars move at each place of it."""

from dataclasses import dataclass

import numpy as np

#: Radial distortion (of the second and fourth power) and curvature (1 / focal length squared) that a fit begins with,
#: with the steps of its derivatives; lengths in half diagonals of the frame.
START = np.array([0.0, 0.0, 0.01])
STEPS = np.array([1e-3, 1e-3, 2e-3])
#: Widths of the priors on these: lenses from fisheyes to telescopes.
WIDTHS = np.array([0.3, 0.3, 2.0])
#: Least curvature; a field of a degree has it.
FLATTEST = 1e-4
#: Steps of the fit at most; rounds of pointings and directions for one map; part of an error that ends the steps.
ITERATIONS, ROUNDS, SETTLED = 12, 12, 0.02
#: Stars that a frame must have for its pointing.
FEWEST = 6


@dataclass(frozen=True)
class PixelArea:
    """Area of sky of a pixel, relative to the centre.

    Attributes
    ----------
    parameters : numpy.ndarray, ``(3,)``
        Distortion of r^2 and r^4, curvature.
    covariance : numpy.ndarray, ``(3, 3)``
    """

    parameters: np.ndarray
    covariance: np.ndarray

    def logarithm(self, radius):
        """Natural logarithm of the area at a distance from the centre, half diagonals."""
        return _log_area(self.parameters, np.asarray(radius, float))

    def error(self, radius):
        """Its standard error."""
        radius = np.asarray(radius, float)
        slopes = [
            (_log_area(self.parameters + step, radius) - _log_area(self.parameters - step, radius)) / (2 * step.sum())
            for step in np.diag(STEPS)
        ]
        return np.sqrt(np.einsum("i...,ij,j...->...", slopes, self.covariance, slopes))


def _log_area(parameters, radius):
    """Area of sky of the map from a pixel to a direction: a radial stretch, then a tangent plane."""
    a, b, curvature = parameters[0], parameters[1], max(parameters[2], FLATTEST)
    square = radius**2
    stretch, slope = 1 + a * square + b * square**2, 1 + 3 * a * square + 5 * b * square**2
    plane = curvature * square * stretch**2
    return np.log(np.maximum(stretch * slope, 1e-3)) - 1.5 * np.log1p(plane)


def fit_pixel_area(positions):
    """Fit the map from pixels to directions to the places of stars in many frames.

    One rigid sky is turned in front of the camera from frame to frame: with the right map all frames agree. The map is
    radial about the centre of the frame; its parameters follow by Gauss-Newton steps, the pointing of each frame and
    the direction of each star in turn.

    Parameters
    ----------
    positions : numpy.ndarray, float64, ``(stars, frames, 2)``
        From the centre, half diagonals; NaN where a star is not seen.

    Returns
    -------
    PixelArea
    """
    seen = np.isfinite(positions[..., 0])
    seen &= seen.sum(axis=0) >= FEWEST
    seen &= (seen.sum(axis=1) >= 2)[:, None]
    parameters, prior = START.copy(), np.diag(1 / WIDTHS**2)
    free = max(2 * (seen.sum() - seen.any(axis=1).sum()) - 3 * seen.any(axis=0).sum() - 3, 1)
    normal, scale = np.zeros((3, 3)), 1.0
    for _ in range(ITERATIONS if seen.any() else 0):
        pointing = _point(parameters, positions, seen, np.tile(np.eye(3), (positions.shape[1], 1, 1)), True)
        miss = _misses(parameters, positions, seen, pointing)
        slopes = np.stack(
            [
                (
                    _misses(parameters + step, positions, seen, _point(parameters + step, positions, seen, pointing))
                    - miss
                )
                / step.sum()
                for step in np.diag(STEPS)
            ],
            axis=1,
        )
        size = np.hypot(*miss.reshape(-1, 2).T)
        typical = max(np.median(size), 1e-7)
        weight = np.repeat(np.minimum(1, 2.5 * typical / np.maximum(size, 1e-12)), 2)
        scale = max((weight * miss**2).sum() / free, 1e-14)
        normal = (slopes.T * weight) @ slopes / scale
        step = np.linalg.solve(normal + prior, -(slopes.T * weight) @ miss / scale - prior @ (parameters - START))
        parameters = parameters + np.clip(step, -0.2, 0.2)
        parameters[2] = max(parameters[2], FLATTEST)
        if (np.abs(step) < SETTLED * np.sqrt(np.diag(np.linalg.inv(normal + prior)))).all():
            break
    return PixelArea(parameters, np.linalg.inv(normal + prior))


def _directions(parameters, positions):
    """Unit vectors of places in the frame, and the square root of the curvature."""
    a, b, root = parameters[0], parameters[1], np.sqrt(max(parameters[2], FLATTEST))
    square = (positions**2).sum(axis=-1, keepdims=True)
    plane = root * positions * (1 + a * square + b * square**2)
    vectors = np.concatenate([plane, np.ones_like(square)], axis=-1)
    return np.nan_to_num(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)), root


def _mean_directions(vectors, seen, pointing):
    """Direction of each star in the sky, and the vectors turned there."""
    turned = np.einsum("kij,skj->ski", pointing, vectors)
    mean = (turned * seen[..., None]).sum(axis=1)
    return mean / np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-12), turned


def _point(parameters, positions, seen, pointing, anew=False):
    """Rotation of each frame onto the common sky (Kabsch), with the directions of the stars in turn."""
    vectors, _ = _directions(parameters, positions)
    done = np.zeros(positions.shape[1], bool)
    first = int(seen.sum(axis=0).argmax())
    done[first] = True
    for turn in range(ROUNDS):
        use = seen & done if anew and turn < 3 else seen
        mean, _ = _mean_directions(vectors, use, pointing)
        known = seen & use.any(axis=1)[:, None]
        cross = np.einsum("sk,si,skj->kij", known.astype(float), mean, vectors)
        u, _, vt = np.linalg.svd(cross)
        sign = np.ones((len(u), 3))
        sign[:, 2] = np.sign(np.linalg.det(u @ vt))
        fitted = known.sum(axis=0) >= FEWEST
        done |= fitted
        pointing = np.where(fitted[:, None, None], (u * sign[:, None, :]) @ vt, pointing)
    return pointing


def _misses(parameters, positions, seen, pointing):
    """By how much each seen star is off its common direction, half diagonals."""
    vectors, root = _directions(parameters, positions)
    mean, turned = _mean_directions(vectors, seen, pointing)
    back = np.einsum("kij,sk,ski->skj", pointing, seen.astype(float), turned - mean[:, None])
    # in pixels of the place: else a map that shrinks the frame would shrink the noise as well
    size = np.exp(0.5 * _log_area(parameters, np.hypot(*positions[seen].T)))
    return (back[seen][:, :2] / (root * size[:, None])).ravel()
