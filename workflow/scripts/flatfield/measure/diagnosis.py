"""Why a light divided by its flat is not even: causes tested on the sky level of many tiles against the flat.

The sky that a camera records is L = T[A s V + p]: V the flat, s the sky (1 + a gradient), p a pedestal (wrong black
level, flare), T what encodes the signal (nothing in a raw file, gamma in a picture), V itself may be that of other
optics (shifted, scaled) or hold its own light source. All combinations of causes are fitted; a cause is supported if
all that explain the tiles well need it.
"""

from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np
from scipy.optimize import least_squares

from flatfield.files.tables import mark_undetermined
from flatfield.measure.models import fit_free_radial

#: Terms of the radial function by which a vignetting is moved: more would not go on beyond the frame.
TERMS = 3
#: Tiles of each channel that must have a sky level.
FEWEST_TILES = 24
#: Causes, in words.
CAUSES = {
    "encoded": "the light is encoded (gamma), not linear",
    "pedestal": "a pedestal is left in the light (wrong black level, flare)",
    "flat not flat": "the flat holds its own light source",
    "sky gradient": "the sky is brighter on one side",
    "wrong flat": "the flat is of other optics (its vignetting is shifted or scaled)",
}
SUPPORTED, EXCLUDED, OPEN = "supported", "excluded", "not identifiable from these data"
#: Gain in BIC that supports a cause; what it changes over the frame below which it does not matter, percent.
STRONG, NEGLIGIBLE = 40.0, 1.0
#: The same of a picture, of whose tiles more is allowed for.
PICTURE_STRONG, PICTURE_NEGLIGIBLE = 20.0, 3.0
#: What the format of a picture adds to the gain of its being encoded, as its standards ask (odds of 150 to 1).
PICTURE_PRIOR = 10.0
#: Relative error of a tile that is always allowed for: small-scale structure of the sky.
FLOOR = 5e-4
#: The same of a picture, whose colours were mixed, whose noise was encoded and perhaps filtered.
PICTURE_FLOOR = 0.01
#: Tiles this many standard deviations off the richest model are left out (nebulae, clusters, trees).
OUTLIER = 5.0


# Encodings: signal u to recorded value v, in units of the largest value


def _srgb(u):
    return np.where(u <= 0.0031308, 12.92 * u, 1.055 * np.maximum(u, 1e-12) ** (1 / 2.4) - 0.055)


def _srgb_inverse(v):
    return np.where(v <= 0.04045, v / 12.92, ((np.maximum(v, 0) + 0.055) / 1.055) ** 2.4)


def _bt709(u):
    return np.where(u <= 0.018, 4.5 * u, 1.099 * np.maximum(u, 1e-12) ** 0.45 - 0.099)


def _bt709_inverse(v):
    return np.where(v <= 0.081, v / 4.5, ((np.maximum(v, 0) + 0.099) / 1.099) ** (1 / 0.45))


#: Curves of pictures (IEC 61966-2-1; ITU-R BT.709, LibRaw's default): encode and decode.
CURVES = {"sRGB": (_srgb, _srgb_inverse), "BT.709": (_bt709, _bt709_inverse)}


@dataclass(frozen=True)
class Solution:
    """A combination of causes, fitted.

    Attributes
    ----------
    causes : frozenset of str
    curve : str or None
        Name of a curve where that encodes; None for a power.
    chi2 : float
    parameters : int
    vector : numpy.ndarray
        ln gamma, shift in x and y, ln scale (those that are free), then those of the channels.
    """

    causes: frozenset
    curve: str | None
    chi2: float
    parameters: int
    vector: np.ndarray


