"""The detector: convolutional over time, scores a frame, and no layer that looks at a recording as a whole.

::

    rows [frame, band] -> also less the mean of the seconds around -> convolutions, halving time and bands
                       -> one convolution over all bands -> dilated convolutions over time  (coarse: what it is)
                       -> joined with the finer frames before the last halving              (fine: when it is)
                       -> scores [frame, label]

What a score depends on ends `FrameLayout.halo` frames to either side, so a recording can be cut anywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import keras
from keras import layers

from hubbub.config import Settings
from hubbub.config.frontends import Decibels
from hubbub.config.recipes import ModelSettings
from hubbub.errors import TrainingError
from hubbub.learn.augment import Augmentation, Scale
from hubbub.learn.dataset import BandStatistics
from hubbub.learn.frames import frame_and_clip_loss
from hubbub.learn.networks import Recipe, Shape
from hubbub.learn.networks.default import optimizer
from hubbub.learn.networks.standard import standardise
from hubbub.models.frames import FrameLayout

FILTERS = (24, 48, 96, 128)
"""Of the stem and the blocks after it."""

HEAD_FILTERS, CONTEXT_FILTERS, FINE_FILTERS = 192, 192, 64
"""Of the convolution that spans all bands, of those over time, and of the finer frames."""

DILATIONS = (1, 2, 4, 8)
"""Of the convolutions over time, in coarse frames."""

LONGEST_FRAME_S = 0.13
"""A score's frame is the longest power of two of the frontend's frames up to this."""

AROUND_S = 2.0
"""Seconds to either side whose mean is taken off a frame, about."""

BATCH_NORM_MOMENTUM = 0.95


@dataclass(frozen=True)
class _Plan:
    """How the detector divides time, for one frontend."""

    halvings: int
    """Times that time is halved before the coarse frames; scores have half as many halvings."""

    around: int
    """Coarse frames to either side whose mean is taken off."""

    @property
    def coarse(self) -> int:
        """Frontend frames a coarse frame; a row's frames are a multiple of it."""
        return 2**self.halvings

    @property
    def stride(self) -> int:
        """Frontend frames a score."""
        return self.coarse // 2

    @property
    def reach(self) -> int:
        """Frontend frames to either side that a score may depend on, at most."""
        reach = 2.0 + 1  # the stem's 5 frames, and its stride
        reach += self.coarse * (1 + 1 + 1 + 1)  # three convolutions of 3, at most at the coarse frames, and poolings
        reach += self.coarse * (sum(DILATIONS) + 1)
        reach += self.coarse * (self.around + 1)
        return math.ceil(reach)


