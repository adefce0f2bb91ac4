"""What a format is given to write, what it may be asked, and what it says of its work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from hubbub.io.paths import StoragePath

ShowProgress = Callable[[str, float, str], AbstractContextManager[Callable[[float], None]]]
"""Begins a progress bar: its name, how many items there are, their plural noun; gives what adds items done."""


def show_nothing(what: str, total: float, unit: str) -> AbstractContextManager[Callable[[float], None]]:
    """Show no progress."""
    return nullcontext(lambda count: None)


@dataclass(frozen=True)
class ExportOptions:
    """What some formats may be asked; None, and False, stand for the format's own choice.

    Attributes
    ----------
    timezone
        ``daily``, ``kaleidoscope``: a name of the IANA database, such as ``Europe/Berlin``; None: UTC.
    by
        ``daily``: a column of the clip table that parts the summary.
    spreadsheet
        ``csv``, ``daily``: write an apostrophe before text that spreadsheets take for a formula.
    points
        ``geojson``: ``recordings`` or ``events``; None: recordings.
    padding_s
        ``clips``: seconds of the recording around an event; None: 1.
    per_label
        ``clips``: how many of each label at most, spread over the range of scores; None: all.
    root
        ``clips``, ``wav-cues``: the folder in which recordings with relative names lie now; None: where they were
        labelled.
    """

    timezone: str | None = None
    by: str | None = None
    spreadsheet: bool = False
    points: str | None = None
    padding_s: float | None = None
    per_label: int | None = None
    root: StoragePath | None = None

    def given(self) -> dict[str, str]:
        """Options that are not left to the format: their names, and as what they are typed."""
        names = [one.name for one in fields(self) if getattr(self, one.name) not in (None, False)]
        return {name: type_option(name) for name in names}


def type_option(name: str) -> str:
    """Return an option as it is typed: ``--per-label``."""
    return "--" + name.removesuffix("_s").replace("_", "-")


@dataclass(frozen=True)
class ExportSource:
    """What is exported.

    Attributes
    ----------
    events
        Columns uri, label, onset_s, offset_s; peak, mean, onset_at and carried columns where there are any.
    files
        A row a file or segment, with uri and status; sample_rate, duration_s, recorded_at, version, clip_start_s and
        carried columns where they are known.
    labels
        All labels of the model, in the order of its scores: those of which nothing was found, too.
    run
        What run.json holds of the model and its settings.
    root
        What relative uris are relative to; None: unknown.
    options
        What was asked of the format.
    show_progress
        Begins a progress bar.
    """

    events: pd.DataFrame
    files: pd.DataFrame
    labels: tuple[str, ...] = ()
    run: Mapping[str, Any] = field(default_factory=dict)
    root: StoragePath | None = None
    options: ExportOptions = ExportOptions()
    show_progress: ShowProgress = show_nothing

    @cached_property
    def analysed(self) -> pd.DataFrame:
        """Files and segments that were analysed; a failed one must not look like a quiet one."""
        return self.files[self.files["status"] == "ok"].reset_index(drop=True)

    @cached_property
    def recordings(self) -> pd.DataFrame:
        """Recordings that were analysed, one row each, sorted by uri.

        `duration_s` is how far into the recording something was analysed: its length, where it is no segment.
        """
        held = self.analysed.assign(duration_s=find_ends(self.analysed))
        longest = held.groupby("uri", sort=False)["duration_s"].max()
        once = held.drop_duplicates("uri", keep="last").sort_values("uri", ignore_index=True)
        return once.assign(duration_s=once["uri"].map(longest).astype("float64"))

    def order_labels(self, found: Iterable[str]) -> list[str]:
        """All labels of the model in their order, then those of `found` that are none of them, sorted."""
        return [*self.labels, *sorted({str(label) for label in found}.difference(self.labels))]


def read_numbers(table: pd.DataFrame, column: str) -> pd.Series:
    """Return a column as float64; NaN where it is missing, empty or no number."""
    if column not in table.columns:
        return pd.Series(float("nan"), index=table.index, dtype="float64")
    return pd.to_numeric(table[column], errors="coerce").astype("float64")


def read_times(table: pd.DataFrame, column: str) -> pd.Series:
    """Return a column of times as microseconds of UTC; NaT where it is missing or empty."""
    if column not in table.columns:
        return pd.Series(pd.NaT, index=table.index, dtype="datetime64[us, UTC]")
    return pd.to_datetime(table[column], utc=True).astype("datetime64[us, UTC]")


def find_begins(files: pd.DataFrame) -> pd.Series:
    """Seconds into the recording at which each row was analysed from, float64."""
    return read_numbers(files, "clip_start_s").fillna(0.0)


def find_ends(files: pd.DataFrame) -> pd.Series:
    """Seconds into the recording up to which each row was analysed, float64; NaN where unknown."""
    return find_begins(files) + read_numbers(files, "duration_s")


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes
    ----------
    paths
        The files, in the order in which they were written.
    failed
        Of formats that read the recordings: what failed, and why, a line each.
    notes
        What a person should know, with counts.
    """

    paths: list[StoragePath]
    failed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find_versions(recordings: pd.DataFrame) -> dict[str, str | None]:
    """Return what tells changed content of each recording, by uri; None where it is unknown."""
    versions = recordings.reindex(columns=["uri", "version"]).astype(object)
    return {str(uri): None if pd.isna(version) else str(version) for uri, version in versions.itertuples(index=False)}


def require_root(source: ExportSource) -> StoragePath:
    """Return what relative uris are relative to; the folder of the process where that is unknown."""
    return Path() if source.root is None else source.root
