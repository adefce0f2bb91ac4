"""Walk the pages of a site by a recipe, and find its recordings; what was read is kept.

A walk that was broken off goes on where it was. One that came to its end begins anew, with conditional requests: pages
that did not change are not sent again.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from hubbub.downloads.addresses import host_of
from hubbub.downloads.failures import FetchFailure, HostUnavailable, NotModified
from hubbub.downloads.headers import read_version
from hubbub.downloads.journal import JournalWriter, list_parts, read_journal, remove_parts
from hubbub.downloads.pages import Link, read_page
from hubbub.downloads.recipe import Recipe
from hubbub.downloads.session import Session
from hubbub.io.paths import StoragePath


@dataclass
class Crawl:
    """What a walk over a site's pages found.

    Attributes
    ----------
    recordings
        By address, each once.
    bad
        Links that are no addresses, and why.
    pages
        Pages that were read, of which `unchanged` were as before.
    failed
        Pages that could not be read, and why.
    left
        Pages that are known and were not read: not yet, or since the run was stopped, the host was given up or there
        were too many.
    why_left
        Why; empty where none is left.
    """

    recordings: dict[str, Link] = field(default_factory=dict)
    bad: list[tuple[str, str]] = field(default_factory=list)
    pages: int = 0
    unchanged: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    left: int = 0
    why_left: str = ""

    @property
    def fraction_read(self) -> float:
        """Share of the pages known so far that were read, 0…1."""
        read = self.pages + len(self.failed)
        return read / max(1, read + self.left)


async def crawl(
    session: Session,
    recipe: Recipe,
    start: str,
    journal: StoragePath,
    *,
    most_pages: int,
    stop: Event,
    found: Crawl,
) -> None:
    """Walk the pages of a site, nearest first.

    Parameters
    ----------
    session
        Makes the requests.
    recipe, start
        Which links are which, and the first page.
    journal
        Folder of what was read so far.
    most_pages
        Pages that are asked for at most; those that a walk that was broken off has read do not count.
    stop
        Set to break off after the current page.
    found
        Filled page by page; `left` is then the number of those that are known and not read yet.
    """
    walk, first = _Walk(journal, recipe, start), start
    queue, seen, asked = deque([Link(start)]), {start}, 0
    with JournalWriter(journal) as writer:
        while queue:
            if stop.is_set() or asked >= most_pages:
                found.why_left = "the run was stopped" if stop.is_set() else f"--max-pages is {most_pages}"
                break
            link = queue.popleft()
            entry = walk.find(link.address)
            asked += entry is None
            try:
                entry = entry or await _read(session, recipe, link, start, walk)
            except FetchFailure as failure:
                found.failed.append((link.address, str(failure)))
                continue
            except HostUnavailable as error:
                queue.appendleft(link)
                found.why_left = str(error)
                break
            if entry.get("is_new"):
                writer.add({**entry, "is_new": False})
            _add_entry(found, entry)
            if link.address == first:
                start = entry.get("at", first)  # "http://h/sounds" leads to "https://h/sounds/"
            for further in _read_links(entry["links"]):
                if further.address not in seen:
                    seen.add(further.address)
                    queue.append(further)
            found.left = len(queue)
        found.left = len(queue)
        if not queue:
            writer.add({"walk": walk.number, "end": True, "key": walk.key})
            walk.tidy()


class _Walk:
    """What earlier walks read: pages of this walk, if it was broken off, and of the one before.

    Pages are kept by address and by the recipe's hash: what another recipe read is nothing to this one.
    """

    def __init__(self, journal: StoragePath, recipe: Recipe, start: str) -> None:
        self.key = hashlib.sha256(f"{start}\n{recipe.model_dump_json()}".encode()).hexdigest()[:16]
        self._pages, self._last_walks, ended = dict[str, dict[str, Any]](), dict[StoragePath, int](), 0
        for part in list_parts(journal):
            entries = list(read_journal([part]))
            own = [entry for entry in entries if entry.get("key") == self.key]
            if len(own) == len(entries):
                self._last_walks[part] = max((entry["walk"] for entry in own), default=0)
            for entry in own:
                if entry.get("end"):
                    ended = max(ended, entry["walk"])
                elif entry["walk"] >= self._pages.get(entry["address"], entry)["walk"]:
                    self._pages[entry["address"]] = entry
        self.number = ended + 1

    def find(self, address: str) -> dict[str, Any] | None:
        """Return a page that this walk has read already."""
        entry = self._pages.get(address)
        return entry if entry is not None and entry["walk"] == self.number else None

    def find_before(self, address: str) -> dict[str, Any]:
        """Return a page as an earlier walk read it; empty for none."""
        return self._pages.get(address, {})

    def tidy(self) -> None:
        """Remove what only earlier walks need, once this one came to its end; other recipes' pages stay."""
        remove_parts(part for part, walk in self._last_walks.items() if walk < self.number)


async def _read(session: Session, recipe: Recipe, link: Link, start: str, walk: _Walk) -> dict[str, Any]:
    """Ask for a page, unless it is as it was; return it as the journal has it."""
    before = walk.find_before(link.address)
    is_same_link = before.get("inherited") == link.columns
    condition = {
        header: before[name]
        for name, header in (("etag", "If-None-Match"), ("last_modified", "If-Modified-Since"))
        if is_same_link and before.get(name)
    }
    head = {"walk": walk.number, "key": walk.key, "address": link.address, "inherited": link.columns, "is_new": True}

    async def ask() -> dict[str, Any]:
        async with session.get(link.address, condition) as answer:
            policy = session.policy
            content = await answer.read_whole(policy.most_page_bytes, "the page", within_s=policy.longest_page_s)
            kind = answer.headers.get("content-type", "")
            first = answer.address if link.address == start else start
            page = read_page(content, kind, answer.address, recipe, link.columns, first)
            return {
                **head,
                **read_version(answer.headers),
                "at": answer.address,
                "links": [[one.address, one.columns] for one in page.pages],
                "recordings": [[one.address, {**one.columns, "page": link.address}] for one in page.recordings],
                "bad": page.bad,
            }

    try:
        return await session.retry(ask, host_of(link.address))
    except NotModified:
        return {**before, **head, "unchanged": True}


def _add_entry(found: Crawl, entry: dict[str, Any]) -> None:
    found.pages += 1
    found.unchanged += bool(entry.get("unchanged"))
    found.bad += [(text, why) for text, why in entry["bad"]]
    for link in _read_links(entry["recordings"]):
        found.recordings.setdefault(link.address, link)


def _read_links(stored: list[Any]) -> list[Link]:
    return [Link(address, columns) for address, columns in stored]
