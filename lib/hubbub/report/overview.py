"""The archive in charts: what the section about labels shows of the numbers of `hubbub.labels.overview`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml

from hubbub.labels.coverage import DayHours, Days, audio_by_hour, events_by_hour, span_days
from hubbub.labels.overview import (
    ColumnCounts,
    FailureGroup,
    LabelCount,
    count_columns,
    count_labels,
    count_scores,
    find_frequent,
    find_places,
    group_failures,
)
from hubbub.report.charts import HeatMap, MapChart, ScoreChart, heat_map, map_chart, score_chart

if TYPE_CHECKING:
    from hubbub.labels.tables import LabelTables

HEAT_MAPS = 6
"""Labels that have a heat map, the most frequent."""

COLUMN_LABELS = 5
"""Labels told by the values of a column, the most frequent."""


@dataclass(frozen=True)
class Coverage:
    """When there was audio, and when the most frequent labels began."""

    chart: HeatMap | None
    unit: str
    """Of the chart's amounts."""
    step_days: int
    untimed: int
    """Recordings without a time."""
    untimed_events: int
    maps: tuple[tuple[str, HeatMap], ...]
    """By label, the most frequent first."""
    hours: tuple[tuple[float, ...], ...]
    """Of each hour of the day: hours of audio, then events of each label of `maps`."""
    zone: str
    """The time zone of days and hours."""
    busiest: tuple[tuple[str, float], ...]
    """Hours of audio of each column of days that has some."""


@dataclass(frozen=True)
class LabelCard:
    """What the page says of one label."""

    count: LabelCount
    threshold: float | None
    scores: ScoreChart | None


@dataclass(frozen=True)
class Overview:
    """Charts and tables of an archive."""

    coverage: Coverage | None
    """None where no recording says when it was made."""
    columns: tuple[ColumnCounts, ...]
    map: MapChart | None
    unplaced: int
    cards: tuple[LabelCard, ...]
    """The most frequent label first."""
    failures: tuple[FailureGroup, ...]


def describe_overview(
    labels: LabelTables, files: pd.DataFrame, events: pd.DataFrame, *, timezone: str | None = None
) -> Overview:
    """Make charts and tables of an archive.

    Parameters
    ----------
    labels
        Their run says labels and rules.
    files, events
        Their tables.
    timezone
        Of days and hours; None: UTC.
    """
    counts = count_labels(events, labels.labels)
    places = find_places(files, events)
    rules = labels.rules
    scores = {one.label: one for one in count_scores(files, events, labels.labels)}
    cards = []
    for one in counts:
        threshold = rules[one.label].needed_peak if one.label in rules else None
        cards.append(LabelCard(one, threshold, score_chart(scores[one.label], threshold)))
    days = span_days(files, events, timezone=timezone)
    return Overview(
        None if days is None else _cover(files, events, days, find_frequent(counts, HEAT_MAPS)),
        tuple(count_columns(files, events, find_frequent(counts, COLUMN_LABELS))),
        map_chart(places.points) if places else None,
        places.unplaced if places else 0,
        tuple(cards),
        tuple(group_failures(files)),
    )


def _cover(files: pd.DataFrame, events: pd.DataFrame, days: Days, labels: Sequence[str]) -> Coverage:
    audio = audio_by_hour(files, days)
    covered = audio.values > 0
    by_label = {label: events_by_hour(events[events["label"] == label], days) for label in labels}
    maps = [(label, heat_map(amounts, covered)) for label, amounts in by_label.items()]
    columns = [audio.values.sum(axis=0) / 3600, *(amounts.values.sum(axis=0) for amounts in by_label.values())]
    daily = audio.values.sum(axis=1) / 3600
    unit, unit_s = ("minutes of audio", 60) if audio.values.max(initial=0) < 1800 else ("hours of audio", 3600)
    return Coverage(
        heat_map(DayHours(days, audio.values / unit_s, audio.untimed)),
        unit,
        days.step,
        audio.untimed,
        events_by_hour(events, days).untimed,
        tuple((label, chart) for label, chart in maps if chart is not None),
        tuple(tuple(float(value) for value in row) for row in np.stack(columns, axis=1)),
        days.zone,
        tuple((name, float(hours)) for name, hours in zip(days.names, daily, strict=True) if hours > 0),
    )


def describe_run(labels: LabelTables) -> list[tuple[str, str]]:
    """Say which model labelled, how and when, as names and texts."""
    run = labels.run
    foreign: Mapping[str, Any] = run.get("model") or {}
    versions = ", ".join(f"{name} {version}" for name, version in (run.get("versions") or {}).items())
    facts = {
        "model": run.get("bundle", "unknown"),
        "model hash": run.get("model_hash", "unknown"),
        "kind of model": ", ".join(str(value) for value in foreign.values()),
        "scores": "of frames" if labels.frames else f"of windows, one every {run['hop_s']:g} s",
        "labelled at": run.get("created_at", "unknown"),
        "versions": versions,
        "command": run.get("command", ""),
        "root of the recordings": str(labels.root),
        "label tables": str(labels.path),
        "settings hash": run.get("settings_hash", "unknown"),
        "run hash": run.get("run_hash", "unknown"),
    }
    return [(name, str(value)) for name, value in facts.items() if value]


def describe_settings(labels: LabelTables) -> str:
    """Return the settings of the features as YAML."""
    return yaml.safe_dump(labels.run["settings"], sort_keys=False, allow_unicode=True)
