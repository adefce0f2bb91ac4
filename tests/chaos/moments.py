"""Builds that are broken off at seeded random moments and started again, until each moment has struck.

::

    moments   worker@3+0.08s  driver@0+2.1s  driver@1+0.02s …
    build 1   |---x----X  |-X  |--X     |--------> done, and compared with a build that nobody broke off
    build 2   |-----X  |---…
"""

from __future__ import annotations

import random
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np
import pandas as pd
import psutil

from hubbub.store.features import FeatureStore
from hubbub.store.opening import open_store
from tests.chaos.poison_clips import REASONS
from tests.chaos.processes import (
    PATIENCE_S,
    Cluster,
    Run,
    disconnect,
    is_worker,
    kill_driver,
    kill_driver_and_workers,
    stop_driver,
    wait_until,
)
from tests.jobs.command import hubbub
from tests.servers.proxy import Proxy

KEY = ["clip_id", "channel", "variant", "window"]
"""What a row is, wherever it lies."""

MAY_DIFFER = ["row", "shard", "attempts"]
"""Columns that breaking off may change: where a row lies, and how often it was tried."""

COMMITS = 8
"""A moment comes after fewer commits than this, counted from the kill or start before it."""

STARTING_S = 6.0
"""Moments that wait for no commit come within this time from the start, s."""

JITTER_S = 0.2
"""Moments that wait for commits come within this time after them, s: within the next unit."""

LOCAL = ("worker", "driver", "driver_and_workers", "stop")
"""Kinds of kills where the driver has a cluster of its own, the scheduler being in its process."""

GUEST = ("scheduler", "worker", "driver")
"""Kinds of kills where scheduler and workers are processes of others; the scheduler comes back where it was."""

FAULTS = (*GUEST, "stall", "disconnect")
"""The same, and what befalls workers that live on: they stand still for a while, or lose their connections."""

_SURVIVED = ("scheduler", "worker", "stall", "disconnect")
"""After these the same run goes on."""

_FAULT_S = (0.2, 4.0)
"""How long a worker stands still, or a scheduler is away: from, to."""

_HELD = "is being written by"


@dataclass(frozen=True)
class Moment:
    """When to kill what.

    Attributes
    ----------
    kind
        One of `LOCAL` or `FAULTS`.
    commits
        Units to wait for; 0: any state, that before the store exists too.
    delay_s
        How long after them, s.
    """

    kind: str
    commits: int
    delay_s: float


def random_moments(count: int, kinds: Sequence[str], seed: int) -> list[Moment]:
    """Draw moments, every kind as often as the others, in random order."""
    chance = random.Random(seed)
    drawn = [kinds[number % len(kinds)] for number in range(count)]
    chance.shuffle(drawn)
    commits = [chance.randrange(COMMITS) for _ in drawn]
    delays = [chance.uniform(0, JITTER_S if waited else STARTING_S) for waited in commits]
    return [Moment(*moment) for moment in zip(drawn, commits, delays, strict=True)]


@dataclass
class Figures:
    """What happened.

    Attributes
    ----------
    seed
        Of the moments.
    kills
        Processes killed, or groups of them, by kind; and clips that were poison.
    faults
        What the proxy did, by kind.
    requests
        What it was asked.
    runs
        Commands started.
    stores
        Stores built to their end and compared.
    waits
        Runs refused because of the claim of one that was dead, and tried again.
    began_at
        When it all began, s of this machine's clock.
    """

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    runs: int = 0
    stores: int = 0
    waits: int = 0
    began_at: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        kills = ", ".join(f"{kind} {count}" for kind, count in sorted(self.kills.items()))
        faults = ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items()))
        of_proxy = f"; {self.faults.total()} more in {self.requests} requests ({faults})" if self.requests else ""
        return (
            f"{self.kills.total()} faults ({kills}){of_proxy}; {self.runs} runs, {self.waits} of them refused for a "
            f"dead run's lock; {self.stores} stores, built and compared with the uninterrupted one; seed {self.seed}; "
            f"{time.monotonic() - self.began_at:.0f} s"
        )


