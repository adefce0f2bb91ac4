"""Verdicts on events become thresholds, and a summary for the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hubbub
from hubbub.errors import UsageError
from hubbub.labels.reviews.journal import ReviewJournal
from hubbub.labels.reviews.logistic import LogisticFit
from hubbub.labels.reviews.schema import identify_events
from hubbub.labels.reviews.summary import summarise_reviews
from hubbub.labels.rule_files import write_rules
from hubbub.labels.tables import LabelTables, open_labels
from tests.data.reviews import fill_tables, judge, judge_row, make_tables
from tests.jobs.command import hubbub as run
from tests.jobs.command import succeed

STRANGE = "<b>größe</b>"


@pytest.fixture
def tables(tmp_path: Path) -> LabelTables:
    """400 events of dogs, the higher the more often right; 50 of rain; 10 of a strange label."""
    rng = np.random.default_rng(0)
    peaks = {"dog": rng.uniform(0.31, 1, 400), "rain": rng.uniform(0.4, 1, 50), STRANGE: rng.uniform(0.4, 1, 10)}
    return fill_tables(make_tables(tmp_path / "labels"), peaks)


def flat(said: str) -> str:
    """The text of a table without its frame and line breaks."""
    return " ".join(said.replace("│", " ").split())


def truth(tables: LabelTables) -> dict[str, bool]:
    """Which events of dogs are right, by the names of the events."""
    events = tables.events()
    right = np.random.default_rng(1).random(len(events)) < LogisticFit(-0.2, 1.3).predict(events["peak"])
    return dict(zip(identify_events(events), right.tolist(), strict=True))


def review(tables: LabelTables, count: int) -> None:
    """Judge some dogs, all strange labels wrong, and no rain."""
    events, right = tables.events(), truth(tables)
    dogs, strange = events[events["label"] == "dog"], events[events["label"] == STRANGE]
    with ReviewJournal(tables.path, "ada") as journal:
        for number, event in zip(dogs.index[:count], dogs.head(count).to_dict("records"), strict=True):
            is_right = right[identify_events(dogs.loc[[number]])[0]]
            journal.add(judge_row(event, "yes" if is_right else "no", **({} if is_right else {"label": "rain"})))
        for event in strange.to_dict("records"):
            journal.add(judge_row(event, "no"))


def test_thresholds_come_from_reviews(tables: LabelTables):
    review(tables, 150)
    before, right = tables.events(), truth(tables)
    said = succeed("events", tables.path, "--from-reviews", "--precision", "0.85")
    after = open_labels(tables.path)
    assert after.rules["dog"].needed_peak > 0.4
    assert f"→ {after.rules['dog'].needed_peak:g}" in said
    assert "150 events judged" in said
    assert "10 of the 20 events that are needed" in flat(said)
    assert "not reviewed" in said
    assert {name: after.rules[name] for name in ("rain", STRANGE)} == {
        name: tables.rules[name] for name in ("rain", STRANGE)
    }
    kept = after.events()
    # Kept events are the same ones, to the microsecond, so that verdicts on them still stand.
    assert set(identify_events(kept)) <= set(identify_events(before))
    dogs = kept[kept["label"] == "dog"]
    assert (dogs["peak"] >= after.rules["dog"].needed_peak).all()
    assert len(dogs) == ((before["label"] == "dog") & (before["peak"] >= after.rules["dog"].needed_peak)).sum()
    assert np.mean([right[name] for name in identify_events(dogs)]) == pytest.approx(0.85, abs=0.06)
    again = succeed("events", tables.path, "--from-reviews", "--precision", "0.85")
    assert "which reaches it" in flat(again)
    assert open_labels(tables.path).rules == after.rules


def test_rules_then_reviews_then_thresholds(tables: LabelTables, tmp_path: Path):
    review(tables, 150)
    rules = write_rules(tmp_path / "rules.yaml", {"dog": 0.35, "rain": 0.6, STRANGE: 0.9})
    found = hubbub.find_events(
        tables.path, rules=rules, from_reviews=True, precision=0.85, thresholds={STRANGE: 0.95}
    ).rules
    assert found["dog"].needed_peak > 0.4
    assert (found["rain"].threshold, found[STRANGE].threshold) == (0.6, 0.95)
    only = hubbub.find_events(tables.path, rules=str(rules))
    assert only.rules["dog"].needed_peak == 0.35
    assert only.events()["peak"].min() >= 0.35


def test_the_summary_tells_everything(tables: LabelTables):
    review(tables, 60)
    dog = tables.events().query("label == 'dog'").to_dict("records")
    rng = np.random.default_rng(4)
    with ReviewJournal(tables.path, "bo") as journal:
        for number, event in enumerate(dog[:30]):
            journal.add(judge_row(event, "unsure" if number % 3 else "yes"))
        for number in range(40):  # windows with the label more often the higher they score
            score = number / 40
            verdict = "yes" if rng.random() < score else "no"
            journal.add(judge(number, verdict, kind="window", clip_id="1" * 32, score=score, offset_s=number + 5.0))
    found = summarise_reviews(tables, precision=0.85)
    assert found == summarise_reviews(tables, precision=0.85)
    assert found.decisions == 60 + 10 + 30 + 40
    assert found.reviewers == (("ada", 70), ("bo", 70))
    first, strange = found.labels
    assert (first.label, strange.label) == ("dog", STRANGE)
    assert first.reviewed == 60 == first.right + first.wrong + first.unsure + first.tied
    assert first.others[0][0] == "rain"
    assert first.above is not None
    assert first.above.judged == first.right + first.wrong == sum(own.share.judged for own in first.ranges)
    assert first.recall is not None
    assert first.recall.judged == 40
    assert first.recall.value is not None
    assert 0 < first.recall.value <= 1
    assert (strange.wrong, strange.others, strange.recall) == (10, (), None)
    (pair,) = found.agreement
    assert (pair.first, pair.second, pair.judged) == ("ada", "bo", 10)
    assert summarise_reviews(tables).labels[0].threshold is None
    assert summarise_reviews(tables, precision=0.5).thresholds == {"dog": pytest.approx(0.3)}


def test_nothing_reviewed(tables: LabelTables):
    found = summarise_reviews(tables, precision=0.9)
    assert (found.decisions, found.reviewers, found.labels, found.agreement, found.thresholds) == (0, (), (), (), {})
    before = tables.events()
    with pytest.raises(UsageError, match="has no verdicts on events"):
        hubbub.find_events(tables, from_reviews=True, precision=0.9)
    assert open_labels(tables.path).events().equals(before)


def test_tables_without_events(tmp_path: Path):
    tables = make_tables(tmp_path / "labels")
    with ReviewJournal(tables.path, "ada") as journal:
        for number in range(30):
            journal.add(judge(number, "yes" if number % 2 else "no", score=0.3 + number / 50))
        journal.add(judge(0, event_label="gone"))  # of rules before
    found = summarise_reviews(tables, precision=0.9)
    assert [own.label for own in found.labels] == ["dog", "gone"]
    assert "no events" in str(found.labels[0].threshold)
    assert (found.labels[1].above, found.labels[1].threshold) == (None, None)
    said = succeed("events", tables.path, "--from-reviews", "--precision", 0.9)
    assert "no rule makes its events now" in flat(said)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--precision", 0.9), "say --from-reviews with it"),
        (("--from-reviews",), "say --precision 0.9"),
        (("--from-reviews", "--precision", 90), "expected a share of events above 0 and below 1"),
        (("--rules", "none.yaml"), "rule file none.yaml does not exist"),
    ],
)
def test_options_that_do_not_go_together(tables: LabelTables, words: tuple[object, ...], message: str):
    before = (tables.path / "run.json").read_bytes()
    done = run("events", tables.path, *words)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert (tables.path / "run.json").read_bytes() == before


def test_reviews_in_a_bucket_make_thresholds(s3: str):
    tables = make_tables(f"{s3}/labels")
    fill_tables(tables, {"dog": np.random.default_rng(0).uniform(0.31, 1, 60)}, files=1)
    tables = open_labels(tables.path)
    events = tables.events().to_dict("records")
    with ReviewJournal(tables.path, "ada") as journal:
        for event in events[:24]:
            journal.add(judge_row(event, "yes" if event["peak"] > 0.6 else "no"))
    after = hubbub.find_events(f"{s3}/labels", from_reviews=True, precision=0.9)
    assert 0.4 < after.rules["dog"].needed_peak < 0.65