def plan_frames(settings: Settings) -> FrameLayout:
    """How the scores lie; raises `TrainingError` for features that the detector cannot take."""
    plan = _plan_time(settings)
    # Beyond what the network reaches, what its frames do: on either side of a clip in silence, and of another's.
    edge = -(-(settings.frontend.n_fft // 2) // settings.frontend.hop_samples)
    halo = plan.coarse * math.ceil((plan.reach + 2 * edge) / plan.coarse)
    return FrameLayout(plan.stride, plan.coarse, halo, Scale.of(settings).silence_db)


def _plan_time(settings: Settings) -> _Plan:
    """Choose the detector's frames for a frontend.

    Raises
    ------
    TrainingError
        The features are no decibels with a fixed reference, or their frames are longer than a score may be.
    """
    frontend = settings.frontend
    if not (frontend.is_db and isinstance(frontend, Decibels)):
        raise TrainingError(
            f"detector mixes sounds in decibels of power, and the store's frontend is {frontend.name}; "
            "make features with --set frontend.name=log-mel, or train --model default"
        )
    if frontend.ref == "max":
        raise TrainingError(
            "detector hears recordings in a stream, in which no window has a peak of its own "
            f"(given: frontend.ref {frontend.ref}); make features with --set frontend.ref=1, or train --model default"
        )
    hop_s = frontend.hop_samples / frontend.sample_rate
    if hop_s > LONGEST_FRAME_S:
        raise TrainingError(
            f"detector scores frames of up to {LONGEST_FRAME_S:g} s, and the store's are {hop_s:.3g} s apart; "
            f"make features with --set frontend.hop_samples={int(0.02 * frontend.sample_rate)}"
        )
    halvings = int(math.log2(LONGEST_FRAME_S / hop_s)) + 1
    return _Plan(halvings, max(1, round(AROUND_S / (2**halvings * hop_s))))


def build(shape: Shape, statistics: BandStatistics, model: ModelSettings) -> keras.Model:
    """Build for any number of frames that is a multiple of `FrameLayout.multiple`.

    Parameters
    ----------
    shape
        What to build for; its `settings` decide the frames (None: the defaults).
    statistics
        Of the training rows' bands.
    model
        Its dropout is taken before the scores.
    """
    plan = _plan_time(shape.settings or Settings())
    features = keras.Input((None, shape.n_bands), name="features")
    hidden = _stack_with_difference(standardise(features, statistics), plan, shape.n_bands)
    strides = [2 if step < plan.halvings - 1 else 1 for step in range(2)]
    hidden = _add_convolution(hidden, FILTERS[0], 5, strides=(strides[0], 2), pool=(strides[1], 2))
    fine = _add_convolution(hidden, FILTERS[1], 3)
    left = plan.halvings - 1 - sum(step == 2 for step in strides)
    if left > 0:  # frontends with short hops
        fine = layers.AveragePooling2D((2**left, 1), padding="same")(fine)
    hidden = layers.MaxPooling2D(2, padding="same")(fine)
    hidden = _add_convolution(hidden, FILTERS[2], 3, pool=(1, 2))
    hidden = _add_convolution(hidden, FILTERS[3], 3)
    coarse = _flatten_bands(hidden, HEAD_FILTERS)
    for dilation in DILATIONS:
        coarse = layers.Add()([coarse, _add_convolution_in_time(coarse, 3, dilation)])
    coarse = layers.Dropout(model.dropout)(coarse)
    joined = layers.Concatenate()([layers.UpSampling1D(2)(coarse), _flatten_bands(fine, FINE_FILTERS)])
    joined = layers.Conv1D(CONTEXT_FILTERS // 2, 3, padding="same", use_bias=False)(joined)
    joined = layers.ReLU()(layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM)(joined))
    joined = layers.Dropout(model.dropout)(joined)
    # Scores begin low: most labels are absent from most frames.
    frames = layers.Dense(
        shape.n_labels,
        activation="sigmoid",
        bias_initializer=keras.initializers.Constant(-3.5),
        dtype="float32",
        name="scores",
    )(joined)
    return keras.Model(features, frames, name="detector")


def _stack_with_difference(standard: keras.KerasTensor, plan: _Plan, n_bands: int) -> keras.KerasTensor:
    """Two channels: frames as they are, and less the mean of the seconds around them, which takes steady noise off."""
    means = layers.AveragePooling1D(plan.coarse)(standard)
    means = layers.AveragePooling1D(2 * plan.around + 1, strides=1, padding="same")(means)
    difference = layers.Subtract()([standard, layers.UpSampling1D(plan.coarse)(means)])
    as_image = layers.Reshape((-1, n_bands, 1))
    return layers.Concatenate()([as_image(standard), as_image(difference)])


def _flatten_bands(hidden: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    """One convolution over all bands: where on the frequency axis something sounds tells what it is."""
    hidden = _add_convolution(hidden, filters, (1, hidden.shape[2]), padding="valid")
    return layers.Reshape((-1, filters))(hidden)


def _add_convolution_in_time(hidden: keras.KerasTensor, size: int, dilation: int = 1) -> keras.KerasTensor:
    hidden = layers.Conv1D(CONTEXT_FILTERS, size, dilation_rate=dilation, padding="same", use_bias=False)(hidden)
    return layers.ReLU()(layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM)(hidden))


def _add_convolution(
    hidden: keras.KerasTensor,
    filters: int,
    size: int | tuple[int, int],
    *,
    strides: int | tuple[int, int] = 1,
    padding: str = "same",
    pool: tuple[int, int] | None = None,
) -> keras.KerasTensor:
    """Add a convolution; what is pooled is pooled before it is normalised, which saves a fifth of a training's time."""
    hidden = layers.Conv2D(filters, size, strides=strides, padding=padding, use_bias=False)(hidden)
    if pool is not None:
        hidden = layers.MaxPooling2D(pool, padding="same")(hidden)
    return layers.ReLU()(layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM)(hidden))


def policy(settings: Settings) -> Augmentation:
    """Scenes mixed anew for every batch (`hubbub.learn.scenes`)."""
    from hubbub.learn.scenes import SceneMixer

    return SceneMixer.of(settings, plan_frames(settings))


RECIPE = Recipe(
    name="detector",
    summary="A convolutional network that scores every tenth of a second; trained on scenes mixed on the fly.",
    source="hubbub",
    activation="sigmoid",
    loss=frame_and_clip_loss,
    plan_frames=plan_frames,
    build=build,
    optimizer=optimizer,
    policy=policy,
    batch_rows=16,
    row_passes=27_500,
    most_epochs=120,
    settled_share=0.8,
)
