"""Little trees of files as data sets have them, and what is listed of them."""

from __future__ import annotations

from pathlib import Path

from hubbub.clips.sources import Columns, Listing, list_source
from hubbub.io.paths import StoragePath


def touch(folder: Path, *names: str) -> Path:
    """Make empty files, and the folders that they lie in."""
    for name in names:
        write(folder / name)
    return folder


def write(path: Path, text: str | bytes = b"") -> Path:
    """Write a file, and the folders that it lies in; text is UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def listed(source: StoragePath, name: str | None = None, *, pattern: str | None = None, **columns: str) -> Listing:
    """List a source with the format of this name; None: the one that it is recognised by."""
    return list_source(source, name, Columns(**columns), pattern=pattern)


def labels(listing: Listing) -> dict[str, list[str]]:
    """Labels by uri."""
    return {clip["uri"]: clip["labels"] for clip in listing.clips}
