"""The journal loses no decision that it took: not to a kill, a full disk, a merge, or another session."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.clips import reviews as reviews_module
from hubbub.errors import LabelsError, StorageError, UsageError
from hubbub.io.paths import parse_path
from hubbub.labels.reviews import journal as journal_module
from hubbub.labels.reviews.journal import MERGE_EVERY, ReviewJournal
from hubbub.labels.reviews.reading import current_verdicts, list_parts, read_reviews
from hubbub.labels.reviews.schema import REVIEW_SCHEMA, Verdict, identify_event, identify_events
from tests.data.reviews import judge, make_tables
from tests.examples import count_examples


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    make_tables(tmp_path / "labels")
    return tmp_path / "labels"


def test_decisions_come_back_in_order(labels: Path):
    unicode = judge(1, "no", label="größe <script>", event_label="<b>größe</b>", uri="straße/猫.wav")
    with ReviewJournal(labels, "ada") as journal:
        for verdict in (judge(0), unicode, judge(2, "unsure", source="worst"), judge(0, "no")):
            journal.add(verdict)
            assert len(read_reviews(labels)) == len(journal)  # there when `add` returns
    reviews = read_reviews(labels)
    assert reviews.columns.tolist() == REVIEW_SCHEMA.names
    assert reviews["verdict"].tolist() == ["yes", "no", "unsure", "no"]
    assert reviews["label"].tolist() == ["dog", "größe <script>", None, None]
    assert reviews["number"].tolist() == [0, 1, 2, 3]
    assert reviews["at"].is_monotonic_increasing
    assert set(reviews["reviewer"]) == {"ada"}
    assert Verdict(**{name: reviews.loc[1, name] for name in Verdict.__dataclass_fields__}) == unicode
    assert current_verdicts(reviews)["verdict"].tolist() == ["no", "unsure", "no"]
    assert len(list_parts(labels)) == 1  # closing merges
    pa.Table.from_pandas(reviews, schema=REVIEW_SCHEMA)  # and what is read fits the columns


def test_tables_nobody_reviewed(labels: Path):
    reviews = read_reviews(str(labels))
    assert (len(reviews), reviews.columns.tolist(), list_parts(labels)) == (0, REVIEW_SCHEMA.names, [])
    assert len(current_verdicts(reviews)) == 0
    ReviewJournal(labels, "ada").close()
    assert not (labels / "reviews").exists()


def test_an_undone_verdict_is_none(labels: Path):
    with ReviewJournal(labels, "ada") as journal, ReviewJournal(labels, "bo") as other:
        journal.add(judge(0))
        journal.add(judge(0, "no"))
        other.add(judge(0))
        journal.undo(judge(0).event)
        assert current_verdicts(read_reviews(labels))["reviewer"].tolist() == ["bo"]
        with pytest.raises(UsageError, match="ada has no verdict on it"):
            journal.undo(judge(0).event)
        with pytest.raises(UsageError, match="ada has no verdict on it"):
            journal.undo(judge(7).event)
        journal.add(judge(0, "unsure"))
    with ReviewJournal(labels, "bo") as later, ReviewJournal(labels, "bo") as again:
        later.undo(judge(0).event)  # of another session
        again.add(judge(0))
        later.undo(judge(0).event)
    assert current_verdicts(read_reviews(labels))["verdict"].tolist() == ["unsure"]
    assert len(read_reviews(labels)) == 8  # nothing is taken away


def test_a_window_and_an_event_of_one_span_are_two(labels: Path):
    with ReviewJournal(labels, "ada") as journal:
        journal.add(judge(0, kind="window"))
        journal.add(judge(0, "no"))
    assert current_verdicts(read_reviews(labels))["kind"].tolist() == ["window", "event"]


def test_sessions_merge_and_never_meet(labels: Path):
    def review(reviewer: str) -> None:
        with ReviewJournal(labels, reviewer) as journal:
            for number in range(MERGE_EVERY + 3):
                journal.add(judge(number))
            assert sum(journal.session in name for name in list_parts(labels)) == 4

    threads = [threading.Thread(target=review, args=(f"reviewer {number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        reviews = read_reviews(labels)  # in the midst of merges
        for _, own in reviews.groupby("session"):
            assert own["number"].tolist() == list(range(len(own)))
    reviews = read_reviews(labels)
    assert len(reviews) == 3 * (MERGE_EVERY + 3)
    assert len(list_parts(labels)) == 3


def test_threads_share_a_journal(labels: Path):
    with ReviewJournal(labels, "ada") as journal:
        threads = [
            threading.Thread(target=lambda first=first: [journal.add(judge(first + n)) for n in range(20)])
            for first in (0, 100, 200, 300)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    reviews = read_reviews(labels)
    assert reviews["number"].tolist() == list(range(80))
    assert reviews["event"].nunique() == 80


def add_many(journal: ReviewJournal, count: int) -> None:
    for number in range(count):
        journal.add(judge(number))


CHILD = """
import sys
from hubbub.labels.reviews.journal import ReviewJournal
from tests.data.reviews import judge
journal = ReviewJournal(sys.argv[1], "ada")
for number in range(100_000):
    journal.add(judge(number))
    print(number, flush=True)
