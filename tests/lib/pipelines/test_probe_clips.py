"""Headers read on engines give the clip table that threads of the driver give, whatever a file does to its reader."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import soundfile
from distributed import Client
from hypothesis import given
from hypothesis import strategies as st

from hubbub.clips.index import ProbeNotes, index_listing
from hubbub.clips.sources import Columns, Listing, list_source
from hubbub.clips.table_parts import TableParts
from hubbub.errors import RunStopped
from hubbub.io.paths import parse_path
from hubbub.pipelines.json_log import JsonLog
from hubbub.pipelines.probe_clips import probe_listing
from hubbub.pipelines.reporting import SILENT, Reporter
from hubbub.pipelines.run_folder import ClusterOptions, Run
from hubbub.tasks.probe import ProbeTask, group_listed, merge_probed
from tests.chaos.poison_clips import poisoned_environment


def make_run(options: ClusterOptions, reporter: Reporter = SILENT) -> Run:
    return Run("index", options, JsonLog(None, "index"), reporter)


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterOptions]:
    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        yield ClusterOptions(client=client)


@pytest.fixture(params=["serial", "dask"])
def options(request: pytest.FixtureRequest) -> ClusterOptions:
    return ClusterOptions("serial") if request.param == "serial" else request.getfixturevalue("cluster")


@pytest.fixture(scope="module")
def listing(tmp_path_factory: pytest.TempPathFactory) -> Listing:
    """Twenty recordings of several formats, one of them text, one missing, two segments of one."""
    folder = tmp_path_factory.mktemp("sounds")
    lines = ["path,label,start,end,mood"]
    for number in range(20):
        name = f"{number}.{('wav', 'flac', 'ogg')[number % 3]}"
        samples = np.random.default_rng(number).uniform(-0.5, 0.5, (1000 + number, 1 + number % 2))
        soundfile.write(folder / name, samples, 8000 * (1 + number % 2))
        lines.append(f"{name},{'dog' if number % 2 else 'cat'},,,{'calm' if number % 4 else ''}")
    (folder / "text.wav").write_text("this is no audio")
    lines += ["text.wav,dog,,,calm", "none.wav,cat,,,", "3.wav,dog,0,0.05,", "3.wav,cat,0.05,0.1,wild"]
    (folder / "clips.csv").write_text("\n".join(lines))
    return list_source(folder / "clips.csv", "csv", Columns(path="path", label="label", start_s="start", end_s="end"))


@pytest.mark.parametrize("clips_a_unit", [1, 7, 1000])
def test_engines_give_the_table_that_threads_give(options: ClusterOptions, listing: Listing, clips_a_unit: int) -> None:
    table, unreadable = index_listing(listing)
    parts, notes = TableParts(listing.root), ProbeNotes()
    probe_listing(make_run(options), listing, parts, notes=notes, clips_a_unit=clips_a_unit)
    assert parts.make_table().rows.equals(table.rows)
    assert notes.unreadable == unreadable
    assert notes.n_unreadable == 2
    assert [line.partition(":")[0] for line in notes.unreadable] == ["text.wav", "none.wav"]


def test_engines_read_clips_that_are_listed_anew_each_time(options: ClusterOptions, listing: Listing) -> None:
    streamed = list_source(listing.root, "flat", Columns())
    parts = TableParts(streamed.root)
    probe_listing(make_run(options), streamed, parts, notes=ProbeNotes(), clips_a_unit=3)
    assert parts.make_table().rows.equals(index_listing(streamed)[0].rows)
    assert parts.summary.clips == len(streamed.clips) == 21


def test_engines_ask_no_names_that_are_none_of_recorders(options: ClusterOptions, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "PARK_20260501_060000Z.wav", np.zeros(800), 8000)
    listing = list_source(tmp_path, "flat", Columns())
    for has_names in (True, False):
        asked, parts = replace(listing, has_recorder_names=has_names), TableParts(listing.root)
        probe_listing(make_run(options), asked, parts, notes=ProbeNotes())
        rows = parts.make_table().rows
        assert (rows["recorded_at"].null_count == 0) == has_names == ("site" in rows.column_names)
        assert rows.equals(index_listing(asked)[0].rows)


KILLER = """
import sys
from pathlib import Path
from hubbub.clips.index import ProbeNotes
from hubbub.clips.sources import Columns, list_source
from hubbub.clips.table_parts import TableParts
from hubbub.pipelines.json_log import JsonLog
from hubbub.pipelines.probe_clips import probe_listing
from hubbub.pipelines.run_folder import ClusterOptions, Run
if __name__ == "__main__":
    listing = list_source(Path(sys.argv[1]), "flat", Columns())
    parts, notes = TableParts(listing.root), ProbeNotes()
    probe_listing(Run("index", ClusterOptions("local", 2), JsonLog(None, "index")), listing, parts, notes=notes)
    durations = parts.make_table().rows["duration_s"]
    print(len(durations), len(durations) - durations.null_count, *notes.unreadable)
