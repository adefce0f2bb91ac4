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
    """Give items one by one, and announce the number of each before; None when all are done."""
    for number, item in enumerate(items):
        _notify(number)
        yield item
    _notify(None)


@contextmanager
def observe_items(observer: Observer) -> Iterator[None]:
    """Call `observer` with the number of every item that this process begins in the context."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


def is_observed() -> bool:
    """Tell whether anybody in this process wants to know which item is begun: items then go one after the other."""
    return bool(_observers)


def mark_culprit(unit: Any, number: int, failure: str) -> Any:
    """Return the unit with item `number` marked as the culprit, which becomes a failed row with this reason."""
    items = tuple(replace(item, failure=failure) if at == number else item for at, item in enumerate(unit.items))
    return replace(unit, items=items)


def has_item(unit: Any, number: int | None) -> bool:
    """Tell whether a unit can go on without an item: units of clips can, units of shards to check cannot."""
    return number is not None and getattr(unit.items[number], "failure", "") is None


def _notify(number: int | None) -> None:
    for observer in _observers:
        observer(number)