"""


@pytest.mark.parametrize("after", [1, MERGE_EVERY - 1, 2 * MERGE_EVERY + 5])
def test_a_kill_loses_no_decision(labels: Path, after: int):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    child = subprocess.Popen([sys.executable, "-c", CHILD, labels], stdout=subprocess.PIPE, text=True, env=environment)
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) >= after:
            child.send_signal(signal.SIGKILL)
            break
    said = [after, *map(int, child.stdout.read().split())][-1]
    assert child.wait() == -signal.SIGKILL
    child.stdout.close()
    reviews = read_reviews(labels)
    assert reviews["number"].tolist() == list(range(len(reviews)))
    assert len(reviews) in (said + 1, said + 2)  # the last may be there though nobody was told
    with ReviewJournal(labels, "ada") as journal:
        journal.add(judge(0, "no"))
    assert len(read_reviews(labels)) == len(reviews) + 1


@pytest.mark.parametrize("removed", [0, 1, MERGE_EVERY - 1])
def test_a_kill_while_parts_are_merged_doubles_nothing(labels: Path, monkeypatch: pytest.MonkeyPatch, removed: int):
    class Killed(BaseException):
        pass

    gone: list[Path] = []

    def remove(path: Path) -> None:
        if len(gone) == removed:
            raise Killed
        gone.append(path)
        path.unlink()

    monkeypatch.setattr(journal_module, "remove_file", remove)
    journal = ReviewJournal(labels, "ada")
    for number in range(MERGE_EVERY - 1):
        journal.add(judge(number))
    with pytest.raises(Killed):
        journal.add(judge(MERGE_EVERY - 1))
    assert len(list_parts(labels)) == 1 + MERGE_EVERY - removed
    assert read_reviews(labels)["number"].tolist() == list(range(MERGE_EVERY))


def test_a_listing_in_the_midst_of_a_merge_is_made_again(labels: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder that changes while it is listed may show neither the small parts nor the merged one."""
    with ReviewJournal(labels, "ada") as journal:
        add_many(journal, 2)
    listings = iter([[]])
    whole = list_parts(labels)
    monkeypatch.setattr(reviews_module, "list_parts", lambda path: next(listings, whole))
    assert len(read_reviews(labels)) == 2
    listings = iter([["0-00000000.parquet"]])  # gone when it is read
    assert len(read_reviews(labels)) == 2
    listings = iter([[f"{number}-0.parquet"] for number in range(100)])
    monkeypatch.setattr(reviews_module, "_PAUSE_S", 0)
    with pytest.raises(LabelsError, match="changes faster than it can be read"):
        read_reviews(labels)


Steps = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.sampled_from(["yes", "no", "unsure", "undo"])), max_size=25
)


@settings(max_examples=count_examples(15))
@given(Steps)
def test_what_counts_is_what_each_reviewer_said_last(steps: list[tuple[int, int, str]]):
    """Three sessions of two reviewers, against a dictionary."""
    with TemporaryDirectory() as folder:
        make_tables(Path(folder) / "labels")
        journals = [ReviewJournal(Path(folder) / "labels", name) for name in ("ada", "ada", "bo")]
        oracle: dict[tuple[str, str], str] = {}
        decisions = 0
        for who, number, word in steps:
            journal, event = journals[who], judge(number).event
            if word != "undo":
                journal.add(judge(number, word))
                oracle[journal.reviewer, event] = word
            elif (journal.reviewer, event) in oracle:
                journal.undo(event)
                oracle.pop((journal.reviewer, event))
            else:
                continue
            decisions += 1
        for journal in journals[: decisions % 4]:
            journal.close()
        reviews = read_reviews(Path(folder) / "labels")
        current = current_verdicts(reviews)
        assert len(reviews) == decisions
        assert dict(zip(zip(current["reviewer"], current["event"], strict=True), current["verdict"], strict=True)) == (
            oracle
        )


def test_a_full_disk_takes_nothing_and_loses_nothing(small_disk: Path):
    labels = small_disk / "labels"
    make_tables(labels)
    journal = ReviewJournal(labels, "ada")
    with pytest.raises(StorageError, match="free some space"):
        add_many(journal, 1000)
    held = len(journal)
    assert read_reviews(labels)["number"].tolist() == list(range(held))
    assert held > 2
    (labels / "reviews" / list_parts(labels)[0]).unlink()  # somebody makes room
    (labels / "run.json").unlink()
    journal.add(judge(held))
    numbers = read_reviews(labels)["number"].tolist()
    assert numbers[-1] == held
    assert len(numbers) == held


