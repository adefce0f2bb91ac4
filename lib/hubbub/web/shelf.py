"""A shelf for what the page is given: so many recordings in a temporary folder, of which the oldest fall out."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from hubbub.errors import UsageError
from hubbub.io.atomic import explain_write_errors
from hubbub.io.text import count_noun

MOST_SOUNDS = 20


class Shelved(Protocol):
    """What is kept on a shelf."""

    @property
    def is_busy(self) -> bool:
        """Whether somebody works on it: it then stays."""


T = TypeVar("T", bound=Shelved)


@dataclass(frozen=True)
class Slot:
    """Room for one recording: a folder of its own, and in it the file, both by a name that the server chose.

    Attributes
    ----------
    key
        What addresses call it.
    folder
        Its folder.
    number
        Counts slots.
    """

    key: str
    folder: Path
    number: int

    @property
    def path(self) -> Path:
        """Where the recording's bytes go."""
        return self.folder / f"sound-{self.key}"


class Shelf(Generic[T]):
    """Keeps recordings, and removes from the disk what falls out; thread-safe."""

    def __init__(self, most: int = MOST_SOUNDS) -> None:
        self._most = most
        # Cleaned up at exit, too; whoever still writes there when a process ends must not keep it from ending.
        self._folder = tempfile.TemporaryDirectory(prefix="hubbub-try-", ignore_cleanup_errors=True)
        self._held: OrderedDict[str, tuple[Slot, T]] = OrderedDict()
        self._open = self._given = 0
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path:
        """Where everything lies."""
        return Path(self._folder.name)

    def open_slot(self) -> Slot:
        """Make room for one more recording; what was looked at longest ago goes.

        Raises
        ------
        UsageError
            Everything that is kept is being worked on.
        StorageError
            The folder cannot be made.
        """
        with self._lock:
            while len(self._held) + self._open >= self._most:
                idle = next((key for key, (_, held) in self._held.items() if not held.is_busy), None)
                if idle is None:
                    raise UsageError(
                        f"{count_noun(self._most, 'recording')} wait to be scored, which is as many as are kept; try "
                        "again when one is done"
                    )
                self._remove(self._held.pop(idle)[0])
            self._given += 1
            slot = Slot(secrets.token_hex(8), self.folder / secrets.token_hex(8), self._given)
            with explain_write_errors(slot.folder):
                slot.folder.mkdir(mode=0o700)
            self._open += 1
        return slot

    def put(self, slot: Slot, held: T) -> None:
        """Keep what lies in a slot."""
        with self._lock:
            self._open -= 1
            self._held[slot.key] = (slot, held)

    def discard(self, slot: Slot) -> None:
        """Give a slot back in which nothing is to be kept."""
        with self._lock:
            if slot.key not in self._held:
                self._open -= 1
                self._remove(slot)

    def find(self, key: str) -> T:
        """Look one up, which makes it the newest.

        Raises
        ------
        UsageError
            It is not there, or no longer.
        """
        with self._lock:
            if key not in self._held:
                raise UsageError(
                    f"there is no recording {key[:32]!r}: the last {self._most} are kept; give the file again"
                )
            self._held.move_to_end(key)
            return self._held[key][1]

    def list_held(self) -> list[T]:
        """Everything that is kept, in the order in which it was given."""
        with self._lock:
            return [held for _, held in sorted(self._held.values(), key=lambda one: one[0].number)]

    def close(self) -> None:
        """Remove everything."""
        with self._lock:
            self._held.clear()
            self._folder.cleanup()

    def _remove(self, slot: Slot) -> None:
        shutil.rmtree(slot.folder, ignore_errors=True)
