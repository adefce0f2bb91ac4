"""Storage options: how buckets are reached, and what errors of storage mean.

The usual AWS environment decides: ``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``,
``AWS_PROFILE`` …, and ``AWS_NO_SIGN_REQUEST=YES`` for an open bucket. A storage file (`load_storage_file`) sets these
variables. Credentials stay in the environment of processes: no path, setting, store or message holds them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hubbub.errors import UsageError, suggest_nearest

if TYPE_CHECKING:
    from upath import UPath

    StoragePath = Path | UPath
else:
    StoragePath = Path  # what Typer reads; upath costs a tenth of a second that only buckets need pay


ANONYMOUS_VARIABLE = "AWS_NO_SIGN_REQUEST"
REQUEST_ATTEMPTS = 8
"""Times that a request is sent, with growing pauses, to a server that answers 5xx or SlowDown, or breaks off."""

_OPTIONS = {
    "endpoint_url": "AWS_ENDPOINT_URL",
    "region": "AWS_DEFAULT_REGION",
    "profile": "AWS_PROFILE",
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "session_token": "AWS_SESSION_TOKEN",
    "ca_bundle": "AWS_CA_BUNDLE",
    "anonymous": ANONYMOUS_VARIABLE,
}
_CONNECT_TIMEOUT_S = 5.0
_used: dict[str, str] = {}


def load_storage_file(file: Path) -> None:
    """Set the AWS environment of this process, and of those that it starts, by a storage file.

    Parameters
    ----------
    file
        YAML with any of: endpoint_url, region, profile, access_key_id, secret_access_key, session_token, ca_bundle, and
        anonymous (true: sign nothing).

    Raises
    ------
    UsageError
        When it cannot be read, or holds another entry. Values are never repeated in messages.
    """
    import yaml

    try:
        held = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        why = getattr(error, "strerror", None) or getattr(error, "problem", None) or type(error).__name__
        raise UsageError(f"--storage {file} cannot be read: {why}") from None
    held = held or {}
    if not isinstance(held, dict):
        raise UsageError(f"--storage {file}: expected a mapping with {', '.join(_OPTIONS)}")
    for name, value in held.items():
        if name not in _OPTIONS:
            raise UsageError(f"--storage {file}: unknown entry '{name}': {suggest_nearest(str(name), _OPTIONS)}")
        if not isinstance(value, bool if name == "anonymous" else str):
            kind = "true or false" if name == "anonymous" else "text"
            raise UsageError(f"--storage {file}: '{name}' is no {kind}; write it in quotes, as text")
    apply_storage({_OPTIONS[name]: _as_text(value) for name, value in held.items()})


def apply_storage(environment: Mapping[str, str]) -> None:
    """Set entries of the environment, here and on workers that a driver sends them to (`storage_environment`)."""
    os.environ.update(environment)
    _used.update(environment)


def storage_environment() -> dict[str, str]:
    """Return the variables that a storage file set, for remote workers; nothing of the user's own environment."""
    return dict(_used)


def is_anonymous() -> bool:
    """Tell whether requests go unsigned."""
    return os.environ.get(ANONYMOUS_VARIABLE, "").lower() in ("yes", "true", "1", "on")


def s3_endpoint() -> str | None:
    """Return the address of the S3 server; None: Amazon's own."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def explain_storage_error(error: BaseException) -> str | None:
    """Say what a person can do about an error of an S3 server or the network; None for any other error."""
    kind, cause = type(error).__name__, error.__cause__ or error.__context__
    answer = getattr(cause, "response", None) or {}
    code = (answer.get("Error") or {}).get("Code")
    text = str(error)
    at = s3_endpoint() or "Amazon S3"
    if kind in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"):
        unsigned = f"{ANONYMOUS_VARIABLE}=YES"
        return f"no credentials for {at} ({kind}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or {unsigned}"
    if kind in ("EndpointConnectionError", "ConnectTimeoutError", "InvalidEndpoint", "ConnectionError", "SSLError"):
        return f"no S3 server answers at {at} ({kind}); check AWS_ENDPOINT_URL"
    if code == "RequestTimeTooSkewed" or "RequestTimeTooSkewed" in text or "request time and the" in text:
        return f"{at} refuses requests signed at this machine's time, which is off; set its clock, then run again"
    if isinstance(error, PermissionError) and code is not None:
        return f"{at} refuses ({code}): the credentials given have no permission there, or are wrong"
    if code == "NoSuchBucket":
        return f"{at} has no such bucket; make it first, or check its name"
    if code is not None:
        return f"{at} answers {code}: {text}"
    if type(error).__module__.partition(".")[0] in ("botocore", "aiobotocore", "aiohttp"):
        return f"{at} could not be reached or did not answer as an S3 server does ({kind}: {text})"
    return None


@lru_cache(maxsize=8)
def check_endpoint(address: str) -> None:
    """Refuse an endpoint that does not answer, at once: requests are retried for most of a minute."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"AWS_ENDPOINT_URL is '{address}'; expected an address such as http://127.0.0.1:9000")
    if any(os.environ.get(name) or os.environ.get(name.lower()) for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")):
        return
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname, port), timeout=_CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"no S3 server answers at {address} ({why}); check AWS_ENDPOINT_URL") from None


def request_options() -> dict[str, Any]:
    """Return the options of s3fs that travel with a path to workers; none is secret."""
    options: dict[str, Any] = {
        "use_listings_cache": False,  # others write to the same store
        "config_kwargs": {"retries": {"mode": "standard", "max_attempts": REQUEST_ATTEMPTS}, **_timeouts()},
    }
    if (address := s3_endpoint()) is not None:
        options["endpoint_url"] = address
    return options | ({"anon": True} if is_anonymous() else {})


def _timeouts() -> dict[str, float]:
    """Return the seconds until a connection or a request is tried again."""
    return {
        "connect_timeout": _CONNECT_TIMEOUT_S,
        "read_timeout": float(os.environ.get("HUBBUB_S3_READ_TIMEOUT_S", "15")),
    }


def _as_text(value: str | bool) -> str:
    return value if isinstance(value, str) else ("YES" if value else "NO")
