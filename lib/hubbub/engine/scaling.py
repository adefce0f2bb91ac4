"""Scaling of clusters that hubbub starts: the first workers, more with more work, and replacements."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import dask
from distributed import Client, SpecCluster
from distributed.core import Status
from distributed.deploy import Cluster
from distributed.deploy.adaptive import Adaptive

from hubbub.engine.clients import OWN_SETTINGS, WORKER_ENVIRONMENT
from hubbub.errors import ClusterError

# Only some units of an archive are in flight, so that what they will take says little of what is left: the more
# workers the better, as long as each has a unit.
_TARGET_DURATION = "1s"
_IDLE_CHECKS = 10  # a second apart, before a worker that has nothing to do is sent away
_SILENT = 60  # above every level of logging: what goes wrong is said in a sentence
_GONE_S = 15.0  # as long as Dask waits for a worker that left (distributed.deploy.lost-worker-timeout)

_RETRY_INTERVAL_S = 30.0  # after the queue refused a job

_NANNYS = "distributed.nanny."
_ENVIRONMENT = {
    **{name: str(value) for name, value in WORKER_ENVIRONMENT.items()},
    **{
        "DASK_" + key.replace(".", "__").replace("-", "_").upper(): str(value)
        for key, value in OWN_SETTINGS.items()
        if not key.startswith(_NANNYS)
    },
}
_TAKE_ENVIRONMENT = ("env", "env_vars", "environ", "environment")
"""What classes call the option that holds their workers' environment, as a mapping."""
_QUEUES = {
    "slurm": "squeue --me",
    "pbs": "qstat",
    "sge": "qstat",
    "lsf": "bjobs",
    "oar": "oarstat",
    "htcondor": "condor_q",
}


