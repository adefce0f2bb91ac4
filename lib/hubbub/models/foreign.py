"""Models of others, described by a YAML file (`hubbub.config.foreign`): windows in, scores and embeddings out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hubbub.audio.frontends import compute_features
from hubbub.audio.windows import window_grid
from hubbub.config import Settings
from hubbub.config.foreign import Axis, ForeignSettings, Layout, Output, Rule
from hubbub.errors import BundleError
from hubbub.io.paths import StoragePath, parse_path
from hubbub.io.text import count_noun, make_visible
from hubbub.models.foreign_files import ForeignFiles, local_model, read_foreign
from hubbub.models.frames import FrameLayout, pool_frames
from hubbub.models.layouts import arrange, read_output
from hubbub.models.runtimes import Network, Port, list_ports, open_network
from hubbub.models.sliding import SlidingWindows

BATCH_ROWS = 8
"""Rows computed at once, where the file takes any number. Batches are filled up to it, as those of bundles are."""

THRESHOLD, RELEASE = 0.5, 0.7
"""Of events, where the YAML file does not say: the score that one reaches, and the share of it below which it ends."""


@dataclass(frozen=True)
class ForeignModel:
    """A model of others, opened; see `hubbub.models.opening.WindowModel`."""

    path: StoragePath
    """Its YAML file."""

    files: ForeignFiles
    """What its files say."""

    network: Network
    """What computes."""

    def __repr__(self) -> str:
        """Describe the model in one line."""
        return f"<ForeignModel '{self.path}': {self.given.kind}, {count_noun(len(self.labels), 'label')}>"

    @property
    def given(self) -> ForeignSettings:
        """What stands in the YAML file."""
        return self.files.given

    @property
    def settings(self) -> Settings:
        """What the network hears."""
        return self.given.settings

    @property
    def labels(self) -> list[str]:
        """Labels, in the order of the scores; empty for a model without scores."""
        return list(self.files.labels)

    @property
    def model_hash(self) -> str:
        """16 hex digits that change with anything that changes scores or embeddings."""
        return self.files.model_hash

    @cached_property
    def description(self) -> dict[str, Any]:
        """What `read_description` gives."""
        return describe(self.files)

    @cached_property
    def sliding(self) -> SlidingWindows | None:
        """How windows slide over a stream; None for a model that scores windows."""
        return plan_sliding(self.files)

    @property
    def frames(self) -> FrameLayout | None:
        """How frame scores lie; None for a model that scores windows."""
        return None if self.sliding is None else self.sliding.frames

    @cached_property
    def dimension(self) -> int | None:
        """Values of an embedding; None for a model without."""
        if self.given.embeddings_layout is None:
            return None
        return self._read(self._probe(), "embeddings").shape[-1]

    def prepare(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
        """Turn windows, float32 [window, sample], into features [window, frame, band]; a waveform has a frame a sample.

        Raises
        ------
        NonFiniteFeatures
            A value is not a number, or more than the settings' dtype holds.
        """
        return np.stack([compute_features(window, self.settings) for window in samples])

    def predict(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Score features: float32 [window, label], each window by itself; frames are pooled, or averaged.

        Raises
        ------
        BundleError
            The features have another shape than the model's, or it gives no scores.
        """
        scores = self._score(features)
        return scores.mean(axis=1) if self.sliding is None else pool_frames(scores)

    def embed(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Compute embeddings of features: float32 [window, dimension]; frames are averaged.

        Raises
        ------
        BundleError
            The features have another shape than the model's, or it gives no embeddings.
        """
        return self._compute(features, "embeddings").mean(axis=1)

    def score_block(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Score the frames of a block, float32 [frame, band] -> float32 [score, label]; see `SlidingWindows`.

        Raises
        ------
        BundleError
            The model scores no frames.
        """
        if self.sliding is None:
            raise BundleError(f"{self.path} scores windows and no frames; give outputs.scores.frame_s where it does")
        return self.sliding.score_block(features, self._score, len(self.labels), BATCH_ROWS)

    def _score(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Scores [window, frame, label], 0 to 1."""
        scores = self.given.outputs.scores
        activation = None if scores is None else scores.activation
        return _ACTIVATIONS[activation or "none"](self._compute(features, "scores"))

    def _compute(self, features: npt.NDArray[np.floating], what: str) -> npt.NDArray[np.float32]:
        """One output of all windows, float32 [window, frame, label or dimension]."""
        if getattr(self.given.outputs, what) is None:
            raise BundleError(f"{self.path} names no outputs.{what}; give them, if the network has some")
        self._require_shape(features)
        if not len(features):
            own = len(self.labels) if what == "scores" else self.dimension or 0
            return np.empty((0, 1, own), np.float32)
        found = []
        for begin in range(0, len(features), self._rows):
            rows = np.asarray(features[begin : begin + self._rows], np.float32)
            batch = np.zeros((self._rows, *rows.shape[1:]), np.float32)
            batch[: len(rows)] = rows
            found.append(self._read(self._run(batch), what)[: len(rows)])
        return np.concatenate(found)

    def _require_shape(self, features: npt.NDArray[np.floating]) -> None:
        grid = window_grid(self.settings, hop_s=self.settings.windows.input_s)
        expected = (self.settings.frontend.n_frames(grid.window), self.settings.frontend.n_bands)
        if features.ndim != 3 or features.shape[1:] != expected:
            raise BundleError(
                f"{self.path} expected rows of {expected[0]} frames x {expected[1]} bands; got {list(features.shape)}"
            )

    @cached_property
    def _rows(self) -> int:
        """Rows computed at once: as many as the file fixes, one where it has no batch."""
        layout, port = self.given.input_layout, self._input
        if "batch" not in layout:
            return 1
        fixed = None if port.shape is None else port.shape[layout.index("batch")]
        return fixed or BATCH_ROWS

    @cached_property
    def _input(self) -> Port:
        return _choose_input(self.network, self.given.input.name, str(self.path))

    @cached_property
    def _outputs(self) -> dict[str, Port]:
        """The outputs that are used, by what they are."""
        used = {"scores": self.given.outputs.scores, "embeddings": self.given.outputs.embeddings}
        return {
            what: _choose_output(self.network, output, f"{self.path}: outputs.{what}")
            for what, output in used.items()
            if output is not None
        }

    def _run(self, batch: npt.NDArray[np.float32]) -> dict[str, np.ndarray]:
        """Run the network on float32 [window, frame, band]: its outputs as they come."""
        is_waveform = self.given.features is None
        axes: Layout = ("batch", "sample") if is_waveform else ("batch", "frame", "band")
        values = arrange(batch[..., 0] if is_waveform else batch, axes, self.given.input_layout)
        names = [port.name for port in self._outputs.values()]
        held = self.network.run({self._input.name: values.astype(self._input.dtype, copy=False)}, names)
        return dict(zip(self._outputs, held, strict=True))

    def _read(self, held: Mapping[str, np.ndarray], what: str) -> npt.NDArray[np.float32]:
        """One output as float32 [window, frame, label or dimension]."""
        layout = self.given.scores_layout if what == "scores" else self.given.embeddings_layout
        assert layout is not None
        own: Axis = "label" if what == "scores" else "dimension"
        found = read_output(held[what], layout, own)
        if found is None or len(found) != self._rows:
            raise BundleError(
                f"{self.path}: outputs.{what} {self._outputs[what]} gave {list(held[what].shape)} for "
                f"{count_noun(self._rows, 'window')}; expected the layout {list(layout)}"
            )
        return found

    def _probe(self) -> dict[str, np.ndarray]:
        """Outputs for windows of noise."""
        grid = window_grid(self.settings, hop_s=self.settings.windows.input_s)
        noise = np.random.default_rng(0).normal(0, 0.1, (1, grid.window)).astype(np.float32)
        return self._run(np.repeat(self.prepare(noise), self._rows, axis=0).astype(np.float32))


def open_foreign(path: str | StoragePath) -> ForeignModel:
    """Open a model of others.

    Parameters
    ----------
    path
        Its YAML file, or its address, ``s3://bucket/model.yaml``.

    Raises
    ------
    BundleError
        A file is missing or refused, the YAML file does not fit it, or its runtime is not installed.
    UsageError
        When its bucket cannot be reached, or does not let us in.
    """
    path = parse_path(path)
    files = read_foreign(path)
    with local_model(path) as local:
        network = open_network(files.given.kind, local.parent / files.given.file, signature=files.given.signature)
    return ForeignModel(path, files, network)


def plan_sliding(files: ForeignFiles) -> SlidingWindows | None:
    """How windows slide over a stream; None for a model that scores windows. Errors of `SlidingWindows.of`."""
    scores, settings = files.given.outputs.scores, files.given.settings
    if scores is None or scores.frame_s is None:
        return None
    grid = window_grid(settings, hop_s=settings.windows.input_s)
    return SlidingWindows.of(settings, settings.frontend.n_frames(grid.window), scores, str(files.path))


def describe(files: ForeignFiles) -> dict[str, Any]:
    """Describe a model as `bundle.json` does a bundle."""
    given, settings = files.given, files.given.settings
    grid = window_grid(settings, hop_s=settings.windows.input_s)
    rules = {label: _make_rule(given, label) for label in files.labels}
    sliding = plan_sliding(files)
    return {
        "model": make_visible(files.path.stem),
        "kind": given.kind,
        "file": given.file,
        "labels": list(files.labels),
        "thresholds": {label: rule["threshold"] for label, rule in rules.items()},
        "rules": rules,
        "settings": settings.model_dump(mode="json"),
        "settings_hash": settings.hash,
        "window_s": settings.windows.input_s,
        "n_frames": settings.frontend.n_frames(grid.window),
        "n_bands": settings.frontend.n_bands,
        **({} if given.hop_s is None else {"hop_s": given.hop_s}),
        **({} if sliding is None else {"frames": asdict(sliding.frames)}),
        "model_hash": files.model_hash,
    }


def _make_rule(given: ForeignSettings, label: str) -> dict[str, float]:
    """A label's event rule, as `hubbub.labels.events.EventRule` takes it."""
    own = given.rules.get(label, Rule()).model_dump(exclude_none=True)
    rule = {"threshold": THRESHOLD} | given.events.model_dump(exclude_none=True) | own
    return {"release": RELEASE * rule["threshold"]} | rule


def _choose_input(network: Network, name: str | None, where: str) -> Port:
    named = [port for port in network.inputs if name in (None, port.name)]
    if len(named) != 1 or len(network.inputs) != 1:
        wrong = "has no such input" if name is not None and not named else "takes more than one input"
        raise BundleError(
            f"{where}: input.name {name!r}: the file {wrong}; its own are {list_ports(network.inputs)}: expected one"
        )
    return named[0]


def _choose_output(network: Network, output: Output, where: str) -> Port:
    ports = network.outputs
    if output.index is not None and output.index < len(ports):
        return ports[output.index]
    named = [port for port in ports if output.name in (None, port.name)] if output.index is None else []
    if len(named) != 1:
        asked = f"name {output.name!r}" if output.index is None else f"index {output.index}"
        raise BundleError(f"{where}: {asked}: expected one of the file's own outputs: {list_ports(ports)}")
    return named[0]


def _sigmoid(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return (0.5 * (1 + np.tanh(0.5 * logits.astype(np.float64)))).astype(np.float32)


def _softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    wide = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return (wide / wide.sum(axis=-1, keepdims=True)).astype(np.float32)


_ACTIVATIONS = {"none": lambda scores: scores, "sigmoid": _sigmoid, "softmax": _softmax}
