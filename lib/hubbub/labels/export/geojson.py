"""GeoJSON: recordings, or events, as points of a map (RFC 7946); ``recordings.geojson`` or ``events.geojson``.

Points come from columns `latitude` and `longitude` of the clip table, or `lat` with `lon` or `lng`, in degrees of
WGS 84. A recording has its `events`, how many there are; `by_label`, how many of each label, where there are any;
`analysed_s`; `recorded_at`; and its carried columns. An event has the columns of the CSV. Recordings in which nothing
was found are points, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from hubbub.errors import LabelsError, UsageError, suggest_nearest
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun
from hubbub.labels.export._files import split_rows, write_parts
from hubbub.labels.export._source import Export, ExportSource, read_numbers
from hubbub.labels.export._values import list_plain_rows, plain, write_json_line

OPTIONS = frozenset({"points"})

POINTS = ("recordings", "events")
_PAIRS = (("latitude", "longitude"), ("lat", "lon"), ("lat", "lng"))
_OWN = {  # columns of files that say nothing of a recording's place, or are named otherwise here
    *("clip_id", "clip_start_s", "clip_end_s", "status", "error", "attempts", "version", "unit", "windows"),
    *("mean_scores", "peak_scores", "duration_s"),
}


def write(source: ExportSource, folder: StoragePath) -> Export:
    """Write ``recordings.geojson`` or ``events.geojson``.

    Raises
    ------
    UsageError
        For other `points`.
    LabelsError
        For tables that carry no coordinates.
    """
    points = source.options.points or "recordings"
    if points not in POINTS:
        raise UsageError(f"--points {points}: {suggest_nearest(points, POINTS)}")
    names = _find_pair(source.recordings)
    table, count = (source.recordings, "recordings") if points == "recordings" else (source.events, "events")
    told = table if points == "recordings" else _lend_coordinates(table, source.recordings, names)
    latitude, longitude = (read_numbers(told, name) for name in names)
    is_place = latitude.between(-90, 90) & longitude.between(-180, 180)
    placed = table[is_place].assign(**{names[0]: latitude[is_place], names[1]: longitude[is_place]})
    counts = _count_labels(source.events)
    features = (
        _write_feature(row, names)
        for part in split_rows(source, placed, count)
        for row in (_describe_recordings(part, counts) if points == "recordings" else list_plain_rows(part))
    )
    path = write_parts(folder / f"{points}.geojson", _write_collection(features))
    missing = int((~is_place).sum())
    note = f"{count_noun(missing, points.removesuffix('s'))} without {' and '.join(names)} left out of the map"
    return Export([path], notes=(note,) if missing else ())


def read(path: StoragePath) -> pd.DataFrame:
    """Read the properties of the points back, with their latitude and longitude: events, or recordings."""
    held = json.loads(path.read_text(encoding="utf-8"))
    rows = [
        {**feature["properties"], "longitude": feature["geometry"]["coordinates"][0]}
        | {"latitude": feature["geometry"]["coordinates"][1]}
        for feature in held["features"]
    ]
    return pd.DataFrame(rows)


def _find_pair(files: pd.DataFrame) -> tuple[str, str]:
    found = next((pair for pair in _PAIRS if {*pair} <= {*files.columns}), None)
    if found is None:
        carried = [str(name) for name in files.columns if name not in _OWN]
        raise LabelsError(
            f"the recordings carry no columns latitude and longitude (there are {', '.join(carried)}); give them as "
            "columns of the table that hubbub index reads, and label its clip table"
        )
    return found


def _lend_coordinates(events: pd.DataFrame, recordings: pd.DataFrame, names: tuple[str, str]) -> pd.DataFrame:
    """Coordinates of events: those of their recordings."""
    places = recordings.set_index("uri")
    return pd.DataFrame({name: events["uri"].map(places[name]) for name in names}, index=events.index)


def _count_labels(events: pd.DataFrame) -> dict[str, dict[str, int]]:
    """How many events of each label each recording has."""
    counts: dict[str, dict[str, int]] = {}
    sizes = events.groupby(["uri", "label"]).size().reset_index(name="events")
    for uri, label, count in sizes.itertuples(index=False, name=None):
        counts.setdefault(str(uri), {})[str(label)] = int(count)
    return counts


def _describe_recordings(recordings: pd.DataFrame, counts: dict[str, dict[str, int]]) -> Iterator[dict[str, Any]]:
    """Yield recordings with how many events they have."""
    carried = recordings.drop(columns=[name for name in _OWN if name in recordings.columns])
    for row, analysed_s in zip(list_plain_rows(carried), recordings["duration_s"].tolist(), strict=True):
        by_label = counts.get(str(row["uri"]), {})
        yield row | {"events": sum(by_label.values()), "by_label": by_label, "analysed_s": plain(analysed_s)}


def _write_feature(row: dict[str, Any], names: tuple[str, str]) -> str:
    latitude, longitude = (float(row.pop(name)) for name in names)
    geometry = {"type": "Point", "coordinates": [longitude, latitude]}
    return write_json_line({"type": "Feature", "geometry": geometry, "properties": row})


def _write_collection(features: Iterable[str]) -> Iterator[str]:
    yield '{"type": "FeatureCollection", "features": ['
    between = "\n"
    for feature in features:
        yield between + feature
        between = ",\n"
    yield "\n]}\n"
