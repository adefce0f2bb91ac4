"""Sample events of each label, with spectrogram and player, as many as a page has room for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from hubbub.clips.stretches import Stretch, show_stretch
from hubbub.config.frontends import Frames
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun
from hubbub.labels.overview import sample_events
from hubbub.report.page import clock

SAMPLES = 10
"""Events of a label that are shown where nobody asks for another number."""

CONTEXT_S = 2.0
"""Seconds that are shown before and after an event."""

LONGEST_S = 20.0
"""Seconds of an event that are shown at most, context included."""

MOST_UNREADABLE = 100
"""Events whose recording cannot be read, after which no more are tried: recordings have moved, or a bucket is away."""

_STEPS = 64  # of progress: shares of a power of two add up without rounding
_MARKUP_BYTES = 2500  # of a sample, without its picture and its audio


@dataclass
class Budget:
    """Bytes that a page may still grow by."""

    left: int
    refused: int = 0
    """What was left out for want of room."""

    def spend(self, size: int) -> bool:
        """Take `size` bytes, or say that they are not there."""
        if size > self.left:
            self.refused += 1
            return False
        self.left -= size
        return True


@dataclass(frozen=True)
class Sample:
    """One event on the page."""

    uri: str
    peak: float
    when: str
    """Where in its recording it is, and when that was where it is known."""
    left: float
    """Where the event begins, percent of the time axis."""
    width: float
    """How long it is, percent of the time axis."""
    cut: str
    """What is said where less than the event is shown; empty otherwise."""
    shown: Stretch


@dataclass
class Samples:
    """Events that are shown, by label; and why others are not."""

    wanted: int = 0
    by_label: dict[str, list[Sample]] = field(default_factory=dict)
    unreadable: Counter[str] = field(default_factory=Counter)
    """Events by the reason why their recording cannot be read."""
    examples: dict[str, str] = field(default_factory=dict)
    """One whole error of each reason."""
    left_out: int = 0
    """Events for which there was no room."""
    untried: int = 0
    """Events that were not tried after `MOST_UNREADABLE` that cannot be read."""

    @property
    def shown(self) -> int:
        """Events that are shown."""
        return sum(map(len, self.by_label.values()))

    def describe(self) -> list[str]:
        """Say what is not shown, and why; nothing where all is."""
        lines = []
        if self.left_out:
            lines.append(
                f"{self.shown} of {count_noun(self.wanted, 'sample')} are shown: for {self.left_out} the page has no "
                "room. --max-size MB makes it larger, --samples N shows fewer of each label."
            )
        for reason, count in self.unreadable.most_common(3):
            lines.append(f"{count_noun(count, 'sample')} cannot be shown ({reason}), such as: {self.examples[reason]}")
        if self.untried:
            lines.append(f"{count_noun(self.untried, 'more sample')} were not tried.")
        if self.unreadable:
            lines.append("Where recordings have moved, --root DIR says where they are now.")
        return lines


def embed_samples(
    events: pd.DataFrame,
    labels: Sequence[str],
    root: StoragePath,
    settings: Frames,
    *,
    number: int,
    budget: Budget,
    zone: str = "UTC",
    advance: Callable[[float], None] = lambda share: None,
) -> Samples:
    """Draw and encode events of each label, spread over their scores, until the page is full.

    One of each label, then a second of each, and so on: where room is short, labels have equally many, and the most
    frequent are not the last to get any.

    Parameters
    ----------
    events
        Of the label tables.
    labels
        The most frequent first.
    root
        What relative uris are relative to.
    settings
        Of the frontend in whose bands spectrograms are drawn.
    number
        Events of a label at most.
    budget
        What the page may still hold; it is spent.
    zone
        The time zone of times, a name of the IANA database.
    advance
        Called with the share of the work that is done since; they add up to 1.
    """
    chosen = {
        str(label): sample_events(rows, number).to_dict("records")
        for label, rows in events.groupby("label", sort=False)
    }
    turns = [(label, chosen[label][turn]) for turn in range(number) for label in labels if turn < len(chosen[label])]
    samples, told = Samples(wanted=len(turns)), 0
    for done, (label, event) in enumerate(turns):
        steps = _STEPS * done // len(turns)
        advance((steps - told) / _STEPS)
        told = steps
        if samples.unreadable.total() >= MOST_UNREADABLE:
            samples.untried = len(turns) - done
            break
        sample = _make_sample(event, root, settings, zone)
        if sample.shown.picture is None:
            reason = sample.shown.problem.partition(":")[0]
            samples.unreadable[reason] += 1
            samples.examples.setdefault(reason, sample.shown.problem)
        elif not budget.spend(len(sample.shown.picture.data) + len(sample.shown.sound) + _MARKUP_BYTES):
            samples.left_out = len(turns) - done
            break
        else:
            samples.by_label.setdefault(label, []).append(sample)
    advance((_STEPS - told) / _STEPS)
    for rows in samples.by_label.values():
        rows.sort(key=lambda sample: -sample.peak)
    return samples


def _make_sample(event: Mapping[Any, Any], root: StoragePath, settings: Frames, zone: str) -> Sample:
    onset_s, offset_s = float(event["onset_s"]), float(event["offset_s"])
    start_s = max(0.0, onset_s - CONTEXT_S)
    end_s = min(offset_s + CONTEXT_S, start_s + LONGEST_S)
    shown = show_stretch(event["uri"], root, settings, start_s=start_s, end_s=end_s)
    shown_s = shown.picture.shown_s if shown.picture else end_s - start_s
    until_s = min(offset_s, start_s + shown_s)
    at = event.get("onset_at")
    moment = "" if at is None or pd.isna(at) else f", {pd.Timestamp(at).tz_convert(zone):%Y-%m-%d %H:%M:%S} {zone}"
    return Sample(
        event["uri"],
        float(event["peak"]),
        f"{clock(onset_s)} to {clock(offset_s)}{moment}",
        100 * (onset_s - start_s) / shown_s,
        100 * max(until_s - onset_s, 0.0) / shown_s,
        f"the first {until_s - onset_s:.0f} s of {offset_s - onset_s:.0f} s" if offset_s > end_s else "",
        shown,
    )
