"""SLURM on loopback: one node, one controller, their own munge; no systemd, and nothing of it outside its own folders.

From Debian: slurmctld slurmd slurm-client munge. As root.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.server import free_port

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "squeue")
PATIENCE_S = 60

_ROOT = Path(__file__).resolve().parent.parent.parent

_CONF = """\
ClusterName=test
SlurmctldHost={node}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort={controller_port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
MpiDefault=none
ReturnToService=2
KillWait=5
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={node} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} Gres=gpu:1 State=UNKNOWN
PartitionName=compute Nodes={node} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={node} MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True)
class Slurm:
    """A cluster of one node, with the partitions `compute` and `gpu`.

    Attributes
    ----------
    environment
        The variables that lead SLURM's commands, and dask-jobqueue, to it.
    folder
        Its state and logs.
    """

    environment: Mapping[str, str]
    folder: Path

    def call(self, *words: object) -> str:
        """Run one of SLURM's commands; returns what it printed."""
        environment = os.environ | dict(self.environment)
        done = subprocess.run(list(map(str, words)), env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def running(self) -> list[str]:
        """Numbers of the jobs that run."""
        return self.call("squeue", "--noheader", "--states=R", "--format=%i").split()

    def jobs(self) -> list[str]:
        """Numbers of all jobs that wait, run or end."""
        return self.call("squeue", "--noheader", "--format=%i").split()


def missing() -> str | None:
    """Return why no SLURM can be started here, or None."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"SLURM is not installed ({', '.join(absent)}): apt-get install slurmctld slurmd slurm-client munge"
    return None if os.geteuid() == 0 else "SLURM's daemons are started as root, and this is another user"


@contextmanager
def slurm(cpus: int = 4, memory_mb: int = 16_000) -> Iterator[Slurm]:
    """Give a running cluster of one node that says it has `cpus` and `memory_mb`; it ends with the context."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    # The end of this process, however it comes, closes the guard's input; then nothing stays behind.
    words = [sys.executable, "-c", f"from tests.servers.slurm import _guard; _guard({str(folder)!r})"]
    guard = subprocess.Popen(words, stdin=subprocess.PIPE, cwd=_ROOT, start_new_session=True)
    try:
        _start_munge(folder)
        yield _started(folder, cpus, memory_mb)
    finally:
        guard.communicate(timeout=PATIENCE_S)


def _guard(folder: str) -> None:
    """Wait until the user of the cluster is gone, then cancel its jobs and end its daemons, the controller last."""
    sys.stdin.read()
    cluster = _cluster(Path(folder))
    with contextlib.suppress(AssertionError, FileNotFoundError):
        cluster.call("scancel", "--user=root")
        _wait(lambda: not cluster.jobs())
    for daemon in ("slurmd", "slurmctld", "munged"):
        _end(Path(folder) / f"{daemon}.pid")
    shutil.rmtree(folder, ignore_errors=True)


def _cluster(folder: Path) -> Slurm:
    # All that is here is loopback.
    return Slurm({"SLURM_CONF": str(folder / "slurm.conf"), "DASK_JOBQUEUE__SLURM__INTERFACE": "lo"}, folder)


def _start_munge(folder: Path) -> None:
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    folder.chmod(0o755)
    words = ["munged", f"--key-file={key}", f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid",
             f"--log-file={folder}/munged.log", f"--seed-file={folder}/munge.seed"]  # fmt: skip
    subprocess.run(words, check=True)


def _started(folder: Path, cpus: int, memory_mb: int) -> Slurm:
    conf, node = folder / "slurm.conf", socket.gethostname().partition(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir()
    ports = {"controller_port": free_port(), "node_port": free_port()}
    conf.write_text(_CONF.format(folder=folder, node=node, cpus=cpus, memory_mb=memory_mb, **ports))
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")
    cluster = _cluster(folder)
    for daemon in ("slurmctld", "slurmd"):
        subprocess.run([daemon, "-f", conf], check=True, env=os.environ | dict(cluster.environment))
    _wait_for_the_node(cluster)
    return cluster


def _wait_for_the_node(cluster: Slurm) -> None:
    def is_idle() -> bool:
        with contextlib.suppress(AssertionError):  # the controller does not answer yet
            return cluster.call("sinfo", "--noheader", "--partition=compute", "--format=%T").strip() == "idle"
        return False

    _wait(is_idle)


def _wait(true: object) -> None:
    assert callable(true)
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"SLURM is not ready within {PATIENCE_S} s"
        time.sleep(0.1)


def _end(pid_file: Path) -> None:
    """End a daemon by its pid file, and wait until it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
        for _ in range(100):
            os.kill(pid, 0)
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
