"""Models of others, described by a YAML file (`hubbub.config.foreign`): windows in, scores and embeddings out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hubbub.audio.frontends import compute_features
from hubbub.config import Settings
from hubbub.config.foreign import ForeignSettings, Rule, Scores
from hubbub.errors import BundleError
from hubbub.io.paths import StoragePath, parse_path
from hubbub.io.text import count_noun, make_visible
from hubbub.models.described import BATCH_ROWS, DescribedNetwork
from hubbub.models.foreign_files import ForeignFiles, open_files
from hubbub.models.frames import FrameLayout, pool_frames
from hubbub.models.runtimes import open_network
from hubbub.models.sliding import SlidingWindows

THRESHOLD, RELEASE = 0.5, 0.7
"""Of events, where the YAML file does not say: the score that one reaches, and the share of it below which it ends."""


@dataclass(frozen=True)
class ForeignModel:
    """A model of others, opened; see `hubbub.models.opening.WindowModel`."""

    path: StoragePath
    """Its YAML file."""

    files: ForeignFiles
    """What its files say."""

    _network: DescribedNetwork
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
    def _sliding(self) -> SlidingWindows | None:
        """How windows slide over a stream; None for a model that scores windows."""
        planned = plan_sliding(self.files)
        return None if planned is None else planned.fit(self._network.shapes["scores"][0], str(self.path))

    @property
    def frames(self) -> FrameLayout | None:
        """How frame scores lie; None for a model that scores windows."""
        return None if self._sliding is None else self._sliding.frames

    @property
    def dimension(self) -> int | None:
        """Values of an embedding; None for a model without."""
        return None if self.given.outputs.embeddings is None else self._network.shapes["embeddings"][1]

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
        return scores.mean(axis=1) if self._sliding is None else pool_frames(scores)

    def embed(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Compute embeddings of features: float32 [window, dimension]; frames are averaged.

        Raises
        ------
        BundleError
            The features have another shape than the model's, or it gives no embeddings.
        """
        return self._network.compute(features, "embeddings").mean(axis=1)

    def count_batch_windows(self, *, embedding: bool = False) -> int:
        """Windows that are best computed together: as many as at once."""
        return BATCH_ROWS

    def score_block(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Score the frames of a block, float32 [frame, band] -> float32 [score, label]; see `SlidingWindows`.

        Raises
        ------
        BundleError
            The model scores no frames.
        """
        if self._sliding is None:
            raise BundleError(f"{self.path} scores windows and no frames; give outputs.scores.frame_s where it does")
        return self._sliding.score_block(features, self._score, len(self.labels), BATCH_ROWS)

    def _score(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        return self._network.compute(features, "scores")


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
    with open_files(path) as (files, local):
        given = files.given
        network = open_network(given.kind, local.parent / given.file, signature=given.signature)
        described = DescribedNetwork(network, given, str(path))
    described.check(len(files.labels))
    model = ForeignModel(path, files, described)
    model._sliding  # noqa: B018 - a number of frames that does not fit shows here
    return model


def plan_sliding(files: ForeignFiles) -> SlidingWindows | None:
    """How windows slide over a stream; None for a model that scores windows. Errors of `SlidingWindows.of`."""
    scores, settings = files.given.outputs.scores, files.given.settings
    if scores is None or scores.frame_s is None:
        return None
    window = files.given.input.frames or files.given.count_frames()
    return SlidingWindows.of(settings, window, scores, str(files.path))


def describe(files: ForeignFiles) -> dict[str, Any]:
    """Describe a model as `bundle.json` does a bundle."""
    given, settings, scores = files.given, files.given.settings, files.given.outputs.scores
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
        "n_frames": given.count_frames(),
        "n_bands": settings.frontend.n_bands,
        **({} if given.hop_s is None else {"hop_s": given.hop_s}),
        **({} if sliding is None else {"frames": asdict(sliding.frames)}),
        **_describe_activation(scores),
        "model_hash": files.model_hash,
    }


def _describe_activation(scores: Scores | None) -> dict[str, str]:
    """Whether labels share 1, or each stands alone; nothing where nobody says."""
    if scores is not None and scores.exclusive:
        return {"activation": "softmax"}
    return {} if scores is None or scores.activation == "none" else {"activation": scores.activation}


def _make_rule(given: ForeignSettings, label: str) -> dict[str, float]:
    """A label's event rule, as `hubbub.labels.events.EventRule` takes it."""
    own = given.rules.get(label, Rule()).model_dump(exclude_none=True)
    rule = {"threshold": THRESHOLD} | given.events.model_dump(exclude_none=True) | own
    return {"release": RELEASE * rule["threshold"]} | rule