def add_environment(maker: Any, known: set[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a cluster class, with hubbub's settings of workers where it can take them; the user's own win.

    Classes that start their workers themselves hand on the settings of this process.
    """
    taken = ({"silence_logs": _SILENT} if "silence_logs" in known else {}) | dict(options)
    for name in known.intersection(_TAKE_ENVIRONMENT):
        if isinstance(taken.get(name) or {}, Mapping):
            taken[name] = {**_ENVIRONMENT, **(taken.get(name) or {})}
    if "job_script_prologue" in known:
        section = f"jobqueue.{taken.get('config_name') or maker.job_cls.config_name}.job-script-prologue"
        own = taken.get("job_script_prologue") or dask.config.get(section, None) or []
        taken["job_script_prologue"] = [f"export {name}={value}" for name, value in _ENVIRONMENT.items()] + list(own)
    return taken


def wait_for_first_workers(cluster: Cluster, client: Client, limits: tuple[int, int] | None, within_s: float) -> None:
    """Wait for a worker, one at least: what it lacks is to be known before any work is handed out.

    Raises
    ------
    ClusterError
        When none comes, with where to look.
    """
    if limits is not None:
        if not cluster._supports_scaling:
            raise ClusterError(f"{type(cluster).__name__} has the workers that its options name; leave out 'scale'")
        try:
            if isinstance(cluster, SpecCluster):
                cluster.sync(_scale, cluster, max(1, limits[0]))
            else:
                cluster.scale(max(1, limits[0]))
        except Exception as error:
            if isinstance(cluster, SpecCluster):
                _drop_failed_workers(cluster)
            raise ClusterError(f"{type(cluster).__name__} cannot start workers: {_extract_message(error)}") from None
    try:
        client.wait_for_workers(1, timeout=within_s)
    except TimeoutError:
        raise ClusterError(
            f"{type(cluster).__name__} has had no worker for {within_s:g} s (workers_within_s)"
            f"{_suggest_where_to_look(cluster)}; "
            "start workers, or give them more time"
        ) from None


async def _scale(cluster: Any, workers: int) -> None:
    """Ask for workers, and raise what goes wrong, such as an option that the queue refuses; Dask only logs it."""
    cluster.scale(workers)
    await cluster._correct_state()


def _drop_failed_workers(cluster: Any) -> None:
    """Forget jobs that could not be started: they then count as missing."""
    for name in [name for name, job in cluster.workers.items() if job.status == Status.created]:
        cluster.workers.pop(name).status = Status.failed


def _extract_message(error: Exception) -> str:
    """What a command said that failed, without how it was called."""
    return str(error).rpartition("stderr:\n")[2].strip() or type(error).__name__


def scale_with_work(
    cluster: Cluster, client: Client, limits: tuple[int, int] | None, notify: Callable[[str], None]
) -> int | None:
    """Have a cluster scale with its work; returns how many threads it may have, None where that is not known."""
    if limits is None:
        return None
    minimum, maximum = limits
    if isinstance(cluster, SpecCluster):  # even where these are equal: workers that left are replaced
        cluster.adapt(
            Adaptive=ReplacingAdaptive,
            minimum=minimum,
            maximum=maximum,
            interval="1s",
            wait_count=_IDLE_CHECKS,
            target_duration=_TARGET_DURATION,
            notify=notify,
        )
    elif minimum < maximum:
        cluster.adapt(minimum=minimum, maximum=maximum)
    return maximum * max(one["nthreads"] for one in client.scheduler_info(n_workers=-1)["workers"].values())


class ReplacingAdaptive(Adaptive):
    """Scales with the work, and replaces workers that are gone.

    Dask's own leaves jobs of several processes ended, such as by their ``--lifetime``, and machines whose workers have
    names of their own; it takes a job away when one of its processes is idle; and it tells nobody that it cannot start
    workers.
    """

    def __init__(self, cluster: SpecCluster, *, notify: Callable[[str], None], **options: Any) -> None:
        grouped = "group" in (cluster.new_spec or {})
        super().__init__(cluster, worker_key=_find_job_name if grouped else None, **options)
        self._spec: Any = cluster
        self._notify, self._told = notify, ""
        self._seen_at: dict[Any, float] = {}
        self._tried_at = time.monotonic()

    @property
    def observed(self) -> set[Any]:
        """Workers that are there, by the names that the cluster gave them."""
        own_names = self._own_names()
        return {own_names.get(name, name) for name in self._spec.observed}

    def _own_names(self) -> dict[Any, Any]:
        """The cluster's name for each worker that calls itself otherwise."""
        jobs = self._spec.workers.items()
        return {job.name: name for name, job in jobs if getattr(job, "name", None) not in (None, name)}

    async def adapt(self) -> None:
        """Look once, and start or end workers."""
        try:
            await self._forget_closed_workers()
            await super().adapt()
        except Exception as error:
            if (said := _extract_message(error)) != self._told:
                self._told = said
                self._notify(f"{type(self._spec).__name__} cannot start or end workers: {said}")

    async def scale_up(self, n: Any) -> None:
        """Ask for workers."""
        await _scale(self._spec, n)

    async def _forget_closed_workers(self) -> None:
        """Drop what had workers and has none any more, or could not be started: it is then missing, and started."""
        now, there = time.monotonic(), self.observed
        if now - self._tried_at > _RETRY_INTERVAL_S:
            self._tried_at = now
            _drop_failed_workers(self._spec)
        for name in list(self._spec.workers):
            suffixes = self._spec.worker_spec.get(name, {}).get("group")
            if there & ({f"{name}{suffix}" for suffix in suffixes} if suffixes else {name}):
                self._seen_at[name] = now
            elif now - self._seen_at.get(name, now) > _GONE_S:
                del self._seen_at[name]
                await self._spec.workers.pop(name).close()

    async def scale_down(self, workers: Any) -> None:
        """Retire workers, and end what they ran in."""
        names, own_names = list(workers), self._own_names()
        await self.scheduler.retire_workers(names=names, remove=True, close_workers=True)
        await self._spec.scale_down({own_names.get(name, name) for name in names})


def _find_job_name(worker: Any) -> str:
    """The job of a worker process, which is called as its job and a number."""
    return str(worker.name).rpartition("-")[0]


def _suggest_where_to_look(cluster: Any) -> str:
    job = getattr(cluster, "job_cls", None)
    if job is None:
        return ""
    look = _QUEUES.get(job.config_name, "the queue")
    numbers = ", ".join(str(one.job_id) for one in cluster.workers.values() if one.job_id)
    folder = cluster._dummy_job.log_directory
    logs = f"in {folder}" if folder else "where the queue puts them (option log_directory says where)"
    script = "".join(f"\n    {line}" for line in cluster.job_script().splitlines())
    return (
        f"; see what '{look}' says of its jobs {numbers}; what they printed is {logs}; wait longer by workers_within_s "
        f"in the cluster file; each runs:{script}"
    )
