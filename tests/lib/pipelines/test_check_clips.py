"""The check of a data set finds what would make training wrong, says how often, and names it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import soundfile
from distributed import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.clips.table import clip_id, content_version, make_table, write_table
from hubbub.errors import ClipTableError, RunStopped, UsageError
from hubbub.io.paths import parse_path
from hubbub.pipelines.check_clips import ClipCheck, check_clips
from hubbub.pipelines.index import index
from hubbub.pipelines.label_bars import MAX_BARS, draw_label_bars
from hubbub.pipelines.reporting import Reporter
from hubbub.tasks.check import FACT_SCHEMA, CheckItem, CheckTask, CheckUnit, group_recordings
from hubbub.tasks.result import UnitResult
from tests.chaos.poison_clips import poisoned_environment
from tests.examples import count_examples

RATE = 8000


def noise(seed: int = 0, duration_s: float = 1.0, channels: int = 1) -> npt.NDArray[np.float32]:
    """Noise in steps of 16 bits, so that every lossless file holds the same samples."""
    values = np.random.default_rng(seed).integers(-9000, 9000, (round(duration_s * RATE), channels))
    return (values / 32768).astype(np.float32)


def write(path: Path, samples: npt.ArrayLike, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, options.pop("rate", RATE), **options)


def clip(uri: str, **columns: Any) -> dict[str, Any]:
    """One row of a clip table, a dog on its own in fold 1 unless said otherwise."""
    start_s, end_s = columns.get("start_s"), columns.get("end_s")
    return {"clip_id": clip_id(uri, start_s, end_s), "uri": uri, "labels": ["dog"], "fold": 1} | columns


def check(folder: Path, clips: list[dict[str, Any]], **options: Any) -> ClipCheck:
    done = check_clips(make_table(clips, folder), **({"cluster": "serial"} | options))
    assert done is not None
    return done


def kinds(check: ClipCheck) -> tuple[dict[str, int], dict[str, int]]:
    """Kinds and counts of problems, and of warnings."""
    return {one.kind: one.count for one in check.problems}, {one.kind: one.count for one in check.warnings}


@pytest.fixture
def good(tmp_path: Path) -> list[dict[str, Any]]:
    """A table with nothing wrong: two labels, two folds, two clips of each in each fold."""
    clips = []
    for number in range(8):
        write(tmp_path / f"{number}.wav", noise(number))
        clips.append(clip(f"{number}.wav", labels=["dog" if number % 2 else "cat"], fold=1 + number // 4))
    return clips


def test_a_good_set_has_neither_problems_nor_warnings(good: list[dict[str, Any]], tmp_path: Path) -> None:
    done = check(tmp_path, good)
    assert (kinds(done), done.notes, done.is_ok) == (({}, {}), (), True)
    assert done.facts["uri"].to_pylist() == [clip["uri"] for clip in good]
    assert done.facts.schema == FACT_SCHEMA
    assert set(done.facts["status"].to_pylist()) == {"ok"}
    assert set(done.facts["duration_s"].to_pylist()) == {1.0}
    assert repr(done) == "<ClipCheck: 8 recordings, 0 problems, 0 warnings>"


def truncate(path: Path, share: float) -> None:
    with open(path, "rb+") as file:
        file.truncate(round(path.stat().st_size * share))


def wav_with_length(path: Path, length: int) -> None:
    """Write another length of the samples into a WAV of soundfile, whose header has 44 bytes."""
    data = bytearray(path.read_bytes())
    assert data[36:40] == b"data"
    data[40:44] = length.to_bytes(4, "little")
    path.write_bytes(data)


def write_float(path: Path, value: float) -> None:
    samples = noise(90)
    samples[100] = value
    write(path, samples, subtype="FLOAT")


BROKEN: tuple[tuple[str, Callable[[Path], Any], set[str], set[str]], ...] = (
    ("a missing file", lambda path: path.unlink(), {"missing"}, set()),
    ("text", lambda path: path.write_text("this is no audio"), {"failed"}, set()),
    ("no bytes", lambda path: path.write_bytes(b""), {"failed"}, set()),
    ("no samples", lambda path: write(path, noise()[:0]), {"failed"}, set()),
    ("a folder", lambda path: (path.unlink(), path.mkdir()), {"failed"}, set()),
    ("half a WAV", lambda path: truncate(path, 0.5), {"breaks_off"}, set()),
    ("half a FLAC", lambda path: (write(path, noise(91), format="FLAC"), truncate(path, 0.5)), {"failed"}, set()),
    ("a WAV of a recorder that lost power", lambda path: wav_with_length(path, 0), set(), set()),
    ("a WAV written to a pipe", lambda path: wav_with_length(path, 0xFFFFFFFF), set(), set()),
    ("a NaN", lambda path: write_float(path, np.nan), {"bad_samples"}, set()),
    ("an infinite sample", lambda path: write_float(path, np.inf), {"bad_samples"}, set()),
    ("an absurd sample", lambda path: write_float(path, 1e20), {"bad_samples"}, set()),
    ("digital silence", lambda path: write(path, np.zeros(RATE)), set(), {"silent"}),
    ("below -60 dBFS", lambda path: write(path, noise() * 0.002), set(), {"silent"}),
    ("just above -60 dBFS", lambda path: write(path, noise() * 0.008), set(), set()),
    ("a constant", lambda path: write(path, np.full(RATE, 0.02)), set(), {"silent"}),
    ("clipped", lambda path: write(path, np.clip(noise() * 5, -1, 1)), set(), {"clipped"}),
    ("80 ms", lambda path: write(path, noise(92, 0.08)), set(), {"short"}),
    ("100 ms", lambda path: write(path, noise(92, 0.1)), set(), set()),
    ("offset", lambda path: write(path, noise(93) + 0.1), set(), {"offset"}),
)


@pytest.mark.parametrize(("make", "problems", "warnings"), [case[1:] for case in BROKEN], ids=[c[0] for c in BROKEN])
def test_what_recordings_are_like(
    make: Callable[[Path], Any], problems: set[str], warnings: set[str], good: list[dict[str, Any]], tmp_path: Path
) -> None:
    make(tmp_path / "3.wav")
    done = check(tmp_path, good)
    assert kinds(done) == (dict.fromkeys(problems, 1), dict.fromkeys(warnings, 1))
    for one in (*done.problems, *done.warnings):
        assert one.names[0].startswith("3.wav")
        assert one.advice
        assert str(one).startswith("1 recording ")
    assert done.is_ok != bool(problems)
    assert len(done.facts) == 8  # nothing is lost


def test_reasons_are_said(good: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "3.wav").write_text("this is no audio")
    assert "DecodeError: 3.wav is not audio that can be decoded" in str(check(tmp_path, good).problems[0])


def test_a_file_of_another_version_is_changed(good: list[dict[str, Any]], tmp_path: Path) -> None:
    version = content_version((tmp_path / "3.wav").stat())
    assert kinds(check(tmp_path, [*good[:3], good[3] | {"version": version}, *good[4:]])) == ({}, {})
    write(tmp_path / "3.wav", noise(95))
    assert kinds(check(tmp_path, [*good[:3], good[3] | {"version": version}, *good[4:]])) == ({"changed": 1}, {})


COPIES: tuple[tuple[str, dict[str, Any], dict[str, Any], set[str], set[str]], ...] = (
    ("one side", {}, {}, set(), {"copies"}),
    ("other labels", {}, {"labels": ["cat"]}, {"copies_with_labels"}, set()),
    ("one without labels", {}, {"labels": []}, set(), {"copies", "unlabelled"}),
    ("the same labels in another order", {"labels": ["a", "b"]}, {"labels": ["b", "a"]}, set(), {"copies"}),
    ("other folds", {}, {"fold": 2}, {"copies_across_folds"}, set()),
    (
        "other folds and labels",
        {},
        {"fold": 2, "labels": ["cat"]},
        {"copies_across_folds", "copies_with_labels"},
        set(),
    ),
    ("other groups", {"group": "a"}, {"group": "b"}, {"copies_across_groups"}, set()),
    ("other folds and groups", {"group": "a"}, {"group": "b", "fold": 2}, {"copies_across_folds"}, set()),
    ("the same group", {"group": "a"}, {"group": "a"}, set(), {"copies"}),
    ("the same group in other folds", {"group": "a"}, {"group": "a", "fold": 2}, {"copies_across_folds"}, set()),
)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
@pytest.mark.parametrize(("one", "other", "problems", "warnings"), [c[1:] for c in COPIES], ids=[c[0] for c in COPIES])
def test_copies_under_other_names(
    one: dict[str, Any],
    other: dict[str, Any],
    problems: set[str],
    warnings: set[str],
    suffix: str,
    good: list[dict[str, Any]],
    tmp_path: Path,
) -> None:
    write(tmp_path / "a.wav", noise(80), subtype="PCM_24")
    write(tmp_path / f"b.{suffix}", noise(80), subtype="PCM_24")
    done = check(tmp_path, [*good, clip("a.wav", **one), clip(f"b.{suffix}", **other)])
    found = kinds(done)
    assert {kind for kind in found[0] if kind.startswith("copies")} == problems
    assert {kind for kind in found[1] if kind in ("copies", "unlabelled")} == warnings
    said = next(o for o in (*done.problems, *done.warnings) if o.kind.startswith("copies"))
    assert said.names == (f"a.wav = b.{suffix}" + (" (in different files)" if suffix == "flac" else ""),)


@pytest.mark.parametrize(
    ("columns", "problems", "warnings", "why"),
    [
        ({"fold": None}, {"copies_across_groups"}, set(), "a drawn split may part them"),
        ({"fold": None, "group": "a"}, set(), {"copies"}, "a drawn split keeps a group together"),
        ({"fold": None, "split": "train"}, set(), {"copies"}, "both train"),
    ],
)
def test_copies_where_no_fold_is_given(
    columns: dict[str, Any], problems: set[str], warnings: set[str], why: str, tmp_path: Path
) -> None:
    for name in ("a.wav", "b.wav"):
        write(tmp_path / name, noise(80))
    found = kinds(check(tmp_path, [clip(name, **columns) for name in ("a.wav", "b.wav")]))
    assert (set(found[0]), set(found[1]) & {"copies"}) == (problems, warnings), why


def test_silence_and_other_rates_are_no_copies(tmp_path: Path) -> None:
    for name, samples, rate in (
        ("a.wav", np.zeros(RATE), RATE),
        ("b.wav", np.zeros(RATE), RATE),
        ("c.wav", noise(), RATE),
        ("d.wav", noise(), 2 * RATE),
        ("e.wav", noise()[:-1], RATE),
        ("f.wav", noise(channels=2).reshape(-1, 2)[: RATE // 2], RATE),
    ):
        write(tmp_path / name, samples, rate=rate)
    done = check(tmp_path, [clip(f"{name}.wav") for name in "abcdef"])
    assert not [one for one in (*done.problems, *done.warnings) if one.kind.startswith("copies")]
    assert {one.kind: one.count for one in done.notes} == {"mixed_sample_rate": 2, "mixed_channels": 2}
    assert done.notes[0].names == ("8000 Hz in 5", "16000 Hz in 1")


def test_many_copies_are_one_set(tmp_path: Path) -> None:
    for number in range(7):
        write(tmp_path / f"{number}.wav", noise())
    done = check(tmp_path, [clip(f"{number}.wav") for number in range(7)])
    assert [str(one) for one in done.warnings if one.kind == "copies"] == [
        "1 set of recordings with the same samples that count twice: 0.wav = 1.wav = 2.wav and 4 more; "
        "delete all but one"
    ]


ROWS: tuple[tuple[str, list[dict[str, Any]], set[str], set[str]], ...] = (
    ("two segments", [{"end_s": 0.5}, {"start_s": 0.5}], set(), set()),
    ("one recording in two folds", [{"end_s": 0.5}, {"start_s": 0.5, "fold": 2}], {"recording_in_folds"}, set()),
    (
        "one group in two folds",
        [{"end_s": 0.5, "group": "a"}, {"start_s": 0.5, "group": "a", "fold": 2}],
        {"group_in_folds"},
        set(),
    ),
    (
        "one recording in two splits",
        [{"end_s": 0.5, "split": "train"}, {"start_s": 0.5, "split": "test"}],
        {"recording_in_splits", "without_split"},
        set(),
    ),
    (
        "one recording in two groups",
        [{"end_s": 0.5, "group": "a"}, {"start_s": 0.5, "group": "b"}],
        {"recording_in_groups"},
        set(),
    ),
    ("beyond the end", [{"start_s": 1.0, "end_s": 2.0}], {"beyond_end"}, set()),
    ("beyond the end, to the end", [{"start_s": 1.5}], {"beyond_end"}, set()),
    ("over the end", [{"start_s": 0.5, "end_s": 1.5}], set(), {"over_end"}),
    ("a little over the end", [{"start_s": 0.5, "end_s": 1.05}], set(), set()),
    ("the same stretch twice", [{}, {"start_s": 0.0}], set(), {"doubled_rows"}),
    (
        "the same stretch, to its end and open",
        [{"start_s": 0.5}, {"start_s": 0.5, "end_s": 1.0}],
        set(),
        {"doubled_rows"},
    ),
    ("labelled otherwise", [{}, {"start_s": 0.0, "labels": ["cat"]}], {"contradicting_rows"}, set()),
    ("overlapping", [{"end_s": 0.6}, {"start_s": 0.5}], set(), {"overlapping"}),
    ("overlapping with other labels", [{"end_s": 0.6}, {"start_s": 0.5, "labels": ["cat"]}], set(), set()),
    (
        "overlapping events",
        [{"end_s": 0.6, "is_event": True}, {"start_s": 0.5, "is_event": True}],
        set(),
        set(),
    ),
    ("indexed with another length", [{"duration_s": 3.0}], {"other_length"}, set()),
    ("no fold", [{"fold": None}], {"without_fold"}, set()),
    ("no fold and no label", [{"fold": None, "labels": []}], set(), {"unlabelled"}),
    ("an unknown split", [{"split": "dev"}], {"without_split", "unknown_split"}, set()),
    ("two spellings", [{"labels": ["Dog"]}], {"spellings"}, {"single_clip"}),
    ("blanks", [{"labels": ["dog "]}], {"spellings"}, {"single_clip"}),
    ("hyphens", [{"labels": ["dog-"]}], {"spellings"}, {"single_clip"}),
    ("a label of its own", [{"labels": ["owl"]}], set(), {"single_clip"}),
    (
        "a label in one fold",
        [{"labels": ["owl"], "end_s": 0.5}, {"labels": ["owl"], "start_s": 0.5}],
        set(),
        {"one_fold"},
    ),
    ("one label in three folds", [{"fold": 3}], set(), set()),
)


@pytest.mark.parametrize(("rows", "problems", "warnings"), [case[1:] for case in ROWS], ids=[case[0] for case in ROWS])
def test_what_rows_say(
    rows: list[dict[str, Any]], problems: set[str], warnings: set[str], good: list[dict[str, Any]], tmp_path: Path
) -> None:
    write(tmp_path / "new.wav", noise(70))
    done = check(tmp_path, [*good, *(clip("new.wav", **row) for row in rows)])
    assert (set(kinds(done)[0]), set(kinds(done)[1])) == (problems, warnings)


def test_every_clip_that_begins_before_an_earlier_one_ends_overlaps(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", noise(70))
    segments = [(0.0, 0.9), (0.1, 0.2), (0.5, 0.6), (0.9, 1.0)]
    done = check(tmp_path, [clip("a.wav", start_s=start_s, end_s=end_s) for start_s, end_s in segments])
    said = next(one for one in done.warnings if one.kind == "overlapping")
    assert said.names == ("a.wav from 0.1 s to 0.2 s of 1.000 s", "a.wav from 0.5 s to 0.6 s of 1.000 s")


def test_labels_with_fewer_clips_than_folds(tmp_path: Path) -> None:
    clips = []
    for number in range(8):
        write(tmp_path / f"{number}.wav", noise(number))
        clips.append(clip(f"{number}.wav", labels=["owl" if number < 2 else "dog"], fold=number % 4))
    done = check(tmp_path, clips)
    assert [str(one) for one in done.warnings] == [
        "1 label with fewer clips than the 4 folds: owl; some folds do not test them"
    ]


def test_one_label_cannot_be_trained_and_no_label_is_an_archive(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", noise(1))
    write(tmp_path / "b.wav", noise(2))
    assert "one_label" in kinds(check(tmp_path, [clip("a.wav"), clip("b.wav")]))[1]
    assert kinds(check(tmp_path, [clip("a.wav", labels=[]), clip("b.wav", labels=[])])) == ({}, {})


def test_the_hint_for_spellings(good: list[dict[str, Any]], tmp_path: Path) -> None:
    write(tmp_path / "new.wav", noise(70))
    done = check(tmp_path, [*good, clip("new.wav", labels=["Dog"])])
    assert str(done.problems[0]) == (
        "1 set of labels that differ in case, blanks, hyphens or underscores only, and count as different labels: "
        "'Dog' (1) and 'dog' (4); rename them, or index with --normalise-labels"
    )


class Heard(Reporter):
    """Keeps what a person would see."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.tables: dict[str, Mapping[str, Any]] = {}

    def say(self, text: str) -> None:
        self.lines.append(text)

    warn = say

    def show_table(self, title: str, rows: Mapping[str, Any]) -> None:
        self.tables[title] = rows


