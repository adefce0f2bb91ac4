"""The formats that ``hubbub index`` knows, written from their descriptions: name, what it holds, an example tree."""

from __future__ import annotations

from hubbub.clips.sources import list_formats
from hubbub_site.markdown import as_text


def write_formats() -> str:
    """Write every format with its example."""
    parts = [
        f"**`{known.name}`**: {as_text(known.holds)}\n\n```text\n{known.example}\n```"
        for known in list_formats().values()
    ]
    return "\n\n".join(parts)