class CauseFit:
    """Fits of all combinations of causes to the tiles of a light.

    Parameters
    ----------
    tiles : Tiles
    is_picture : bool
        Values of 0 to 255 of a picture, which may be encoded by one of `CURVES`.
    """

    def __init__(self, tiles, is_picture=False):
        self.tiles, self.is_picture = tiles, is_picture
        self.strong = PICTURE_STRONG if is_picture else STRONG
        self.negligible = PICTURE_NEGLIGIBLE if is_picture else NEGLIGIBLE
        level = np.nanmedian(tiles.light) if np.isfinite(tiles.light).any() else 0.0
        self.unit = 255.0 if is_picture else float(level) if level > 0 else 1.0
        light = tiles.light / self.unit
        flat_known = np.isfinite(tiles.flat) & (tiles.flat > 0)
        self.known = np.isfinite(light) & np.isfinite(tiles.light_error) & flat_known & (light > 0)
        if is_picture:
            self.known &= (tiles.light > 2) & (tiles.light < 250)
        self.light = np.where(self.known, light, 1.0)
        self.flat = np.where(self.known, tiles.flat, 1.0)
        noise = tiles.light_error / self.unit
        floor = PICTURE_FLOOR if is_picture else FLOOR
        self.error = np.where(self.known, np.hypot(noise, floor * self.light), np.inf)
        self.source = None if tiles.source is None else np.where(self.known, tiles.source, 0.0)
        self.vignettings = []
        if self.enough:
            for values, known in zip(self.flat, self.known, strict=True):
                self.vignettings.append(fit_free_radial(tiles.x, tiles.y, values, known / values**2, TERMS))
        self.x, self.y = tiles.x, tiles.y

    @property
    def enough(self):
        """Whether the tiles tell more than the parameters take."""
        return bool((self.known.sum(axis=(1, 2)) >= FEWEST_TILES).all())

    @property
    def channels(self):
        return len(self.light)

    def free(self, causes, curve):
        """Names of the nonlinear parameters."""
        names = ["gamma"] if "encoded" in causes and curve is None else []
        return names + (["dx", "dy", "scale"] if "wrong flat" in causes else [])

    def decode(self, curve, gamma):
        if curve is not None:
            return CURVES[curve][1](self.light)
        return self.light**gamma

    def encode(self, curve, gamma, signal):
        if curve is not None:
            return CURVES[curve][0](signal)
        return np.maximum(signal, 1e-9) ** (1 / gamma)

    def vignetting(self, causes, values):
        """The flat, moved and without its light source where that is a cause."""
        flat = self.flat
        if "flat not flat" in causes and self.source is not None:
            flat = flat * np.exp(-self.source)
        if "wrong flat" in causes:
            x, y = (self.x - values["dx"]) / values["scale"], (self.y - values["dy"]) / values["scale"]
            moved = [each.evaluate(x, y) / each.evaluate(self.x, self.y) for each in self.vignettings]
            flat = flat * np.clip(moved, 0.05, 20)
        return flat

    def columns(self, causes, values, channel):
        """What the linear parameters of a channel multiply."""
        flat = self.vignetting(causes, values)[channel]
        parts = [flat]
        if "sky gradient" in causes:
            parts += [flat * self.x, flat * self.y[:, None]]
        if "pedestal" in causes:
            parts.append(np.ones_like(flat))
        return np.stack(parts, axis=-1)

    def unpack(self, free, theta):
        values = dict(zip(free, theta, strict=True))
        values["gamma"], values["scale"] = np.exp(values.get("gamma", 0.0)), np.exp(values.get("scale", 0.0))
        return values

    def solve_linear(self, causes, curve, values):
        """Linear parameters of each channel, and the signal that they predict."""
        target = self.decode(curve, values["gamma"])
        step = 1e-4 * self.light
        slope = (self._decode_at(curve, values["gamma"], self.light + step) - target) / step
        weight = 1 / (self.error * np.maximum(slope, 1e-6))
        coefficients, signal = [], np.empty_like(self.light)
        for channel in range(self.channels):
            design = self.columns(causes, values, channel)
            flat, w = design.reshape(-1, design.shape[-1]), weight[channel].ravel()
            scaled = flat * w[:, None]
            found = np.linalg.lstsq(scaled, target[channel].ravel() * w, rcond=1e-10)[0]
            coefficients.append(found)
            signal[channel] = design @ found
        return coefficients, signal

    def _decode_at(self, curve, gamma, light):
        return CURVES[curve][1](light) if curve is not None else light**gamma

    def fit(self, causes, curve=None, start=None):
        """Fit a combination of causes.

        Returns
        -------
        Solution
        """
        free = self.free(causes, curve)

        def residual(theta):
            values = self.unpack(free, theta)
            _, signal = self.solve_linear(causes, curve, values)
            return ((self.light - self.encode(curve, values["gamma"], signal)) / self.error)[self.known]

        theta = np.zeros(len(free))
        if free:
            reach = {"gamma": 1.5, "dx": 0.3, "dy": 0.3, "scale": 0.4}
            bounds = np.array([reach[name] for name in free])
            options = {"x_scale": 0.1, "diff_step": 1e-4, "max_nfev": 40, "xtol": 1e-6, "ftol": 1e-8, "gtol": 1e-8}
            theta = least_squares(residual, theta, bounds=(-bounds, bounds), **options).x
        values = self.unpack(free, theta)
        coefficients, _ = self.solve_linear(causes, curve, values)
        vector = np.concatenate([theta, *coefficients])
        return Solution(frozenset(causes), curve, float((residual(theta) ** 2).sum()), len(vector), vector)

    def predict(self, solution, vector):
        """Recorded values at a vector of parameters."""
        free = self.free(solution.causes, solution.curve)
        values = self.unpack(free, vector[: len(free)])
        per_channel = np.split(vector[len(free) :], self.channels)
        signal = np.stack(
            [self.columns(solution.causes, values, channel) @ own for channel, own in enumerate(per_channel)]
        )
        return self.encode(solution.curve, values["gamma"], signal)

    def covariance(self, solution, scale):
        """Of the parameters of a solution."""
        base, columns = self.predict(solution, solution.vector), []
        for index, value in enumerate(solution.vector):
            moved = solution.vector.copy()
            step = 1e-4 * max(abs(value), 0.1)
            moved[index] += step
            columns.append(((self.predict(solution, moved) - base) / step / self.error)[self.known])
        jacobian = np.array(columns).T
        return np.linalg.pinv(jacobian.T @ jacobian, rcond=1e-12) * scale

    def leave_out_structure(self):
        """Take out tiles that even the richest model misses; return how much larger the scatter is than the noise.

        Returns
        -------
        scale : float
            Factor of chi^2: what is left over in the richest model, and how far neighbouring tiles go together.
        """
        everything = set(CAUSES) - {"flat not flat"}
        for _ in range(2):
            solution = min((self.fit(everything, curve) for curve in self.curves()), key=lambda each: each.chi2)
            rest = (self.light - self.predict(solution, solution.vector)) / self.error
            spread = max(1.4826 * np.median(np.abs(rest[self.known])), 1.0)
            outside = self.known & (np.abs(rest) > OUTLIER * spread)
            outside = np.broadcast_to(outside.any(axis=0), outside.shape)
            if not outside.any() or (self.known & ~outside).mean() < 0.5:
                break
            self.known = self.known & ~outside
            self.error = np.where(self.known, self.error, np.inf)
        rest = np.where(self.known, rest, 0)
        scale = max((rest**2).sum() / max(self.known.sum() - solution.parameters, 1), 1.0)
        together = (rest[:, :, 1:] * rest[:, :, :-1]).sum() + (rest[:, 1:] * rest[:, :-1]).sum()
        correlation = np.clip(together / 2 / max((rest**2).sum(), 1e-30), 0, 0.95)
        return scale * ((1 + correlation) / (1 - correlation)) ** 2

    def curves(self):
        """Encodings that may be at work where one is."""
        return [None, *CURVES] if self.is_picture else [None]

    def diagnose(self):
        """Fit all combinations.

        Returns
        -------
        dict
            For each of `CAUSES` verdict, size_percent and error_percent (rms change over the frame) and evidence, None
            where it cannot be tested; ``_best``, the `Solution` with the least BIC, and ``_left_percent``, what it
            leaves over.
        """
        if not self.enough:
            reason = "too few tiles have a sky level"
            return {cause: _verdict(OPEN, None, None, reason) for cause in CAUSES}
        scale = self.leave_out_structure()
        penalty = np.log(self.known.sum())
        testable = [cause for cause in CAUSES if cause != "flat not flat" or self.source is not None]
        solutions = []
        for causes in chain.from_iterable(combinations(testable, size) for size in range(len(testable) + 1)):
            for curve in self.curves() if "encoded" in causes else [None]:
                solutions.append(self.fit(set(causes), curve))
        score = {id(each): each.chi2 / scale + penalty * each.parameters for each in solutions}
        best = min(solutions, key=lambda each: score[id(each)])
        result = {}
        for cause in CAUSES:
            if cause not in testable:
                result[cause] = None
                continue
            with_it = min((each for each in solutions if cause in each.causes), key=lambda each: score[id(each)])
            without = min((each for each in solutions if cause not in each.causes), key=lambda each: score[id(each)])
            gain = score[id(without)] - score[id(with_it)]
            expected = self.is_picture and cause == "encoded"
            gain += PICTURE_PRIOR if expected else 0.0
            size, error = self.size_of(cause, with_it, scale)
            figures = self.figures(cause, with_it, scale)
            if gain > self.strong and size > self.negligible / 2:
                verdict = SUPPORTED
            elif size + 3 * error < self.negligible and gain < self.strong:
                verdict = EXCLUDED
            else:
                verdict = OPEN
            words = f"{figures}; BIC {'falls' if gain > 0 else 'rises'} by {abs(gain):.3g} with it"
            words += ", and pictures are encoded by their standards" if expected else ""
            result[cause] = _verdict(verdict, size, error, words)
        rest = np.log(self.light / self.predict(best, best.vector))[self.known]
        result["_best"], result["_left_percent"] = best, 100 * float(rest.std())
        return result

    def size_of(self, cause, solution, scale):
        """What a cause changes over the frame: rms of its logarithm about the mean, percent, and its error."""
        free = self.free(solution.causes, solution.curve)

        def change(vector):
            values = self.unpack(free, vector[: len(free)])
            per_channel = np.split(vector[len(free) :], self.channels)
            ratios = []
            for channel, own in enumerate(per_channel):
                columns = self.columns(solution.causes, values, channel)
                signal = np.maximum(columns @ own, 1e-9)
                if cause == "encoded":
                    recorded = self.encode(solution.curve, values["gamma"], signal[None])[0]
                    ratio = np.log(recorded) - np.log(signal)
                elif cause == "pedestal":
                    ratio = np.log(signal) - np.log(np.maximum(signal - own[-1], 1e-9))
                elif cause == "sky gradient":
                    even = columns[..., 0] * own[0]
                    ratio = np.log(np.maximum(1 + (columns[..., 1:3] @ own[1:3]) / even, 1e-3))
                elif cause == "wrong flat":
                    moved = self.vignetting(solution.causes, values)[channel]
                    ratio = np.log(moved / self.vignetting(solution.causes - {cause}, values)[channel])
                else:
                    assert self.source is not None  # or it would not be tested
                    ratio = self.source[channel]
                ratio = ratio[self.known[channel]]
                ratios.append(ratio - ratio.mean())
            return 100 * np.concatenate(ratios)

        base = change(solution.vector)
        size = float(np.sqrt(np.mean(base**2)))
        covariance = self.covariance(solution, scale)
        slopes = []
        for index, value in enumerate(solution.vector):
            moved = solution.vector.copy()
            step = 1e-4 * max(abs(value), 0.1)
            moved[index] += step
            slopes.append((change(moved) - base) / step)
        variance = np.einsum("ik,ij,jk->k", slopes, covariance, slopes)
        return size, float(np.sqrt(max(variance.mean(), 0)))

    def figures(self, cause, solution, scale):
        """What was found of a cause, in words."""
        free = self.free(solution.causes, solution.curve)
        error = np.sqrt(np.maximum(np.diag(self.covariance(solution, scale)), 0))
        values = self.unpack(free, solution.vector[: len(free)])
        errors = dict(zip(free, error, strict=False))
        own = np.split(solution.vector[len(free) :], self.channels)
        own_error = np.split(error[len(free) :], self.channels)
        if cause == "encoded":
            if solution.curve:
                return f"curve {solution.curve}"
            return f"gamma {values['gamma']:.3f} +- {values['gamma'] * errors['gamma']:.2g}"
        if cause == "pedestal":
            unit = "of white" if self.is_picture else "DN"
            factor = 1.0 if self.is_picture else self.unit ** values["gamma"]
            parts = [f"{factor * a[-1]:.4g} +- {factor * b[-1]:.2g}" for a, b in zip(own, own_error, strict=True)]
            share = [100 * a[-1] / (a[0] + a[-1]) for a in own]
            return f"{', '.join(parts)} {unit} ({', '.join(f'{each:.2g}' for each in share)} % of the centre)"
        if cause == "sky gradient":
            slopes = np.mean([a[1:3] / a[0] for a in own], axis=0)
            spread = np.sqrt(np.mean([(b[1:3] / a[0]) ** 2 for a, b in zip(own, own_error, strict=True)], axis=0))
            direction = np.degrees(np.arctan2(slopes[1], slopes[0]))
            size = 200 * np.hypot(*slopes)
            return f"{size:.3g} +- {200 * np.hypot(*spread):.2g} % along the diagonal, towards {direction:.0f} degrees"
        if cause == "wrong flat":
            shift = [100 * values[name] for name in ("dx", "dy")]
            return (
                f"shift {shift[0]:.2g} +- {100 * errors['dx']:.1g} and {shift[1]:.2g} +- {100 * errors['dy']:.1g} % of "
                f"half the diagonal, scale {values['scale']:.4g} +- {values['scale'] * errors['scale']:.1g}"
            )
        return "its light source, as the rotations of the subsets tell it"


