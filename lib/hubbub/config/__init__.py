"""Settings: frozen, validated, read from YAML, with a canonical hash.

Three parts. What the values are (`frontend`, `windows`, `channels`, `dtype`) is hashed: two stores with one hash hold
comparable features, and a model trained on one reads the other. Which clips are there a second time, changed
(`variants`), and how all lies in the store (`layout`), is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from hubbub.config.base import Frozen, say_expected
from hubbub.config.frontends import FRONTENDS, MADE_BY_MODELS, Dtype, FrontendSettings, LogMelSettings
from hubbub.config.variants import Variants, explain_error
from hubbub.errors import SettingsError, suggest_nearest

Channels = Literal["mix", "first", "each", "left-right-mix"]


class Windows(Frozen):
    """Which stretches of a clip become rows."""

    mode: Literal["first", "all", "random"] = Field(
        "first",
        description="first: one window, padded or cut; all: the whole clip; random: as first, and training takes "
        "another stretch of crop_s from each row at every epoch",
    )
    duration_s: float = Field(5.0, gt=0, le=3600, description="seconds a window")
    hop_s: float | None = Field(None, gt=0, description="mode all: from one window to the next; null: duration_s")
    crop_s: float | None = Field(None, gt=0, description="mode random: seconds of a row that training takes at a time")

    @model_validator(mode="after")
    def _fits_the_mode(self) -> Windows:
        if self.hop_s is not None and self.mode != "all":
            raise ValueError("hop_s has a meaning only with mode 'all'")
        if self.hop_s is not None and self.hop_s > self.duration_s:
            raise ValueError(f"hop_s {self.hop_s:g} is above duration_s {self.duration_s:g}: audio would be skipped")
        if (self.crop_s is None) == (self.mode == "random"):
            raise ValueError("mode 'random' and crop_s go together: give both, or neither")
        if self.crop_s is not None and self.crop_s > self.duration_s:
            raise ValueError(f"crop_s {self.crop_s:g} is above duration_s {self.duration_s:g}: rows are no longer")
        return self

    @property
    def input_s(self) -> float:
        """Seconds of the model's input: the crop where rows are cropped, else the window."""
        return self.duration_s if self.crop_s is None else self.crop_s


class Layout(Frozen):
    """How rows lie in the store; changes no value."""

    rows_per_chunk: int = Field(32, ge=1, le=4096, description="rows read at once")
    rows_per_shard: int | None = Field(
        None, ge=1, le=65536, description="rows a unit of work writes; null: chosen from the number of rows"
    )

    @model_validator(mode="after")
    def _chunks_fill_shards(self) -> Layout:
        shard, chunk = self.rows_per_shard, self.rows_per_chunk
        if shard is not None and shard > chunk and shard % chunk:
            raise ValueError(f"rows_per_shard {shard} is no multiple of rows_per_chunk {chunk}")
        return self


class Settings(Frozen):
    """All that decides a feature store."""

    frontend: FrontendSettings = LogMelSettings()
    windows: Windows = Windows()
    channels: Channels = Field(
        "mix",
        description="mix: their mean; first: that one; each: an example a channel; left-right-mix: three examples",
    )
    dtype: Dtype = Field(
        default_factory=lambda data: data["frontend"].dtypes[0] if "frontend" in data else "float16",
        description="of stored values; default: float16, or float32 where the frontend's values need it",
    )
    variants: Variants | None = Field(None, description="which clips are stored again, augmented")
    layout: Layout = Layout()

    @model_validator(mode="after")
    def _window_holds_what_it_must(self) -> Settings:
        rate, shortest_s = self.frontend.sample_rate, self.windows.input_s
        if shortest_s * rate < 1:
            name = "duration_s" if self.windows.crop_s is None else "crop_s"
            raise ValueError(f"windows.{name} {shortest_s:g} is shorter than one sample")
        frames, wanted = self.frontend.n_frames(max(1, round(shortest_s * rate))), _delta_frames(self)
        if frames < wanted:
            raise ValueError(
                f"a window of {shortest_s:g} s makes {frames} frames, and frontend.delta_frames is {wanted}: "
                "lengthen the window, lower delta_frames, or set frontend.deltas to 0"
            )
        if self.windows.mode == "random" and (reason := self.frontend.not_local):
            raise ValueError(f"windows.mode 'random' crops rows, and {reason}")
        return self

    @model_validator(mode="after")
    def _dtype_holds_the_values(self) -> Settings:
        allowed = self.frontend.dtypes
        if self.dtype not in allowed:
            raise ValueError(f"dtype {self.dtype} cannot hold the values of {self.frontend.name}; give {allowed[0]}")
        return self

    @property
    def full_values(self) -> dict[str, Any]:
        """The part that decides values, as plain data, defaults too: for a person to compare."""
        return self.model_dump(mode="json", exclude={"layout", "variants"})

    @property
    def values(self) -> dict[str, Any]:
        """The same as it is hashed.

        What was added to hubbub later counts only where it is not at its default: older stores stay what they are.
        """
        values = self.full_values
        if self.channels == "mix":
            del values["channels"]
        if self.windows.crop_s is None:
            del values["windows"]["crop_s"]
        if self.frontend.name == "embedding":
            del values["frontend"]["model"]  # which is known by its hash
            if self.frontend.arithmetic == "float32":
                del values["frontend"]["arithmetic"]
        return values

    @property
    def hash(self) -> str:
        """16 hex digits that are equal exactly when `values` are."""
        return canonical_hash(self.values)


