"""Facts about a store, from its row parts and the sizes of its files.

No features are read, and of the row parts only the columns that are needed, as Arrow tables: a million rows take
seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hubbub.audio.windows import window_grid
from hubbub.clips.examples import MIX, NO_RULE
from hubbub.config import Settings
from hubbub.io.atomic import explain_read_errors
from hubbub.io.folders import list_sizes
from hubbub.store.features import ARRAYS, ROWS, FeatureStore
from hubbub.store.rows import RETIRED, select_current, select_usable

HOLES_WORTH_COMPACTING = 1 / 3
"""Share of unused rows from which a store is better compacted, if it then has fewer shards."""

_OF_CLIPS = ("labels", "fold", "split", "valid_frames", "error")
_LENGTHS = ("clip_start_s", "clip_end_s", "duration_s")
"""Columns that tell how much of an embedding's window is sound."""
_SAME = {"channel": MIX, "variant": 0, "policy_rule": NO_RULE, "window": 0}
"""Columns that need not be read of stores whose settings make them the same in every row."""


@dataclass(frozen=True)
class LabelCount:
    """How often one label is in the store."""

    label: str
    clips: int
    """Clips that have it and are ok."""
    rows: int
    """Rows of those clips."""


@dataclass(frozen=True)
class Failure:
    """Clips that failed for reasons of one class."""

    reason: str
    """The class: what stands before the colon of a row's `error`."""
    clips: int
    uri: str
    """One of them."""
    error: str
    """All that its row says."""


@dataclass(frozen=True)
class StoreInfo:
    """The facts of a store; sizes in bytes."""

    path: str
    format: str
    created_at: str | None
    """When it was made, ISO 8601, UTC."""
    source: str | None
    """What it was built from."""
    root: str | None
    """What its clips' uris are relative to."""
    versions: dict[str, str]
    """Of hubbub and of the libraries that values may owe to, when the store was made."""
    settings: dict[str, Any]
    settings_hash: str
    row_shape: tuple[int, int]
    """Frames, bands."""

    rows: int
    """Rows that count and hold an example."""
    clips_ok: int
    clips_failed: int
    clips_retired: int
    """Clips of which nothing but retired rows is left."""
    clips_expected: int | None
    """Clips that the last run set out to have in the store; None where it did not say."""
    sound_s: float
    """Seconds of sound in the windows, to within a frame each: what windows share, and what further channels and
    variants repeat, counts once; padding does not."""

    labels: tuple[LabelCount, ...]
    """The most frequent first."""
    clips_unlabelled: int
    folds: dict[str, int]
    """Clips by fold, where the dataset has folds."""
    splits: dict[str, int]
    """Clips by split, where the dataset has a split."""
    failures: tuple[Failure, ...]
    """The most frequent first."""

    shards: int
    """Shards that are committed."""
    shards_least: int
    """Shards that as many rows would fill."""
    rows_per_shard: int
    shard_bytes: int
    """Of committed shards."""
    left_bytes: int
    """Of shards that are not committed: left for readers by a compaction, or by a run that was killed."""
    part_bytes: int
    """Of row parts."""
    other_bytes: int
    raw_bytes: int
    """What the rows' values are before compression."""

    @property
    def bytes(self) -> int:
        """Of all files of the store."""
        return self.shard_bytes + self.left_bytes + self.part_bytes + self.other_bytes

    @property
    def compression_ratio(self) -> float | None:
        """Bytes of the rows' values over bytes of the shards that hold them; None without shards."""
        return self.raw_bytes / self.shard_bytes if self.shard_bytes else None

    @property
    def holes(self) -> float:
        """Share of the committed shards' rows that hold no row that counts, 0 to 1."""
        room = self.shards * self.rows_per_shard
        return 1.0 - self.rows / room if room else 0.0

    @property
    def worth_compacting(self) -> bool:
        """Whether `hubbub compact` would make noticeably fewer shards of it."""
        return self.holes >= HOLES_WORTH_COMPACTING and self.shards > self.shards_least

    def as_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        derived = ("bytes", "compression_ratio", "holes", "worth_compacting")
        return asdict(self) | {name: getattr(self, name) for name in derived}


@dataclass(frozen=True)
class _Rows:
    """The row parts of a store as one table, and which of its rows count."""

    store: FeatureStore
    table: pa.Table
    """Columns of `_OF_CLIPS`, and `row` where it was asked for."""
    row_index: pd.DataFrame
    """All else, as `store.rows` wants it, with `at`, the place in `table`; clips are numbers."""

    @cached_property
    def counting(self) -> pd.DataFrame:
        """Lines that count: ok, failed or ended."""
        return select_current(self.row_index)

    @cached_property
    def failed(self) -> pd.DataFrame:
        """Failed lines that count."""
        return self.counting[self.counting["status"] == "failed"]

    @cached_property
    def usable(self) -> pd.DataFrame:
        """Lines that hold an example, as `FeatureStore.rows` has them."""
        if self.store.settings.variants is None:
            return select_usable(self.counting.assign(labels=""), self.store.settings)  # which then decide nothing
        return select_usable(
            self.counting.assign(labels=self.of(self.counting, "labels").to_pylist()), self.store.settings
        )

    @cached_property
    def clips(self) -> pd.DataFrame:
        """One usable line a clip, in the order of the store, of clips that are ok."""
        ok = self.usable[~self.usable["clip_id"].isin(self.failed["clip_id"])]
        return ok.drop_duplicates("clip_id").sort_values("at")

    def of(self, lines: pd.DataFrame, column: str) -> pa.ChunkedArray:
        """A column of `table` for some lines, in their order."""
        return self.table[column].take(pa.array(lines["at"].to_numpy(np.int64)))


