"""Verdicts on the causes of a light that is not even, in words that follow the odds.

A cause is named only if all other explanations together, skies of any smooth form among them, are much less probable.
"""

import numpy as np
from scipy.special import logsumexp

from flatfield.measure.cause_fit import CauseFit
from flatfield.measure.encodings import decode

#: Causes, in words.
CAUSES = {
    "encoded": "the light is encoded (gamma), not linear",
    "pedestal": "a pedestal is left in the light (wrong black level, flare)",
    "flat not flat": "the flat contains its own light source",
    "sky gradient": "the sky is brighter on one side",
    "wrong flat": "the flat belongs to other optics (its vignetting is shifted or scaled)",
    "sky structure": "the sky is uneven, beyond a gradient",
    "shutter": "the flat contains the shutter of its short exposures",
}
SUPPORTED, SMALL, EXCLUDED, OPEN = "supported", "there, but small", "excluded", "not identifiable from these data"
#: Odds from which on a cause is named, below which it is not there if it is small, and whatever its size would be.
STRONG, WEAK, NEVER = np.log(20.0), np.log(3.0), -np.log(1000.0)
#: Change over the frame that a cause must make to be named, and below which it does not matter, percent rms.
NAMED, NEGLIGIBLE = 0.3, 1.0
#: The same of a picture, of whose tiles more is allowed for.
PICTURE_NAMED, PICTURE_NEGLIGIBLE = 1.5, 3.0
#: Structure of the sky beside a cause that is named, relative to what the cause changes.
SIMPLE = 0.05
#: chi^2 per degree of freedom of the richest sky, up to which a raw file may be said to be encoded.
DESCRIBED = 4.0
#: Sky that is neither even nor linear; how many of its forms are looked at, and how little of a gradient is curved.
STRUCTURED, TRIED, LINEAR = ("free", "near", "round"), 40, 0.1
#: A curvature does not matter if it is less than this many times what even the richest sky leaves.
UNEXPLAINED = 1.5
#: Flats of this exposure or shorter hold the shutter, s: the way of its blades takes a few ms.
SHUTTER_S = 1 / 1000
#: Share of the odds below which a hypothesis with one sky adds nothing to the size of a cause; largest share of the
#: light that a cause may be.
IMPROBABLE, LARGEST_SHARE = 1e-4, 0.99
#: By how much the rms over tiles may differ from that over the frame, relative: 1 / (2 tiles^2) down the frame.
TILED = 2e-3
#: Odds beyond which models are not believed.
LARGEST_ODDS = 1e6
#: Standard errors that a size may be larger by, where it is excluded.
SIGMAS = 3.0


