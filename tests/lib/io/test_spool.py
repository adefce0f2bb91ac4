"""Items that wait on the disk come back as they were, in the order that was asked for."""

from __future__ import annotations

import random
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.errors import StorageError
from hubbub.io import spool
from hubbub.io.spool import SortedSpool, Spool


def test_items_come_back_by_number_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_IN_MEMORY_BYTES", 100)
    items = [{"uri": f"{number}\udce9.wav", "labels": [], "fold": None} for number in range(50)]
    held = Spool[dict]()
    assert [held.put(item) for item in items] == list(range(50))
    assert list(held) == list(held) == items
    assert (held.get(17), len(held)) == (items[17], 50)
    assert [pair for pair in zip(held, held, strict=True)] == [(item, item) for item in items]


@given(st.lists(st.text(max_size=3), max_size=60), st.integers(1, 9), st.integers(1, 4))
def test_sorted_items_are_those_of_sorted(items: list[str], run: int, page: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "_RUN", run)
        patch.setattr(spool, "_RUN_PAGE", page)
        patch.setattr(spool, "_PAGE", page)
        held = SortedSpool(iter(items), key=str.lower)
        assert list(held) == list(held) == sorted(items, key=str.lower)


def test_more_than_a_run_is_sorted() -> None:
    numbers = list(range(spool._RUN + 5))
    random.Random(0).shuffle(numbers)
    assert list(SortedSpool(numbers, key=lambda number: number)) == sorted(numbers)


def test_a_full_disk_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_IN_MEMORY_BYTES", 1)
    held = Spool[str]()
    held.put("first")

    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool.pickle, "dump", refuse)
    with pytest.raises(StorageError, match=f"cannot write {tempfile.gettempdir()}: No space left on device; free some"):
        held.put("second")
