"""Runs `hubbub` and Python in forks of one process that has imported what they need, seconds a command otherwise.

The fork goes through the same `main` with its own arguments, folder, environment and output; nothing of one command is
left to the next. `start_warm` gives a folder with a `hubbub` and a `python` for the front of PATH.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_CLIENT = """#!{python} -SE
import json, os, socket, sys
wanted = json.dumps([{name!r}, sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect({address!r})
    socket.send_fds(asked, [len(wanted).to_bytes(8, "big")], [0, 1, 2])
    asked.sendall(wanted)
    code = asked.recv(1)  # nothing where the fork was killed
sys.exit(code[0] if code else 70)
"""


@contextlib.contextmanager
def start_warm(folder: Path) -> Iterator[Path]:
    """Start the process that is forked; gives the folder of the two commands."""
    address, commands = folder / "socket", folder / "bin"
    commands.mkdir(parents=True)
    for name in ("hubbub", "python"):
        (commands / name).write_text(_CLIENT.format(python=sys.executable, name=name, address=str(address)))
        (commands / name).chmod(0o755)
    server = subprocess.Popen([sys.executable, "-m", "tests.docs.warm", str(address)], cwd=ROOT)
    try:
        while not address.exists():
            assert server.poll() is None, "the warm process ended before it listened"
            time.sleep(0.05)
        yield commands
    finally:
        server.kill()
        server.wait()


def _serve(address: str) -> None:
    _import_heavy_modules()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # forks that have ended are nobody's business
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address + ".new")
        listening.listen()
        os.rename(address + ".new", address)
        while True:
            asked, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _answer(asked)
            asked.close()


def _import_heavy_modules() -> None:
    """Import what takes long and starts no threads of its own."""
    import matplotlib.pyplot  # noqa: F401
    import pandas  # noqa: F401

    import hubbub.pipelines.features
    import hubbub.tasks.extract
    import hubbub.tasks.label  # noqa: F401
    from hubbub.models.backends import import_keras

    import_keras()
    import hubbub.learn.evaluate
    import hubbub.learn.train  # noqa: F401


def _answer(asked: socket.socket) -> None:
    """Be the command, in the fork; never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    length, fds, _, _ = socket.recv_fds(asked, 8, 3)
    wanted = b""
    while len(wanted) < int.from_bytes(length, "big"):
        wanted += asked.recv(1 << 16)
    name, words, folder, environment = json.loads(wanted)
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    code = 1
    try:
        code = _run(name, words)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        asked.sendall(bytes([code & 0xFF]))
        os._exit(code)


def _run(name: str, words: list[str]) -> int:
    import traceback

    try:
        if name == "hubbub":
            from hubbub.jobs.cli import main

            sys.argv = [name, *words]
            main()
        else:
            option, text = words
            assert option == "-c", f"the warm python was asked {words}; it knows -c alone"
            sys.argv, sys.path[0] = ["-c"], ""
            exec(compile(text, "<block>", "exec"), {"__name__": "__main__"})
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    _serve(sys.argv[1])
