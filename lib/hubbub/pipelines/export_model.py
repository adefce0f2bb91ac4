"""Export a bundle's network for other runtimes. What ``hubbub export-model`` does."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hubbub.config import canonical_hash
from hubbub.errors import BundleError
from hubbub.io.atomic import explain_write_errors, write_json
from hubbub.io.folders import refuse_foreign_folder
from hubbub.io.paths import StoragePath
from hubbub.io.text import count_noun, make_visible
from hubbub.models.backends import import_keras
from hubbub.models.bundle import Bundle, load_bundle
from hubbub.models.exporters import Exporter, find_exporter
from hubbub.models.exporters.description import count_frames
from hubbub.models.exporters.folder import (
    RECORD,
    YAML,
    describe_record,
    find_changed,
    hash_files,
    read_record,
    sync_folder,
    write_beside,
)
from hubbub.models.exporters.heads import join_head
from hubbub.models.foreign import ForeignModel, open_foreign
from hubbub.models.foreign_files import is_foreign
from hubbub.models.heads import is_head
from hubbub.models.opening import read_description
from hubbub.pipelines.export_rows import ComparedRows, choose_rows
from hubbub.pipelines.inputs import as_model_path, as_path
from hubbub.pipelines.reporting import Reporter, choose_reporter
from hubbub.pipelines.train import require_local
from hubbub.store.features import FeatureStore

if TYPE_CHECKING:
    from hubbub.pipelines.inputs import PathLike

MOST_DIFFERENCE = 1e-4
"""Largest difference of a score that is taken for rounding."""


@dataclass(frozen=True)
class ExportResult:
    """An exported model."""

    path: Path
    """Its YAML file, which `hubbub.label` takes as a model."""

    files: tuple[str, ...]
    """Names of all files in its folder."""

    max_difference: float
    """Largest difference of a score from the bundle's."""

    rows: int
    """Windows on which they were compared."""

    was_done: bool
    """Whether the folder was there already, with the same model in the same format."""


