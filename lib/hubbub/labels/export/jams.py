"""JAMS: one file a recording, ``….jams``, as the JAMS library (https://jams.readthedocs.io) and mir_eval read them.

Events are one annotation of the namespace ``tag_open``, which lets events overlap and labels be any text; the
confidence is the event's peak. ``segment_open`` stands for parts that follow one another, ``scaper`` for recipes of
mixtures. The recording's uri and the model's hash are in the sandboxes.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from hubbub import __version__
from hubbub.io.paths import StoragePath
from hubbub.labels.export._files import Recording, write_each
from hubbub.labels.export._source import Export, ExportSource
from hubbub.labels.export._values import plain

SUFFIX = ".jams"
OPTIONS: frozenset[str] = frozenset()

_JAMS_VERSION = "0.3.4"
_DECIMALS = 9  # nanoseconds


def write(source: ExportSource, folder: StoragePath) -> Export:
    """Write a ``….jams`` for each recording."""
    model = {name: source.run[name] for name in ("bundle", "model_hash") if name in source.run}

    def make(recording: Recording) -> str:
        described = _describe(recording, model)
        return json.dumps(described, ensure_ascii=False, allow_nan=False, indent=1) + "\n"

    return Export(write_each(source, folder, SUFFIX, make))


def read(path: StoragePath) -> pd.DataFrame:
    """Read a file back: uri, label, onset_s, offset_s, peak."""
    held = json.loads(path.read_text(encoding="utf-8"))
    rows = [
        (held["sandbox"]["uri"], row["value"], row["time"], row["time"] + row["duration"], row["confidence"])
        for annotation in held["annotations"]
        for row in annotation["data"]
    ]
    table = pd.DataFrame(rows, columns=["uri", "label", "onset_s", "offset_s", "peak"])
    return table.astype({"uri": "string", "label": "string", **dict.fromkeys(table.columns[2:], "float64")})


def _describe(recording: Recording, model: dict[str, Any]) -> dict[str, Any]:
    columns = [recording.events[name].tolist() for name in ("label", "onset_s", "offset_s", "peak")]
    data = [
        {
            "time": round(onset_s, _DECIMALS),
            "duration": round(max(0.0, offset_s - onset_s), _DECIMALS),
            "value": str(label),
            "confidence": plain(peak),
        }
        for label, onset_s, offset_s, peak in zip(*columns, strict=True)
    ]
    last_s = max((row["time"] + row["duration"] for row in data), default=0.0)
    duration_s = last_s if recording.duration_s is None else max(last_s, recording.duration_s)
    about = {
        "curator": {"name": "", "email": ""},
        "annotator": model,
        "version": __version__,
        "corpus": "",
        "annotation_tools": f"hubbub {__version__}",
        "annotation_rules": "",
        "validation": "",
        "data_source": "program",
    }
    annotation = {
        "annotation_metadata": about,
        "namespace": "tag_open",
        "data": data,
        "sandbox": {},
        "time": 0.0,
        "duration": duration_s,
    }
    metadata: dict[str, Any] = {
        "title": PurePosixPath(recording.uri).name,
        "artist": "",
        "release": "",
        "duration": duration_s,
        "identifiers": {},
        "jams_version": _JAMS_VERSION,
    }
    return {"annotations": [annotation], "file_metadata": metadata, "sandbox": {"uri": recording.uri}}
