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
#: Odds from which on a cause is named, and below which it is not there.
STRONG, WEAK = np.log(20.0), np.log(3.0)
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
        rest = (line.columns[..., -1] - model)[line.weights > 0]
        self.left_percent = 100 * float(rest.std())
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
        line, mean, covariance = self._mixture(weighed, index)
        change, slopes = self._change(cause, line, mean)
        size, error = _size(change, slopes, covariance, line.weights)
        words = self._figures(cause, weighed, line, mean, covariance)
        judged = self._judge(odds, size, error, size + SIGMAS * error, words)
        expected = self.fit.is_picture and cause == "encoded"
        if judged["verdict"] in (SUPPORTED, SMALL) and not expected:
            sky, _, _ = self._sky_of(weighed, index)
            bent = 100 * self.fit.sky_rms(sky * (np.arange(sky.shape[1]) >= 2))
            simple = logsumexp(self.weights[which & np.isin(self.kinds, ("even", "linear"))])
            if simple < logsumexp(self.weights[which]) - STRONG and bent > SIMPLE * size:
                # what no sky of the families follows exactly may look like anything
                self.doubtful.add(cause)
                judged["verdict"] = OPEN
                judged["evidence"] = f"{words}, if present; the sky has too much structure to decide"
        return judged

    def _mixture(self, weighed, index):
        """Parameters of a hypothesis and their covariance, over all skies by their odds.

        Nonlinear parameters are given themselves, not as steps from where they were made linear.
        """
        channels = self.fit.channels
        values = np.zeros_like(weighed.found)
        values[:, 2 * channels : 2 * channels + 4] = [each.point.values for each in weighed.point]
        values = values + weighed.found
        odds = np.exp(weighed.log_weight - logsumexp(weighed.log_weight))
        mean = odds @ values
        apart = values - mean
        covariance = np.einsum("f,fij->ij", odds, weighed.covariance) + (apart * odds[:, None]).T @ apart
        return weighed.point[index], mean, covariance

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
        level = 1 + np.where(line.weights > 0, line.columns[..., -1], 0)
        slopes[..., part] = line.columns[..., part] / level[..., None]
        change = slopes @ mean
        if cause == "flat not flat":
            assert fit.source is not None  # or it would not be tested
            change = fit.source.reshape(channels, -1)
        elif cause == "wrong flat":
            change = fit.moved(mean[2 * channels + 1 : 2 * channels + 4]).reshape(channels, -1)
        elif cause == "encoded":
            gamma = np.exp(mean[2 * channels])
            change = (np.log(fit.light) - np.log(decode(line.point.curve, gamma, fit.light))).reshape(channels, -1)
        return change, slopes

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
        """Most probable sky: coefficients of the polynomials, their covariance, and the coefficients of the columns."""
        line = weighed.point[index]
        coefficients, *sky = line.projection.sky_of(self.fit.families[index], *line.prior(weighed.hypothesis))
        return *sky, coefficients

    def _of_sky(self):
        """Gradient and structure of the sky: what is linear but for a little is a gradient."""
        linear = np.broadcast_to(self.kinds == "linear", self.weights.shape).copy()
        curved = np.broadcast_to(np.isin(self.kinds, STRUCTURED), self.weights.shape).copy()
        mostly = linear.copy()
        tried = np.argsort(np.where(curved, -self.weights, np.inf), axis=None)[:TRIED]
        for row, column in zip(*np.unravel_index(tried, self.weights.shape), strict=True):
            if np.isfinite(self.weights[row, column]):
                sky = self._sky_of(self.all[row], column)[0]
                straight = sky * (np.arange(sky.shape[1]) < 2)
                own, bent = self.fit.sky_rms(straight), self.fit.sky_rms(sky - straight)
                mostly[row, column] = bent < own
                if bent < max(LINEAR * own, min(UNEXPLAINED * self.fit.unexplained, 0.75 * own)):
                    linear[row, column], curved[row, column] = True, False
        sky, covariance, _ = self._sky_of(*self._best(curved))
        known = self.fit.basis[self.fit.known.all(axis=0).ravel()]
        error = 100 * float(np.sqrt(np.einsum("ti,cij,tj->ct", known, covariance, known).mean()))
        size = 100 * self.fit.sky_rms(sky)
        words = f"{size:.2g} % rms, without noise"
        structure = self._judge(self._log_odds(curved), size, error, 1.3 * np.hypot(size, error), words)
        if structure["verdict"] in (SUPPORTED, SMALL):
            # the linear part of the structure is no cause of its own
            size, error, words = self._gradient(sky, covariance)
            verdict = EXCLUDED if size < SIGMAS * error and size + SIGMAS * error < self.negligible else OPEN
            gradient = verdict_row(verdict, size, error, f"{words}, as part of the structure of the sky")
        else:
            size, error, words = self._gradient(*self._sky_of(*self._best(linear))[:2])
            # whether it is also curved does not matter as long as that is not known
            gradient = self._judge(self._log_odds(mostly), size, error, size + SIGMAS * error, words)
        return {"sky structure": structure, "sky gradient": gradient}

    def _gradient(self, sky, covariance):
        """Linear part of a sky: its rms, percent, and error; size along the diagonal and direction, in words."""
        slopes = self.fit.kernels[1].functions[:2]  # of a slope of 1, in the linear polynomials
        turn = np.linalg.inv(slopes)
        mean, spread = sky[:, :2].mean(axis=0), covariance[:, :2, :2].mean(axis=0)
        own, along = turn @ mean, turn @ spread @ turn.T
        size, error = 100 * float(np.sqrt((sky[:, :2] ** 2).sum() / len(sky))), 100 * float(np.sqrt(np.trace(spread)))
        length = max(np.hypot(*own), 1e-12)
        uncertain = np.sqrt(max(own @ along @ own, 0)) / length
        direction = np.degrees(np.arctan2(own[1], own[0]))
        words = f"{200 * length:.3g} +- {200 * uncertain:.2g} % along the diagonal, towards {direction:.0f} degrees"
        return size, error, words

    def _shutter(self, gradient):
        """What the shutter of the flats may have done; also said beside a gradient of the sky that is not certain."""
        weighed, index = self._best(self._with("shutter"))
        line, mean, covariance = self._mixture(weighed, index)
        change, slopes = self._change("shutter", line, mean)
        size, error = _size(change, slopes, covariance, line.weights)
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
        return verdict_row(OPEN, size, error, f"{words}, if present; odds {sides}")


def _odds(log_odds):
    """Odds to one, in words."""
    odds = float(np.exp(np.clip(log_odds, 0, 50)))
    return f"more than {LARGEST_ODDS:.0e}" if odds > LARGEST_ODDS else f"{odds:.2g}"


def _size(change, slopes, covariance, weights):
    """Rms of a change about its mean in each channel, percent, and its error."""
    known = weights > 0
    squares, variances = [], []
    for own, slope, counts in zip(change, slopes, known, strict=True):
        squares.append(np.var(own[counts]))
        slope = slope[counts] - slope[counts].mean(axis=0)
        variances.append(np.einsum("ti,ij,tj->t", slope, covariance, slope).mean())
    return 100 * float(np.sqrt(np.mean(squares))), 100 * float(np.sqrt(max(np.mean(variances), 0)))


def verdict_row(verdict, size, error, evidence):
    """Fields of a cause."""
    return {"verdict": verdict, "size_percent": size, "error_percent": error, "evidence": evidence}
