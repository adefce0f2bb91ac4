"""Label tables: the files, window scores and events of an archive, as a model labelled it.

::

    LABELS/
      run.json              model, settings, event rules, versions
      windows/*.parquet     every window's scores
      events/*.parquet      events made from them by the rules in run.json
      files/*.parquet       every file, failed ones too; a unit's part here is its commit record, written last
      reviews/*.parquet     verdicts of people, which `hubbub.labels.reviews` writes
      pieces/*.parquet      scores of segments of long recordings, until their units are committed (the name on disk)
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from hubbub import __version__
from hubbub.audio.remote import cached_copy
from hubbub.clips.table import resolve_uri
from hubbub.config import Settings, canonical_hash, parse_settings
from hubbub.errors import LabelsError, StoreError
from hubbub.io.atomic import explain_read_errors, explain_write_errors, read_bytes, write_json
from hubbub.io.folders import list_names, refuse_foreign_folder, remove_file, sweep_partials
from hubbub.io.paths import StoragePath, absolute_path, is_local, parse_path
from hubbub.io.text import list_few
from hubbub.labels.events import EventRule
from hubbub.labels.frames import FrameScores
from hubbub.labels.notebook import LabelsNotebook
from hubbub.labels.schemas import LabelSchemas, label_schemas
from hubbub.store.parts import concatenate_tables, list_part_numbers, part_path, read_part, write_part

FORMAT = "hubbub-labels/1"
RUN_FILE = "run.json"
SEGMENTS_FOLDER = "pieces"
SEGMENT_NAME = re.compile(r"(\d{8,20})\.parquet")
_DRAFT, _OLD = ".events.draft", ".events.old"

DECIDING_KEYS = ("model_hash", "settings_hash", "hop_s", "labels")
"""The entries of run.json that decide window scores; `run_hash` is over them."""


@dataclass(frozen=True)
class LabelTables(LabelsNotebook):
    """Open label tables.

    Attributes
    ----------
    path
        Their folder.
    run
        What run.json holds.
    """

    path: StoragePath
    run: dict[str, Any]

    def __repr__(self) -> str:
        """Describe the tables in one line; reads none of them."""
        frames = self.frames
        spacing = f"hop {self.run['hop_s']:g} s" if frames is None else f"frames of {frames.frame_s:.3g} s"
        return f"<LabelTables '{self.path}': {list_few(self.labels, 'label')}, {spacing}>"

    def with_absolute_path(self) -> LabelTables:
        """The same tables by a path that means the same in every process, for tasks."""
        return replace(self, path=absolute_path(self.path))

    @property
    def labels(self) -> list[str]:
        """Labels in the order of the scores."""
        return list(self.run["labels"])

    @property
    def root(self) -> StoragePath:
        """What relative uris are relative to."""
        return parse_path(str(self.run["root"]))

    @property
    def settings(self) -> Settings:
        """Settings of the features the model was trained on."""
        return parse_settings(self.run["settings"], where=str(self.path / RUN_FILE))

    @property
    def rules(self) -> dict[str, EventRule]:
        """The rule that made each label's events."""
        return {label: EventRule(**rule) for label, rule in self.run["rules"].items()}

    @property
    def frames(self) -> FrameScores | None:
        """How scores of frames lie in the windows; None where a window has one score a label."""
        return FrameScores.of(self.run)

    def unpack_scores(self, scores: np.ndarray, duration_s: float) -> np.ndarray:
        """Return a recording's stored scores as float [window or frame, label], 0 to 1."""
        return scores if self.frames is None else self.frames.unpack(scores, len(self.labels), duration_s)

    def schemas(self, clips: pa.Schema | None = None) -> LabelSchemas:
        """Schemas of the tables' parts for a clip table's schema; None: nothing is carried."""
        return label_schemas(clips or pa.schema([]), len(self.labels), self.frames)

    def event_schema(self, files: pa.Schema) -> pa.Schema:
        """Schema of the events that belong to a part of the files table."""
        own = self.schemas().files.names
        carried = pa.schema([field for field in files if field.name not in own])
        return self.schemas(carried).events

    def resolve_uri(self, uri: str) -> Path:
        """Local path of a file; one in a bucket is fetched (`audio.remote.cached_copy`, with its errors)."""
        return cached_copy(resolve_uri(uri, self.root))

    def committed(self) -> list[int]:
        """Numbers of the units that are done."""
        return list_part_numbers(self.path / "files")

    def files(self) -> pd.DataFrame:
        """Every file once: its newest content, its last attempt; with the `unit` that holds its windows and events.

        Raises
        ------
        LabelsError
            For a torn part.
        """
        files = self._read("files", self.schemas().files).sort_values("attempts", kind="stable")
        return files.drop_duplicates("clip_id", keep="last", ignore_index=True)

    @property
    def missing(self) -> int:
        """Files that the last run set out to label and has no row of: it broke off."""
        return max(0, self.run.get("clips", 0) - len(self.files()))

    def begin(self, clips: int) -> LabelTables:
        """Sweep what killed writers left, and write down how many files there shall be. Only the driver calls it."""
        begun = LabelTables(self.path, self.run | {"clips": clips})
        with explain_write_errors(self.path):
            sweep_partials(self.path)
        write_json(self.path / RUN_FILE, begun.run)
        return begun

    def windows(self, uri: str | None = None) -> pd.DataFrame:
        """Windows of the files that count, in the order of the files; of one file, if `uri` says which."""
        return self._of_counting_files(self._read("windows", self.schemas().windows), uri)

    def events(self, uri: str | None = None) -> pd.DataFrame:
        """Events of the files that count, sorted by file and onset; of one file, if `uri` says which."""
        events = self._of_counting_files(self._read("events", self.schemas().events), uri)
        return events.sort_values(["uri", "onset_s", "label"], kind="stable", ignore_index=True)

    def is_named(self, events: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Which events a label takes, bool [event]: of `UNKNOWN` ones no reference says whether they are right."""
        return events["label"].isin(self.labels).to_numpy(bool)

    def write_unit(self, unit: int, *, files: pa.Table, windows: pa.Table, events: pa.Table) -> None:
        """Write a unit's three parts; the one in files/ commits it.

        Raises
        ------
        StorageError
            When the disk is full or permission is missing; the unit then does not exist.
        """
        for folder, table in (("windows", windows), ("events", events), ("files", files)):
            write_part(self.path / folder, unit, table, self._mark(folder, unit))

    def segment_numbers(self) -> set[int]:
        """Return the numbers of the stored segments."""
        matches = (SEGMENT_NAME.fullmatch(name) for name in list_names(self.path / SEGMENTS_FOLDER))
        return {int(match[1]) for match in matches if match}

    def segment_number(self, segment: Mapping[str, Any]) -> int:
        """Return the number of a segment: a hash of its identity and of the run."""
        return int(canonical_hash(self._segment_mark(segment)), 16)

    def write_segment(self, segment: Mapping[str, Any], table: pa.Table, found: Mapping[str, Any]) -> None:
        """Write the scores of a segment, whole or not at all.

        Parameters
        ----------
        segment
            Its identity as plain data: clip, content and span.
        table
            Its windows.
        found
            What else its recording's unit has to know, plain data.

        Raises
        ------
        StorageError
            When the disk is full or permission is missing.
        """
        mark = {"piece": self._segment_mark(segment), "found": dict(found)}
        write_part(self.path / SEGMENTS_FOLDER, self.segment_number(segment), table, mark)

    def read_segment(self, segment: Mapping[str, Any]) -> tuple[pa.Table, dict[str, Any]] | None:
        """What `write_segment` wrote, its table and `found`; None where that is missing, torn, or of something else.

        Raises
        ------
        UsageError
            When the bucket cannot be reached.
        """
        try:
            table, mark = read_part(self.path / SEGMENTS_FOLDER, self.segment_number(segment))
            table.validate(full=True)
        except (StoreError, pa.ArrowException):
            return None
        return (table, dict(mark["found"])) if mark.get("piece") == self._segment_mark(segment) else None

    def remove_segments(self, numbers: Iterable[int]) -> None:
        """Remove segments, if they are there; raises `StorageError`."""
        for number in numbers:
            remove_file(part_path(self.path / SEGMENTS_FOLDER, number))

    def sweep_segments(self, wanted: Collection[int] = ()) -> None:
        """Remove all segments but those that a run resumes with, by their numbers. Only the driver calls it."""
        self.remove_segments(self.segment_numbers().difference(wanted))

    def _segment_mark(self, segment: Mapping[str, Any]) -> dict[str, Any]:
        return {"run": self.run["run_hash"], **segment}

    def replace_events(self, tables: Iterable[tuple[int, pa.Table]], rules: Mapping[str, EventRule]) -> LabelTables:
        """Replace all events by those that `rules` made, unit by unit.

        On a disk the new parts are written beside the old ones and take their place when all are there; in a bucket,
        which renames nothing, each takes the place of its old one. Events carry a hash of their rules: where a kill
        falls before run.json is written, reading says so, and the next ``hubbub events`` mends it.
        """
        changed = LabelTables(self.path, self.run | {"rules": {label: rule.to_dict() for label, rule in rules.items()}})
        if is_local(self.path):
            changed._swap_events(self.path, tables)
        else:
            changed._write_events(self.path / "events", tables)
        write_json(self.path / RUN_FILE, changed.run)
        if is_local(self.path):
            shutil.rmtree(self.path / _OLD, ignore_errors=True)
        return changed

    def _swap_events(self, path: Path, tables: Iterable[tuple[int, pa.Table]]) -> None:
        draft, old = path / _DRAFT, path / _OLD
        with explain_write_errors(path):
            for left in (draft, old):
                shutil.rmtree(left, ignore_errors=True)
            draft.mkdir()
        self._write_events(draft, tables)
        with explain_write_errors(path):
            if (path / "events").exists():
                os.rename(path / "events", old)
            os.rename(draft, path / "events")

    def _write_events(self, folder: StoragePath, tables: Iterable[tuple[int, pa.Table]]) -> None:
        for unit, table in tables:
            write_part(folder, unit, table, self._mark("events", unit))

    def _mark(self, folder: str, unit: int) -> dict[str, Any]:
        mark = {"unit": unit, "run": self.run["run_hash"]}
        return mark | {"rules": canonical_hash(self.run["rules"])} if folder == "events" else mark

    def _read(self, folder: str, empty: pa.Schema) -> pd.DataFrame:
        """Parts of committed units, with their `unit`; windows of a unit that has no commit record do not count."""
        tables = []
        for unit in self.committed():
            table = self.read_part(folder, unit)
            tables.append(table.append_column("unit", pa.repeat(pa.scalar(unit, pa.int64()), table.num_rows)))
        if not tables:
            tables = [empty.append(pa.field("unit", pa.int64())).empty_table()]
        frame = concatenate_tables(tables).to_pandas()
        return (
            frame.astype({"windows": "Int32", "sample_rate": "Int32", "channels": "Int32"})
            if folder == "files"
            else frame
        )

    def read_part(self, folder: str, unit: int) -> pa.Table:
        """One part of one unit.

        Raises
        ------
        LabelsError
            When it is missing, torn, or of another run.
        """
        if folder == "events" and is_local(self.path) and not (self.path / folder).is_dir():
            again = f"hubbub events {self.path} --threshold …"
            raise LabelsError(f"{self.path}: finding events again was broken off; run again: {again}")
        try:
            table, mark = read_part(self.path / folder, unit)
        except StoreError as error:
            raise LabelsError(str(error)) from None
        expected = self._mark(folder, unit)
        if {**mark, "rules": None} == {**expected, "rules": None} and mark != expected:
            again = f"hubbub events {self.path} --threshold …"
            raise LabelsError(f"{self.path}: its events were made by other rules than run.json has; run again: {again}")
        if mark != expected:
            raise LabelsError(f"{self.path / folder}: part {unit:08d} belongs to another run ({mark}); move it away")
        return table

    def _of_counting_files(self, frame: pd.DataFrame, uri: str | None) -> pd.DataFrame:
        files = self.files()
        counting = files[files["status"] == "ok"]
        counting = counting if uri is None else counting[counting["uri"] == uri]
        return frame.merge(counting[["clip_id", "unit"]], on=["clip_id", "unit"]).drop(columns="unit")


def is_labels(path: StoragePath) -> bool:
    """Whether a folder looks like label tables; `UsageError` where its bucket cannot be read."""
    with explain_read_errors(path):
        return (path / RUN_FILE).is_file()


def check_labels_path(path: StoragePath) -> None:
    """Refuse to make or grow label tables where something else lies (`StoreError`)."""
    refuse_foreign_folder(path, RUN_FILE, "the labels")


def open_labels(path: str | StoragePath) -> LabelTables:
    """Open label tables.

    Raises
    ------
    LabelsError
        When there are none, or they have a format this version does not read.
    UsageError
        When their bucket cannot be reached, or does not let us in.
    """
    path = parse_path(path)
    try:
        with explain_read_errors(path):
            run = json.loads(read_bytes(path / RUN_FILE))
        found = run["format"]
    except FileNotFoundError:
        raise LabelsError(
            f"{path} holds no label tables; make them with: hubbub label FILES --model BUNDLE -o {path}"
        ) from None
    except NotADirectoryError:
        raise LabelsError(f"{path} is a file; expected a folder of label tables, which hubbub label makes") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabelsError(f"{path / RUN_FILE} cannot be read: {type(error).__name__}: {error}") from None
    if found != FORMAT:
        raise LabelsError(
            f"{path} has the format {found}; expected {FORMAT}, which hubbub {__version__} reads: "
            "use the version that wrote the tables"
        )
    return LabelTables(path, run)


def create_labels(path: StoragePath, run: dict[str, Any]) -> LabelTables:
    """Make empty label tables.

    Parameters
    ----------
    run
        The entries that `DECIDING_KEYS` names, and `settings`, `rules`, `root`, `command`.

    Raises
    ------
    StoreError
        When the folder holds something else.
    StorageError
        When it cannot be written.
    """
    check_labels_path(path)
    created = {"created_at": datetime.now(UTC).isoformat(timespec="seconds"), "versions": {"hubbub": __version__}}
    run_hash = canonical_hash({name: run[name] for name in DECIDING_KEYS})
    document = {"format": FORMAT, "run_hash": run_hash, **run, **created}
    if is_local(path):
        with explain_write_errors(path):
            for folder in ("files", "windows", "events"):
                os.makedirs(path / folder, exist_ok=True)
    write_json(path / RUN_FILE, document)
    return LabelTables(path, document)
