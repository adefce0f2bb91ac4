"""The state of a run, read from its run folder while it goes on and afterwards. What ``hubbub status`` does."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hubbub.errors import UsageError
from hubbub.io.atomic import explain_read_errors
from hubbub.io.folders import list_names
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun
from hubbub.pipelines.processes import find_process
from hubbub.pipelines.progress import Progress, parse_progress
from hubbub.pipelines.quantities import format_duration, format_rate
from hubbub.pipelines.run_folder import FORMAT, RUNS, STATUS

_MISSED_BEATS = 3
_GRACE_S = 2.0  # beside the missed beats, for a disk or a bucket that is slow
_NEEDED = {
    *("job", "state", "error", "began", "updated", "ended", "beat", "every_s"),
    *("host", "machine", "pid", "started_s", "cluster", "standing", "result"),
}
_ACTIVE = ("planned", "running", "stopping")
_FAILED = ("failed", "stopped", "broken off")


@dataclass(frozen=True)
class RunStatus:
    """A run as it was seen last.

    Attributes
    ----------
    state
        The state in its status file; ``broken off`` if that says the run is active and its process is dead.
    why
        The evidence for ``broken off``, or for a process that writes nothing; else empty.
    document
        The status file.
    progress
        Its progress.
    """

    state: str
    why: str
    document: dict[str, Any]
    progress: Progress

    @property
    def is_active(self) -> bool:
        """Whether the run goes on."""
        return self.state in _ACTIVE

    @property
    def has_failed(self) -> bool:
        """Whether the run ended before its work was done."""
        return self.state in _FAILED

    def __str__(self) -> str:
        """Describe the run in one line."""
        note = f" ({self.why})" if self.why else ""
        return f"{self.document['job']}: {self.state}{note}: {self.progress}"


def find_run_folder(path: StoragePath) -> StoragePath:
    """Return a run folder, or the newest one of a store or label tables.

    Raises
    ------
    UsageError
        Where there is none.
    """
    with explain_read_errors(path):
        if (path / STATUS).is_file():
            return path
        for name in sorted(list_names(path / RUNS), reverse=True):
            if (path / RUNS / name / STATUS).is_file():
                return path / RUNS / name
        exists = path.exists()
    if not exists:
        raise UsageError(f"{path} does not exist; expected a run folder, a feature store or label tables")
    raise UsageError(
        f"{path} has no run: expected a run folder, or a feature store or label tables that a run has worked on"
    )


def read_status(folder: StoragePath, before: RunStatus | None = None) -> RunStatus:
    """Read the state of a run; with the state `before`, wait for its next beat.

    Raises
    ------
    UsageError
        When the status file cannot be read.
    """
    document, progress = _read(folder)
    state = document["state"]
    if state not in _ACTIVE:
        return RunStatus(state, "", document, progress)
    process = find_process(document)
    if process == "gone":
        document, progress = _read(folder)  # the run may have ended between the two looks
        if document["state"] not in _ACTIVE:
            return RunStatus(document["state"], "", document, progress)
        return RunStatus("broken off", f"its process {document['pid']} is gone", document, progress)
    if process == "there" and before is None and not _misses_beats(document):
        return RunStatus(state, "", document, progress)
    return _wait_for_beat(folder, before or RunStatus(state, "", document, progress), process)


def _wait_for_beat(folder: StoragePath, before: RunStatus, process: str) -> RunStatus:
    document, progress = _read(folder)
    timeout_s = _MISSED_BEATS * document["every_s"] + _GRACE_S
    last, deadline = before.document["beat"], time.monotonic() + timeout_s
    while document["beat"] == last and document["state"] in _ACTIVE:
        if time.monotonic() > deadline:
            return _describe_silence(document, progress, process, timeout_s)
        time.sleep(min(0.5, document["every_s"] / 4))
        if process == "there" and find_process(document) == "gone":
            return read_status(folder)
        document, progress = _read(folder)
    return RunStatus(document["state"], "", document, progress)


def _describe_silence(document: dict[str, Any], progress: Progress, process: str, for_s: float) -> RunStatus:
    """Describe a run without a beat: dead, unless its process is there."""
    if process == "there":
        why = f"its process {document['pid']} is there, and has written nothing for {for_s:g} s"
        return RunStatus(document["state"], why, document, progress)
    why = f"no sign of life from process {document['pid']} on {document['host']} for {for_s:g} s"
    return RunStatus("broken off", why, document, progress)


def _misses_beats(document: dict[str, Any]) -> bool:
    """Tell whether a run of this machine, which has the same clock, missed its last beats."""
    age_s = (datetime.now(UTC) - datetime.fromisoformat(document["updated"])).total_seconds()
    return not -_GRACE_S < age_s < _MISSED_BEATS * document["every_s"] + _GRACE_S


def _read(folder: StoragePath) -> tuple[dict[str, Any], Progress]:
    path = folder / STATUS
    try:
        with explain_read_errors(path):
            document = json.loads(path.read_bytes())
        if document["format"] != FORMAT:
            raise UsageError(
                f"{path} has format {document['format']}; this hubbub reads {FORMAT}: use the version that wrote it"
            )
        if missing := _NEEDED.difference(document):
            raise KeyError(", ".join(sorted(missing)))
        return document, parse_progress(document["standing"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is not the status of a run ({type(error).__name__}: {error})") from None


def describe_status(folder: StoragePath, status: RunStatus) -> dict[str, Any]:
    """Describe a run, as names and values for people."""
    document, progress = status.document, status.progress
    clips, windows = progress.clips, progress.windows
    lost = f"{count_noun(progress.units.lost, 'unit')} with {count_noun(progress.clips.lost, 'clip')}"
    result = ", ".join(f"{count} {name}" for name, count in document["result"].items())
    return {
        **({"why": status.why} if status.why else {}),
        **({"error": document["error"]} if document["error"] else {}),
        **({"clips": f"{clips.done} of {clips.total}"} if clips.total is not None else {}),
        **({progress.counted: f"{windows.done} of {windows.total}"} if windows.total is not None else {}),
        "failed": count_noun(progress.failed, "clip"),
        **({"lost": lost} if progress.units.lost else {}),
        **({"in all": result} if result else {}),
        **({"rate": _describe_rate(progress)} if clips.total is not None else {}),
        **(_describe_activity(progress) if status.is_active else {}),
        "began": f"{document['began']}, by its own clock",
        "last beat": document["ended"] or document["updated"],
        "runs as": f"process {document['pid']} on {document['host']}, --cluster {document['cluster']}",
        "run folder": folder,
    }


def _describe_rate(progress: Progress) -> str:
    rates = (
        f"{format_rate(progress.clips_a_second)} clips and {format_rate(progress.audio_h_a_second)} h of audio a second"
    )
    minute = f"{progress.clips_a_second_last_minute:.3g} and {progress.audio_h_a_second_last_minute:.3g}"
    return f"{rates}; in the last minute {minute}"


def _describe_activity(progress: Progress) -> dict[str, str]:
    isolated = f", {progress.suspects} of them isolated" if progress.suspects else ""
    retried = f", {progress.retried} retried so far" if progress.retried else ""
    return {
        "in flight": f"{count_noun(progress.in_flight, 'unit')}{isolated}{retried}",
        "time left": "unknown" if progress.left_s is None else format_duration(progress.left_s),
        "workers": f"{progress.worker_text}; {count_noun(progress.threads, 'thread')}",
    }
