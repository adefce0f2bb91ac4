"""Events that people marked in recordings: tables of onsets and offsets, Raven's too, and Audacity's tracks."""

from __future__ import annotations

import codecs
import csv
import io
import re

import pandas as pd

EVENT_COLUMNS = ("uri", "label", "onset_s", "offset_s")
BAND_COLUMNS = ("low_hz", "high_hz")

_RAVEN_MARK = "Begin Time (s)"
"""A column that the first line of Raven's tables has."""

_RAVEN_SUFFIX = re.compile(r"(\.table\.\d+|\.birdnet)?\.selections?(\.table)?\.txt$", re.IGNORECASE)
_PLAIN_SUFFIX = re.compile(r"((\.labels)?\.txt|\.[ct]sv)$", re.IGNORECASE)
_AUDACITY_LINE = re.compile(r"-?\d+(?:[.,]\d+)?\t-?\d+(?:[.,]\d+)?(?:\t|\r?\n|$)")

_NAMES = {
    "uri": ("uri", "filename", "file", "path", "audio_filename", "begin path", "begin file"),
    "label": ("label", "event_label", "class", "category", "species", "annotation", "type"),
    "onset_s": ("onset_s", "onset", "start_s", "start", "begin time (s)", "start_time"),
    "offset_s": ("offset_s", "offset", "end_s", "end", "end time (s)", "end_time"),
    "low_hz": ("low freq (hz)",),
    "high_hz": ("high freq (hz)",),
}
"""What a column is called elsewhere, in small letters."""

_OPTIONAL = {"uri", *BAND_COLUMNS}
_RAVEN_OFFSET = "file offset (s)"
"""Where an event begins in the recording that its row names; Raven's times run on over all recordings of a table."""


class AnnotationError(ValueError):
    """A table of events that cannot be read: says which, and what was expected."""


def is_raven_table(text: str) -> bool:
    """Whether a text, of which the beginning is enough, is a selection table of Raven's."""
    return _RAVEN_MARK in text.split("\n", 1)[0]


def is_audacity_track(text: str) -> bool:
    """Whether a text, of which the beginning is enough, is a label track of Audacity's."""
    return _AUDACITY_LINE.match(text) is not None


def is_utf(content: bytes) -> bool:
    """Whether a file says its encoding, or is UTF-8; else `decode_annotations` guesses."""
    try:
        _decode_utf(content)
    except UnicodeDecodeError:
        return False
    return True


def decode_annotations(content: bytes) -> str:
    """Decode a file: UTF-8, UTF-16 with its mark, else Windows-1252, of which Latin-1 is the most."""
    try:
        return _decode_utf(content)
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _decode_utf(content: bytes) -> str:
    is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_utf_16 else "utf-8-sig")


def read_event_table(content: bytes, name: str) -> pd.DataFrame:
    """Read a table with an event a row; Raven's list of one selection in several views counts once.

    Parameters
    ----------
    content
        Of a CSV, or, where the name does not end so, of a table parted by tabs. Numbers may have decimal commas.
    name
        Of the file.

    Returns
    -------
    DataFrame
        `EVENT_COLUMNS`; `uri` is what the table says, or the recording that the file is named after. `low_hz` and
        `high_hz` where the table has them.

    Raises
    ------
    AnnotationError
        When a column is missing or times are no numbers.
    """
    table = _read_text_table(decode_annotations(content), "," if name.lower().endswith(".csv") else "\t")
    lower = {str(column).strip().lower(): column for column in table.columns}
    chosen = {}
    for column, names in _NAMES.items():
        found = next((lower[name] for name in names if name in lower), None)
        if found is not None:
            chosen[column] = table[found]
        elif column not in _OPTIONAL:
            raise AnnotationError(f"{name} lacks {column}; expected it beside: {', '.join(map(str, table.columns))}")
    events = pd.DataFrame(chosen)
    for column in ("onset_s", "offset_s", *BAND_COLUMNS):
        if column in events:
            events[column] = _parse_numbers(events[column], name, column)
    if _RAVEN_OFFSET in lower and not {"begin path", "begin file"}.isdisjoint(lower):
        begins_s = _parse_numbers(table[lower[_RAVEN_OFFSET]], name, _RAVEN_OFFSET).fillna(events["onset_s"])
        events = events.assign(onset_s=begins_s, offset_s=events["offset_s"] - events["onset_s"] + begins_s)
    if "uri" not in events:
        events["uri"] = strip_suffix(name)
    if "selection" in lower and "view" in lower:
        events = _merge_views(events, table[lower["selection"]], table[lower["view"]])
    return events[[*EVENT_COLUMNS, *(column for column in BAND_COLUMNS if column in events)]]


