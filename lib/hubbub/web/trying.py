"""Models that are tried on recordings: loaded once, one recording at a time each, as ``hubbub label`` labels them.

A recording is indexed, planned and labelled by the same task, into label tables of its own in a temporary folder, so
its events are those that the command would find. Recordings that were dropped are kept in `hubbub.web.shelf`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pandas as pd

from hubbub.audio.recorders import describe_recording, read_header_notes
from hubbub.clips.index import index_listing
from hubbub.clips.sources import Listing
from hubbub.clips.table import ClipTable, clip_id
from hubbub.config import Settings
from hubbub.engine.serial import SerialEngine
from hubbub.errors import HubbubError, UsageError, suggest_nearest
from hubbub.io.paths import StoragePath
from hubbub.io.text import make_visible
from hubbub.labels.events import EventRule
from hubbub.labels.tables import LabelTables, create_labels
from hubbub.planning.plan import plan_labels
from hubbub.store.parts import concatenate_tables
from hubbub.tasks.events import rebuild_events
from hubbub.web.recordings import Recording
from hubbub.web.shelf import MOST_SOUNDS, Shelf, Slot

_LOADING = threading.Lock()  # one model after the other: Keras is imported once, and memory has one peak at a time
_STOP_S = 5.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class TriedModel:
    """A model to try.

    Attributes
    ----------
    name, kind
        What the page calls it: of its path, and of its network or format.
    path
        Its bundle, or the YAML file of a model of others.
    document
        Entries of run.json as ``hubbub label`` would write them; `root` is filled in for each recording.
    settings
        Of its features.
    hop_s, stream
        As `hubbub.planning.plan.plan_labels` takes them.
    """

    name: str
    kind: str
    path: StoragePath
    document: dict[str, Any]
    settings: Settings
    hop_s: float
    stream: dict[str, Any] = field(default_factory=dict)

    @property
    def rules(self) -> dict[str, EventRule]:
        """The rule of each label."""
        return {label: EventRule(**rule) for label, rule in self.document["rules"].items()}

    @property
    def labels(self) -> list[str]:
        """In the order of the scores."""
        return list(self.document["labels"])

    def load(self) -> None:
        """Check and load it, for the tasks of this process; errors of `hubbub.models.opening.open_model`."""
        from hubbub.models.opening import check_model
        from hubbub.tasks.scoring import load_model

        check_model(self.path)
        frames = self.document.get("frames")
        load_model(
            self.path, self.document["model_hash"], frames["runtime"] if frames else self.document.get("runtime")
        )


class Trial:
    """One recording, scored by one model.

    Attributes
    ----------
    state
        waiting, scoring, done, or failed.
    share
        Of the windows that are scored, 0 to 1.
    error
        Why it failed, as in a failed row of label tables.
    tables
        Its label tables, once it is done.
    """

    def __init__(self, sound: TriedSound, model: TriedModel, folder: Path) -> None:
        self.sound, self.model, self.folder = sound, model, folder
        self.state, self.share = "waiting", 0.0
        self.error: str | None = None
        self.tables: LabelTables | None = None
        self.row: dict[str, Any] = {}

    @property
    def is_busy(self) -> bool:
        """Whether it waits or is under way."""
        return self.state in ("waiting", "scoring")

    def run(self, stop: threading.Event) -> None:
        """Score the recording; whatever goes wrong is its failure."""
        self.state = "scoring"
        try:
            self.row = self._label(stop)
            error = self.row["error"]
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
        if error is not None:
            self.fail(error)
        else:
            self.state = "done"

    def fail(self, error: str) -> None:
        """Say why there is no result."""
        self.error, self.state = self.sound.show_text(error), "failed"

    def _label(self, stop: threading.Event) -> dict[str, Any]:
        from hubbub.tasks.label import LabelTask  # compiles loops

        table, model = self.sound.table, self.model
        tables = create_labels(self.folder, model.document | {"root": str(table.root)})
        plan = plan_labels(table, model.settings, model.hop_s, **model.stream)
        task = LabelTask(tables, model.path, table.rows.schema)
        windows, engine = max(1, plan.windows), SerialEngine()
        for phase in plan.phases():
            for result in engine.run(task, phase.units(), stop):
                self.share = min(1.0, self.share + getattr(result, "windows", 0) / windows)
        if stop.is_set() or not tables.committed():
            raise UsageError(f"scoring {self.sound.name} was stopped; give it again")
        self.tables = tables
        unit = tables.committed()[0]
        return tables.read_part("files", unit).to_pylist()[0] | {"unit": unit}

    def require_tables(self) -> LabelTables:
        """Return the label tables of a trial that is done.

        Raises
        ------
        UsageError
            It is not.
        """
        if self.tables is None or self.state != "done":
            raise UsageError(
                f"{self.sound.name} is {self.state} with {self.model.name}; expected one that has been scored"
            )
        return self.tables

    def change_rules(self, thresholds: Mapping[str, Any]) -> dict[str, EventRule]:
        """Return the model's rules at other thresholds; a release keeps its proportion.

        Raises
        ------
        UsageError
            For an unknown label, or a threshold that is none.
        """
        rules = dict(self.model.rules)
        for label, given in thresholds.items():
            if label not in rules:
                raise UsageError(f"unknown label '{label[:80]}': {suggest_nearest(label, rules)}")
            if isinstance(given, bool) or not isinstance(given, int | float):
                raise UsageError(f"threshold {str(given)[:40]!r} of '{label}': expected a number above 0 and up to 1")
            rules[label] = rules[label].with_threshold(float(given))
        return rules

    def find_events(self, rules: Mapping[str, EventRule]) -> pd.DataFrame:
        """Find events in the stored scores, in the order of exports; their uri is the name that the page shows."""
        tables = self.require_tables()
        run = tables.run | {"rules": {label: rule.to_dict() for label, rule in rules.items()}}
        found = concatenate_tables([events for _, events in rebuild_events(replace(tables, run=run))]).to_pandas()
        found = found.sort_values(["onset_s", "offset_s", "label"], kind="stable", ignore_index=True)
        return found.assign(uri=self.sound.name)

    def recording(self) -> Recording:
        """The recording with its row, as curves are read of it."""
        return replace(self.sound.recording, file=self.folder.name + self.sound.key, clips=(self.row,))


@dataclass
class TriedSound:
    """A recording that was dropped on the page.

    Attributes
    ----------
    key
        What addresses call it, and its file's name on the disk.
    name
        What the page shows: the file name that the client gave.
    table
        Of this one clip.
    trials
        One a model.
    """

    key: str
    name: str
    table: ClipTable
    recording: Recording
    trials: list[Trial] = field(default_factory=list)

    @property
    def is_busy(self) -> bool:
        """Whether a model is at it, or will be."""
        return any(trial.is_busy for trial in self.trials)

    def show_text(self, text: str) -> str:
        """Return a text with the name that people know in place of the one on the disk."""
        return text.replace(str(self.recording.root) + "/", "").replace(self.recording.uri, self.name)


def index_sound(slot: Slot, name: str) -> TriedSound:
    """Read the header of a recording that was taken, as if it had the name that was given: that may tell a time."""
    facts = describe_recording(name, read_header_notes(slot.path))
    times = {} if facts.recorded_at is None else {"recorded_at": facts.recorded_at}
    own = {"uri": slot.path.name, "clip_id": clip_id(name, None, None), "labels": []}
    listing = Listing(slot.folder, [own | facts.columns() | times])
    table = index_listing(listing)[0]
    row = table.rows.to_pylist()[0]
    return TriedSound(slot.key, name, table, Recording(slot.key, row["uri"], (row,), slot.folder))


class ModelThread:
    """A thread that loads a model, and scores one recording after the other.

    Attributes
    ----------
    state
        loading, ready, or failed.
    error
        Why it cannot be used.
    """

    def __init__(self, model: TriedModel, stop: threading.Event, say: Say, warn: Say) -> None:
        self.model, self._stop, self._say, self._warn = model, stop, say, warn
        self.state = "loading"
        self.error: str | None = None
        self._waiting: SimpleQueue[Trial | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"hubbub-try-{model.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Stop after the unit that is under way; who is still at one is not waited for long."""
        self._waiting.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=_STOP_S)

    def add(self, trial: Trial) -> None:
        """Let a trial wait for its turn."""
        self._waiting.put(trial)

    def _run(self) -> None:
        try:
            self._load()
        except Exception as error:
            self.error = str(error) if isinstance(error, HubbubError) else f"{type(error).__name__}: {error}"
            self.state = "failed"
            self._warn(f"{self.model.name} cannot be used: {self.error}")
        while (trial := self._waiting.get()) is not None and not self._stop.is_set():
            if self.error is not None:
                trial.fail(f"the model cannot be used: {self.error}")
            elif trial.folder.parent.is_dir():  # it may have been removed while it waited
                trial.run(self._stop)

    def _load(self) -> None:
        self._say(f"loading {self.model.name} …")
        with _LOADING:
            started = time.monotonic()
            self.model.load()
        self.state = "ready"
        self._say(f"{self.model.name} is loaded, in {time.monotonic() - started:.1f} s")


