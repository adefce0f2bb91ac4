"""``hubbub try`` by its requests: the events of ``hubbub label``, bounds, bad files, several models, nothing left."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("onnx")
pytest.importorskip("starlette")

import hubbub  # noqa: E402
from hubbub.errors import BundleError, UsageError  # noqa: E402
from hubbub.labels.tables import LabelTables  # noqa: E402
from hubbub.pipelines.try_sound import read_models, try_models  # noqa: E402
from hubbub.web.guard import Guard  # noqa: E402
from hubbub.web.routes_try import make_try_app  # noqa: E402
from hubbub.web.shelf import Shelf  # noqa: E402
from hubbub.web.trying import Trial, TrialRoom  # noqa: E402
from tests.data.networks import RATE, write_frames, write_windows  # noqa: E402

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what Starlette's client is built on
    from starlette.testclient import TestClient

LABELS = ["<script>alert(1)</script>", "rain", "siren=loud"]
MOST_BYTES = 2**20
NAME = "S1_20240501T120000Z.wav"
"""A name that tells when the recording began."""

EVENT = ["label", "onset_s", "offset_s", "peak", "mean", "onset_at"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One that scores frames and one that scores windows."""
    folder = tmp_path_factory.mktemp("models")
    rules = {"threshold": 0.7}
    return [
        write_frames(folder / "frames", labels=LABELS, events=rules),
        write_windows(folder / "windows", labels=LABELS, events=rules),
    ]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise that comes and goes, longer than a segment of the model of windows."""
    rng = np.random.default_rng(5)
    samples = rng.normal(0, 0.3, 30 * RATE) * np.repeat(rng.uniform(0, 1, 60), RATE // 2)
    path = tmp_path_factory.mktemp("recordings") / NAME
    soundfile.write(path, samples.clip(-1, 1).astype(np.float32), RATE, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def labelled(models: list[Path], recording: Path, tmp_path_factory: pytest.TempPathFactory) -> list[LabelTables]:
    """What ``hubbub label`` makes of it, with each model."""
    folder = tmp_path_factory.mktemp("labelled")
    return [
        hubbub.label(recording, model, folder / str(number), cluster="serial") for number, model in enumerate(models)
    ]


@pytest.fixture(scope="module")
def room(models: list[Path]) -> Iterator[TrialRoom]:
    with TrialRoom(read_models(models), most_bytes=MOST_BYTES) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(room: TrialRoom) -> Iterator[TestClient]:
    with TestClient(make_try_app(room)) as asked:
        yield asked


def give(client: TestClient, data: Any, name: str = NAME) -> str:
    answer = client.post("/api/try/sounds", params={"name": name}, content=data)
    assert answer.status_code == 201, answer.text
    return answer.json()["key"]


def wait_for(client: TestClient, key: str) -> dict[str, Any]:
    for _ in range(600):
        told = client.get(f"/api/try/sounds/{key}").json()
        if all(trial["state"] in ("done", "failed") for trial in told["trials"]):
            return told
        time.sleep(0.05)
    raise AssertionError(told)


@pytest.fixture(scope="module")
def key(client: TestClient, recording: Path) -> str:
    """The recording, given and scored."""
    given = give(client, recording.read_bytes())
    told = wait_for(client, given)
    assert [trial["error"] for trial in told["trials"]] == [None, None]
    return given


def rows_of(events: list[dict[str, Any]]) -> list[list[Any]]:
    return sorted([str(event[name]) if name == "onset_at" else event[name] for name in EVENT] for event in events)


def rows_in(tables: LabelTables) -> list[list[Any]]:
    events = tables.events()[EVENT].to_dict("records")
    return rows_of([event | {"onset_at": event["onset_at"].isoformat()} for event in events])


@pytest.mark.parametrize("model", [0, 1])
def test_events_are_those_of_label(client: TestClient, key: str, labelled: list[LabelTables], model: int) -> None:
    found = client.post(f"/api/try/sounds/{key}/models/{model}/events", json={}).json()
    expected = rows_in(labelled[model])
    assert len(expected) > 5
    assert rows_of(found["events"]) == expected  # to the last bit
    assert found["total"] == len(expected)


@pytest.mark.parametrize("model", [0, 1])
def test_a_file_of_events_is_that_of_export(
    client: TestClient, key: str, labelled: list[LabelTables], model: int, tmp_path: Path
) -> None:
    hubbub.export_events(labelled[model], tmp_path, format="csv")
    answer = client.get(f"/api/try/sounds/{key}/models/{model}/events.csv")
    assert answer.text == (tmp_path / "events.csv").read_text()
    assert NAME in answer.headers["content-disposition"]


@pytest.mark.parametrize("model", [0, 1])
def test_thresholds_find_the_events_that_the_command_finds(
    client: TestClient, key: str, labelled: list[LabelTables], model: int, tmp_path: Path
) -> None:
    shutil.copytree(str(labelled[model].path), tmp_path / "labels")
    moved = {LABELS[0]: 0.9, LABELS[2]: 0.55}
    expected = rows_in(hubbub.find_events(tmp_path / "labels", thresholds=moved))
    path = f"/api/try/sounds/{key}/models/{model}"
    found = client.post(f"{path}/events", json={"thresholds": moved}).json()["events"]
    assert rows_of(found) == expected != rows_in(labelled[model])
    kept = client.get(f"{path}/result.json", params={"thresholds": json.dumps(moved)}).json()
    assert rows_of(kept["events"]) == expected
    assert kept["rules"][LABELS[0]]["threshold"] == 0.9
    assert kept["model"]["model_hash"] == labelled[model].run["model_hash"]


def test_a_bundle_gives_the_events_of_label(tmp_path: Path, recording: Path) -> None:
    pytest.importorskip("keras")
    from tests.untrained import LABELS as SOUNDS
    from tests.untrained import write_untrained

    bundle = write_untrained(tmp_path / "bundle", thresholds=dict.fromkeys(SOUNDS, 0.3333))
    expected = rows_in(hubbub.label(recording, bundle, tmp_path / "labels", cluster="serial"))
    with TrialRoom(read_models([bundle]), most_bytes=MOST_BYTES) as room, TestClient(make_try_app(room)) as client:
        key = give(client, recording.read_bytes())
        assert wait_for(client, key)["trials"][0]["error"] is None
        found = client.post(f"/api/try/sounds/{key}/models/0/events", json={}).json()["events"]
        assert rows_of(found) == expected != []


def test_scores_and_curves_are_those_of_the_tables(
    client: TestClient, key: str, labelled: list[LabelTables], room: TrialRoom
) -> None:
    told = client.get(f"/api/try/sounds/{key}").json()
    for number, tables in enumerate(labelled):
        row = tables.files().iloc[0]
        expected = dict(zip(LABELS, map(float, row["peak_scores"]), strict=True))
        scores = told["trials"][number]["scores"]
        assert {one["label"]: one["peak"] for one in scores} == expected
        assert [one["peak"] for one in scores] == sorted(expected.values(), reverse=True)
        path = f"/api/try/sounds/{key}/models/{number}/curves"
        drawn = client.get(path, params={"start": 0, "end": 30, "columns": 7, "label": LABELS}).json()["curves"]
        for label in LABELS:
            assert max(drawn[label]) == pytest.approx(expected[label], abs=2e-3)


def test_it_can_be_seen_and_heard(client: TestClient, key: str, recording: Path) -> None:
    base = f"/api/try/sounds/{key}"
    told = client.get(base).json()
    assert (told["uri"], told["duration_s"], told["sample_rate"], told["problem"]) == (NAME, 30.0, RATE, None)
    assert client.get(f"{base}/tile", params={"level": 3, "number": 0}).content.startswith(b"\x89PNG")
    assert client.get(f"{base}/lines").json()[-1] == pytest.approx(RATE / 2)
    heard = client.get(f"{base}/sound", params={"start": 2, "length": 1}).content
    samples, rate = soundfile.read(io.BytesIO(heard))
    assert rate == RATE
    np.testing.assert_allclose(samples, soundfile.read(recording)[0][2 * RATE : 3 * RATE], atol=1e-4)


@pytest.mark.parametrize(
    ("path", "asked", "why"),
    [
        ("models/0/events", {"thresholds": {"cat": 0.5}}, "unknown label 'cat'"),
        ("models/0/events", {"thresholds": {"rain": 1.5}}, "threshold 1.5 is no score"),
        ("models/0/events", {"thresholds": {"rain": "much"}}, "expected a number above 0"),
        ("models/0/events", {"thresholds": [1]}, "expected a score for each label"),
        ("models/7/events", {}, "there is no model 7; expected 0 to 1"),
    ],
)
def test_what_is_asked_wrongly_is_refused(client: TestClient, key: str, path: str, asked: Any, why: str) -> None:
    answer = client.post(f"/api/try/sounds/{key}/{path}", json=asked)
    assert answer.status_code == 400
    assert why in answer.json()["error"]


def test_an_unreadable_file_has_the_reason_of_a_failed_row(
    client: TestClient, models: list[Path], room: TrialRoom, tmp_path: Path
) -> None:
    for name, data in (("broken.wav", b"no sound at all"), ("nothing.flac", b"")):
        (tmp_path / name).write_bytes(data)
        key = give(client, data, name)
        told = wait_for(client, key)
        for model, trial in zip(models, told["trials"], strict=True):
            out = tmp_path / name.partition(".")[0] / str(models.index(model))
            expected = hubbub.label(tmp_path / name, model, out, cluster="serial").files()["error"][0]
            assert expected.startswith("DecodeError: ")
            assert (trial["state"], trial["error"]) == ("failed", expected)
        assert name in told["problem"]
        assert "hubbub-try" not in json.dumps(told)
        refused = client.post(f"/api/try/sounds/{key}/models/0/events", json={})
        assert refused.status_code == 400
        assert "is failed with" in refused.json()["error"]


def test_too_much_is_refused_whether_it_is_announced_or_not(client: TestClient, room: TrialRoom) -> None:
    before = sorted(os.listdir(room.shelf.folder))
    whole = client.post("/api/try/sounds?name=big.wav", content=bytes(MOST_BYTES + 1))
    streamed = client.post("/api/try/sounds?name=big.wav", content=(bytes(2**16) for _ in range(100)))
    for answer in (whole, streamed):
        assert answer.status_code == 413
        assert answer.json()["error"] == "big.wav is larger than 1.04858 MB; hubbub try --max-size MB takes more"
    assert sorted(os.listdir(room.shelf.folder)) == before


@pytest.mark.parametrize(
    "name", ["../../outside.wav", "/tmp/outside.wav", "a\x00b.wav", "<b>ü</b>.wav", "", "x" * 5000]
)
def test_names_are_shown_and_no_paths(client: TestClient, room: TrialRoom, recording: Path, name: str) -> None:
    key = give(client, recording.read_bytes(), name)
    shown = wait_for(client, key)["uri"]
    assert shown == (name.replace("\x00", "\\x00")[:200] or "a recording")
    held = [path for path in room.shelf.folder.rglob("*") if path.is_file() and path.suffix == ""]
    assert all(path.name.startswith("sound-") and path.parent.parent == room.shelf.folder for path in held)
    assert not Path("/tmp/outside.wav").exists()


def test_a_client_that_goes_away_leaves_nothing(room: TrialRoom) -> None:
    said: list[dict[str, Any]] = []
    parts = iter([{"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> dict[str, Any]:
        return next(parts)

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    scope = {"type": "http", "method": "POST", "path": "/api/try/sounds", "query_string": b"", "headers": []}
    before = sorted(os.listdir(room.shelf.folder))
    asyncio.run(make_try_app(room)(scope, receive, send))
    assert said[0]["status"] == 400  # and no traceback in the terminal
    assert sorted(os.listdir(room.shelf.folder)) == before
    assert room.shelf.list_held()


def test_the_oldest_fall_out_and_all_is_removed_at_the_end(models: list[Path], recording: Path) -> None:
    with TrialRoom(read_models(models[:1]), most_bytes=MOST_BYTES, most_sounds=2) as room:
        with TestClient(make_try_app(room)) as client:
            first, second = (give(client, recording.read_bytes(), name) for name in ("first.wav", "second.wav"))
            wait_for(client, first), wait_for(client, second)
            client.get(f"/api/try/sounds/{first}")  # looked at last
            third = give(client, recording.read_bytes(), "third.wav")
            wait_for(client, third)
            assert len(os.listdir(room.shelf.folder)) == 2
            gone = client.get(f"/api/try/sounds/{second}")
            assert gone.status_code == 400
            assert "the last 2 are kept" in gone.json()["error"]
            client.get(f"/api/try/sounds/{first}")  # which changes who goes next, and no order on the page
            assert [sound["key"] for sound in client.get("/api/try").json()["sounds"]] == [first, third]
        assert not room.shelf.folder.exists()  # when the server ends, whatever comes after


def test_one_recording_at_a_time_and_what_is_busy_stays(
    models: list[Path], recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, at_once = threading.Event(), []
    label = Trial._label

    def label_later(trial: Trial, stop: threading.Event) -> dict[str, Any]:
        at_once.append(trial.sound.name)
        gate.wait(30)
        return label(trial, stop)

    monkeypatch.setattr(Trial, "_label", label_later)
    with TrialRoom(read_models(models[:1]), most_bytes=MOST_BYTES, most_sounds=2) as room:
        with TestClient(make_try_app(room)) as client:
            first, second = (give(client, recording.read_bytes(), name) for name in ("first.wav", "second.wav"))
            while not at_once:
                time.sleep(0.01)
            states = [client.get(f"/api/try/sounds/{key}").json()["trials"][0]["state"] for key in (first, second)]
            assert (states, at_once) == (["scoring", "waiting"], ["first.wav"])
            refused = client.post("/api/try/sounds?name=third.wav", content=b"x")
            assert refused.status_code == 400
            assert "2 recordings wait to be scored" in refused.json()["error"]
            gate.set()
            assert [wait_for(client, key)["trials"][0]["state"] for key in (first, second)] == ["done", "done"]
            give(client, recording.read_bytes(), "third.wav")


def test_a_model_that_cannot_be_loaded_is_told(tmp_path: Path, models: list[Path], recording: Path) -> None:
    broken = write_windows(tmp_path / "broken", labels=LABELS)
    warned: list[str] = []
    room = TrialRoom(read_models([broken, models[0]]), most_bytes=MOST_BYTES, warn=warned.append)
    (tmp_path / "broken" / "net.onnx").write_bytes(b"no network")  # after it was looked at
    with room, TestClient(make_try_app(room)) as client:
        told = wait_for(client, give(client, recording.read_bytes()))
        assert [trial["state"] for trial in told["trials"]] == ["failed", "done"]
        assert told["trials"][0]["error"].startswith("the model cannot be used: ")
        state = client.get("/api/try").json()["models"][0]
        assert (state["state"], state["name"]) == ("failed", str(broken))  # both are called model.yaml
    assert len(warned) == 1
    assert "net.onnx" in warned[0]


def test_only_who_has_the_token_may_give_and_ask(room: TrialRoom, recording: Path) -> None:
    guarded = Guard(make_try_app(room), port=8765, token="secret")
    client = TestClient(guarded, base_url="http://127.0.0.1:8765", follow_redirects=False)
    own = {"origin": "http://127.0.0.1:8765"}
    kept = len(room.shelf.list_held())
    assert client.get("/api/try").status_code == 403
    assert client.post("/api/try/sounds", content=b"x", headers=own).status_code == 403
    assert client.get("/?token=wrong").status_code == 403
    assert client.get("/?token=secret").status_code == 303  # with a cookie
    page = client.get("/")
    assert "try.js" in page.text
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert client.get("/api/try").status_code == 200
    for other in ({}, {"origin": "http://elsewhere.example"}):
        assert client.post("/api/try/sounds", content=b"x", headers=other).status_code == 403
    assert len(room.shelf.list_held()) == kept
    taken = client.post("/api/try/sounds?name=x", content=recording.read_bytes(), headers=own)
    assert taken.status_code == 201


def test_models_that_cannot_be_tried_are_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.tone_model import write_tone_model

    with pytest.raises(BundleError, match="is no model bundle; make one with"):
        try_models(tmp_path / "nowhere")
    with pytest.raises(BundleError, match="gives embeddings and no scores"):
        try_models(write_tone_model(tmp_path / "tones"))
    with pytest.raises(UsageError, match=r"models \[\]: expected one model bundle"):
        try_models([])
    with pytest.raises(UsageError, match="--max-size 0: expected megabytes"):
        try_models(tmp_path, max_size_mb=0)
    monkeypatch.setattr("hubbub.pipelines.page_server.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"hubbub try needs starlette, .* pip install 'hubbub\[web\]'"):
        try_models(tmp_path)


def test_a_shelf_counts_what_is_on_its_way() -> None:
    class Still:
        is_busy = False

    shelf: Shelf[Still] = Shelf(2)
    slots = [shelf.open_slot(), shelf.open_slot()]
    with pytest.raises(UsageError, match="2 recordings wait"):
        shelf.open_slot()
    shelf.discard(slots[0])
    shelf.put(slots[1], Still())
    shelf.put(shelf.open_slot(), Still())
    shelf.open_slot()
    assert slots[1].key not in [key for key in shelf._held]
    assert not slots[1].folder.exists()
    shelf.close()
    assert not shelf.folder.exists()
