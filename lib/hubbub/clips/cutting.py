"""Work on the recordings of a table, several at a time: cut stretches out of them, or whatever is handed in.

A recording that cannot be read is a reason, never an end: a place that cannot be written ends the work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hubbub.audio.cutting import cut_stretch
from hubbub.audio.decode import read_audio_info
from hubbub.audio.remote import local_copy
from hubbub.clips.table import has_changed, resolve_uri
from hubbub.errors import FileChanged, HubbubError, StorageError
from hubbub.io.paths import StoragePath, is_local

_THREADS, _BUCKET_THREADS = 2, 8  # those of a bucket mostly wait


@dataclass(frozen=True)
class Stretch:
    """A stretch to be cut out.

    Attributes
    ----------
    uri, version
        The recording, and what tells changed content of it.
    start_s, end_s
        Seconds from the recording's start.
    out
        The WAV or FLAC file.
    """

    uri: str
    version: str | None
    start_s: float
    end_s: float
    out: StoragePath


def visit_recordings(
    recordings: Sequence[tuple[str, str | None]],
    root: StoragePath,
    work: Callable[[Path, int], None],
    on_done: Callable[[int], None] = lambda place: None,
) -> list[str | None]:
    """Hand recordings to `work`, in threads.

    Parameters
    ----------
    recordings
        Uri and version of each.
    root
        What relative uris are relative to.
    work
        Called with the recording as a file of this machine, and its place in `recordings`.
    on_done
        Called with the place of each that is done, in their order.

    Returns
    -------
    list
        Why each recording could not be worked on; None where it was.

    Raises
    ------
    StorageError
        Where `work` cannot write.
    """

    def visit(place: int) -> str | None:
        uri, version = recordings[place]
        try:
            source = resolve_uri(uri, root)
            if has_changed(source, version):
                raise FileChanged("changed since it was labelled or embedded; do that again")
            with local_copy(source, version) as recording:
                work(recording, place)
        except StorageError:  # of the folder: no other recording would fare better
            raise
        except HubbubError as error:
            return describe_problem(error)
        return None

    problems = []
    with ThreadPoolExecutor(_THREADS if is_local(root) else _BUCKET_THREADS) as pool:
        for place, problem in enumerate(pool.map(visit, range(len(recordings)))):
            problems.append(problem)
            on_done(place)
    return problems


def cut_stretches(
    stretches: Sequence[Stretch], root: StoragePath, advance: Callable[[float], None] = lambda count: None
) -> list[str | None]:
    """Cut stretches out of their recordings, each of which is fetched and looked at once.

    Parameters
    ----------
    stretches
        In any order.
    root
        What relative uris are relative to.
    advance
        Called with the number of stretches that are done.

    Returns
    -------
    list
        Why each stretch could not be cut out; None where it was.

    Raises
    ------
    StorageError
        For a place that cannot be written.
    """
    places: dict[tuple[str, str | None], list[int]] = {}
    for place, stretch in enumerate(stretches):
        places.setdefault((stretch.uri, stretch.version), []).append(place)
    groups, problems = list(places.values()), [None] * len(stretches)  # type: list[list[int]], list[str | None]

    def cut(recording: Path, group: int) -> None:
        rate = read_audio_info(recording).sample_rate
        for place in groups[group]:
            one = stretches[place]
            try:
                cut_stretch(recording, one.out, start_s=one.start_s, end_s=one.end_s, sample_rate=rate)
            except StorageError:
                raise
            except HubbubError as error:
                problems[place] = describe_problem(error)

    whole = visit_recordings(list(places), root, cut, lambda group: advance(len(groups[group])))
    for group, problem in zip(groups, whole, strict=True):
        for place in group if problem is not None else ():
            problems[place] = problem
    return problems


def describe_problem(error: HubbubError) -> str:
    """Say what went wrong with a recording: the class of the error, then its text."""
    return f"{type(error).__name__}: {error}"
