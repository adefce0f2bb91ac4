"""Examples that a search goes by: a row or a clip of the store, or a recording that its model embeds."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.audio.decode import decode_blocks
from hubbub.audio.remote import local_copy
from hubbub.audio.windows import window_grid
from hubbub.clips.table import resolve_uri
from hubbub.config.frontends import EmbeddingSettings
from hubbub.errors import AudioError, UsageError
from hubbub.io.atomic import explain_read_errors
from hubbub.io.paths import StoragePath, absolute_path, is_local, parse_path
from hubbub.models.heads import embed_samples
from hubbub.models.opening import WindowModel
from hubbub.pipelines.row_clips import find_clip_root
from hubbub.store.features import FeatureStore
from hubbub.tasks.embed import find_store_model, load_embedder
from hubbub.tasks.scoring import choose_channel

COLUMNS = ("row", "clip_id", "uri", "start_s", "variant")
"""Columns of rows by which examples of the store are found."""

_CLIP_ID = re.compile(r"[0-9a-f]{32}")
_ROW = re.compile(r"\d{1,18}")
_STRETCH = re.compile(r"(?P<path>.+)@(?P<start>\d+(\.\d+)?)(-(?P<end>\d+(\.\d+)?))?", re.DOTALL)
_WINDOWS_AT_ONCE = 16  # what bundles score at once


@dataclass(frozen=True)
class Example:
    """What rows are compared with.

    Attributes
    ----------
    name
        As it was given.
    direction
        float64 [dimension], of length 1: of several windows the mean of their directions.
    uris
        What the store may call its recording.
    start_s, end_s
        Which stretch of the recording it is.
    is_silent
        Whether every sample of it is 0; of what lies in the store nobody knows.
    """

    name: str
    direction: npt.NDArray[np.float64]
    uris: tuple[str, ...]
    start_s: float
    end_s: float
    is_silent: bool = False


def is_in_store(name: str) -> bool:
    """Whether an example is a row or a clip of the store, by its name."""
    return _ROW.fullmatch(name) is not None or _CLIP_ID.fullmatch(name) is not None


def find_examples(store: FeatureStore, rows: pd.DataFrame, names: Sequence[str]) -> list[Example]:
    """Find each example; see `hubbub.search` for what one may be.

    Parameters
    ----------
    store
        The store.
    rows
        Its current rows; where an example is one of them, or a clip, with `COLUMNS`.
    names
        The examples.

    Raises
    ------
    UsageError
        For one that is not there or cannot be read, and for one without a direction, as silence may be.
    StoreError
        When the store's model is needed, and is missing or damaged.
    """
    model = None if all(map(is_in_store, names)) else _open_model(store)
    return [_find_in_store(store, rows, name) if is_in_store(name) else _embed(store, model, name) for name in names]


def mean_direction(examples: Sequence[Example]) -> npt.NDArray[np.float64]:
    """Return the mean of the examples' directions, float64 [dimension]; raises `UsageError` where they cancel out."""
    return _mean(np.stack([example.direction for example in examples]), "the examples together")


def _open_model(store: FeatureStore) -> WindowModel:
    """Open the copy of the model that made the store's rows; so an example is embedded as they were."""
    frontend = store.settings.frontend
    assert isinstance(frontend, EmbeddingSettings)
    return load_embedder(find_store_model(store), frontend.model_hash, frontend.arithmetic)


def _find_in_store(store: FeatureStore, rows: pd.DataFrame, name: str) -> Example:
    if _ROW.fullmatch(name):
        found = rows[rows["row"] == int(name)]
        if found.empty:
            raise UsageError(
                f"--like {name}: {store.path} has no current row of that number; expected a row, a clip_id or a "
                f"recording (a file of that name: ./{name})"
            )
    else:
        found = rows[(rows["clip_id"] == name) & (rows["variant"] == 0)]
        if found.empty:
            raise UsageError(f"--like {name}: {store.path} has no clip of this id; expected a clip_id of its rows")
    vectors = store.read_rows(found["row"].tolist()).reshape(len(found), -1)
    start_s, window_s = found["start_s"].to_numpy(), store.settings.windows.duration_s
    where = (float(start_s.min()), float(start_s.max()) + window_s)
    return Example(name, _mean(vectors, f"--like {name}"), (str(found["uri"].iloc[0]),), *where)


