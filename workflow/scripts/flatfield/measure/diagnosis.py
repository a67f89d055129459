"""Why a light divided by its flat is not even: the causes, in words that follow the odds.

Causes are weighed in `flatfield.measure.cause_fit`, against each other and against skies of any smooth form. A cause is
named only if all other explanations together are much less probable.
"""

import numpy as np
from scipy.special import logsumexp

from flatfield.files.tables import mark_undetermined
from flatfield.measure.cause_fit import CauseFit
from flatfield.measure.encodings import decode

#: Causes, in words.
CAUSES = {
    "encoded": "the light is encoded (gamma), not linear",
    "pedestal": "a pedestal is left in the light (wrong black level, flare)",
    "flat not flat": "the flat holds its own light source",
    "sky gradient": "the sky is brighter on one side",
    "wrong flat": "the flat is of other optics (its vignetting is shifted or scaled)",
    "sky structure": "the sky is uneven, other than on one side alone",
    "shutter": "the flat holds the shutter of its short exposures",
}
SUPPORTED, SMALL, EXCLUDED, OPEN = "supported", "there, but small", "excluded", "not identifiable from these data"
#: Odds from which on a cause is named, and below which it is not there.
STRONG, WEAK = np.log(30.0), np.log(3.0)
#: Change over the frame that a cause must make to be named, and below which it does not matter, percent rms.
NAMED, NEGLIGIBLE = 0.3, 1.0
#: The same of a picture, of whose tiles more is allowed for.
PICTURE_NAMED, PICTURE_NEGLIGIBLE = 1.5, 3.0
#: Structure of the sky beside a cause that is named, relative to what the cause changes.
SIMPLE = 0.2
#: chi^2 per degree of freedom of the richest sky, up to which a raw file may be said to be encoded.
DESCRIBED = 4.0
#: Sky that is neither even nor linear; how many of its forms are looked at, and how little of a gradient is curved.
STRUCTURED, TRIED, LINEAR = ("free", "near", "round"), 40, 0.1
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
            return {cause: _verdict(OPEN, None, None, reason) for cause in CAUSES if cause != "shutter"}
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
        self._believe_only([cause for cause, row in found.items() if row and row["verdict"] in (SUPPORTED, SMALL)])
        found |= self._of_sky()
        if fit.may_hold_shutter:
            found["shutter"] = self._shutter(found)
        return {cause: found[cause] for cause in CAUSES if cause in found}

    def _believe_raw(self):
        """Leave out that a raw file is encoded, unless that makes its sky a simple one: it bends any structure."""
        encoded = self._with("encoded")
        if self.fit.is_picture or not encoded.any():
            return
        _, index = self._best(encoded)
        if self.kinds[index] not in ("even", "linear") or self.fit.noise_scale > DESCRIBED:
            self.weights = np.where(encoded, -np.inf, self.weights)
            self.weights -= logsumexp(self.weights)
            self.too_rich = True

    def _believe_only(self, causes):
        """Leave out hypotheses with causes of the camera that are not named: what remains is the sky."""
        causes = {*causes, "shutter"}
        if self.fit.is_picture:
            causes.add("encoded")
        kept = np.array([each.hypothesis.causes <= causes for each in self.all])
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
            return _verdict(OPEN, None, None, "the sky has too much structure to tell; raw files are not encoded")
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
            if self.kinds[index] not in ("even", "linear") and 100 * _rms(sky) > SIMPLE * size:
                # what no sky of the families follows exactly may look like anything
                judged["verdict"] = OPEN
                judged["evidence"] = f"{words}, if it is there; the sky has too much structure to tell"
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
        return "its light source, as the rotations of the subsets tell it"

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
                share = _rms(sky[:, 2:]) / max(_rms(sky[:, :2]), 1e-12)
                mostly[row, column] = share < 1
                if share < LINEAR:
                    linear[row, column], curved[row, column] = True, False
        sky, covariance, _ = self._sky_of(*self._best(curved))
        size, error = 100 * _rms(sky), 100 * float(np.sqrt(np.trace(covariance.sum(axis=0)) / len(sky)))
        words = f"{size:.2g} % rms, free of noise"
        structure = self._judge(self._log_odds(curved), size, error, 1.3 * np.hypot(size, error), words)
        if structure["verdict"] in (SUPPORTED, SMALL):
            # the linear part of the structure is no cause of its own
            size, error, words = self._gradient(sky, covariance)
            verdict = EXCLUDED if size + SIGMAS * error < self.negligible else OPEN
            gradient = _verdict(verdict, size, error, f"{words}, as a part of the structure of the sky")
        else:
            size, error, words = self._gradient(*self._sky_of(*self._best(linear))[:2])
            # whether it is curved besides does not matter as long as that is not known
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

    def _shutter(self, found):
        """Whether the flat's shutter may be what looks like the sky; changes the verdict on the gradient."""
        odds = self._log_odds(self._with("shutter"))
        weighed, index = self._best(self._with("shutter"))
        line, mean, covariance = self._mixture(weighed, index)
        size, error = _size(*self._change("shutter", line, mean), covariance, line.weights)
        first = 2 * self.fit.channels + 4
        spread = np.sqrt(covariance[first, first])
        own = f"{200 * 0.55 * mean[first]:.2g} +- {200 * 0.55 * spread:.1g} % from bottom to top of the flat"
        words = f"{own}, exposed for 1/{1 / self.flat_exposure_s:.0f} s"
        judged = self._judge(odds, size, error, size + SIGMAS * error, words)
        gradient = found["sky gradient"]
        if gradient["verdict"] in (SUPPORTED, SMALL) and judged["verdict"] == EXCLUDED:
            return judged
        if judged["verdict"] in (SUPPORTED, SMALL):
            # a sky that is brighter at the top or bottom looks the same
            judged["verdict"] = OPEN
            judged["evidence"] += "; a sky that is brighter at the top or the bottom looks the same"
        return judged

    def _judge(self, odds, size, error, limit, words):
        """Verdict of odds (ln) and a size, percent, that is at most `limit`."""
        if odds > STRONG:
            verdict = SUPPORTED if size > self.named else SMALL
            return _verdict(verdict, size, error, f"looks like {words}; odds {_odds(odds)} : 1")
        if odds < WEAK and limit < self.negligible:
            return _verdict(EXCLUDED, size, error, f"at most {limit:.2g} % rms; odds 1 : {_odds(-odds)}")
        sides = f"1 : {_odds(-odds)}" if odds < 0 else f"{_odds(odds)} : 1"
        return _verdict(OPEN, size, error, f"{words}, if it is there; odds {sides}")


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


