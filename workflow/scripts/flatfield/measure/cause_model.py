"""What may make a light uneven, as a model that is linear about a point.

The sky that a camera records is L = T[A s V' + p]: s the sky, V' the flat, perhaps shifted or scaled or without the
light source that it holds, p a pedestal, T what encodes the signal. Decoded and divided by V' this is linear in all
but gamma, shift and scale.
"""

from dataclasses import dataclass

import numpy as np

from flatfield.measure.encodings import decode, decoding_slope, encode
from flatfield.measure.evidence import Projection

#: Standard deviations of a pedestal, relative to the light's own level: small ones are as common as large ones.
PEDESTAL_SIZES = (0.01, 0.04, 0.15)
#: Of a pedestal: one number of DN for all channels (black level), of the colour of the light (flare), or any.
PEDESTALS = {"equal": 0.4, "colour of the light": 0.4, "any": 0.2}
#: Standard deviation of a shift (half diagonals) and of ln scale: focus and aim change, the lens is the same.
SHIFT, SCALE = 0.05, 0.03
#: Of a moved vignetting: shifted, shifted and scaled; only scaled it would look like a sky that is round.
MOVES = {"shifted": 0.45, "shifted, scaled": 0.45, "scaled": 0.1}
#: Standard deviation of ln gamma; and mean and standard deviation of that of a picture.
LN_GAMMA, PICTURE_LN_GAMMA = 0.5, (np.log(2.2), 0.3)
#: A parameter that is held has this precision.
HELD = 1e12
#: Change over the frame that the shutter of short exposures makes, standard deviation per half diagonal.
SHUTTER = 0.06


@dataclass(frozen=True)
class Hypothesis:
    """Causes that are at work together.

    Attributes
    ----------
    curve : str or None
        ``None``: not encoded, or by a power.
    power : bool
    source : bool
        The flat holds its light source.
    move : str or None
        One of `MOVES`.
    pedestal : str or None
        One of `PEDESTALS`.
    pedestal_size : float
        One of `PEDESTAL_SIZES`.
    shutter : bool
        The flat holds the shutter.
    """

    curve: str | None = None
    power: bool = False
    source: bool = False
    move: str | None = None
    pedestal: str | None = None
    pedestal_size: float = PEDESTAL_SIZES[-1]
    shutter: bool = False

    @property
    def causes(self):
        """Names of the causes. A scale alone is none: a round sky looks like it."""
        at_work = {
            "encoded": self.power or self.curve is not None,
            "pedestal": self.pedestal is not None,
            "flat not flat": self.source,
            "wrong flat": self.move in ("shifted", "shifted, scaled"),
            "shutter": self.shutter,
        }
        return frozenset(cause for cause, there in at_work.items() if there)


#: What may be there before a nonlinear parameter is moved.
PLAIN = Hypothesis(pedestal="any")


@dataclass(frozen=True)
class Point:
    """Where the nonlinear parameters are made linear: curve, source, and ln gamma, shift in x and y, ln scale."""

    curve: str | None
    source: bool
    values: np.ndarray


