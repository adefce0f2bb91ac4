"""The most confident mistakes of a model, each with spectrogram and player."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from hubbub.clips.stretches import Stretch, show_stretch
from hubbub.config import Settings, parse_settings
from hubbub.io.paths import parse_path

MOST = 15
"""Mistakes listed at most."""

LONGEST_SHOWN_S = 30.0
"""Seconds of a mistaken clip that are shown and played at most; a page of 15 stays below some 10 MB."""

_DARKEST = 0.7  # so that what the model did not look at can still be seen


@dataclass(frozen=True)
class Mistake:
    """One clip that was taken for something else."""

    uri: str
    true: str
    predicted: str
    confidence: float
    shown: Stretch
    attention: tuple[tuple[float, ...], ...] = ()
    """Darkness of the parts that the model did not look at, 0 to 1, from the highest bands down; may be empty."""
    attention_width: float = 0.0
    """Of the picture, in percent: the model's window may be longer or shorter than what is shown."""


def show_mistakes(wrong: pd.DataFrame, data: Mapping[str, Any]) -> list[Mistake]:
    """Show the mistakes that the model was surest of.

    Parameters
    ----------
    wrong
        Predictions that are wrong: uri, true, predicted, score; confidence, start_s and end_s where they are known.
    data
        ``evaluation.json``; `settings` and `root` say how a clip sounds and where it lies.
    """
    by = "confidence" if "confidence" in wrong else "score"
    # A clip that several trainings took for the same label is one mistake.
    ranked = wrong.sort_values(by, ascending=False, kind="stable").drop_duplicates(["clip_id", "predicted"])
    chosen = ranked.head(MOST)
    settings = parse_settings(data["settings"], where="evaluation.json") if data.get("settings") else None
    shown = [_show(row, row[by], settings, data.get("root")) for row in chosen.to_dict("records")]
    maps, window_s = data.get("attention", {}), data.get("window_s", 0.0)
    return [
        _add_attention(one, maps.get(clip_id, []), window_s)
        for one, clip_id in zip(shown, chosen["clip_id"], strict=True)
    ]


def _add_attention(mistake: Mistake, falls: Sequence[Sequence[float]], window_s: float) -> Mistake:
    most = max((value for line in falls for value in line), default=0.0)
    picture = mistake.shown.picture
    if picture is None or most <= 0:
        return mistake
    dark = tuple(tuple(_DARKEST * (1 - value / most) for value in line) for line in reversed(falls))
    return replace(mistake, attention=dark, attention_width=100 * window_s / picture.shown_s)


def _show(row: Mapping[Any, Any], confidence: float, settings: Settings | None, root: str | None) -> Mistake:
    carried = row["labels"] if row.get("labels") is not None else [row["true"]]
    own = (row["uri"], " and ".join(carried), row["predicted"], float(confidence))
    if settings is None or root is None:
        unknown = "Where the recordings lie is not known: evaluate again with this hubbub."
        return Mistake(*own, Stretch(None, "", unknown))
    start_s = float(row.get("start_s") or 0.0)
    end_s = min(float(row.get("end_s") or LONGEST_SHOWN_S), start_s + LONGEST_SHOWN_S)
    return Mistake(*own, show_stretch(row["uri"], parse_path(root), settings.frontend, start_s=start_s, end_s=end_s))
