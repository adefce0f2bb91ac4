"""An SSH server on loopback, with its own key and port, that lets one key in. From Debian: openssh-server."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from tests.servers.server import free_port

PATIENCE_S = 20

_CONF = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile {folder}/sshd.pid
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
MaxStartups 100
"""


@dataclass(frozen=True)
class Sshd:
    """A server, and how to log in.

    Attributes
    ----------
    connect_options
        For ``asyncssh.connect``.
    folder
        Its keys and its log.
    """

    connect_options: dict[str, object]
    folder: Path


def missing() -> str | None:
    """Return why no SSH server can be started here, or None."""
    return None if shutil.which("sshd") else "no SSH server is installed: apt-get install openssh-server"


@contextmanager
def sshd() -> Iterator[Sshd]:
    """Give a running server, which ends with the context."""
    folder, port = Path(tempfile.mkdtemp(prefix="sshd-")), free_port()
    for name in ("host_key", "user_key"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(folder / name)
        (folder / name).chmod(0o600)
        key.write_public_key(folder / f"{name}.pub")
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host_key.pub').read_text()}")
    (folder / "sshd.conf").write_text(_CONF.format(port=port, folder=folder))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it locks connections up that are not logged in yet
    program = shutil.which("sshd")
    assert program is not None
    words = [program, "-D", "-f", folder / "sshd.conf", "-E", folder / "sshd.log"]  # it wants its whole path
    process = subprocess.Popen(words)
    try:
        _wait_for(process, folder)
        yield Sshd(
            {
                "port": port,
                "username": getpass.getuser(),
                "client_keys": [str(folder / "user_key")],
                "known_hosts": str(folder / "known_hosts"),
                "connect_timeout": 10,
            },
            folder,
        )
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while "listening" not in ((folder / "sshd.log").read_text() if (folder / "sshd.log").exists() else ""):
        log = folder / "sshd.log"
        assert process.poll() is None, f"sshd ended: {log.read_text() if log.exists() else ''}"
        assert time.monotonic() < deadline, f"sshd does not listen within {PATIENCE_S} s"
        time.sleep(0.05)
