"""Ship the hubbub of this process to workers that have another, or none: ``--ship``.

The package's files travel as an archive inside a plugin, which every worker sets up, also one that comes later, before
it gets any unit. The plugin's class travels by value: where it arrives there may be no hubbub to look it up in. The
scheduler needs no hubbub at all, since it does not look into what passes through it (`worker.Errand`).
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import io
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
from distributed import Client, WorkerPlugin

import hubbub
from hubbub.errors import ClusterError

PACKAGE = "hubbub"
MOST_BYTES = 32 * 2**20
_SHIP_WITHIN_S = 60


def source_hash(package: Path) -> str:
    """16 hex digits of SHA-256 over the names and contents of a package's modules.

    The commands (``hubbub.jobs``) are left out: they run on the driver alone. For all other lines it is unknown
    whether they make values.
    """
    digest = hashlib.sha256()
    for name, path in _files(package):
        if name.endswith(".py") and not name.startswith(f"{PACKAGE}/jobs/"):
            content = path.read_bytes()
            digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def pack_source() -> bytes:
    """The files of the hubbub that this process runs, as a ZIP archive; the same files are the same bytes.

    Raises
    ------
    ClusterError
        When they are larger than 32 MiB: something else lies in the package's folder.
    """
    files = {name: path.read_bytes() for folder, prefix in _folders() for name, path in _files(folder, prefix)}
    if (total := sum(map(len, files.values()))) > MOST_BYTES:
        raise ClusterError(
            f"--ship: the files of hubbub in {Path(hubbub.__file__).parent} are {total / 1e6:.0f} MB, and at most "
            f"{MOST_BYTES / 1e6:.0f} MB are shipped; remove what does not belong there"
        )
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED)
    return held.getvalue()


def unpack(archive: bytes, folder: Path) -> None:
    """Unpack files of the package into a new folder, which appears whole or not at all.

    Raises
    ------
    ValueError
        For an archive that holds anything else, or too much; nothing is written then.
    """
    partial = folder.with_name(f".{folder.name}-{os.getpid()}")
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        entries = files.infolist()
        if (total := sum(entry.file_size for entry in entries)) > MOST_BYTES:
            raise ValueError(f"the archive holds {total} bytes, and at most {MOST_BYTES} are unpacked")
        for entry in entries:
            parts = PurePosixPath(entry.filename).parts
            if entry.is_dir() or parts[:1] != (PACKAGE,) or ".." in parts or "\\" in entry.filename:
                raise ValueError(f"the archive holds '{entry.filename}', which is no file of {PACKAGE}")
        try:
            for entry in entries:
                path = partial / entry.filename
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(files.read(entry))
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


class Ship(WorkerPlugin):
    """Gives a worker, and the processes it starts, the hubbub of the driver.

    Parameters
    ----------
    archive
        Of `pack_source`.
    source
        The `source_hash` of what is in it.
    """

    name = "hubbub-ship"

    def __init__(self, archive: bytes, source: str) -> None:
        self._archive, self._source = archive, source

    def setup(self, worker: Any) -> None:
        """Unpack hubbub into the worker's own folder, and have it imported from there; nothing where it has the same.

        Raises
        ------
        ImportError
            When another hubbub goes first all the same.
        """
        if _find_imported_source() == self._source:
            return
        folder = Path(worker.local_directory) / f"{PACKAGE}-{self._source}"
        if not folder.exists():
            unpack(self._archive, folder)
        _import_from(folder)


def ship_to(client: Client) -> None:
    """Give all workers of a cluster, and those that come later, the hubbub that this process runs.

    A cluster runs one hubbub at a time: the last one that was shipped.

    Raises
    ------
    ClusterError
        When a worker cannot take it, and why. One that does not answer is left for `terms.check_requirements` to name.
    """
    plugin = Ship(pack_source(), SOURCE)
    try:
        with _by_value(), suppress(TimeoutError):
            client.sync(_register, client, plugin, callback_timeout=_SHIP_WITHIN_S)
    except Exception as error:
        raise ClusterError(
            f"--ship: a worker cannot take hubbub ({type(error).__name__}: {error}); install hubbub "
            f"{hubbub.__version__} there instead, and leave --ship out"
        ) from error


async def _register(client: Client, plugin: Ship) -> None:
    await client.register_plugin(plugin)


@contextmanager
def _by_value() -> Iterator[None]:
    """Have what this module defines pickled as it is, and not as a name to import."""
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _folders() -> Iterator[tuple[Path, str]]:
    """Folders of the package, and what they are below: a checkout has two, an installation one."""
    home = Path(hubbub.__file__).parent
    yield home, PACKAGE
    jobs = importlib.util.find_spec(f"{PACKAGE}.jobs")
    if jobs is not None and jobs.origin is not None and not Path(jobs.origin).is_relative_to(home):
        yield Path(jobs.origin).parent, f"{PACKAGE}/jobs"


def _files(folder: Path, prefix: str = PACKAGE) -> Iterator[tuple[str, Path]]:
    """Names in an archive, and paths, of a folder's files; caches and hidden files are none."""
    for path in sorted(folder.rglob("*")):
        within = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in within.parts):
            yield f"{prefix}/{within.as_posix()}", path


def _find_imported_source() -> str | None:
    """The `SOURCE` of the hubbub that this worker imports; None where there is none, or one that has no such thing."""
    try:
        return importlib.import_module(f"{PACKAGE}.engine.ship").SOURCE
    except Exception:  # whatever another version, or one whose libraries are missing, raises
        return None


def _import_from(folder: Path) -> None:
    """Have the package imported from a folder, here and in processes that this one starts, and forget any other."""
    sys.path.insert(0, str(folder))
    others = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *([others] if others else [])])
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]
    importlib.invalidate_caches()
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None or not Path(found.origin).is_relative_to(folder):
        raise ImportError(f"{PACKAGE} is imported from {found and found.origin}, whatever goes before it on the path")


# Read when this is imported, near the time when the rest is: a process that runs old code while newer files lie on the
# disk must not take them for its own.
SOURCE = source_hash(Path(hubbub.__file__).parent)
"""The `source_hash` of the hubbub that this process runs."""
