"""One set of label tables as the page shows it: archive, truth, scores, verdicts; refreshed while it is shown."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from hubbub.errors import HubbubError, LabelsError, UsageError
from hubbub.io.paths import StoragePath
from hubbub.labels.references import Reference, match_reference
from hubbub.labels.reviews.journal import ReviewJournal
from hubbub.labels.reviews.reading import current_verdicts, list_parts, read_reviews
from hubbub.labels.reviews.schema import REVIEW_SCHEMA, Verdict, identify_event
from hubbub.labels.reviews.summary import ReviewSummary, summarise_reviews
from hubbub.labels.tables import LabelTables, is_labels
from hubbub.store.features import FeatureStore
from hubbub.web.archive import Archive
from hubbub.web.curves import ScoreReader
from hubbub.web.recordings import Recording, find_recording
from hubbub.web.store_view import StoreView
from hubbub.web.windows import WindowSample, WindowSampler

if TYPE_CHECKING:
    import duckdb

COPY_S = 1.0
"""How long what was there the last time is shown before it is looked at what has changed."""

REFRESH_S = 3.0
"""Between looks at what others have written."""

_PEAKS = "SELECT names.label, e.peak FROM events e JOIN names ON names.code = e.label"

LONGEST_NAME = 60
"""Letters of a reviewer's name."""


