"""WAV with markers: a copy of each WAV recording with its events as cue points, ``….cues.wav``, and ``cues.csv``.

Editors of audio show the events as markers or regions, with the label as their name. The recordings are never touched,
and markers that they have are kept. ``cues.csv`` has a row a recording: uri, the file, how many markers, and why there
is none. RF64, W64 and compressed WAV are refused one by one; recordings of other formats are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from hubbub.audio.cues import Cue, copy_with_cues, identify_wave
from hubbub.clips.cutting import visit_recordings
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun
from hubbub.labels.export._files import Recording, iterate_recordings, one_line, recording_names, write_parts
from hubbub.labels.export._source import Export, ExportSource, find_versions, require_root
from hubbub.labels.export._values import write_csv

SUFFIX = ".cues.wav"
OPTIONS = frozenset({"root"})

COLUMNS = ("uri", "file", "cues", "problem")

_NO_WAV = "no WAV file: passed over"


def write(source: ExportSource, folder: StoragePath) -> Export:
    """Write a ``….cues.wav`` for each WAV recording, and ``cues.csv``."""
    root, versions = require_root(source), find_versions(source.recordings)
    recordings = list(iterate_recordings(source))
    names = recording_names([recording.uri for recording in recordings], suffix=SUFFIX)
    passed_over: set[int] = set()

    def copy(path: Path, place: int) -> None:
        recording = recordings[place]
        if identify_wave(path) is None:
            passed_over.add(place)
        else:
            copy_with_cues(path, folder / names[recording.uri], list(_make_cues(recording)))

    visits = [(recording.uri, versions.get(recording.uri)) for recording in recordings]
    with source.show_progress("export", len(recordings), "recordings") as advance:
        problems = visit_recordings(visits, root, copy, lambda place: advance(1))
    rows = []
    for place, (recording, problem) in enumerate(zip(recordings, problems, strict=True)):
        is_copied = problem is None and place not in passed_over
        why = _NO_WAV if place in passed_over else one_line(problem or "")
        cues = len(recording.events) if is_copied else 0
        rows.append((one_line(recording.uri), names[recording.uri] if is_copied else "", cues, why))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    paths = [folder / name for name in table["file"] if name]
    paths.append(write_parts(folder / "cues.csv", write_csv([table])))
    failed = [f"{recording.uri}: {why}" for recording, why in zip(recordings, problems, strict=True) if why is not None]
    note = f"{count_noun(len(passed_over), 'recording')} passed over: no WAV file"
    return Export(paths, tuple(failed), (note,) if passed_over else ())


def read(path: StoragePath) -> pd.DataFrame:
    """Read ``cues.csv`` back: recordings and their copies. Any editor reads the markers."""
    with path.open("rb") as file:
        return pd.read_csv(file, keep_default_na=False)


def _make_cues(recording: Recording) -> Iterator[Cue]:
    columns = (recording.events[name].tolist() for name in ("onset_s", "offset_s", "label"))
    for onset_s, offset_s, label in zip(*columns, strict=True):
        yield Cue(onset_s, offset_s, one_line(label))
