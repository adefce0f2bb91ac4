"""Praat: one TextGrid a recording, ``….TextGrid``, with an interval tier a label.

The long text format, in UTF-8. Times have six decimals; what lies between events is an interval without text, as Praat
has it. A recording in which nothing was found has one empty tier, ``events``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd

from hubbub.io.paths import StoragePath
from hubbub.labels.export._files import Recording, write_each
from hubbub.labels.export._source import Export, ExportSource
from hubbub.labels.export._tiers import Tier, lay_tiers

SUFFIX = ".TextGrid"
OPTIONS: frozenset[str] = frozenset()

_STEPS = 10**6  # a second
_INTERVAL = re.compile(r'xmin = (\S+)\s+xmax = (\S+)\s+text = "((?:[^"]|"")*)"')


def write(source: ExportSource, folder: StoragePath) -> Export:
    """Write a ``….TextGrid`` for each recording."""
    return Export(write_each(source, folder, SUFFIX, lambda recording: _grid(recording, source.labels)))


def read(path: StoragePath) -> pd.DataFrame:
    """Read a TextGrid back: label, onset_s, offset_s."""
    found = _INTERVAL.findall(path.read_text(encoding="utf-8"))
    rows = [(text.replace('""', '"'), begin, end) for begin, end, text in found if text]
    table = pd.DataFrame(rows, columns=["label", "onset_s", "offset_s"])
    table = table.astype({"label": "string", "onset_s": "float64", "offset_s": "float64"})
    return table.sort_values(["onset_s", "offset_s", "label"], ignore_index=True)


def _grid(recording: Recording, labels: tuple[str, ...]) -> str:
    tiers = lay_tiers(recording.events, labels, steps_a_second=_STEPS)
    last = max((tier.spans[-1][1] for tier in tiers if tier.spans), default=0)
    # Praat opens nothing of no length: a recording of unknown length, or without a sample, is given a second.
    end = max(last, round((recording.duration_s or 0.0) * _STEPS)) or _STEPS
    head = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {_write_time(end)}"]
    head += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    lines = [line for number, tier in enumerate(tiers, start=1) for line in _write_tier(number, tier, end)]
    return "\n".join([*head, *lines]) + "\n"


def _write_tier(number: int, tier: Tier, end: int) -> Iterator[str]:
    intervals = list(_fill_gaps(tier, end))
    yield f"    item [{number}]:"
    yield '        class = "IntervalTier"'
    yield f"        name = {_quote(tier.name)}"
    yield "        xmin = 0"
    yield f"        xmax = {_write_time(end)}"
    yield f"        intervals: size = {len(intervals)}"
    for place, (begin, until, text) in enumerate(intervals, start=1):
        yield f"        intervals [{place}]:"
        yield f"            xmin = {_write_time(begin)}"
        yield f"            xmax = {_write_time(until)}"
        yield f"            text = {_quote(text)}"


def _fill_gaps(tier: Tier, end: int) -> Iterator[tuple[int, int, str]]:
    """Yield the tier's events, and intervals without text between them: together from 0 to `end`."""
    done = 0
    for begin, until in tier.spans:
        if begin > done:
            yield done, begin, ""
        yield begin, until, tier.label
        done = until
    if done < end:
        yield done, end, ""


def _quote(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _write_time(step: int) -> str:
    return f"{step // _STEPS}.{step % _STEPS:06d}"
