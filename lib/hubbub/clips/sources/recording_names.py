"""The recordings of a folder by their paths and names, as files of annotations and of metadata name them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath, PureWindowsPath

from hubbub.clips.sources.tree import Tree


class RecordingNames:
    """Recordings below the root of a tree.

    Attributes
    ----------
    paths
        Of all of them, in the order of the listing.
    """

    def __init__(self, tree: Tree) -> None:
        self.paths = dict.fromkeys(path for path, _ in tree.recordings())
        self._by_stem = {_without_ending(path): path for path in self.paths}
        self._alone = _keep_single((PurePosixPath(path).stem, path) for path in self.paths)
        self._alone |= _keep_single((PurePosixPath(path).name, path) for path in self.paths)

    def find_namesake(self, path: str, stem: str) -> str | None:
        """Find the recording that the file at `path` is named after.

        Parameters
        ----------
        path
            Of the file, below the root.
        stem
            The path without the endings of the file; that of the recording may be left.

        Returns
        -------
        str or None
            The recording beside the file, or anywhere the only one of the name.
        """
        beside = stem if stem in self.paths else self._by_stem.get(stem)
        return beside or self._alone.get(PurePosixPath(stem).name)

    def find_named(self, path: str, name: str) -> str | None:
        """Find the recording that the file at `path` calls `name`: a path of another machine, or a name.

        Returns
        -------
        str or None
            Where the end of the path fits, from the folder of the file or from the root; else the only one of the name.
        """
        parts = (PureWindowsPath(name) if "\\" in name else PurePosixPath(name)).parts
        here = PurePosixPath(path).parent
        for left_out in range(len(parts)):
            tail = PurePosixPath(*parts[left_out:])
            found = next((str(one) for one in (here / tail, tail) if str(one) in self.paths), None)
            if found is not None:
                return found
        name = parts[-1] if parts else ""
        return self._alone.get(name) if PurePosixPath(name).suffix else None


def _without_ending(path: str) -> str:
    return path.removesuffix(PurePosixPath(path).suffix)


def _keep_single(pairs: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    """Paths by names; None for a name that two have."""
    known: dict[str, str | None] = {}
    for name, path in pairs:
        known[name] = None if name in known else path
    return known
