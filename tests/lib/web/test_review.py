"""Cards and verdicts over the server's own routes: dealt in order, kept at once, counted, and refused where wrong."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
import yaml

from hubbub.errors import UsageError
from hubbub.labels.references import Reference
from hubbub.labels.reviews.reading import current_verdicts, read_reviews
from hubbub.labels.reviews.schema import identify_events
from hubbub.labels.rule_files import read_rules
from hubbub.labels.suggestions.windows import ScoredWindows
from hubbub.labels.tables import LabelTables, open_labels
from hubbub.pipelines.events import find_events
from hubbub.web.browsed import BrowsedTables
from hubbub.web.cards import deal_cards
from hubbub.web.filters import Filter
from hubbub.web.server import make_app
from hubbub.web.windows import KEPT_A_UNIT, _keep_some, deal_windows
from tests.lib.web.page_server import running
from tests.lib.web.tables_to_browse import LABELS, make_file, make_tables, write_unit


@pytest.fixture
def tables(tmp_path: Path) -> LabelTables:
    return make_tables(tmp_path / "labels", files=11, units=4)


@pytest.fixture
def browsed(tables: LabelTables) -> BrowsedTables:
    opened = BrowsedTables(tables)
    opened.refresh()
    return opened


@pytest.fixture
def client(browsed: BrowsedTables) -> Iterator[httpx.Client]:
    with running(make_app([browsed])) as client:
        yield client


def say(card: dict, verdict: str, **more: object) -> dict:
    given = {name: card[name] for name in ("file", "clip_id", "onset_s", "offset_s")}
    return given | {"event_label": card["label"], "score": card["peak"], "verdict": verdict, "reviewer": "ada"} | more


def test_cards_come_in_the_order_that_was_asked_for(browsed, tables) -> None:
    events = tables.events()
    dog = events[events["label"] == "dog"].sort_values("peak")
    chosen = Filter(labels=("dog",))

    def peaks(order: str, **more) -> list[float]:
        return [card["peak"] for card in deal_cards(browsed.archive, chosen, order=order, count=200, **more)]

    assert peaks("best") == dog["peak"].tolist()[::-1]
    assert peaks("worst") == dog["peak"].tolist()
    assert sorted(peaks("random")) == dog["peak"].tolist()
    assert peaks("random", seed=1) != peaks("random", seed=2)
    assert peaks("random", seed=1) == peaks("random", seed=1)
    first = np.array(peaks("balanced"))[:6]
    ranges = (np.minimum(99, first * 100) // 5).astype(int)
    assert len(set(ranges)) == min(6, len(set((np.minimum(99, dog["peak"] * 100) // 5).astype(int))))


def test_every_card_names_its_event_as_reviews_do(browsed, tables) -> None:
    events = tables.events()
    expected = dict(zip(identify_events(events), events["onset_s"], strict=True))
    cards = deal_cards(browsed.archive, Filter(), order="best", count=200)
    assert {card["event"]: card["onset_s"] for card in cards} == expected


def test_an_order_that_is_none_is_refused(browsed) -> None:
    with pytest.raises(UsageError, match="did you mean 'best'"):
        deal_cards(browsed.archive, Filter(), order="beste", count=1)


def test_a_verdict_is_kept_and_its_event_not_dealt_again_to_the_same_reviewer(client, tables) -> None:
    first = client.get("/api/0/cards?order=best&count=3&reviewer=ada").json()["cards"]
    answer = client.post("/api/0/verdicts/add", json=say(first[0], "yes", label=first[0]["label"], source="best"))
    assert answer.json() == {"kept": True}
    kept = read_reviews(tables.path)
    assert kept[["event", "verdict", "label", "reviewer", "kind", "source"]].values.tolist() == [
        [first[0]["event"], "yes", first[0]["label"], "ada", "event", "best"]
    ]
    assert kept["uri"].iloc[0] == first[0]["uri"]
    again = client.get("/api/0/cards?order=best&count=2&reviewer=ada").json()["cards"]
    assert [card["event"] for card in again] == [card["event"] for card in first[1:]]
    other = client.get("/api/0/cards?order=best&count=1&reviewer=bo").json()["cards"]
    assert other[0]["event"] == first[0]["event"]
    skipped = client.get(f"/api/0/cards?order=best&count=1&reviewer=ada&skip={first[1]['event']}").json()["cards"]
    assert skipped[0]["event"] == first[2]["event"]


def test_a_verdict_taken_back_is_dealt_again(client, tables) -> None:
    (card,) = client.get("/api/0/cards?order=best&count=1&reviewer=ada").json()["cards"]
    client.post("/api/0/verdicts/add", json=say(card, "no", label="rain"))
    client.post("/api/0/verdicts/undo", json={"reviewer": "ada", "event": card["event"]})
    assert current_verdicts(read_reviews(tables.path)).empty
    (again,) = client.get("/api/0/cards?order=best&count=1&reviewer=ada").json()["cards"]
    assert again["event"] == card["event"]


def test_events_with_and_without_a_verdict_can_be_told_apart(client, browsed) -> None:
    cards = client.get("/api/0/cards?order=random&count=5").json()["cards"]
    for card in cards:
        client.post("/api/0/verdicts/add", json=say(card, "yes"))
    counts = {
        value: client.get("/api/0/summary", params={"filter": json.dumps({"reviewed": value})}).json()["events"][
            "events"
        ]
        for value in (True, False)
    }
    everything = client.get("/api/0/summary").json()["events"]["events"]
    assert counts == {True: 5, False: everything - 5}
    browsed._reviews_of = None
    browsed.refresh_reviews()  # read from the disk, they are the same
    params = {"filter": json.dumps({"reviewed": True})}
    assert client.get("/api/0/summary", params=params).json()["events"]["events"] == 5


def test_several_reviewers_and_what_they_agree_on(client, tables) -> None:
    cards = client.get("/api/0/cards?order=balanced&count=24&filter=" + json.dumps({"labels": ["dog"]})).json()["cards"]
    for number, card in enumerate(cards):
        for reviewer in ("ada", "bo"):
            is_right = card["peak"] > (0.7 if number % 8 else 0.5)
            client.post("/api/0/verdicts/add", json=say(card, "yes" if is_right else "no", reviewer=reviewer))
    told = client.get("/api/0/verdicts?precision=0.9").json()
    assert told["decisions"] == 2 * len(cards)
    assert [name for name, _ in told["reviewers"]] == ["ada", "bo"]
    (dog,) = told["labels"]
    assert dog["label"] == "dog"
    assert dog["right"] + dog["wrong"] == len(cards)
    assert (told["agreement"][0]["judged"], told["agreement"][0]["agreed"]) == (len(cards), len(cards))


def test_windows_are_dealt_from_low_scores_to_high_and_give_recall(client, tables) -> None:
    seen = []
    for _ in range(4):
        cards = client.get("/api/0/cards?kind=window&label=rain&count=20&reviewer=ada").json()["cards"]
        for card in cards:
            assert card["offset_s"] > card["onset_s"]
            present = bool(np.random.default_rng(int(card["event"], 16) % 2**32).random() < card["peak"])
            answer = client.post("/api/0/verdicts/add", json=say(card, "yes" if present else "no", kind="window"))
            assert answer.status_code == 200
        seen += cards
    assert len({card["event"] for card in seen}) == len(seen) == 80
    counts = pd.Series([int(card["peak"] * 10) for card in seen[:20]]).value_counts()
    assert counts.max() <= 3  # each tenth of the scores in turn
    (rain,) = client.get("/api/0/verdicts").json()["labels"]
    assert rain["recall"]["judged"] == 80
    assert 0.55 < rain["recall"]["value"] < 0.95  # scores are uniform, and as probable as they say: 0.75


def test_windows_of_clips_that_join_are_named_by_the_clip_that_they_are_of(tmp_path: Path) -> None:
    tables = make_tables(tmp_path / "labels", files=0, units=0)
    uri = {"uri": "long.wav", "duration_s": 10.0, "windows": 5}
    clips = [make_file(number, **uri, clip_start_s=10.0 * number, clip_end_s=10.0 * number + 10) for number in range(4)]
    write_unit(tables, 0, clips)
    write_unit(tables, 1, [make_file(9, **uri | {"duration_s": None}, status="failed", error="x", clip_start_s=40.0)])
    browsed = BrowsedTables(tables)
    browsed.refresh()
    sample = browsed.windows.get(wait=True)
    assert sample is not None
    cards = deal_windows(browsed.archive, sample, "dog", count=50, left_out=())
    assert len(cards) >= 15
    for card in cards:
        assert card["clip_id"] == f"{int(card['onset_s'] // 10):032x}"
    at_seam = [card for card in cards if card["onset_s"] in (10.0, 20.0, 30.0)]
    assert at_seam


def test_a_sample_that_cannot_be_made_is_told(client, browsed, monkeypatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("hubbub.web.windows.sample_windows", lambda archive: 1 / 0)
        answer = client.get("/api/0/cards?kind=window&label=dog")
        assert answer.status_code == 409
        assert "windows cannot be sampled" in answer.json()["error"]
    assert client.get("/api/0/cards?kind=window&label=dog").status_code == 200


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"verdict": "perhaps"}, "perhaps"),
        ({"file": "0" * 16}, "no recording"),
        ({"clip_id": "f" * 32}, "expected one of its own"),
        ({"onset_s": "early"}, "cannot be read"),
        ({"reviewer": ""}, "expected a name"),
        ({"reviewer": 5}, "expected a name"),
        ({"source": "chance"}, "chance"),
        ({"score": 10**400}, "cannot be read"),
        ({"onset_s": 1e300, "offset_s": 1e301}, "cannot be read"),
    ],
)
def test_what_is_no_verdict_is_refused_in_words_and_not_kept(changed, why, client, tables) -> None:
    (card,) = client.get("/api/0/cards?count=1").json()["cards"]
    answer = client.post("/api/0/verdicts/add", json=say(card, "yes") | changed)
    assert answer.status_code == 400
    assert why in answer.json()["error"]
    assert read_reviews(tables.path).empty


def test_a_request_that_is_no_json_or_too_long_is_refused(client) -> None:
    for body in (b"{", b"[1]", b" " * (2**20 + 1), b"[" * 200_000):
        answer = client.post("/api/0/verdicts/add", content=body)
        assert answer.status_code == 400
        assert answer.json()["error"]


def test_a_full_disk_keeps_no_verdict_and_says_so_until_there_is_room(full_disk: Path) -> None:
    tables = make_tables(full_disk / "labels", files=4, units=1)
    browsed = BrowsedTables(tables)
    browsed.refresh()
    with running(make_app([browsed])) as client:
        check_full_disk(client, tables, full_disk)


def check_full_disk(client: httpx.Client, tables: LabelTables, full_disk: Path) -> None:
    (card,) = client.get("/api/0/cards?count=1&reviewer=ada").json()["cards"]
    filler = full_disk / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    answer = client.post("/api/0/verdicts/add", json=say(card, "yes"))
    assert answer.status_code == 507
    assert "free some space" in answer.json()["error"]
    assert client.get("/api/0/cards?count=1&reviewer=ada").json()["cards"][0]["event"] == card["event"]
    filler.unlink()
    assert client.post("/api/0/verdicts/add", json=say(card, "yes")).status_code == 200
    assert len(read_reviews(tables.path)) == 1


def test_nothing_is_written_where_the_tables_were_removed(client, tables) -> None:
    (card,) = client.get("/api/0/cards?count=1").json()["cards"]
    assert client.post("/api/0/verdicts/add", json=say(card, "yes")).status_code == 200
    shutil.rmtree(tables.path)
    undone = {"reviewer": "ada", "event": card["event"]}
    posts = {"verdicts/add": say(card, "no"), "verdicts/undo": undone, "rules": {"thresholds": {"dog": 0.8}}}
    for path, given in posts.items():
        answer = client.post(f"/api/0/{path}", json=given)
        assert answer.status_code == 409
        assert "holds no label tables any more" in answer.json()["error"]
    assert not Path(str(tables.path)).exists()
    assert client.get("/api/0/summary").status_code == 200


def test_thresholds_are_saved_as_rules_that_events_takes(client, tables) -> None:
    answer = client.post("/api/0/rules", json={"thresholds": {"dog": 0.8, LABELS[2]: 0.6}}).json()
    path = Path(answer["path"])
    assert path.parent == Path(str(tables.path))
    assert set(yaml.safe_load(path.read_text())) == {"dog", LABELS[2]}
    saved = read_rules(path, tables.rules)
    assert (saved["dog"].threshold, saved["dog"].needed_peak, saved[LABELS[2]].needed_peak) == (0.5, 0.8, 0.6)
    find_events(tables, rules=path)
    kept = LabelTables(tables.path, open_labels(tables.path).run).events()
    assert kept[kept["label"] == "dog"]["peak"].min() >= np.float32(0.8)
    assert answer["command"].startswith("hubbub events ")
    assert "--rules" in answer["command"]


@pytest.mark.parametrize("thresholds", [{}, None, {"dgo": 0.5}, {"dog": 2.0}, {"dog": "high"}, {"dog": None}])
def test_thresholds_that_are_none_are_refused(thresholds, client, tables) -> None:
    answer = client.post("/api/0/rules", json={"thresholds": thresholds})
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert not (Path(str(tables.path)) / "rules.yaml").exists()


def test_a_few_windows_of_each_class_and_tenth_are_kept_of_a_unit() -> None:
    rng, count = np.random.default_rng(0), 300
    scores = rng.beta(0.4, 2, (count, 5)).astype(np.float32)
    scores[0, 0] = np.nan  # which counts as 0
    start_s = np.arange(count, dtype=float)
    windows = ScoredWindows(np.full(count, "a.wav", object), start_s, start_s + 1, scores, scores)
    kept = _keep_some(windows, rng)
    for row in kept.to_dict("records"):
        score = np.nan_to_num(scores[int(row["start_s"]), row["place"]])
        assert (row["score"], row["range"], row["end_s"]) == (score, min(9, int(score * 10)), row["start_s"] + 1)
    for (place, part), own in kept.groupby(["place", "range"]):
        all_of_it = np.clip((np.nan_to_num(scores[:, place]) * 10).astype(int), 0, 9) == part
        assert len(own) == own["start_s"].nunique() == min(KEPT_A_UNIT, all_of_it.sum())


def test_truth_of_a_segment_lies_where_the_recording_has_it(tmp_path: Path) -> None:
    tables = make_tables(tmp_path / "labels", files=0, units=0)
    segment = make_file(0, uri="long.wav", clip_start_s=3000.0, clip_end_s=3030.0)
    write_unit(tables, 0, [make_file(1, uri="long.wav"), segment])
    truth = pd.DataFrame([("long.wav", "dog", 3005.0, 3006.0)], columns=["uri", "label", "onset_s", "offset_s"])
    browsed = BrowsedTables(tables, reference=Reference(truth))
    browsed.refresh()
    assert browsed.truth is not None
    assert browsed.truth["onset_s"].tolist() == [3005.0]
    shown = browsed.truth
    browsed.refresh()
    assert browsed.truth is shown  # matched once, not every few seconds
    write_unit(tables, 1, [make_file(2)])
    browsed.refresh()
    assert browsed.truth is not shown
