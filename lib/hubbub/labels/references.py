"""Read reference events that people or other programs wrote: CSV and TSV, Raven, Audacity, JAMS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pandas as pd

from hubbub.clips.annotations import (
    EVENT_COLUMNS,
    AnnotationError,
    decode_annotations,
    is_raven_table,
    read_audacity_track,
    read_event_table,
    strip_suffix,
)
from hubbub.errors import LabelsError
from hubbub.io.text import count_noun, list_few

COLUMNS = EVENT_COLUMNS


@dataclass(frozen=True)
class Reference:
    """Reference events.

    Attributes
    ----------
    events
        uri, label, onset_s, offset_s; times are seconds from the recording's start.
    notes
        What was odd, one sentence each: unknown labels, times beyond the end, events that overlap.
    recordings
        Those that were annotated, in the words of the reference: of its events, and of files without any event.
    """

    events: pd.DataFrame
    notes: tuple[str, ...] = field(default=())
    recordings: frozenset[str] = field(default=frozenset())


def read_reference(path: Path) -> Reference:
    """Read reference events; the format is found out from the name and the content.

    Parameters
    ----------
    path
        A CSV or TSV with the columns uri (or filename), label (or event_label), onset_s (or onset), offset_s (or
        offset); a Raven selection table; a JAMS file; or a folder of any of them, or of Audacity label tracks, each
        named after its recording.

    Raises
    ------
    LabelsError
        It cannot be read, lacks a column, or has an event that does not end after it starts.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if _choose_reader(file) is not None)
        if not files:
            raise LabelsError(
                f"{path} holds no reference events; expected .csv, .tsv, .jams, Raven's .selections.txt or Audacity's "
                ".txt files"
            )
    else:
        if not path.exists():
            raise LabelsError(f"{path} does not exist; expected a table of reference events, or a folder of them")
        files = [path]
    parts = [_read_file(file) for file in files]
    events = pd.concat(parts, ignore_index=True)
    wrong = events[~(events["onset_s"] < events["offset_s"])]
    if len(wrong):
        row = wrong.iloc[0]
        raise LabelsError(
            f"{path}: an event must end after it starts; {count_noun(len(wrong), 'event')} "
            f"{'does' if len(wrong) == 1 else 'do'} not, such as {row['label']} from {row['onset_s']:g} to "
            f"{row['offset_s']:g} s in {row['uri']}"
        )
    empty = {strip_suffix(file.name) for file, part in zip(files, parts, strict=True) if part.empty}
    return Reference(events, tuple(_find_overlaps(events)), frozenset(events["uri"]) | empty)


def match_reference(reference: Reference, files: pd.DataFrame, labels: Iterable[str]) -> Reference:
    """Fit reference events to label tables: recordings by name, labels that the model knows, times within the file.

    Parameters
    ----------
    files
        Columns uri and duration_s, the length of each recording, or how far into it was labelled.
    labels
        Those of the model.

    Returns
    -------
    Reference
        Its uris are those of `files`; its notes say what was left out or cut, and how often. Its recordings are those
        of `files` that the reference names, also where all of their events are left out.

    Raises
    ------
    LabelsError
        The reference holds events, and none of its recordings was labelled.
    """
    events, notes = reference.events.copy(), list(reference.notes)
    events["uri"] = _match_names(events["uri"], list(files["uri"]))
    is_there = events["uri"].notna()
    if len(events) and not is_there.any():
        raise LabelsError(
            "none of the reference's recordings was labelled; give the reference of these (reference: "
            f"{list_few(sorted(set(reference.events['uri'])), 'recording')}; labelled: "
            f"{list_few(sorted(files['uri']), 'recording')})"
        )
    if not is_there.all():
        missing = reference.events["uri"][~is_there]
        notes.append(f"{count_noun(missing.nunique(), 'recording')} of the reference not labelled: {_name(missing)}")
    events = events[is_there]
    annotated = frozenset(events["uri"])
    unknown = ~events["label"].isin(list(labels))
    if unknown.any():
        counts = events["label"][unknown].value_counts()
        named = ", ".join(f"{label} {count}" for label, count in list(counts.items())[:5])
        notes.append(f"{count_noun(int(unknown.sum()), 'event')} of labels that the model lacks, left out: {named}")
        events = events[~unknown]
    length = events["uri"].map(dict(zip(files["uri"], files["duration_s"], strict=True))).astype(float)
    beyond = events["offset_s"] > length + 0.1
    if beyond.any():
        outside = events["onset_s"] >= length
        notes.append(
            f"{count_noun(int(beyond.sum()), 'event')} beyond the end of the recording, cut off there"
            + (f" ({int(outside.sum())} wholly outside, left out)" if outside.any() else "")
            + f": {_name(events['uri'][beyond])}"
        )
        events = events.assign(offset_s=events["offset_s"].clip(upper=length))[~outside]
    others = _match_names(pd.Series(sorted(reference.recordings), dtype=object), list(files["uri"])).dropna()
    return Reference(events.reset_index(drop=True), tuple(notes), annotated | frozenset(others))


