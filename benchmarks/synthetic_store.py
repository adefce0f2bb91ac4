"""Feature stores of noise, for benchmarks that read rows and no audio; they have no row parts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hubbub.config import Settings


def write_noise(folder: Path, n_rows: int, settings: Settings) -> None:
    """Write a store whose shards all hold the same noise of -40 dB, with a spread of 9 dB."""
    from hubbub.io.atomic import write_bytes
    from hubbub.store import arrays
    from hubbub.store.opening import create_store

    shard_rows = settings.layout.rows_per_shard
    store = create_store(folder, settings, source="a benchmark")
    n_shards = -(-n_rows // shard_rows)
    store.grow(n_shards)
    document = (store.array_path / arrays.DOCUMENT).read_bytes()
    shape = (shard_rows, store.n_frames, store.n_bands)
    shard = arrays.encode_shard(document, np.random.default_rng(0).normal(-40, 9, shape).astype(np.float16))
    for number in range(n_shards):
        write_bytes(store.array_path / arrays.shard_key(number), shard)
