"""How politely hosts are asked, and how much is taken from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hubbub import __version__
from hubbub.downloads.addresses import AllowedHosts
from hubbub.errors import UsageError

MIB, GIB = 2**20, 2**30
MOST_GIB = 1e6


@dataclass(frozen=True)
class Policy:
    """What holds for every request of a run; plain data, so that any engine can send it anywhere.

    Attributes
    ----------
    hosts
        Hosts that may be asked; links and redirects to others are refused.
    allow_private
        Whether addresses of local networks may be asked.
    private_advice
        What to do about one that may not, for people.
    contact
        How to reach whoever runs this, for the operators of hosts: an e-mail address or a page; None: nothing is said.
    secret_headers
        Headers sent to one host alone, such as an API key; by host. They are in no file that is written.
    interval_s
        Least time between two requests to one host; a longer crawl delay of its robots.txt is kept.
    connections
        Files of one host that are fetched at once.
    tries
        Times that a request is sent while its failure may pass.
    backoff_s
        Pause after the first failure; each further one is four times as long, up to a minute.
    longest_wait_s
        The longest that a host may ask to wait (Retry-After), or to leave between two requests (robots.txt); where it
        asks for longer, it is given up for this run.
    connect_timeout_s, silence_timeout_s
        Longest time for a connection, and without a single byte.
    answer_timeout_s
        Longest time from a request to the end of the answer's headers.
    least_bytes_s
        Slowest rate of a file, bytes a second over half a minute.
    longest_file_s, longest_page_s
        Longest time for one file, and for the body of one page.
    most_file_bytes
        Largest file.
    most_page_bytes
        Largest page, after decompression.
    most_redirects
        Redirects followed for one address.
    least_free_bytes
        Free space that stays on the disk.
    """

    hosts: AllowedHosts
    allow_private: bool = False
    private_advice: str = "if that is meant: --allow-private --retry-failed"
    contact: str | None = None
    secret_headers: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)
    interval_s: float = 0.5
    connections: int = 2
    tries: int = 4
    backoff_s: float = 1.0
    longest_wait_s: float = 300.0
    connect_timeout_s: float = 20.0
    silence_timeout_s: float = 30.0
    answer_timeout_s: float = 60.0
    least_bytes_s: float = 500.0
    slow_after_s: float = 30.0
    longest_file_s: float = 6 * 3600.0
    longest_page_s: float = 300.0
    most_file_bytes: int = 4 * GIB
    most_page_bytes: int = 10 * MIB
    most_redirects: int = 5
    least_free_bytes: int = GIB

    @property
    def user_agent(self) -> str:
        """Who asks, as hosts see it."""
        return f"hubbub/{__version__}" + (f" (+{self.contact})" if self.contact else "")


def make_policy(
    hosts: Sequence[str] = (),
    *,
    rate: float = 2.0,
    connections: int = 2,
    allow_private: bool = False,
    contact: str | None = None,
    max_file_gb: float = 4.0,
    keep_free_gb: float = 1.0,
) -> Policy:
    """Make a policy of what a person says.

    Parameters
    ----------
    hosts
        That may be asked beside those of the source.
    rate
        Requests a second to one host, at most.
    connections
        Files of one host that are fetched at once, 1 to 8.
    allow_private, contact
        As in `Policy`.
    max_file_gb, keep_free_gb
        Largest file, and free space that stays on the disk, GiB.

    Raises
    ------
    UsageError
        For a number out of its range.
    """
    for name, value, most in (("--rate", rate, 1000.0), ("--max-file-gb", max_file_gb, MOST_GIB)):
        if not 0 < value <= most:
            raise UsageError(f"{name} {value:g}: expected more than 0 and at most {most:g}")
    if not 1 <= connections <= 8:
        raise UsageError(f"--connections {connections}: expected 1 to 8; more is not polite")
    if not 0 <= keep_free_gb <= MOST_GIB:
        raise UsageError(f"--keep-free-gb {keep_free_gb:g}: expected at least 0 and at most {MOST_GIB:g}")
    if contact is not None and (not contact.isprintable() or not contact.isascii()):
        raise UsageError(f"--contact {contact!r}: expected an e-mail address or a page, in ASCII")
    return Policy(
        AllowedHosts.of(hosts),
        interval_s=1 / rate,
        connections=connections,
        allow_private=allow_private,
        contact=contact,
        most_file_bytes=int(max_file_gb * GIB),
        least_free_bytes=int(keep_free_gb * GIB),
    )
