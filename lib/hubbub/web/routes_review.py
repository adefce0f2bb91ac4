"""What the review pages ask: cards, verdicts to keep and to take back, what they give, and rules to save."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hubbub.errors import UsageError
from hubbub.web.answers import answer_json, read_json
from hubbub.web.cards import MOST_CARDS, ORDERS, deal_cards
from hubbub.web.routes_archive import find_tables, read_filter
from hubbub.web.windows import deal_windows


def cards(request: Request) -> Response:
    """Deal events, or windows, for review."""
    browsed, query = find_tables(request), request.query_params
    reviewer = query.get("reviewer", "").strip() or None
    skip = frozenset(query.get("skip", "").split(","))
    count = min(int(query.get("count", 20)), MOST_CARDS)
    if query.get("kind") == "window":
        label = query.get("label", "")
        if label not in browsed.tables.labels:
            raise UsageError(f"label {label[:80]!r}: expected one of the tables' labels")
        sample = browsed.windows.get(wait=True)
        assert sample is not None  # it was waited for
        judged = browsed.judged_by(reviewer) if reviewer else set()
        dealt = deal_windows(browsed.archive, sample, label, count=count, judged=judged, skip=skip)
        return answer_json({"cards": dealt, "left": None})
    order = query.get("order", "balanced")
    chosen = read_filter(request, browsed)
    dealt = deal_cards(
        browsed.archive,
        chosen,
        order=order,
        count=count,
        seed=int(query.get("seed", 0)),
        reviewer=reviewer,
        skip=skip,
    )
    return answer_json({"cards": dealt, "orders": ORDERS})


async def add_verdict(request: Request) -> Response:
    """Keep a verdict; the answer comes when it is on the disk."""
    browsed, given = find_tables(request), await read_json(request)
    reviewer = _read_reviewer(given)
    await asyncio.to_thread(browsed.add_verdict, reviewer, given)
    return answer_json({"kept": True})


async def undo_verdict(request: Request) -> Response:
    """Take a verdict back."""
    browsed, given = find_tables(request), await read_json(request)
    await asyncio.to_thread(browsed.undo_verdict, _read_reviewer(given), str(given.get("event")))
    return answer_json({"kept": True})


def _read_reviewer(given: dict[str, Any]) -> str:
    reviewer = given.get("reviewer")
    if not isinstance(reviewer, str):
        raise UsageError(f"reviewer {reviewer!r}: expected a name")
    return reviewer


ROUTES = [
    Route("/api/{tables:int}/cards", cards),
    Route("/api/{tables:int}/verdicts/add", add_verdict, methods=["POST"]),
    Route("/api/{tables:int}/verdicts/undo", undo_verdict, methods=["POST"]),
]
