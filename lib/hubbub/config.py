"""Settings: frozen, validated, read from YAML, with a canonical hash.

Two parts. What the values are (`frontend`, `windows`, `dtype`) is hashed: two stores with one hash hold
comparable features, and a model trained on one reads the other. How they are laid out (`layout`) is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hubbub.errors import SettingsError, nearest


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Frontend(_Frozen):
    """How a waveform becomes frames x bands; log-mel, as librosa's `melspectrogram` and `power_to_db`."""

    name: Literal["log-mel"] = "log-mel"
    sample_rate: int = Field(22050, ge=1000, le=384_000, description="Hz; clips are resampled to it")
    n_fft: int = Field(2048, ge=16, le=65536, description="samples a frame")
    hop_samples: int = Field(512, ge=1, description="samples from one frame to the next")
    window: Literal["hann", "hamming", "blackman", "boxcar"] = Field("hann", description="of a frame")
    n_mels: int = Field(128, ge=1, le=1024, description="mel bands")
    fmin_hz: float = Field(0.0, ge=0, description="lowest mel band edge")
    fmax_hz: float | None = Field(None, gt=0, description="highest mel band edge; null: half the sample rate")
    ref: float | Literal["max"] = Field(1.0, description="power that is 0 dB; 'max': each window's own peak")
    amin: float = Field(1e-10, gt=0, description="power below which everything is the floor")
    top_db: float | None = Field(80.0, gt=0, description="floor below each window's peak; null: none")
    precision: Literal["float32", "float64"] = Field("float32", description="of the Fourier transform")

    @model_validator(mode="after")
    def _bands_fit(self) -> Frontend:
        top, nyquist = self.top_hz, self.sample_rate / 2
        if top > nyquist:
            raise ValueError(f"fmax_hz {top:g} is above half the sample rate, {nyquist:g}; lower it or leave it null")
        if self.fmin_hz >= top:
            raise ValueError(f"fmin_hz {self.fmin_hz:g} is not below fmax_hz {top:g}")
        if self.hop_samples > self.n_fft:
            raise ValueError(f"hop_samples {self.hop_samples} is above n_fft {self.n_fft}: samples would be skipped")
        if isinstance(self.ref, float) and self.ref <= 0:
            raise ValueError(f"ref {self.ref:g} is no power: give one above 0, or 'max'")
        return self

    @property
    def top_hz(self) -> float:
        """Highest mel band edge in Hz, with the default resolved."""
        return self.sample_rate / 2 if self.fmax_hz is None else self.fmax_hz


class Windows(_Frozen):
    """Which stretches of a clip become rows."""

    mode: Literal["first", "all"] = Field("first", description="first: pad or cut to one window; all: whole clip")
    duration_s: float = Field(5.0, gt=0, le=3600, description="seconds a window")
    hop_s: float | None = Field(None, gt=0, description="mode all: from one window to the next; null: duration_s")

    @model_validator(mode="after")
    def _hop_covers(self) -> Windows:
        if self.hop_s is not None and self.mode == "first":
            raise ValueError("hop_s has a meaning only with mode 'all'")
        if self.hop_s is not None and self.hop_s > self.duration_s:
            raise ValueError(f"hop_s {self.hop_s:g} is above duration_s {self.duration_s:g}: sound would be skipped")
        return self


class Layout(_Frozen):
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


class Settings(_Frozen):
    """All that decides a feature store."""

    frontend: Frontend = Frontend()
    windows: Windows = Windows()
    dtype: Literal["float16", "float32"] = "float16"
    layout: Layout = Layout()

    @model_validator(mode="after")
    def _window_holds_a_frame(self) -> Settings:
        if self.windows.duration_s * self.frontend.sample_rate < 1:
            raise ValueError(f"windows.duration_s {self.windows.duration_s:g} is shorter than one sample")
        return self

    @property
    def values(self) -> dict[str, Any]:
        """The part that decides values, as plain data."""
        return self.model_dump(mode="json", exclude={"layout"})

    @property
    def hash(self) -> str:
        """16 hex digits that are equal exactly when `values` are."""
        return canonical_hash(self.values)


def canonical_hash(data: Any) -> str:
    """16 hex digits of SHA-256 over JSON with sorted keys; equal data gives equal digits on any machine."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_settings(file: Path | None = None, assignments: Iterable[str] = ()) -> Settings:
    """Read settings from a YAML file, then apply ``key.subkey=value`` assignments.

    Parameters
    ----------
    file
        YAML with any of the sections `frontend`, `windows`, `dtype`, `layout`; None for the defaults.
    assignments
        As given to ``--set``: ``frontend.n_mels=64``. Values are read as YAML.

    Raises
    ------
    SettingsError
        For a file that cannot be read, an unknown setting (says the nearest), or a bad value.
    """
    data = {key: value for key, value in (_read_yaml(file) if file is not None else {}).items() if value is not None}
    for assignment in assignments:
        _assign(data, assignment)
    return settings_from(data, where=str(file) if file is not None else "--set")


def settings_from(data: Mapping[str, Any], *, where: str) -> Settings:
    """Validate plain data as settings; `where` names its origin in messages."""
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        lines = [_explain(item) for item in error.errors()]
        raise SettingsError(f"{where}: " + "; ".join(lines)) from None


def difference(ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> list[str]:
    """List what differs between two nested mappings, as ``frontend.n_mels: 64, not 128`` (ours, not theirs)."""
    lines: list[str] = []
    for key in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(key), theirs.get(key)
        if isinstance(mine, Mapping) and isinstance(other, Mapping):
            lines += difference(mine, other, f"{prefix}{key}.")
        elif mine != other:
            lines.append(f"{prefix}{key}: {mine!r}, not {other!r}")
    return lines


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"settings file {file} does not exist") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"settings file {file} cannot be read: {error}") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise SettingsError(
            f"settings file {file} holds a {type(data).__name__}; expected sections such as 'frontend:'"
        )
    return data


def _assign(data: dict[str, Any], assignment: str) -> None:
    path, equals, value = assignment.partition("=")
    if not equals or not path:
        raise SettingsError(f"--set {assignment!r}: expected KEY=VALUE, such as frontend.n_mels=64")
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
    name = ".".join(location)
    if item["type"] == "extra_forbidden":
        return f"unknown setting '{name}': {nearest(location[-1], _fields_at(location[:-1]))}"
    message = item["msg"].removeprefix("Value error, ")
    given = "" if isinstance(item["input"], Mapping) else f" (given: {item['input']!r})"
    return f"{name + ': ' if name else ''}{message}{given}"


def _fields_at(sections: list[str]) -> list[str]:
    model: Any = Settings
    for section in sections:
        model = model.model_fields[section].annotation
    return list(model.model_fields)
