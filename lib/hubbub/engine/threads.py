"""Limits of numeric libraries' threads on workers: together as many as the worker has."""

from __future__ import annotations

import os
import sys
import threading

POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Size of the pools of OpenMP (also Arrow's and PyTorch's), MKL and OpenBLAS, where these are loaded later."""

_limited = threading.local()


def limit_threads(threads: int) -> None:
    """Have what this thread of a worker computes take one core, once a thread.

    Whoever started the worker said by its threads how many computations may go on at once. Each of its threads computes
    a unit by itself, so libraries that divide one computation (BLAS, OpenMP) get one thread for each of these: with the
    number of cores, as they choose it themselves, eight threads on eight cores would be 64. That also holds where the
    environment says otherwise: some schedulers of batch jobs set ``OMP_NUM_THREADS`` to the job's cores.

    TensorFlow has one pool for the whole process, which all threads share: it gets as many as the worker has, unless
    the environment says otherwise or it has begun.

    Parameters
    ----------
    threads
        Of the worker.
    """
    if getattr(_limited, "by", None) == threads:
        return
    os.environ.update(dict.fromkeys(POOLS, "1"))
    if "numba" not in sys.modules:  # it refuses another number once its threads have begun, which others may have done
        os.environ["NUMBA_NUM_THREADS"] = "1"
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    threadpool_limits(1)  # of libraries that are loaded; OpenMP's is a matter of each thread
    _limit_tensorflow(threads)
    _limited.by = threads


def _limit_tensorflow(threads: int) -> None:
    for pool in ("INTRAOP", "INTEROP"):
        os.environ.setdefault(f"TF_NUM_{pool}_THREADS", str(threads))
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return
    threading_of = tensorflow.config.threading
    try:
        threading_of.set_intra_op_parallelism_threads(threads)
        threading_of.set_inter_op_parallelism_threads(threads)
    except RuntimeError:  # it has begun
        return
