"""Networks for photographs, of keras.applications, on spectrograms as images.

::

    rows [frame, band] -> standardised -> image [band, frame, 3], resized -> the network, without its last layer
                       -> mean of each feature over the image -> standardised -> one dense layer

Each band is standardised by the training rows, and its standard deviation becomes a quarter of the range from black to
white, as Y. Gong et al. do it for networks of ImageNet ("AST: Audio Spectrogram Transformer", 2021): a fixed range of
decibels would have to be another one for each gain, reference and frontend, and features that are no decibels have none
at all. Peaks may be whiter than white, which convolutions take.

Batch normalisation of the network stays at what its weights came with: a few hundred spectrograms make poor statistics.
In the stage ``whole`` alone it learns as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from hubbub.config.recipes import ImageModelSettings, ModelSettings
from hubbub.errors import SettingsError, TrainingError
from hubbub.io.text import count_noun
from hubbub.learn.dataset import BandStatistics
from hubbub.learn.networks import Recipe, Shape
from hubbub.learn.networks.default import optimizer, policy
from hubbub.learn.networks.standard import make_picture, shrink
from hubbub.learn.stages import Parts, Stage
from hubbub.learn.weight_files import Arrays, WeightsFile, list_wanted, open_weights

IMAGE_NETWORK, POOLED, STANDARD, DROPOUT, SCORES = "image_network", "pooled", "standard_outputs", "dropout", "scores"
"""Names of layers: the network of keras.applications, its outputs, and the layers after them."""

NORMALISER = "normalization"
"""EfficientNet's own layer that takes an image's mean off, by its name in keras.applications."""

IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)
"""Standard deviation of red, green and blue in ImageNet, where black is 0 and white is 1."""

KERNELS = {94: "inception-v3", 52: "mobilenet-v2", 81: "efficientnet-b0"}
"""Kernels of convolutions -> the network that has so many."""

CONTRAST = 0.5
"""What a band's standard deviation becomes where images go from -1 to 1."""

DELTA_FRAMES = 4
"""Frames to either side that a change over time is taken from, as of librosa's `delta`."""

LEAST_STD, LEAST_STD_OF_LARGEST = 0.02, 1e-3
"""Least standard deviation of an output, as a share of its own RMS and of the largest standard deviation. What hardly
changes is not blown up: once the layers before it train, all of it moves."""

BATCH_NORM_MOMENTUM = 0.9
"""Of batch normalisation that learns; networks of ImageNet have one for millions of images."""


@dataclass(frozen=True)
class ImageNetwork:
    """A network of keras.applications."""

    name: str
    """What a user types."""

    make: Callable[..., keras.Model]
    """Its function there."""

    side_px: int
    """Side of the images that it was made for."""

    pixels: tuple[float, float]
    """What an image from -1 to 1 is multiplied by, and what is added, to make what it expects."""

    def build(self, shape: Shape, statistics: BandStatistics, model: ModelSettings) -> keras.Model:
        """Build with random weights.

        Parameters
        ----------
        shape
            What to build for.
        statistics
            Of the training rows' bands.
        model
            Its dropout is taken before the scores.

        Raises
        ------
        TrainingError
            The rows are too small for an image.
        """
        assert isinstance(model, ImageModelSettings)
        _refuse_small_rows(shape, model)
        side_px, learns = model.side_px or self.side_px, model.stages == "whole"
        features, picture = make_picture(shape, statistics)
        image = _draw_image(picture, model.channels, side_px)
        scale, offset = self.pixels
        # float32 in mixed precision, too: networks have their own first step, and take images as numbers of pixels.
        image = layers.Rescaling(scale, offset, dtype="float32", name="pixels")(image)
        network = self.build_network(side_px, learns=learns)
        hidden = network(image, training=None if learns else False)
        pooled = layers.GlobalAveragePooling2D(dtype="float32", name=POOLED)(hidden)
        return keras.Model(features, _add_head(pooled, shape.n_labels, model.dropout), name="spectrogram_as_image")

    def build_network(self, side_px: int, *, learns: bool = False) -> keras.Model:
        """Build the network itself, [row, side, side, 3] to [row, y, x, feature].

        Its first step is made of weights alone: `keras.layers.Normalization` keeps tensors beside them, which neither
        a checkpoint nor an exporter sees.
        """
        made = self.make(include_top=False, weights=None, input_shape=(side_px, side_px, 3))
        if learns or any(isinstance(layer, layers.Normalization) for layer in made.layers):
            made = keras.models.clone_model(made, clone_function=partial(_copy_layer, learns=learns))
        return keras.Model(made.input, made.output, name=IMAGE_NETWORK)

    def load(self, network: keras.Model, file: Path) -> None:
        """Give the image network of what `build` made the weights of a file; those of its last layer are left out.

        Raises
        ------
        TrainingError
            The file cannot be read, or holds the weights of another network.
        """
        held_by = network.get_layer(IMAGE_NETWORK).layers
        with open_weights(file) as held:
            # Files of keras.applications, and those of bundles, in which EfficientNet's first step is another layer.
            found = held.find(list_wanted(held_by, {NORMALISER: "Normalization"})) or held.find(list_wanted(held_by))
            if found is None:
                raise TrainingError(self._refuse(file, held, held_by))
        for layer in held_by:
            if layer.name in found:
                layer.set_weights(_correct(layer.name, found[layer.name]))

    def _refuse(self, file: Path, held: WeightsFile, layers_here: list[keras.Layer]) -> str:
        looks_like = KERNELS.get(held.n_kernels)
        guess = f", which look like those of {looks_like}" if looks_like not in (None, self.name) else ""
        having = [layer for layer in layers_here if layer.weights]
        values = sum(int(np.prod(one.shape)) for layer in having for one in layer.weights)
        return (
            f"{file} holds {held.describe()}{guess}; expected the weights of {self.name}, "
            f"{count_noun(len(having), 'layer')} with {values:,} values, and its last layer or not"
        )