def summarise_store(store: FeatureStore) -> StoreInfo:
    """Tell the facts of a store.

    Raises
    ------
    StoreError
        For a row part that is torn or foreign.
    UsageError
        When its bucket cannot be reached, or does not let us in.
    """
    with explain_read_errors(store.path):
        rows = _read(store, *(_LENGTHS if store.holds_embeddings else ()))
        files = list_sizes(store.path)
        failures = _failures(rows)
    retired = rows.row_index.loc[rows.row_index["status"] == RETIRED, "clip_id"]
    n_rows, provenance = len(rows.usable), store.provenance
    return StoreInfo(
        path=str(store.path),
        format=provenance["format"],
        created_at=provenance.get("created_at"),
        source=provenance.get("source"),
        root=provenance.get("root"),
        versions=dict(provenance.get("versions", {})),
        settings=store.settings.model_dump(mode="json"),
        settings_hash=store.settings_hash,
        row_shape=(store.n_frames, store.n_bands),
        rows=n_rows,
        clips_ok=len(rows.clips),
        clips_failed=rows.failed["clip_id"].nunique(),
        clips_retired=retired[~retired.isin(rows.counting["clip_id"])].nunique(),
        clips_expected=provenance.get("clips"),
        sound_s=_sum_audio_s(rows),
        labels=_labels(rows),
        clips_unlabelled=int(pc.sum(pc.equal(pc.list_value_length(rows.of(rows.clips, "labels")), 0)).as_py() or 0),
        folds=_counts(rows, "fold"),
        splits=_counts(rows, "split"),
        failures=failures,
        shards=len(store.committed()),
        shards_least=-(-n_rows // store.rows_per_shard),
        rows_per_shard=store.rows_per_shard,
        raw_bytes=n_rows * store.n_frames * store.n_bands * np.dtype(store.settings.dtype).itemsize,
        **_bytes(files, set(store.committed())),
    )


def sample_rows(store: FeatureStore, *, per_label: int, most_labels: int) -> pd.DataFrame:
    """Choose some rows of each label, of as many clips, spread evenly over the store; the same ones every time.

    Parameters
    ----------
    per_label
        Rows of a label, at most.
    most_labels
        Labels, at most: the most frequent.

    Returns
    -------
    pandas.DataFrame
        Columns label, row, valid_frames; labels sorted, rows of each in the order of the store.

    Raises
    ------
    StoreError
        For a row part that is torn or foreign.
    """
    with explain_read_errors(store.path):
        rows = _read(store, "row")
    labels = rows.of(rows.clips, "labels").combine_chunks()
    clip, label = pc.list_parent_indices(labels).to_numpy(), pc.list_flatten(labels).to_numpy(zero_copy_only=False)
    parts = []
    for name in sorted(count.label for count in _labels(rows)[:most_labels]):
        of_label = clip[label == name]
        chosen = np.unique(np.linspace(0, len(of_label) - 1, min(per_label, len(of_label))).round().astype(int))
        lines = rows.clips.iloc[of_label[chosen]]
        values = {column: rows.of(lines, column).to_numpy() for column in ("row", "valid_frames")}
        parts.append(pd.DataFrame({"label": name, **values}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["label", "row", "valid_frames"])


def _read(store: FeatureStore, *more: str) -> _Rows:
    """Read what is needed of every row part, all at once: a compaction may run meanwhile."""
    own = ["clip_id", "version", "attempts", "status", *_list_varying_columns(store.settings)]
    carried = [*_OF_CLIPS, *more]
    table = store.row_table([*own, *carried])
    return _Rows(store, table.select(carried), _as_row_index(table.select(["shard", *own])))


def _list_varying_columns(settings: Settings) -> list[str]:
    """Which of the columns `_SAME` may hold different values."""
    names = {"channel": settings.channels in ("each", "left-right-mix"), "window": settings.windows.mode == "all"}
    names |= dict.fromkeys(("variant", "policy_rule"), settings.variants is not None)
    return [name for name, differ in names.items() if differ]


def _as_row_index(table: pa.Table) -> pd.DataFrame:
    """Columns that say which rows count; clips as numbers, which are quicker to tell apart than their ids."""
    columns: dict[str, Any] = {name: table[name].to_pandas() for name in table.column_names if name != "clip_id"}
    columns |= {"clip_id": _codes(table["clip_id"]), "at": np.arange(len(table))}
    constant: dict[str, Any] = {name: value for name, value in _SAME.items() if name not in columns}
    return pd.DataFrame(columns, copy=False).assign(**constant)


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """int32 [row], equal where the values are."""
    chunks = [chunk.indices.to_numpy() for chunk in column.dictionary_encode().chunks]
    return np.concatenate(chunks) if chunks else np.empty(0, np.int32)


def _sum_audio_s(rows: _Rows) -> float:
    """Seconds of sound; each of a clip's windows ends where the next one begins."""
    settings, grid = rows.store.settings, window_grid(rows.store.settings)
    rate = settings.frontend.sample_rate
    lines = rows.usable.sort_values(["clip_id", "window"]).drop_duplicates(["clip_id", "window"])
    clip, window = lines["clip_id"].to_numpy(), lines["window"].to_numpy(np.int64)
    if rows.store.holds_embeddings:  # whose one frame does not tell how much of a window is sound
        samples = np.minimum(_count_samples(rows, lines) - window * grid.hop, grid.window)
    else:
        frames = rows.of(lines, "valid_frames").to_numpy()
        samples = np.minimum(frames.astype(np.int64) * settings.frontend.hop_samples, grid.window)
    same = clip[1:] == clip[:-1]
    samples[:-1][same] = np.minimum(samples[:-1], np.diff(window) * grid.hop)[same]
    return float(samples.sum()) / rate


def _count_samples(rows: _Rows, lines: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Samples of each line's clip as the clip table has it, int64 [line]; no end where that is unknown."""
    start_s, end_s, duration_s = (
        rows.of(lines, name).to_pandas().to_numpy(float, na_value=np.nan) for name in _LENGTHS
    )
    length_s = np.fmin(end_s, duration_s) - np.nan_to_num(start_s)
    samples = np.round(length_s * rows.store.settings.frontend.sample_rate)
    return np.where(np.isfinite(samples), samples, np.iinfo(np.int64).max // 2).astype(np.int64)


def _labels(rows: _Rows) -> tuple[LabelCount, ...]:
    by_clip, by_row = _label_counts(rows, rows.clips), _label_counts(rows, rows.usable)
    counts = [LabelCount(label, by_clip.get(label, 0), n) for label, n in by_row.items()]
    return tuple(sorted(counts, key=lambda count: (-count.clips, -count.rows, count.label)))


def _label_counts(rows: _Rows, lines: pd.DataFrame) -> dict[str, int]:
    return _value_counts(pc.list_flatten(rows.of(lines, "labels")))


def _counts(rows: _Rows, column: str) -> dict[str, int]:
    """Clips by the values of a column that may be null, sorted by value; empty where all are."""
    counts = _value_counts(rows.of(rows.clips, column))
    known = {value: counts[value] for value in sorted(value for value in counts if value is not None)}
    none = {"none": counts[None]} if known and None in counts else {}
    return {str(value): count for value, count in known.items()} | none


def _value_counts(values: pa.ChunkedArray) -> dict[Any, int]:
    return {line["values"]: line["counts"] for line in pc.value_counts(values).to_pylist()}


def _failures(rows: _Rows) -> tuple[Failure, ...]:
    """Reasons by their class, with the first clip of each."""
    lines = rows.failed.sort_values("at")
    error = rows.of(lines, "error").to_pandas().fillna("no reason given")
    frame = lines[["clip_id", "shard", "at"]].assign(error=error.to_numpy())
    failures = []
    for reason, of_reason in frame.groupby(error.str.split(":").str[0].to_numpy(), sort=False):
        first = of_reason.iloc[0]
        uri = _uri(rows, int(first["shard"]), int(first["at"]))
        failures.append(Failure(str(reason), of_reason["clip_id"].nunique(), uri, str(first["error"])))
    return tuple(sorted(failures, key=lambda failure: (-failure.clips, failure.reason)))


def _uri(rows: _Rows, shard: int, at: int) -> str:
    """What the clip of a line is called; read for this one alone, because a million names are much."""
    begin = int(np.argmax(rows.row_index["shard"].to_numpy() == shard))
    return rows.store.read_part(shard, ["uri"])["uri"][at - begin].as_py()


def _bytes(files: dict[str, int], committed: set[int]) -> dict[str, int]:
    """Sizes by what they are the sizes of."""
    total = {"shard_bytes": 0, "left_bytes": 0, "part_bytes": 0, "other_bytes": 0}
    for name, size in files.items():
        total[_kind(name.split("/"), committed)] += size
    return total


def _kind(parts: Sequence[str], committed: set[int]) -> str:
    if list(parts[:3]) == [ARRAYS, "features", "c"]:
        return "shard_bytes" if parts[3].isdecimal() and int(parts[3]) in committed else "left_bytes"
    return "part_bytes" if parts[0] == ROWS else "other_bytes"
