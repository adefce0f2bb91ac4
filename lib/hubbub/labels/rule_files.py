"""Rule files: event rules of some labels as YAML that people write and keep.

::

    dog: 0.72               # a threshold; the rest of the label's rule stays
    rain:
      threshold: 0.6
      release: 0.4
      merge_gap_s: 1.0
    siren:
      least_peak: 0.8       # of the events that its rule makes, those that reach this
    unknown: off            # or a threshold: events of what no label takes
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

import yaml

from hubbub.errors import SettingsError, suggest_nearest
from hubbub.io.atomic import explain_read_errors, read_bytes, write_text
from hubbub.io.paths import StoragePath
from hubbub.labels.events import UNKNOWN, EventRule

UNKNOWN_LEAST_S = 0.3
"""Of events that no label takes: shorter ones are left out."""

_P = TypeVar("_P", bound=StoragePath)
_KEYS = tuple(field.name for field in fields(EventRule))
_EXAMPLE = "such as 'dog: 0.7'"


def read_rules(path: StoragePath, rules: Mapping[str, EventRule]) -> dict[str, EventRule]:
    """Read a rule file, and change rules by it.

    Parameters
    ----------
    path
        A YAML file: labels, each with a threshold, or with some of the fields of `EventRule`. A new threshold without
        a release keeps the release's proportion to it.
    rules
        The rule of each label as it is; labels that the file does not name keep theirs.

    Returns
    -------
    dict
        The rule of each label.

    Raises
    ------
    SettingsError
        For a file that cannot be read or is no YAML, an unknown label or field (says the nearest), a value that is no
        number, or a rule that cannot be.
    UsageError
        When the bucket cannot be reached.
    """
    changed = dict(rules)
    for label, given in _load(path).items():
        if not isinstance(label, str):
            raise SettingsError(f'{path}: {label!r} is no text; write the label in quotes, such as "{label}": 0.7')
        if label != UNKNOWN and label not in rules:
            raise SettingsError(f"{path}: unknown label '{label}': {suggest_nearest(label, rules)}")
        if label == UNKNOWN and (given is False or given == "off"):  # YAML reads off as false
            changed.pop(UNKNOWN, None)
            continue
        before = changed.get(label, EventRule(min_duration_s=UNKNOWN_LEAST_S))
        changed[label] = _change(f"{path}: label '{label}'", before, given)
    return changed


def write_rules(path: _P, rules: Mapping[str, float | EventRule]) -> _P:
    """Write a rule file, whole or not at all.

    Parameters
    ----------
    path
        The file; what is there is replaced.
    rules
        Of each label a threshold, or its whole rule.

    Raises
    ------
    StorageError
        When it cannot be written.
    """
    held = {name: rule.to_dict() if isinstance(rule, EventRule) else float(rule) for name, rule in rules.items()}
    text = _dump(held) if held else ""
    return write_text(path, f"# Event rules: hubbub events LABELS --rules {path.name}\n{text}")


def _dump(held: Mapping[str, Any]) -> str:
    """YAML that is read as what it was written from; letters as they are, where PyYAML reads them back so."""
    text = yaml.safe_dump(held, allow_unicode=True, sort_keys=False, default_flow_style=False)
    if yaml.safe_load(text) == held:
        return text
    return yaml.safe_dump(held, sort_keys=False, default_flow_style=False)  # it takes U+0085 for the end of a line


def _load(path: StoragePath) -> dict[Any, Any]:
    try:
        with explain_read_errors(path):
            data = yaml.safe_load(read_bytes(path).decode("utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"rule file {path} does not exist; expected a YAML file of labels, {_EXAMPLE}") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        why = f"{error}" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"  # type: ignore[union-attr]
        raise SettingsError(f"rule file {path} cannot be read: {why}; expected YAML in UTF-8, {_EXAMPLE}") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise SettingsError(f"rule file {path} holds a {type(data).__name__}; expected labels, {_EXAMPLE}")
    return data


def _change(where: str, rule: EventRule, given: Any) -> EventRule:
    """Change a rule by what a file says of its label; `where` begins messages."""
    values = given if isinstance(given, dict) else {"threshold": given}
    for name, value in values.items():
        if name not in _KEYS:
            raise SettingsError(f"{where}: unknown entry '{name}': {suggest_nearest(str(name), _KEYS)}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            hint = "; only 'unknown' may be off: leave others out, or raise least_peak" if value is False else ""
            raise SettingsError(f"{where}: {name} is {value!r}; expected a number, {_EXAMPLE}{hint}")
    try:
        if "threshold" in values and "release" not in values:
            rule = rule.with_threshold(float(values["threshold"]))
        return replace(rule, **{name: float(value) for name, value in values.items()})
    except (SettingsError, OverflowError) as error:
        raise SettingsError(f"{where}: {error}") from None