def _delta_frames(settings: Settings) -> int:
    """Frames that a window must have for slopes to be fitted."""
    frontend = settings.frontend
    return frontend.delta_frames if frontend.name == "mfcc" and frontend.deltas else 1


def canonical_hash(data: Any) -> str:
    """16 hex digits of SHA-256 over JSON with sorted keys; equal data gives equal digits on any machine."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_settings(file: Path | None = None, assignments: Iterable[str] = ()) -> Settings:
    """Read settings from a YAML file, then apply ``key.subkey=value`` assignments.

    Parameters
    ----------
    file
        YAML with any of `frontend`, `windows`, `channels`, `dtype`, `variants` and `layout`; None for the defaults.
    assignments
        As given to ``--set``: ``frontend.n_mels=64``. Values are read as YAML.

    Raises
    ------
    SettingsError
        For a file that cannot be read, an unknown setting (says the nearest), or a bad value.
    """
    given = {} if file is None else read_settings_file(file)
    data = {key: value for key, value in given.items() if value is not None}
    for assignment in assignments:
        assign_setting(data, assignment)
    refuse_model_frontend(data)
    if file is None:
        return parse_settings(data, where="--set")
    return parse_settings(data, where=str(file), folder=file.absolute().parent)


def refuse_model_frontend(data: Mapping[str, Any], *, where: str = "") -> None:
    """Refuse settings, as a person gives them, of rows that only a model makes; raises `SettingsError`.

    `where` stands before the message.
    """
    frontend = data.get("frontend")
    name = frontend.get("name") if isinstance(frontend, Mapping) else None
    if isinstance(name, str) and name in MADE_BY_MODELS:
        raise SettingsError(f"{where}frontend.name: rows of '{name}' are made by a model; use {MADE_BY_MODELS[name]}")


def parse_settings(data: Mapping[str, Any], *, where: str, folder: Path | None = None) -> Settings:
    """Validate plain data as settings; `where` names its origin in messages, folders in it are relative to `folder`."""
    try:
        return Settings.model_validate(data, context={"base": folder or Path.cwd()})
    except ValidationError as error:
        # A default that was not made follows from another complaint.
        lines = [_explain(item) for item in error.errors() if item["type"] != "default_factory_not_called"]
        raise SettingsError(f"{where}: " + "; ".join(lines)) from None


def nest_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Turn ``{"frontend.n_mels": 64}`` into ``{"frontend": {"n_mels": 64}}``; nested mappings stay."""
    nested: dict[str, Any] = {}
    for key, value in settings.items():
        *sections, name = str(key).split(".")
        node = nested
        for section in sections:
            inner = node.setdefault(section, {})
            node[section] = node = dict(inner) if isinstance(inner, Mapping) else {}
        node[name] = {**node.get(name, {}), **nest_settings(value)} if isinstance(value, Mapping) else value
    return nested


