"""Events as bars over a time axis: colours, rows in which no text covers another, positions in percent."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from hubbub.report.page import clock

# Light enough for dark text, apart for the common kinds of colour blindness where they are neighbours.
_PALETTE = (
    "#f2b134",
    "#5ec4e8",
    "#f58a7b",
    "#7fd17f",
    "#b79af2",
    "#e9d25c",
    "#4fd0b8",
    "#ee9ad0",
    "#9db4f5",
    "#f5a05a",
    "#a8d45a",
    "#cdb19a",
)
_GOLDEN_TURN = 0.381966

_STAGE_PX = 1000  # width of the picture on a common screen; text is measured against it
_LETTER_PX = 6.6
_PADDING_PX = 12


@dataclass(frozen=True)
class Bar:
    """One event on its lane."""

    label: str
    score: str
    """Peak score as text; empty for true events."""
    left: float
    """Percent of the time axis."""
    width: float
    """Percent of the time axis."""
    text: Literal["in", "after", "before"]
    """Where the text has room: in the bar, after its end, before its start."""
    colour: str
    matched: bool
    """False for a true event that was missed, and for a labelled one without a true one."""
    title: str
    """What a pointer resting on the bar, or a screen reader, is told."""


def assign_colours(labels: Iterable[str]) -> dict[str, str]:
    """Give each label its colour; the first twelve are chosen, further ones computed."""
    return {label: _colour(number) for number, label in enumerate(dict.fromkeys(labels))}


def bar_rows(events: pd.DataFrame, colours: dict[str, str], *, shown_s: float) -> list[list[Bar]]:
    """Lay events out as bars in as few rows as their texts allow.

    Parameters
    ----------
    events
        Columns label, onset_s, offset_s, and peak and matched where they are known; those after `shown_s` are
        left out.
    colours
        Of every label.
    shown_s
        Length of the time axis, above 0.
    """
    rows: list[list[Bar]] = []
    free_from_s: list[float] = []
    for event in events[events["onset_s"] < shown_s].sort_values(["onset_s", "offset_s"]).to_dict("records"):
        bar, begins_s, ends_s = _bar(event, colours[event["label"]], shown_s)
        row = next((i for i, free_s in enumerate(free_from_s) if free_s <= begins_s), len(rows))
        if row == len(rows):
            rows.append([])
            free_from_s.append(0.0)
        rows[row].append(bar)
        free_from_s[row] = ends_s
    return rows


def legend(frames: Sequence[pd.DataFrame], colours: dict[str, str]) -> list[tuple[str, str]]:
    """Return (label, colour) of the labels that occur, in the order of `colours`."""
    seen = {label for frame in frames for label in frame["label"]}
    return [(label, colour) for label, colour in colours.items() if label in seen]


def _bar(event: dict, colour: str, shown_s: float) -> tuple[Bar, float, float]:
    """Return the bar, and from where to where bar and text together lie, in seconds."""
    onset_s, offset_s = event["onset_s"], min(event["offset_s"], shown_s)
    peak = event.get("peak")
    score = f"{peak:.2f}" if peak is not None and peak == peak else ""
    text_s = (len(f"{event['label']} {score}".strip()) * _LETTER_PX + _PADDING_PX) * shown_s / _STAGE_PX
    place: Literal["in", "after", "before"] = "in"
    begins_s, ends_s = onset_s, offset_s
    if text_s > offset_s - onset_s and offset_s + text_s <= shown_s:
        place, ends_s = "after", offset_s + text_s
    elif text_s > offset_s - onset_s:
        place, begins_s = "before", onset_s - text_s
    title = f"{event['label']}, {clock(onset_s)} to {clock(event['offset_s'])}"
    return (
        Bar(
            event["label"],
            score,
            100 * onset_s / shown_s,
            100 * (offset_s - onset_s) / shown_s,
            place,
            colour,
            bool(event.get("matched", True)),
            f"{title}, score {score}" if score else title,
        ),
        begins_s,
        ends_s,
    )


def _colour(number: int) -> str:
    if number < len(_PALETTE):
        return _PALETTE[number]
    red, green, blue = colorsys.hls_to_rgb(number * _GOLDEN_TURN % 1, 0.7, 0.6)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