class Diagnosis:
    """Verdicts on the causes of a light.

    Parameters
    ----------
    tiles : flatfield.measure.tiles.Tiles
    is_picture : bool
        Values of 0 to 255 of a picture.
    flat_exposure_s, light_exposure_s : float, optional
        Exposures of the flats and of the light, s: those of a brief shutter hold its way across the frame.
    """

    def __init__(self, tiles, is_picture=False, flat_exposure_s=None, light_exposure_s=None):
        short = flat_exposure_s is not None and flat_exposure_s <= SHUTTER_S
        same = light_exposure_s is not None and flat_exposure_s == light_exposure_s
        self.flat_exposure_s = flat_exposure_s
        self.fit = CauseFit(tiles, is_picture, shutter=short and not same)
        self.named = PICTURE_NAMED if is_picture else NAMED
        self.negligible = PICTURE_NEGLIGIBLE if is_picture else NEGLIGIBLE
        self.kinds = np.array([self.fit.kernels[family.kernel].kind for family in self.fit.families])
        self.all, self.weights, self.left_percent, self.too_rich = [], np.empty((0, 0)), None, False
        self.doubtful: set = set()

    def verdicts(self):
        """Verdict on each cause.

        Returns
        -------
        dict
            For each of `CAUSES` verdict, size_percent and error_percent (rms change over the frame) and evidence; None
            where it cannot be tested.
        """
        fit = self.fit
        if not fit.enough:
            reason = "too few tiles have a sky level"
            return {cause: verdict_row(OPEN, None, None, reason) for cause in CAUSES if cause != "shutter"}
        fit.leave_out_structure()
        self.all = fit.weigh()
        self.weights = np.array([each.log_weight for each in self.all])
        self.weights -= logsumexp(self.weights)
        self._believe_raw()
        best = self._best(np.ones_like(self.weights, bool))
        _, model = fit.most_probable(best[0].point[best[1]], best[0].hypothesis, fit.families[best[1]])
        line = best[0].point[best[1]]
        rest = line.columns[..., -1] - model + self._sky_of(*best)[3] @ fit.basis.T
        self.left_percent = 100 * float(rest[line.weights > 0].std())
        found = {cause: self._of_camera(cause) for cause in ("encoded", "pedestal", "flat not flat", "wrong flat")}
        self._leave_out(self.doubtful)
        found |= self._of_sky()
        if fit.may_hold_shutter:
            found["shutter"] = self._shutter(found["sky gradient"])
        return {cause: found[cause] for cause in CAUSES if cause in found}

    def _believe_raw(self):
        """Leave out that a raw file is encoded, unless that makes its sky a simple one: it bends any structure."""
        encoded = self._with("encoded")
        if self.fit.is_picture or not encoded.any():
            return
        _, index = self._best(encoded)
        if self.kinds[index] not in ("even", "linear") or self.fit.noise_scale > DESCRIBED:
            self._leave_out({"encoded"})
            self.too_rich = True

    def _leave_out(self, causes):
        """Leave out hypotheses with causes that are not believed, though they are probable: what remains is the sky."""
        kept = np.array([not each.hypothesis.causes & causes for each in self.all])
        self.weights = np.where(kept[:, None], self.weights, -np.inf)
        self.weights -= logsumexp(self.weights)

    def _with(self, cause):
        """Which hypotheses hold a cause of the camera."""
        holds = np.array([cause in each.hypothesis.causes for each in self.all])
        return np.broadcast_to(holds[:, None], self.weights.shape)

    def _log_odds(self, which):
        if which.all() or not which.any():
            return np.inf if which.all() else -np.inf
        return float(logsumexp(self.weights[which]) - logsumexp(self.weights[~which]))

    def _best(self, which):
        """The most probable of some: a `Weighed`, and the index of its family."""
        row, column = np.unravel_index(np.argmax(np.where(which, self.weights, -np.inf)), self.weights.shape)
        return self.all[row], int(column)

    # Causes in camera and flat

    def _of_camera(self, cause):
        which = self._with(cause)
        if not which.any():
            return None
        if cause == "encoded" and self.too_rich:
            return verdict_row(OPEN, None, None, "the sky has too much structure to decide; raw files are not encoded")
        odds = self._log_odds(which)
        weighed, index = self._best(which)
        line = weighed.point[index]
        mean, covariance = self._mixture(which)
        change, slopes = self._change(cause, line, mean)
        size, error = self._size(change, slopes, covariance, line.weights)
        words = self._figures(cause, weighed, line, mean, covariance)
        judged = self._judge(odds, size, error, size + SIGMAS * error, words)
        expected = self.fit.is_picture and cause == "encoded"
        if judged["verdict"] in (SUPPORTED, SMALL) and not expected:
            sky = self._sky_of(weighed, index)[1]
            bent = 100 * self.fit.sky_rms(sky * (np.arange(sky.shape[1]) >= 2))
            simple = logsumexp(self.weights[which & np.isin(self.kinds, ("even", "linear"))])
            if simple < logsumexp(self.weights[which]) - STRONG and bent > SIMPLE * size:
                # what no sky of the families follows exactly may look like anything
                self.doubtful.add(cause)
                judged["verdict"] = OPEN
                judged["evidence"] = f"{words}, if present; the sky has too much structure to decide"
        return judged

    def _mixture(self, which):
        """Mean and covariance of the parameters over all hypotheses and skies that are meant, by their odds.

        Nonlinear parameters are given themselves, not as steps from where they were made linear.
        """
        odds = np.exp(self.weights - logsumexp(self.weights[which])) * which
        rows, columns = np.nonzero(odds > IMPROBABLE)
        odds = odds[rows, columns] / odds[rows, columns].sum()
        values = np.array([self.all[row].found[column] for row, column in zip(rows, columns, strict=True)])
        nonlinear = slice(2 * self.fit.channels, 2 * self.fit.channels + 4)
        points = [self.all[row].point[column] for row, column in zip(rows, columns, strict=True)]
        values[:, nonlinear] += [each.point.values for each in points]
        covariances = np.array([self.all[row].covariance[column] for row, column in zip(rows, columns, strict=True)])
        mean = odds @ values
        apart = values - mean
        return mean, np.einsum("f,fij->ij", odds, covariances) + (apart * odds[:, None]).T @ apart

    def _change(self, cause, line, mean):
        """What a cause changes, ln, ``(channels, tiles)``, and how that changes with the parameters."""
        fit, channels = self.fit, self.fit.channels
        slopes = np.zeros_like(line.columns[..., :-1])
        part = {
            "pedestal": slice(channels, 2 * channels),
            "encoded": slice(2 * channels, 2 * channels + 1),
            "wrong flat": slice(2 * channels + 1, 2 * channels + 4),
            "shutter": slice(2 * channels + 4, 2 * channels + 6),
        }.get(cause, slice(0, 0))
        level = np.where(line.weights > 0, 1 + line.columns[..., -1], self._light(line, mean))
        slopes[..., part] = line.columns[..., part] / level[..., None]
        change = slopes @ mean
        share = np.minimum(mean[channels : 2 * channels, None] / line.flat / level, LARGEST_SHARE)  # of the pedestal
        if cause == "pedestal":
            change = -np.log1p(-share)
            slopes[..., part] /= (1 - share)[..., None]
        elif cause == "flat not flat":
            assert fit.source is not None  # or it would not be tested
            change = fit.source.reshape(channels, -1)
        elif cause == "wrong flat":
            moved = fit.moved(mean[2 * channels + 1 : 2 * channels + 4]).reshape(channels, -1)
            change = -np.log((1 - share) * np.exp(-moved) + share)  # a pedestal does not move
        elif cause == "encoded":
            gamma = np.exp(mean[2 * channels])
            change = (np.log(fit.light) - np.log(decode(line.point.curve, gamma, fit.light))).reshape(channels, -1)
        return change, slopes

    def _light(self, line, parameters):
        """The light over the flat, of an even sky, with constants and a pedestal; also where tiles do not count."""
        channels = self.fit.channels
        constant, pedestal = parameters[:channels, None], parameters[channels : 2 * channels, None]
        return 1 + constant + pedestal * (1 / line.flat - line.middle)

    def _size(self, change, slopes, covariance, weights):
        """Rms of a change about its mean in each channel, percent, and its error."""
        squares = [np.var(own[there]) for own, there in zip(change, self.fit.seen, strict=True)]
        variances = []
        for slope, counts in zip(slopes, weights > 0, strict=True):
            slope = slope[counts] - slope[counts].mean(axis=0)
            variances.append(np.einsum("ti,ij,tj->t", slope, covariance, slope).mean())
        size = float(np.sqrt(np.mean(squares)))
        return 100 * size, 100 * float(np.hypot(np.sqrt(max(np.mean(variances), 0)), TILED * size))

    def _figures(self, cause, weighed, line, mean, covariance):
        """What was found of a cause, in words."""
        fit, channels = self.fit, self.fit.channels
        errors = np.sqrt(np.maximum(np.diag(covariance), 0))
        gamma = np.exp(mean[2 * channels])
        if cause == "encoded":
            curve = weighed.hypothesis.curve
            return f"curve {curve}" if curve else f"gamma {gamma:.3f} +- {gamma * errors[2 * channels]:.2g}"
        if cause == "pedestal":
            unit, own = ("of white" if fit.is_picture else "DN"), slice(channels, 2 * channels)
            factor = line.level * (1.0 if fit.is_picture else fit.unit**gamma)
            pairs = zip(factor * mean[own], factor * errors[own], strict=True)
            share = ", ".join(f"{100 * each:.2g}" for each in mean[own])
            return f"{', '.join(f'{a:.4g} +- {b:.2g}' for a, b in pairs)} {unit} ({share} % of the light)"
        if cause == "wrong flat":
            (dx, dy, scale), errors = mean[2 * channels + 1 : 2 * channels + 4], errors[2 * channels + 1 :]
            shift = f"shift {100 * dx:.2g} +- {100 * errors[0]:.1g} and {100 * dy:.2g} +- {100 * errors[1]:.1g} %"
            return f"{shift} of half the diagonal, scale {np.exp(scale):.4g} +- {errors[2]:.1g}"
        return "its light source, as the rotations of the subsets determine it"

    # The sky

    def _sky_of(self, weighed, index):
        """Most probable coefficients of the columns, sky, its covariance, and error of the flat, see `Projection`."""
        line = weighed.point[index]
        return line.projection.sky_of(self.fit.families[index], *line.prior(weighed.hypothesis))

    def _of_sky(self):
        """Gradient and structure of the sky: what is linear but for a little is a gradient."""
        linear = np.broadcast_to(self.kinds == "linear", self.weights.shape).copy()
        curved = np.broadcast_to(np.isin(self.kinds, STRUCTURED), self.weights.shape).copy()
        mostly = linear.copy()
        tried = np.argsort(np.where(curved, -self.weights, np.inf), axis=None)[:TRIED]
        for row, column in zip(*np.unravel_index(tried, self.weights.shape), strict=True):
            if np.isfinite(self.weights[row, column]):
                sky = self._sky_of(self.all[row], column)[1]
                straight = sky * (np.arange(sky.shape[1]) < 2)
                own, bent = self.fit.sky_rms(straight), self.fit.sky_rms(sky - straight)
                mostly[row, column] = bent < own
                if bent < max(LINEAR * own, min(UNEXPLAINED * self.fit.unexplained, 0.75 * own)):
                    linear[row, column], curved[row, column] = True, False
        _, sky, covariance, _ = self._sky_of(*self._best(curved))
        known = self.fit.basis[self.fit.known.all(axis=0).ravel()]
        error = 100 * float(np.sqrt(np.einsum("ti,cij,tj->ct", known, covariance, known).mean()))
        size = 100 * self.fit.sky_rms(sky)
        words = f"{size:.2g} % rms, without noise"
        structure = self._judge(self._log_odds(curved), size, error, 1.3 * np.hypot(size, error), words)
        if structure["verdict"] in (SUPPORTED, SMALL):
            # the linear part of the structure is no cause of its own
            size, error, words = self._gradient(curved)
            verdict = EXCLUDED if size < SIGMAS * error and size + SIGMAS * error < self.negligible else OPEN
            gradient = verdict_row(verdict, size, error, f"{words}, as part of the structure of the sky")
        else:
            size, error, words = self._gradient(linear)
            # whether it is also curved does not matter as long as that is not known
            gradient = self._judge(self._log_odds(mostly), size, error, size + SIGMAS * error, words)
        return {"sky structure": structure, "sky gradient": gradient}

    def _gradient(self, which):
        """Linear part of the skies that are meant: rms of what it changes, percent, and error; and in words.

        Over the most probable hypotheses by their odds, with a shifted flat and without, so that what one takes for the
        other is in the error.
        """
        odds = np.exp(self.weights - logsumexp(self.weights[which])) * which
        found = []
        for row, column in zip(*np.unravel_index(np.argsort(-odds, axis=None)[:TRIED], odds.shape), strict=True):
            if odds[row, column] > IMPROBABLE:
                found.append((odds[row, column], *self._linear_part(self.all[row], column)))
        odds, sizes, means, spreads = (np.array(each) for each in zip(*found, strict=True))
        odds /= odds.sum()
        mean = np.tensordot(odds, means, 1)  # of the channels
        apart = means - mean
        spread = np.einsum("h,hcij->ij", odds, spreads + apart[..., None] * apart[..., None, :]) / len(mean)
        mean, size = mean.mean(axis=0), float(odds @ sizes)
        error = float(np.hypot(np.sqrt(np.trace(spread)), TILED * size))
        size, error = 100 * size, 100 * error
        turn = np.linalg.inv(self.fit.kernels[1].functions[:2])  # of a slope of 1, in the linear polynomials
        own, along = turn @ mean, turn @ spread @ turn.T
        length = max(np.hypot(*own), 1e-12)
        uncertain = np.sqrt(max(own @ along @ own, 0)) / length
        direction = np.degrees(np.arctan2(own[1], own[0]))
        words = f"{200 * length:.3g} +- {200 * uncertain:.2g} % along the diagonal, towards {direction:.0f} degrees"
        return size, error, words

    def _linear_part(self, weighed, index):
        """Of the sky of a hypothesis: rms of what it changes, ln; coefficients of each channel, and covariance.

        What changes is the light, ln, with the linear part of ln of the sky and without; a pedestal is not of the sky.
        """
        fit, line, plane = self.fit, weighed.point[index], self.fit.basis[:, :2]
        coefficients, sky, covariance, flat_error = self._sky_of(weighed, index)
        light = self._light(line, coefficients) + (sky + flat_error) @ fit.basis.T
        of_sky = light - coefficients[fit.channels : 2 * fit.channels, None] / line.flat
        relative = sky[:, :2] @ plane.T / np.maximum(of_sky.mean(axis=1, keepdims=True), 1e-3)
        straight = np.log(np.maximum(1 + relative, 1e-3)) @ plane @ plane.T / len(plane)
        share = np.clip(of_sky / np.maximum(light, 1e-3), 0, None) * -np.expm1(-straight)
        change = -np.log1p(-np.minimum(share, LARGEST_SHARE))
        squares = [np.var(own[there]) for own, there in zip(change, fit.seen, strict=True)]
        return float(np.sqrt(np.mean(squares))), sky[:, :2], covariance[:, :2, :2]

    def _shutter(self, gradient):
        """What the shutter of the flats may have done; also said beside a gradient of the sky that is not certain."""
        which = self._with("shutter")
        weighed, index = self._best(which)
        line = weighed.point[index]
        mean, covariance = self._mixture(which)
        change, slopes = self._change("shutter", line, mean)
        size, error = self._size(change, slopes, covariance, line.weights)
        first, height = 2 * self.fit.channels + 4, 100 * float(np.ptp(self.fit.y))
        spread = np.sqrt(covariance[first, first])
        exposure = f"1/{1 / self.flat_exposure_s:.0f} s"
        own = f"{height * mean[first]:.2g} +- {height * spread:.1g} % from the lowest to the highest tiles"
        judged = self._judge(
            self._log_odds(self._with("shutter")), size, error, size + SIGMAS * error, f"{own} of flats of {exposure}"
        )
        if judged["verdict"] in (SUPPORTED, SMALL):
            judged["verdict"] = OPEN
            judged["evidence"] += "; a sky that is brighter at the top or the bottom looks the same"
        if gradient["verdict"] == OPEN and judged["verdict"] == OPEN:
            gradient["evidence"] += f"; the shutter of flats of {exposure} looks the same"
        return judged

    def _judge(self, odds, size, error, limit, words):
        """Verdict of odds (ln) and a size, percent, that is at most `limit`."""
        if odds > STRONG:
            verdict = SUPPORTED if size > self.named else SMALL
            return verdict_row(verdict, size, error, f"looks like {words}; odds {_odds(odds)} : 1")
        if odds < WEAK and limit < self.negligible:
            return verdict_row(EXCLUDED, size, error, f"at most {limit:.2g} % rms; odds 1 : {_odds(-odds)}")
        sides = f"1 : {_odds(-odds)}" if odds < 0 else f"{_odds(odds)} : 1"
        verdict = EXCLUDED if odds < NEVER else OPEN
        return verdict_row(verdict, size, error, f"{words}, if present; odds {sides}")


def _odds(log_odds):
    """Odds to one, in words."""
    odds = float(np.exp(np.clip(log_odds, 0, 50)))
    return f"more than {LARGEST_ODDS:.0e}" if odds > LARGEST_ODDS else f"{odds:.2g}"


def verdict_row(verdict, size, error, evidence):
    """Fields of a cause."""
    return {"verdict": verdict, "size_percent": size, "error_percent": error, "evidence": evidence}