class TrialRoom:
    """Models, and the recordings that are tried on them; a context that ends with nothing left on the disk.

    Parameters
    ----------
    models
        What is tried.
    most_bytes
        Of a recording.
    most_sounds
        Recordings kept; the one looked at longest ago goes first.
    say, warn
        Told what becomes of the models.
    """

    def __init__(
        self,
        models: Sequence[TriedModel],
        *,
        most_bytes: int,
        most_sounds: int = MOST_SOUNDS,
        say: Say = lambda text: None,
        warn: Say = lambda text: None,
    ) -> None:
        from hubbub.tasks.scoring import keep_models

        keep_models(len(models))
        self.most_bytes = most_bytes
        self.shelf: Shelf[TriedSound] = Shelf(most_sounds)
        self._stop = threading.Event()
        self.threads = [ModelThread(model, self._stop, say, warn) for model in models]

    def __enter__(self) -> TrialRoom:
        """Return it; models are loaded from `start` on."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Stop, and remove all recordings."""
        self.close()

    def start(self) -> None:
        """Begin to load the models."""
        for thread in self.threads:
            thread.start()

    def close(self) -> None:
        """Stop, and remove all recordings; a second time nothing is left to do."""
        self._stop.set()
        for thread in self.threads:
            thread.end()
        self.shelf.close()

    def add(self, slot: Slot, name: str) -> TriedSound:
        """Keep a recording that lies in its slot, and have every model score it."""
        sound = index_sound(slot, make_visible(name) or "a recording")
        sound.trials = [
            Trial(sound, thread.model, slot.folder / f"labels-{number}") for number, thread in enumerate(self.threads)
        ]
        self.shelf.put(slot, sound)
        for thread, trial in zip(self.threads, sound.trials, strict=True):
            thread.add(trial)
        return sound

    def find_trial(self, key: str, number: int) -> Trial:
        """Look a trial up.

        Raises
        ------
        UsageError
            There is no such recording any more, or no such model.
        """
        trials = self.shelf.find(key).trials
        if not 0 <= number < len(trials):
            raise UsageError(f"there is no model {number}; expected 0 to {len(trials) - 1}")
        return trials[number]
