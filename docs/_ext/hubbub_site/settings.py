"""The settings reference, written from the models of settings: meaning, unit, default and range of each."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from hubbub.config import Layout, Settings, Windows, load_settings
from hubbub.config.foreign import ForeignSettings, Input, LabelsFile, Output, Outputs, Scores
from hubbub.config.foreign import Rule as EventRule
from hubbub.config.frontends import FRONTENDS
from hubbub.config.grids import Grid, Halving
from hubbub.config.grids import Range as DrawnRange
from hubbub.config.recipes import DEFAULTS, KEYS, keys_of, sections_of
from hubbub.config.variants import Rule, Transform, Variants
from hubbub_site.markdown import as_code, as_text, write_table

UNITS = {
    "_hz": "Hz",
    "_s": "s",
    "_db": "dB",
    "_samples": "samples",
    "_frames": "frames",
    "_mb": "MB",
    "_rate": "",
    "_share": "share",
    "semitones": "semitones",
    "sample_rate": "Hz",
    "n_fft": "samples",
}
"""Ends of names -> units; the longest that fits holds."""

_MEANINGS = {
    "name": "which frontend",
    "kind": "which transform",
    "model": "names of recipes to try",
    "settings": "recipe settings -> the values to try: a list, or a range for search random",
    "halving": "successive halving; null: every trial trains to its end",
    "low": "least value",
    "high": "largest value",
}
"""Meanings of settings whose class has none: names of sections and choices."""


def write_frontends() -> str:
    """Write a section for each frontend."""
    return "\n".join(_write_frontend(name) for name in FRONTENDS)


def _write_frontend(name: str) -> str:
    kind, chosen = FRONTENDS[name], load_settings(None, [f"frontend.name={name}"])
    fields = {key: field for key, field in kind.model_fields.items() if key != "name"}
    table = _write_fields(fields, partial(getattr, chosen.frontend), prefix="frontend.")
    values = (
        f"Stored as {' or '.join(map(as_code, chosen.frontend.dtypes))}; {chosen.frontend.n_bands} bands by default."
    )
    return f"(frontend-{name})=\n### {name}\n\n{as_text(kind.__doc__ or '')}\n{values}\n\n{table}"


def write_windows() -> str:
    """Write the settings of windows, channels and storage, which all frontends share."""
    chosen = Settings()
    parts = [
        _write_fields(Windows.model_fields, partial(getattr, chosen.windows), prefix="windows."),
        _write_fields(Layout.model_fields, partial(getattr, chosen.layout), prefix="layout."),
    ]
    own = {key: Settings.model_fields[key] for key in ("channels", "dtype")}
    parts.append(_write_fields(own, partial(getattr, chosen)))
    return "\n".join(parts)


def write_recipes() -> str:
    """Write the settings of recipes with their defaults; where these differ, in a table of their own, a row a model.

    Settings that some models alone have say so.
    """
    rows, differing = [], {}
    for key in KEYS:
        section, _, name = key.partition(".")
        having = [model for model in DEFAULTS if key in keys_of(model)]
        field = sections_of(having[0])[section].model_fields[name]
        defaults = [_as_yaml(getattr(getattr(DEFAULTS[model], section), name)) for model in having]
        if len(set(defaults)) > 1:
            differing[as_code(key)] = defaults
        default = defaults[0] if len(set(defaults)) == 1 else "see below"
        whose = "" if len(having) == len(DEFAULTS) else f" ({', '.join(map(as_code, having))})"
        rows.append((as_code(key), _meaning(key, field) + whose, default, _range(field)))
    models = zip(map(as_code, DEFAULTS), *differing.values(), strict=True)
    return "\n".join(
        (write_table(("setting", "meaning", "default", "range"), rows), write_table(("model", *differing), models))
    )


def write_variants() -> str:
    """Write the settings of a policy, its rules and each transform."""
    parts = ["### The policy\n", _write_model(Variants), "### A rule\n", _write_model(Rule)]
    for kind in typing.get_args(Transform):
        fields = {key: field for key, field in kind.model_fields.items() if key != "kind"}
        parts += [
            f"### {kind.model_fields['kind'].default}\n\n{as_text(kind.__doc__ or '')}\n",
            _write_fields(fields, None),
        ]
    return "\n".join(parts)


def write_grid() -> str:
    """Write the keys of a sweep's file."""
    parts = [_write_model(Grid), "`halving` has\n", _write_model(Halving), "A range below `settings` has\n"]
    return "\n".join([*parts, _write_model(DrawnRange)])


