"""Charts of label tables with Matplotlib, for notebooks and papers."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hubbub.errors import LabelsError, suggest_nearest
from hubbub.io.text import count_noun
from hubbub.labels.coverage import Days, audio_by_hour, events_by_hour, span_days
from hubbub.labels.overview import SCORE_BINS

if TYPE_CHECKING:
    from hubbub.labels.tables import LabelTables

_SIZE_IN = (10.0, 3.6)
_MOST_DATES = 8


class ShownFigure(Figure):
    """A figure that a notebook shows without any backend."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=110, bbox_inches="tight")
        return file.getvalue()


def plot_events(tables: LabelTables, label: str | None = None) -> ShownFigure:
    """Draw events by day and hour beside their scores; see `LabelTables.plot`."""
    files, events = tables.files(), tables.events()
    known = list(dict.fromkeys([*tables.labels, *map(str, events["label"].unique())]))
    if label is not None:
        if label not in known:
            raise LabelsError(f"{tables.path} has no label '{label}': {suggest_nearest(label, known)}")
        events = events[events["label"] == label]
    figure = ShownFigure(figsize=_SIZE_IN, layout="constrained")
    when, scores = figure.subplots(1, 2, width_ratios=(3, 2))
    days = span_days(files, events)
    if days is None:
        _draw_onsets(when, events)
    else:
        _draw_hours(figure, when, files, events, days)
    rule = tables.rules.get(label) if label is not None else None
    _draw_scores(scores, events, None if rule is None else rule.needed_peak)
    what = "all labels" if label is None else label
    figure.suptitle(f"{what}: {count_noun(len(events), 'event')}", parse_math=False)
    return figure


def _draw_hours(figure: Figure, axes: Axes, files: pd.DataFrame, events: pd.DataFrame, days: Days) -> None:
    """Events of each day and hour; grey where there was no audio."""
    amounts = events_by_hour(events, days)
    heard = (audio_by_hour(files, days).values > 0) | (amounts.values > 0)
    shown = np.ma.masked_array(amounts.values, ~heard).T
    mesh = axes.pcolormesh(np.arange(days.columns + 1), np.arange(25), shown, cmap="viridis", vmin=0)
    axes.set_facecolor("0.85")
    axes.set_ylim(24, 0)
    axes.set_yticks(range(0, 25, 6), [f"{hour:02d}:00" for hour in range(0, 25, 6)])
    every = -(-days.columns // _MOST_DATES)
    axes.set_xticks([column + 0.5 for column in range(0, days.columns, every)], days.names[::every], rotation=35)
    for text in axes.get_xticklabels():
        text.set_horizontalalignment("right")
    a_column = "day" if days.step == 1 else f"{days.step} days"
    axes.set_ylabel("hour (UTC)")
    axes.set_title(f"events an hour of a {a_column}; grey: no audio", fontsize=9)
    figure.colorbar(mesh, ax=axes, label="events")
    if amounts.untimed:
        axes.set_xlabel(f"{count_noun(amounts.untimed, 'event')} without a time", fontsize=8)


def _draw_onsets(axes: Axes, events: pd.DataFrame) -> None:
    axes.hist(events["onset_s"].to_numpy(np.float64), bins=40)
    axes.set_xlabel("onset in the recording (s)")
    axes.set_ylabel("events")
    axes.set_title("no recording says when it was made", fontsize=9)


def _draw_scores(axes: Axes, events: pd.DataFrame, threshold: float | None) -> None:
    axes.hist(events["peak"].to_numpy(np.float64), bins=SCORE_BINS, range=(0, 1))
    if threshold is not None:
        axes.axvline(threshold, color="black", linestyle="--", label=f"threshold {threshold:.3g}")
        axes.legend(fontsize=8)
    axes.set_xlim(0, 1)
    axes.set_xlabel("highest score")
    axes.set_ylabel("events")
