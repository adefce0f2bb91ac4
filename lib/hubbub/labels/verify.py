"""Verification of label tables: parts that belong together, windows as each file says, no unknown objects."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa

from hubbub.errors import LabelsError, StoreError
from hubbub.io.folders import list_names
from hubbub.io.text import count_noun
from hubbub.labels.tables import SEGMENT_NAME, SEGMENTS_FOLDER, LabelTables
from hubbub.store.parts import part_path
from hubbub.store.problems import (
    FOREIGN,
    LEFT_OVER,
    Mend,
    Problem,
    find_unknown,
    list_clips,
    read_bytes_if_there,
    reason,
    validate_part,
)


def verify_files(tables: LabelTables) -> list[Problem]:
    """Check that label tables have every file that the last run set out to label."""
    try:
        held, wanted = len(tables.files()), tables.run.get("clips", 0)
    except LabelsError:  # a torn part, of which `verify_labels` tells
        return []
    if held >= wanted:
        return []
    what = f"{held} of {count_noun(wanted, 'file')} are there: a run broke off; run hubbub label again"
    return [Problem("files", what, mend="run")]


def verify_labels(tables: LabelTables, unit: int) -> list[Problem]:
    """Check one committed unit: that its parts belong together, and that each file has the windows it says."""
    where = f"unit {unit:08d}"
    clips: tuple[tuple[str, ...], int] = ((), 0)
    try:
        files = _unit_part(tables, "files", unit).to_pandas()
        clips = list_clips(files)
        windows, events = _unit_part(tables, "windows", unit), _unit_part(tables, "events", unit)
    except (LabelsError, StoreError) as error:
        mend: Mend | None = None if "hubbub events" in str(error) else "recompute"
        return [Problem(where, reason(str(error)), *clips, mend, unit)]
    held = windows.to_pandas()["clip_id"].value_counts()
    faults = []
    for file in files.itertuples():
        expected = int(file.windows) if file.status == "ok" else 0
        if held.get(file.clip_id, 0) != expected:
            faults.append(f"{file.uri} has {count_noun(held.get(file.clip_id, 0), 'window')}; its row says {expected}")
    faults += _event_faults(files, windows, events, tables.labels)
    return [Problem(where, fault, *clips, "recompute", unit) for fault in faults]


def _unit_part(tables: LabelTables, folder: str, unit: int) -> pa.Table:
    """A part of a unit; errors of `LabelTables.read_part`, and of `read_bytes_if_there` for a bucket out of reach."""
    path = part_path(tables.path / folder, unit)
    try:
        return validate_part(tables.read_part(folder, unit), path)
    except (LabelsError, StoreError):
        read_bytes_if_there(path)  # a bucket that does not answer does not make a part torn
        return validate_part(tables.read_part(folder, unit), path)


def verify_label_objects(tables: LabelTables) -> list[Problem]:
    """Check that there is nothing in label tables' folders that does not belong there."""
    committed = {f"{unit:08d}.parquet" for unit in tables.committed()}
    problems = []
    for folder in ("files", "windows", "events"):
        for name, is_left in find_unknown(list_names(tables.path / folder), committed):
            is_part = re.fullmatch(r"\d{8}\.parquet", name) is not None  # of a unit without its commit record
            what = LEFT_OVER if is_left or is_part else FOREIGN
            problems.append(Problem(f"{folder}/{name}", what, mend="remove" if is_left or is_part else None))
    return [*problems, *_segment_problems(tables)]


def _segment_problems(tables: LabelTables) -> Iterator[Problem]:
    """Give a problem for leftover segments of long recordings; a finished run leaves none."""
    held = list_names(tables.path / SEGMENTS_FOLDER)
    segments = {name for name in held if SEGMENT_NAME.fullmatch(name)}
    for name, is_left in find_unknown(held, segments):
        yield Problem(
            f"{SEGMENTS_FOLDER}/{name}", LEFT_OVER if is_left else FOREIGN, mend="remove" if is_left else None
        )
    if segments:
        what = (
            f"{count_noun(len(segments), 'segment')} of long recordings left from a run that broke off; the next "
            "run uses them"
        )
        yield Problem(SEGMENTS_FOLDER, what, mend="run")


def _event_faults(files: pd.DataFrame, windows: pa.Table, events: pa.Table, labels: list[str]) -> Iterator[str]:
    scores = windows["scores"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    if not np.isfinite(scores).all():
        yield "a window score is not a number"
    frame = events.to_pandas()
    strange = sorted(set(frame["label"]) - set(labels)) + sorted(set(frame["uri"]) - set(files["uri"]))
    if strange:
        yield f"an event names '{strange[0]}', which the run does not know"
    if not (frame["onset_s"] < frame["offset_s"]).all():
        yield "an event ends before it begins"