def test_a_full_disk_at_a_merge_keeps_the_decision(labels: Path, monkeypatch: pytest.MonkeyPatch):
    write, failing = journal_module.write_part, [True]

    def fail_to_merge(path: Path, name: str, rows: list[dict[str, object]]) -> None:
        if len(rows) > 1 and failing:
            raise StorageError(f"cannot write {path}: no space")
        write(path, name, rows)

    monkeypatch.setattr(journal_module, "write_part", fail_to_merge)
    with ReviewJournal(labels, "ada") as journal:
        for number in range(MERGE_EVERY + 1):
            journal.add(judge(number))
        assert len(list_parts(labels)) == MERGE_EVERY + 1
        failing.clear()
        journal.add(judge(500))
        assert len(list_parts(labels)) == 1
    assert len(read_reviews(labels)) == MERGE_EVERY + 2


def test_a_run_may_sweep_while_a_decision_is_written(labels: Path, monkeypatch: pytest.MonkeyPatch):
    write, swept = os.replace, [True]

    def sweep_first(source: Path, target: Path) -> None:
        if swept.pop() if swept else False:
            os.unlink(source)
        write(source, target)

    monkeypatch.setattr(os, "replace", sweep_first)
    ReviewJournal(labels, "ada").add(judge(0))
    assert not swept
    assert len(read_reviews(labels)) == 1


def test_torn_and_foreign_parts_are_named(labels: Path):
    with ReviewJournal(labels, "ada") as journal:
        journal.add(judge(0))
    part = labels / "reviews" / list_parts(labels)[0]
    (labels / "reviews" / ".DS_Store").touch()
    (labels / "reviews" / "notes.txt").touch()
    assert len(read_reviews(labels)) == 1
    whole = part.read_bytes()
    for torn in (b"", whole[:-20], whole[:100] + bytes([whole[100] ^ 255]) + whole[101:]):
        part.write_bytes(torn)
        with pytest.raises(LabelsError, match=part.name):
            read_reviews(labels)
    pq.write_table(pa.table({"event": ["a"]}), part)
    with pytest.raises(LabelsError, match="holds no reviews"):
        read_reviews(labels)


def test_journals_refuse(labels: Path, tmp_path: Path):
    with pytest.raises(LabelsError, match="holds no label tables"):
        ReviewJournal(tmp_path, "ada")
    with pytest.raises(UsageError, match="' ' is no name"):
        ReviewJournal(labels, " ")
    journal = ReviewJournal(labels, "ada")
    journal.close()
    with pytest.raises(UsageError, match="is closed"):
        journal.add(judge(0))


def test_reviews_in_a_bucket(s3: str):
    path = parse_path(f"{s3}/labels #1")
    make_tables(path)
    with ReviewJournal(path, "ada") as journal:
        for number in range(3):
            journal.add(judge(number))
        assert len(list_parts(path)) == 3
        assert read_reviews(path)["number"].tolist() == [0, 1, 2]
        journal.undo(judge(1).event)
    assert len(list_parts(path)) == 1
    assert len(current_verdicts(read_reviews(str(path)))) == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"verdict": "maybe"}, "verdict 'maybe' is none"),
        ({"kind": "clip"}, "kind 'clip'"),
        ({"source": "rand"}, "did you mean 'random'"),
        ({"label": "rain"}, "expected the label 'dog'"),
        ({"verdict": "no", "label": "dog"}, "expected another label"),
        ({"verdict": "no", "label": ""}, "expected another label"),
        ({"verdict": "unsure", "label": "dog"}, "expected the label None"),
        ({"uri": ""}, "uri '' of a verdict"),
        ({"score": float("nan")}, "score nan"),
        ({"score": 1.5}, "expected 0 to 1"),
        ({"onset_s": 9.0}, "expected an end after the start"),
        ({"offset_s": float("inf")}, "finite"),
        ({"event": "dog"}, "16 hex digits"),
        ({"event": "0" * 16}, "is not the one from"),
    ],
)
def test_verdicts_refuse(changed: dict[str, object], message: str):
    with pytest.raises(UsageError, match=message):
        judge(0, **changed)  # type: ignore[arg-type]


def test_events_are_named_alike_one_by_one_and_together():
    rng = np.random.default_rng(0)
    events = pd.DataFrame(
        {
            "clip_id": [f"{number:032x}" for number in rng.integers(0, 50, 500)],
            "label": rng.choice(["dog", "größe", "<script>", "a\0b"], 500),
            "onset_s": rng.uniform(0, 4000, 500),
        }
    )
    events["offset_s"] = events["onset_s"] + 0.1
    names = identify_events(events)
    assert names == [identify_event(*row) for row in events.itertuples(index=False)]
    assert len(set(names)) == 500
    assert identify_events(events.head(0)) == []
    assert identify_event("c", "dog", 0.1 + 0.2, 1.0) == identify_event("c", "dog", 0.3, 1.0)
    assert identify_event("c", "dog", 0.3, 1.0) != identify_event("c", "dog", 0.30001, 1.0)
    assert identify_event("c", "dog", 0.0, 5.0) == "053d7281e81dc151"  # for ever: reviews on disks have it
