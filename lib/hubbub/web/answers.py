"""Answers of the page's server: JSON without NaN, bytes by ranges, errors in words."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from datetime import date, datetime, time
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from hubbub.errors import AudioError, HubbubError, LabelsError, StorageError
from hubbub.web.sound import parse_range

MOST_BODY_BYTES = 2**20
"""Of a request with JSON."""


def answer_json(data: Any, status: int = 200) -> Response:
    """Answer with JSON, in which NaN and NaT are null."""
    body = json.dumps(make_plain(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Response(body, status, {"cache-control": "no-store"}, media_type="application/json")


def make_plain(data: Any) -> Any:
    """The same as JSON knows it: None for NaN and NaT, lists for arrays, text for times and all else."""
    if isinstance(data, dict):
        return {str(name): make_plain(value) for name, value in data.items()}
    if isinstance(data, list | tuple | set):
        return [make_plain(value) for value in data]
    if isinstance(data, np.ndarray):
        return make_plain(data.tolist())
    if isinstance(data, np.generic):
        return make_plain(data.item())
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, datetime | date | time):
        return data.isoformat() if data == data else None  # NaT equals nothing, itself neither
    return data if data is None or isinstance(data, str | int) else str(data)


def answer_bytes(request: Request, data: bytes, kind: str) -> Response:
    """Answer with bytes that never change, or with those of the header ``Range``; errors of `parse_range`."""
    headers = {"cache-control": "private, max-age=3600", "accept-ranges": "bytes"}
    span = parse_range(request.headers.get("range"), len(data))
    if span is None:
        return Response(data, 200, headers, media_type=kind)
    headers["content-range"] = f"bytes {span[0]}-{span[1] - 1}/{len(data)}"
    return Response(data[span[0] : span[1]], 206, headers, media_type=kind)


async def read_json(request: Request) -> dict[str, Any]:
    """Read a request's JSON object, of `MOST_BODY_BYTES` at most.

    Raises
    ------
    ValueError
        It is none.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BODY_BYTES:
            raise ValueError(f"expected {MOST_BODY_BYTES} bytes at most")
    try:
        data = json.loads(body)
    except RecursionError:
        raise ValueError("expected JSON of less depth") from None
    if not isinstance(data, dict):
        raise ValueError("expected a JSON object")
    return data


_STATUS = {StorageError: 507, AudioError: 422, LabelsError: 409}
"""What a page may ask again, or wait for; of all else (400) it was asked wrongly."""


async def explain_error(request: Request, error: Exception) -> Response:
    """Answer to an error that hubbub raised: its words, and whose fault it is."""
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 400)
    return answer_json({"error": str(error), "kind": type(error).__name__}, status)


async def explain_fault(request: Request, error: Exception) -> Response:
    """Answer to any other error."""
    return answer_json({"error": f"this is a fault in hubbub: {type(error).__name__}: {error}", "kind": "fault"}, 500)


Handler = Callable[[Request], Awaitable[Response] | Response]
ERRORS = {HubbubError: explain_error, ValueError: explain_error}