def _verdict(verdict, size, error, evidence):
    return {"verdict": verdict, "size_percent": size, "error_percent": error, "evidence": evidence}


DIAGNOSIS_COLUMNS = ["cause", "meaning", "verdict", "size_percent", "error_percent", "evidence"]


def judge_hidden(found, remark):
    """Verdict on the part of the flat's light source that no rotation tells."""
    other = [cause for cause in CAUSES if found[cause] and found[cause]["verdict"] != EXCLUDED]
    if other or "_best" not in found or found["_best"].causes:
        text = f"{remark}; a part that depends on the distance from the centre alone would look like other causes"
        return {"verdict": OPEN, "size_percent": None, "error_percent": None, "evidence": text}
    left = found["_left_percent"]
    verdict = EXCLUDED if left < NEGLIGIBLE else OPEN
    text = f"{remark}; the sky follows the flat within {left:.2g} % rms"
    return {"verdict": verdict, "size_percent": left, "error_percent": None, "evidence": text}


def describe(cause, found):
    """A row of the table."""
    row = {"cause": cause, "meaning": CAUSES[cause], **found}
    return mark_undetermined({name: row[name] for name in DIAGNOSIS_COLUMNS})


def diagnose_tiles(tiles, is_picture, remark):
    """Test all causes of a light that is not even after the division.

    Parameters
    ----------
    tiles : flatfield.measure.tiles.Tiles
    is_picture : bool
        Values of 0 to 255 of a picture.
    remark : str
        Why the light source of the flat is not known, if so.

    Returns
    -------
    rows : list of dict
        Of ``diagnosis.tsv``, but for the frame.
    known : numpy.ndarray of bool, ``(channels, rows, columns)``
        Tiles that count.
    """
    fit = CauseFit(tiles, is_picture)
    found = fit.diagnose()
    if found["flat not flat"] is None:
        found["flat not flat"] = judge_hidden(found, remark)
    return [describe(cause, found[cause]) for cause in CAUSES], fit.known


def summarize_verdicts(rows):
    """Lines that list the causes by their verdicts, those that are supported first."""
    causes = {
        verdict: [row["cause"] for row in rows if row["verdict"] == verdict] for verdict in (SUPPORTED, OPEN, EXCLUDED)
    }
    return [f"{verdict}: {', '.join(names)}" for verdict, names in causes.items() if names]
