"""What the overview asks: the tables, what they hold, sums for a filter, and rules to save."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hubbub.errors import UsageError
from hubbub.web.answers import answer_json
from hubbub.web.browsed import BrowsedTables
from hubbub.web.filters import Filter, list_columns, parse_filter
from hubbub.web.overview import describe_archive, summarise


def find_tables(request: Request) -> BrowsedTables:
    """The tables that a request's path names by number.

    Raises
    ------
    UsageError
        There are none of that number.
    """
    browsed: list[BrowsedTables] = request.app.state.browsed
    number = int(request.path_params["tables"])
    if not 0 <= number < len(browsed):
        raise UsageError(f"tables {number}: expected 0 to {len(browsed) - 1}")
    return browsed[number]


def read_filter(request: Request, browsed: BrowsedTables) -> Filter:
    """The filter of a request; errors of `parse_filter`."""
    return parse_filter(request.query_params.get("filter"), browsed.archive.carried)


def list_tables(request: Request) -> Response:
    """Every set of label tables: name, labels, thresholds, how far it is read."""
    return answer_json([_describe_tables(browsed) for browsed in request.app.state.browsed])


def _describe_tables(browsed: BrowsedTables) -> dict[str, Any]:
    tables, state = browsed.tables, browsed.archive.state
    clips = browsed.archive.ask("SELECT count(*) FROM clips")[0][0]
    return {
        "path": str(tables.path),
        "name": tables.path.name or str(tables.path),
        "labels": tables.labels,
        "rules": {label: asdict(rule) | {"needed_peak": rule.needed_peak} for label, rule in tables.rules.items()},
        "model": tables.run.get("model_hash"),
        "settings": tables.run.get("settings_hash"),
        "hop_s": tables.run.get("hop_s"),
        "created_at": tables.run.get("created_at"),
        "versions": tables.run.get("versions"),
        "timezone": browsed.archive.timezone,
        "has_truth": browsed.truth is not None,
        "generation": state.generation,
        "units": state.units,
        "units_read": state.units_read,
        "missing": max(0, tables.run.get("clips", 0) - clips) if state.is_complete else None,
        "problems": [*state.problems[:20], *browsed.notes],
    }


def describe(request: Request) -> Response:
    """What the tables hold, whatever the filter."""
    return answer_json(describe_archive(find_tables(request).archive))


def summary(request: Request) -> Response:
    """Sums for a filter."""
    browsed = find_tables(request)
    column = request.query_params.get("column") or None
    known = list_columns(browsed.archive.carried)
    if column is not None and column not in known:
        raise UsageError(f"column {column[:80]!r}: expected one of {', '.join(known)}")
    return answer_json(summarise(browsed.archive, read_filter(request, browsed), column=column))


def windows(request: Request) -> Response:
    """How many windows score 0, 0.01 … 1 or more, by class; null while they are counted."""
    sample = find_tables(request).windows.get()
    if sample is None:
        return answer_json(None)
    window_s = find_tables(request).tables.settings.windows.input_s
    above = dict(zip(find_tables(request).tables.labels, sample.count_above().tolist(), strict=True))
    return answer_json(
        {"units": sample.units, "units_in_all": sample.units_in_all, "above": above, "window_s": window_s}
    )


ROUTES = [
    Route("/api/tables", list_tables),
    Route("/api/{tables:int}/describe", describe),
    Route("/api/{tables:int}/summary", summary),
    Route("/api/{tables:int}/windows", windows),
]