"""


@pytest.mark.slow  # the check of a data set has the same proof among the fast tests
def test_a_file_that_kills_its_reader_is_an_unreadable_clip(tmp_path: Path) -> None:
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    for number in range(6):
        soundfile.write(sounds / f"{number}.wav", np.zeros(800), 8000)
    (tmp_path / "killer.py").write_text(KILLER)
    done = subprocess.run(
        [sys.executable, tmp_path / "killer.py", sounds],
        env=poisoned_environment(tmp_path / "poison", {"3.wav": "segfault"}),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert re.match(r"6 5 3\.wav: WorkerDied: .*SIGSEGV.*\n$", done.stdout), done.stdout + done.stderr


def test_clips_in_a_bucket_are_read_by_several_threads(s3: str, listing: Listing) -> None:
    root = parse_path(f"{s3}/sounds")
    for uri in ("0.wav", "1.flac", "text.wav"):
        (root / uri).write_bytes((Path(str(listing.root)) / uri).read_bytes())
    there = Listing(root, [clip for clip in listing.clips if clip["uri"] in ("0.wav", "1.flac", "text.wav")])
    (unit,) = group_listed(there.clips)
    one, many = (ProbeTask(root, threads)(unit) for threads in (1, 8))
    assert (one.columns, one.complaints) == (many.columns, many.complaints)
    assert (one.ok, one.failed) == (2, 1)
    assert one.columns["version"][0].startswith('"')


def test_a_stopped_run_gives_no_table(listing: Listing) -> None:
    class Stops(Reporter):
        @contextmanager
        def drain_on_signal(self, stop: Event, *_: Any) -> Iterator[None]:
            stop.set()
            yield

    parts = TableParts(listing.root)
    with pytest.raises(RunStopped, match="stopped: 0 of 24 clips indexed; run it again"):
        probe_listing(make_run(ClusterOptions("serial"), Stops()), listing, parts, notes=ProbeNotes())


def test_only_what_headers_add_is_sent_back(listing: Listing) -> None:
    (unit,) = group_listed(listing.clips)
    result = ProbeTask(listing.root)(unit)
    assert set(result.columns) == {"clip_id", "version", "size_bytes", "duration_s", "sample_rate", "channels"}
    assert merge_probed(unit.items, result)[0] | listing.clips[0] == merge_probed(unit.items, result)[0]


@given(st.integers(0, 50), st.integers(1, 60))
def test_units_hold_every_clip_once_in_order(clips: int, clips_a_unit: int) -> None:
    listed = [{"uri": str(number)} for number in range(clips)]
    units = list(group_listed(listed, clips_a_unit=clips_a_unit))
    assert [item.listed for unit in units for item in unit.items] == listed
    assert [unit.index for unit in units] == list(range(-(-clips // clips_a_unit)))
