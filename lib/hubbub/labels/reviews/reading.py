"""Reading of reviews, which clip tables are made of as well: `hubbub.clips.reviews`."""

from __future__ import annotations

from hubbub.clips.reviews import current_verdicts, list_parts, read_reviews, settle_verdicts

__all__ = ["current_verdicts", "list_parts", "read_reviews", "settle_verdicts"]
