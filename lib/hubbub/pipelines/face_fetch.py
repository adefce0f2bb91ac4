"""The function of ``import hubbub`` that fetches recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hubbub.clips.table import ClipTable, read_table
from hubbub.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distributed import Client

    from hubbub.pipelines.inputs import PathLike


def fetch(
    source: PathLike,
    out: PathLike,
    *,
    recipe: str | None = None,
    url_column: str | None = None,
    hosts: Sequence[str] = (),
    max_files: int | None = None,
    max_total_gb: float | None = None,
    max_hours: float | None = None,
    max_pages: int = 10_000,
    refresh: bool = False,
    retry_failed: bool = False,
    client: Client | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    progress: bool = False,
    **politeness: Any,
) -> ClipTable:
    """Fetch recordings from the web, politely; run it again to go on, or for what is new.

    Parameters
    ----------
    source
        A list of addresses (a text with one a line, or a table), the address of a site, or a recipe's YAML file.
    out
        The folder, or prefix of a bucket: new, or made by an earlier call.
    recipe
        How a site is read: a name that ``hubbub fetch --recipes`` lists, or a YAML file. None: a directory listing.
    url_column
        Column of a table that holds the addresses; None: the one that does.
    hosts
        Hosts that links and redirects may lead to, beside those of the source.
    max_files, max_total_gb, max_hours, max_pages
        Limits of one call; GiB and hours.
    refresh
        Ask for recordings that are here as well, and fetch those that changed.
    retry_failed
        Try addresses again that failed in earlier calls.
    client, cluster, workers
        As in `build_features`; without any, threads of this process fetch.
    progress
        Print progress and warnings.
    **politeness
        Arguments of `hubbub.downloads.policy.make_policy`: rate, connections, allow_private, contact, max_file_gb,
        keep_free_gb.

    Returns
    -------
    ClipTable
        The recordings that are here; ``OUT/failures.csv`` has those that are not, with reasons.

    Raises
    ------
    hubbub.errors.UsageError
        For a source that is none of these, or a site without recordings.
    hubbub.errors.StoreError
        When `out` holds something else, or no recording came.
    hubbub.errors.StorageError
        When the disk is full, or cannot be written.

    Examples
    --------
    >>> clips = hubbub.fetch("urls.txt", "recordings")  # doctest: +SKIP
    """
    from hubbub.downloads.policy import make_policy
    from hubbub.pipelines.fetch import FetchLimits
    from hubbub.pipelines.fetch import fetch as run

    outcome = run(
        source,
        out,
        recipe=recipe,
        url_column=url_column,
        policy=make_policy(hosts, **politeness),
        limits=FetchLimits(max_files, max_total_gb, max_hours, max_pages),
        refresh=refresh,
        retry_failed=retry_failed,
        client=client,
        cluster=cluster,
        workers=workers,
        progress=progress,
    )
    if outcome.clips is None:
        raise StoreError(f"no recording of {source} came; {out}/failures.csv has the reasons; check the addresses")
    return read_table(outcome.clips)
