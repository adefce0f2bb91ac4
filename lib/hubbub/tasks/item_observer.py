"""Observation of items: a process reports which item of its unit it begins, since it cannot once it died."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

T = TypeVar("T")
Observer = Callable[[int | None], None]

_observers: list[Observer] = []


def announce_items(items: Iterable[T]) -> Iterator[T]:
    """Give items one by one, and tell the number of each before it is given; None when all are done."""
    for number, item in enumerate(items):
        _notify(number)
        yield item
    _notify(None)


@contextmanager
def observe_items(observer: Observer) -> Iterator[None]:
    """Have `observer` told of every item of this process, for as long as the context lasts."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


def mark_culprit(unit: Any, number: int, failure: str) -> Any:
    """A unit whose item `number` is not to be tried again, for the reason given; the others are as they were."""
    items = tuple(replace(item, failure=failure) if at == number else item for at, item in enumerate(unit.items))
    return replace(unit, items=items)


def has_item(unit: Any, number: int | None) -> bool:
    """Whether an item can be given up by itself: what clips are made of can, what shards are checked by cannot."""
    return number is not None and getattr(unit.items[number], "failure", "") is None


def _notify(number: int | None) -> None:
    for observer in _observers:
        observer(number)