def test_the_report(good: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "3.wav").unlink()
    heard, log = Heard(), tmp_path / "log.jsonl"
    check(tmp_path, good, reporter=heard, log_json=log)
    assert "cat  4  " + "█" * 30 in heard.lines
    assert any(re.match(r"problem: 1 recording not there: 3\.wav; ", line) for line in heard.lines)
    assert heard.tables["check: training would be wrong"]["problems"] == 1
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [e["count"] for e in events if e.get("kind") == "missing"] == [1]


def test_many_problems_are_counted_and_few_are_named(tmp_path: Path) -> None:
    done = check(tmp_path, [clip(f"{number}.wav") for number in range(2000)])
    assert str(done.problems[0]).startswith("2000 recordings not there: 0.wav, 1.wav, 2.wav, 3.wav, 4.wav, …; ")
    assert len(str(done.problems[0])) < 300


@settings(max_examples=count_examples(40))
@given(st.dictionaries(st.text(max_size=60), st.integers(1, 10**6), max_size=60))
def test_bars_are_few_sorted_and_never_empty(counts: dict[str, int]) -> None:
    lines = list(draw_label_bars(pd.Series(counts, dtype="int64")))
    assert len(lines) == min(len(counts), MAX_BARS) + (len(counts) > MAX_BARS)
    bars = [line for line in lines if not line.startswith("… and")]
    lengths = [len(re.sub(r"[^█▏▎▍▌▋▊▉]", "", line.rpartition("  ")[2])) for line in bars[:MAX_BARS]]
    assert lengths == sorted(lengths, reverse=True)
    assert all(1 <= length <= 30 for length in lengths)
    assert all("\n" not in line and "\x1b" not in line for line in lines)


