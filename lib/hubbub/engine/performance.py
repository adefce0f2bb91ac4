"""Dask's performance report of a run: what each worker did when, where time went, and how memory grew, as one page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from distributed import Client

_BEGIN_S, _WRITE_S = 5, 30  # a scheduler that takes longer has other things to do
_TASKS_MOST = 20_000  # a page of 3 MB, which takes the scheduler a second
_CODE = "a job of hubbub; plan.json beside this page has the command"


@contextmanager
def write_performance_report(client: Callable[[], Client], path: Path) -> Iterator[None]:
    """Have Dask's report of what is done in this context in a file, when it ends well; of the last 20,000 units.

    Nothing of it is worth a run: what keeps the report from being made (a scheduler without Bokeh, or one that is gone)
    is passed over.

    Parameters
    ----------
    client
        Gives the client of now: a scheduler that went and came back has another.
    path
        The page.
    """
    began_s, monitored = _read_start(client())
    yield
    with suppress(Exception):
        page = _render_page(client(), began_s, monitored)
        path.write_text(page, encoding="utf-8")


def _read_start(client: Client) -> tuple[float, int]:
    """Have the scheduler note tasks from now on; returns its time, and how far its monitor has counted."""

    def where_it_is(dask_scheduler: Any) -> tuple[float, int]:  # sent as it is: the scheduler need not have hubbub
        import time

        return time.time(), dask_scheduler.monitor.count

    with suppress(Exception):
        client.sync(_scheduler(client).get_task_stream, start=0, stop=0, callback_timeout=_BEGIN_S)
        return client.run_on_scheduler(where_it_is)
    return 0.0, 0


def _render_page(client: Client, began_s: float, monitored: int) -> str:
    """The report, as HTML, from a time on that has no more tasks than it should."""

    def begins_s(dask_scheduler: Any, tasks: int) -> float:
        noted = dask_scheduler.plugins["task-stream"].buffer
        return noted[-tasks]["startstops"][0]["start"] if len(noted) > tasks else 0.0

    start_s = max(began_s, client.run_on_scheduler(begins_s, tasks=_TASKS_MOST))
    report = _scheduler(client).performance_report
    return client.sync(report, start=start_s, last_count=monitored, code=_CODE, callback_timeout=_WRITE_S)


def _scheduler(client: Client) -> Any:
    return client.scheduler
