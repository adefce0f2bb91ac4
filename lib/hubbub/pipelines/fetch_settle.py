"""What a fetch leaves behind: one file a content, a table of all addresses, the failures, and a clip table."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from hubbub.clips.index import index_listing
from hubbub.clips.sources import Listing
from hubbub.clips.sources.csv import parse_time, parse_whole_number
from hubbub.clips.table import TAKEN_COLUMNS, write_table
from hubbub.downloads.headers import parse_http_date
from hubbub.downloads.journal import list_parts, read_journal, remove_parts
from hubbub.downloads.links import LinkTable
from hubbub.downloads.records import (
    JOURNAL,
    PARTIAL,
    Record,
    find_duplicates,
    parse_record,
    read_records,
    write_records,
)
from hubbub.errors import ClipTableError
from hubbub.io.atomic import write_text
from hubbub.io.folders import list_sizes, remove_file
from hubbub.io.paths import StoragePath, absolute_path, is_local
from hubbub.pipelines.reporting import Reporter
from hubbub.tasks.fetch import place_file

CLIPS, FAILURES = "clips.parquet", "failures.csv"

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?")


@dataclass(frozen=True)
class Held:
    """What an output folder holds.

    Attributes
    ----------
    records
        By address.
    gone
        Recordings that earlier runs fetched and that are not there any more.
    """

    records: dict[str, Record]
    gone: list[str]


def collect_records(output: StoragePath, *, finish: bool = True) -> Held:
    """Read what became of every address so far, and finish what a kill broke off.

    A file whose record was written and that did not get its name yet gets it now. A record whose file is nowhere is no
    record: the address is fetched again.

    Parameters
    ----------
    finish
        Whether files get their names; without it nothing is written, and the result is the same.

    Raises
    ------
    UsageError, StorageError
        When the folder cannot be read, or written.
    """
    records = read_records(output)
    fresh = {record.url: record for record in map(parse_record, read_journal(list_parts(output / JOURNAL))) if record}
    if not records and not fresh:
        return Held({}, [])
    sizes = list_sizes(output)
    for record in fresh.values():
        partial = f"{PARTIAL}/{record.key}"
        if record.status == "ok" and is_local(output) and sizes.get(partial) == record.size_bytes:
            if finish:
                place_file(output / partial, output / record.file)
            sizes[record.file] = record.size_bytes
    records |= fresh
    contents = {record.file: record.sha256 for record in records.values() if record.status == "ok"}
    gone = [
        url
        for url, record in records.items()
        if record.is_done and (record.file not in sizes or contents.get(record.file) != record.sha256)
    ]
    lost = set(gone)
    return Held({url: record for url, record in records.items() if url not in lost}, gone)


def settle_files(output: StoragePath, links: LinkTable, bad: Container[str] = ()) -> dict[str, Record]:
    """Merge what was fetched into the table; of addresses that gave the same bytes one file is kept.

    Parameters
    ----------
    links
        All that were ever met.
    bad
        Texts of the source that are no addresses; those of earlier runs that were mended since are left out.

    Returns
    -------
    dict
        All records, by address.
    """
    parts = list_parts(output / JOURNAL)
    held = {url: one for url, one in collect_records(output).records.items() if url in links or url in bad}
    order = [url for url in links if url in held]
    records = find_duplicates(held, order)
    write_records(output, records.values())
    remove_parts(parts)
    used = {record.file for record in records.values() if record.is_done}
    for url, record in records.items():
        if record.status == "duplicate" and (own := held[url].file) not in used:
            remove_file(output / own)
    _write_failures(output, links, records)
    return records


def _write_failures(output: StoragePath, links: LinkTable, records: Mapping[str, Record]) -> None:
    """Write the failures as a CSV that a person opens, and that ``hubbub fetch`` takes as a list."""
    failed = [record for record in records.values() if record.status == "failed"]
    if not failed:
        remove_file(output / FAILURES)
        return
    names = list(dict.fromkeys(name for one in failed if one.url in links for name in links[one.url].columns))
    taken = ("url", "error", "attempts", "tried_at")
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow([*taken, *(_disarm(f"source_{name}" if name in taken else name) for name in names)])
    for one in failed:
        columns = links[one.url].columns if one.url in links else {}
        cells = [one.url, one.error, one.attempts, one.fetched_at, *(columns.get(name) for name in names)]
        rows.writerow(map(_disarm, cells))
    write_text(output / FAILURES, text.getvalue())


def _disarm(cell: Any) -> Any:
    """Keep spreadsheets from taking a text of a stranger for a formula."""
    is_formula = isinstance(cell, str) and cell.startswith(_FORMULA) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell


def write_clip_table(
    output: StoragePath, links: LinkTable, records: Mapping[str, Record], reporter: Reporter
) -> list[str]:
    """Index the recordings, with the columns of the pages and lists they came from.

    Returns
    -------
    list of str
        A line for each recording whose header cannot be read.
    """
    kept = [records[url] for url in links if url in records and records[url].status == "ok"]
    if not kept:
        return []
    clips = [_describe_clip(record, links[record.url].columns) for record in kept]
    _unify_types(clips)
    with reporter.show_progress("index", len(clips), "files") as advance:
        listing = Listing(absolute_path(output), clips)
        table, unreadable = index_listing(listing, on_clip=lambda: advance(1))
    write_table(table, output / CLIPS)
    return unreadable


def _describe_clip(record: Record, columns: Mapping[str, Any]) -> dict[str, Any]:
    """The clip of a recording: columns with a meaning have it, others are carried."""
    clip: dict[str, Any] = {"uri": record.file, "labels": []}
    for name, value in columns.items():
        if value is None or value == "":
            continue
        try:
            if name in ("label", "labels"):
                clip["labels"] = [str(value)]
            elif name == "fold":
                clip[name] = parse_whole_number(value, name)
            elif name == "recorded_at":
                clip[name] = parse_time(value, name)
            elif name in ("split", "group"):
                clip[name] = str(value)
            else:
                clip[_free_name(name)] = value
        except ClipTableError:  # a page says "in May": kept as it is
            clip[f"source_{name}"] = str(value)
    told = {"url": record.url, "format": record.format, "modified_at": _parse_http_date(record.last_modified)}
    return {**clip, **told, "fetched_at": record.fetched_at}


def _parse_http_date(text: str | None) -> str | None:
    """Write the date of a header as ISO 8601, UTC; None for none, or nonsense."""
    when = parse_http_date(text)
    return None if when is None else when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _free_name(name: str) -> str:
    return f"source_{name}" if name in TAKEN_COLUMNS | {"url", "format", "modified_at", "fetched_at"} else name


def _unify_types(clips: list[dict[str, Any]]) -> None:
    """Make text of every carried column that holds values of several types."""
    kinds: dict[str, Counter[type]] = {}
    for clip in clips:
        for name, value in clip.items():
            if value is not None:
                kinds.setdefault(name, Counter())[type(value)] += 1
    mixed = {name for name, found in kinds.items() if len(found) > 1 and not set(found) <= {int, float}}
    for clip in clips:
        for name in mixed & clip.keys():
            clip[name] = None if clip[name] is None else str(clip[name])
