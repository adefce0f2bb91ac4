"""Containers as plain processes: the commands of pods and services, with their environment, on this machine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from distributed import Client

from tests.deploy.commands import ROOT
from tests.servers.server import Server, free_port

_SCRIPTS = Path(sys.executable).parent
_ENDS_WITHIN_S = 20
PATIENCE_S = 120


class Machine:
    """Starts commands of containers here, as the image would run them.

    Parameters
    ----------
    folder
        Where each command runs, and what it says goes.
    server
        The S3 server, of which each has the keys and the address.
    """

    def __init__(self, folder: Path, server: Server) -> None:
        self._folder = folder
        self.port, self.dashboard_port = free_port(), free_port()
        # What the image sets: Dask's settings, and the commands of its virtual environment.
        self._environment = {name: value for name, value in server.whole_environment().items() if "DASK" not in name}
        self._environment |= {
            "DASK_ROOT_CONFIG": str(folder),
            "PATH": f"{_SCRIPTS}{os.pathsep}{os.environ['PATH']}",
        }
        (folder / "hubbub.yaml").write_text((ROOT / "deploy/containers/dask.yaml").read_text())
        self._background = ExitStack()

    def close(self) -> None:
        """End what runs in the background, the latest first."""
        self._background.close()

    @property
    def address(self) -> str:
        """Where the scheduler is."""
        return f"tcp://127.0.0.1:{self.port}"

    def here(self, text: str) -> str:
        """A word or value of a container, with the addresses of this machine."""
        return re.sub(r"tcp://[\w.-]*scheduler[\w.-]*:8786", self.address, text)

    def run(self, words: Sequence[str], environment: Mapping[str, str]) -> str:
        """Run a command that must end well; returns what it said."""
        done = subprocess.run(self._words(words), **self._options(environment), text=True, capture_output=True,
                              timeout=PATIENCE_S, check=False)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(
        self, words: Sequence[str], environment: Mapping[str, str], *, ends: bool = False
    ) -> subprocess.Popen[bytes]:
        """Start a command that stays until `close`, or `ends` by itself before."""
        if list(words[:2]) == ["dask", "scheduler"]:
            here = [
                "--host",
                "127.0.0.1",
                "--port",
                self.port,
                "--dashboard-address",
                f"127.0.0.1:{self.dashboard_port}",
            ]
            words = [*words, *map(str, here)]
        elif list(words[:2]) == ["dask", "worker"]:
            words = [*(word.replace(":8788", ":0") for word in words), "--host", "127.0.0.1"]
        return self._background.enter_context(self._running(words, environment, ends))

    @contextmanager
    def _running(
        self, words: Sequence[str], environment: Mapping[str, str], ends: bool
    ) -> Iterator[subprocess.Popen[bytes]]:
        said = self._folder / f"{len(list(self._folder.iterdir()))}-{words[1]}.txt"
        with open(said, "wb") as output:
            process = subprocess.Popen(self._words(words), **self._options(environment), stdout=output, stderr=output)
        try:
            yield process
            assert ends or process.poll() is None, f"{words} ended with {process.returncode}: {said.read_text()}"
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise AssertionError(f"{words} did not end; it said {said.read_text()}") from None

    def _words(self, words: Sequence[str]) -> list[str]:
        return [self.here(word) for word in words]

    def _options(self, environment: Mapping[str, str]) -> dict[str, object]:
        whole = self._environment | {name: self.here(value) for name, value in environment.items()}
        return {"env": whole, "cwd": self._folder}

    def worker_names(self) -> list[str]:
        """What the workers are called, by which the operator finds their pods."""
        return sorted(str(worker["name"]) for worker in self._workers().values())

    def variable(self, name: str) -> list[str | None]:
        """What a variable of the environment is in every worker process."""
        with Client(self.address, timeout=PATIENCE_S) as client:
            return list(client.run(os.getenv, name).values())

    def _workers(self) -> dict[str, Any]:
        with Client(self.address, timeout=PATIENCE_S) as client:
            return client.scheduler_info(n_workers=-1)["workers"]

    def healthy(self) -> bool:
        """Whether the scheduler says that it is well, where probes ask."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.dashboard_port}/health", timeout=3) as answer:
            return answer.status == 200
