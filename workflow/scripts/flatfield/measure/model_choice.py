"""Which model of a flat the data ask for, by the blocks that it predicts."""

from dataclasses import dataclass

import numpy as np

from flatfield.combine.stack import MASK_SATURATED
from flatfield.files.tables import NOT_DETERMINED
from flatfield.measure import models
from flatfield.measure.lensfun import RadialModel
from flatfield.measure.model_blocks import average_blocks
from flatfield.measure.model_error import draw_errors, model_error
from flatfield.measure.models import FEWEST, MODELS, _enough
from flatfield.raw.mosaic import Mosaic

#: A model with fewer parameters is preferred unless another predicts better by this many standard errors.
BETTER = 3.0
#: Models are fitted to about this many blocks side by side.
BLOCKS_ACROSS = 48
#: A model that misses more of a flat than this (rms over the frame, and over its edge, percent) does not describe it.
MISSED_PERCENT, MISSED_AT_EDGE_PERCENT = 0.5, 1.0
#: What stands where no model is chosen.
NONE_DESCRIBES, TOO_FEW = "no model describes this flat", "too few blocks are known"


def fit_models(blocks):
    """Fit all models to all channels, and predict each block from all others.

    With h the leverage of a block, the residual of a fit without it is residual / (1 - h): exact for linear models
    (Allen 1974), to first order for the radial one with a free centre.

    Parameters
    ----------
    blocks : Blocks

    Returns
    -------
    fits : dict
        For each model a list of `Fit`, one per channel. Models with too many parameters for the blocks are not there.
    predictions : dict
        For each model the values predicted for blocks from the others, ``(channels, rows, columns)``.
    """
    if not _enough(blocks.known, FEWEST):
        return {}, {}
    fits, predictions, weights = {}, {}, blocks.weights
    for name, fit in MODELS.items():
        whole = [fit(*channel) for channel in zip(blocks.x, blocks.y, blocks.values, weights, strict=True)]
        if not all(_enough(blocks.known, each.parameters) for each in whole):
            continue
        fits[name] = whole
        predictions[name] = np.zeros(blocks.values.shape)
        for channel, (x, y, each) in enumerate(zip(blocks.x, blocks.y, whole, strict=True)):
            own = each.terms.orthonormal(x, y) ** 2 @ each.terms.shrink
            leverage = np.minimum(weights[channel] * own.reshape(blocks.known.shape), 0.999)
            values = blocks.values[channel]
            predictions[name][channel] = values - (values - each.evaluate(x, y)) / (1 - leverage)
    return fits, predictions


def choose_model(blocks, fits, predictions):
    """The model with the fewest parameters among those that predict as well as the best.

    Squared errors of prediction, in units of the noise of a block, are compared block by block: a model is as good if
    the mean difference to the best is below `BETTER` standard errors. One model is chosen for all channels, as colours
    would differ otherwise.

    Parameters
    ----------
    blocks, fits, predictions
        As from `fit_models`.

    Returns
    -------
    str or None
        Name of the model; None if there is none.
    """
    if not fits:
        return None
    scores = {
        name: (((blocks.values - each) / blocks.errors) ** 2)[:, blocks.known].sum(axis=0)
        for name, each in predictions.items()
        if name in fits
    }
    best = min(scores.values(), key=np.mean)

    def as_good(score):
        difference = score - best
        return difference.mean() <= BETTER * difference.std() / np.sqrt(difference.size)

    good = [name for name, score in scores.items() if as_good(score)]
    return min(good, key=lambda name: sum(each.parameters for each in fits[name]))


MODEL_COLUMNS = [
    *["channel", "model", "parameters", "rms_percent", "cv_rms_percent", "noise_percent", "error_percent"],
    *["edge_error_percent", "left_out_percent", "chosen", "coefficients", "remark"],
]


def find_errors(blocks, fits):
    """Errors of all models: for each a list of `ModelError`, one per channel."""
    return {
        name: [model_error(blocks, channel, each) for channel, each in enumerate(whole)] for name, whole in fits.items()
    }


def _rms_percent(relative, where):
    return 100 * float(np.sqrt(np.mean(relative[where] ** 2))) if where.any() else 0.0


def explain_missed(errors):
    """Why a model, with these `ModelError` in the channels, does not describe a flat; empty if it does."""
    frame = max(_rms_percent(each.missed, each.known) for each in errors)
    border = max(_rms_percent(each.missed, each.edge) for each in errors)
    if frame > MISSED_PERCENT or border > MISSED_AT_EDGE_PERCENT:
        return f"misses {frame:.2g} % rms of the flat, {border:.2g} % at its edge"
    return ""


