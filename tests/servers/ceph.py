"""Ceph's RADOS gateway on loopback: one monitor, one store in memory, one gateway; no systemd, no manager.

It checks signatures, permissions and clocks as a cloud does. From Debian: ceph-mon ceph-osd radosgw ceph-common.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers.server import Server, free_port

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
PATIENCE_S = 120
MEMORY_BYTES = 2 * 2**30
"""What the store in memory holds at most; it takes what objects take."""

_ROOT = Path(__file__).resolve().parent.parent.parent

_CONF = """\
[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{mon_port}/0]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv6 = false
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
osd_pool_default_size = 1
osd_pool_default_min_size = 1
mon_allow_pool_size_one = true
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
mon_max_pg_per_osd = 2000
osd_crush_chooseleaf_type = 0
log_file = {folder}/log/$name.log
pid_file = {run}/$name.pid
admin_socket = {run}/$name.asok
run_dir = {run}
mon_data = {folder}/mon
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = {memory}
keyring = {folder}/keyring
mon_data_avail_crit = 1
mon_data_avail_warn = 2
rgw_data = {folder}/rgw
[client.rgw]
keyring = {folder}/keyring
rgw_frontends = beast endpoint=127.0.0.1:{port}
rgw_enable_apis = s3, admin
rgw_dns_name = localhost
"""
# Who may do what: the monitor, the administrator, the one disk, the gateway.
_KEYS = (
    ("mon.", "mon", "allow *"),
    ("client.admin", "mon", "allow *", "osd", "allow *"),
    ("osd.0", "mon", "allow profile osd", "osd", "allow *"),
    ("client.rgw", "mon", "allow rw", "osd", "allow rwx"),
)


def missing() -> str | None:
    """Return why no gateway can be started here, or None."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        packages = "ceph-mon ceph-osd radosgw ceph-common"
        return f"Ceph's gateway is not installed ({', '.join(absent)}): apt-get install {packages}"
    return None


@contextmanager
def shared_ceph(folder: Path) -> Iterator[Server]:
    """Give the one gateway of a test run, of as many processes as share `folder`; the last one to leave stops it."""
    state = folder / "ceph.json"
    with _alone(folder):
        known = json.loads(state.read_text()) if state.exists() else None
        known = known or _start(Path(tempfile.mkdtemp(prefix="ceph-", dir=folder)))
        state.write_text(json.dumps(known | {"users": known["users"] + 1}))
    # Whoever leaves closes the guard's input; so does the system for one that was killed, and nothing stays behind.
    words = [sys.executable, "-c", f"from tests.servers.ceph import _guard; _guard({str(folder)!r})"]
    guard = subprocess.Popen(words, stdin=subprocess.PIPE, cwd=_ROOT, start_new_session=True)
    try:
        yield Server(known["url"], known["key"], known["secret"])
    finally:
        guard.communicate(timeout=PATIENCE_S)


def _guard(folder: str) -> None:
    """Wait until one user of the gateway is gone, and stop it after the last."""
    sys.stdin.read()
    state = Path(folder) / "ceph.json"
    with _alone(Path(folder)):
        now = json.loads(state.read_text())
        if now["users"] > 1:
            state.write_text(json.dumps(now | {"users": now["users"] - 1}))
        else:
            state.unlink()
            _stop(Path(now["folder"]), Path(now["run"]))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with open(folder / "ceph.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start(folder: Path) -> dict[str, Any]:
    # A socket's path has room for 107 letters, which a test's folder may exceed.
    run = Path(tempfile.mkdtemp(prefix="ceph-"))
    try:
        url = _start_daemons(folder, run)
        key, secret = "testing", uuid.uuid4().hex
        _do(folder, "radosgw-admin", "-n", "client.rgw", "user", "create", "--uid=test", "--display-name=test",
            f"--access-key={key}", f"--secret-key={secret}")  # fmt: skip
    except BaseException:
        _stop(folder, run)
        raise
    return {"url": url, "key": key, "secret": secret, "folder": str(folder), "run": str(run), "users": 0}


def _start_daemons(folder: Path, run: Path) -> str:
    fsid, mon_port, port = str(uuid.uuid4()), free_port(), free_port()
    for name in ("mon", "osd", "rgw", "log"):
        (folder / name).mkdir()
    settings = {"fsid": fsid, "mon_port": mon_port, "port": port, "folder": folder, "run": run, "memory": MEMORY_BYTES}
    (folder / "ceph.conf").write_text(_CONF.format(**settings))
    keyring, monmap = folder / "keyring", folder / "monmap"
    for number, (name, *caps) in enumerate(_KEYS):
        allowed = [word for pair in zip(caps[::2], caps[1::2], strict=True) for word in ("--cap", *pair)]
        create = [] if number else ["--create-keyring"]
        _do(folder, "ceph-authtool", keyring, *create, "--gen-key", "-n", name, *allowed)
    _do(folder, "monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{mon_port}]", monmap)
    _do(folder, "ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)
    _do(folder, "ceph-mon", "-i", "a")
    disk = str(uuid.uuid4())
    _do(folder, "ceph", "osd", "new", disk, "0")
    _do(folder, "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
    _do(folder, "ceph-osd", "-i", "0")
    _do(folder, "radosgw", "-n", "client.rgw")
    url = f"http://127.0.0.1:{port}"
    _wait_until_it_answers(url)
    return url


def _do(folder: Path, *words: object) -> None:
    """Run one program to its end; those that stay, put themselves into the background."""
    log = folder / "log" / "start.log"
    environment = os.environ | {"CEPH_CONF": str(folder / "ceph.conf")}
    with open(log, "ab") as output:
        done = subprocess.run(
            [str(word) for word in words], env=environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    if done.returncode:
        said = log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{words[0]} ended with {done.returncode}; see {log}, which ends with:\n{said}")


def _wait_until_it_answers(url: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5).close()
            return
        time.sleep(0.2)
    raise RuntimeError(f"Ceph's gateway did not answer at {url} within {PATIENCE_S} s")


def _stop(folder: Path, run: Path) -> None:
    """End the daemons by their pid files: the gateway first, the monitor last."""
    pids = {path.stem: int(path.read_text()) for path in run.glob("*.pid") if path.read_text().strip()}
    for name in sorted(pids, key=lambda name: ("client", "osd", "mon").index(name.split(".")[0])):
        _end(pids[name])
    shutil.rmtree(run, ignore_errors=True)
    for kept in ("mon", "osd", "rgw"):  # the logs stay, as long as pytest keeps its folders
        shutil.rmtree(folder / kept, ignore_errors=True)


def _end(pid: int, patience_s: float = 10) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
