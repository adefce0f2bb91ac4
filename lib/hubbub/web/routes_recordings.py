"""What the recordings' pages ask: lists, spectrogram tiles, score curves, events, truth, and sound."""

from __future__ import annotations

import threading
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hubbub.errors import HubbubError, UsageError
from hubbub.web.answers import answer_bytes, answer_json
from hubbub.web.browsed import BrowsedTables
from hubbub.web.curves import MOST_COLUMNS, draw_curves
from hubbub.web.queries import read_number, read_whole
from hubbub.web.recordings import Recording
from hubbub.web.routes_archive import find_tables, read_filter
from hubbub.web.sound import encode_piece
from hubbub.web.tiles import LEVELS, ByteCache, describe_tiles, draw_tile, line_edges_hz

PAGE = 100
"""Recordings of a list at a time."""

MOST_EVENTS = 3000
"""Events drawn at once."""

SORTS = {
    "events": "n DESC, c.uri",
    "name": "c.uri",
    "time": "recorded_at NULLS LAST, c.uri",
    "duration": "duration_s DESC, c.uri",
    "failed": "failed DESC, c.uri",
}

STORE = "store"
"""The scale of tiles that show a feature store's values."""

_TILES = ByteCache()
_DRAWING = threading.BoundedSemaphore(2)  # as many as there may be cores


def list_recordings(request: Request) -> Response:
    """A page of the recordings that fit a filter, with their events."""
    browsed = find_tables(request)
    chosen, query = read_filter(request, browsed), request.query_params
    sort = query.get("sort", "events")
    if sort not in SORTS:
        raise UsageError(f"sort {sort[:20]!r}: expected one of {', '.join(SORTS)}")
    first = read_whole(query, "first", 0)
    clips, events = chosen.clips(), chosen.events()
    name = query.get("name", "")[:200]
    rows = browsed.archive.ask(
        f"""
        WITH found AS (
          SELECT e.clip, count(*) AS n, max(e.peak) AS peak FROM events e WHERE {events.sql} GROUP BY e.clip
        )
        SELECT c.file, c.uri, sum(c.duration_s) AS duration_s, min(c.recorded_at) AS recorded_at, any_value(c."group"),
          coalesce(sum(f.n), 0)::BIGINT AS n, max(f.peak), max(c.status <> 'ok')::BOOL AS failed, any_value(c.error),
          any_value(c.sample_rate), count(*) OVER () AS total
        FROM clips c LEFT JOIN found f ON f.clip = c.n
        WHERE {clips.sql} AND (? = '' OR contains(lower(c.uri), lower(?)))
        GROUP BY c.file, c.uri ORDER BY {SORTS[sort]} LIMIT {PAGE} OFFSET {first}
        """,
        (*events.values, *clips.values, name, name),
    )
    keys = ("file", "uri", "duration_s", "recorded_at", "group", "events", "peak", "failed", "error", "sample_rate")
    listed = [dict(zip(keys, row[:-1], strict=True)) for row in rows]
    return answer_json({"recordings": listed, "total": rows[0][-1] if rows else 0, "first": first, "page": PAGE})


def describe_recording(request: Request) -> Response:
    """One recording; `problem` says why it cannot be seen or heard, where it cannot."""
    browsed = find_tables(request)
    recording = browsed.recording(request.path_params["file"])
    row = recording.clips[0]
    told: dict[str, Any] = {
        "file": recording.file,
        "uri": recording.clips[0]["uri"],
        "clips": [
            {name: clip[name] for name in ("status", "error", "duration_s", "clip_start_s", "clip_end_s")}
            for clip in recording.clips[:1000]
        ],
        "recorded_at": row["recorded_at"],
        "columns": {name: row[name] for name in ("group", *browsed.archive.carried)},
        "duration_s": recording.held_s,
        "sample_rate": row["sample_rate"],
        "channels": row["channels"],
        "problem": None,
    }
    try:
        info = recording.info
        told |= {"duration_s": info.duration_s, "sample_rate": info.sample_rate, "channels": info.channels}
    except (HubbubError, OSError) as error:
        told["problem"] = str(error)
    told |= describe_tiles(None if told["problem"] else told["sample_rate"])
    if browsed.store is not None and browsed.store.find(row["uri"]) is not None:
        told["scales"].append(STORE)
    return answer_json(told)