def describe_difference(ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> list[str]:
    """List what differs between two nested mappings, as ``frontend.n_mels: 64, not 128`` (ours, not theirs)."""
    lines: list[str] = []
    for key in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(key), theirs.get(key)
        if isinstance(mine, Mapping) and isinstance(other, Mapping):
            lines += describe_difference(mine, other, f"{prefix}{key}.")
        elif pairs := _paired_mappings(mine, other):
            for number, (one, two) in enumerate(pairs, 1):
                lines += describe_difference(one, two, f"{prefix}{key} {number}, ")
        elif mine != other:
            lines.append(f"{prefix}{key}: {mine!r}, not {other!r}")
    return lines


def _paired_mappings(mine: Any, other: Any) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Items of two lists of as many mappings, in pairs; nothing for anything else."""
    if not (isinstance(mine, list) and isinstance(other, list) and len(mine) == len(other)):
        return []
    pairs = list(zip(mine, other, strict=True))
    return pairs if all(isinstance(item, Mapping) for pair in pairs for item in pair) else []


def read_settings_file(file: Path, section: str = "frontend:", printed_by: str = "hubbub settings") -> dict[str, Any]:
    """Read a YAML file of sections.

    Parameters
    ----------
    section, printed_by
        An example of a section, and the command that prints such a file, for messages.

    Raises
    ------
    SettingsError
        For a file that cannot be read, or that holds no sections.
    """
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            f"settings file {file} does not exist; print one to start from: {printed_by} > {file}"
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"settings file {file} cannot be read: {error}") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise SettingsError(
            f"settings file {file} holds a {type(data).__name__}; expected sections such as '{section}'"
        )
    return data


def assign_setting(data: dict[str, Any], assignment: str, example: str = "frontend.n_mels=64") -> None:
    """Apply one ``section.name=value`` to nested data, its value read as YAML; raises `SettingsError` for others."""
    path, equals, value = assignment.partition("=")
    if not equals or not path:
        raise SettingsError(f"--set {assignment!r}: expected KEY=VALUE, such as {example}")
    *sections, key = path.strip().split(".")
    node = data
    for section in sections:
        node = node.setdefault(section, {})
        if not isinstance(node, dict):
            raise SettingsError(f"--set {assignment!r}: '{section}' holds a value, not settings")
    try:
        node[key] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise SettingsError(f"--set {assignment!r}: the value cannot be read as YAML: {error}") from None


def _explain(item: Any) -> str:
    """One pydantic complaint in hubbub's words."""
    location = [str(part) for part in item["loc"]]
    if location[:1] == ["variants"] and len(location) > 1:
        return "variants: " + explain_error({**item, "loc": item["loc"][1:]})
    if len(location) > 1 and location[0] == "frontend":
        chosen = location.pop(1)  # pydantic names the class it tried
    name = ".".join(location)
    if item["type"] == "union_tag_invalid":
        return (
            f"frontend.name: unknown frontend {item['ctx']['tag']!r}: {suggest_nearest(item['ctx']['tag'], FRONTENDS)}"
        )
    if item["type"] in ("union_tag_not_found", "model_type", "model_attributes_type") and name in _SECTIONS:
        return f"{name}: {item['input']!r} is no section of settings; {_SECTIONS[name]}"
    if item["type"] == "extra_forbidden":
        if location[0] == "frontend":
            return _explain_frontends_setting(chosen, location[-1])
        return (
            f"unknown setting '{name}': {_section_of(name) or suggest_nearest(location[-1], _fields_at(location[:-1]))}"
        )
    given = "" if isinstance(item["input"], Mapping) else f" (given: {item['input']!r})"
    return f"{name + ': ' if name else ''}{say_expected(item)}{given}"


_SECTIONS = {
    "frontend": f"a frontend is chosen by frontend.name (known: {', '.join(sorted(FRONTENDS))})",
    "windows": "such as windows.mode=all",
    "layout": "such as layout.rows_per_shard=64",
}
"""What to type for each section that was given a value of its own."""


def _explain_frontends_setting(frontend: str, name: str) -> str:
    """Say what is wrong with a setting that a frontend does not have: another one's, or nobody's."""
    owners = sorted(other for other, kind in FRONTENDS.items() if name in kind.model_fields)
    if owners:
        return f"frontend {frontend} has no '{name}'; {', '.join(owners)} has: choose it by frontend.name"
    hint = (
        "did you mean 'name'?" if name in ("kind", "type") else suggest_nearest(name, FRONTENDS[frontend].model_fields)
    )
    return f"unknown setting 'frontend.{name}': {hint}"


def _section_of(name: str) -> str | None:
    """Where a setting stands that was named without its section."""
    sections: dict[str, type[Frozen]] = {"frontend": LogMelSettings, "windows": Windows, "layout": Layout}
    homes = [section for section, model in sections.items() if name in model.model_fields]
    return f"did you mean '{homes[0]}.{name}'?" if homes else None


def _fields_at(sections: list[str]) -> list[str]:
    model: Any = Settings
    for section in sections:
        model = model.model_fields[section].annotation
    return list(model.model_fields)
