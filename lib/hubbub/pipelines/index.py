"""List recordings and their labels in a clip table. What ``hubbub index`` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hubbub.audio.recorders import parse_timezone
from hubbub.clips.index import ProbeNotes, adopt_root, leave_out_known, probe_parts
from hubbub.clips.labels import find_spellings, warn_of_spellings
from hubbub.clips.labels import normalise_labels as make_labels_one
from hubbub.clips.sources import Columns, Listing, list_source
from hubbub.clips.table import ClipTable, read_table
from hubbub.clips.table_parts import TableParts, TableSummary
from hubbub.errors import UsageError
from hubbub.io.folders import refuse_foreign_file
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun
from hubbub.pipelines.inputs import as_path
from hubbub.pipelines.json_log import JsonLog
from hubbub.pipelines.probe_clips import probe_listing
from hubbub.pipelines.quantities import format_duration
from hubbub.pipelines.reporting import Reporter, choose_reporter
from hubbub.pipelines.run_folder import ClusterOptions, Run

if TYPE_CHECKING:
    from distributed import Client

    from hubbub.pipelines.inputs import PathLike

_EXAMPLES = 10
_PROBLEMS = 5
_SHOWN = 5


@dataclass(frozen=True)
class IndexResult:
    """A clip table as it was made.

    Attributes
    ----------
    summary
        What the table holds.
    added
        Clips that this run added to the table.
    notes
        What was odd about recordings. Those that cannot be read stay in the table and become failed rows.
    parts
        The rows.
    source
        The file that holds the table; None: it was not written.
    """

    summary: TableSummary
    added: int
    notes: ProbeNotes
    parts: TableParts = field(repr=False)
    source: StoragePath | None = None

    @cached_property
    def table(self) -> ClipTable:
        """The clips, in memory."""
        return self.parts.make_table() if self.source is None else read_table(self.source)


def index(
    source: PathLike,
    out: PathLike | None = None,
    *,
    format: str | None = None,
    columns: Columns | None = None,
    pattern: str | None = None,
    normalise_labels: bool = False,
    timezone: str | None = None,
    append: bool = False,
    cluster: str | None = None,
    workers: int | None = None,
    client: Client | None = None,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> IndexResult:
    """Make a clip table; see `hubbub.index`, which returns the table alone."""
    reporter = choose_reporter(reporter, progress=progress)
    output = None if out is None else as_path(out, "out")
    options = ClusterOptions(cluster, workers, client=client)
    options.check()
    if append and output is None:
        raise UsageError(f"append adds clips to a table, and out is {out}; give the path of the table as out")
    if output is not None:
        refuse_foreign_file(output, b"PAR1", "a clip table", ".parquet")
    zone = None if timezone is None else parse_timezone(timezone)
    listing = _list(source, format, columns, pattern, reporter, normalise=normalise_labels)
    held = output if append and output is not None and output.exists() else None
    if held is not None:
        listing = adopt_root(listing, held)
    parts, notes = TableParts(listing.root), ProbeNotes()
    if held is not None:
        listing = leave_out_known(listing, parts.add_table(held))
        new = len(listing.clips)
        known = count_noun(parts.summary.clips, "clip")
        reporter.say(f"{held} has {known}; {new} {'is' if new == 1 else 'are'} new")
        if not new:
            return IndexResult(parts.summary, 0, notes, parts, output)
    if options == ClusterOptions():
        with reporter.show_progress("index", len(listing.clips), "clips") as advance:
            probe_parts(listing, parts, timezone=zone, notes=notes, on_clip=lambda: advance(1))
    else:
        run = Run("index", options, JsonLog(None, "index", reporter.warn), reporter)
        probe_listing(run, listing, parts, timezone=zone, notes=notes)
    _tell_times(notes, reporter)
    if output is not None:
        parts.write(output)
    return IndexResult(parts.summary, len(listing.clips), notes, parts, output)


def report_index(result: IndexResult, output: StoragePath, reporter: Reporter) -> None:
    """Show what a clip table holds, and which of its files cannot be read."""
    held, lines, unreadable = result.summary, result.notes.unreadable, result.notes.n_unreadable
    reporter.show_table(
        "index: done",
        {
            "clips": held.clips,
            **({} if result.added == held.clips else {"added": result.added}),
            "audio": f"{format_duration(held.audio_s)} in all clips",
            "labels": describe_labels(held.labels),
            "unlabelled": held.unlabelled,
            "folds": ", ".join(map(str, sorted(held.folds))) or "none",
            "splits": describe_labels(held.splits),
            **({"times": f"of {held.timed} of {count_noun(held.clips, 'clip')}"} if held.timed else {}),
            "unreadable": held.unreadable,
            "result": output,
        },
    )
    if held.beyond:
        clips = count_noun(held.beyond, "clip begins", "clips begin")
        reporter.warn(
            f"{clips} after the end of the recording, as if it were cut already or the times were of another; "
            f"hubbub index {output} --check names them"
        )
    for line in lines[:_SHOWN]:
        reporter.warn(f"unreadable: {line}")
    if unreadable > _SHOWN:
        reporter.warn(f"… and {unreadable - _SHOWN} more: the clips in {output} without a duration_s")
    if (earlier := held.unreadable - unreadable) > 0:
        clips = count_noun(earlier, "clip")
        reporter.warn(f"{clips} in {output} could not be read earlier: those without a duration_s")
    if unreadable:
        files = count_noun(unreadable, "file")
        reporter.warn(f"{files} cannot be read; the clips stay in the table and become failed rows")


def show_listing(
    source: PathLike,
    *,
    format: str | None = None,
    columns: Columns | None = None,
    pattern: str | None = None,
    normalise_labels: bool = False,
    reporter: Reporter | None = None,
) -> Listing:
    """List a source and show ten of its clips; opens no recording and writes nothing."""
    reporter = choose_reporter(reporter)
    listing = _list(source, format, columns, pattern, reporter, normalise=normalise_labels)
    step = max(1, len(listing.clips) // _EXAMPLES)
    labels, unlabelled = Counter[str](), 0
    for number, clip in enumerate(listing.clips):
        labels.update(clip["labels"])
        unlabelled += not clip["labels"]
        if number % step == 0 and number < step * _EXAMPLES:
            _show_example(clip, reporter)
    reporter.show_table(
        "index: the plan",
        {
            "clips": len(listing.clips),
            "unlabelled": unlabelled,
            "labels": describe_labels(labels),
            "root": listing.root,
        },
    )
    return listing


def _show_example(clip: Mapping[str, Any], reporter: Reporter) -> None:
    told = {name: value for name, value in clip.items() if name not in ("uri", "labels", "version")}
    others = (f"{name} {value}" for name, value in told.items() if value is not None)
    reporter.say(
        f"{clip['uri']}: {', '.join(clip['labels']) or 'unlabelled'}" + "".join(f"; {text}" for text in others)
    )


def describe_labels(labels: Counter[str], most: int = 50) -> str:
    """Write labels with their counts, sorted by name; of very many labels the most frequent ones."""
    if not labels:
        return "none"
    shown = labels.most_common(most) if len(labels) > most else labels.items()
    more = f" … and {count_noun(len(labels) - most, 'more label')}" if len(labels) > most else ""
    return ", ".join(f"{label} {count}" for label, count in sorted(shown)) + more


def _list(
    source: PathLike,
    format: str | None,
    columns: Columns | None,
    pattern: str | None,
    reporter: Reporter,
    *,
    normalise: bool,
) -> Listing:
    where = as_path(source, "source")
    with reporter.show_waiting(f"list {where}"):
        listing = list_source(where, format, columns or Columns(), pattern=pattern)
    if listing.evidence:
        reporter.say(listing.evidence)
    clips, groups = listing.clips, find_spellings(listing.clips)
    notes = warn_of_spellings(groups)
    if normalise:
        clips, notes = make_labels_one(clips, groups)
    for note in [*listing.notes, *notes]:
        reporter.warn(note)
    return replace(listing, clips=clips)


def _tell_times(notes: ProbeNotes, reporter: Reporter) -> None:
    if notes.local:
        clips = count_noun(notes.local, "clip")
        reporter.warn(
            f"names or headers of {clips} tell a local time without its zone; say --timezone, such as "
            "--timezone Europe/Berlin or --timezone UTC, to fill recorded_at"
        )
    for problem in notes.problems[:_PROBLEMS]:
        reporter.warn(problem)
    if len(notes.problems) > _PROBLEMS:
        reporter.warn(f"… and {count_noun(len(notes.problems) - _PROBLEMS, 'more clip')} whose times are odd")
