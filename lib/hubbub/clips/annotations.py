"""Events that people marked in recordings: tables of onsets and offsets, Raven's too, and Audacity's tracks."""

from __future__ import annotations

import io

import pandas as pd

EVENT_COLUMNS = ("uri", "label", "onset_s", "offset_s")

AUDACITY_SUFFIXES = (".labels.txt", ".txt")
RAVEN_SUFFIXES = (".table.1.selections.txt", ".table.1.selection.txt", ".selections.txt", ".selection.txt")
RAVEN_MARK = "Begin Time (s)"
"""A column that the first line of Raven's tables has."""

_NAMES = {
    "uri": ("uri", "filename", "file", "path", "audio_filename", "begin path", "begin file"),
    "label": ("label", "event_label", "class", "category", "species", "annotation", "type"),
    "onset_s": ("onset_s", "onset", "start_s", "start", "begin time (s)", "start_time"),
    "offset_s": ("offset_s", "offset", "end_s", "end", "end time (s)", "end_time"),
    "low_hz": ("low freq (hz)",),
    "high_hz": ("high freq (hz)",),
}
"""What a column is called elsewhere, in small letters."""

_OPTIONAL = {"uri", "low_hz", "high_hz"}


class AnnotationError(ValueError):
    """A table of events that cannot be read: says which, and what was expected."""


def read_event_table(content: bytes, name: str) -> pd.DataFrame:
    """Read a table with an event a row; Raven's list of one selection in several views counts once.

    Parameters
    ----------
    content
        Of a CSV, or, where the name does not end so, of a table parted by tabs.
    name
        Of the file.

    Returns
    -------
    DataFrame
        `EVENT_COLUMNS`; `uri` is what the table says, or the name of the file up to its first dot. `low_hz` and
        `high_hz` where the table has them.

    Raises
    ------
    AnnotationError
        When a column is missing or times are no numbers.
    """
    separator = "," if name.lower().endswith(".csv") else "\t"
    table = pd.read_csv(io.BytesIO(content), sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    lower = {str(column).strip().lower(): column for column in table.columns}
    chosen = {}
    for column, names in _NAMES.items():
        found = next((lower[name] for name in names if name in lower), None)
        if found is not None:
            chosen[column] = table[found]
        elif column not in _OPTIONAL:
            raise AnnotationError(f"{name} lacks {column}; expected it beside: {', '.join(map(str, table.columns))}")
    events = pd.DataFrame(chosen)
    if "selection" in lower and "view" in lower:
        events = events[~table[lower["selection"]].duplicated()]
    if "uri" not in events:
        events["uri"] = name.split(".")[0]
    for column in ("onset_s", "offset_s", *(_OPTIONAL - {"uri"}) & set(events)):
        numbers = pd.to_numeric(events[column], errors="coerce")
        if numbers.isna().any() and column in EVENT_COLUMNS:
            bad = events[column][numbers.isna()].iloc[0]
            raise AnnotationError(f"{name}: {column} holds {bad!r}; expected seconds")
        events[column] = numbers.astype(float)
    return events[[*EVENT_COLUMNS, *(column for column in events if column not in EVENT_COLUMNS)]]


def read_audacity_track(content: bytes, name: str) -> pd.DataFrame:
    """Read an Audacity label track, which is named after its recording; columns are `EVENT_COLUMNS`.

    Raises
    ------
    AnnotationError
        For a line that holds no two times and a label.
    """
    rows = []
    for line in content.decode("utf-8-sig").splitlines():
        if not line or line.startswith("\\"):  # such a line holds the frequencies of the label above it
            continue
        try:
            onset_s, offset_s, label = line.split("\t", 2)
            rows.append((strip_suffix(name), label, float(onset_s), float(offset_s)))
        except ValueError:
            raise AnnotationError(f"{name}: {line!r}; expected onset, offset and label, parted by tabs") from None
    return pd.DataFrame(rows, columns=list(EVENT_COLUMNS)).astype({"onset_s": float, "offset_s": float})


def strip_suffix(name: str) -> str:
    """The name of the recording that a file of Raven's or Audacity's is named after, without its ending."""
    lower = name.lower()
    return next((name[: -len(end)] for end in (*RAVEN_SUFFIXES, *AUDACITY_SUFFIXES) if lower.endswith(end)), name)
