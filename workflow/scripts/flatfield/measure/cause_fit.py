"""Causes of a light that is not even, weighed against each other and against skies of any smooth form.

The evidence of each combination of causes and each family of skies is integrated over its parameters: exactly over
those that are linear, about the most probable values of the others (Laplace's approximation).
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from flatfield.measure.cause_model import MOVES, PEDESTAL_SIZES, PEDESTALS, PLAIN, Hypothesis, Linear, Point
from flatfield.measure.evidence import weigh
from flatfield.measure.radial_models import fit_free_radial
from flatfield.measure.sky_families import Family, sky_families

#: Terms of the radial function by which a vignetting is moved: more would not go on beyond the frame.
TERMS = 3
#: Tiles of each channel that must have a sky level.
FEWEST_TILES = 24
#: Relative error of a tile that is always allowed for: small-scale structure of the sky.
FLOOR = 5e-4
#: The same of a picture, whose colours were mixed, whose noise was encoded and perhaps filtered.
PICTURE_FLOOR = 0.01
#: Tiles this many standard deviations off the richest sky are left out (stars, galaxies, trees).
OUTLIER = 5.0
#: Rounds in which they are found: a bright one hides others.
OUTLIER_ROUNDS = 8
#: Polynomials (of degree 2) from which bright compact things are found, rounds of their robust fit, and the share of
#: the tiles that must be left.
COMPACT, HUBER_ROUNDS, COMPACT_SHARE = 5, 12, 0.7
#: Probabilities of the causes before the light was seen; a raw file is as good as never encoded, a picture always.
PRIOR = {"pedestal": 0.1, "wrong flat": 0.1, "flat not flat": 0.3, "shutter": 0.5}
ENCODED_RAW, ENCODED_PICTURE = 1e-6, 0.993
#: Largest ln gamma, shift in x and y, and ln scale, either way.
REACH = np.array([1.5, 0.3, 0.3, 0.1])
#: Rounds in which the nonlinear parameters are found.
ROUNDS = 6
#: Families in which they are found first.
SIMPLE_SLOPE, SIMPLE_COLOR = 0.16, 0.5
#: How pictures are encoded: by a power, or by a curve of the standards.
PICTURE_CURVES = {None: 0.2, "sRGB": 0.4, "BT.709": 0.4}


@dataclass
class Weighed:
    """A hypothesis with its evidence in each family of skies.

    Attributes
    ----------
    hypothesis : Hypothesis
    log_weight : numpy.ndarray, ``(families,)``
        ln of evidence x prior.
    point : list of Linear
        Where each family was best described.
    found, covariance : numpy.ndarray, ``(families, columns)`` and ``(families, columns, columns)``
        Of the columns of `Linear`.
    """

    hypothesis: Hypothesis
    log_weight: np.ndarray
    point: list
    found: np.ndarray
    covariance: np.ndarray


class CauseFit:
    """Causes of an uneven light, weighed.

    Parameters
    ----------
    tiles : flatfield.measure.tiles.Tiles
    is_picture : bool
        Values of 0 to 255 of a picture, which may be encoded by one of `encodings.CURVES`.
    shutter : bool
        Whether the flats were exposed so briefly that they hold the shutter.
    """

    def __init__(self, tiles, is_picture=False, shutter=False):
        self.tiles, self.is_picture, self.may_hold_shutter = tiles, is_picture, shutter
        level = np.nanmedian(tiles.light) if np.isfinite(tiles.light).any() else 0.0
        self.unit = 255.0 if is_picture else float(level) if level > 0 else 1.0
        light = tiles.light / self.unit
        flat_known = np.isfinite(tiles.flat) & (tiles.flat > 0)
        self.known = np.isfinite(light) & np.isfinite(tiles.light_error) & flat_known & (light > 0)
        if is_picture:
            self.known &= (tiles.light > 2) & (tiles.light < 250)
        self.seen = self.known.reshape(len(light), -1)  # tiles whose light is known, though it may not count
        self.light = np.where(self.known, light, 1.0)
        self.flat = np.where(self.known, tiles.flat, 1.0)
        floor = PICTURE_FLOOR if is_picture else FLOOR
        self.error = np.where(self.known, np.hypot(tiles.light_error / self.unit, floor * self.light), 1.0)
        self.source = None if tiles.source is None else np.where(self.known, tiles.source, 0.0)
        self.x, self.y, self.noise_scale = tiles.x, tiles.y, 1.0
        self.basis, self.kernels, self.families = sky_families(tiles.x, tiles.y, self.channels)
        self.flat_errors = np.zeros((self.basis.shape[1], 0))
        if tiles.flat_errors is not None:
            functions = tiles.flat_errors.reshape(len(tiles.flat_errors), -1)
            self.flat_errors = self.basis.T @ functions.T / len(self.basis)
        if self.enough:
            self.vignettings = [
                fit_free_radial(tiles.x, tiles.y, values, known / values**2, TERMS)
                for values, known in zip(self.flat, self.known, strict=True)
            ]
            self.in_place = [each.evaluate(self.x, self.y) for each in self.vignettings]

    @property
    def enough(self):
        """Whether the tiles give more than the parameters take."""
        return bool((self.known.sum(axis=(1, 2)) >= FEWEST_TILES).all())

    @property
    def channels(self):
        return len(self.light)

    def moved(self, values):
        """ln of the moved vignetting over that in its place."""
        dx, dy, log_scale = values
        scale = np.exp(log_scale)
        moved = [each.evaluate((self.x - dx) / scale, (self.y - dy) / scale) for each in self.vignettings]
        return np.log(np.clip(np.array(moved) / self.in_place, 0.05, 20))

    def moved_flat(self, source, values):
        """The flat, moved and without its light source where it holds one."""
        flat = self.flat * np.exp(-self.source) if source and self.source is not None else self.flat
        return flat * np.exp(self.moved(values)) if np.any(values) else flat

    def changes(self, source, values):
        """Change of ln of the moved flat with shift and scale."""
        base = self.moved(values)
        for index in range(3):
            there = np.array(values, float)
            there[index] += 1e-4
            yield (self.moved(there) - base) / 1e-4

    def linear(self, curve=None, source=False, values=(0.0, 0.0, 0.0, 0.0), family=None):
        return Linear(self, Point(curve, source, np.array(values, float)), family)

    # Noise

    def leave_out_structure(self):
        """Take out tiles that even the richest sky misses, and set how much larger the scatter is than the noise."""
        index = max(range(len(self.kernels)), key=lambda each: self.kernels[each].functions.shape[1])
        rich = Family(index, 0.25, 0.5 if self.channels > 1 else 0.0, 0.0)
        self._leave_out_compact()
        rest = np.zeros_like(self.light)
        for _ in range(OUTLIER_ROUNDS):
            line = self.linear(family=rich)
            _, model = self.most_probable(line, PLAIN, rich)
            rest = ((line.columns[..., -1] - model) * np.sqrt(line.weights)).reshape(self.light.shape)
            outside = self._outside(rest)
            if not outside.any() or (self.known & ~outside).mean() < 0.5:
                break
            self.known = self.known & ~outside
        rest = np.where(self.known, rest, 0)
        taken = self.kernels[index].functions.shape[1] + self.channels
        scale = max((rest**2).sum() / max(self.known.sum() - taken, 1), 1.0)
        together = (rest[:, :, 1:] * rest[:, :, :-1]).sum() + (rest[:, 1:] * rest[:, :-1]).sum()
        correlation = together / 2 / max((rest**2).sum(), 1e-30) - 2 / np.sqrt(self.known.sum())
        correlation = np.clip(correlation, 0, 0.95)
        self.noise_scale = scale * ((1 + correlation) / (1 - correlation)) ** 2

    def _outside(self, rest):
        """Tiles that are far off in any channel, by their residuals in standard errors."""
        spread = max(1.4826 * np.median(np.abs(rest[self.known])), 1.0)
        outside = self.known & (np.abs(rest) > OUTLIER * spread)
        return np.broadcast_to(outside.any(axis=0), outside.shape)

    def _leave_out_compact(self):
        """Take out tiles that are far off a robust polynomial: bright stars and their reflections, edges, trees."""
        design = np.concatenate([np.ones((len(self.basis), 1)), self.basis[:, :COMPACT]], axis=1)
        rest = np.zeros_like(self.light)
        for channel in range(self.channels):
            divided = (self.light[channel] / self.flat[channel]).ravel()
            error, known = (self.error[channel] / self.flat[channel]).ravel(), self.known[channel].ravel()
            weights = known / error**2
            for _ in range(HUBER_ROUNDS):
                weighted = design.T * weights
                off = (
                    divided - design @ np.linalg.lstsq(weighted @ design, weighted @ divided, rcond=1e-12)[0]
                ) / error
                spread = max(1.4826 * np.median(np.abs(off[known])), 1e-9)
                weights = known / error**2 * np.minimum(1, spread / np.maximum(np.abs(off), 1e-9)) ** 2
            rest[channel] = off.reshape(rest[channel].shape)
        outside = self._outside(rest)
        if (self.known & ~outside).sum() >= COMPACT_SHARE * self.known.sum():
            self.known = self.known & ~outside

    def most_probable(self, line, hypothesis, family):
        """Coefficients of the columns, and the data that they, the sky of a family and the flat's error make."""
        coefficients, sky, _, flat_error = line.projection.sky_of(family, *line.prior(hypothesis))
        return coefficients, line.columns[..., :-1] @ coefficients + (sky + flat_error) @ self.basis.T

    @property
    def unexplained(self):
        """What the richest sky leaves beyond the noise, relative, rms."""
        relative = (self.error / self.light)[self.known]
        return float(np.sqrt(max(self.noise_scale - 1, 0) * np.median(relative**2)))

    def sky_rms(self, sky):
        """Rms of a sky about its mean over the tiles that count, by its coefficients ``(channels, polynomials)``."""
        values, known = sky @ self.basis[:, : sky.shape[1]].T, self.known.reshape(self.channels, -1)
        return float(np.sqrt(np.mean([np.var(own[there]) for own, there in zip(values, known, strict=True)])))

    # Hypotheses

    def hypotheses(self):
        """All combinations of causes, with ln of their probability before the light was seen."""
        encodings: list[tuple[str | None, bool, float]]
        encodings = [(None, False, 1 - ENCODED_RAW), (None, True, ENCODED_RAW)]
        if self.is_picture:
            encodings = [(None, False, 1 - ENCODED_PICTURE)]
            encodings += [(curve, curve is None, ENCODED_PICTURE * odds) for curve, odds in PICTURE_CURVES.items()]
        sources = [(False, 1.0)]
        if self.source is not None:
            sources = [(False, 1 - PRIOR["flat not flat"]), (True, PRIOR["flat not flat"])]
        moves = [(None, 1 - PRIOR["wrong flat"])] + [(name, PRIOR["wrong flat"] * odds) for name, odds in MOVES.items()]
        pedestals: list[tuple[str | None, float, float]]
        pedestals = [(None, PEDESTAL_SIZES[-1], 1 - PRIOR["pedestal"])]
        kinds = PEDESTALS if self.channels > 1 else {"any": 1.0}
        share = PRIOR["pedestal"] / len(PEDESTAL_SIZES)
        pedestals += [(name, size, share * odds) for name, odds in kinds.items() for size in PEDESTAL_SIZES]
        shutters = [(False, 1.0)]
        if self.may_hold_shutter:
            shutters = [(False, 1 - PRIOR["shutter"]), (True, PRIOR["shutter"])]
        for encoding, source, move, pedestal, shutter in product(encodings, sources, moves, pedestals, shutters):
            odds = np.log(encoding[2]) + sum(np.log(each[-1]) for each in (source, move, pedestal, shutter))
            yield Hypothesis(*encoding[:2], source[0], move[0], *pedestal[:2], shutter[0]), float(odds)

    def _settle(self, line, hypothesis, family):
        """Gauss-Newton steps of the nonlinear parameters in one family of skies."""
        for _ in range(ROUNDS):
            step = self.most_probable(line, hypothesis, family)[0][2 * self.channels : 2 * self.channels + 4]
            values = np.clip(line.point.values + step, -REACH, REACH)
            done = np.abs(values - line.point.values).max() < 2e-4
            line = self.linear(line.point.curve, line.point.source, values, family)
            if done:
                break
        return line

    def weigh(self):
        """Evidence of all hypotheses.

        Returns
        -------
        list of Weighed
        """
        groups = {}
        for hypothesis, log_prior in self.hypotheses():
            key = (hypothesis.curve, hypothesis.source, hypothesis.power, hypothesis.move is not None)
            groups.setdefault(key, []).append((hypothesis, log_prior))
        starts: dict = {}
        results = []
        linear = [index for index, kernel in enumerate(self.kernels) if kernel.kind == "linear"]
        simple = Family(linear[0], SIMPLE_SLOPE, SIMPLE_COLOR if self.channels > 1 else 0.0, 0.0)
        for (curve, source, power, moved), members in groups.items():
            if (curve, source) not in starts:
                line = self.linear(curve, source)
                starts[curve, source] = line, line.projection.marginal(self.families)
            start = starts[curve, source]
            points = [start]
            if power or moved:
                widest = Hypothesis(None, power, source, "shifted, scaled" if moved else None, "any")
                line = self._settle(start[0], widest, simple)
                points = [(line, line.projection.marginal(self.families))]
                # where a structured sky explains more, the parameters are others
                log_weight, found, _ = self.weigh_at(start[0], start[1], widest)
                best = int(np.argmax(log_weight))
                step = found[best][2 * self.channels : 2 * self.channels + 4]
                line = self.linear(curve, source, np.clip(step, -REACH / 3, REACH / 3), self.families[best])
                points.append((line, line.projection.marginal(self.families)))
            results += [self._best_of(points, hypothesis, log_prior) for hypothesis, log_prior in members]
        return results

    def weigh_at(self, line, marginal, hypothesis):
        transform, mean, precision = line.prior(hypothesis)
        log_evidence, found, covariance = weigh(marginal, transform, mean, precision)
        log_prior = np.array([family.log_prior for family in self.families])
        return log_evidence + log_prior, found @ transform.T, transform @ covariance @ transform.T

    def _best_of(self, points, hypothesis, log_prior):
        tried = [self.weigh_at(line, marginal, hypothesis) for line, marginal in points]
        which = np.argmax([each[0] for each in tried], axis=0)
        rows = np.arange(len(which))
        weight, found, covariance = (np.stack(each)[which, rows] for each in zip(*tried, strict=True))
        return Weighed(hypothesis, weight + log_prior, [points[each][0] for each in which], found, covariance)
