"""Leakage: recordings that are on both sides of a split, under other names.

A recording that was copied, converted or made louder and then given another name, group or fold makes test scores too
good. Two rows count as one recording where the fine structure of their features agrees: what is left after each band's
mean over the row, and each frame's mean over the bands, is taken away, so that neither level nor equalisation matters,
and the steady spectrum that two recordings of rain share does not, either. The structure is reduced to a fingerprint by
a random projection (W. Johnson and J. Lindenstrauss, 1984). A copy that was moved in time is another row to this
comparison, and one to which noise was added may be.

Embeddings have no such structure, and a poor model gives unlike sounds nearly the same. Of these only equal rows count
as one recording, which finds copies under other names, and none that went through a codec.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.errors import TrainingError
from hubbub.io.text import count_noun
from hubbub.learn.checksummed_store import ChecksummedStore
from hubbub.learn.crops import covering_crops, valid_within
from hubbub.learn.dataset import iterate_batches
from hubbub.learn.splits import Split
from hubbub.store.features import FeatureStore

LEAST_CORRELATION = 0.95
"""Correlation of two rows' fine structure from which they count as one recording: what most copies through a lossy
codec keep, and more than two chirps in noise have in common."""

MOST_ROWS = 20_000
"""Rows of each side that are compared, drawn by their checksums where there are more."""

FLOOR_DB = 60.0
"""Decibels below a row's peak that are compared; what codecs lose lies further down."""

_LENGTH = 512  # numbers of a fingerprint: correlations are kept to about 0.02 near the limit
_ROWS_AT_ONCE = 64
_COMPARED_AT_ONCE = 2_048


@dataclass(frozen=True)
class Leak:
    """One test row and a training row that are the same recording."""

    test_uri: str
    train_uri: str
    correlation: float


def refuse_leakage(store: FeatureStore, split: Split) -> None:
    """Refuse a split with one recording on both sides.

    Raises
    ------
    TrainingError
        Names a pair, says how many test clips are concerned, and what to do.
    """
    leaks = find_leaks(store, split)
    if not leaks:
        return
    first = max(leaks, key=lambda leak: leak.correlation)
    concerned = len({leak.test_uri for leak in leaks})
    raise TrainingError(
        f"{count_noun(concerned, 'test clip')} nearly identical to a training clip, such as {first.test_uri} and "
        f"{first.train_uri} (correlation {first.correlation:.3f}), which makes scores too good; give both the same "
        "group (or fold) in the clip table, delete one of them, or use --allow-leakage"
    )


def find_leaks(store: FeatureStore, split: Split) -> list[Leak]:
    """Compare test rows with training and validation rows: the first row of every clip, as recorded.

    Raises
    ------
    TrainingError
        A row is missing, or not what was written.
    """
    test, train = _choose_rows(split.test), _choose_rows(pd.concat([split.train, split.validation]))
    if store.holds_embeddings:
        return list(_find_equal_rows(store, test, train))
    projection = _Projection()
    test_prints = _take_fingerprints(store, test, projection)
    train_prints = _take_fingerprints(store, train, projection)
    leaks = []
    for first in range(0, len(train_prints), _COMPARED_AT_ONCE):
        likeness = test_prints @ train_prints[first : first + _COMPARED_AT_ONCE].T
        for row, other in zip(*np.nonzero(likeness >= LEAST_CORRELATION), strict=True):
            uris = test["uri"].iloc[row], train["uri"].iloc[first + other]
            leaks.append(Leak(*uris, float(likeness[row, other])))
    return leaks


def _find_equal_rows(store: FeatureStore, test: pd.DataFrame, train: pd.DataFrame) -> Iterator[Leak]:
    """Find rows with the same values, by their checksums first."""
    pairs = test[["row", "uri", "crc32"]].merge(train[["row", "uri", "crc32"]], on="crc32", suffixes=("", "_train"))
    for first in range(0, len(pairs), _ROWS_AT_ONCE):
        some = pairs.iloc[first : first + _ROWS_AT_ONCE]
        ours, theirs = (store.read_rows(some[name].tolist()) for name in ("row", "row_train"))
        same = (ours == theirs).all(axis=(1, 2))
        for test_uri, train_uri in some.loc[same, ["uri", "uri_train"]].itertuples(index=False):
            yield Leak(test_uri, train_uri, 1.0)


def _choose_rows(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.drop_duplicates("clip_id")
    return rows if len(rows) <= MOST_ROWS else rows.sort_values("crc32").iloc[:MOST_ROWS]


class _Projection:
    """A random projection [value, _LENGTH], the same in every call."""

    def __init__(self) -> None:
        self._matrix: npt.NDArray[np.float32] | None = None

    def __call__(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if self._matrix is None:
            shape = (values.shape[1], _LENGTH)
            self._matrix = np.random.default_rng(0).standard_normal(shape, dtype=np.float32) / np.sqrt(_LENGTH)
        return values @ self._matrix


def _take_fingerprints(store: FeatureStore, rows: pd.DataFrame, projection: _Projection) -> npt.NDArray[np.float32]:
    """Fingerprints float32 [row, number] of norm 1, or of zeros where a row has no structure, as digital silence."""
    prints = np.zeros((len(rows), _LENGTH), np.float32)
    for places, structure in _iterate_structure(store, rows):
        norm = np.linalg.norm(structure, axis=1, keepdims=True)
        has_some = (norm > 1e-3 * np.sqrt(structure.shape[1]))[:, 0]
        projected = projection(np.divide(structure, norm, where=norm > 0, out=np.zeros_like(structure)))
        projected /= np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-12)
        prints[places[has_some]] = projected[has_some]
    return prints


def _iterate_structure(
    store: FeatureStore, rows: pd.DataFrame
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
    """Places in `rows`, and the fine structure float32 [row, frame * band] of each one's first crop."""
    covered, crops = covering_crops(store.settings, rows.reset_index(drop=True))
    first = np.flatnonzero(~covered["clip_id"].duplicated().to_numpy())
    crops = None if crops is None else crops.take(first)
    covered = covered.iloc[first]
    valid = valid_within(covered, crops)
    places = np.arange(len(covered))
    numbers = covered["row"].to_numpy(np.int64)
    checked = ChecksummedStore(store, covered)
    for batch in iterate_batches(checked, numbers, places, batch_rows=_ROWS_AT_ONCE, crops=crops):
        is_valid = (np.arange(batch.features.shape[1])[None, :] < valid[batch.targets][:, None])[:, :, None]
        structure = _keep_fine_structure(batch.features, is_valid, is_db=store.settings.frontend.is_db)
        yield batch.targets, structure.reshape(len(structure), -1)


def _keep_fine_structure(
    features: npt.NDArray[np.float32], is_valid: npt.NDArray[np.bool_], *, is_db: bool
) -> npt.NDArray[np.float32]:
    """What neither the bands' means nor the frames' means explain, float32 [row, frame, band]; 0 in padding."""
    features = np.where(is_valid, features, -np.inf if is_db else 0)
    if is_db:
        features = np.maximum(features, features.max(axis=(1, 2), keepdims=True) - np.float32(FLOOR_DB))
    count = np.maximum(is_valid.sum(axis=1, keepdims=True), 1)
    centred = features - np.where(is_valid, features, 0).sum(axis=1, keepdims=True) / count
    centred -= centred.mean(axis=2, keepdims=True)
    return np.where(is_valid, centred, 0).astype(np.float32)
