"""One HTTP request: to an address that was checked, within its time, with a body of bounded size.

Redirects, robots.txt and pauses do not live here (`hubbub.downloads.session`).
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

import httpx

from hubbub.downloads.addresses import find_port, resolve_host
from hubbub.downloads.failures import FetchFailure
from hubbub.downloads.policy import Policy

_CHUNK_BYTES = 64 * 1024
_NETWORK_ADDRESSES = 3  # of a host, that are tried


@dataclass
class Answer:
    """What a server says, up to the body.

    Attributes
    ----------
    address
        What was asked.
    status
        HTTP's number.
    headers
        As httpx has them: names in any case.
    """

    address: str
    status: int
    headers: httpx.Headers
    _response: httpx.Response

    @property
    def length(self) -> int | None:
        """Bytes of the body as the header says; None where it says nothing, or nonsense."""
        value = self.headers.get("content-length", "")
        return int(value) if value.isascii() and value.isdecimal() and len(value) < 19 else None

    @property
    def is_encoded(self) -> bool:
        """Whether the body is compressed, though nobody asked for it."""
        return self.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")

    async def read_parts(self) -> AsyncIterator[bytes]:
        """Give the body piece by piece, decompressed; a piece has some 64 KiB however well it was compressed.

        Raises
        ------
        FetchFailure
            When the connection breaks off, or the body is compressed in a way that nobody asked for.
        """
        parts = self._response.aiter_raw()  # as they come: with a size given, a slow body would be kept back
        try:
            async for part in _decompress(parts, self.headers) if self.is_encoded else parts:
                yield part
        except httpx.HTTPError as error:
            raise _explain(error, self.address) from None

    async def read_whole(self, most_bytes: int, what: str, *, within_s: float) -> bytes:
        """Read the whole body, of at most `most_bytes`; raises `FetchFailure` beyond that, and after `within_s`."""
        if (self.length or 0) > most_bytes:
            raise FetchFailure(f"{what} has {self.length} bytes; expected at most {most_bytes}")
        held = await self.read_start(most_bytes + 1, what, within_s=within_s)
        if len(held) > most_bytes:
            raise FetchFailure(f"{what} has more than {most_bytes} bytes, and is not read further")
        return held

    async def read_start(self, most_bytes: int, what: str, *, within_s: float) -> bytes:
        """Read until there are `most_bytes`, or a few more; raises `FetchFailure` after `within_s`."""
        held = bytearray()
        try:
            async with asyncio.timeout(within_s):
                async for part in self.read_parts():
                    held += part
                    if len(held) >= most_bytes:
                        break
        except TimeoutError:
            raise FetchFailure(f"{what} takes longer than {within_s:g} s", is_transient=True) from None
        return bytes(held)


async def _decompress(parts: AsyncIterator[bytes], headers: httpx.Headers) -> AsyncIterator[bytes]:
    """Undo gzip or deflate piece by piece: a bomb comes out as many small pieces, which the reader stops taking."""
    kind = headers.get("content-encoding", "").strip().lower()
    if kind not in ("gzip", "x-gzip", "deflate"):
        raise FetchFailure(f"the body is encoded as {kind!r}, though it was asked for as it is")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)  # both kinds, told apart by their header
    try:
        async for part in parts:
            while part:
                yield unpack.decompress(part, _CHUNK_BYTES)
                part = unpack.unconsumed_tail
            if unpack.eof:
                return  # whatever follows is no part of it
    except zlib.error as error:
        raise FetchFailure(f"the body is no {kind}: {error}") from None
    raise FetchFailure(f"the {kind} body breaks off", is_transient=True)


class Transfer:
    """Sends requests; connections to a host stay open between them."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._clients: dict[tuple[str, str, int], httpx.AsyncClient] = {}

    async def close(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    @asynccontextmanager
    async def send(self, address: str, headers: Mapping[str, str]) -> AsyncIterator[Answer]:
        """Ask for one address, and give the answer while its body is read.

        Raises
        ------
        FetchFailure
            When the host cannot be found or reached, is private, or does not answer in time.
        """
        url, policy = httpx.URL(address), self._policy
        try:
            async with asyncio.timeout(policy.answer_timeout_s):
                response = await self._ask(url, headers)
        except TimeoutError:
            raise FetchFailure(
                f"no answer within {policy.answer_timeout_s:g} s", is_transient=True, is_of_host=True
            ) from None
        except httpx.HTTPError as error:
            raise _explain(error, address) from None
        try:
            yield Answer(address, response.status_code, response.headers, response)
        finally:
            await response.aclose()

    async def _ask(self, url: httpx.URL, headers: Mapping[str, str]) -> httpx.Response:
        """Send a request to the network addresses of its host, one after the other, until one answers."""
        port = find_port(str(url))
        host = url.raw_host.decode("ascii")  # Python spells letters beyond ASCII otherwise, and asks another host
        numbers = await resolve_host(
            host, port, allow_private=self._policy.allow_private, advice=self._policy.private_advice
        )
        client = self._client(url, port)
        for number in numbers[:_NETWORK_ADDRESSES]:
            request = client.build_request(
                "GET",
                url.copy_with(host=number),
                headers={**headers, "Host": url.netloc.decode("ascii")},
                extensions={"sni_hostname": host},  # the certificate has to be that of the name
            )
            try:
                return await client.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure

    def _client(self, url: httpx.URL, port: int) -> httpx.AsyncClient:
        """One client a host: connections are kept by network address, and two hosts may share one."""
        key, policy = (url.scheme, url.host, port), self._policy
        if key not in self._clients:
            timeout = httpx.Timeout(policy.silence_timeout_s, connect=policy.connect_timeout_s)
            agent = {"User-Agent": policy.user_agent, "Accept-Encoding": "identity", "Accept": "*/*"}
            self._clients[key] = httpx.AsyncClient(
                headers=agent, verify=_trust(), timeout=timeout, trust_env=False, follow_redirects=False
            )
        return self._clients[key]


@cache
def _trust() -> ssl.SSLContext:
    """Certificates that are trusted: those of certifi, or of the environment's SSL_CERT_FILE."""
    return httpx.create_ssl_context()


def _explain(error: httpx.HTTPError, address: str) -> FetchFailure:
    host = httpx.URL(address).host
    if (cause := _find_certificate_error(error)) is not None:
        return FetchFailure(f"the certificate of {host} is not valid: {cause.verify_message}", is_of_host=True)
    if isinstance(error, httpx.ConnectTimeout):
        return FetchFailure(f"{host} cannot be reached in time", is_transient=True, is_of_host=True)
    if isinstance(error, httpx.ConnectError):
        return FetchFailure(f"{host} cannot be reached: {error}", is_transient=True, is_of_host=True)
    if isinstance(error, httpx.ReadTimeout):
        return FetchFailure(f"{host} fell silent", is_transient=True)
    if isinstance(error, (httpx.LocalProtocolError, httpx.UnsupportedProtocol)):
        return FetchFailure(f"cannot be asked for: {error}")
    return FetchFailure(f"the connection to {host} broke off: {error}", is_transient=True)


def _find_certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error
