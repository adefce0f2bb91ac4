"""What must hold on a worker before it may do units of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class Sight:
    """A file that a worker must see as the driver does, where places are folders and not buckets.

    Attributes
    ----------
    path
        Absolute.
    size_bytes
        Its size.
    what
        What it stands for, in a message: ``the recordings``, ``the store``.
    """

    path: str
    size_bytes: int
    what: str


@dataclass(frozen=True)
class Terms:
    """What must hold on a worker."""

    sights: tuple[Sight, ...] = ()


def terms_here(sights: Sequence[Sight]) -> Terms:
    """The terms of a run that this process drives."""
    return Terms(tuple(sights))


def objections(terms: Terms) -> list[str]:
    """What speaks against this worker, a sentence each; none where it will do."""
    return []


def check_workers(client: Client, terms: Terms) -> None:
    """Refuse a cluster whose workers do not keep the terms.

    Raises
    ------
    ClusterError
        With which worker, and what speaks against it.
    """
