"""The YAML file that describes a model of others: which file, what it hears, what it gives, in about ten lines.

::

    kind: onnx                     # keras, saved-model, onnx, litert or openvino
    file: nmp.onnx                 # beside this file; of a saved-model its folder
    sample_rate: 22050
    window_samples: 43844
    input: {layout: [batch, sample, 1]}
    outputs:
      scores: {name: note, layout: [batch, frame, label], frame_s: 0.01161, halo_frames: 15}
    labels: {file: notes.txt}

What the model's own file says is compared with it where the file is opened (`hubbub.models.foreign`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationError, model_validator

from hubbub.config import Settings, Windows, parse_settings, refuse_model_frontend
from hubbub.config.base import Frozen, say_expected
from hubbub.config.frontends import WaveformSettings
from hubbub.errors import BundleError, SettingsError, suggest_nearest

Kind = Literal["keras", "saved-model", "onnx", "litert", "openvino"]
"""Formats of networks."""

Axis = Literal["batch", "sample", "frame", "band", "label", "dimension", 1]
"""What lies along a dimension of an input or output; 1: nothing, it has the length 1."""

Layout = tuple[Axis, ...]

MOST_LABELS = 1_000_000
MOST_WINDOW_S = 600.0
WHOLE_WITHIN = 0.05
"""How far from a whole number of samples, or of the frontend's frames, a frame's length may be written."""


def _stay_beside(name: str) -> str:
    """Refuse a file that lies elsewhere: a model is copied, and fetched from buckets, with what it names."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or "://" in name:
        raise ValueError("expected a file beside the YAML file, or in a folder there: copy it there, or link it")
    return name


Beside = Annotated[str, AfterValidator(_stay_beside)]
"""Path of a file in the YAML file's folder."""


class Input(Frozen):
    """What the network takes."""

    name: str | None = Field(None, description="of the input; null: the only one")
    layout: Layout | None = Field(
        None, description="its dimensions; null: [batch, sample], or [batch, frame, band] for models of features"
    )
    frames: int | None = Field(
        None, ge=1, description="of features: the first so many frames of a window; null: all that it makes"
    )
    peak: float | None = Field(
        None, gt=0, le=1e6, description="each window is freed of its mean and scaled to this peak; null: neither"
    )


class Output(Frozen):
    """One of the network's outputs; null for both `name` and `index`: the only one."""

    name: str | None = Field(None, description="of the output, as the file has it")
    index: int | None = Field(None, ge=0, description="its place among the outputs, the first is 0, instead")
    layout: Layout | None = Field(
        None, description="its dimensions; null: [batch, label] of scores, [batch, dimension] of embeddings"
    )

    @model_validator(mode="after")
    def _named_once(self) -> Output:
        if self.name is not None and self.index is not None:
            raise ValueError(f"expected a name or an index, not both (given: {self.name}, {self.index})")
        return self


class Scores(Output):
    """The output that scores labels."""

    activation: Literal["none", "sigmoid", "softmax"] = Field(
        "none", description="none: scores of 0 to 1; sigmoid or softmax: the output is logits, and this is applied"
    )
    exclusive: bool = Field(
        False, description="true: scores share 1 between the labels, as those after a softmax in the network do"
    )
    frame_s: float | None = Field(
        None, gt=0, description="seconds of a frame: events have its precision; null: frames are averaged"
    )
    halo_frames: int | None = Field(
        None, ge=0, description="frames at each end of a window that are not used; null: a tenth of a window's"
    )


class Outputs(Frozen):
    """What is used of what the network gives."""

    scores: Scores | None = Field(None, description="scores of labels")
    embeddings: Output | None = Field(None, description="a vector a window; frames are averaged")


class LabelsFile(Frozen):
    """Where labels stand, in the order of the scores."""

    file: Beside = Field(description="beside the YAML file: a CSV with a header, or text with a label a line")
    column: str | None = Field(None, description="of a CSV; null: the file is text with a label a line")


Labels = Annotated[
    Annotated[LabelsFile, Tag("file")] | Annotated[tuple[str, ...], Tag("list")],
    Discriminator(lambda given: "list" if isinstance(given, list | tuple) else "file"),
]


class Rule(Frozen):
    """What makes an event of a label's scores; null: as for any label."""

    threshold: float | None = Field(None, gt=0, le=1, description="a score that an event reaches")
    release: float | None = Field(None, gt=0, le=1, description="an event ends below it; null: 0.7 of the threshold")
    min_duration_s: float | None = Field(None, ge=0, description="shorter events are dropped")
    merge_gap_s: float | None = Field(None, ge=0, description="shorter gaps between a label's events are closed")
    median_s: float | None = Field(None, ge=0, description="seconds of the median that scores are smoothed by")
    step_s: float | None = Field(None, ge=0, description="seconds to each side of a border that are compared")
    least_change: float | None = Field(None, gt=0, le=1, description="with step_s: how far scores of neighbours differ")
    late_s: float | None = Field(None, ge=-0.5, le=0.5, description="seconds that events begin after their scores")


