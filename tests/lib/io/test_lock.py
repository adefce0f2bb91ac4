"""Claims: at most one builder of a folder, whatever the others do, die of, or sleep through."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.errors import StorageError, StoreError
from hubbub.io import lock
from hubbub.io.lock import LOCK_FOLDER, Holder, write_lock
from hubbub.io.paths import StoragePath, parse_path
from tests.examples import count_examples

LEASE_S = 1.0
"""Shorter than the real one, and still four beats that a busy machine keeps."""

PATIENCE_S = 60
RACES = 20


@pytest.fixture(params=["disk", "bucket"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> StoragePath:
    if request.param == "disk":
        return tmp_path / "store"
    return parse_path(request.getfixturevalue("s3")) / "some" / "store"


def numbers(folder: StoragePath) -> list[str]:
    return sorted(path.name for path in (folder / LOCK_FOLDER).iterdir())


def elsewhere(folder: StoragePath, number: int, **changed: Any) -> dict[str, Any]:
    """Make a claim say that it is held on another machine."""
    path = folder / LOCK_FOLDER / f"{number:08d}.json"
    held = json.loads(path.read_bytes()) | {"host": "other", "machine": "other boot"} | changed
    path.write_bytes(json.dumps(held).encode())
    return held


def test_a_held_folder_is_refused_with_who_what_and_since_when(folder: StoragePath):
    with write_lock(folder, "features") as held:
        assert held.number == 1
        with pytest.raises(StoreError) as caught, write_lock(folder, "compact"):
            pass
        held.check()
        held.holder.check(folder)
    text = str(caught.value)
    assert str(folder) in text
    assert f"(process {os.getpid()}, hubbub features) since 20" in text
    assert "wait until it ends, or end it, and run the same command again" in text


def test_what_is_released_is_taken_again_under_a_new_number(folder: StoragePath):
    for number in (1, 2, 3):
        with write_lock(folder, "features") as held:
            assert held.number == number
            assert numbers(folder) == [f"{number:08d}.json"]
    assert numbers(folder) == ["00000003.json"]


def test_a_run_that_fails_releases(folder: StoragePath):
    with pytest.raises(KeyError), write_lock(folder, "features"):
        raise KeyError
    with write_lock(folder, "features") as held:
        assert held.number == 2


def test_two_folders_do_not_stand_in_each_others_way(folder: StoragePath):
    with write_lock(folder / "one", "features"), write_lock(folder / "two", "features") as other:
        other.check()


def test_a_holder_elsewhere_that_is_alive_is_left_alone(folder: StoragePath):
    with write_lock(folder, "features", lease_s=LEASE_S) as held:
        elsewhere(folder, held.number)
        held._record = lock._parse_record((folder / LOCK_FOLDER / "00000001.json").read_bytes())  # type: ignore[assignment]
        said: list[str] = []
        with (
            pytest.raises(StoreError, match="@other"),
            write_lock(folder, "compact", lease_s=4 * LEASE_S, notice=said.append),
        ):
            pass
        held.check()
    assert len(said) == 1
    assert "waiting up to 4 s for a sign of life" in said[0]


@pytest.mark.parametrize("since", ["1970-01-01T00:00:00Z", "2099-01-01T00:00:00Z"])
def test_a_holder_elsewhere_without_a_beat_expires_whatever_its_clock_said(tmp_path: Path, since: str):
    with write_lock(tmp_path, "features"):
        pass
    elsewhere(tmp_path, 1, released=False, since=since)
    began = time.monotonic()
    with write_lock(tmp_path, "compact", lease_s=LEASE_S) as held:
        assert time.monotonic() - began >= LEASE_S
        assert held.number == 2


def test_one_elsewhere_that_is_released_while_we_wait_is_taken_at_once(tmp_path: Path):
    with write_lock(tmp_path, "features"):
        pass
    elsewhere(tmp_path, 1, released=False)
    timer = threading.Timer(0.2, lambda: elsewhere(tmp_path, 1, released=True))
    timer.start()
    began = time.monotonic()
    with write_lock(tmp_path, "compact", lease_s=PATIENCE_S) as held:
        assert held.number == 2
    assert time.monotonic() - began < PATIENCE_S / 2


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"pid": "x"}', b"null"])
def test_a_claim_that_says_nothing_expires(tmp_path: Path, data: bytes):
    (tmp_path / LOCK_FOLDER).mkdir()
    (tmp_path / LOCK_FOLDER / "00000004.json").write_bytes(data)
    with write_lock(tmp_path, "features", lease_s=0.1) as held:
        assert held.number == 5


def test_a_process_number_that_another_process_has_now_is_a_dead_holder(tmp_path: Path):
    with write_lock(tmp_path, "features"):
        pass
    path = tmp_path / LOCK_FOLDER / "00000001.json"
    mine = json.loads(path.read_bytes())
    path.write_text(json.dumps(mine | {"released": False, "started": mine["started"] - 1}))
    with write_lock(tmp_path, "features", lease_s=PATIENCE_S) as held:
        assert held.number == 2


def test_one_who_was_taken_over_notices(folder: StoragePath):
    with write_lock(folder, "features", lease_s=LEASE_S) as first:
        (folder / LOCK_FOLDER / "00000002.json").write_bytes(b"taken")
        with pytest.raises(StorageError, match="is no longer ours to write"):
            first.check()
        with pytest.raises(StorageError, match="is no longer ours to write"):
            Holder(first.number, first.token).check(folder)
        assert first.lost.is_set()
    assert (folder / LOCK_FOLDER / "00000002.json").read_bytes() == b"taken"


def test_the_beats_notice_too(tmp_path: Path):
    with write_lock(tmp_path, "features", lease_s=LEASE_S) as first:
        (tmp_path / LOCK_FOLDER / "00000002.json").write_bytes(b"taken")
        assert first.lost.wait(PATIENCE_S)


def test_a_folder_made_anew_meanwhile_is_not_ours(tmp_path: Path):
    """Numbers begin anew there; so the number alone would say that it is still held."""
    folder = tmp_path / "store"
    with write_lock(folder, "features") as first:
        (folder / LOCK_FOLDER / "00000001.json").unlink()
        with pytest.raises(StorageError, match="its lock is gone"):
            first.check()
        with write_lock(folder, "features") as second:
            assert second.number == first.number
            with pytest.raises(StorageError, match="holds it"):
                first.check()


@pytest.mark.parametrize("raises", [False, True])
def test_a_lost_answer_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raises: bool):
    create_if_absent = lock.create_if_absent

    def answer_lost(path: Path, data: bytes) -> bool:
        create_if_absent(path, data)
        if raises:
            raise StorageError("no answer")
        return False

    monkeypatch.setattr(lock, "create_if_absent", answer_lost)
    with write_lock(tmp_path, "features") as held:
        held.check()


def test_where_nothing_can_be_written_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(path: Path, data: bytes) -> bool:
        raise StorageError("the disk is full")

    monkeypatch.setattr(lock, "create_if_absent", full)
    with pytest.raises(StorageError, match="the disk is full"), write_lock(tmp_path, "features"):
        pass


HOLD = """
import sys, time
from hubbub.errors import StoreError
from hubbub.io.paths import parse_path
from hubbub.io.lock import write_lock
if __name__ == "__main__":
    folder, wait = parse_path(sys.argv[1]), sys.argv[2] == "wait"
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        with write_lock(folder, "features", lease_s=float(sys.argv[3])) as held:
            print("held", held.number, flush=True)
            sys.stdin.readline()
            held.check()
            print("still", flush=True)
    except StoreError as error:
        print("refused", error, flush=True)
    except Exception as error:
        print("lost", error, flush=True)
