"""What the page of ``hubbub try`` asks: models, recordings that it gives, their scores, events and pictures."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from hubbub import __version__
from hubbub.errors import HubbubError, UsageError
from hubbub.io.atomic import explain_write_errors
from hubbub.labels.export.csv import format_events
from hubbub.web.answers import ERRORS, answer_bytes, answer_json, explain_fault, make_plain, read_json
from hubbub.web.curves import MOST_COLUMNS, ScoreReader, draw_curves
from hubbub.web.pages import page_routes
from hubbub.web.shelf import Slot
from hubbub.web.sound import encode_piece
from hubbub.web.tiles import ByteCache, describe_tiles, draw_tile, line_edges_hz
from hubbub.web.trying import Trial, TrialRoom, TriedSound

MOST_EVENTS = 3000
"""Events drawn at once; a file has them all."""

LONGEST_NAME = 200
"""Letters of a file name that are shown."""

_TILES, _SCORES = ByteCache(), ScoreReader()
_EVENT = ("label", "onset_s", "offset_s", "peak", "mean", "onset_at")


def find_room(request: Request) -> TrialRoom:
    """The models and recordings of the application."""
    return request.app.state.room


def find_sound(request: Request) -> TriedSound:
    """The recording that is asked for; errors of `Shelf.find`."""
    return find_room(request).shelf.find(request.path_params["key"])


def find_trial(request: Request) -> Trial:
    """The recording and model that are asked for; errors of `TrialRoom.find_trial`."""
    return find_room(request).find_trial(request.path_params["key"], request.path_params["model"])


def describe_room(request: Request) -> Response:
    """Models and their state, the recordings that are kept, and what may be dropped."""
    room = find_room(request)
    models = [
        {
            "name": thread.model.name,
            "kind": thread.model.kind,
            "state": thread.state,
            "error": thread.error,
            "labels": thread.model.labels,
            "thresholds": {label: rule.threshold for label, rule in thread.model.rules.items()},
        }
        for thread in room.threads
    ]
    sounds = [{"key": sound.key, "name": sound.name} for sound in room.shelf.list_held()]
    return answer_json({"models": models, "sounds": sounds, "most_bytes": room.most_bytes})


async def take_sound(request: Request) -> Response:
    """Take a recording: its bytes are the request's body, its name is one to show."""
    room = find_room(request)
    name = request.query_params.get("name", "")[:LONGEST_NAME]
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > room.most_bytes:
        return _refuse_size(name, room.most_bytes)
    slot = room.shelf.open_slot()
    try:
        if not await _receive(request, slot, room.most_bytes):
            room.shelf.discard(slot)
            return _refuse_size(name, room.most_bytes)
        sound = await run_in_threadpool(room.add, slot, name)
    except BaseException as error:
        room.shelf.discard(slot)
        if isinstance(error, ClientDisconnect):
            return Response(status_code=400)  # nobody hears it
        raise
    return answer_json({"key": sound.key, "name": sound.name}, 201)


async def _receive(request: Request, slot: Slot, most_bytes: int) -> bool:
    """Write a request's body into a slot as it comes; False where it is more than `most_bytes`."""
    size = 0
    with explain_write_errors(slot.folder), open(slot.path, "xb") as file:
        async for part in request.stream():
            size += len(part)
            if size > most_bytes:
                return False
            file.write(part)
    return True


def _refuse_size(name: str, most_bytes: int) -> Response:
    said = f"{name or 'the recording'} is larger than {most_bytes / 1e6:g} MB; hubbub try --max-size MB takes more"
    return answer_json({"error": said, "kind": "UsageError"}, 413)


def describe_sound(request: Request) -> Response:
    """A recording as the viewer needs it, and what became of it with each model."""
    sound = find_sound(request)
    told: dict[str, Any] = {
        "key": sound.key,
        "uri": sound.name,
        "duration_s": 0.0,
        "sample_rate": None,
        "channels": None,
        "problem": None,
        "trials": [_describe_trial(trial) for trial in sound.trials],
    }
    try:
        info = sound.recording.info
        told |= {"duration_s": info.duration_s, "sample_rate": info.sample_rate, "channels": info.channels}
    except (HubbubError, OSError) as error:
        told["problem"] = sound.show_text(f"{type(error).__name__}: {error}")
    return answer_json(told | describe_tiles(told["sample_rate"]))


def _describe_trial(trial: Trial) -> dict[str, Any]:
    told = {"state": trial.state, "share": trial.share, "error": trial.error, "scores": None}
    if trial.state == "done":
        told["scores"] = _list_scores(trial)
    return told


def _list_scores(trial: Trial) -> list[dict[str, Any]]:
    columns = (trial.model.labels, trial.row["peak_scores"], trial.row["mean_scores"])
    rows = [{"label": a, "peak": float(b), "mean": float(c)} for a, b, c in zip(*columns, strict=True)]
    return sorted(rows, key=lambda row: -row["peak"])


def tile(request: Request) -> Response:
    """A spectrogram tile."""
    sound, query = find_sound(request), request.query_params
    level, number, scale = int(query["level"]), int(query["number"]), query.get("scale", "mel")

    def draw() -> bytes:
        recording = sound.recording
        return draw_tile(recording.path, recording.info.sample_rate, level=level, number=number, scale=scale)

    return answer_bytes(request, _TILES.get((sound.key, level, number, scale), draw), "image/png")


