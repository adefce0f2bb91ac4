"""The same rows in several formats, and a way of reading each as shuffled float32 batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from recordings import index, paths_of

from hubbub.clips.table import CLIP_SCHEMA, clip_id
from hubbub.config import Layout, Settings
from hubbub.store.features import FeatureStore
from hubbub.store.opening import create_store
from hubbub.store.rows import checksum, row_schema

BATCH_ROWS = 128
"""Rows a batch, in every way."""

BUFFER_ROWS = 1024
"""Rows that are shuffled together, in every way that is not shuffled whole."""

FILE_ROWS, CHUNK_ROWS = 256, 32
"""Rows a shard, or a file; and rows that are compressed together."""

GAIN_DB = 6.0
"""How far the level of a row may be moved from its recording's."""


@dataclass(frozen=True)
class Files:
    """Where the rows lie."""

    folder: Path
    store: FeatureStore
    n_rows: int

    @property
    def shape(self) -> tuple[int, int]:
        """Frames and bands of a row."""
        return self.store.n_frames, self.store.n_bands


def compute_features(clips: Path) -> np.ndarray:
    """Run hubbub's default frontend over recordings, one window each: float32 [clip, frame, band], dB."""
    from hubbub.audio.decode import load_audio
    from hubbub.audio.frontends import get_frontend
    from hubbub.audio.windows import window_grid

    settings = Settings()
    frontend, length = get_frontend(settings.frontend), window_grid(settings).window
    rows = []
    for path in paths_of(index(clips)):
        samples = load_audio(path, sample_rate=settings.frontend.sample_rate)
        rows.append(frontend(np.resize(samples, length).astype(np.float32)))
    return np.stack(rows)


def write_all(folder: Path, recorded: np.ndarray, n_rows: int) -> Files:
    """Write `n_rows` rows, recordings moved in time and level, in every format."""
    import h5py
    import tensorflow as tf

    layout = Layout(rows_per_shard=FILE_ROWS, rows_per_chunk=CHUNK_ROWS)
    store = create_store(folder / "store", Settings(layout=layout), source="a benchmark")
    n_shards = -(-n_rows // FILE_ROWS)
    store.grow(n_shards)
    rng, shape = np.random.default_rng(0), recorded.shape[1:]
    memory = np.lib.format.open_memmap(folder / "rows.npy", "w+", np.float16, (n_rows, *shape))
    with h5py.File(folder / "rows.h5", "w") as file:
        chunks = (min(CHUNK_ROWS, n_rows), *shape)
        hdf5 = file.create_dataset("rows", (n_rows, *shape), "float16", chunks=chunks, compression="lzf", shuffle=True)
        for shard in range(n_shards):
            span = slice(shard * FILE_ROWS, min((shard + 1) * FILE_ROWS, n_rows))
            values = _drawn(recorded, span.stop - span.start, rng)
            _write_shard(store, shard, values)
            memory[span] = hdf5[span] = values
            with tf.io.TFRecordWriter(str(folder / f"{shard:05d}.tfrecord")) as records:
                for row in values:
                    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[row.tobytes()]))
                    example = tf.train.Example(features=tf.train.Features(feature={"features": feature}))
                    records.write(example.SerializeToString())
    memory.flush()
    return Files(folder, store, n_rows)


