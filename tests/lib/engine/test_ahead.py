"""Workers of a local cluster: forked from a process that has imported what they need, in the driver's environment."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hubbub.engine.ahead import UNITS, WORKER_ENVIRONMENT, import_ahead, start_method
from hubbub.engine.clients import connect_local

pytestmark = pytest.mark.skipif(start_method() != "forkserver", reason="this system cannot fork servers")

SCRIPT = f"""
import os, sys
from hubbub.engine.ahead import import_ahead
from hubbub.engine.clients import connect_local

if __name__ == "__main__":
    import_ahead("{UNITS}")
    os.environ["SET_LATER"] = "yes"
    with connect_local(1) as connection:
        def look():
            import os, sys
            return "{UNITS}" in sys.modules, os.environ.get("SET_LATER"), os.environ["OMP_NUM_THREADS"], os.getppid()
        (found,) = connection.client.run(look).values()
    print(*found[:3], found[3] != os.getpid())
"""


def test_workers_have_imported_what_units_need_and_the_drivers_environment():
    """In a process of its own: the one that workers are forked from begins once a process."""
    env = {name: value for name, value in os.environ.items() if name not in WORKER_ENVIRONMENT}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.split() == ["True", "yes", "1", "True"]


def test_importing_ahead_changes_nothing_here(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = dict(os.environ)
    import_ahead(UNITS)
    assert dict(os.environ) == before


def test_a_worker_that_is_killed_comes_back():
    with connect_local(1) as connection:
        (address,) = connection.client.run(os.getpid)
        first = connection.client.run(os.getpid)[address]
        with pytest.raises(Exception, match="."):
            connection.client.run(os.kill, first, 9)
        connection.client.wait_for_workers(1, timeout=60)
        assert next(iter(connection.client.run(os.getpid).values())) != first