def describe_models(blocks, fits, predictions, errors, chosen, channels):
    """Rows of ``models.tsv``."""
    known, rows = blocks.known, []
    dust = np.zeros_like(known) if blocks.dust is None else blocks.dust
    missed = {name: explain_missed(each) for name, each in errors.items()}
    for index, channel in enumerate(channels):
        values = blocks.values[index][known]
        level = np.where(values > 0, values, np.inf)
        noise = 100 * float(np.sqrt(np.mean((blocks.errors[index][known] / level) ** 2))) if known.any() else None
        for name in models.MODELS:
            row = {
                "channel": channel,
                "model": name,
                "noise_percent": NOT_DETERMINED if noise is None else noise,
                "left_out_percent": 100 * float(dust.sum() / max((dust | known).sum(), 1)),
                "chosen": name == chosen,
            }
            numbers = ("parameters", "rms_percent", "cv_rms_percent", "error_percent", "edge_error_percent")
            row |= dict.fromkeys(numbers, NOT_DETERMINED)
            row |= {"coefficients": "", "remark": f"too few blocks: {known.sum()}"}
            if name in fits:
                fit = fits[name][index]
                rest = {
                    "rms_percent": fit.evaluate(blocks.x[index], blocks.y[index])[known],
                    "cv_rms_percent": predictions[name][index][known],
                }
                row |= {
                    key: 100 * float(np.sqrt(np.mean(((each - values) / level) ** 2))) for key, each in rest.items()
                }
                row["parameters"] = round(fit.parameters, 1)
                error = errors[name][index]
                row["error_percent"] = _rms_percent(error.total, error.known)
                row["edge_error_percent"] = _rms_percent(error.total, error.edge)
                row["coefficients"] = " ".join(f"{key}={value:.9g}" for key, value in fit.coefficients.items())
                row["remark"] = missed[name] if chosen or not missed[name] else f"{NONE_DESCRIBES}: {missed[name]}"
            rows.append(row)
    return rows


@dataclass(frozen=True)
class FlatModel:
    """The model of a flat.

    Attributes
    ----------
    name : str or None
        Of the model; None where no model describes the flat, or too few blocks are known: the model is the flat then.
    reason : str
        Why there is no name; else empty.
    rows : list of dict
        Of ``models.tsv``.
    model, detail : Mosaic
        The model (DN), and the flat over it, with their standard errors.
    radial : flatfield.measure.lensfun.RadialModel
        The even radial model of the middle channel.
    """

    name: str | None
    reason: str
    rows: list
    model: Mosaic
    detail: Mosaic
    radial: RadialModel


def model_flat(flat):
    """Fit all models to a flat and draw the one that predicts best with the fewest parameters.

    Parameters
    ----------
    flat : Mosaic
        With error and mask.

    Returns
    -------
    FlatModel
    """
    cfa, shape = flat.cfa, flat.shape
    saturated = None if flat.mask is None else (flat.mask & MASK_SATURATED) > 0
    blocks = average_blocks(flat.value, ~flat.good, cfa, BLOCKS_ACROSS, saturated)
    fits, predictions = fit_models(blocks)
    errors = find_errors(blocks, fits)
    missed = {name: explain_missed(each) for name, each in errors.items()}
    chosen = choose_model(blocks, {name: each for name, each in fits.items() if not missed[name]}, predictions)
    rows = describe_models(blocks, fits, predictions, errors, chosen, cfa.channels)
    model, error, relative = flat.value, flat.error, np.float32(0)
    if chosen:
        model = models.draw_mosaic(fits[chosen], cfa, shape)
        relative = draw_errors(blocks, errors[chosen], cfa, shape)
        error = np.abs(model) * relative
    ratio, uncert = (
        np.divide(each, model, out=np.full(shape, np.nan, np.float32), where=model > 0)
        for each in (flat.value, flat.error)
    )
    reason = "" if chosen else NONE_DESCRIBES if fits else TOO_FEW
    return FlatModel(
        chosen,
        reason,
        rows,
        Mosaic(model, cfa, flat.header.copy(), error),
        Mosaic(ratio, cfa, flat.header.copy(), np.hypot(uncert, ratio * relative), flat.mask),
        _radial(blocks, fits, errors, missed, len(cfa.channels) // 2),
    )


def _radial(blocks, fits, errors, missed, channel):
    """What is exported for lensfun: the even radial model of a channel, its error, or why there is none."""
    name = models.LENSFUN
    if name not in fits:
        return RadialModel(None, None, TOO_FEW)
    error = _rms_percent(errors[name][channel].total, errors[name][channel].known)
    if missed[name]:
        reason = NONE_DESCRIBES if all(missed.values()) else "the even radial model does not describe this flat"
        return RadialModel(None, error, f"{reason}: it {missed[name]}")
    return RadialModel(fits[name][channel].coefficients, error, "")