def _copy_layer(layer: keras.Layer, *, learns: bool) -> keras.Layer:
    if isinstance(layer, layers.Normalization):
        return layers.BatchNormalization(center=False, scale=False, epsilon=1e-12, name=NORMALISER)
    config = layer.get_config()
    if learns and isinstance(layer, layers.BatchNormalization):
        config["momentum"] = BATCH_NORM_MOMENTUM
    return type(layer).from_config(config)


def _correct(layer: str, arrays: Arrays) -> Arrays:
    """Undo what the published weights of EfficientNet have wrong: standard deviations in place of variances.

    keras.applications does so by a layer more (https://github.com/tensorflow/tensorflow/issues/49930).
    """
    if layer != NORMALISER or not np.allclose(arrays[1], IMAGENET_STD):
        return arrays
    return [arrays[0], np.square(IMAGENET_STD)]


def _refuse_small_rows(shape: Shape, model: ImageModelSettings) -> None:
    if min(shape.n_frames, shape.n_bands) < 2:
        raise TrainingError(
            f"rows of {shape.n_frames} x {shape.n_bands} (frames x bands) make no image; make features of several "
            "frames and bands, such as log-mel"
        )
    if model.channels == "deltas" and shape.n_frames <= DELTA_FRAMES:
        raise SettingsError(
            f"model.channels: deltas, but rows of {shape.n_frames} frames are too short for changes over time; "
            f"expected at least {DELTA_FRAMES + 1}, or model.channels=same"
        )


def _draw_image(picture: keras.KerasTensor, channels: str, side_px: int) -> keras.KerasTensor:
    """Standardised rows as images, float32 [row, side, side, 3], most of them from -1 to 1: bands down, time across."""
    image = layers.Permute((2, 1, 3))(picture)
    if channels == "deltas":
        image = layers.Concatenate()([image, _take_deltas(image)])
    image = shrink(image, side_px)
    if channels == "same":
        image = layers.Concatenate()([image, image, image])
    return layers.Rescaling(CONTRAST, dtype="float32", name="contrast")(image)


def _take_deltas(image: keras.KerasTensor) -> keras.KerasTensor:
    """First and second change over time, float32 [row, band, frame, 2].

    A. Savitzky and M. J. E. Golay, "Smoothing and Differentiation of Data", 1964, as `librosa.feature.delta` has it,
    but scaled so that noise keeps its spread; rows are mirrored at both ends.
    """
    side = (DELTA_FRAMES, DELTA_FRAMES)
    padded = keras.ops.pad(image, ((0, 0), (0, 0), side, (0, 0)), mode="reflect")
    change = layers.Conv2D(
        2, (1, 2 * DELTA_FRAMES + 1), use_bias=False, trainable=False, dtype="float32", name="deltas"
    )
    changes = change(padded)
    change.set_weights([delta_kernel()[None, :, None, :]])
    return changes


def delta_kernel() -> npt.NDArray[np.float32]:
    """Weights of the first and the second change, float32 [frame, change]; the squares of each add up to 1."""
    frame = np.arange(-DELTA_FRAMES, DELTA_FRAMES + 1.0)
    bend = frame**2 - np.mean(frame**2)
    kernel = np.stack([frame, bend], axis=1)
    return (kernel / np.sqrt(np.sum(kernel**2, axis=0))).astype(np.float32)


