"""Windows that a person has heard already, or that a model was trained on: they are not suggested again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.clips.reviews import FOLDER, current_verdicts, read_reviews
from hubbub.clips.sources.suggestions import are_suggestions, read_verdicts
from hubbub.clips.sources.table_files import read_frame
from hubbub.clips.sources.template import Columns
from hubbub.clips.table import ClipTable, read_table, resolve_uri
from hubbub.errors import ClipTableError, UsageError
from hubbub.io.paths import StoragePath, is_local
from hubbub.labels.suggestions.windows import ScoredWindows, overlaps
from hubbub.labels.tables import is_labels, open_labels
from hubbub.pipelines.inputs import as_path

if TYPE_CHECKING:
    from hubbub.pipelines.inputs import PathLike

_TIMES = (("start_s", "end_s"), ("onset_s", "offset_s"))
"""Columns of a table that may say which stretch of a recording is meant; without them it is the whole."""


class Reviewed:
    """Stretches of recordings.

    Parameters
    ----------
    tables
        Clip tables (Parquet); or tables (CSV …) with uri, and start_s and end_s, or onset_s and offset_s: verdicts on
        suggestions, of which rows with neither label nor verdict do not count, or events; or the folder ``reviews`` of
        label tables, of which what was undone does not count.
    root
        What relative uris of tables that are no clip tables start from.

    Raises
    ------
    ClipTableError
        For a table that cannot be read, or lacks a column.
    """

    def __init__(self, tables: Iterable[PathLike | ClipTable | pd.DataFrame], root: StoragePath) -> None:
        self._spans: dict[str, npt.NDArray[np.float64]] = {}
        spans = [_read_spans(table, root) for table in tables]
        if spans:
            for address, own in pd.concat(spans).groupby("address"):
                self._spans[str(address)] = own[["start_s", "end_s"]].to_numpy(np.float64)

    def find(self, windows: ScoredWindows, root: StoragePath) -> npt.NDArray[np.bool_]:
        """Tell which windows share sound with a reviewed stretch, bool [window]; their uris are relative to `root`."""
        found = np.zeros(len(windows), bool)
        if not self._spans:
            return found
        for uri, own in pd.Series(windows.uri).groupby(windows.uri, sort=False).indices.items():
            spans = self._spans.get(find_address(str(uri), root))
            for start_s, end_s in spans if spans is not None else ():
                found[own] |= overlaps(start_s, end_s, windows.start_s[own], windows.end_s[own])
        return found


def find_address(uri: str, root: StoragePath) -> str:
    """Return where a recording lies, as text that is the same however it was written."""
    path = resolve_uri(uri, root)
    return os.path.abspath(path) if is_local(path) else str(path)


def _read_spans(given: PathLike | ClipTable | pd.DataFrame, root: StoragePath) -> pd.DataFrame:
    """Address, start_s and end_s of each row; from 0 to the end where the table does not say."""
    if not isinstance(given, ClipTable | pd.DataFrame):
        path = as_path(given, "exclude")
        if path.name == FOLDER and is_labels(path.parent):
            return _read_reviews(path.parent)
        given = read_table(path) if path.suffix == ".parquet" else _read_reviewed(path)
    if isinstance(given, ClipTable):
        root, frame = given.root, given.rows.select(["uri", "start_s", "end_s"]).to_pandas()
    else:
        frame = _find_times(given)
    names = {uri: find_address(uri, root) for uri in frame["uri"].unique()}
    start_s, end_s = frame["start_s"].fillna(0.0), frame["end_s"].fillna(np.inf)
    return pd.DataFrame({"address": frame["uri"].map(names), "start_s": start_s, "end_s": end_s})


def _read_reviews(labels: StoragePath) -> pd.DataFrame:
    """As `_read_spans`, of everything in label tables that somebody has a word on."""
    root, reviewed = open_labels(labels).root, current_verdicts(read_reviews(labels))
    names = {uri: find_address(uri, root) for uri in reviewed["uri"].unique()}
    spans = reviewed[["onset_s", "offset_s"]].set_axis(["start_s", "end_s"], axis=1)
    return spans.assign(address=reviewed["uri"].map(names))


def _read_reviewed(path: StoragePath) -> pd.DataFrame:
    frame = read_frame(path, Columns(path="uri", label="label"))
    if "uri" not in frame:
        raise ClipTableError(
            f"{path} has no column 'uri'; expected verdicts on suggestions, events, or a clip table (.parquet)"
        )
    return read_verdicts(path, frame).rows if are_suggestions(frame.columns.tolist()) else frame


def _find_times(frame: pd.DataFrame) -> pd.DataFrame:
    start, end = next((names for names in _TIMES if set(names) <= set(frame)), (None, None))
    if start is None or end is None:
        return frame[["uri"]].assign(start_s=np.nan, end_s=np.nan)
    try:
        return frame[["uri"]].assign(start_s=frame[start].astype(float), end_s=frame[end].astype(float))
    except (TypeError, ValueError) as error:
        raise UsageError(f"--except: columns {start} and {end} hold seconds ({error})") from None
