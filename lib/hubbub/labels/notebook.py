"""What a notebook shows of label tables: their facts, an event with its audio, and charts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from hubbub.audio.shown import Mark, ShownAudio, write_facts
from hubbub.clips.stretches import show_stretch
from hubbub.errors import HubbubError, LabelsError
from hubbub.io.text import count_noun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hubbub.labels.tables import LabelTables

CONTEXT_S = 2.0
"""Seconds that are shown before and after an event."""

LONGEST_S = 60.0
"""Seconds of an event that are shown at most."""

_LABELS_TOLD = 12
_NEEDED = ("uri", "onset_s", "offset_s")


class LabelsNotebook:
    """What open label tables can do in a notebook."""

    def _repr_html_(self) -> str:
        return _describe(cast("LabelTables", self))

    def plot(self, label: str | None = None) -> Figure:
        """Draw when events of a label begin, by day and hour in UTC, and how their scores are spread.

        Where no recording says when it was made, events are drawn by where in their recordings they begin.

        Parameters
        ----------
        label
            None: all labels.

        Returns
        -------
        matplotlib.figure.Figure
            Which a notebook shows, and `savefig` writes.

        Raises
        ------
        LabelsError
            The tables have no such label.
        """
        from hubbub.labels.drawing import plot_events  # Matplotlib takes a second to import

        return plot_events(cast("LabelTables", self), label)

    def show(self, event: Any) -> ShownAudio:
        """Show an event: the spectrogram of its recording around it, and a player.

        Parameters
        ----------
        event
            A row of `events()`, such as ``labels.events().iloc[0]``, a mapping, or a tuple of ``itertuples()``: with
            uri, onset_s and offset_s.

        Raises
        ------
        LabelsError
            It is no event.
        """
        return _show_event(cast("LabelTables", self), event)


def _describe(tables: LabelTables) -> str:
    run = tables.run
    frames = tables.frames
    thresholds = [f"{label} {rule.needed_peak:.3g}" for label, rule in tables.rules.items()]
    more = f" and {len(thresholds) - _LABELS_TOLD} more" if len(thresholds) > _LABELS_TOLD else ""
    try:
        units = count_noun(len(tables.committed()), "unit")
    except (HubbubError, OSError) as error:
        units = f"cannot be read: {error}"
    facts = [
        ("labels and thresholds", ", ".join(thresholds[:_LABELS_TOLD]) + more),
        ("scores", "of frames" if frames else f"of windows, one every {run['hop_s']:g} s"),
        ("files", str(run.get("clips", ""))),
        ("stored in", units),
        ("model", " ".join(str(run[name]) for name in ("bundle", "model_hash") if run.get(name))),
        ("recordings under", str(run.get("root", ""))),
        ("labelled at", str(run.get("created_at", ""))),
        ("settings", str(run.get("settings_hash", ""))),
    ]
    return write_facts(f"Label tables {tables.path}", facts)


def _show_event(tables: LabelTables, event: Any) -> ShownAudio:
    row = _as_mapping(event)
    missing = [name for name in _NEEDED if name not in row]
    if missing:
        raise LabelsError(f"{_name(event)} is no event: it lacks {', '.join(missing)}; give a row of labels.events()")
    onset_s, offset_s = float(row["onset_s"]), float(row["offset_s"])
    start_s = max(0.0, onset_s - CONTEXT_S)
    end_s = min(offset_s + CONTEXT_S, start_s + LONGEST_S)
    shown = show_stretch(str(row["uri"]), tables.root, tables.settings.frontend, start_s=start_s, end_s=end_s)
    label, peak, at = row.get("label", "event"), row.get("peak"), row.get("onset_at")
    note = f"{label}, {onset_s:.2f} to {offset_s:.2f} s"
    note += f", score {float(peak):.2f}" if peak is not None and not pd.isna(peak) else ""
    note += f", {pd.Timestamp(at):%Y-%m-%d %H:%M:%S} UTC" if at is not None and not pd.isna(at) else ""
    marks: tuple[Mark, ...] = ()
    if shown.picture:
        marks = (Mark(onset_s - start_s, min(offset_s - start_s, shown.picture.shown_s), str(label)),)
    return ShownAudio(
        str(row["uri"]), note, shown.picture, shown.sound, marks, (shown.problem,) if shown.problem else ()
    )


def _name(event: Any) -> str:
    """Name what was given in a line; of a table, whose text is a page, how many rows it has."""
    if isinstance(event, pd.DataFrame):
        return f"a DataFrame of {count_noun(len(event), 'row')}"
    return f"{event!r:.200}"


def _as_mapping(event: Any) -> Mapping[str, Any]:
    if isinstance(event, pd.Series):
        return {str(name): value for name, value in event.items()}
    if hasattr(event, "_asdict"):
        return event._asdict()
    return event if isinstance(event, Mapping) else {}
