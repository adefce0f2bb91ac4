"""Who may ask the page's server: whoever has the token of its address, from pages of its own, by its own name."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS: Mapping[str, str] = {
    # Nothing is loaded from elsewhere, nothing runs that is written into the page, and nobody may frame it.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(self)",
}

LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")


class Guard:
    """Lets requests through that bring the token, and refuses those of other pages.

    Parameters
    ----------
    app
        What answers.
    port
        Of the server; the cookie is named by it, for cookies of one host are shared by its ports.
    token
        The secret of the address; see `make_token`.
    once
        Another secret, which lets in who brings it first: for an address that other people of this machine can see, as
        that of a browser which is started with it.
    any_host
        Whether the server may be asked by other names than this machine's own: with ``--host``.
    """

    def __init__(self, app: ASGIApp, *, port: int, token: str, once: str | None = None, any_host: bool = False) -> None:
        self._app, self._token, self._once, self._any_host = app, token, once, any_host
        self._cookie, self._hosts = f"hubbub-{port}", {f"{name}:{port}" for name in LOCAL_NAMES}
        if port == 80:
            self._hosts.update(LOCAL_NAMES)  # browsers leave this one out

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # no web sockets are spoken here

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        request = Request(scope)
        refusal = self._refuse(request)
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refuse(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if not self._any_host and host not in self._hosts:  # a name of elsewhere that leads here: DNS rebinding
            return PlainTextResponse(f"this server does not answer to the name {host!r}", 421)
        if not self._is_own_page(request, host):
            return PlainTextResponse("requests of other pages are refused", 403)
        given = request.query_params.get("token")
        if given is not None and request.method == "GET" and (self._is_token(given) or self._is_once(given)):
            return self._let_in(request)
        if not self._is_token(request.cookies.get(self._cookie, "")):
            return PlainTextResponse(
                "This page needs the token of its address. Open the whole address that hubbub printed where it was "
                "started last, http://…/?token=…, in another tab; this one then goes on.\n",
                403,
            )
        return None

    def _is_own_page(self, request: Request, host: str) -> bool:
        site = request.headers.get("sec-fetch-site", "none")
        origin = request.headers.get("origin")
        if request.method in ("GET", "HEAD"):
            return site in ("none", "same-origin") or request.headers.get("sec-fetch-mode") == "navigate"
        return site in ("none", "same-origin") and origin is not None and origin.partition("://")[2] == host

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())

    def _is_once(self, given: str) -> bool:
        if self._once is None or not hmac.compare_digest(given.encode(), self._once.encode()):
            return False
        self._once = None
        return True

    def _let_in(self, request: Request) -> Response:
        """Keep the token in a cookie that no script reads, and out of the address."""
        query = request.url.remove_query_params("token").query
        path = "/" + request.url.path.lstrip("/")  # two slashes would name another host
        answer = RedirectResponse(path + (f"?{query}" if query else ""), 303)
        answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
        return answer


def make_token() -> str:
    """A secret that nobody guesses."""
    return secrets.token_urlsafe(24)
