"""Why an address, or a whole host, could not be fetched."""

from __future__ import annotations


class FetchFailure(Exception):
    """One address cannot be fetched. The text becomes the `error` of its row.

    Parameters
    ----------
    reason
        What was wrong, for people; text from the network is cut and on one line.
    is_transient
        Whether the same request may succeed after a while.
    wait_s
        How long the server asks to wait; None: it does not say.
    is_of_host
        Whether the host did not answer at all: after some of these, the host is given up for this run.
    status
        HTTP's number, where the server answered.
    """

    def __init__(
        self,
        reason: str,
        *,
        is_transient: bool = False,
        wait_s: float | None = None,
        is_of_host: bool = False,
        status: int | None = None,
    ) -> None:
        super().__init__(shorten(reason))
        self.is_transient, self.wait_s, self.is_of_host, self.status = is_transient, wait_s, is_of_host, status


class NotModified(Exception):
    """The server says that what is here is what it has (304)."""


class HostUnavailable(Exception):
    """A host is given up for this run: its other files are neither fetched nor failed, and the next run tries them."""


class TotalReached(Exception):
    """The next file would go beyond the bytes that a run may fetch."""


def shorten(text: str, most: int = 300) -> str:
    """Put a text on one line of at most `most` characters, mended."""
    line = " ".join(mend_text(text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def mend_text(text: str) -> str:
    """Replace halves of characters, which JSON may hold and no file of ours can."""
    return text.encode("utf-8", errors="replace").decode("utf-8")
