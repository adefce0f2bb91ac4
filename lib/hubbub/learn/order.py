"""The order of rows in an epoch: a pure function of the rows, the seed, the epoch and a budget of memory.

A store is read in stretches, neighbouring rows that are compressed together. Where all of them fit the budget, the
order is one permutation of the rows. Where they do not, several streams of stretches are interleaved::

    the store          |---- stream 0 ----|---- stream 1 ----|---- stream 2 ----|    as many as stretches fit
    stretches of each   [3] [0] [2] [1]    [5] [6] [4] [7]    [9] [8] [11] [10]      shuffled
    time               0 |---[3]---|-[0]-|-[2]-|-[1]-| 1                             the first ends early, or late
                         |-[5]-|-[6]-|-[4]-|---[7]---|
    rows                each at a random time within its stretch's; served by their times

So every batch has rows from all over the store, also of a store that is sorted by class; no more stretches are in use
at once than there are streams; and each is read once. Stretches of different streams end at different times, so that
reading is steady.

Several workers have the stretches shared out among them: of as many neighbours as there are workers, each gets one.

A position in the middle of an epoch is two numbers, and what lies before it need not be read to go on from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hubbub.errors import TrainingError


@dataclass(frozen=True)
class Partition:
    """Which of several workers reads: every one gets the same number of rows, and none that another gets."""

    index: int = 0
    """Its number, from 0."""

    count: int = 1
    """How many workers there are. Where rows cannot be parted evenly, up to ``count - 1`` are left out of an epoch."""

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise TrainingError(f"worker {self.index} of {self.count}; give a number from 0 to {self.count - 1}")


WHOLE = Partition()
"""One worker, which reads everything."""


@dataclass(frozen=True)
class Position:
    """A place between two batches, to go on from."""

    epoch: int
    """Which pass over the rows, from 0."""

    batch: int
    """Batches of it that were served before."""

    order: str
    """What was being served (`hubbub.learn.dataset.Pass.identity`): the same numbers elsewhere are another place."""

    def to_json(self) -> dict[str, Any]:
        """What a checkpoint writes down."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Position:
        """Read what `to_json` wrote.

        Raises
        ------
        TrainingError
            It is something else.
        """
        try:
            epoch, batch, order = said["epoch"], said["batch"], said["order"]
        except (KeyError, TypeError):
            raise TrainingError(f"{said!r} is no position of the loader; expected epoch, batch and order") from None
        if not all(type(number) is int and number >= 0 for number in (epoch, batch)) or not isinstance(order, str):
            raise TrainingError(
                f"{said!r} is no position of the loader; expected whole numbers from 0 for epoch and batch"
            )
        return cls(epoch, batch, order)


@dataclass(frozen=True)
class Order:
    """The order of one epoch, for one worker."""

    served: npt.NDArray[np.int64]
    """int64 [served], places in the rows given."""

    stretch_rows: int
    """Rows that are read together: row r is in stretch ``r // stretch_rows``."""

    capacity: int
    """Stretches that may be in memory at once, those read ahead included."""

    is_whole: bool = False
    """Whether all rows are shuffled together."""


FEWEST_STRETCHES = 3
"""Stretches that are in memory at least, however small the budget: one served, one ahead, one being left."""

AHEAD_SHARE = 8
"""One of so many stretches in memory is read ahead; at least one is."""


def count_streams(capacity: int) -> int:
    """How many streams are interleaved where so many stretches may be in memory; the others are read ahead."""
    return capacity - max(1, capacity // AHEAD_SHARE)


def plan_order(
    rows: npt.NDArray[np.int64],
    *,
    stretch_rows: int,
    capacity: int,
    seed: int | None,
    epoch: int = 0,
    share: Partition = WHOLE,
) -> Order:
    """Put rows in order.

    Parameters
    ----------
    rows
        int64 [row], numbers in the store; one may come several times.
    stretch_rows
        Rows that are read together.
    capacity
        Stretches that may be in memory at once, at least 1; `FEWEST_STRETCHES` are.
    seed, epoch
        Decide the order; a seed of None keeps that of the row numbers.
    share
        The part of it that one worker serves.
    """
    capacity = max(capacity, FEWEST_STRETCHES)  # of a store of two stretches both are in memory
    places = np.argsort(rows, kind="stable")
    each = len(places) // share.count
    mine = slice(share.index * each, (share.index + 1) * each)
    if seed is None:
        return Order(places[mine], stretch_rows, capacity)
    rng = np.random.default_rng([seed, epoch])
    number, sizes = _count_stretches(rows[places] // stretch_rows)
    is_whole = len(sizes) <= capacity
    if share.count > 1:
        dealt = np.sort(_deal_stretches(number, len(sizes), share.count, rng)[mine])
        places = places[dealt]
        number, sizes = _count_stretches(number[dealt])
    time = rng.random(len(places))
    if not is_whole and len(places):
        time = _interleave(number, sizes, min(len(sizes), count_streams(capacity)), time, rng)
    return Order(places[np.argsort(time, kind="stable")], stretch_rows, capacity, is_whole)


def _count_stretches(stretch: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Number sorted stretches from 0: the number of each row's, int64 [row], and rows of each, int64 [stretch]."""
    begins = np.flatnonzero(np.diff(stretch, prepend=-1))
    sizes = np.diff(begins, append=len(stretch))
    return np.repeat(np.arange(len(sizes)), sizes), sizes


def _deal_stretches(
    number: npt.NDArray[np.int64], n_stretches: int, count: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Rows in the order in which workers share them, int64 [row]: of each `count` neighbouring stretches one each."""
    drawn = rng.random((-(-n_stretches // count), count))
    worker = np.argsort(np.argsort(drawn, axis=1), axis=1).reshape(-1)
    return np.argsort(worker[number], kind="stable")


def _interleave(
    number: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    n_streams: int,
    within: npt.NDArray[np.float64],
    rng: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """When each row is served, float64 [row], from 0 to 1.

    Parameters
    ----------
    number
        int64 [row], the stretch of each row, from 0.
    sizes
        int64 [stretch], rows of each.
    n_streams
        How many stretches are in use at once, no more than there are.
    within
        float64 [row], when in its stretch's time a row is served, from 0 to 1.
    """
    stream = np.arange(len(sizes)) * n_streams // len(sizes)
    order = np.lexsort((rng.random(len(sizes)), stream))
    first = np.flatnonzero(np.diff(stream, prepend=-1))  # of each stream, in `order`
    last = np.append(first[1:], len(sizes)) - 1
    lasts = sizes[order].astype(np.float64)
    shift = (rng.random(n_streams) - 0.5) * np.minimum(lasts[first], lasts[last]) * (first < last)
    lasts[first] += shift
    lasts[last] -= shift
    ends = np.cumsum(lasts)
    begins = ends - lasts
    total, offset = (ends[last] - begins[first])[stream], begins[first][stream]
    begin, length = np.empty(len(sizes)), np.empty(len(sizes))
    begin[order], length[order] = (begins - offset) / total, lasts / total
    return begin[number] + length[number] * within