class ForeignSettings(Frozen):
    """All that has to be known to use a model of others."""

    kind: Kind = Field(description="keras, saved-model, onnx, litert or openvino")
    file: Beside = Field(description="the network, beside the YAML file; of a saved-model its folder")
    signature: str = Field("serving_default", description="of a saved-model or litert file, where it has several")
    sample_rate: int | None = Field(None, ge=1000, le=384_000, description="Hz; recordings are resampled to it")
    window_samples: int | None = Field(None, ge=1, description="samples the network hears at a time")
    window_s: float | None = Field(None, gt=0, le=MOST_WINDOW_S, description="the same in seconds, instead")
    features: Settings | None = Field(
        None,
        description="for models of spectrograms, instead of sample_rate and window: settings as hubbub settings prints",
    )
    hop_s: float | None = Field(
        None, gt=0, description="from one window to the next, where hubbub label --hop does not say; null: a fifth"
    )
    input: Input = Field(Input(), description="what the network takes")
    outputs: Outputs = Field(description="what is used of what it gives, such as outputs: {scores: {name: scores}}")
    labels: Labels | None = Field(None, description="labels, or the file where they stand")
    events: Rule = Field(Rule(), description="what makes an event of any label's scores")
    rules: dict[str, Rule] = Field({}, description="label -> what is different for it")

    @model_validator(mode="after")
    def _one_way_to_hear(self) -> ForeignSettings:
        given = [name for name in ("sample_rate", "window_samples", "window_s") if getattr(self, name) is not None]
        if self.features is not None:
            if given:
                raise ValueError(f"features say the rate and the window: remove {', '.join(given)}")
            if self.features.variants is not None:
                raise ValueError("features.variants are for training: remove them")
            return self
        if self.sample_rate is None:
            raise ValueError("expected sample_rate, in Hz, such as sample_rate: 16000")
        if (self.window_samples is None) == (self.window_s is None):
            raise ValueError("expected window_samples or window_s, one of the two")
        if self.window_length() > MOST_WINDOW_S * self.sample_rate:
            raise ValueError(f"window_samples {self.window_samples} is more than {MOST_WINDOW_S:g} s; expected less")
        return self

    @model_validator(mode="after")
    def _layouts_fit(self) -> ForeignSettings:
        wanted: Layout = ("sample",) if self.features is None else ("frame", "band")
        _check_layout("input", self.input_layout, wanted)
        if self.features is not None and self.input.peak is not None:
            raise ValueError("input.peak is for models of waveforms: remove it, or the features")
        if self.input.frames is not None and (self.features is None or self.input.frames > self.count_frames()):
            most = "models of features" if self.features is None else f"at most {self.count_frames()}, of a window"
            raise ValueError(f"input.frames {self.input.frames}: expected {most}")
        if self.outputs.scores is None and self.outputs.embeddings is None:
            raise ValueError("expected outputs.scores, outputs.embeddings, or both")
        for name, layout in (("scores", self.scores_layout), ("embeddings", self.embeddings_layout)):
            own: Axis = "label" if name == "scores" else "dimension"
            if layout is not None:
                _check_layout(f"outputs.{name}", layout, (own,), ("frame",))
            if layout is not None and ("batch" in layout) > ("batch" in self.input_layout):
                raise ValueError(
                    f"outputs.{name}.layout has a batch, and the input's layout {say_layout(self.input_layout)}"
                )
        return self

    @model_validator(mode="after")
    def _labels_and_scores(self) -> ForeignSettings:
        scores = self.outputs.scores
        if (scores is None) != (self.labels is None):
            raise ValueError("outputs.scores and labels go together: give both, or neither")
        if isinstance(self.labels, tuple):
            check_labels(self.labels, "labels")
        if scores is not None and scores.exclusive and scores.activation == "sigmoid":
            raise ValueError("outputs.scores.exclusive: after a sigmoid each label stands alone: remove one of both")
        for name in ("frame_s", "halo_frames") if scores is not None else ():
            if getattr(scores, name) is not None and "frame" not in (self.scores_layout or ()):
                raise ValueError(f"outputs.scores.{name} needs frames: expected a layout such as [batch, frame, label]")
        if scores is not None and scores.halo_frames is not None and scores.frame_s is None:
            raise ValueError("outputs.scores.halo_frames goes with frame_s: give both, or neither")
        return self

    @property
    def input_layout(self) -> Layout:
        """Dimensions of the input."""
        default: Layout = ("batch", "sample") if self.features is None else ("batch", "frame", "band")
        return self.input.layout or default

    @property
    def scores_layout(self) -> Layout | None:
        """Dimensions of the scores; None where there are none."""
        return None if self.outputs.scores is None else self.outputs.scores.layout or self._default_output("label")

    @property
    def embeddings_layout(self) -> Layout | None:
        """Dimensions of the embeddings; None where there are none."""
        output = self.outputs.embeddings
        return None if output is None else output.layout or self._default_output("dimension")

    def _default_output(self, own: Axis) -> Layout:
        return ("batch", own) if "batch" in self.input_layout else (own,)

    def window_length(self) -> int:
        """Samples of a window of a waveform model."""
        assert self.sample_rate is not None
        if self.window_samples is not None:
            return self.window_samples
        assert self.window_s is not None
        return max(1, round(self.window_s * self.sample_rate))

    def count_frames(self) -> int:
        """Frames of a window, a sample each of a waveform."""
        frontend = self.settings.frontend
        return frontend.n_frames(max(1, round(self.settings.windows.input_s * frontend.sample_rate)))

    @cached_property
    def settings(self) -> Settings:
        """Settings of what the model hears: its features, or the waveform."""
        if self.features is not None:
            return self.features
        assert self.sample_rate is not None
        duration_s = self.window_length() / self.sample_rate
        return Settings(frontend=WaveformSettings(sample_rate=self.sample_rate), windows=Windows(duration_s=duration_s))


