"""The default network: compact, for few recordings, with a score near 0 for every label where none is present."""

from __future__ import annotations

import keras
from keras import layers

from hubbub.config import Settings
from hubbub.config.recipes import ModelSettings
from hubbub.learn.augment import Augmentation, Noise, Policy, Scale
from hubbub.learn.augment_any import AnyPolicy, Backgrounds
from hubbub.learn.dataset import BandStatistics
from hubbub.learn.networks import Recipe, Shape
from hubbub.learn.networks.fourier import power_spectra
from hubbub.learn.networks.standard import standardise

FILTERS = (32, 64, 96, 128)
"""Of the stem and the blocks after it."""

HEAD_FILTERS = 128
"""Of the convolution that spans all bands."""

MODULATION_FRAMES, MODULATION_UNITS = 64, 64
"""Frames that the modulation spectrum looks at together (1.5 s with the default frontend), and its dense units."""

BATCH_NORM_MOMENTUM = 0.9
"""Of batch normalisation: short, for small stores have few steps in which running statistics could follow."""

BACKGROUND_DB, NEGATIVES = (-90.0, -40.0), 0.125
"""RMS of backgrounds, softest and loudest in dBFS; rows of background alone, a row of the batch."""


def build(shape: Shape, statistics: BandStatistics, model: ModelSettings) -> keras.Model:
    """Join two branches over one standardised row: its spectrogram, and the modulation spectrum of its bands.

    Parameters
    ----------
    shape
        What to build for.
    statistics
        Of the training rows' bands.
    model
        Its dropout is taken before the scores, and in the modulation branch.
    """
    features = keras.Input((shape.n_frames, shape.n_bands), name="features")
    standard = standardise(features, statistics)
    hidden = layers.Concatenate()([_spectrogram_branch(standard), _modulation_branch(standard, model.dropout)])
    hidden = layers.Dropout(model.dropout)(hidden)
    # Scores begin at a tenth: most labels are absent from most rows.
    scores = layers.Dense(
        shape.n_labels,
        activation="sigmoid",
        bias_initializer=keras.initializers.Constant(-2.2),
        dtype="float32",
        name="scores",
    )(hidden)
    return keras.Model(features, scores, name="default")


def _spectrogram_branch(standard: keras.KerasTensor) -> keras.KerasTensor:
    """A stem that halves time and bands, three blocks, one convolution over all bands, mean and peak over time.

    Where on the frequency axis something sounds tells more than that it sounds, so the bands are weighed, not
    averaged. Mean and peak over time let a bark count in five seconds of silence as rain does in five seconds of rain.
    """
    hidden = _add_convolution(layers.Reshape((*standard.shape[1:], 1))(standard), FILTERS[0], 5, strides=2)
    for filters in FILTERS[1:]:
        hidden = layers.MaxPooling2D(2, padding="same")(hidden)
        hidden = _add_convolution(hidden, filters, 3)
    n_frames, n_bands = hidden.shape[1:3]
    hidden = _add_convolution(hidden, HEAD_FILTERS, (1, n_bands), padding="valid")
    hidden = layers.Reshape((n_frames, HEAD_FILTERS))(hidden)
    return layers.Concatenate()([layers.GlobalAveragePooling1D()(hidden), layers.GlobalMaxPooling1D()(hidden)])


def _modulation_branch(standard: keras.KerasTensor, dropout: float) -> keras.KerasTensor:
    """The modulation spectrum: how strongly each stretch of bands goes up and down, by how often a second.

    It tells rotor blades from rain where their spectra are alike, and pooling blurs it away. Gain and equalisation do
    not change it.
    """
    length = min(MODULATION_FRAMES, standard.shape[1])
    # The spectra are float32, whatever the precision.
    stretches = layers.AveragePooling1D(4, padding="same", dtype="float32")(layers.Permute((2, 1))(standard))
    power = keras.ops.mean(power_spectra(stretches, length=length, hop=max(1, length // 4)), axis=2)
    # The first bin is the mean level, which is no modulation; the offset is far below what any recording shows.
    level = keras.ops.log(power[:, :, 1:] + 0.01)
    pooled = layers.AveragePooling2D(2, padding="same")(layers.Reshape((*level.shape[1:], 1))(level))
    hidden = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM)(layers.Flatten()(pooled))
    hidden = layers.Dense(MODULATION_UNITS, use_bias=False)(layers.Dropout(dropout)(hidden))
    return layers.ReLU()(layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM)(hidden))


def _add_convolution(
    hidden: keras.KerasTensor,
    filters: int,
    size: int | tuple[int, int],
    *,
    strides: int = 1,
    padding: str = "same",
) -> keras.KerasTensor:
    hidden = layers.Conv2D(filters, size, strides=strides, padding=padding, use_bias=False)(hidden)
    return layers.ReLU()(layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM)(hidden))


def optimizer(steps: int, model: ModelSettings) -> keras.optimizers.Optimizer:
    """AdamW, warmed up over a twentieth of the steps, then along a cosine to zero."""
    warmup = max(1, steps // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        model.learning_rate / 20, max(1, steps - warmup), warmup_target=model.learning_rate, warmup_steps=warmup
    )
    return keras.optimizers.AdamW(schedule, weight_decay=model.weight_decay)


def policy(settings: Settings) -> Augmentation:
    """Time shift, gain, random EQ, frequency shift, mixup, SpecAugment masks, background noise and negatives.

    Of these, rows that are no decibels get what is sound on any features (`AnyPolicy`).
    """
    if not settings.frontend.is_db:
        return AnyPolicy(Backgrounds.of(settings, level_db=BACKGROUND_DB), negatives=NEGATIVES)
    return Policy(
        scale=Scale.of(settings),
        noise=Noise.of(settings, level_db=BACKGROUND_DB),
        noisy_share=0.3,
        negatives=NEGATIVES,
        gain_db=(-15.0, 6.0),
        cut_share=0.2,
        eq_db=4.0,
        max_band_shift=_max_band_shift(settings),
    )


def _max_band_shift(settings: Settings) -> int:
    """About what a change of pitch moves; bands of equal width in hertz move less, or low sounds would leap octaves."""
    steps = 128 if settings.frontend.name == "stft-db" else 32
    return max(1, settings.frontend.n_bands // steps)


RECIPE = Recipe(
    name="default",
    summary="A compact convolutional network with batch normalisation that judges each label on its own.",
    source="hubbub",
    activation="sigmoid",
    loss="binary_crossentropy",
    build=build,
    optimizer=optimizer,
    policy=policy,
    batch_rows=32,
    row_passes=42_000,
    most_epochs=150,
    settled_share=0.8,
)
