"""Scheduler, workers and driver on a network of their own; cables are pulled in mid-run.

::

    [driver] [scheduler] [worker-0] [worker-1]     a network namespace each, with processes of its own
        |         |           |         |
    =================== switch ==================   another; a cable is pulled here

Dask's patience is a few seconds here. By default a connection is given up after 30 s without an answer
(``distributed.comm.timeouts.tcp``), a worker that says nothing after 5 minutes (``distributed.scheduler.worker-ttl``).
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.chaos.moments import assert_equal_stores, assert_verified
from tests.chaos.processes import SMALL_UNITS, SUPERVISE, Run, knowing_tests, wait_for_parts, wait_until

TCP_S = 11
"""After this time without an answer a connection is given up, s; Dask takes no less."""

TTL_S = 8
"""After this time a worker that says nothing is given up, s."""

WORKERS = ("worker-0", "worker-1")

pytestmark = pytest.mark.chaos


class Network:
    """Hosts that see each other, made of network namespaces.

    Parameters
    ----------
    folder
        Where logs and workers' files go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._prefix = folder, f"hubbub-{os.getpid()}-"
        self._numbers = itertools.count(2)
        self._hosts: dict[str, str] = {}
        self._processes: list[psutil.Popen] = []
        self._environment = knowing_tests() | {
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": f"{TCP_S}s",
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
            "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{TTL_S}s",
        }

    def lay(self) -> None:
        """Make the switch."""
        self._ip("netns", "add", f"{self._prefix}switch")
        self._ip("-n", f"{self._prefix}switch", "link", "add", "name", "br0", "up", "type", "bridge")

    def add(self, host: str) -> None:
        """Add a host, and put its cable in."""
        inside, switch = f"{self._prefix}{host}", f"{self._prefix}switch"
        self._hosts[host] = f"10.213.0.{next(self._numbers)}"
        self._ip("netns", "add", inside)
        ends = ("type", "veth", "peer", "name", "eth0", "netns", inside)
        self._ip("-n", switch, "link", "add", "name", host, "master", "br0", "up", *ends)
        self._ip("-n", inside, "address", "add", f"{self._hosts[host]}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            self._ip("-n", inside, "link", "set", device, "up")

    def pull(self, host: str) -> None:
        """Pull a host's cable out."""
        self._ip("-n", f"{self._prefix}switch", "link", "set", host, "down")

    def plug(self, host: str) -> None:
        """Put a host's cable in again."""
        self._ip("-n", f"{self._prefix}switch", "link", "set", host, "up")

    @property
    def address(self) -> str:
        """The scheduler's."""
        return f"tcp://{self._hosts['scheduler']}:8786"

    def start(self, host: str, *words: str) -> None:
        """Start a process of Dask on a host, which listens there."""
        with open(self._folder / f"{host}.log", "wb") as output:
            supervised = ["bash", "-c", SUPERVISE, sys.executable, "-m", "dask", *words, "--host", self._hosts[host]]
            command = [*self._inside(host), *supervised]
            self._processes.append(
                psutil.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=self._environment)
            )

    def run(self, words: tuple[object, ...]) -> Run:
        """Start a command of hubbub on the driver's host."""
        return Run(words, self._folder / "said", self._environment, self._inside("driver"))

    def remove(self) -> None:
        """End every process, and take everything down."""
        for process in self._processes:
            with suppress(psutil.NoSuchProcess):
                for child in [process, *process.children(recursive=True)]:
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
            process.wait()
        for host in [*self._hosts, "switch"]:
            subprocess.run(["ip", "netns", "del", f"{self._prefix}{host}"], check=False, capture_output=True)

    def _inside(self, host: str) -> list[str]:
        return ["ip", "netns", "exec", f"{self._prefix}{host}"]

    def _ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@contextmanager
def network_of(folder: Path, *hosts: str) -> Iterator[Network]:
    """Give a network with some hosts, or skip where such a thing may not be made."""
    network = Network(folder)
    try:
        try:
            network.lay()
            for host in hosts:
                network.add(host)
        except (OSError, subprocess.CalledProcessError) as error:
            why = getattr(error, "stderr", None) or error
            pytest.skip(f"network namespaces cannot be made here: {str(why).strip()}")
        yield network
    finally:
        network.remove()


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """A network with a scheduler and two workers on it, and a host for the driver."""
    with network_of(tmp_path, "driver", "scheduler", *WORKERS) as network:
        network.start("scheduler", "scheduler", "--port", "8786", "--no-dashboard")
        for host in WORKERS:
            network.start(host, "worker", network.address, "--nthreads", "1", "--no-dashboard",
                          "--local-directory", str(tmp_path / host))  # fmt: skip
        yield network


@pytest.mark.slow
def test_a_worker_and_then_the_scheduler_are_cut_off_in_mid_run(
    network: Network, clips: Path, whole_store: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    run = network.run(("features", clips, "-o", store, "--cluster", network.address, *SMALL_UNITS))
    wait_for_parts(store / "rows", 4, run)
    network.pull("worker-0")  # for good
    wait_for_parts(store / "rows", 12, run)
    network.pull("scheduler")
    time.sleep(TCP_S + 2)  # every connection to it is given up
    network.plug("scheduler")
    wait_until(lambda: run.over, f"the end of the run; it said:\n{run.said}")
    assert run.wait() == 0, run.said
    assert "Traceback" not in run.said
    assert_equal_stores(str(store), str(whole_store))
    assert_verified(str(store), str(clips))