"""


@contextmanager
def taker(folder: StoragePath, lease_s: float = lock.LEASE_S) -> Iterator[subprocess.Popen[str]]:
    """Start a process that takes the folder when it is told `go`, and looks again when told so once more."""
    words = [sys.executable, "-c", HOLD, str(folder), "wait", str(lease_s)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert said(process) == "ready"
            yield process
        finally:
            process.kill()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_of_two_processes_that_race_one_wins(folder: StoragePath):
    with taker(folder) as one, taker(folder) as two:
        go(one), go(two)
        answers = sorted(answer.split()[0] for answer in (said(one), said(two)))
        assert answers == ["held", "refused"]


def test_of_many_races_of_two_processes_each_has_one_winner(tmp_path: Path):
    """Both sides stay up, so that they meet: starting takes longer than claiming."""
    script = RACE.format(races=RACES)
    words = [sys.executable, "-c", script, str(tmp_path)]
    racers = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for race in range(RACES):
        for racer in racers:
            assert said(racer) == f"ready {race}"
        for racer in racers:
            go(racer)
        answers = sorted(said(racer) for racer in racers)
        assert answers == ["held", "refused"], race
        for racer in racers:
            go(racer)
    for racer in racers:
        racer.communicate(timeout=PATIENCE_S)


RACE = """
import sys
from pathlib import Path
from hubbub.errors import StoreError
from hubbub.io.lock import write_lock
for race in range({races}):
    print("ready", race, flush=True)
    sys.stdin.readline()
    try:
        with write_lock(Path(sys.argv[1]) / str(race), "features"):
            print("held", flush=True)
            sys.stdin.readline()
    except StoreError:
        print("refused", flush=True)
        sys.stdin.readline()
