"""What the overview page shows: sums over an archive's clips and events, for a filter."""

from __future__ import annotations

from typing import Any

from hubbub.web.archive import Archive
from hubbub.web.filters import Filter, Where, list_columns
from hubbub.web.loading import quote

BINS = 50
"""Of the distribution of scores, from 0 to 1."""

MOST_GROUPS = 200
"""Values of a column, labels and places on the map that are told one by one; the rest is counted together."""

MOST_REASONS = 50
"""Reasons of failures that are listed."""


def describe_archive(archive: Archive) -> dict[str, Any]:
    """What does not depend on a filter: how much there is, what failed and why, which columns and labels."""
    (row,) = archive.ask(
        "SELECT count(*), count(*) FILTER (status = 'ok'), count(*) FILTER (status <> 'ok'), count(DISTINCT uri), "
        "sum(duration_s) FILTER (status = 'ok'), count(*) FILTER (status = 'ok' AND recorded_at IS NULL) FROM clips"
    )
    ((silent,),) = archive.ask(
        "SELECT count(*) FROM (SELECT uri FROM clips WHERE status = 'ok' GROUP BY uri "
        "HAVING NOT bool_or(n IN (SELECT clip FROM events)))"
    )
    days = archive.ask("SELECT min(day)::VARCHAR, max(day)::VARCHAR FROM effort")[0]
    return {
        "clips": row[0],
        "ok": row[1],
        "failed": row[2],
        "recordings": row[3],
        "analysed_s": row[4] or 0.0,
        "without_time": row[5],
        "silent_recordings": silent,
        "events": archive.ask("SELECT count(*) FROM events")[0][0],
        "days": list(days),
        "failures": _list_failures(archive),
        "columns": _list_columns(archive),
        "has_places": _find_place_columns(archive) is not None,
    }


def _list_failures(archive: Archive) -> list[dict[str, Any]]:
    """Failures by the class of their error, with the first of each."""
    rows = archive.ask(
        "SELECT kind, count(*), list({'uri': uri, 'error': error} ORDER BY uri)[1:10] FROM "
        "(SELECT split_part(coalesce(error, 'unknown'), ':', 1) AS kind, uri, error FROM clips WHERE status <> 'ok') "
        f"GROUP BY kind ORDER BY count(*) DESC, kind LIMIT {MOST_REASONS}"
    )
    return [{"kind": kind, "clips": count, "some": some} for kind, count, some in rows]


def _list_columns(archive: Archive) -> list[str]:
    """Columns that part the recordings into a few, by which events may be counted."""
    names = []
    for name in list_columns(archive.carried):
        (count,) = archive.ask(f"SELECT approx_count_distinct({quote(name)}) FROM clips")[0]
        if 1 <= count <= 5000:
            names.append(name)
    return names


def summarise(archive: Archive, chosen: Filter, *, column: str | None = None) -> dict[str, Any]:
    """What depends on a filter: events by label, by day and hour, by a column, by place, and by score."""
    where = chosen.events()
    hours = _count_hours(archive, where)
    return {
        "labels": _count_labels(archive, chosen.events(of_labels=False)),
        "events": {
            "events": sum(row[2] for row in hours),
            "seconds": sum(row[3] for row in hours),
            "without_time": sum(row[2] for row in hours if row[0] is None),
        },
        "heat": [[str(day), hour, count] for day, hour, count, _ in hours if day is not None],
        "effort": _sum_effort(archive, chosen),
        "scores": _count_scores(archive, chosen.events(of_scores=False)),
        **_count_groups(archive, chosen, where, column),
    }


def _count_labels(archive: Archive, where: Where) -> list[dict[str, Any]]:
    rows = archive.ask(
        "SELECT names.label, n, s, clips FROM (SELECT e.label AS code, count(*) AS n, sum(offset_s - onset_s) AS s, "
        f"count(DISTINCT e.clip) AS clips FROM events e WHERE {where.sql} GROUP BY e.label) JOIN names USING (code)",
        where.values,
    )
    told = [{"label": label, "events": n, "seconds": s, "clips": clips} for label, n, s, clips in rows]
    return sorted(told, key=lambda row: (-row["events"], row["label"]))