def write_foreign() -> str:
    """Write the entries of the YAML file of a model of others, and of its sections."""
    sections: dict[str, type[BaseModel]] = {
        "input": Input,
        "outputs": Outputs,
        "outputs.scores": Scores,
        "outputs.embeddings": Output,
    }
    sections |= {"labels, where it is a file": LabelsFile, "events, and each of rules": EventRule}
    parts = [_write_model(ForeignSettings)]
    for name, model in sections.items():
        parts += [f"`{name.partition(',')[0]}`{''.join(name.partition(',')[1:])} has\n", _write_model(model)]
    return "\n".join(parts)


def _write_model(model: type[BaseModel]) -> str:
    return _write_fields(model.model_fields, None)


def _write_fields(
    fields: Mapping[str, FieldInfo], value_of: Callable[[str], Any] | None = None, prefix: str = ""
) -> str:
    rows = [
        (as_code(prefix + key), _meaning(key, field), unit_of(key), _default(key, field, value_of), _range(field))
        for key, field in fields.items()
    ]
    return write_table(("setting", "meaning", "unit", "default", "range"), rows)


def _meaning(key: str, field: FieldInfo) -> str:
    meaning = field.description or _MEANINGS.get(key)
    if not meaning:
        raise ValueError(f"setting '{key}' has no description; give its Field one, which hubbub settings prints, too")
    return as_text(meaning)


def unit_of(key: str) -> str:
    """Return the unit that a setting's name tells, or nothing."""
    ends = [end for end in UNITS if key.endswith(end)]
    return UNITS[max(ends, key=len)] if ends else ""


def _default(key: str, field: FieldInfo, value_of: Callable[[str], Any] | None) -> str:
    if value_of is not None:
        return _as_yaml(value_of(key))
    value = field.get_default(call_default_factory=True, validated_data={})
    return "required" if value is PydanticUndefined else _as_yaml(value)


def _as_yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return as_code({None: "null", True: "true", False: "false"}[value])
    if isinstance(value, float) and value >= 1e6:
        return as_code(f"{value:.10g}")
    if isinstance(value, tuple | dict):
        return as_code(", ".join(map(str, value)))
    return as_code(f"{value:.1e}" if isinstance(value, float) and 0 < value < 1e-4 else value)


def _range(field: FieldInfo) -> str:
    """What a setting may be: choices, and the ends of a range."""
    choices = [as_code(_plain(choice)) for choice in _list_choices(field.annotation)]
    if choices and (_takes(field.annotation, float) or _takes(field.annotation, int)):
        choices.append("a number")
    ends = " and ".join(_list_ends(field.metadata))
    if _takes(field.annotation, bool):
        choices += [as_code("true"), as_code("false")]
    return "; ".join(part for part in (" ".join(choices), ends) if part)


def _plain(value: Any) -> str:
    return _as_yaml(value).strip("`")


def _list_choices(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) is Literal:
        return list(typing.get_args(annotation))
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return [choice for part in typing.get_args(annotation) for choice in _list_choices(part)]
    return []


def _takes(annotation: Any, kind: type) -> bool:
    return annotation is kind or kind in typing.get_args(annotation)


def _list_ends(metadata: Iterable[Any]) -> list[str]:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    found = []
    for limit in metadata:
        ends = ((text, getattr(limit, name, None)) for name, text in words.items())
        found += [f"{text} {_plain_number(end)}" for text, end in ends if end is not None]
        pair: Any = getattr(limit, "func", None)  # a validator of a pair that knows its ends
        if hasattr(pair, "lowest"):
            found.append(f"within {pair.lowest:g} and {pair.highest:g}")
    return found


def _plain_number(end: float) -> str:
    return f"{end:,}" if isinstance(end, int) else f"{end:g}"


PARTS: dict[str, Callable[[], str]] = {
    "frontends": write_frontends,
    "windows": write_windows,
    "recipes": write_recipes,
    "variants": write_variants,
    "grid": write_grid,
    "foreign": write_foreign,
}
"""Parts of pages about settings."""
