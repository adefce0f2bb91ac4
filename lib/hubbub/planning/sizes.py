"""Sizes that a plan needs before anything starts: windows a clip, rows a shard, bytes a row, bytes a task."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hubbub.audio.decode import BLOCK_VALUES
from hubbub.audio.frontends import n_frames
from hubbub.audio.windows import WindowGrid, window_grid
from hubbub.config import Settings

_SHARDS_WANTED = 16  # so that a small set still spreads over workers
_ROWS_LEAST, _ROWS_MOST = 16, 128  # a unit of 16 five-second clips takes 0.13 s, some fifty times Dask's own cost
_EMBEDDINGS_MOST = 1024  # are 4 MB where they have 1,024 values: a search reads a million in a thousand files
_INNER_BANDS = 128  # of mel, where a frontend makes its values from them
MAX_CACHED_BYTES = 16 * 2**20  # of windows of one clip that a worker keeps for its variants
_SHARD_BYTES = 32 * 2**20  # uncompressed; the default's 128 rows of 5 s are 7 MB


def choose_layout(settings: Settings, n_windows: int) -> Settings:
    """Settings with the layout chosen where it was left open: 16 equal shards, of no less than 16 and 128 rows at most.

    Sixteen units are dealt evenly to 1, 2, 4, 8 and 16 workers. A shard is whole chunks, so larger ones are rounded up;
    rows of many bands or of long windows are fewer, that a worker may hold them and a bucket take them at once.
    Embeddings are small, and up to 1024 in a shard.
    """
    if settings.layout.rows_per_shard is not None:
        return settings
    enough = _EMBEDDINGS_MOST if settings.frontend.name == "embedding" else _ROWS_MOST
    chunk, most = settings.layout.rows_per_chunk, max(1, min(enough, _SHARD_BYTES // row_bytes(settings)))
    rows = min(most, max(_ROWS_LEAST, -(-n_windows // _SHARDS_WANTED)))
    if rows > chunk:
        rows = min(-(-rows // chunk), max(1, most // chunk)) * chunk
    return settings.model_copy(update={"layout": settings.layout.model_copy(update={"rows_per_shard": rows})})


def row_bytes(settings: Settings) -> int:
    """Bytes of one row of a store, before compression."""
    frames = n_frames(settings.frontend, window_grid(settings).window)
    return frames * settings.frontend.n_bands * np.dtype(settings.dtype).itemsize


def count_windows(clips: pa.Table, grid: WindowGrid, rate: int) -> npt.NDArray[np.int64]:
    """Windows each clip is planned to have, int64 [clip]: by its segment and its header; 1 where nothing is known."""
    frame = clips.select(["start_s", "end_s", "duration_s"]).to_pandas().astype(float)
    end_s = np.fmin(frame["end_s"].fillna(np.inf), frame["duration_s"].fillna(np.inf))
    samples = np.round((end_s - frame["start_s"].fillna(0.0)) * rate)
    return np.maximum(1, _count_windows_of_lengths(np.where(np.isfinite(samples), samples, 1).astype(np.int64), grid))


def estimate_peak_bytes(settings: Settings) -> int:
    """The most memory one task takes, beyond what a worker takes to start.

    Three times the shard (the rows, as chunks, and compressed), a block as decoded, mixed and resampled (4 bytes a
    value each), a window's samples four times (cut, padded twice, and transformed), and its features twice, with the
    mel bands that some are made from. Where there are variants, a window's samples five times more, and those that
    are kept for them.
    """
    frontend, rows = settings.frontend, settings.layout.rows_per_shard or _ROWS_MOST
    window, itemsize = window_grid(settings).window, np.dtype(frontend.precision).itemsize
    transform = (4 * window + 2 * n_frames(frontend, window) * (frontend.n_bands + _INNER_BANDS)) * itemsize
    varied = 5 * 4 * window + MAX_CACHED_BYTES if settings.variants is not None else 0
    return 3 * rows * row_bytes(settings) + 3 * 4 * BLOCK_VALUES + transform + varied


def _count_windows_of_lengths(samples: npt.NDArray[np.int64], grid: WindowGrid) -> npt.NDArray[np.int64]:
    unique, inverse = np.unique(samples, return_inverse=True)
    return np.array([grid.count(int(n)) for n in unique], np.int64)[inverse]