def export_model(
    bundle: PathLike | Bundle,
    out: PathLike,
    *,
    format: str,
    compare: PathLike | FeatureStore | None = None,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> ExportResult:
    """Export a model; see `hubbub.export_model`."""
    reporter = choose_reporter(reporter, progress=progress)
    exporter = find_exporter(format)
    folder = require_local(as_path(out, "out"), "export into a folder here, then copy it: --model reads s3://, too")
    path = as_model_path(bundle)
    if is_foreign(path):
        raise BundleError(f"{path} is the YAML file of a model, which needs no export; expected the folder of a bundle")
    description = read_description(path)
    identity = canonical_hash([description, exporter.format])
    held = compare.path if isinstance(compare, FeatureStore) else compare
    source = None if held is None else as_path(held, "compare")
    if not _is_done(folder, identity):
        _export(path, folder, exporter, identity, source, reporter)
        return _report(folder, reporter, was_done=False)
    if source is not None and str(source) != read_record(folder)["compared"]["of"]:
        _compare_again(path, folder, exporter, source, reporter)
    return _report(folder, reporter, was_done=True)


def _is_done(folder: Path, identity: str) -> bool:
    """Whether the folder holds this model in this format; refuses another, a damaged one, and anything else."""
    if not (folder / RECORD).exists():
        refuse_foreign_folder(folder, RECORD, "the exported model")
        return False
    record = read_record(folder)
    if record.get("identity") != identity:
        raise BundleError(
            f"{folder} holds another exported model, or another format ({make_visible(str(record.get('kind')))}); give "
            "another -o, or delete it"
        )
    if changed := find_changed(folder, record):
        raise BundleError(
            f"{folder} was changed since it was exported ({', '.join(changed)}); delete it, and run the same command "
            "again"
        )
    return True


def _export(
    path: StoragePath, folder: Path, exporter: Exporter, identity: str, source: StoragePath | None, reporter: Reporter
) -> None:
    """Write all beside the folder, compare, and give it its name."""
    exporter.require_packages()
    with reporter.show_waiting("loading Keras"):
        bundle = _open(path, exporter)
    rows = choose_rows(bundle, source)
    partial = folder.with_name(f"{folder.name}.partial")
    refuse_foreign_folder(partial, RECORD, "unfinished work on the exported model")
    with explain_write_errors(folder), reporter.show_waiting(f"writing {exporter.file}"):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            write_json(partial / RECORD, {})
            exporter.write(bundle.network, partial / exporter.file, count_frames(bundle))
            write_beside(partial, bundle, exporter)
            exported = _open_again(partial / YAML, exporter)
            found = _compare(bundle, exported, rows)
            made = {"identity": identity, "files": hash_files(partial)}
            write_json(partial / RECORD, describe_record(bundle, exporter, found) | made)
            sync_folder(partial)
            os.rename(partial, folder)
        finally:
            _clear(partial)


def _compare_again(
    path: StoragePath, folder: Path, exporter: Exporter, source: StoragePath, reporter: Reporter
) -> None:
    """Compare what was exported earlier on other rows, and write down on which."""
    exporter.require_packages()
    with reporter.show_waiting("loading Keras"):
        bundle = _open(path, exporter)
    found = _compare(bundle, open_foreign(folder / YAML), choose_rows(bundle, source))
    write_json(folder / RECORD, read_record(folder) | {"compared": found})


def _clear(partial: Path) -> None:
    """Remove unfinished work."""
    shutil.rmtree(partial, ignore_errors=True)


def _open(path: StoragePath, exporter: Exporter) -> Bundle:
    with contextlib.suppress(ImportError):  # the bundle says what to install
        import_keras()
        exporter.require_tensorflow()
    bundle = load_bundle(path, runtime="keras")
    return join_head(bundle) if is_head(bundle.settings) else bundle


def _open_again(path: Path, exporter: Exporter) -> ForeignModel:
    """Open what was written; raises `BundleError` where its runtime does not take it."""
    try:
        return open_foreign(path)
    except BundleError as error:
        reason = str(error).replace(f"{path.parent}{os.sep}", "")
        raise BundleError(
            f"the network was written as {exporter.format}, and does not run: {reason}. Nothing was kept; try another "
            f"--format ({exporter.list_others()})"
        ) from None


def _compare(bundle: Bundle, exported: ForeignModel, rows: ComparedRows) -> dict[str, Any]:
    """What `export.json` says of the largest difference of any score.

    Raises
    ------
    BundleError
        It is more than rounding makes, or no number.
    """
    ours, theirs = (rows.score(model, exported.frames) for model in (bundle, exported))
    difference = float(np.abs(ours - theirs).max())
    if not difference <= MOST_DIFFERENCE:  # so written, NaN is caught too
        raise BundleError(
            f"{exported.given.file} gives other scores than {bundle.path}, by up to {difference:.3g} on "
            f"{count_noun(len(rows.values), 'window')} of {rows.source}; expected {MOST_DIFFERENCE:g} at most: "
            "use another --format"
        )
    return {"rows": len(rows.values), "of": rows.source, "max_difference": difference}


def _report(folder: Path, reporter: Reporter, *, was_done: bool) -> ExportResult:
    record = read_record(folder)
    compared = record["compared"]
    files = tuple(sorted(path.name for path in folder.iterdir()))
    reporter.show_table(
        "export-model: was done already" if was_done else "export-model: done",
        {
            "model": record["bundle"].get("model", ""),
            "format": record["kind"],
            "files": ", ".join(files),
            "compared": f"{count_noun(compared['rows'], 'window')} of {compared['of']}",
            "largest difference of a score": f"{compared['max_difference']:.2g}",
            "result": folder / YAML,
        },
    )
    return ExportResult(folder / YAML, files, compared["max_difference"], compared["rows"], was_done)