def _rms(sky):
    """Rms over the frame of a sky, by its coefficients ``(channels, polynomials)``."""
    return float(np.sqrt((sky**2).sum() / len(sky)))


def _verdict(verdict, size, error, evidence):
    return {"verdict": verdict, "size_percent": size, "error_percent": error, "evidence": evidence}


DIAGNOSIS_COLUMNS = ["cause", "meaning", "verdict", "size_percent", "error_percent", "evidence"]


def judge_hidden(found, remark, left_percent):
    """Verdict on the part of the flat's light source that no rotation tells.

    Parameters
    ----------
    found : dict
        Verdicts on all other causes.
    remark : str
        Why that part is not known.
    left_percent : float or None
        What the most probable sky and causes leave of the tiles, rms.
    """
    other = [cause for cause, row in found.items() if row and row["verdict"] != EXCLUDED]
    if other or left_percent is None or left_percent >= NEGLIGIBLE:
        text = f"{remark}; a part that depends on the distance from the centre alone would look like other causes"
        return _verdict(OPEN, None, None, text)
    return _verdict(EXCLUDED, left_percent, None, f"{remark}; the sky follows the flat within {left_percent:.2g} % rms")


def describe(cause, found):
    """A row of the table."""
    row = {"cause": cause, "meaning": CAUSES[cause], **found}
    return mark_undetermined({name: row[name] for name in DIAGNOSIS_COLUMNS})


def diagnose_tiles(tiles, is_picture, remark, flat_exposure_s=None, light_exposure_s=None):
    """Test all causes of a light that is not even after the division.

    Parameters
    ----------
    tiles : flatfield.measure.tiles.Tiles
    is_picture : bool
        Values of 0 to 255 of a picture.
    remark : str
        Why the light source of the flat is not known, if so.
    flat_exposure_s, light_exposure_s : float, optional
        See `Diagnosis`; not known where left out.

    Returns
    -------
    rows : list of dict
        Of ``diagnosis.tsv``, but for the frame.
    known : numpy.ndarray of bool, ``(channels, rows, columns)``
        Tiles that count.
    """
    diagnosis = Diagnosis(tiles, is_picture, flat_exposure_s, light_exposure_s)
    found = diagnosis.verdicts()
    if found["flat not flat"] is None:
        found["flat not flat"] = judge_hidden(found, remark, diagnosis.left_percent)
    return [describe(cause, each) for cause, each in found.items()], diagnosis.fit.known


def summarize_verdicts(rows):
    """Lines that list the causes by their verdicts, those that are supported first."""
    verdicts = (SUPPORTED, SMALL, OPEN, EXCLUDED)
    causes = {verdict: [row["cause"] for row in rows if row["verdict"] == verdict] for verdict in verdicts}
    return [f"{verdict}: {', '.join(names)}" for verdict, names in causes.items() if names]