def test_a_hundred_thousand_labels_are_a_screen(tmp_path: Path) -> None:
    lines = list(draw_label_bars(pd.Series(1, index=[f"label {number}" for number in range(100_000)])))
    assert len(lines) == 21
    assert lines[-1] == "… and 99980 more labels with 1 clip each"


@pytest.mark.slow
def test_engines_agree(esc10_mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubbub.tasks.check.RECORDINGS_A_UNIT", 7)  # so that there are several units
    table = index(esc10_mini / "esc10.csv").table
    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        parallel = check_clips(table, client=client)
    serial = check_clips(table, cluster="serial")
    assert serial is not None
    assert parallel is not None
    assert parallel.facts.equals(serial.facts)
    assert [str(one) for one in parallel.warnings] == [str(one) for one in serial.warnings]
    assert len(serial.facts) == 100
    assert serial.is_ok


KILLER = """
from hubbub.pipelines.check_clips import check_clips
import sys
if __name__ == "__main__":
    done = check_clips(sys.argv[1], cluster="local", workers=2)
    for one in done.problems:
        print(one.kind, one.count, *one.names)
    print(done.facts["status"].to_pylist().count("ok"), "ok")
"""


def test_a_file_that_kills_its_worker_is_a_finding(tmp_path: Path, good: list[dict[str, Any]]) -> None:
    write_table(make_table(good, tmp_path), tmp_path / "clips.parquet")
    (tmp_path / "killer.py").write_text(KILLER)
    environment = poisoned_environment(tmp_path / "poison", {"3.wav": "segfault"})
    done = subprocess.run(
        [sys.executable, tmp_path / "killer.py", tmp_path / "clips.parquet"],
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.match(r"failed 1 3\.wav \(WorkerDied: .*SIGSEGV.*\)\n7 ok\n$", done.stdout), done.stdout


def test_a_stopped_check_judges_nothing(good: list[dict[str, Any]], tmp_path: Path) -> None:
    class Stops(Heard):
        @contextmanager
        def drain_on_signal(self, stop: Event, *_: Any) -> Iterator[None]:
            stop.set()
            yield

    with pytest.raises(RunStopped, match=r"stopped: 0 of 8 recordings checked; run it again"):
        check(tmp_path, good, reporter=Stops())


def test_recordings_in_a_bucket(s3: str, tmp_path: Path, good: list[dict[str, Any]]) -> None:
    root = parse_path(f"{s3}/sounds")
    for name in ("0.wav", "1.wav"):
        (root / name).write_bytes((tmp_path / name).read_bytes())
    local = check(tmp_path, good[:2])
    remote = check_clips(make_table(good[:3], root), cluster="serial")
    assert remote is not None
    assert remote.facts.slice(0, 2).equals(local.facts)
    assert kinds(remote)[0] == {"failed": 1}
    assert "no such key" in str(remote.problems[0])


def test_a_recording_of_many_segments_has_one_row(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", noise(0, 10))
    done = check(tmp_path, [clip("a.wav", start_s=float(s), end_s=s + 1.0) for s in range(10)])
    assert len(done.facts) == 1


def test_units_hold_every_recording_once_and_are_bounded() -> None:
    items = [CheckItem(str(number), None, 10**6 * (number % 30)) for number in range(1000)]
    units = list(group_recordings(items))
    assert [item for unit in units for item in unit.items] == items
    assert [unit.index for unit in units] == list(range(len(units)))
    assert all(sum(item.size_bytes or 0 for item in unit.items[:-1]) < 16 * 2**20 for unit in units)
    assert max(len(unit.items) for unit in group_recordings(CheckItem(str(n), None, 1) for n in range(1000))) == 64


def test_the_result_of_a_unit_counts_and_is_a_unit_result(tmp_path: Path, good: list[dict[str, Any]]) -> None:
    (tmp_path / "1.wav").unlink()
    items = [
        CheckItem("0.wav", None, None),
        CheckItem("1.wav", None, None),
        CheckItem("2.wav", None, None, failure="WorkerDied: x"),
    ]
    done = CheckTask(tmp_path)(CheckUnit(7, tuple(items)))
    assert isinstance(done, UnitResult)  # isolated processes hand over nothing else
    assert (done.unit, done.ok, done.failed) == (7, 1, 2)
    assert done.facts["status"].to_pylist() == ["ok", "missing", "failed"]
    assert done.facts["error"].to_pylist()[2] == "WorkerDied: x"


def test_a_dry_run_reads_nothing(good: list[dict[str, Any]], tmp_path: Path) -> None:
    shutil.rmtree(tmp_path)
    heard = Heard()
    assert check_clips(make_table(good, tmp_path), dry_run=True, reporter=heard) is None
    assert heard.tables["check: the plan"]["recordings"] == 8


def test_arguments_are_checked(tmp_path: Path, good: list[dict[str, Any]]) -> None:
    with pytest.raises(ClipTableError, match="does not exist"):
        check_clips(tmp_path / "none.parquet")
    with pytest.raises(UsageError, match=r"shortest_s is -1; expected seconds, 0 or more"):
        check(tmp_path, good, shortest_s=-1)


def test_a_folder_of_names_that_terminals_obey(tmp_path: Path) -> None:
    write(tmp_path / "a\x1b[31m.wav", noise(1))
    lines = list(draw_label_bars(pd.Series({"\x1b[31mred": 3, "a\nb": 2})))
    assert lines[0].startswith(r"\x1b[31mred")
    assert len(lines) == 2


def test_a_long_recording_takes_bounded_memory(tmp_path: Path) -> None:
    import tracemalloc

    with soundfile.SoundFile(tmp_path / "long.wav", "w", RATE, 1) as file:
        for seed in range(60):
            file.write(noise(seed, 60))
    tracemalloc.start()
    done = check(tmp_path, [clip("long.wav")])
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert done.facts["duration_s"].to_pylist() == [3600.0]
    assert peak_bytes < 60e6  # as float32 it has 115 MB
