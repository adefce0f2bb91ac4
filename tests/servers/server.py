"""An S3 server that answers, and the environment that leads a client to it."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass, replace
from typing import Any

import pytest

REGION = "us-east-1"

# Whatever else could lead a client elsewhere: the user's own settings, keys and proxies.
_ELSEWHERE = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_NO_SIGN_REQUEST",
    "AWS_ENDPOINT_URL_S3",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_CA_BUNDLE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "FSSPEC_S3_ENDPOINT_URL",
    "FSSPEC_S3_KEY",
    "FSSPEC_S3_SECRET",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
)


@dataclass(frozen=True)
class Server:
    """An S3 server on loopback.

    Attributes
    ----------
    url
        Its endpoint, ``http://127.0.0.1:PORT``.
    key
        The access key that it knows.
    secret
        The secret that goes with it.
    """

    url: str
    key: str
    secret: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead any client of S3 to this server."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def at(self, url: str) -> Server:
        """The same server, reached at another address, such as a proxy's."""
        return replace(self, url=url)

    def whole_environment(self) -> dict[str, str]:
        """Return the environment for a command in a process of its own: that of this process, with these variables."""
        kept = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
        return kept | self.environment

    def reach(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Lead this process, and the commands it starts, to this server for as long as `monkeypatch` lasts."""
        for name in _ELSEWHERE:
            monkeypatch.delenv(name, raising=False)
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        forget_connections()

    def client(self, **options: Any) -> Any:
        """Return a boto3 client of this server, to look behind what is tested."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            config=Config(s3={"addressing_style": "path"}, **options),
        )

    def bucket(self) -> str:
        """Make a fresh bucket; returns its address, ``s3://test-…``."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return f"s3://{name}"

    def keys(self, address: str) -> list[str]:
        """Names of the objects under ``s3://bucket/prefix``, sorted, from the bucket's root."""
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return sorted(item["Key"] for page in pages for item in page.get("Contents", []))


def forget_connections() -> None:
    """Drop the file systems that fsspec keeps: they would go on talking to the server of the test before."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()


def free_port() -> int:
    """Return a port of loopback that nothing listens at now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
