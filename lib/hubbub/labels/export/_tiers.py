"""Tiers of events: one a label, in which nothing overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from hubbub.labels.export._files import one_line

NO_EVENTS = "events"
"""The tier of a recording in which nothing was found: a file without tiers is refused by some programs."""


@dataclass
class Tier:
    """Events of one label.

    Attributes
    ----------
    name
        The label on one line; a second tier of it is ``label (2)``.
    label
        The label on one line.
    spans
        Begin and end of each event in steps, sorted; each ends before, or where, the next begins.
    """

    name: str
    label: str
    spans: list[tuple[int, int]] = field(default_factory=list)


def lay_tiers(events: pd.DataFrame, labels: Sequence[str], *, steps_a_second: int) -> list[Tier]:
    """Lay a recording's events out in tiers, in the order of the labels.

    Events of one label overlap only where segments of a recording do, which were labelled one by one; then the label
    has several tiers.

    Parameters
    ----------
    events
        Of one recording, sorted by onset.
    labels
        The order of the tiers; labels without events have none.
    steps_a_second
        How finely times are kept; an event is one step at least.
    """
    spans: dict[str, list[tuple[int, int]]] = {}
    for label, onset_s, offset_s in zip(events["label"], events["onset_s"], events["offset_s"], strict=True):
        begin = max(0, round(onset_s * steps_a_second))
        end = max(begin + 1, round(offset_s * steps_a_second))
        spans.setdefault(one_line(label), []).append((begin, end))
    ranks = {one_line(label): rank for rank, label in reversed(list(enumerate(labels)))}
    tiers: list[Tier] = []
    taken = set(spans)
    for label in sorted(spans, key=lambda label: (ranks.get(label, len(ranks)), label)):
        tiers += _stack(label, sorted(spans[label]), taken)
    return tiers or [Tier(NO_EVENTS, NO_EVENTS)]


def _stack(label: str, spans: list[tuple[int, int]], taken: set[str]) -> list[Tier]:
    """Put each event into the first tier that is free."""
    tiers = [Tier(label, label)]
    for begin, end in spans:
        free = next((tier for tier in tiers if not tier.spans or tier.spans[-1][1] <= begin), None)
        if free is None:
            number = len(tiers) + 1
            while f"{label} ({number})" in taken:
                number += 1
            free = Tier(f"{label} ({number})", label)
            taken.add(free.name)
            tiers.append(free)
        free.spans.append((begin, end))
    return tiers
