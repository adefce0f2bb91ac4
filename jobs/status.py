"""``hubbub status``: how a run stands, read from another shell, or another machine, while it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubbub.io.paths import StoragePath, parse_path

from . import options

if TYPE_CHECKING:
    from .runs import Standing

_SILENT_BEATS = 3
_MORE_S = 2.0  # than so many beats take, for a disk or a bucket that is slow
_NEEDED = {
    *("job", "state", "error", "began", "updated", "ended", "beat", "every_s"),
    *("host", "machine", "pid", "started_s", "cluster", "standing", "result"),
}
_GOES_ON = ("planned", "running", "stopping")
_ENDS_BADLY = ("failed", "stopped", "broken off")


def status(
    path: Annotated[
        StoragePath,
        typer.Argument(
            parser=parse_path,
            help="A run folder, or a store or label tables, of which it is the newest run.",
            metavar="RUN|STORE|LABELS",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until the run ends.")] = False,
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Tell how a run of features, label, compact or verify --repair stands, while it goes on and afterwards.

    A run whose process is on this machine is seen to be alive or dead. Of one elsewhere that can only be told by its
    beats: it is looked at until the next one, a few seconds.

    Exit codes: 0 it goes on or is done, 1 it failed, was stopped or broke off, 2 there is no such run.
    """
    folder = _run_folder(path)
    seen = _look(folder, None)
    while watch and seen.goes_on:
        _print_line(seen)
        seen = _look(folder, seen)
    _print(folder, seen, as_json=as_json)
    raise typer.Exit(1 if seen.state in _ENDS_BADLY else 0)


@dataclass(frozen=True)
class _Seen:
    """A run as it was seen.

    Attributes
    ----------
    state
        What its status says; or ``broken off``, where it says that it goes on and does not.
    why
        How that, or its being silent, is known; empty for a run that is well, or ended by itself.
    document
        The status file.
    standing
        Its standing.
    """

    state: str
    why: str
    document: dict[str, Any]
    standing: Standing

    @property
    def goes_on(self) -> bool:
        """Whether there is more to come."""
        return self.state in _GOES_ON


def _run_folder(path: StoragePath) -> StoragePath:
    """The run folder that is meant.

    Raises
    ------
    UsageError
        Where there is none.
    """
    from hubbub.errors import UsageError
    from hubbub.io.atomic import explain_read_errors, list_names

    from .runs import RUNS, STATUS

    with explain_read_errors(path):
        if (path / STATUS).is_file():
            return path
        for name in sorted(list_names(path / RUNS), reverse=True):
            if (path / RUNS / name / STATUS).is_file():
                return path / RUNS / name
        there = path.exists()
    if not there:
        raise UsageError(f"{path} does not exist; expected a run folder, a feature store or label tables")
    raise UsageError(
        f"{path} has no run: expected a run folder, or a feature store or label tables that a run has worked on"
    )


def _look(folder: StoragePath, before: _Seen | None) -> _Seen:
    """See how a run stands; `before` is how it was seen last, which then takes until its next beat.

    Raises
    ------
    UsageError
        When its status cannot be read.
    """
    import time

    document, standing = _read(folder)
    state = document["state"]
    if state not in _GOES_ON:
        return _Seen(state, "", document, standing)
    process = _process(document)
    if process == "gone":
        document, standing = _read(folder)  # which may have ended between the two looks
        if document["state"] not in _GOES_ON:
            return _Seen(document["state"], "", document, standing)
        return _Seen("broken off", f"its process {document['pid']} is gone", document, standing)
    if process == "there" and before is None and not _is_silent_here(document):
        return _Seen(state, "", document, standing)
    patience_s = _SILENT_BEATS * document["every_s"] + _MORE_S
    last, deadline = (before or _Seen(state, "", document, standing)).document["beat"], time.monotonic() + patience_s
    while document["beat"] == last and document["state"] in _GOES_ON:
        if time.monotonic() > deadline:
            return _silent(document, standing, process, patience_s)
        time.sleep(min(0.5, document["every_s"] / 4))
        if process == "there" and _process(document) == "gone":
            return _look(folder, None)
        document, standing = _read(folder)
    return _Seen(document["state"], "", document, standing)


