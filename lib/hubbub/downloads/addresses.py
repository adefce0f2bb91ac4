"""Web addresses: which are understood, which hosts may be asked, and which network addresses are private."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

import httpx

from hubbub.downloads.failures import FetchFailure, shorten

_PORTS = {"http": 80, "https": 443}
_LONGEST = 4096
_HOST = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_.])?")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def parse_address(text: str, base: str | None = None) -> str:
    """Write an address in the one form that it is known by: absolute, encoded, without its fragment.

    Parameters
    ----------
    text
        As a list or a page has it.
    base
        The page's own address, which relative ones start from.

    Raises
    ------
    FetchFailure
        For anything but ``http://`` and ``https://``, an address with a password, or none at all.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        raise FetchFailure(f"the address has {len(text)} characters; expected at most {_LONGEST}")
    try:
        url = httpx.URL(text) if base is None else httpx.URL(base).join(text)
        _ = url.port, url.host  # parsed when asked for
    except (httpx.InvalidURL, ValueError) as error:
        raise FetchFailure(f"{shorten(repr(text), 80)} is no address: {error}; expected https://host/path") from None
    if url.scheme not in _PORTS or not (":" in url.host or _HOST.fullmatch(url.raw_host.decode("ascii"))):
        raise FetchFailure(f"{shorten(repr(text), 80)} is no address of the web; expected https://host/path")
    if url.userinfo:
        raise FetchFailure(f"the address of {url.host} holds a user name or password; leave it out")
    return str(url.copy_with(fragment=None))


def host_of(address: str) -> str:
    """Return the host of a parsed address, with its port where it is not the usual one."""
    url = httpx.URL(address)
    host = f"[{url.host}]" if ":" in url.host else url.raw_host.decode("ascii")
    return host if url.port in (None, _PORTS[url.scheme]) else f"{host}:{url.port}"


def find_port(address: str) -> int:
    """Return the port that an address is asked at."""
    url = httpx.URL(address)
    return url.port or _PORTS[url.scheme]


@dataclass(frozen=True)
class AllowedHosts:
    """Hosts that may be asked.

    Attributes
    ----------
    names
        As `host_of` writes them; ``*.example.org`` stands for every host below example.org.
    """

    names: frozenset[str]

    @classmethod
    def of(cls, names: Iterable[str]) -> AllowedHosts:
        """Take hosts as people write them."""
        return cls(frozenset(name.strip().lower() for name in names))

    def allows(self, host: str) -> bool:
        """Tell whether a host is among them."""
        if host in self.names:
            return True
        parts = host.split(".")
        return any("*." + ".".join(parts[start:]) in self.names for start in range(1, len(parts)))

    def check(self, address: str) -> None:
        """Refuse an address of another host; raises `FetchFailure`."""
        host = host_of(address)
        if not self.allows(host):
            raise FetchFailure(f"leads to {host}, which is not among the hosts given; allow it with --host {host}")


async def resolve_host(host: str, port: int, *, allow_private: bool) -> list[str]:
    """Look a host up, and return its network addresses, which are then asked by number: no later look-up can differ.

    Raises
    ------
    FetchFailure
        When the host is unknown, or when any of its addresses is private and these are not allowed.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        may_pass = getattr(error, "errno", None) == socket.EAI_AGAIN
        raise FetchFailure(
            f"the host {host} cannot be found: {getattr(error, 'strerror', None) or error}",
            is_transient=may_pass,
            is_of_host=True,
        ) from None
    numbers = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not allow_private and (private := [number for number in numbers if is_private(number)]):
        raise FetchFailure(
            f"{host} is at {private[0]}, a private network address; --allow-private allows such addresses"
        )
    return numbers


def is_private(number: str) -> bool:
    """Tell whether a network address is not one of the public Internet, itself or by the IPv4 address within it."""
    address = ipaddress.ip_address(number.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        within = address.ipv4_mapped or address.sixtofour
        if within is None and address in _NAT64:
            within = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if within is not None:
            return is_private(str(within))
    return not address.is_global or address.is_multicast