class Linear:
    """The light, decoded and divided by the flat, and what its deviations are linear in.

    Attributes
    ----------
    columns : numpy.ndarray, ``(channels, tiles, columns + 1)``
        A constant a channel, a pedestal a channel, ln gamma, shift in x and y, ln scale, shutter (two); the data last.
    level : numpy.ndarray, ``(channels,)``
        Mean of what was divided: all columns are relative to it.
    """

    def __init__(self, fit, point, family=None):
        self.point, self.ln_gamma = point, PICTURE_LN_GAMMA if fit.is_picture else (0.0, LN_GAMMA)
        channels, gamma = fit.channels, float(np.exp(point.values[0]))
        flat = fit.moved_flat(point.source, point.values[1:])
        signal = decode(point.curve, gamma, fit.light)
        slope = decoding_slope(point.curve, gamma, fit.light)
        error = fit.error * slope / flat
        divided = signal / flat
        self.weights = np.where(fit.known, 1 / error**2, 0.0).reshape(channels, -1) / fit.noise_scale
        divided = divided.reshape(channels, -1)
        self.level = (self.weights * divided).sum(axis=1) / self.weights.sum(axis=1)
        self.weights = self.weights * self.level[:, None] ** 2
        data = divided / self.level[:, None] - 1
        self.flat = flat.reshape(channels, -1)
        inverse = 1 / self.flat
        self.middle = inverse.mean(axis=1, keepdims=True)
        columns = np.zeros((channels, data.shape[1], 2 * channels + 7))
        for channel in range(channels):
            columns[channel, :, channel] = 1
            columns[channel, :, channels + channel] = inverse[channel] - self.middle[channel]
        columns[..., -1] = np.where(self.weights > 0, data, 0)
        columns[self.weights == 0] = 0
        self.columns = columns
        self.projection = Projection(fit.basis, fit.kernels, columns, self.weights, fit.flat_errors)
        # changes with the nonlinear parameters, of the light without its noise, which these must not explain
        if family is None:
            log_weight, _, _ = fit.weigh_at(self, self.projection.marginal(fit.families), PLAIN)
            family = fit.families[int(np.argmax(log_weight))]
        smooth = 1 + fit.most_probable(self, PLAIN, family)[1]
        smooth = np.maximum(smooth, 1e-3)
        recorded = encode(point.curve, gamma, smooth * self.level[:, None] * self.flat)
        columns[..., 2 * channels] = -smooth * gamma * np.log(recorded)
        for index, change in enumerate(fit.changes(point.source, point.values[1:])):
            columns[..., 2 * channels + 1 + index] = smooth * change.reshape(channels, -1)
        down = np.broadcast_to(fit.y[:, None], fit.light.shape[1:]).ravel()
        columns[..., 2 * channels + 4] = -smooth * down
        columns[..., 2 * channels + 5] = -smooth * (down**2 - np.mean(down**2))
        columns[self.weights == 0] = 0
        self.projection = self.projection.with_columns(fit.basis, columns, self.weights)

    def prior(self, hypothesis):
        """Transform of the columns, mean and precision of the coefficients of a hypothesis; see `evidence.weigh`."""
        channels = len(self.level)
        count = 2 * channels + 6
        parts, mean, precision = [np.eye(count)[:, :channels]], [0.0] * channels, [1.0] * channels
        if hypothesis.pedestal == "any":
            parts.append(np.eye(count)[:, channels : 2 * channels])
            mean, precision = mean + [0.0] * channels, precision + [hypothesis.pedestal_size**-2] * channels
        elif hypothesis.pedestal:
            share = self.level.mean() / self.level if hypothesis.pedestal == "equal" else np.ones(channels)
            column = np.zeros((count, 1))
            column[channels : 2 * channels, 0] = share
            parts.append(column)
            mean, precision = [*mean, 0.0], [*precision, hypothesis.pedestal_size**-2]
        move = hypothesis.move or ""
        free = [hypothesis.power, "shifted" in move, "shifted" in move, "scaled" in move]
        priors = [self.ln_gamma, (0.0, SHIFT), (0.0, SHIFT), (0.0, SCALE)]
        for index, (is_free, (middle, spread)) in enumerate(zip(free, priors, strict=True)):
            start = self.point.values[index]
            if is_free or start:
                parts.append(np.eye(count)[:, [2 * channels + index]])
                mean = [*mean, middle - start if is_free else -start]
                precision = [*precision, spread**-2 if is_free else HELD]
        if hypothesis.shutter:
            parts.append(np.eye(count)[:, 2 * channels + 4 :])
            mean, precision = [*mean, 0.0, 0.0], [*precision, SHUTTER**-2, (SHUTTER / 3) ** -2]
        return np.concatenate(parts, axis=1), np.array(mean), np.array(precision)
