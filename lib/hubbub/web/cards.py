"""Events dealt out for review: which ones, in which order, each named so that a verdict finds it again."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hubbub.errors import UsageError, suggest_nearest
from hubbub.labels.reviews.schema import identify_event
from hubbub.web.archive import Archive
from hubbub.web.filters import Filter, Where

MOST_CARDS = 200
"""Dealt at once."""

_RANGE = "e.bin // 5"  # of twenty
# Of equal standing in any order: the same for one seed, wherever and whenever the tables are read.
_CHANCE = "hash(e.onset_s, e.offset_s, e.peak, ?)"
_ORDERS = {
    "best": "e.peak DESC, chance",
    "worst": "e.peak, chance",
    "random": "chance",
    # One of each range of scores, then the next of each; ranges in an order of chance, so that no half is only good.
    "balanced": f"row_number() OVER (PARTITION BY {_RANGE} ORDER BY chance), hash({_RANGE}, ?)",
}
ORDERS = tuple(_ORDERS)

COLUMNS = ("file", "uri", "clip_id", "label", "onset_s", "offset_s", "peak", "mean", "group", "duration_s")


def deal_cards(
    archive: Archive,
    chosen: Filter,
    *,
    order: str,
    count: int,
    seed: int = 0,
    reviewer: str | None = None,
    skip: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Choose events for review.

    Parameters
    ----------
    chosen
        Which events may be chosen.
    order
        ``best`` or ``worst`` score first, ``random``, or ``balanced`` over the range of scores.
    count
        How many, `MOST_CARDS` at most.
    seed
        Of what is left to chance.
    reviewer
        Events that this reviewer has judged are left out; None: none is.
    skip
        Names of events (`identify_event`) that are on the table already.

    Returns
    -------
    list of dict
        Each with `COLUMNS`, `recorded_at` in microseconds, and `event`, its name.

    Raises
    ------
    UsageError
        There is no such order.
    """
    if order not in _ORDERS:
        raise UsageError(f"order {order[:20]!r}: {suggest_nearest(order, _ORDERS)}")
    where = _select(chosen, reviewer)
    seeds = (seed,) if order == "balanced" else ()
    limit = min(count, MOST_CARDS) + len(skip)
    rows = archive.ask(
        f"""
        WITH found AS (
          SELECT e.*, {_CHANCE} AS chance FROM events e WHERE {where.sql} ORDER BY {_ORDERS[order]} LIMIT {int(limit)}
        )
        SELECT c.file, c.uri, c.clip_id, names.label, e.onset_s, e.offset_s, e.peak, e.mean, c."group", c.duration_s,
          c.recorded_at
        FROM found e JOIN clips c ON c.n = e.clip JOIN names ON names.code = e.label ORDER BY {_ORDERS[order]}
        """,
        (seed, *where.values, *seeds, *seeds),
    )
    cards = [dict(zip((*COLUMNS, "recorded_at"), row, strict=True)) for row in rows]
    for card in cards:
        card["event"] = identify_event(card["clip_id"], card["label"], card["onset_s"], card["offset_s"])
    return [card for card in cards if card["event"] not in skip][:count]


def count_cards(archive: Archive, chosen: Filter, *, reviewer: str | None = None) -> int:
    """How many events a filter lets through that a reviewer has not judged."""
    where = _select(chosen, reviewer)
    return int(archive.ask(f"SELECT count(*) FROM events e WHERE {where.sql}", where.values)[0][0])


def _select(chosen: Filter, reviewer: str | None) -> Where:
    where = chosen.events()
    if reviewer is None:
        return where
    return where & Where("e.n NOT IN (SELECT n FROM judged WHERE reviewer = ?)", (reviewer,))