def _check_layout(name: str, layout: Layout, needed: Sequence[Axis], also: Sequence[Axis] = ()) -> None:
    allowed = {*needed, *also, "batch", 1}
    axes = [axis for axis in layout if axis != 1]
    if not set(axes) <= allowed or not set(needed) <= set(axes) or len(set(axes)) < len(axes):
        once = " and ".join(map(str, needed))
        may = ", ".join(map(str, ["batch", *also, 1]))
        raise ValueError(f"{name}.layout: expected {once} once, and any of {may} (given: {say_layout(layout)})")


def say_layout(layout: Layout) -> str:
    """Write a layout as in YAML."""
    return f"[{', '.join(map(str, layout))}]"


def check_labels(labels: Sequence[str], where: str) -> None:
    """Refuse labels that name nothing, or two things; raises `ValueError`."""
    seen: dict[str, int] = {}
    for number, label in enumerate(labels, 1):
        if not label.strip():
            raise ValueError(f"{where}: label {number} of {len(labels)} is empty; expected a name for every score")
        if label in seen:
            raise ValueError(
                f"{where}: labels {seen[label]} and {number} are both {label!r}; expected each once: "
                "rename one, or give another column"
            )
        seen[label] = number
    if not 0 < len(labels) <= MOST_LABELS:
        raise ValueError(f"{where}: {len(labels)} labels; expected at least one and at most {MOST_LABELS}")


def parse_foreign(text: str | bytes, where: str) -> ForeignSettings:
    """Read the YAML of a model of others; `where` names it in messages.

    Raises
    ------
    BundleError
        It is no YAML, has an unknown entry (says the nearest), or a value that does not do.
    """
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        why = str(error) if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"  # type: ignore[union-attr]
        raise BundleError(f"{where} cannot be read as YAML: {why}; it must be plain data in UTF-8") from None
    if not isinstance(data, dict):
        held = "is empty" if data is None else f"holds a {type(data).__name__}"
        raise BundleError(f"{where} {held}; expected the description of a model, such as 'kind: onnx'")
    if isinstance(data.get("features"), dict):
        try:
            refuse_model_frontend(data["features"], where=f"{where}: features: ")
            data["features"] = parse_settings(data["features"], where=f"{where}: features")
        except SettingsError as error:
            raise BundleError(f"{error}") from None
    try:
        return ForeignSettings.model_validate(data)
    except ValidationError as error:
        raise BundleError(f"{where}: " + "; ".join(dict.fromkeys(map(_explain, error.errors())))) from None


def _explain(item: Any) -> str:
    """One pydantic complaint in hubbub's words."""
    location = [str(part) for part in item["loc"]]
    if location[:1] == ["labels"]:
        del location[1:2]  # pydantic names the way to give them
    name = ".".join(location)
    if item["type"] == "model_type":
        return f"{name}: {item['input']!r} is no section; expected entries such as {_EXAMPLES.get(name, 'name: value')}"
    if item["type"] == "extra_forbidden":
        places = [
            f"{section}.{location[-1]}" for section, kind in _SECTIONS.items() if location[-1] in kind.model_fields
        ]
        nearest = suggest_nearest(location[-1], _fields_at(location[:-1]))
        return f"unknown entry '{name}': " + (f"did you mean {' or '.join(places)}?" if places else nearest)
    if item["type"] == "missing":
        return f"{name} is missing; expected {_fields_at(location[:-1])[location[-1]].description or 'it'}"
    message = say_expected(item)
    given = "" if isinstance(item["input"], dict) else f" (given: {item['input']!r})"
    return f"{name + ': ' if name else ''}{message}{given}"


_EXAMPLES = {"labels": "{file: labels.txt}", "outputs": "scores: {name: scores}", "input": "{layout: [batch, sample]}"}

_SECTIONS: dict[str, type[Frozen]] = {
    "input": Input,
    "outputs": Outputs,
    "outputs.scores": Scores,
    "outputs.embeddings": Output,
    "labels": LabelsFile,
    "events": Rule,
}


def _fields_at(sections: list[str]) -> dict[str, Any]:
    inner = Rule if sections[:1] == ["rules"] else _SECTIONS.get(".".join(sections), ForeignSettings)
    return dict(inner.model_fields)
