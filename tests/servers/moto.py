"""moto's S3 server, a real process on loopback: for everything but proofs, for it takes any secret."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.server import Server

PATIENCE_S = 60
_RUNNING = re.compile(r"Running on (http://127\.0\.0\.1:\d+)")

# It ends when its input does, which the system closes for a test run that was killed: nothing stays behind.
_SERVE = """
import os, sys, threading
def end_with_input():
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=end_with_input, daemon=True).start()
from moto.server import main
main(sys.argv[1:])
"""


@contextmanager
def moto(folder: Path) -> Iterator[Server]:
    """Start a server at a port that the system chooses, and end it with the context.

    Parameters
    ----------
    folder
        Where its log goes.
    """
    log = folder / "moto.log"
    with open(log, "wb") as output:
        words = [sys.executable, "-c", _SERVE, "-H", "127.0.0.1", "-p", "0"]
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield Server(_address(log, process), "testing", "testing123")
    finally:
        process.communicate(timeout=PATIENCE_S)


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        if running := _RUNNING.search(log.read_text(errors="replace")):
            return running[1]
        time.sleep(0.05)
    raise RuntimeError(
        f"moto's server did not start within {PATIENCE_S} s; it said:\n{log.read_text(errors='replace')}"
    )