def _drawn(recorded: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    which, by = rng.integers(len(recorded), size=count), rng.integers(recorded.shape[1], size=count)
    moved = np.stack([np.roll(recorded[clip], frames, axis=0) for clip, frames in zip(which, by, strict=True)])
    return (moved + rng.uniform(-GAIN_DB, GAIN_DB, (count, 1, 1))).astype(np.float16)


def _write_shard(store: FeatureStore, shard: int, values: np.ndarray) -> None:
    whole = np.full((FILE_ROWS, *values.shape[1:]), np.nan, values.dtype)
    whole[: len(values)] = values
    schema = row_schema(pa.schema([*CLIP_SCHEMA]))
    said = {"window": 0, "windows": 1, "channel": "mix", "variant": 0, "policy_rule": "", "start_s": 0.0}
    said |= {"valid_frames": store.n_frames, "status": "ok", "attempts": 1, "version": "1", "labels": ["x"]}
    lines = []
    for place, row in enumerate(values):
        number = shard * FILE_ROWS + place
        uri = f"{number}.wav"
        lines.append(said | {"row": number, "clip_id": clip_id(uri), "uri": uri, "crc32": checksum(row)})
    table = [{name: line.get(name) for name in schema.names} for line in lines]
    store.write_shard(shard, whole, pa.Table.from_pylist(table, schema=schema))


def _hubbub(files: Files) -> Callable[[int], Any]:
    from hubbub.learn.buffers import Buffers
    from hubbub.learn.tf_data import as_tf_data

    buffers = Buffers()
    return lambda epoch: as_tf_data(pass_of(files, epoch), buffers=buffers)


def _hubbub_budget(files: Files) -> Callable[[int], Any]:
    from hubbub.learn.buffers import Buffers
    from hubbub.learn.tf_data import as_tf_data

    buffers, tenth = Buffers(), files.n_rows * files.shape[0] * files.shape[1] * 2 // 10
    return lambda epoch: as_tf_data(pass_of(files, epoch, memory_bytes=tenth), buffers=buffers)


def _hubbub_kept(files: Files) -> Callable[[int], Any]:
    from hubbub.learn.buffers import Buffers
    from hubbub.learn.stretches import KeptRows
    from hubbub.learn.tf_data import as_tf_data

    buffers, kept = Buffers(), KeptRows()
    return lambda epoch: as_tf_data(pass_of(files, epoch, kept=kept), buffers=buffers)


def pass_of(files: Files, epoch: int, **options: Any) -> Any:
    """Hubbub's order of one epoch."""
    from hubbub.learn.dataset import Pass

    rows = np.arange(files.n_rows)
    return Pass(files.store, rows, rows, BATCH_ROWS, seed=1, epoch=epoch, **options)


def _records(files: Files, epoch: int) -> Any:
    """Serialised examples, files and rows shuffled."""
    import tensorflow as tf

    names = sorted(str(path) for path in files.folder.glob("*.tfrecord"))
    shuffled = tf.data.Dataset.from_tensor_slices(names).shuffle(len(names), seed=epoch)
    records = shuffled.interleave(tf.data.TFRecordDataset, cycle_length=4, num_parallel_calls=tf.data.AUTOTUNE)
    return records.shuffle(BUFFER_ROWS, seed=epoch)


def _tfrecord(files: Files) -> Callable[[int], Any]:
    import tensorflow as tf

    def parse(record: Any) -> Any:
        row = tf.io.parse_single_example(record, {"features": tf.io.FixedLenFeature([], tf.string)})["features"]
        return tf.cast(tf.reshape(tf.io.decode_raw(row, tf.float16), files.shape), tf.float32)

    def make(epoch: int) -> Any:
        rows = _records(files, epoch).map(parse, num_parallel_calls=tf.data.AUTOTUNE)
        return rows.batch(BATCH_ROWS).prefetch(tf.data.AUTOTUNE)

    return make


def _tfrecord_batched(files: Files) -> Callable[[int], Any]:
    import tensorflow as tf

    def parse(records: Any) -> Any:
        rows = tf.io.parse_example(records, {"features": tf.io.FixedLenFeature([], tf.string)})["features"]
        return tf.cast(tf.reshape(tf.io.decode_raw(rows, tf.float16), (-1, *files.shape)), tf.float32)

    def make(epoch: int) -> Any:
        batches = _records(files, epoch).batch(BATCH_ROWS).map(parse, num_parallel_calls=tf.data.AUTOTUNE)
        return batches.prefetch(tf.data.AUTOTUNE)

    return make


def _memory_map(files: Files) -> Callable[[int], Any]:
    import tensorflow as tf

    rows = np.load(files.folder / "rows.npy", mmap_mode="r")

    def make(epoch: int) -> Any:
        order = np.random.default_rng(epoch).permutation(files.n_rows)
        batches = tf.data.Dataset.from_tensor_slices(order).batch(BATCH_ROWS)
        read = batches.map(lambda chosen: _numpy(lambda numbers: rows[numbers], chosen, files), num_parallel_calls=2)
        return read.map(lambda values: tf.cast(values, tf.float32), num_parallel_calls=2).prefetch(2)

    return make


def _numpy(call: Callable[[Any], np.ndarray], argument: Any, files: Files) -> Any:
    import tensorflow as tf

    values = tf.numpy_function(call, [argument], tf.float16, stateful=False)
    return tf.ensure_shape(values, (None, *files.shape))


def _by_shards(files: Files, read: Callable[[slice], np.ndarray], epoch: int) -> Any:
    """Whole shards through `numpy_function`, a few shuffled together in the graph."""
    import tensorflow as tf

    def whole(shard: Any) -> np.ndarray:
        return read(slice(int(shard) * FILE_ROWS, min((int(shard) + 1) * FILE_ROWS, files.n_rows)))

    shards = tf.data.Dataset.range(-(-files.n_rows // FILE_ROWS)).shuffle(10_000, seed=epoch)
    read_shards = shards.map(lambda shard: _numpy(whole, shard, files), num_parallel_calls=2)
    mixed = read_shards.rebatch(BUFFER_ROWS).map(lambda values: tf.random.shuffle(values, seed=epoch))
    batches = mixed.rebatch(BATCH_ROWS)
    return batches.map(lambda values: tf.cast(values, tf.float32), num_parallel_calls=2).prefetch(2)


def _hdf5(files: Files) -> Callable[[int], Any]:
    import h5py

    rows = h5py.File(files.folder / "rows.h5", "r")["rows"]
    return lambda epoch: _by_shards(files, lambda span: rows[span], epoch)


def _zarr(files: Files) -> Callable[[int], Any]:
    import zarr

    rows = zarr.open_array(str(files.store.path / "features.zarr" / "features"), mode="r", zarr_format=3)
    return lambda epoch: _by_shards(files, lambda span: np.asarray(rows[span]), epoch)


WAYS: dict[str, tuple[str, Callable[[Files], Callable[[int], Any]]]] = {
    "hubbub": ("hubbub's loader, shuffled whole", _hubbub),
    "hubbub-tenth": ("hubbub's loader, a tenth in memory", _hubbub_budget),
    "hubbub-kept": ("hubbub's loader, kept from epoch to epoch", _hubbub_kept),
    "tfrecord": ("TFRecord, an example at a time", _tfrecord),
    "tfrecord-batch": ("TFRecord, decoded a batch at a time", _tfrecord_batched),
    "hdf5": ("HDF5 with lzf, 256 rows a read", _hdf5),
    "memmap": ("a memory map, uncompressed", _memory_map),
    "zarr": ("zarr-python, whole shards", _zarr),
}
"""Each way by its short name: what it is, and what makes its dataset of an epoch."""


def batches_of(dataset: Any) -> Iterator[Any]:
    """Features of each batch."""
    for batch in dataset:
        yield batch[0] if isinstance(batch, tuple) else batch
