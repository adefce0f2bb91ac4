"""Windows of an archive with what is known of them, some at a time, and a number drawn for each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hubbub.labels.frames import FULL_SCALE
from hubbub.labels.tables import LabelTables

_LEAST_SHARE = 0.5
_TOUCHING_S = 1e-6  # windows that share less do not overlap: their ends are sums of float64


@dataclass(frozen=True)
class ScoredWindows:
    """Some windows.

    Attributes
    ----------
    uri
        object [window], the recordings.
    start_s, end_s
        float64 [window], from the recording's start.
    scores
        float32 [window, label], 0 to 1; no columns where nothing scores them.
    vectors
        [window, dimension], by which windows are alike or not: embeddings as they are stored, or else the scores.
    """

    uri: npt.NDArray[np.object_]
    start_s: npt.NDArray[np.float64]
    end_s: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float32]
    vectors: npt.NDArray[np.floating]

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.uri)

    def __getitem__(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> ScoredWindows:
        """Some of them."""
        return ScoredWindows(*(values[chosen] for values in vars(self).values()))

    def draw(self) -> npt.NDArray[np.uint64]:
        """Return a number for each window, uint64 [window], as if at random: a hash of its recording and its start.

        The windows with the smallest numbers are a fair sample of all, whatever the order they come in.
        """
        return draw_numbers(self.uri, self.start_s)


def draw_numbers(uri: npt.NDArray[np.object_], start_s: npt.NDArray[np.float64]) -> npt.NDArray[np.uint64]:
    """Return a number for each place in a recording, uint64, as if at random: a hash of recording and second."""
    codes, uris = pd.factorize(uri)
    seeds = np.array([_hash(uri) for uri in uris], np.uint64)
    starts = np.round(start_s * 1e6).astype(np.int64).view(np.uint64)
    return mix_bits(seeds[codes] ^ mix_bits(starts)) if len(codes) else np.empty(0, np.uint64)


def mix_bits(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scatter numbers over 64 bits, one to one: the finaliser of SplitMix64 (G. Steele, D. Lea and C. Flood, 2014)."""
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def seed_of(text: str) -> np.uint64:
    """Return a number for a text, the same on every machine."""
    return np.uint64(_hash(text))


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "little")


def overlaps(start_s: float, end_s: float, starts_s: np.ndarray, ends_s: np.ndarray) -> npt.NDArray[np.bool_]:
    """Return which of other windows of the same recording share sound with a window, bool [other]."""
    return (starts_s < end_s - _TOUCHING_S) & (ends_s > start_s + _TOUCHING_S)


def find_tails(
    start_s: npt.NDArray[np.float64], end_s: npt.NDArray[np.float64], is_first: npt.NDArray[np.bool_], window_s: float
) -> npt.NDArray[np.bool_]:
    """Tell which windows are tails, bool [window]: less than half full, and not the first of their clip."""
    return (end_s - start_s < _LEAST_SHARE * window_s) & ~is_first


def iterate_scored_windows(tables: LabelTables, files: pd.DataFrame | None = None) -> Iterator[ScoredWindows]:
    """Read label tables unit by unit: the windows of the files that count, without tails.

    Of models that score frames a window is as long as those that the model was trained on, and has the highest score
    of its frames.

    Parameters
    ----------
    tables
        The label tables.
    files
        Which files, as rows of `LabelTables.files`; None: all of them.

    Raises
    ------
    LabelsError
        For a part that is missing or torn.
    """
    files = tables.files() if files is None else files
    files = files.assign(begin_s=files["clip_start_s"].astype(float).fillna(0.0))
    for unit, own in files[files["status"] == "ok"].groupby("unit"):
        windows = tables.read_part("windows", int(str(unit)))
        windows = windows.filter(pc.is_in(windows["clip_id"], pa.array(own["clip_id"])))
        if windows.num_rows:
            yield _read_windows(tables, windows, own) if tables.frames is None else _pool_frames(tables, windows, own)


def _read_windows(tables: LabelTables, windows: pa.Table, files: pd.DataFrame) -> ScoredWindows:
    scores = _unpack(windows["scores"], len(tables.labels)).astype(np.float32)
    start_s, end_s = windows["start_s"].to_numpy(), windows["end_s"].to_numpy()
    begin_s = windows["clip_id"].to_pandas().map(files.set_index("clip_id")["begin_s"]).to_numpy()
    found = ScoredWindows(_texts(windows["uri"]), start_s, end_s, scores, scores)
    return found[~find_tails(start_s, end_s, start_s <= begin_s, tables.settings.windows.input_s)]


def _pool_frames(tables: LabelTables, windows: pa.Table, files: pd.DataFrame) -> ScoredWindows:
    """Windows of recordings, with the highest scores of their frames."""
    frames, n_labels = tables.frames, len(tables.labels)
    assert frames is not None
    each = max(1, round(tables.settings.windows.input_s / frames.frame_s))
    window_s = each * frames.frame_s
    nothing = np.empty(0)
    parts = [(nothing.astype(object), nothing, nothing, np.empty((0, n_labels), np.float32))]
    told = files[["clip_id", "uri", "begin_s", "duration_s"]]
    for clip_id, uri, begin_s, duration_s in told.itertuples(index=False, name=None):
        own = windows.filter(pc.equal(windows["clip_id"], clip_id)).sort_by("start_s")
        if not own.num_rows:
            continue
        scores = _unpack(own["scores"], frames.per_window * n_labels)
        scores = scores.reshape(-1, n_labels)[: frames.count(duration_s)]
        first = np.arange(0, len(scores), each)
        highest = np.maximum.reduceat(scores, first, axis=0).astype(np.float32) / np.float32(FULL_SCALE)
        start_s = begin_s + first * np.float64(frames.frame_s)
        end_s = np.minimum(start_s + window_s, begin_s + duration_s)
        kept = ~find_tails(start_s, end_s, first == 0, window_s)
        parts.append((np.full(kept.sum(), uri, object), start_s[kept], end_s[kept], highest[kept]))
    uri, start_s, end_s, scores = (np.concatenate(values) for values in zip(*parts, strict=True))
    return ScoredWindows(uri, start_s, end_s, scores, scores)


def _unpack(column: pa.ChunkedArray, width: int) -> npt.NDArray:
    """Lists of one length as an array [row, width]."""
    return np.concatenate([part.flatten().to_numpy(zero_copy_only=False) for part in column.chunks]).reshape(-1, width)


def _texts(column: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    """Text, object [row]; equal texts are one object."""
    texts = column.combine_chunks().dictionary_encode()
    return texts.dictionary.to_numpy(zero_copy_only=False)[texts.indices.to_numpy()]