def tile(request: Request) -> Response:
    """A spectrogram tile."""
    query = request.query_params
    browsed = find_tables(request)
    recording = browsed.recording(request.path_params["file"])
    level, number = read_whole(query, "level", least=LEVELS[0], most=LEVELS[-1]), read_whole(query, "number")
    scale = query.get("scale", "mel")
    key = (id(browsed), recording.uri, recording.version, level, number, scale)

    def draw() -> bytes:
        with _DRAWING:
            if scale == STORE and browsed.store is not None:
                return browsed.store.draw_tile(recording.clips[0]["uri"], level=level, number=number)
            rate = recording.info.sample_rate
            return draw_tile(recording.path, rate, level=level, number=number, scale=scale)

    return answer_bytes(request, _TILES.get(key, draw), "image/png")


def lines(request: Request) -> Response:
    """Borders of the spectrogram's lines in Hz, from the bottom up."""
    browsed, scale = find_tables(request), request.query_params.get("scale", "mel")
    recording = browsed.recording(request.path_params["file"])
    if scale == STORE and browsed.store is not None:
        return answer_json(browsed.store.line_edges_hz())
    return answer_json(line_edges_hz(scale, recording.info.sample_rate))


def sound(request: Request) -> Response:
    """A piece of a recording as FLAC; ``Range`` asks for some of its bytes."""
    query = request.query_params
    recording = find_tables(request).recording(request.path_params["file"])
    data = encode_piece(
        recording.path,
        recording.info.sample_rate,
        start_s=read_number(query, "start", 0),
        length_s=read_number(query, "length", 10),
        slow=read_whole(query, "slow", 1),
    )
    return answer_bytes(request, data, "audio/flac")


def curves(request: Request) -> Response:
    """Score curves of chosen labels over a span."""
    browsed, query = find_tables(request), request.query_params
    recording = browsed.recording(request.path_params["file"])
    start_s, end_s = read_number(query, "start"), read_number(query, "end")
    columns = read_whole(query, "columns", 1000)
    labels = [label for label in query.getlist("label") if label in browsed.tables.labels]
    if not (0 <= start_s < end_s < 1e9 and 1 <= columns <= MOST_COLUMNS):
        raise UsageError(
            f"curves from {start_s:g} to {end_s:g} s in {columns} columns: expected a span, 1 to {MOST_COLUMNS}"
        )
    places = [browsed.tables.labels.index(label) for label in labels]
    scored = browsed.scores.read(browsed.tables, recording)
    drawn = draw_curves(scored, places, start_s=start_s, end_s=end_s, columns=columns)
    told = {label: [round(float(score), 3) for score in row] for label, row in zip(labels, drawn, strict=True)}
    return answer_json({"start_s": start_s, "end_s": end_s, "curves": told})


def list_events(request: Request) -> Response:
    """Events over a span, and true ones beside them; where there are too many, those of the highest score."""
    browsed, query = find_tables(request), request.query_params
    recording = browsed.recording(request.path_params["file"])
    start_s, end_s = read_number(query, "start", 0), read_number(query, "end", 1e9)
    where = read_filter(request, browsed).events()
    rows = browsed.archive.ask(
        f"""
        SELECT c.clip_id, names.label, e.onset_s, e.offset_s, e.peak, e.mean, count(*) OVER () AS total
        FROM events e JOIN clips c ON c.n = e.clip JOIN names ON names.code = e.label
        WHERE {where.sql} AND c.file = ? AND e.onset_s < ? AND e.offset_s > ? ORDER BY e.peak DESC LIMIT {MOST_EVENTS}
        """,
        (*where.values, recording.file, end_s, start_s),
    )
    keys = ("clip_id", "label", "onset_s", "offset_s", "peak", "mean")
    events = sorted((dict(zip(keys, row[:-1], strict=True)) for row in rows), key=lambda event: event["onset_s"])
    return answer_json(
        {
            "events": events,
            "total": rows[0][-1] if rows else 0,
            "truth": _list_truth(browsed, recording, start_s, end_s),
        }
    )


def _list_truth(
    browsed: BrowsedTables, recording: Recording, start_s: float, end_s: float
) -> list[dict[str, Any]] | None:
    truth = browsed.truth
    if truth is None:
        return None
    own = truth[truth["uri"] == recording.clips[0]["uri"]]
    own = own[(own["onset_s"] < end_s) & (own["offset_s"] > start_s)]
    return own[["label", "onset_s", "offset_s"]].head(MOST_EVENTS).to_dict("records")


ROUTES = [
    Route("/api/{tables:int}/recordings", list_recordings),
    Route("/api/{tables:int}/recordings/{file}", describe_recording),
    Route("/api/{tables:int}/recordings/{file}/tile", tile),
    Route("/api/{tables:int}/recordings/{file}/lines", lines),
    Route("/api/{tables:int}/recordings/{file}/sound", sound),
    Route("/api/{tables:int}/recordings/{file}/curves", curves),
    Route("/api/{tables:int}/recordings/{file}/events", list_events),
]
