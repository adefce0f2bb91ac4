"""Links of all runs into one folder: where the file of each goes, and what is known of it. Kept as Parquet."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hubbub.clips.sources.tree import is_audio
from hubbub.downloads.file_names import add_hash, choose_file_name, split_suffix
from hubbub.downloads.pages import Link
from hubbub.downloads.records import STATE
from hubbub.io.atomic import atomic_write, explain_read_errors, local_file
from hubbub.io.paths import StoragePath

_TABLE = f"{STATE}/links.parquet"
_SCHEMA = pa.schema([("url", pa.string()), ("file", pa.string()), ("columns", pa.string())])


@dataclass(frozen=True)
class KnownLink:
    """A link with its place.

    Attributes
    ----------
    file
        Relative to the output folder; no two links share one, in whatever case a disk compares names, nor is one the
        other's folder.
    columns
        As the list or the page had them when it was read last.
    """

    file: str
    columns: dict[str, Any]


class LinkTable:
    """All links of an output folder, in the order in which they were first met.

    Parameters
    ----------
    output
        The folder; what earlier runs left there is read.
    """

    def __init__(self, output: StoragePath) -> None:
        self._path = output / _TABLE
        self._links: dict[str, KnownLink] = {}
        with explain_read_errors(self._path):
            if self._path.exists():
                with local_file(self._path) as local:
                    rows = pq.ParquetFile(local).read().to_pylist()
                self._links = {row["url"]: KnownLink(row["file"], json.loads(row["columns"])) for row in rows}
        self._names = _TakenNames()
        for link in self._links.values():
            self._names.take(link.file)

    def __getitem__(self, url: str) -> KnownLink:
        return self._links[url]

    def __iter__(self) -> Iterator[str]:
        return iter(self._links)

    def __contains__(self, url: str) -> bool:
        return url in self._links

    def add(self, links: Iterable[Link]) -> None:
        """Add links, or renew their columns; a link that is known keeps its file."""
        for link in links:
            known = self._links.get(link.address)
            file = self._choose_file(link.address) if known is None else known.file
            self._links[link.address] = KnownLink(file, link.columns)

    def write(self) -> None:
        """Write the table, whole or not at all; errors of `atomic_write`."""
        rows = [
            {"url": url, "file": link.file, "columns": json.dumps(link.columns, ensure_ascii=False)}
            for url, link in self._links.items()
        ]
        with atomic_write(self._path) as partial:
            pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), partial)

    def _choose_file(self, address: str) -> str:
        file = choose_file_name(address)
        if self._names.has_file_above(file):
            host, *_, name = file.split("/")
            file = add_hash(f"{host}/{name}", address)
        elif self._names.has(file):
            file = add_hash(file, address)
        self._names.take(file)
        return file


class _TakenNames:
    """Names of files and folders, as disks compare them; a file that has no ending of a recording may get any."""

    def __init__(self) -> None:
        self._files, self._folders = set[str](), set[str]()
        self._stems, self._without_ending = set[str](), set[str]()

    def take(self, file: str) -> None:
        """Keep a name for one file, and those of its folders for folders."""
        name = _fold(file)
        if is_audio(name):
            self._files.add(name)
            self._stems.add(split_suffix(name)[0])
        else:
            self._without_ending.add(name)
        for folder in self._list_new_folders(name):
            self._folders.add(folder)
            if is_audio(folder):
                self._stems.add(split_suffix(folder)[0])

    def has(self, file: str) -> bool:
        """Tell whether the name of a file is taken."""
        name = _fold(file)
        if is_audio(name):
            return name in self._folders or self._is_file(name)
        return name in self._without_ending or name in self._stems

    def has_file_above(self, file: str) -> bool:
        """Tell whether a folder of a file has the name of another file."""
        return any(map(self._is_file, self._list_new_folders(_fold(file))))

    def _is_file(self, name: str) -> bool:
        return name in self._files or (is_audio(name) and split_suffix(name)[0] in self._without_ending)

    def _list_new_folders(self, name: str) -> list[str]:
        """Folders of a file that no other one has; those above a known folder are known, too."""
        found = []
        while (name := name.rpartition("/")[0]) and name not in self._folders:
            found.append(name)
        return found


def _fold(file: str) -> str:
    """A name as disks compare it that know no case."""
    return unicodedata.normalize("NFC", file.casefold())