def lines(request: Request) -> Response:
    """Borders of the spectrogram's lines in Hz, from the bottom up."""
    info = find_sound(request).recording.info
    return answer_json(line_edges_hz(request.query_params.get("scale", "mel"), info.sample_rate))


def hear(request: Request) -> Response:
    """A piece of a recording as FLAC."""
    recording, query = find_sound(request).recording, request.query_params
    data = encode_piece(
        recording.path,
        recording.info.sample_rate,
        start_s=float(query.get("start", 0)),
        length_s=float(query.get("length", 10)),
        slow=int(query.get("slow", 1)),
    )
    return answer_bytes(request, data, "audio/flac")


def curves(request: Request) -> Response:
    """Score curves of chosen labels over a span."""
    trial, query = find_trial(request), request.query_params
    start_s, end_s = float(query["start"]), float(query["end"])
    columns = int(query.get("columns", 1000))
    if not (0 <= start_s < end_s < 1e9 and 1 <= columns <= MOST_COLUMNS):
        raise UsageError(
            f"curves from {start_s:g} to {end_s:g} s in {columns} columns: expected a span, 1 to {MOST_COLUMNS}"
        )
    labels = [label for label in query.getlist("label") if label in trial.model.labels]
    places = [trial.model.labels.index(label) for label in labels]
    scored = _SCORES.read(trial.require_tables(), trial.recording())
    drawn = draw_curves(scored, places, start_s=start_s, end_s=end_s, columns=columns)
    told = {label: [round(float(score), 3) for score in row] for label, row in zip(labels, drawn, strict=True)}
    return answer_json({"start_s": start_s, "end_s": end_s, "curves": told})


async def find_events(request: Request) -> Response:
    """Events at thresholds; where there are too many, those of the highest score."""
    trial, given = find_trial(request), await read_json(request)
    return await run_in_threadpool(_answer_events, trial, given)


def _answer_events(trial: Trial, given: Mapping[str, Any]) -> Response:
    events = trial.find_events(trial.change_rules(_read_thresholds(given.get("thresholds", {}))))
    shown = events.nlargest(MOST_EVENTS, "peak").sort_index()
    return answer_json({"events": shown[list(_EVENT)].to_dict("records"), "total": len(events)})


def events_as_csv(request: Request) -> Response:
    """Events as ``hubbub export`` writes them, to keep."""
    trial = find_trial(request)
    text = format_events(trial.find_events(trial.change_rules(_read_query(request))))
    return _answer_file(text, f"{trial.sound.name}.{trial.model.name}.csv", "text/csv")


def result_as_json(request: Request) -> Response:
    """Scores, rules and events, to keep."""
    trial = find_trial(request)
    rules = trial.change_rules(_read_query(request))
    document = trial.model.document
    told = {
        "hubbub": __version__,
        "uri": trial.sound.name,
        "duration_s": trial.require_tables() and trial.row["duration_s"],
        "model": {"name": trial.model.name} | {name: document[name] for name in ("model_hash", "settings_hash")},
        "rules": {label: rule.to_dict() for label, rule in rules.items()},
        "scores": _list_scores(trial),
        "events": trial.find_events(rules)[list(_EVENT)].to_dict("records"),
    }
    text = json.dumps(make_plain(told), ensure_ascii=False, indent=2, allow_nan=False)
    return _answer_file(text + "\n", f"{trial.sound.name}.{trial.model.name}.json", "application/json")


def _read_query(request: Request) -> Mapping[str, Any]:
    try:
        return _read_thresholds(json.loads(request.query_params.get("thresholds", "{}")))
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"thresholds {request.query_params['thresholds'][:80]!r} cannot be read ({error}); "
            'expected JSON such as {"dog": 0.7}'
        ) from None


def _read_thresholds(given: Any) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise UsageError(f"thresholds {str(given)[:80]!r}: expected a score for each label to change")
    return given


def _answer_file(text: str, name: str, kind: str) -> Response:
    headers = {"content-disposition": f"attachment; filename*=utf-8''{quote(name)}", "cache-control": "no-store"}
    return Response(text, 200, headers, media_type=kind)


ROUTES = [
    Route("/api/try", describe_room),
    Route("/api/try/sounds", take_sound, methods=["POST"]),
    Route("/api/try/sounds/{key}", describe_sound),
    Route("/api/try/sounds/{key}/tile", tile),
    Route("/api/try/sounds/{key}/lines", lines),
    Route("/api/try/sounds/{key}/sound", hear),
    Route("/api/try/sounds/{key}/models/{model:int}/curves", curves),
    Route("/api/try/sounds/{key}/models/{model:int}/events", find_events, methods=["POST"]),
    Route("/api/try/sounds/{key}/models/{model:int}/events.csv", events_as_csv),
    Route("/api/try/sounds/{key}/models/{model:int}/result.json", result_as_json),
]


def make_try_app(room: TrialRoom) -> Starlette:
    """The application that tries models; they are loaded when it starts, and it removes what it was given."""

    @contextlib.asynccontextmanager
    async def open_room(app: Starlette) -> AsyncIterator[None]:
        room.start()
        yield
        room.close()  # here, for a server that is told to end by SIGTERM comes no further

    routes = [*page_routes({"/": "try.html"}), *ROUTES]
    handlers = ERRORS | {Exception: explain_fault}
    app = Starlette(routes=routes, lifespan=open_room, exception_handlers=handlers)
    app.state.room = room
    return app