def _read_text_table(text: str, separator: str) -> pd.DataFrame:
    """A table of text. Raven quotes nothing, so that a lone quote in a label would take the rows after it along."""
    try:
        table = pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False)
        if separator == "," or len(table) >= sum(1 for line in text.splitlines() if line.strip()) - 1:
            return table
    except pd.errors.ParserError:
        if separator == ",":
            raise
    return pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE)


def _parse_numbers(column: pd.Series, name: str, what: str) -> pd.Series:
    """Numbers with decimal points, or all of them with decimal commas; bands and offsets may be empty."""
    plain = column.str.replace(",", ".") if not column.str.contains(".", regex=False).any() else column
    numbers = pd.to_numeric(plain, errors="coerce").astype(float)
    if what in EVENT_COLUMNS and numbers.isna().any():
        raise AnnotationError(f"{name}: {what} holds {column[numbers.isna()].iloc[0]!r}; expected seconds")
    return numbers


def _merge_views(events: pd.DataFrame, selection: pd.Series, view: pd.Series) -> pd.DataFrame:
    """One row a selection: its band is that of the spectrogram, since a waveform has none, or all frequencies."""
    keys = [selection, events["uri"], events["onset_s"], events["offset_s"]]
    is_wave = view.str.strip().str.lower().str.startswith("waveform")
    bands = [column for column in BAND_COLUMNS if column in events]
    order = is_wave.sort_values(kind="stable").index
    best = events.loc[order].groupby([key.loc[order] for key in keys], sort=False)[bands].transform("first")
    return events.assign(**{column: best[column] for column in bands})[~pd.concat(keys, axis=1).duplicated()]


def read_audacity_track(content: bytes, name: str) -> pd.DataFrame:
    """Read an Audacity label track, which is named after its recording.

    Returns
    -------
    DataFrame
        `EVENT_COLUMNS`; `low_hz` and `high_hz` where a label has frequencies. A point has its offset at its onset.

    Raises
    ------
    AnnotationError
        For a line that holds no two times.
    """
    rows: list[dict[str, object]] = []
    for line in decode_annotations(content).splitlines():
        cells = line.split("\t", 2)
        try:
            if line.startswith("\\") and rows:
                rows[-1] |= dict(zip(BAND_COLUMNS, map(_parse_frequency, cells[1:]), strict=True))
            elif line.strip():
                onset_s, offset_s = (float(cell.replace(",", ".")) for cell in cells[:2])
                label = cells[2] if len(cells) > 2 else ""
                rows.append(dict(zip(EVENT_COLUMNS, (strip_suffix(name), label, onset_s, offset_s), strict=True)))
        except ValueError:
            raise AnnotationError(f"{name}: {line!r}; expected onset, offset and label, parted by tabs") from None
    bands = BAND_COLUMNS if any("low_hz" in row for row in rows) else ()
    numbers = dict.fromkeys(("onset_s", "offset_s", *bands), float)
    return pd.DataFrame(rows, columns=[*EVENT_COLUMNS, *bands]).astype(numbers)


def _parse_frequency(cell: str) -> float | None:
    """A frequency in Hz; Audacity writes -1 where a band has no bound."""
    value = float(cell.replace(",", "."))
    return None if value < 0 else value


def strip_suffix(name: str) -> str:
    """The name of the recording that a file of events is named after, without the endings that programs add."""
    return _PLAIN_SUFFIX.sub("", _RAVEN_SUFFIX.sub("", name))


def is_raven_name(name: str) -> bool:
    """Whether a file is named as Raven names selection tables: ``….Table.1.selections.txt``."""
    return _RAVEN_SUFFIX.search(name) is not None
