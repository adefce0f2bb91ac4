"""List recordings and their labels in a clip table. What ``hubbub index`` does."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hubbub.audio.recorders import parse_timezone
from hubbub.clips.index import ProbeNotes, index_listing, leave_out_known
from hubbub.clips.labels import find_spellings, warn_of_spellings
from hubbub.clips.labels import normalise_labels as make_labels_one
from hubbub.clips.sources import Columns, Listing, list_source
from hubbub.clips.table import ClipTable, append_table, make_table, read_table, write_table
from hubbub.io.folders import refuse_foreign_file
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun
from hubbub.pipelines.inputs import as_path
from hubbub.pipelines.json_log import JsonLog
from hubbub.pipelines.probe_clips import probe_listing
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
    table
        The clips.
    unreadable
        A line for each file that cannot be read; the clips stay in the table and become failed rows.
    added
        Clips that this run added to the table.
    """

    table: ClipTable
    unreadable: list[str] = field(default_factory=list)
    added: int = 0

    @property
    def labels(self) -> Counter[str]:
        """Clips a label."""
        return Counter(label for labels in self.table.rows["labels"].to_pylist() for label in labels)

    @property
    def folds(self) -> list[int]:
        """Folds of the clips, sorted."""
        return sorted({fold for fold in self.table.rows["fold"].to_pylist() if fold is not None})

    @property
    def audio_s(self) -> float:
        """Duration of all clips whose duration is known."""
        return sum(value or 0.0 for value in self.table.rows["duration_s"].to_pylist())


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
    known = _read_known(output) if append else None
    if output is not None:
        refuse_foreign_file(output, b"PAR1", "a clip table")
    zone = None if timezone is None else parse_timezone(timezone)
    listing = _list(source, format, columns, pattern, reporter, normalise=normalise_labels)
    if known is not None:
        listing = leave_out_known(listing, known)
        new = len(listing.clips)
        reporter.say(f"{output} has {count_noun(len(known), 'clip')}; {new} {'is' if new == 1 else 'are'} new")
        if not listing.clips:
            return IndexResult(known)
    notes = ProbeNotes()
    if options == ClusterOptions():
        with reporter.show_progress("index", len(listing.clips), "clips") as advance:
            table, unreadable = index_listing(listing, timezone=zone, notes=notes, on_clip=lambda: advance(1))
    else:
        run = Run("index", options, JsonLog(None, "index", reporter.warn), reporter)
        clips, unreadable = probe_listing(run, listing, timezone=zone, notes=notes)
        table = make_table(clips, listing.root)
    _tell_times(notes, reporter)
    added = len(table)
    table = table if known is None else append_table(known, table)
    if output is not None:
        write_table(table, output)
        table = replace(table, source=output)
    return IndexResult(table, unreadable, added)


def report_index(result: IndexResult, output: StoragePath, reporter: Reporter) -> None:
    """Show what a clip table holds, and which of its files cannot be read."""
    unreadable = result.unreadable
    reporter.show_table(
        "index: done",
        {
            "clips": len(result.table),
            **({} if result.added == len(result.table) else {"added": result.added}),
            "audio": f"{result.audio_s / 3600:.3g} h in all files",
            "labels": describe_labels(result.labels),
            "folds": ", ".join(map(str, result.folds)) or "none",
            "unreadable": len(unreadable),
            "result": output,
        },
    )
    for line in unreadable[:_SHOWN]:
        reporter.warn(f"unreadable: {line}")
    if len(unreadable) > _SHOWN:
        reporter.warn(f"… and {len(unreadable) - _SHOWN} more: the clips in {output} without a duration_s")
    if unreadable:
        files = count_noun(len(unreadable), "file")
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
    for clip in listing.clips[::step][:_EXAMPLES]:
        others = (f"{name} {value}" for name, value in clip.items() if name not in ("uri", "labels", "version"))
        reporter.say(
            f"{clip['uri']}: {', '.join(clip['labels']) or 'unlabelled'}" + "".join(f"; {text}" for text in others)
        )
    labels = Counter(label for clip in listing.clips for label in clip["labels"])
    reporter.show_table(
        "index: the plan",
        {
            "clips": len(listing.clips),
            "unlabelled": sum(not clip["labels"] for clip in listing.clips),
            "labels": describe_labels(labels),
            "root": listing.root,
        },
    )
    return listing


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
    listing = list_source(as_path(source, "source"), format, columns or Columns(), pattern=pattern)
    if listing.evidence:
        reporter.say(listing.evidence)
    clips, groups = listing.clips, find_spellings(listing.clips)
    notes = warn_of_spellings(groups)
    if normalise:
        clips, notes = make_labels_one(clips, groups)
    for note in [*listing.notes, *notes]:
        reporter.warn(note)
    return replace(listing, clips=clips)


def _read_known(output: StoragePath | None) -> ClipTable | None:
    """The table that clips are appended to; None where there is none yet."""
    return read_table(output) if output is not None and output.exists() else None


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