"""


def test_who_was_killed_is_followed_at_once(folder: StoragePath):
    with taker(folder) as first:
        go(first)
        assert said(first) == "held 1"
        first.send_signal(signal.SIGKILL)
        while Path(f"/proc/{first.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.01)  # not waited for: a killed process whose parent is busy is dead as well
        began = time.monotonic()
        with write_lock(folder, "compact") as held:
            assert held.number == 2
        assert time.monotonic() - began < lock.LEASE_S / 2


def test_who_slept_through_a_takeover_notices_on_waking(folder: StoragePath):
    with taker(folder, LEASE_S) as first:
        go(first)
        assert said(first) == "held 1"
        first.send_signal(signal.SIGSTOP)
        elsewhere(folder, 1)
        with write_lock(folder, "compact", lease_s=LEASE_S) as held:
            assert held.number == 2
            first.send_signal(signal.SIGCONT)
            go(first)
            assert said(first).startswith(f"lost {folder} is no longer ours to write")
            held.check()
        with write_lock(folder, "compact") as held:
            assert held.number == 3


# Every interleaving: takers run in threads, and at each step on the storage wait until it is their turn.


class Ended(BaseException):
    """A taker is killed: it does nothing more."""


class Storage:
    """Claims in memory; each operation is one step, taken when the schedule says so."""

    def __init__(self) -> None:
        self.files: dict[int, bytes] = {}
        self.takers: dict[int, Taker] = {}
        self.running: Taker | None = None

    def step(self) -> None:
        """Wait for this thread's next turn."""
        taker = self.running
        assert taker is not None
        taker.wait()

    def names(self, folder: FakePlace) -> list[str]:
        self.step()
        return [f"{number:08d}.json" for number in self.files]

    def read_bytes(self, path: FakePlace) -> bytes:
        self.step()
        if path.number not in self.files:
            raise FileNotFoundError
        return self.files[path.number]

    def create_if_absent(self, path: FakePlace, data: bytes) -> bool:
        self.step()
        if path.number in self.files:
            return False
        self.files[path.number] = data
        taker = self.running
        assert taker is not None
        return not taker.answers_lost

    def write_bytes(self, path: FakePlace, data: bytes) -> None:
        self.step()
        self.files[path.number] = data

    def remove(self, path: FakePlace) -> None:
        self.step()
        self.files.pop(path.number, None)


class FakePlace:
    """A place in `Storage`."""

    def __init__(self, storage: Storage, name: str = "") -> None:
        self.storage, self.name = storage, name

    def __truediv__(self, name: str) -> FakePlace:
        return FakePlace(self.storage, name)

    @property
    def number(self) -> int:
        return int(self.name.removesuffix(".json"))