def _silent(document: dict[str, Any], standing: Standing, process: str, for_s: float) -> _Seen:
    """A run that gave no sign of life: dead, but for one whose process is there."""
    if process == "there":
        why = f"its process {document['pid']} is there, and has written nothing for {for_s:g} s"
        return _Seen(document["state"], why, document, standing)
    why = f"no sign of life from process {document['pid']} on {document['host']} for {for_s:g} s"
    return _Seen("broken off", why, document, standing)


def _is_silent_here(document: dict[str, Any]) -> bool:
    """Whether a run of this machine, whose clock is ours, missed its last beats."""
    from datetime import UTC, datetime

    age_s = (datetime.now(UTC) - datetime.fromisoformat(document["updated"])).total_seconds()
    return not -_MORE_S < age_s < _SILENT_BEATS * document["every_s"] + _MORE_S


def _process(document: dict[str, Any]) -> str:
    """What is known of a run's process: ``there``, ``gone``, or ``unknown`` where it is none of this machine."""
    import psutil

    from .runs import own_process

    ours = own_process()
    if not ours.machine or document["machine"] != ours.machine:
        return "unknown"
    try:
        found = psutil.Process(document["pid"])
        is_it = abs(found.create_time() - document["started_s"]) < 1 and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return "gone"
    return "there" if is_it else "gone"


def _read(folder: StoragePath) -> tuple[dict[str, Any], Standing]:
    import json

    from hubbub.errors import UsageError
    from hubbub.io.atomic import explain_read_errors

    from .runs import FORMAT, STATUS, standing_from

    path = folder / STATUS
    try:
        with explain_read_errors(path):
            document = json.loads(path.read_bytes())
        if document["format"] != FORMAT:
            raise UsageError(f"{path} has format {document['format']}; this hubbub reads {FORMAT}: use the run's own")
        if missing := _NEEDED.difference(document):
            raise KeyError(", ".join(sorted(missing)))
        return document, standing_from(document["standing"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no status of a run ({type(error).__name__}: {error})") from None


def _print_line(seen: _Seen) -> None:
    from . import console

    note = f" ({seen.why})" if seen.why else ""
    console.warn(f"{seen.document['job']}: {seen.state}{note}: {seen.standing}")


def _print(folder: StoragePath, seen: _Seen, *, as_json: bool) -> None:
    from . import console

    if as_json:
        import json

        console.out.print_json(json.dumps(seen.document | {"state": seen.state, "why": seen.why, "run": str(folder)}))
        return
    console.summary(f"{seen.document['job']}: {seen.state}", _lines(folder, seen))


def _lines(folder: StoragePath, seen: _Seen) -> dict[str, Any]:
    """How a run stands, for people."""
    from . import console

    document, standing = seen.document, seen.standing
    clips, windows, lost = standing.clips, standing.windows, standing.clips.lost
    apart = f", {standing.suspects} of them apart" if standing.suspects else ""
    retried = f", {standing.retried} tried again so far" if standing.retried else ""
    where = f"process {document['pid']} on {document['host']}, --cluster {document['cluster']}"
    going = {
        "in flight": f"{standing.in_flight} units{apart}{retried}",
        "time left": "unknown" if standing.left_s is None else console.duration(standing.left_s),
        "workers": f"{standing.crew}; {standing.threads} threads",
    }
    rates = f"{standing.clips_a_second:.3g} clips and {standing.audio_h_a_second:.3g} h of sound a second"
    minute = f"{standing.clips_a_second_last_minute:.3g} and {standing.audio_h_a_second_last_minute:.3g}"
    result = ", ".join(f"{count} {name}" for name, count in document["result"].items())
    return {
        **({"why": seen.why} if seen.why else {}),
        **({"error": document["error"]} if document["error"] else {}),
        **({"clips": f"{clips.done} of {clips.total}"} if clips.total is not None else {}),
        **({standing.counted: f"{windows.done} of {windows.total}"} if windows.total is not None else {}),
        "failed": f"{standing.failed} clips",
        **({"lost": f"{standing.units.lost} units with {lost} clips"} if standing.units.lost else {}),
        **({"in all": result} if result else {}),
        **({"pace": f"{rates}; in the last minute {minute}"} if clips.total is not None else {}),
        **(going if seen.goes_on else {}),
        "began": f"{document['began']}, by its own clock",
        "last sign": document["ended"] or document["updated"],
        "runs as": where,
        "run folder": folder,
    }
