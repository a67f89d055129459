"""Which model of a flat the data ask for, by the blocks that it predicts."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from flatfield.files.tables import NOT_DETERMINED
from flatfield.measure import models
from flatfield.measure.blocks import block_side
from flatfield.measure.model_blocks import average_blocks
from flatfield.measure.models import FEWEST, MODELS, SPLINE, _enough
from flatfield.raw.mosaic import Mosaic

#: Parts in which the blocks are left out in turn.
FOLDS = 10
#: A model with fewer parameters is preferred unless another predicts better by this many standard errors.
BETTER = 3.0


def fit_models(blocks):
    """Fit all models to all channels, and predict blocks that were left out.

    Parameters
    ----------
    blocks : Blocks

    Returns
    -------
    fits : dict
        For each model a list of `Fit`, one a channel. Models with too many parameters for the blocks are not there.
    predictions : dict
        For each model the values predicted for blocks from those of other folds, ``(channels, rows, columns)``.
    """
    if not _enough(blocks.known, FEWEST):
        return {}, {}
    rows, columns = blocks.known.shape
    fold = (3 * np.arange(rows)[:, None] + np.arange(columns)) % FOLDS
    fits, predictions, weights = {}, {}, blocks.weights
    for name, fit in MODELS.items():
        whole = [fit(*channel) for channel in zip(blocks.x, blocks.y, blocks.values, weights, strict=True)]
        if not all(_enough(blocks.known, each.parameters) for each in whole):
            continue
        fits[name] = whole
        predictions[name] = np.zeros(blocks.values.shape)
        for channel, (x, y) in enumerate(zip(blocks.x, blocks.y, strict=True)):
            again = partial(fit, penalty=whole[channel].coefficients["penalty"]) if name == SPLINE else fit
            for part in range(FOLDS):
                left = again(x, y, blocks.values[channel], np.where(fold == part, 0, weights[channel]))
                predictions[name][channel][fold == part] = left.evaluate(x, y)[fold == part]
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
    }
    best = min(scores.values(), key=np.mean)

    def as_good(score):
        difference = score - best
        return difference.mean() <= BETTER * difference.std() / np.sqrt(difference.size)

    good = [name for name, score in scores.items() if as_good(score)]
    return min(good, key=lambda name: sum(each.parameters for each in fits[name]))


MODEL_COLUMNS = [
    *["channel", "model", "parameters", "rms_percent", "cv_rms_percent", "noise_percent", "chosen", "coefficients"],
]
#: Models are fitted to about so many blocks side by side.
BLOCKS_ACROSS = 48


def relative_error(blocks, fits):
    """Rms standard error of the values of a model for each channel, relative: noise sqrt(parameters / blocks)."""
    relative = np.sqrt(np.mean((blocks.errors / np.maximum(blocks.values, 1e-30))[:, blocks.known] ** 2, axis=1))
    return relative.astype(np.float32) * np.array(
        [(each.parameters / blocks.known.sum()) ** 0.5 for each in fits], np.float32
    )


def describe_models(blocks, fits, predictions, chosen, channels):
    """Rows of ``models.tsv``."""
    known, rows = blocks.known, []
    for index, channel in enumerate(channels):
        values = blocks.values[index][known]
        noise = 100 * float(np.sqrt(np.mean((blocks.errors[index][known] / values) ** 2))) if known.any() else None
        for name in models.MODELS:
            row = {
                "channel": channel,
                "model": name,
                "noise_percent": NOT_DETERMINED if noise is None else noise,
                "chosen": name == chosen,
            }
            row |= dict.fromkeys(("parameters", "rms_percent", "cv_rms_percent"), NOT_DETERMINED)
            row["coefficients"] = f"too few blocks: {known.sum()}"
            if name in fits:
                fit = fits[name][index]
                rest = {
                    "rms_percent": fit.evaluate(blocks.x[index], blocks.y[index])[known],
                    "cv_rms_percent": predictions[name][index][known],
                }
                row |= {key: 100 * float(np.sqrt(np.mean((each / values - 1) ** 2))) for key, each in rest.items()}
                row["parameters"] = round(fit.parameters, 1)
                row["coefficients"] = " ".join(f"{key}={value:.9g}" for key, value in fit.coefficients.items())
            rows.append(row)
    return rows


@dataclass(frozen=True)
class FlatModel:
    """The model of a flat.

    Attributes
    ----------
    name : str or None
        Of the model; None where too few blocks are known: then the model is the flat itself.
    rows : list of dict
        Of ``models.tsv``.
    model, detail : Mosaic
        The model (DN), and the flat over it.
    radial : dict or None
        Coefficients of the even radial model of the middle channel.
    """

    name: str | None
    rows: list
    model: Mosaic
    detail: Mosaic
    radial: dict | None


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
    blocks = average_blocks(flat.value, ~flat.good, cfa, block_side(shape, cfa, BLOCKS_ACROSS))
    fits, predictions = fit_models(blocks)
    chosen = choose_model(blocks, fits, predictions)
    rows = describe_models(blocks, fits, predictions, chosen, cfa.channels)
    model, parts = flat.value, np.full(len(cfa.channels), np.nan, np.float32)
    if chosen:
        model, parts = models.draw_mosaic(fits[chosen], cfa, shape), relative_error(blocks, fits[chosen])
    error = model * parts[cfa.channel_map(shape)]
    ratio, uncert = (
        np.divide(each, model, out=np.full(shape, np.nan, np.float32), where=model > 0)
        for each in (flat.value, flat.error)
    )
    radial = fits.get(models.LENSFUN)
    return FlatModel(
        chosen,
        rows,
        Mosaic(model, cfa, flat.header.copy(), error),
        Mosaic(ratio, cfa, flat.header.copy(), uncert, flat.mask),
        radial and radial[len(cfa.channels) // 2].coefficients,
    )
