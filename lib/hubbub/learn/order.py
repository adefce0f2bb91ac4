"""The order of rows in an epoch: a pure function of the rows, the seed and the epoch.

::

    shards, shuffled     [7 2 5 0] [4 1 6 3]       a few at a time are in memory: a mix
    their rows, shuffled  r r r r   r r r r
    batches              |....|....|....|..        a batch may reach from one mix into the next
    two workers          |--- 0 ----|--- 1 ---|    each has a stretch of the shuffled shards, and its own mixes

So a position in the middle of an epoch is two numbers, and what lies before it need not be read to go on from there.
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

    bounds: npt.NDArray[np.int64]
    """int64 [mix + 1]: mix m is served from ``bounds[m]`` to ``bounds[m + 1]``."""

    shards: tuple[npt.NDArray[np.int64], ...]
    """The shards of each mix, int64 [shard]."""

    def mixes(self, begin: int, end: int) -> range:
        """Those of which something is served from `begin` to before `end`."""
        first, last = np.searchsorted(self.bounds, [begin, end - 1], side="right")
        return range(int(first) - 1, int(last))


def plan_order(
    rows: npt.NDArray[np.int64],
    *,
    rows_per_shard: int,
    mix_shards: int,
    seed: int | None,
    epoch: int = 0,
    share: Partition = WHOLE,
) -> Order:
    """Put rows in order.

    Parameters
    ----------
    rows
        int64 [row], numbers in the store; one may come several times.
    rows_per_shard
        Of the store.
    mix_shards
        Shards whose rows are shuffled together, at least 1.
    seed, epoch
        Decide the order; a seed of None keeps that of the row numbers.
    share
        The part of it that one worker serves.
    """
    rng = None if seed is None else np.random.default_rng([seed, epoch])
    laid = _order_shards(rows, rows_per_shard, rng)
    each = len(laid) // share.count
    laid = laid[share.index * each : (share.index + 1) * each]
    shard = rows[laid] // rows_per_shard
    begins = np.flatnonzero(np.diff(shard, prepend=-1))
    firsts = begins[::mix_shards]
    bounds = np.append(firsts, len(laid))
    parts = [laid[begin:end] for begin, end in zip(bounds[:-1], bounds[1:], strict=True)]
    if rng is not None:
        parts = [part[rng.permutation(len(part))] for part in parts]
    shards = [shard[begins[at : at + mix_shards]] for at in range(0, len(begins), mix_shards)]
    return Order(np.concatenate(parts) if parts else laid, bounds, tuple(shards))


def _order_shards(
    rows: npt.NDArray[np.int64], rows_per_shard: int, rng: np.random.Generator | None
) -> npt.NDArray[np.int64]:
    """Places of the rows, int64 [row]: shards shuffled, each shard's rows by their numbers."""
    sorted_places = np.argsort(rows, kind="stable")
    shards, firsts = np.unique(rows[sorted_places] // rows_per_shard, return_index=True)
    if rng is None or not len(shards):
        return sorted_places
    parts = np.split(sorted_places, firsts[1:])
    return np.concatenate([parts[number] for number in rng.permutation(len(parts))])