class BrowsedTables:
    """Label tables with all that the page asks of them.

    Parameters
    ----------
    tables
        The tables.
    root
        Where their recordings lie now; None: where the tables say.
    reference
        True events, or None.
    store
        A feature store of the recordings, whose values may be shown as spectrograms; or None.
    timezone
        In which days and hours are told.
    """

    def __init__(
        self,
        tables: LabelTables,
        *,
        root: StoragePath | None = None,
        reference: Reference | None = None,
        store: FeatureStore | None = None,
        timezone: str = "UTC",
    ) -> None:
        self.store = None if store is None else StoreView(store)
        self.archive = Archive(tables, timezone=timezone)
        self.scores, self.windows = ScoreReader(), WindowSampler(self.archive)
        self._root, self._reference = root, reference
        self.truth: pd.DataFrame | None = None
        self._truth_of = -1
        self.notes: tuple[str, ...] = ()
        self.reviews = REVIEW_SCHEMA.empty_table().to_pandas()
        self._reviews_of: tuple[list[str], int] | None = None
        self._summary: tuple[Any, ReviewSummary, WindowSample | None] | None = None
        self._journals: dict[str, ReviewJournal] = {}
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        with self.archive.open_cursor() as cursor:
            cursor.execute(
                "CREATE TABLE reviewed (event VARCHAR, clip_id VARCHAR, label VARCHAR, onset_s DOUBLE, "
                "offset_s DOUBLE, reviewer VARCHAR, verdict VARCHAR, said VARCHAR)"
            )
            cursor.execute("CREATE TABLE judged (n BIGINT, reviewer VARCHAR)")

    @property
    def tables(self) -> LabelTables:
        """The tables as they are now."""
        return self.archive.tables

    def start(self) -> None:
        """Read the tables, and go on looking for what is new, in a thread; once."""
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._follow, name="hubbub-refresh", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and write what journals hold together."""
        self._stopped.set()
        for journal in self._journals.values():
            journal.close()
        self.archive.close()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def refresh(self) -> None:
        """Look once for what is new; trouble of the moment is told, not raised."""
        self._look(self.archive.refresh, self._match_truth, self.refresh_reviews)

    def _look(self, *looks: Callable[[], object]) -> None:
        troubles = []
        for look in looks:
            try:
                look()
            except (HubbubError, OSError) as error:
                troubles.append(str(error))
            except Exception as error:  # whatever it is: what is shown stays, and the next look may succeed
                troubles.append(f"this is a fault in hubbub: {type(error).__name__}: {error}")
        self.notes = tuple(dict.fromkeys(troubles))

    def recording(self, file: str) -> Recording:
        """Look a recording up; errors of `find_recording`."""
        return find_recording(self.archive, file, self._root)

    def refresh_reviews(self) -> None:
        """Read verdicts that others have written.

        Raises
        ------
        LabelsError
            A part of them is torn.
        """
        seen = (list_parts(self.tables.path), self.archive.state.generation)
        with self._lock:
            if seen != self._reviews_of:
                self._read_reviews()
                self._reviews_of = seen

    def check_there(self) -> None:
        """Refuse to write where the tables were: a folder that was removed, or a drive that is not mounted, stays so.

        Raises
        ------
        LabelsError
            The tables are not there any more.
        UsageError
            Their bucket cannot be reached.
        """
        if not is_labels(self.tables.path):
            raise LabelsError(f"{self.tables.path} holds no label tables any more; nothing is written there")

    def add_verdict(self, reviewer: str, given: Mapping[str, Any]) -> None:
        """Keep a verdict; it is on the disk when this returns.

        Raises
        ------
        UsageError
            It is none, or of a recording that the tables do not hold.
        StorageError
            It cannot be written.
        LabelsError
            As `check_there`.
        """
        verdict = self._read_verdict(given)
        self.check_there()
        self._journal(reviewer).add(verdict)
        self._note(reviewer, verdict)

    def undo_verdict(self, reviewer: str, event: str) -> None:
        """Take a reviewer's verdict back; errors of `ReviewJournal.undo` and `check_there`."""
        self.check_there()
        self._journal(reviewer).undo(event)
        with self._lock, self.archive.open_cursor() as cursor:
            cursor.begin()
            cursor.execute("DELETE FROM reviewed WHERE event = ? AND reviewer = ?", [event, reviewer.strip()])
            _match_events(cursor)
            cursor.commit()

    def summarise(self, precision: float | None) -> tuple[ReviewSummary, WindowSample | None]:
        """What the verdicts give, and the windows that recall is told by; the last answer is kept.

        Parameters
        ----------
        precision
            As `summarise_reviews` takes it, with its errors.
        """
        self.refresh_reviews()
        asked = (precision, self._reviews_of)
        if self._summary is None or self._summary[0] != asked:
            peaks = None if precision is None else self.archive.ask_frame(_PEAKS)
            sample = self.windows.get(wait=True) if (self.reviews["kind"] == "window").any() else None
            counts = {} if sample is None else dict(zip(self.tables.labels, sample.counts, strict=True))
            found = summarise_reviews(
                self.tables, precision=precision, reviews=self.reviews, events=peaks, window_counts=counts
            )
            self._summary = asked, found, sample
        return self._summary[1:]

    def judged_by(self, reviewer: str) -> set[str]:
        """Names of the events and windows that a reviewer has judged."""
        return {event for (event,) in self.archive.ask("SELECT event FROM reviewed WHERE reviewer = ?", [reviewer])}

    def _follow(self) -> None:
        if self.archive.read_copy():
            # The page's first answers come from the copy, before ten thousand parts are looked at for what has changed.
            self._look(self._match_truth, self.refresh_reviews)
            self._stopped.wait(COPY_S)
        while not self._stopped.is_set():
            self.refresh()
            self._stopped.wait(REFRESH_S)

    def _match_truth(self) -> None:
        generation = self.archive.state.generation
        if self._reference is None or self._truth_of == generation:
            return
        rows = self.archive.ask(
            "SELECT uri, max(coalesce(clip_start_s, 0) + duration_s) FROM clips WHERE status = 'ok' GROUP BY uri"
        )
        files = pd.DataFrame(rows, columns=["uri", "duration_s"])
        self.truth = match_reference(self._reference, files, self.tables.labels).events if len(files) else None
        self._truth_of = generation

    def _journal(self, reviewer: str) -> ReviewJournal:
        name = reviewer.strip()
        if not 0 < len(name) <= LONGEST_NAME:
            raise UsageError(f"reviewer {reviewer[:80]!r}: expected a name of 1 to {LONGEST_NAME} letters")
        with self._lock:
            if name not in self._journals:
                self._journals[name] = ReviewJournal(self.tables.path, name)
            return self._journals[name]

    def _read_verdict(self, given: Mapping[str, Any]) -> Verdict:
        try:
            recording = self.recording(str(given["file"]))
            clip_id, label = str(given["clip_id"]), str(given["event_label"])
            onset_s, offset_s = float(given["onset_s"]), float(given["offset_s"])
            if clip_id not in {row["clip_id"] for row in recording.clips}:
                raise UsageError(f"recording {recording.uri} has no clip {clip_id[:40]!r}; expected one of its own")
            verdict = str(given["verdict"])
            said = label if verdict == "yes" else given.get("label")
            return Verdict(
                event=identify_event(clip_id, label, onset_s, offset_s),
                verdict=verdict,
                label=None if said is None else str(said),
                kind=str(given.get("kind", "event")),
                uri=recording.clips[0]["uri"],
                clip_id=clip_id,
                event_label=label,
                onset_s=onset_s,
                offset_s=offset_s,
                score=float(given["score"]),
                source=str(given.get("source", "listed")),
            )
        except (KeyError, TypeError, ValueError, OverflowError, struct.error) as error:
            raise UsageError(
                f"verdict {str(dict(given))[:200]} cannot be read ({type(error).__name__}: {error})"
            ) from None

    def _note(self, reviewer: str, verdict: Verdict) -> None:
        row = [verdict.event, verdict.clip_id, verdict.event_label, verdict.onset_s, verdict.offset_s]
        said = [*row, reviewer.strip(), verdict.verdict, verdict.label]
        with self._lock, self.archive.open_cursor() as cursor:
            cursor.execute("DELETE FROM reviewed WHERE event = ? AND reviewer = ?", [verdict.event, reviewer.strip()])
            cursor.execute("INSERT INTO reviewed VALUES (?, ?, ?, ?, ?, ?, ?, ?)", said)
            _match_events(cursor, verdict.event)

    def _read_reviews(self) -> None:
        self.reviews = read_reviews(self.tables.path)
        held = current_verdicts(self.reviews)
        columns = ["event", "clip_id", "event_label", "onset_s", "offset_s", "reviewer", "verdict", "label"]
        with self.archive.open_cursor() as cursor:
            cursor.begin()
            cursor.execute("DELETE FROM reviewed")
            if len(held):
                cursor.register("read_reviews", held[columns])
                cursor.execute("INSERT INTO reviewed SELECT * FROM read_reviews")
                cursor.unregister("read_reviews")
            _match_events(cursor)
            cursor.commit()


def _match_events(cursor: duckdb.DuckDBPyConnection, event: str | None = None) -> None:
    """Write down which events have a verdict, and whose: all of them, or one that is new."""
    if event is None:
        cursor.execute("DELETE FROM judged")
    cursor.execute(
        "INSERT INTO judged SELECT e.n, r.reviewer FROM reviewed r JOIN clips c ON c.clip_id = r.clip_id "
        "JOIN names ON names.label = r.label JOIN events e ON e.clip = c.n AND e.label = names.code "
        "AND e.onset_s = r.onset_s AND e.offset_s = r.offset_s WHERE ? IS NULL OR r.event = ?",
        [event, event],
    )
