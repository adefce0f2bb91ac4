"""Fetching into one folder again and again: what was mended, changed, removed or limited in between."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from hubbub.downloads.file_names import hash_address
from hubbub.downloads.journal import JournalWriter
from hubbub.downloads.policy import make_policy
from hubbub.downloads.records import JOURNAL, PARTIAL
from hubbub.errors import UsageError
from hubbub.pipelines.fetch import FetchLimits
from tests.lib.pipelines.test_fetch import failures, recordings, run, write_list
from tests.servers import web
from tests.servers.web import Handler, Site, make_audio, serve


@pytest.fixture
def site() -> Iterator[Site]:
    """Give a server without files."""
    with serve(Site()) as running:
        yield running


def test_an_address_that_was_mended_is_no_failure_any_more(site: Site, tmp_path: Path) -> None:
    site.files["/a.wav"] = make_audio(1)
    source = write_list(tmp_path, site, "/a.wav")
    good = source.read_text("utf-8")
    source.write_text(f"{good}htp://h.example/b.wav\n", "utf-8")
    assert run(source, tmp_path / "out").failed == 1
    source.write_text(good, "utf-8")
    assert run(source, tmp_path / "out").is_complete
    assert not failures(tmp_path / "out")


def test_refresh_sees_that_one_of_two_files_with_the_same_bytes_changed(site: Site, tmp_path: Path) -> None:
    site.files = {"/a.wav": make_audio(1), "/b.wav": make_audio(1)}
    source = write_list(tmp_path, site, "/a.wav", "/b.wav")
    assert run(source, tmp_path / "out").duplicates == 1
    site.files["/b.wav"] = make_audio(2)
    assert run(source, tmp_path / "out", refresh=True).ok == 2
    assert recordings(tmp_path / "out") == {"a.wav": make_audio(1), "b.wav": make_audio(2)}


def test_a_limited_retry_tries_what_failed_least_often(site: Site, tmp_path: Path) -> None:
    source = write_list(tmp_path, site, "/never.wav", "/a.wav", "/b.wav")
    run(source, tmp_path / "out", limits=FetchLimits(files=2))
    site.files = {"/a.wav": make_audio(1), "/b.wav": make_audio(2)}
    done = [run(source, tmp_path / "out", retry_failed=True, limits=FetchLimits(files=1)).ok for _ in range(4)]
    assert done == [1, 1, 2, 2]


def test_failed_files_count_against_the_bytes_of_a_run(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hubbub.pipelines.fetch_turns.FILES_A_TURN", 1)
    site.answers = {f"/{number}.wav": web.answer(200, b"no recording" * 1000) for number in range(6)}
    source = write_list(tmp_path, site, *site.answers)
    done = run(source, tmp_path / "out", limits=FetchLimits(total_gb=40_000 / 2**30))
    assert (done.failed, done.left) == (3, 3)


def test_several_large_files_of_a_host_come_at_once(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hubbub.pipelines.fetch._THREADS_TURN_S", 0.05)
    lasting: list[tuple[float, float]] = []

    def slowly(handler: Handler) -> None:
        began = time.monotonic()
        time.sleep(0.2)
        lasting.append((began, time.monotonic()))
        handler.send_file(make_audio(int(handler.path[1])))

    site.answers = {f"/{number}.wav": slowly for number in range(5)}
    assert run(write_list(tmp_path, site, *site.answers), tmp_path / "out").is_complete
    together = sum(before[1] > after[0] for before, after in zip(lasting, lasting[1:], strict=False))
    assert together >= 2, "though each lasts longer than a turn"


def test_what_no_library_should_raise_costs_one_file_alone(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hubbub.downloads import download

    inspect = download.inspect_content

    def fail(path: Path) -> object:
        if path.read_bytes() == make_audio(1):
            raise ZeroDivisionError("a strange\nfile")
        return inspect(path)

    monkeypatch.setattr(download, "inspect_content", fail)
    site.files = {"/a.wav": make_audio(1), "/b.wav": make_audio(2)}
    done = run(write_list(tmp_path, site, *site.files), tmp_path / "out")
    assert (done.ok, done.failed) == (1, 1)
    assert failures(tmp_path / "out") == {"a.wav": "ZeroDivisionError: a strange file"}
    assert not list((tmp_path / "out" / ".fetch" / "partial").iterdir())


def test_numbers_below_zero_stay_numbers_in_the_table_of_failures(site: Site, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"url,lat,who\n{site.url}/a.wav,-3.5,=1+1\n{site.url}/b.wav,-4,x\n", "utf-8")
    run(tmp_path / "t.csv", tmp_path / "out")
    rows = pd.read_csv(tmp_path / "out" / "failures.csv")
    assert list(rows["lat"]) == [-3.5, -4.0]
    assert list(rows["who"]) == ["'=1+1", "x"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
@pytest.mark.parametrize("name", ["--keep-free-gb", "--max-total-gb", "--max-hours", "--max-file-gb"])
def test_limits_that_are_no_numbers_are_refused(name: str, value: float) -> None:
    make = make_policy if name in ("--keep-free-gb", "--max-file-gb") else FetchLimits
    word = name.removeprefix("--" if make is make_policy else "--max-").replace("-", "_")
    with pytest.raises(UsageError, match=f"{name} .*expected"):
        make(**{word: value})  # type: ignore[operator]


def test_files_that_are_gone_are_found_quickly_however_many(tmp_path: Path, site: Site) -> None:
    from hubbub.downloads.records import Record, write_records
    from hubbub.pipelines.fetch_settle import collect_records

    (tmp_path / "out").mkdir()
    many = [Record(f"https://h.example/{number}.wav", "ok", file=f"h/{number}.wav") for number in range(20_000)]
    write_records(tmp_path / "out", many)
    started = time.monotonic()
    assert len(collect_records(tmp_path / "out").gone) == 20_000
    assert time.monotonic() - started < 5


def test_a_dry_run_after_a_kill_gives_no_file_its_name(site: Site, tmp_path: Path) -> None:
    site.files["/a.wav"] = make_audio(1)
    source, out = write_list(tmp_path, site, "/a.wav"), tmp_path / "out"
    run(source, out)
    (held,) = out.rglob("a.wav")
    fetched = pd.read_parquet(out / "fetched.parquet").to_dict("records")[0]
    (out / "fetched.parquet").unlink()
    with JournalWriter(out / JOURNAL) as journal:  # as a kill between the record and the name leaves it
        journal.add(fetched)
    partial = out / PARTIAL / hash_address(fetched["url"])
    held.rename(partial)
    before = sorted(out.rglob("*"))
    run(source, out, dry_run=True)
    assert sorted(out.rglob("*")) == before
    run(source, out)
    assert held.read_bytes() == make_audio(1)
    assert site.asked("/a.wav") == 1
