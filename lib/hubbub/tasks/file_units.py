"""Units of files that are read as they are, whole or their headers: those of `check` and of `probe`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from hubbub.planning.time_limits import time_limit_s
from hubbub.tasks.result import MOST_REASONS


@dataclass(frozen=True, kw_only=True)
class FileItem:
    """One file.

    Attributes
    ----------
    failure
        Why it is not to be read: found to kill or stall whoever reads it; None for every other.
    """

    failure: str | None = None
    time_limit_windows: ClassVar[int] = 0
    """Windows whose time limit an item has beside that of its bytes."""

    @property
    @abstractmethod
    def bytes_to_read(self) -> int:
        """Size of the file; 0 where that is unknown."""

    @property
    def time_limit_s(self) -> float:
        """Seconds after which its reader is thought to hang."""
        return time_limit_s(self.bytes_to_read, self.time_limit_windows)


Item = TypeVar("Item", bound=FileItem)


@dataclass(frozen=True)
class FileUnit(Generic[Item]):
    """Some files; `index` is the unit's number."""

    index: int
    items: tuple[Item, ...]

    @property
    def time_limit_s(self) -> float:
        """Seconds after which the unit is thought to hang."""
        size_bytes = sum(item.bytes_to_read for item in self.items)
        return time_limit_s(size_bytes, sum(item.time_limit_windows for item in self.items))


def count_items(unit: FileUnit[Item], failures: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Count the items of a unit by how they ended: what a `UnitResult` takes.

    Parameters
    ----------
    failures
        Uri and reason of each item that failed.
    """
    total = len(unit.items)
    reasons = tuple(failures[:MOST_REASONS])
    counts = {"unit": unit.index, "ok": total - len(failures), "failed": len(failures)}
    return counts | {"windows": total, "rows": total, "reasons": reasons}