def _count_hours(archive: Archive, where: Where) -> list[tuple[Any, ...]]:
    """Day, hour, events, their seconds; day and hour are None where they are unknown."""
    return archive.ask(
        f"SELECT e.day, e.hour, count(*), sum(offset_s - onset_s) FROM events e WHERE {where.sql} "
        "GROUP BY ALL ORDER BY ALL",
        where.values,
    )


def _sum_effort(archive: Archive, chosen: Filter) -> list[list[Any]]:
    """Day, hour, seconds of audio that was analysed."""
    clips, times = chosen.clips(), chosen.times("f")
    return _as_lists(
        archive.ask(
            "SELECT day::VARCHAR, hour, seconds FROM (SELECT f.day, f.hour, sum(f.seconds) AS seconds FROM effort f "
            f"JOIN clips c ON c.n = f.clip WHERE {times.sql} AND {clips.sql} GROUP BY ALL) ORDER BY ALL",
            times.values + clips.values,
        )
    )


def _count_scores(archive: Archive, where: Where) -> dict[str, list[int]]:
    """Events a label in each of `BINS` ranges of the peak."""
    found: dict[str, list[int]] = {}
    rows = archive.ask(
        "SELECT names.label, bin, n FROM (SELECT e.label AS code, e.bin, count(*) AS n FROM events e "
        f"WHERE {where.sql} AND e.peak IS NOT NULL GROUP BY ALL) JOIN names USING (code)",
        where.values,
    )
    for label, place, count in rows:
        found.setdefault(label, [0] * BINS)[place * BINS // 100] += count
    return found


def _find_place_columns(archive: Archive) -> tuple[str, str] | None:
    """The columns of latitude and longitude, where recordings have them as numbers."""
    by_name = {name.casefold(): name for name in archive.carried}
    for latitude, longitude in (("latitude", "longitude"), ("lat", "lon"), ("lat", "lng")):
        if latitude in by_name and longitude in by_name:
            return by_name[latitude], by_name[longitude]
    return None


def _count_groups(archive: Archive, chosen: Filter, where: Where, column: str | None) -> dict[str, Any]:
    """Events and hours of audio by the values of a column, and by place: those with most events first.

    Recordings without any event are there with none; those without a place are counted.
    """
    places = _find_place_columns(archive)
    value = "NULL" if column is None else f"CAST(c.{quote(column)} AS VARCHAR)"
    latitude, longitude = ("NULL", "NULL") if places is None else (f"TRY_CAST(c.{quote(n)} AS DOUBLE)" for n in places)
    clips = chosen.clips()
    rows = archive.ask(
        f"""
        WITH found AS (SELECT e.clip, count(*) AS n FROM events e WHERE {where.sql} GROUP BY e.clip),
        analysed AS (
          SELECT {value} AS value, {latitude} AS lat, {longitude} AS lon, c."group" AS name, c.duration_s,
            coalesce(found.n, 0) AS n
          FROM clips c LEFT JOIN found ON found.clip = c.n WHERE c.status = 'ok' AND {clips.sql}
        )
        SELECT grouping(value), value, lat, lon, sum(duration_s), count(*), min(name), sum(n)::BIGINT AS total
        FROM analysed GROUP BY GROUPING SETS ((value), (lat, lon)) ORDER BY total DESC, value, lat, lon
        """,
        where.values + clips.values,
    )
    found: dict[str, Any] = {"column": None, "places": None}
    if column is not None:
        own = [{"value": row[1], "events": row[7], "seconds": row[4] or 0.0} for row in rows if not row[0]]
        found["column"] = {"name": column, "values": own[:MOST_GROUPS], "left_out": max(0, len(own) - MOST_GROUPS)}
    if places is not None:
        found["places"] = _tell_places([row[2:] for row in rows if row[0]])
    return found


def _tell_places(rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    keys = ("lat", "lon", "seconds", "clips", "name", "events")
    placed = [dict(zip(keys, row, strict=True)) for row in rows if _is_place(row[0], row[1])]
    return {
        "places": placed[:MOST_GROUPS],
        "left_out": max(0, len(placed) - MOST_GROUPS),
        "clips_without": sum(row[3] for row in rows if not _is_place(row[0], row[1])),
    }


def _is_place(latitude: float | None, longitude: float | None) -> bool:
    return latitude is not None and longitude is not None and abs(latitude) <= 90 and abs(longitude) <= 180


def _as_lists(rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(row) for row in rows]