class Taker:
    """One who takes, checks some times, releases, and begins again; for `Storage` to let forward a step at a time."""

    def __init__(self, storage: Storage, index: int, *, answers_lost: bool) -> None:
        self.storage, self.index, self.answers_lost = storage, index, answers_lost
        self.turn, self.done = threading.Semaphore(0), threading.Semaphore(0)
        self.killed = self.finished = False
        self.holds: int | None = None
        self.checked: list[int] = []
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def forward(self) -> None:
        """Let the thread run to its next step on the storage."""
        self.storage.running = self
        self.turn.release()
        self.done.acquire()

    def wait(self) -> None:
        self.done.release()
        self.turn.acquire()
        if self.killed:
            raise Ended

    def _run(self) -> None:
        self.turn.acquire()
        try:
            for _ in range(3):
                self._take_and_hold()
        except Ended:
            pass
        except BaseException as error:
            self.error = error
        self.finished, self.holds = True, None
        self.done.release()

    def _take_and_hold(self) -> None:
        folder: Any = FakePlace(self.storage)
        record = lock._Record(f"{self.index} {len(self.checked)}", "u", str(self.index), "m", self.index, 0, "job", "")
        try:
            number = lock._acquire(folder, record, 0.0, lambda text: None)
        except StoreError:
            return
        self.holds = number
        try:
            for _ in range(2):
                Holder(number, record.token).check(folder)
                self.checked.append(number)
                HISTORY.append((number, self.index))
            self.holds = None
            self.storage.write_bytes(folder / f"{number:08d}.json", lock.replace(record, released=True).data)
        except StorageError:
            self.holds = None


HISTORY: list[tuple[int, int]] = []
"""Number and taker of each check that passed, in the order of time."""

STEPS = 100
"""More than any taker needs to its end."""


def run_schedule(
    schedule: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch, lost: set[int], mistaken: bool
) -> tuple[list[Taker], list[int]]:
    """Let takers go forward as a schedule says; returns them, and how many held after each step."""
    storage = Storage()
    HISTORY.clear()
    takers = [Taker(storage, index, answers_lost=index in lost) for index in range(3)]
    monkeypatch.setattr(lock, "list_names", storage.names)
    monkeypatch.setattr(lock, "create_if_absent", storage.create_if_absent)
    monkeypatch.setattr(lock, "read_bytes", storage.read_bytes)
    monkeypatch.setattr(lock, "remove_file", storage.remove)

    def process(record: Any) -> str:
        return "gone" if mistaken or takers[record.pid].finished or takers[record.pid].killed else "there"

    monkeypatch.setattr(lock, "_process", process)
    holding = []
    for index, what in [*schedule, *((index, "go") for _ in range(STEPS) for index in range(3))]:
        taker = takers[index]
        if taker.finished:
            continue
        taker.killed |= what == "kill"
        taker.forward()
        holding.append(sum(other.holds is not None for other in takers))
    assert all(taker.finished for taker in takers)
    assert [taker.error for taker in takers if taker.error] == []
    return takers, holding


@st.composite
def schedules(draw: st.DrawFn) -> list[tuple[int, str]]:
    """Whose step is next, in runs: what goes wrong, goes wrong where one sleeps while others come and go."""
    runs = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 14)), min_size=3, max_size=20))
    killed = draw(st.one_of(st.none(), st.integers(0, len(runs) - 1)))
    steps = [[(index, "go")] * count for index, count in runs]
    if killed is not None:
        steps[killed].append((runs[killed][0], "kill"))
    return [step for run in steps for step in run]


@settings(max_examples=count_examples(300))
@given(schedule=schedules(), lost=st.sets(st.integers(0, 2)))
def test_at_most_one_holds_whatever_the_order_of_steps(schedule: list[tuple[int, str]], lost: set[int]):
    with pytest.MonkeyPatch.context() as monkeypatch:
        takers, holding = run_schedule(schedule, monkeypatch, lost, mistaken=False)
    assert max(holding) <= 1
    assert any(taker.checked or taker.killed for taker in takers)  # who may not hold is refused, not all


@settings(max_examples=count_examples(300))
@given(schedule=schedules(), lost=st.sets(st.integers(0, 2)))
def test_of_those_who_are_taken_for_dead_none_passes_a_check_after_another(
    schedule: list[tuple[int, str]], lost: set[int]
):
    """Everyone takes everyone else for dead, as where machines sleep and wake: checks that pass have rising numbers."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        run_schedule(schedule, monkeypatch, lost, mistaken=True)
    numbers = [number for number, _ in HISTORY]
    assert numbers == sorted(numbers)
    assert len(set(HISTORY)) == len(set(numbers))  # no number was two takers'
