"""The requirements that a worker must meet before it runs units: versions of libraries, and paths it can see.

Equal input must give equal output on every worker. A worker is rejected if it has

- another hubbub: another version, or the same version from other source, as in two checkouts;
- another release, patch level included, of a library that computes values, since any release may change them;
- another major or minor release of Python, Dask, or a library that stores values: patch releases keep their formats;
- another Keras, TensorFlow, ONNX Runtime, LiteRT, OpenVINO or PyAV, if it has them; a run that needs one names it in
  `Requirements.needs`.

Processors differ in the last bit of a number; hubbub accepts that.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import platform
import stat
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from hubbub import __version__
from hubbub.errors import ClusterError
from hubbub.io.text import count_noun

if TYPE_CHECKING:
    from distributed import Client

_MAKE_VALUES = (
    *("numpy", "scipy", "librosa", "numba", "llvmlite", "soundfile", "libsndfile", "soxr"),
    *("audiomentations", "python-stretch"),
)
_DASK = ("dask", "distributed", "cloudpickle")
_CARRY_VALUES = ("python", *_DASK, "zarr", "tensorstore", "pyarrow", "pandas")
_NOT_FOR_ALL = ("keras", "tensorflow", "onnxruntime", "onnx", "ai-edge-litert", "openvino", "av")
_EXTRAS = {"onnx": "onnx", "ai-edge-litert": "litert", "openvino": "openvino", "av": "av"}
_CALLED_OTHERWISE = {"tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-cpu-aws", "tensorflow-macos")}

_SILENT = "does not answer"
_ANSWER_WITHIN_S = 30.0
_ASKED_AT_ONCE = 256
_NAMED = 3


@dataclass(frozen=True)
class PathCheck:
    """A file that a worker must see as the driver does, where places are folders and not buckets.

    Attributes
    ----------
    path
        Absolute.
    size_bytes
        Its size.
    what
        What it stands for, in a message: ``the recordings``, ``the store``.
    """

    path: str
    size_bytes: int
    what: str


@dataclass(frozen=True)
class Requirements:
    """What must hold on a worker; it goes with every unit, and is small.

    Attributes
    ----------
    sights
        Files to see.
    versions
        Names, and the versions that the driver has; libraries it does not have are not among them.
    needs
        Libraries that not every run needs, and this one does, whether the driver has them or not.
    """

    path_checks: tuple[PathCheck, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    needs: tuple[str, ...] = ()


def collect_requirements(path_checks: Sequence[PathCheck], needs: Sequence[str] = ()) -> Requirements:
    """The requirements of a run that this process drives."""
    return Requirements(tuple(path_checks), tuple(_collect_versions().items()), tuple(needs))


def list_mismatches(requirements: Requirements) -> list[str]:
    """What speaks against this worker, a sentence each; none where it will do."""
    here = (
        _collect_versions() if requirements.versions or requirements.needs else {}
    )  # here is the worker: for a person, who is at the driver, it is there
    mismatches = [_describe_difference(name, wanted, here.get(name)) for name, wanted in requirements.versions]
    mismatches += [f"{name} is missing there" for name in requirements.needs if name not in here]
    mismatches += [_check_path(check) for check in requirements.path_checks]
    return [text for text in mismatches if text is not None]


def check_requirements(client: Client, requirements: Requirements) -> None:
    """Refuse a cluster whose workers do not keep the requirements, or whose scheduler is of another Dask.

    Raises
    ------
    ClusterError
        With which worker, what speaks against it, and what to do about it.
    """
    _check_scheduler(client, requirements)
    if unfit := find_mismatched_workers(client, requirements, or_silent=True):
        raise ClusterError(_describe_mismatches(client, unfit))


def find_mismatched_workers(
    client: Client, requirements: Requirements, *, or_silent: bool = False
) -> dict[str, tuple[str, ...]]:
    """Ask all workers at once; addresses of those that do not keep the requirements, and what speaks against them.

    Parameters
    ----------
    or_silent
        Whether those count that do not answer, which in mid-run may only be busy.
    """
    answers = client.sync(_ask_workers, client, requirements, list(_workers(client)))
    there = _workers(client)  # whoever has left meanwhile is no matter
    unfit = {address: tuple(texts) for address, texts in answers.items() if texts and address in there}
    return {address: texts for address, texts in unfit.items() if or_silent or not texts[0].startswith(_SILENT)}


@lru_cache(maxsize=1)
def _collect_versions() -> dict[str, str]:
    """What this process has, by name; what it has not is left out."""
    from hubbub.engine.ship import SOURCE

    names = (*_MAKE_VALUES, *_CARRY_VALUES, *_NOT_FOR_ALL)
    found = {"hubbub": f"{__version__} (source {SOURCE})"} | {name: _version(name) for name in names}
    return {name: version for name, version in found.items() if version is not None}


def _version(name: str) -> str | None:
    if name == "python":
        return platform.python_version()
    if name == "libsndfile":
        return _libsndfile()
    for called in _CALLED_OTHERWISE.get(name, (name,)):
        with suppress(metadata.PackageNotFoundError):
            return metadata.version(called)
    return None


def _libsndfile() -> str | None:
    try:
        import soundfile
    except (ImportError, OSError):  # the package, or the library it binds
        return None
    return soundfile.__libsndfile_version__


def _describe_difference(name: str, wanted: str, found: str | None) -> str | None:
    if found is None:
        return None if name in _NOT_FOR_ALL else f"{name} is missing there"
    if found == wanted or (name in _CARRY_VALUES and _release(found) == _release(wanted)):
        return None
    return f"{name} is {found} there and {wanted} here"


def _release(version: str) -> list[str]:
    return version.split(".")[:2]


def _check_path(check: PathCheck) -> str | None:
    try:
        seen = _stat(check.path)
    except OSError as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        return f"does not see {check.what} at {check.path} ({why})"
    if stat.S_ISREG(seen.st_mode) and seen.st_size != check.size_bytes:
        return (
            f"sees another file for {check.what} at {check.path} ({seen.st_size} bytes there, {check.size_bytes} here)"
        )
    return None


def _stat(path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except FileNotFoundError:
        # A network file system may remember that there was no such file; opening the folder has it ask again.
        with suppress(OSError):
            os.close(os.open(os.path.dirname(path), os.O_RDONLY))
        return os.stat(path)


def _make_check() -> Callable[[bytes], Awaitable[list[str]]]:
    """A function that asks a worker for its objections; as a local one it travels by value, and needs no hubbub."""

    async def ask(packed: bytes) -> list[str]:
        import asyncio
        import pickle

        def list_local_mismatches() -> list[str]:
            try:
                from hubbub.engine.requirements import list_mismatches

                return list_mismatches(pickle.loads(packed))
            except ModuleNotFoundError as error:
                if error.name == "hubbub":
                    return ["hubbub is missing there"]
                return [f"hubbub cannot be used there ({error})"]
            except Exception as error:
                return [f"hubbub cannot be used there ({type(error).__name__}: {error})"]

        return await asyncio.to_thread(list_local_mismatches)  # a file system that hangs must not hang the worker

    return ask


async def _ask_workers(client: Client, requirements: Requirements, addresses: Sequence[str]) -> dict[str, list[str]]:
    """What every worker says; of one that does not answer, that."""
    from distributed.protocol.pickle import dumps

    ask, packed = _make_check(), dumps(requirements)
    answers: dict[str, list[str]] = {}

    async def asked(address: str) -> tuple[str, list[str]]:
        try:
            answer = client.run(ask, packed, workers=[address], on_error="return")
            said = (await asyncio.wait_for(answer, _ANSWER_WITHIN_S))[address]
        except (TimeoutError, OSError) as error:
            said = error
        return address, said if isinstance(said, list) else [_describe_silence(said)]

    for first in range(0, len(addresses), _ASKED_AT_ONCE):
        answers.update(await asyncio.gather(*map(asked, addresses[first : first + _ASKED_AT_ONCE])))
    return answers


def _describe_silence(error: Any) -> str:
    if isinstance(error, TimeoutError):
        return f"{_SILENT} within {_ANSWER_WITHIN_S:g} s: it is overloaded, or a file system hangs there"
    return f"{_SILENT} ({type(error).__name__}: {error})"


def _check_scheduler(client: Client, requirements: Requirements) -> None:
    """Refuse a scheduler of another Dask; it does not need the other libraries."""
    found = client.sync(_scheduler_versions, client)
    wanted = {name: version for name, version in requirements.versions if name in _DASK}
    mismatches = [_describe_difference(name, version, found.get(name)) for name, version in wanted.items()]
    if texts := [text for text in mismatches if text is not None]:
        address = client.scheduler_info(n_workers=0)["address"]
        raise ClusterError(
            f"the scheduler at {address} is of another Dask: {'; '.join(texts)}. {_suggest_remedy(texts)}"
        )


async def _scheduler_versions(client: Client) -> dict[str, str]:
    assert client.scheduler is not None  # it is connected
    return (await client.scheduler.versions(packages=[]))["packages"]


def _workers(client: Client) -> dict[str, dict[str, Any]]:
    return client.scheduler_info(n_workers=-1)["workers"]


def _describe_mismatches(client: Client, unfit: dict[str, tuple[str, ...]]) -> str:
    """The workers that do not fit, those alike together, and what to do."""
    workers = _workers(client)
    alike: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for address, texts in unfit.items():
        host = workers.get(address, {}).get("host", "")
        alike[texts].append(f"{address} on {host}" if host and host not in address else address)
    lines = [f"  {_abbreviate_names(addresses)}: {'; '.join(texts)}" for texts, addresses in alike.items()]
    more = [f"  … and {len(lines) - _NAMED} other kinds of unfit workers"] if len(lines) > _NAMED else []
    head = f"{len(unfit)} of {count_noun(len(workers), 'worker')} cannot do this run:"
    return "\n".join([head, *lines[:_NAMED], *more, _suggest_remedy(itertools.chain(*alike))])


def _abbreviate_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _suggest_remedy(texts: Iterable[str]) -> str:
    return " ".join(_list_remedies(list(texts)))


def _list_remedies(texts: list[str]) -> Iterator[str]:
    """What to type, for each kind of objection."""
    here = _collect_versions()
    differing = [name for name in here if any(text.startswith(f"{name} is ") for text in texts)]
    lacking = [name for name in _NOT_FOR_ALL if name not in here and f"{name} is missing there" in texts]
    to_install = [f"'{name}=={here[name]}'" for name in differing if name not in ("hubbub", "python", "libsndfile")]
    if "libsndfile" in differing and "soundfile" not in differing:
        to_install.append(f"'soundfile=={here['soundfile']}' (its wheel brings libsndfile)")
    if any(text.startswith("hubbub ") for text in texts):
        yield f"Add --ship to send workers the hubbub of this process, or install it there: hubbub {here['hubbub']}."
    if "python" in differing:
        yield f"Start workers with Python {'.'.join(_release(here['python']))}."
    if to_install:
        yield f"Install there what is here: pip install {' '.join(dict.fromkeys(to_install))}."
    if lacking:
        extras = dict.fromkeys(_EXTRAS.get(name, "cpu") for name in lacking)
        or_gpu = ", or 'hubbub[gpu]'" if "cpu" in extras else ""
        yield f"Install {', '.join(lacking)} there: pip install 'hubbub[{','.join(extras)}]'{or_gpu}."
    if any(" see" in text for text in texts):
        yield "Mount the same folders at the same paths there, or use places in a bucket: s3://bucket/prefix."
    if any(text.startswith(_SILENT) for text in texts):
        yield "Restart workers that do not answer."