def _add_head(pooled: keras.KerasTensor, n_labels: int, dropout: float) -> keras.KerasTensor:
    """The layers after the network's outputs, which `take_head` finds again by their names."""
    standard = layers.BatchNormalization(
        center=False, scale=False, epsilon=1e-30, trainable=False, dtype="float32", name=STANDARD
    )
    hidden = layers.Dropout(dropout, name=DROPOUT)(standard(pooled, training=False))
    # Scores begin at a tenth, all of them: most labels are absent from most rows, and one layer needs no lots drawn.
    start = {"kernel_initializer": "zeros", "bias_initializer": keras.initializers.Constant(-2.2)}
    return layers.Dense(n_labels, activation="sigmoid", dtype="float32", name=SCORES, **start)(hidden)


def take_head(network: keras.Model) -> Parts:
    """Freeze the image network, and part what comes after it."""
    network.get_layer(IMAGE_NETWORK).trainable = False
    pooled = network.get_layer(POOLED).output
    standard, dropout, scores = map(network.get_layer, (STANDARD, DROPOUT, SCORES))
    outputs = keras.Input(pooled.shape[1:], name="outputs")
    head = keras.Model(outputs, scores(dropout(standard(outputs, training=False))), name="head")

    def adapt(mean: npt.NDArray[np.float64], std: npt.NDArray[np.float64]) -> None:
        least = np.maximum(LEAST_STD_OF_LARGEST * std.max(), LEAST_STD * np.hypot(mean, std))
        std = np.maximum(std, np.where(least > 0, least, 1.0))
        standard.set_weights([mean, np.square(std)])

    return Parts(head, keras.Model(network.input, pooled, name="frozen"), adapt)


def unfreeze_top(network: keras.Model, *, share: float) -> Parts:
    """Let a share of the image network's layers train, from the top; its batch normalisation stays as it is."""
    image_network = network.get_layer(IMAGE_NETWORK)
    image_network.trainable = True
    can_train = [layer for layer in image_network.layers if layer.weights and not _normalises(layer)]
    first = len(can_train) - math.ceil(share * len(can_train))
    trained = {layer.name for layer in can_train[first:]}
    for layer in image_network.layers:
        layer.trainable = layer.name in trained
    return Parts(network)


def _normalises(layer: keras.Layer) -> bool:
    return isinstance(layer, layers.BatchNormalization)


def plan_stages(epochs: int, model: ModelSettings) -> tuple[Stage, ...]:
    """Plan the stages that the settings ask for.

    Raises
    ------
    SettingsError
        There are fewer epochs than stages.
    """
    assert isinstance(model, ImageModelSettings)
    rate = model.learning_rate
    if model.stages == "whole":
        return (Stage(0, epochs, rate),)
    if model.stages == "head":
        return (Stage(0, epochs, rate, take_head),)
    if epochs < 2:
        raise SettingsError(
            f"train.epochs: {epochs}, but model.stages: two needs an epoch of each; give at least 2, "
            "or model.stages=head"
        )
    border = min(epochs - 1, max(1, round(model.head_share * epochs)))
    top = partial(unfreeze_top, share=model.unfrozen_share)
    return (Stage(0, border, rate, take_head), Stage(border, epochs, rate * model.unfrozen_rate, top))


FROM_BLACK, FROM_NOUGHT = (1.0, 0.0), (127.5, 127.5)
"""Images from -1 to 1 as they are, and as pixels from 0 to 255."""


def _make_recipe(network: ImageNetwork, source: str) -> Recipe:
    return Recipe(
        name=network.name,
        summary=f"{network.name}, a network for photographs, on spectrograms as images.",
        source=source,
        activation="sigmoid",
        loss="binary_crossentropy",
        build=network.build,
        optimizer=optimizer,
        policy=policy,
        batch_rows=32,
        row_passes=12_000,
        most_epochs=60,
        plan_stages=plan_stages,
        load_weights=network.load,
        weights_licence="Apache-2.0; made from ImageNet, for research",
    )


INCEPTION_V3 = _make_recipe(
    ImageNetwork("inception-v3", keras.applications.InceptionV3, 299, FROM_BLACK),
    "Szegedy et al., Inception v3, 2016, arXiv 1512.00567",
)
MOBILENET_V2 = _make_recipe(
    ImageNetwork("mobilenet-v2", keras.applications.MobileNetV2, 224, FROM_BLACK),
    "Sandler et al., MobileNetV2, 2018, arXiv 1801.04381",
)
EFFICIENTNET_B0 = _make_recipe(
    ImageNetwork("efficientnet-b0", keras.applications.EfficientNetB0, 224, FROM_NOUGHT),
    "Tan and Le, EfficientNet, 2019, arXiv 1905.11946",
)