@dataclass
class Chaos:
    """Builds stores of one clip table through kills.

    Attributes
    ----------
    clips
        Address of the clip table.
    options
        Words of `hubbub features` that decide what is built.
    folder
        Where logs go.
    figures
        What happened so far.
    count_parts
        Tells how many units a store has committed, by its address.
    environment
        Of the commands; None: this process's.
    cluster
        Where the driver is a guest; None: it has two workers of its own.
    poison
        Deeds by file name (`poison_clips`) of clips that cannot be done on the cluster.
    patience_s
        After this time a run that commits nothing, or does not end, is thought to hang, s.
    """

    clips: str
    options: tuple[object, ...]
    folder: Path
    figures: Figures
    count_parts: Callable[[str], int]
    environment: Mapping[str, str] | None = None
    cluster: Cluster | None = None
    poison: Mapping[str, str] = field(default_factory=dict)
    patience_s: float = PATIENCE_S
    _base: int = 0

    def build_until_all_struck(self, moments: Sequence[Moment], store_of: Callable[[int], str]) -> list[str]:
        """Build stores until every moment has struck; returns their addresses, each store done."""
        waiting, stores = deque(moments), list[str]()
        while waiting or not stores:
            stores.append(store_of(len(stores)))
            self._build(stores[-1], waiting)
        return stores

    def _build(self, store: str, waiting: deque[Moment]) -> None:
        most = self.figures.runs + len(waiting) + 20
        while True:
            assert self.figures.runs < most, f"{store} is not done after so many runs without a kill"
            if self._run(store, waiting):
                self.figures.kills.update({"poison": len(self.poison)} if self.poison else {})
                return

    def _run(self, store: str, waiting: deque[Moment]) -> bool:
        """Run the command once, and strike while it runs; returns whether the store is done."""
        self.figures.runs += 1
        run = Run(self._words(store), self.folder / f"run-{self.figures.runs:03d}.log", self.environment)
        self._base = self.count_parts(store)
        killed = None
        while killed in (None, *_SURVIVED) and waiting and self._comes(waiting[0], run, store):
            moment = waiting.popleft()
            killed = moment.kind
            self._strike(moment, run)
            self.figures.kills[killed] += 1
            self._base = self.count_parts(store)
        return self._judge(run, run.wait(self.patience_s), killed)

    def _words(self, store: str) -> tuple[object, ...]:
        where = ("--workers", 2) if self.cluster is None else ("--cluster", self.cluster.address)
        return ("features", self.clips, "-o", store, *where, *self.options)

    def _comes(self, moment: Moment, run: Run, store: str) -> bool:
        """Wait for a moment; False where the run ended before it."""
        if moment.commits:
            wanted = self._base + moment.commits
            wait_until(
                lambda: run.over or self.count_parts(store) >= wanted, f"{wanted} parts in {store}", self.patience_s
            )
        strike_at = time.monotonic() + moment.delay_s
        wait_until(lambda: run.over or time.monotonic() >= strike_at, "a moment")
        if moment.kind in ("worker", "stall", "disconnect"):
            wait_until(lambda: run.over or bool(self._workers(run)), "a worker")
        return not run.over

    def _workers(self, run: Run) -> list[psutil.Process]:
        return self.cluster.workers() if self.cluster else [one for one in run.descendants() if is_worker(one)]

    def _strike(self, moment: Moment, run: Run) -> None:
        chance = random.Random(moment.delay_s)
        if moment.kind in ("worker", "stall", "disconnect"):
            self._strike_worker(moment.kind, chance.choice(self._workers(run)), chance.uniform(*_FAULT_S))
        elif moment.kind == "scheduler":
            assert self.cluster is not None
            self.cluster.kill_scheduler()
            time.sleep(chance.uniform(*_FAULT_S))
            self.cluster.start_scheduler()
        else:
            {"driver": kill_driver, "driver_and_workers": kill_driver_and_workers, "stop": stop_driver}[moment.kind](
                run
            )

    def _strike_worker(self, kind: str, worker: psutil.Process, fault_s: float) -> None:
        with suppress(psutil.NoSuchProcess):  # poison was faster
            if kind == "worker":
                worker.kill()
            elif kind == "stall":
                worker.suspend()
                time.sleep(fault_s)
                worker.resume()
            elif self.cluster is not None:
                disconnect(worker, self.cluster.address)

    def _judge(self, run: Run, code: int, killed: str | None) -> bool:
        """See that a run that nobody ended ends well, or refuses in words; returns whether nothing is left to do.

        No run that can speak shows a traceback. One whose scheduler goes before it is reached may say so and end.
        """
        said = run.said
        assert "Traceback" not in said, said
        assert "a fault in hubbub" not in said, said
        is_done = code == 0 or (bool(self.poison) and code == 1 and "features: done" in said)
        if not is_done and killed in (None, "worker", "stall", "disconnect"):
            assert _HELD in said, f"a run that nobody killed ended with {code}; it said:\n{said}"
            self.figures.waits += 1
            time.sleep(1)
        return is_done


def assert_equal_stores(store: str, whole: str, poison: Mapping[str, str] | None = None) -> None:
    """Compare two stores row for row and value for value, wherever in them a row lies.

    Clips that are poison to the first (deeds by file name) have no values; `assert_poisoned` sees to them.
    """
    ours, theirs = sorted_rows(open_store(store)), sorted_rows(open_store(whole))
    assert not ours.duplicated(KEY).any(), f"{store} has rows twice"
    theirs = theirs[[PurePath(uri).name not in (poison or {}) for uri in theirs["uri"]]].reset_index(drop=True)
    assert list(ours["clip_id"]) == list(theirs["clip_id"]), f"{store} lost or doubled clips"
    pd.testing.assert_frame_equal(ours.drop(columns=MAY_DIFFER), theirs.drop(columns=MAY_DIFFER))
    values = open_store(store).read_rows(list(ours["row"]))
    expected = open_store(whole).read_rows(list(theirs["row"]))
    assert values.dtype == expected.dtype
    assert np.array_equal(values.view(np.uint8), expected.view(np.uint8)), f"{store} has other values"


def assert_poisoned(store: str, poison: Mapping[str, str]) -> None:
    """See that exactly the poisoned clips failed, each with its reason, in one row."""
    rows = open_store(store).row_table(["uri", "status", "error"]).to_pandas().query("status == 'failed'")
    errors = {PurePath(uri).name: error for uri, error in zip(rows["uri"], rows["error"], strict=True)}
    assert sorted(PurePath(uri).name for uri in rows["uri"]) == sorted(poison), errors
    for name, deed in poison.items():
        assert re.match(REASONS[deed], errors[name]), f"{name}, poisoned by '{deed}': {errors[name]}"


def sorted_rows(store: FeatureStore) -> pd.DataFrame:
    return store.rows().sort_values(KEY, ignore_index=True)


def assert_verified(store: str, clips: str, environment: Mapping[str, str] | None = None) -> None:
    """See that `hubbub verify` finds nothing."""
    done = hubbub("verify", store, "--clips", clips, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"problems\s*│\s*0\s*│", done.stdout), done.stdout


def take_counts(figures: Figures, between: Proxy) -> None:
    """Add what a proxy did."""
    figures.faults.update(between.counts)
    figures.requests += between.requests
