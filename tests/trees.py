"""Little trees of files, and what is listed of them."""

from __future__ import annotations

from pathlib import Path

from hubbub.clips.sources import Columns, Listing, list_source
from hubbub.io.paths import StoragePath


def touch(folder: Path, *names: str) -> Path:
    """Make empty files, and the folders that they lie in."""
    for name in names:
        write(folder / name, "")
    return folder


def write(path: Path, text: str) -> Path:
    """Write a text, and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def listed(source: StoragePath, format: str | None = None) -> Listing:
    """List a source; no columns are named."""
    return list_source(source, format, Columns())


def labels(listing: Listing) -> dict[str, list[str]]:
    """Labels by uri."""
    return {clip["uri"]: clip["labels"] for clip in listing.clips}
