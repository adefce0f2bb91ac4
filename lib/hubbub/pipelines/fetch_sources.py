"""What a fetch begins with: a list of addresses, one address, or a site that a recipe reads."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

from hubbub.clips.sources.tree import is_audio
from hubbub.downloads.addresses import AllowedHosts, host_of, parse_address
from hubbub.downloads.crawl import Crawl, crawl
from hubbub.downloads.failures import FetchFailure
from hubbub.downloads.lists import read_list
from hubbub.downloads.pages import Link
from hubbub.downloads.policy import Policy
from hubbub.downloads.recipe import Recipe, load_recipe, resolve_headers
from hubbub.downloads.records import PAGES
from hubbub.downloads.session import Session
from hubbub.errors import UsageError
from hubbub.io.paths import StoragePath, parse_path
from hubbub.io.text import count_noun
from hubbub.pipelines.reporting import Reporter

_DEFAULT_RECIPE = "directory-listing"
_SCHEMES = ("http://", "https://")


@dataclass(frozen=True)
class Site:
    """A site that a recipe reads.

    Attributes
    ----------
    recipe
        Says which links are what.
    start
        The first page.
    """

    recipe: Recipe
    start: str


@dataclass(frozen=True)
class Found:
    """What a source holds.

    Attributes
    ----------
    links
        Recordings, each once.
    bad
        What is no address, and why.
    left
        Whether pages were not read, so that there may be more.
    """

    links: Sequence[Link]
    bad: Sequence[tuple[str, str]] = field(default_factory=tuple)
    left: bool = False


def open_source(
    source: str | StoragePath, recipe: str | None, url_column: str | None, policy: Policy
) -> tuple[Site | Found, Policy]:
    """Find out what a source is; reads lists, and asks no host.

    Returns
    -------
    source, policy
        A site, or what a list holds; and the policy with the hosts that may be asked.

    Raises
    ------
    UsageError
        When it is nothing that can be fetched.
    """
    text = str(source)
    if text.lower().startswith(_SCHEMES):
        return _open_address(text, recipe, url_column, policy)
    if recipe is None and text.endswith((".yaml", ".yml")):
        found = load_recipe(text)
        if found.start is None:
            raise UsageError(
                f"{text} has no start; give the first page: hubbub fetch https://… --recipe {text} -o FOLDER"
            )
        return _open_site(found, found.start, text, policy)
    if recipe is not None:
        raise UsageError(f"{text} is no address; with --recipe give the first page: hubbub fetch https://… --recipe …")
    links, bad = read_list(parse_path(text) if isinstance(source, str) else source, url_column)
    return Found(links, bad), allow_hosts(policy, {host_of(link.address) for link in links})


def _open_address(text: str, recipe: str | None, url_column: str | None, policy: Policy) -> tuple[Site | Found, Policy]:
    if url_column is not None:
        raise UsageError(f"--url-column {url_column} goes with a table; {text} is an address: leave it out")
    if recipe is None and is_audio(text.partition("?")[0]):
        address = _parse_start(text, "SOURCE")
        return Found([Link(address)]), allow_hosts(policy, [host_of(address)])
    return _open_site(load_recipe(recipe or _DEFAULT_RECIPE), text, "SOURCE", policy)


def _open_site(recipe: Recipe, start: str, where: str, policy: Policy) -> tuple[Site, Policy]:
    address = _parse_start(start, where)
    headers = resolve_headers(recipe)
    policy = replace(policy, secret_headers={host_of(address): headers} if headers else {})
    return Site(recipe, address), allow_hosts(policy, [host_of(address), *recipe.hosts])


def _parse_start(text: str, where: str) -> str:
    try:
        return parse_address(text)
    except FetchFailure as failure:
        raise UsageError(f"{where}: {failure}") from None


def allow_hosts(policy: Policy, names: Collection[str]) -> Policy:
    """Return a policy that allows further hosts."""
    return replace(policy, hosts=AllowedHosts.of([*policy.hosts.names, *names]))


def read_site(
    site: Site, policy: Policy, output: StoragePath | None, *, most_pages: int, stop: Event, reporter: Reporter
) -> Found:
    """Read the pages of a site and say what they hold.

    Parameters
    ----------
    output
        Keeps what was read, so that a walk that is broken off goes on; None: nothing is kept.

    Raises
    ------
    UsageError
        When no recording was found: says how many pages were read, and what failed.
    """
    found = Crawl()

    def look() -> tuple[float, str]:
        links = count_noun(len(found.recordings), "link")
        return found.fraction_read, f"{found.pages} read, {found.left} more known, {links} to recordings"

    with (
        _journal_folder(output) as journal,
        reporter.follow("pages", look),
        reporter.drain_on_signal(stop, lambda: 0, lambda: True),
    ):
        asyncio.run(_crawl(site, policy, journal, most_pages, stop, found))
    reporter.say(
        f"{count_noun(found.pages, 'page')} read"
        + (f", {found.unchanged} of them unchanged" if found.unchanged else "")
        + f"; {count_noun(len(found.recordings), 'link')} to recordings"
    )
    for address, why in found.failed[:5]:
        reporter.warn(f"page {address}: {why}")
    if len(found.failed) > 5:
        reporter.warn(f"… and {len(found.failed) - 5} more pages that cannot be read")
    if found.why_left:
        reporter.warn(f"{count_noun(found.left, 'page')} not read: {found.why_left}; the same command goes on there")
    if not found.recordings and not stop.is_set():
        why = f"the first page: {found.failed[0][1]}" if found.failed and not found.pages else found.why_left
        raise UsageError(
            f"{site.start}: no recordings found on {count_noun(found.pages, 'page')}{f'; {why}' if why else ''}; check "
            "the address, or give a recipe that fits the site with --recipe (hubbub fetch --recipes shows some)"
        )
    return Found(list(found.recordings.values()), found.bad, bool(found.left or found.failed))


async def _crawl(site: Site, policy: Policy, journal: StoragePath, most_pages: int, stop: Event, found: Crawl) -> None:
    async with Session(policy) as session:
        await crawl(session, site.recipe, site.start, journal, most_pages=most_pages, stop=stop, found=found)


@contextmanager
def _journal_folder(output: StoragePath | None) -> Iterator[StoragePath]:
    if output is not None:
        yield output / PAGES
        return
    with tempfile.TemporaryDirectory(prefix="hubbub-") as name:
        yield Path(name)