def cut_to_clips(events: pd.DataFrame, clips: pd.DataFrame) -> pd.DataFrame:
    """Give each clip its part of the true events: a clip may be a segment of a recording.

    Parameters
    ----------
    events
        uri, label, onset_s, offset_s, in seconds from the start of the recording.
    clips
        clip_id, uri, start_s (of the clip within its recording) and duration_s. Clips may overlap.

    Returns
    -------
    DataFrame
        A row for each pair of a clip and an event that share time: clip_id, label, event (the index of its row in
        `events`), and onset_s and offset_s of the time that they share, in seconds from the start of the clip.
    """
    own = events[list(COLUMNS)].assign(event=events.index)
    pairs = clips[["clip_id", "uri", "start_s", "duration_s"]].merge(own, on="uri")
    onset_s = (pairs["onset_s"] - pairs["start_s"]).clip(lower=0.0)
    offset_s = (pairs["offset_s"] - pairs["start_s"]).clip(upper=pairs["duration_s"])
    cut = pairs[["clip_id", "label", "event"]].assign(onset_s=onset_s, offset_s=offset_s)
    return cut[onset_s < offset_s].reset_index(drop=True)


def _match_names(names: pd.Series, uris: list[str]) -> pd.Series:
    """Return the uri that each name means: the same, or the only one with its file name, or its stem."""
    known: dict[str, str | None] = {}
    for uri in uris:
        file = PurePosixPath(uri).name
        for key in {file, PurePosixPath(file).stem} - {uri}:
            known[key] = uri if key not in known else None  # two recordings of one name
    exact = set(uris)

    def find(name: str) -> str | None:
        file = PurePosixPath(name.replace("\\", "/")).name
        return name if name in exact else known.get(file) or known.get(PurePosixPath(file).stem)

    return names.map(find)


def _find_overlaps(events: pd.DataFrame) -> Iterable[str]:
    ordered = events.sort_values(["uri", "label", "onset_s"], kind="stable")
    same = (ordered["uri"] == ordered["uri"].shift()) & (ordered["label"] == ordered["label"].shift())
    over = same & (ordered["onset_s"] < ordered["offset_s"].shift() - 1e-6)
    if over.any():
        row = ordered[over].iloc[0]
        yield (
            f"{count_noun(int(over.sum()), 'reference event')} overlap another of their label, such as {row['label']} "
            f"at {row['onset_s']:g} s in {row['uri']}; each counts as an event of its own"
        )


def _name(names: pd.Series) -> str:
    return ", ".join(map(str, sorted(set(names))[:3])) + ("…" if names.nunique() > 3 else "")


def _read_file(path: Path) -> pd.DataFrame:
    reader = _choose_reader(path)
    if reader is None:
        raise LabelsError(
            f"{path}: no format of reference events; expected .csv, .tsv, .jams or .txt (Raven, Audacity)"
        )
    try:
        return reader(path)
    except AnnotationError as error:
        raise LabelsError(f"{path.parent}/{error}") from None
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise LabelsError(f"{path} cannot be read as reference events: {type(error).__name__}: {error}") from None


def _choose_reader(path: Path) -> Callable[[Path], pd.DataFrame] | None:
    name = path.name.lower()
    if name.endswith((".csv", ".tsv")):
        return _read_table
    if name.endswith(".jams"):
        return _read_jams
    if not name.endswith(".txt") or not path.is_file():
        return None
    return _read_table if is_raven_table(decode_annotations(path.read_bytes())) else _read_audacity


def _read_table(path: Path) -> pd.DataFrame:
    return read_event_table(path.read_bytes(), path.name)[list(COLUMNS)]


def _read_audacity(path: Path) -> pd.DataFrame:
    return read_audacity_track(path.read_bytes(), path.name)[list(COLUMNS)]


def _read_jams(path: Path) -> pd.DataFrame:
    """Events of a JAMS file: every annotation whose values are labels, or Scaper's dictionaries with one."""
    whole = json.loads(path.read_text(encoding="utf-8"))
    title = whole.get("file_metadata", {}).get("title") or path.stem
    rows = []
    for annotation in whole["annotations"]:
        for item in annotation["data"]:
            value = item["value"]
            if isinstance(value, dict):
                if value.get("role", "foreground") != "foreground":
                    continue
                value = value["label"]
            if isinstance(value, str):
                rows.append((str(title), value, float(item["time"]), float(item["time"]) + float(item["duration"])))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"onset_s": float, "offset_s": float})
