"""Fetch recordings from the web into a folder or a bucket. What ``hubbub fetch`` does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from hubbub.downloads.addresses import host_of
from hubbub.downloads.download import check_free_space
from hubbub.downloads.journal import JournalWriter
from hubbub.downloads.links import LinkTable
from hubbub.downloads.policy import GIB, MOST_GIB, Policy, make_policy
from hubbub.downloads.records import JOURNAL, STATE, Record, describe_record
from hubbub.engine.cluster import THREADS
from hubbub.errors import UsageError
from hubbub.io.folders import refuse_foreign_folder
from hubbub.io.lock import write_lock
from hubbub.io.paths import StoragePath, absolute_path, is_local
from hubbub.io.text import count_noun
from hubbub.pipelines.execution import run_units
from hubbub.pipelines.fetch_progress import describe_under_way
from hubbub.pipelines.fetch_settle import CLIPS, FAILURES, Held, collect_records, settle_files, write_clip_table
from hubbub.pipelines.fetch_sources import Found, Site, open_source, read_site
from hubbub.pipelines.fetch_turns import HostTurns
from hubbub.pipelines.inputs import as_path
from hubbub.pipelines.json_log import JsonLog
from hubbub.pipelines.progress import Goal
from hubbub.pipelines.quantities import format_duration, format_size
from hubbub.pipelines.reporting import Reporter, choose_reporter
from hubbub.pipelines.run_folder import ClusterOptions, Run, open_run
from hubbub.pipelines.run_summary import RunSummary
from hubbub.tasks.fetch import FetchItem, FetchResult, FetchTask
from hubbub.tasks.result import UnitLost, UnitResult

if TYPE_CHECKING:
    from distributed import Client

    from hubbub.pipelines.inputs import PathLike

_THREADS_TURN_S, _CLUSTER_TURN_S = 5.0, 30.0
_SHOWN = 10
_STATUSES = ("ok", "duplicate", "failed")


@dataclass(frozen=True)
class FetchLimits:
    """What a run fetches at most; None: no limit.

    Attributes
    ----------
    files
        Number of files.
    total_gb
        Bytes of all files, GiB.
    hours
        Time, after which no further file is begun.
    pages
        Pages of a site that are read.
    """

    files: int | None = None
    total_gb: float | None = None
    hours: float | None = None
    pages: int = 10_000

    def __post_init__(self) -> None:
        for name, value, most in (("--max-total-gb", self.total_gb, MOST_GIB), ("--max-hours", self.hours, 1e6)):
            if value is not None and not 0 <= value <= most:
                raise UsageError(f"{name} {value:g}: expected at least 0 and at most {most:g}")


@dataclass(frozen=True)
class FetchOutcome:
    """What a fetch left behind.

    Attributes
    ----------
    clips
        The clip table; None where no recording came.
    files
        Addresses that are known.
    ok, duplicates, failed
        Of these, by what became of them.
    left
        Those that were not tried.
    is_stopped
        Whether Ctrl-C drained the run.
    is_whole
        Whether every page was read.
    """

    clips: StoragePath | None
    files: int
    ok: int = 0
    duplicates: int = 0
    failed: int = 0
    left: int = 0
    is_stopped: bool = False
    is_whole: bool = True

    @property
    def is_complete(self) -> bool:
        """Whether every recording is here."""
        return self.is_whole and not self.failed and not self.left


def fetch(
    source: PathLike,
    out: PathLike,
    *,
    recipe: str | None = None,
    url_column: str | None = None,
    policy: Policy | None = None,
    limits: FetchLimits | None = None,
    refresh: bool = False,
    retry_failed: bool = False,
    cluster: str | None = None,
    workers: int | None = None,
    client: Client | None = None,
    dry_run: bool = False,
    log_json: str | os.PathLike[str] | None = None,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> FetchOutcome:
    """Fetch recordings; see `hubbub.fetch`."""
    reporter = choose_reporter(reporter, progress=progress)
    options = ClusterOptions(cluster or (None if client is not None else THREADS), workers, client=client)
    options.check()
    output, limits = as_path(out, "out"), limits or FetchLimits()
    policy = policy or make_policy()
    log = JsonLog(None if log_json is None else Path(log_json), "fetch", reporter.warn)
    refuse_foreign_folder(output, STATE, "fetched recordings")
    opened, policy = open_source(
        source if isinstance(source, str) else as_path(source, "source"), recipe, url_column, policy
    )
    stop = Event()
    if dry_run:
        found = _find_links(opened, policy, None, limits, stop, reporter)
        return _show_plan(found, output, policy, limits, refresh, retry_failed, reporter)
    with write_lock(output, "fetch", notice=reporter.warn):
        found = _find_links(opened, policy, output, limits, stop, reporter)
        job = _FetchJob(output, policy, limits, options, log, reporter, stop)
        return job.run(found, refresh=refresh, retry_failed=retry_failed)


def _find_links(
    opened: Site | Found,
    policy: Policy,
    output: StoragePath | None,
    limits: FetchLimits,
    stop: Event,
    reporter: Reporter,
) -> Found:
    if isinstance(opened, Found):
        return opened
    return read_site(opened, policy, output, most_pages=limits.pages, stop=stop, reporter=reporter)


def _show_plan(
    found: Found,
    output: StoragePath,
    policy: Policy,
    limits: FetchLimits,
    refresh: bool,
    retry_failed: bool,
    reporter: Reporter,
) -> FetchOutcome:
    """Show what a run would fetch, and ten of the recordings with their columns; writes nothing."""
    held = collect_records(output, finish=False) if (output / STATE).exists() else Held({}, [])
    links = LinkTable(output)
    links.add(found.links)
    items = _choose_items(found, links, held, limits, refresh=refresh, retry_failed=retry_failed)
    chosen = {item.url for item in items}
    shown = [link for link in found.links if link.address in chosen]
    for link in shown[:: max(1, len(shown) // _SHOWN)][:_SHOWN]:
        told = "".join(f"; {name} {value}" for name, value in link.columns.items() if name != "page")
        reporter.say(f"{links[link.address].file}: {link.address}{told}")
    reporter.show_table("fetch: the plan", _describe_plan(found, held, items, policy, output))
    return FetchOutcome(None, len(found.links), left=len(items), is_whole=not found.left)


def _choose_items(
    found: Found, links: LinkTable, held: Held, limits: FetchLimits, *, refresh: bool, retry_failed: bool
) -> list[FetchItem]:
    """Choose what is fetched: what is new, and what was asked for again."""
    items = []
    for link in found.links:
        record = held.records.get(link.address)
        file = links[link.address].file
        if record is None:
            items.append(FetchItem(link.address, file))
        elif record.status == "failed" and retry_failed:
            items.append(FetchItem(link.address, file, attempt=record.attempts + 1))
        elif record.is_done and refresh:
            own_file = record.file if record.status == "ok" else file
            items.append(FetchItem(link.address, own_file, record.etag, record.last_modified))
    items.sort(key=lambda item: item.attempt)  # what fails again and again keeps nothing else from coming
    return items[: limits.files]


def _describe_plan(
    found: Found, held: Held, items: Sequence[FetchItem], policy: Policy, output: StoragePath
) -> dict[str, Any]:
    wanted = [held.records.get(link.address) for link in found.links]
    hosts = {host_of(item.url) for item in items}
    failed = sum(record is not None and record.status == "failed" for record in wanted)
    return {
        "recordings": len(found.links),
        "here already": sum(record is not None and record.is_done for record in wanted),
        "failed before": failed,
        "to fetch": len(items),
        "from": count_noun(len(hosts), "host") + (f" ({', '.join(sorted(hosts)[:3])})" if hosts else ""),
        "requests": f"one every {policy.interval_s:.2g} s a host, or as robots.txt asks; "
        f"{count_noun(policy.connections, 'file')} at a time",
        "to": output,
    }


class _FetchJob:
    """One run: what is chosen is fetched, then settled."""

    def __init__(
        self,
        output: StoragePath,
        policy: Policy,
        limits: FetchLimits,
        options: ClusterOptions,
        log: JsonLog,
        reporter: Reporter,
        stop: Event,
    ) -> None:
        self._output, self._policy, self._limits = output, policy, limits
        self._options, self._log, self._reporter, self._stop = options, log, reporter, stop

    def run(self, found: Found, *, refresh: bool, retry_failed: bool) -> FetchOutcome:
        """Fetch, settle and report."""
        links, held = LinkTable(self._output), collect_records(self._output)
        links.add(found.links)
        links.write()
        self._add_bad(found, held)
        again = [url for url in held.gone if url in links]
        if again:
            files = count_noun(len(again), "recording is", "recordings are")
            self._reporter.warn(f"{files} no longer in {self._output}, and fetched again if the source still has them")
        items = _choose_items(found, links, held, self._limits, refresh=refresh, retry_failed=retry_failed)
        plan = _describe_plan(found, held, items, self._policy, self._output)
        self._reporter.show_table("fetch: the plan", plan)
        limit = None if self._limits.total_gb is None else int(self._limits.total_gb * GIB)
        turn_s = _THREADS_TURN_S if self._options.cluster == THREADS else _CLUSTER_TURN_S
        longest_s = None if self._limits.hours is None else self._limits.hours * 3600
        turns = HostTurns(items, turn_s=turn_s, most_bytes=limit, longest_s=longest_s)
        with open_run("fetch", self._options, self._log, self._reporter, output=self._output, plan=plan) as run:
            run.stop = self._stop
            summary = self._fetch(run, turns, len(items)) if items else RunSummary()
            return self._settle(run, found, links, turns, summary)

    def _add_bad(self, found: Found, held: Held) -> None:
        """Write down what is no address as failed, so that it is in the table of failures."""
        bad = {text: why for text, why in found.bad if text not in held.records}
        if not bad:
            return
        with JournalWriter(self._output / JOURNAL) as journal:
            for text, why in bad.items():
                record = Record(text, "failed", error=why)
                journal.add(describe_record(record))
                held.records[text] = record

    def _fetch(self, run: Run, turns: HostTurns, files: int) -> RunSummary:
        if is_local(self._output):
            check_free_space(self._output, self._policy.least_free_bytes)

        def convert(result: FetchResult | UnitLost) -> UnitResult | UnitLost:
            turns.take(result)
            if isinstance(result, UnitLost):
                return result
            return UnitResult(**{name: getattr(result, name) for name in UnitResult.__dataclass_fields__})

        task = FetchTask(absolute_path(self._output), self._policy)
        goal = Goal(files, None, counted="files")
        under_way = partial(describe_under_way, self._output)
        return run_units(run, "fetch", turns, task, goal, convert=convert, describe_further=under_way)

    def _settle(self, run: Run, found: Found, links: LinkTable, turns: HostTurns, summary: RunSummary) -> FetchOutcome:
        records = settle_files(self._output, links, {text for text, _ in found.bad})
        unreadable = write_clip_table(self._output, links, records, self._reporter)
        counts = {status: sum(one.status == status for one in records.values()) for status in _STATUSES}
        left = sum(link.address not in records for link in found.links)
        has_clips = counts["ok"] > 0
        result = FetchOutcome(
            self._output / CLIPS if has_clips else None,
            len(records) + left,
            counts["ok"],
            counts["duplicate"],
            counts["failed"],
            left,
            run.is_stopped,
            not found.left,
        )
        run.result = {
            "clips": result.files,
            "ok": result.ok + result.duplicates,
            "failed": result.failed,
            "missing": left,
        }
        self._report(result, turns, summary, unreadable)
        return result

    def _report(self, result: FetchOutcome, turns: HostTurns, summary: RunSummary, unreadable: Sequence[str]) -> None:
        state = "stopped" if result.is_stopped else "not finished" if result.left or not result.is_whole else "done"
        reporter = self._reporter
        reporter.show_table(
            f"fetch: {state}",
            {
                "recordings": result.ok,
                **({"same as another": result.duplicates} if result.duplicates else {}),
                **({"unchanged": turns.unchanged} if turns.unchanged else {}),
                "failed": result.failed,
                **({"not tried": result.left} if result.left else {}),
                "fetched now": f"{format_size(turns.received_bytes)} in {format_duration(summary.wall_s)}",
                "result": result.clips or "no recordings",
            },
        )
        for address, reason in summary.reasons:
            reporter.warn(f"failed: {address}: {reason}")
        for line in turns.describe_rest():
            reporter.warn(line)
        for line in unreadable[:5]:
            reporter.warn(f"unreadable: {line}")
        if result.failed:
            files = count_noun(result.failed, "address", "addresses")
            reporter.warn(f"{files} failed; {self._output / FAILURES} has the reasons; --retry-failed tries them again")