def _embed(store: FeatureStore, model: WindowModel | None, name: str) -> Example:
    """Embed a recording, or a stretch of it."""
    assert model is not None
    path, start_s, length_s = _find_recording(name, store.settings.windows.duration_s)
    try:
        with local_copy(path) as local:
            found = list(_embed_windows(store, model, local, start_s, length_s))
    except AudioError as error:
        raise UsageError(f"--like {name} cannot be read: {error.reason}") from None
    if not found:
        raise UsageError(f"--like {name}: there is no sound from {start_s:g} s on; give an earlier second")
    direction = _mean(np.concatenate([vectors for vectors, _ in found]), f"--like {name}")
    is_silent = all(silent for _, silent in found)
    return Example(name, direction, _spell_uris(path, store), start_s, start_s + length_s, is_silent)


def _find_recording(name: str, window_s: float) -> tuple[StoragePath, float, float]:
    """The recording of an example, and the start and length of the stretch that is meant, in seconds."""
    path = parse_path(name)
    with explain_read_errors(path):
        if path.is_file():
            return path, 0.0, math.inf
        found = _STRETCH.fullmatch(name)
        if found is None or not (path := parse_path(found["path"])).is_file():
            raise UsageError(
                f"--like {name}: there is no such recording; expected a recording (also clip.wav@12.5, the window from "
                "that second on, or clip.wav@12.5-20), or a row or clip_id of the store"
            )
    start_s = float(found["start"])
    length_s = window_s if found["end"] is None else float(found["end"]) - start_s
    if length_s <= 0:
        raise UsageError(f"--like {name}: the stretch ends before it begins; expected START-END in seconds")
    return path, start_s, length_s


def _embed_windows(
    store: FeatureStore, model: WindowModel, path: Path, start_s: float, length_s: float
) -> Iterator[tuple[npt.NDArray[np.floating], bool]]:
    """Some of the stretch's windows at a time.

    Their vectors, [window, dimension] as the store would hold them, and whether their samples are all zeros.
    """
    rate, grid = store.settings.frontend.sample_rate, replace(window_grid(store.settings), only_first=False)
    count = None if math.isinf(length_s) else round(length_s * rate)
    channel = choose_channel(store.settings)
    blocks = decode_blocks(path, sample_rate=rate, channel=channel, first=round(start_s * rate), count=count)
    windows = grid.split(blocks)
    while some := [window.samples for window in islice(windows, _WINDOWS_AT_ONCE)]:
        samples = np.stack(some)
        yield embed_samples(model, samples, store.settings)[:, 0], not samples.any()


def _spell_uris(path: StoragePath, store: FeatureStore) -> tuple[str, ...]:
    """What a clip table may call a recording, as the store's clips call theirs."""
    root = find_clip_root(store)
    if is_local(path) != is_local(root):
        return (str(absolute_path(path)),)
    whole = absolute_path(path)
    spelt = [str(path), str(whole)]
    if is_local(whole) and is_local(root):
        spelt.append(Path(os.path.relpath(whole, root)).as_posix())
    elif str(whole).startswith(f"{root}/"):
        spelt.append(str(whole)[len(f"{root}/") :])
    return tuple(dict.fromkeys(uri for uri in spelt if resolve_uri(uri, root) == whole))


def _mean(vectors: npt.NDArray[np.floating], what: str) -> npt.NDArray[np.float64]:
    """The mean direction of vectors, float64 [dimension], of length 1; those without a direction do not count."""
    wide = vectors.astype(np.float64)
    length = np.sqrt(np.square(wide).sum(axis=1, keepdims=True))
    has_one = np.isfinite(length[:, 0]) & (length[:, 0] > 0)
    if not has_one.any():
        raise UsageError(
            f"{what} has an embedding of zeros, or one that is not finite, which is like nothing; "
            "expected a sound that the model tells from silence"
        )
    mean = (wide[has_one] / length[has_one]).mean(axis=0)
    norm = float(np.sqrt(np.square(mean).sum()))
    if norm < 1e-9:
        raise UsageError(f"{what}: the directions cancel out, so nothing is like all of them; give fewer examples")
    return mean / norm
