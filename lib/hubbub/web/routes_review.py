"""What the review pages ask: cards, verdicts to keep and to take back, what they give, and rules to save."""

from __future__ import annotations

import asyncio
import shlex
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hubbub.errors import UsageError, suggest_nearest
from hubbub.labels.reviews.schema import FOLDER
from hubbub.labels.rule_files import write_rules
from hubbub.web.answers import answer_json, read_json
from hubbub.web.browsed import BrowsedTables
from hubbub.web.cards import MOST_CARDS, ORDERS, count_cards, deal_cards
from hubbub.web.queries import read_number, read_whole
from hubbub.web.routes_archive import find_tables, read_filter
from hubbub.web.windows import deal_windows

RULES_FILE = "rules.yaml"
"""Where the page saves thresholds, in the folder of the label tables."""


def cards(request: Request) -> Response:
    """Deal events, or windows, for review."""
    browsed, query = find_tables(request), request.query_params
    reviewer = query.get("reviewer", "").strip() or None
    skip = frozenset(query.get("skip", "").split(","))
    count = min(read_whole(query, "count", 20), MOST_CARDS)
    if query.get("kind") == "window":
        label = query.get("label", "")
        if label not in browsed.tables.labels:
            raise UsageError(f"label {label[:80]!r}: expected one of the tables' labels")
        sample = browsed.windows.get(wait=True)
        assert sample is not None  # it was waited for
        left_out = skip | _judged(browsed, reviewer)
        dealt = deal_windows(browsed.archive, sample, label, count=count, left_out=left_out)
        return answer_json({"cards": dealt, "left": None, "judged": len(_judged(browsed, reviewer))})
    order = query.get("order", "balanced")
    chosen = read_filter(request, browsed)
    dealt = deal_cards(
        browsed.archive,
        chosen,
        order=order,
        count=count,
        seed=read_whole(query, "seed", 0),
        reviewer=reviewer,
        skip=skip,
    )
    left, judged = count_cards(browsed.archive, chosen, reviewer=reviewer), len(_judged(browsed, reviewer))
    return answer_json({"cards": dealt, "orders": ORDERS, "left": left, "judged": judged})


def _judged(browsed: BrowsedTables, reviewer: str | None) -> set[str]:
    return set() if reviewer is None else browsed.judged_by(reviewer)


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


def verdicts(request: Request) -> Response:
    """What the verdicts give; `precision` asks for the thresholds of a wanted one."""
    browsed, query = find_tables(request), request.query_params
    wanted = read_number(query, "precision") if query.get("precision") else None
    told, sample = browsed.summarise(wanted)
    units = None if sample is None else [sample.units, sample.units_in_all]
    path = str(browsed.tables.path / FOLDER)
    return answer_json(asdict(told) | {"path": path, "window_units": units, "wanted": wanted})


async def save_rules(request: Request) -> Response:
    """Write thresholds as the rule file that ``hubbub events --rules`` takes."""
    browsed, given = find_tables(request), await read_json(request)
    thresholds = given.get("thresholds")
    if not isinstance(thresholds, dict) or not thresholds:
        raise UsageError(f"thresholds {thresholds!r}: expected a score for one class or more")
    rules = browsed.tables.rules
    for label in thresholds:
        if label not in rules:
            raise UsageError(f"class {label[:80]!r}: {suggest_nearest(label, rules)}")
        if not isinstance(thresholds[label], int | float):
            raise UsageError(f"threshold {str(thresholds[label])[:40]!r} of {label!r}: expected a score")
    changed = {label: rules[label].with_needed_peak(score) for label, score in thresholds.items()}
    await asyncio.to_thread(browsed.check_there)
    path = await asyncio.to_thread(write_rules, browsed.tables.path / RULES_FILE, changed)
    command = f"hubbub events {shlex.quote(str(browsed.tables.path))} --rules {shlex.quote(str(path))}"
    return answer_json({"path": str(path), "command": command})


def _read_reviewer(given: dict[str, Any]) -> str:
    reviewer = given.get("reviewer")
    if not isinstance(reviewer, str):
        raise UsageError(f"reviewer {reviewer!r}: expected a name")
    return reviewer


ROUTES = [
    Route("/api/{tables:int}/cards", cards),
    Route("/api/{tables:int}/verdicts", verdicts),
    Route("/api/{tables:int}/rules", save_rules, methods=["POST"]),
    Route("/api/{tables:int}/verdicts/add", add_verdict, methods=["POST"]),
    Route("/api/{tables:int}/verdicts/undo", undo_verdict, methods=["POST"]),
]
