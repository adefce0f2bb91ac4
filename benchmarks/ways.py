"""Ways through the same clips, one function each that opens it: what people write, beside hubbub, and two limits.

A way is opened once, with its processes started, and then goes through any number of clip tables. What it needs and
is not installed is named (`Missing`); the other ways go on without it.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

from recordings import paths_of

from hubbub.clips.table import ClipTable, write_table
from hubbub.config import Settings
from hubbub.engine import Engine
from hubbub.store.opening import open_store

SETTINGS = Settings()
SAMPLE_RATE, N_FFT, HOP_SAMPLES, N_MELS = 22050, 2048, 512, 128
"""What every way computes; hubbub's defaults, and librosa's."""

_BATCH_MOST = 16  # clips sent to a process at once, so that sending costs nothing
_ONE_THREAD = {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1}


class Missing(Exception):
    """A way needs what is not installed; says what, and what to type."""


@dataclass(frozen=True)
class Way:
    """One way through the clips.

    Attributes
    ----------
    name
        Its row in the tables.
    run
        Goes through the clips of a table; returns how many were done.
    note
        What one should know of it, beside its figures.
    """

    name: str
    run: Callable[[ClipTable], int]
    note: str


def store_with_hubbub(table: ClipTable, engine: Engine, store_path: Path, settings: Settings = SETTINGS) -> int:
    """Do what `hubbub features` does with a new store; return how many clips the store then holds."""
    from hubbub.audio.windows import window_grid
    from hubbub.planning.plan import plan_features
    from hubbub.planning.sizes import choose_layout, count_windows
    from hubbub.store.opening import create_store
    from hubbub.store.rows import row_schema
    from hubbub.tasks.extract import ExtractTask

    windows = count_windows(table.rows, window_grid(settings), settings.frontend.sample_rate)
    settings = choose_layout(settings, int(windows.sum()))
    plan = plan_features(table, settings)
    store = create_store(store_path, settings, source="benchmark", root=table.root)
    store.grow(plan.n_shards, clips=plan.clips)
    for _ in engine.run(ExtractTask(store, table.root, row_schema(table.rows.schema)), plan.units()):
        pass
    return plan_features(table, settings, store.progress(), store.committed()).done


def transform_with_hubbub(path: Path) -> int:
    """Decode and transform one clip as hubbub does, and keep nothing; return the number of values."""
    from hubbub.audio.decode import decode_blocks
    from hubbub.audio.frontends import compute_features
    from hubbub.audio.windows import split_windows, window_grid

    grid = window_grid(SETTINGS)
    audio = decode_blocks(path, sample_rate=SAMPLE_RATE, count=grid.window)
    return sum(compute_features(window.samples, SETTINGS).size for window in split_windows(audio, grid))


def decode_with_hubbub(path: Path) -> int:
    """Decode and resample one clip as hubbub does; return the number of samples."""
    from hubbub.audio.decode import load_audio
    from hubbub.audio.windows import window_grid

    return len(load_audio(path, sample_rate=SAMPLE_RATE, count=window_grid(SETTINGS).window))


def extract_with_librosa(path: Path) -> tuple[int, ...]:
    """Do what a notebook does with one clip; return the shape."""
    import librosa

    samples, rate = librosa.load(path, sr=SAMPLE_RATE)
    return librosa.power_to_db(librosa.feature.melspectrogram(y=samples, sr=rate)).shape


def extract_with_torchaudio(path: Path) -> tuple[int, ...]:
    """Do the same with torchaudio's transforms; soundfile reads, as torchaudio itself reads no files any more."""
    import soundfile
    import torch

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    with torch.inference_mode():
        return tuple(_torchaudio_transform(rate)(torch.from_numpy(samples).mean(dim=1)).shape)


@lru_cache
def _torchaudio_transform(rate: int) -> Any:
    import torch
    from torchaudio import transforms

    mel = transforms.MelSpectrogram(SAMPLE_RATE, N_FFT, hop_length=HOP_SAMPLES, n_mels=N_MELS)
    return torch.nn.Sequential(transforms.Resample(rate, SAMPLE_RATE), mel, transforms.AmplitudeToDB("power", 80.0))


@contextmanager
def hubbub_way(workers: int, scratch: Path) -> Iterator[Way]:
    """Offer hubbub on a local cluster that runs as long as the context."""
    from hubbub.engine.cluster import open_engine

    stores = (scratch / f"store-{number}" for number in itertools.count())
    with open_engine("local", workers) as engine:
        yield Way(
            "hubbub, stored",
            lambda table: store_with_hubbub(table, engine, next(stores)),
            "what `hubbub features` does with a clip table: plan, decode, transform, write and commit every shard",
        )


@contextmanager
def command_way(workers: int, scratch: Path) -> Iterator[Way]:
    """Offer the command as it is typed, in a process of its own: Python, imports, cluster, all of it every time."""
    names = (scratch / f"command-{number}" for number in itertools.count())

    def run(table: ClipTable) -> int:
        store = next(names)
        clips = store.with_suffix(".parquet")
        write_table(table, clips)
        command = [Path(sys.executable).with_name("hubbub"), "features", clips, "-o", store, "--workers", str(workers)]
        subprocess.run(command, check=True, capture_output=True)
        return len(open_store(store).rows())

    yield Way("hubbub features, start-up included", run, "the command in a process of its own, as it is typed")


@contextmanager
def one_worker_way(workers: int, scratch: Path) -> Iterator[Way]:
    """Offer hubbub on a local cluster of one worker, whatever the others have."""
    with hubbub_way(1, scratch / "one-worker") as way:
        yield replace(way, name="hubbub, one worker", note="the same with one worker process, whatever the others have")


@contextmanager
def joblib_way(workers: int, scratch: Path) -> Iterator[Way]:
    """Offer joblib over librosa, in processes that joblib keeps."""
    from joblib import Parallel, delayed

    def run(table: ClipTable) -> int:
        return len(list(parallel(delayed(extract_with_librosa)(path) for path in paths_of(table))))

    with Parallel(n_jobs=workers) as parallel:
        yield Way("joblib and librosa", run, "load, melspectrogram, power_to_db; nothing stored, shapes sent back")


@contextmanager
def dask_bag_way(workers: int, scratch: Path) -> Iterator[Way]:
    """Offer dask.bag over librosa, as people write it."""
    import dask.bag

    def run(table: ClipTable) -> int:
        bag = dask.bag.from_sequence(paths_of(table), npartitions=4 * workers).map(extract_with_librosa)
        return len(bag.compute(scheduler="processes", num_workers=workers))

    yield Way("dask.bag and librosa", run, "the same; its processes start, and import librosa, anew at every compute")


@contextmanager
def tensorflow_way(workers: int, scratch: Path) -> Iterator[Way]:
    """Offer tf.signal in a tf.data map, in threads of this process."""
    import librosa

    try:
        import tensorflow as tf
    except ImportError:
        raise Missing("TensorFlow is not installed (pip install 'hubbub[cpu]')") from None

    tf.config.threading.set_intra_op_parallelism_threads(workers)
    tf.config.threading.set_inter_op_parallelism_threads(workers)
    tf.config.set_visible_devices([], "GPU")  # the same cores for all
    weights = tf.signal.linear_to_mel_weight_matrix(N_MELS, N_FFT // 2 + 1, SAMPLE_RATE, 0.0, SAMPLE_RATE / 2)

    def load_audio(path: bytes) -> Any:
        return librosa.load(path.decode(), sr=SAMPLE_RATE)[0]

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def extract(path: Any) -> Any:
        samples = tf.ensure_shape(tf.numpy_function(load_audio, [path], tf.float32), [None])
        power = tf.square(tf.abs(tf.signal.stft(samples, N_FFT, HOP_SAMPLES, pad_end=True)))
        return tf.math.log(tf.maximum(tf.matmul(power, weights), 1e-10)) * (10.0 / 2.302585)

    def run(table: ClipTable) -> int:
        paths = tf.data.Dataset.from_tensor_slices([str(path) for path in paths_of(table)])
        options = tf.data.Options()
        options.threading.private_threadpool_size = workers
        return sum(1 for _ in paths.map(extract, num_parallel_calls=workers).with_options(options))

    yield Way(
        "tf.signal in tf.data", run, "librosa loads, TensorFlow transforms, in threads of one process; not stored"
    )


@contextmanager
def torchaudio_way(workers: int, scratch: Path) -> Iterator[Way]:
    """Offer torchaudio's transforms in a pool of processes."""
    try:
        import torchaudio  # noqa: F401
    except (ImportError, OSError) as error:  # a build for CUDA beside a torch without it
        raise Missing(f"torchaudio cannot be imported ({error}); pip install torchaudio") from None

    with pool_of(workers, _ONE_THREAD) as pool:
        run = partial(_run_in_pool, pool, workers, extract_with_torchaudio)
        yield Way("torchaudio", run, "soundfile reads; Resample, MelSpectrogram, AmplitudeToDB; nothing stored")


@contextmanager
def lhotse_way(workers: int, scratch: Path) -> Iterator[Way]:
    """Offer lhotse's own filter bank, stored with its own writer."""
    from concurrent.futures import ProcessPoolExecutor

    try:
        from lhotse import CutSet, Fbank, FbankConfig, NumpyFilesWriter, Recording
    except (ImportError, OSError) as error:
        raise Missing(f"lhotse cannot be imported ({error}); pip install lhotse torch urllib3") from None

    shape = {"frame_length": N_FFT / SAMPLE_RATE, "frame_shift": HOP_SAMPLES / SAMPLE_RATE, "num_filters": N_MELS}
    extractor = Fbank(FbankConfig(sampling_rate=SAMPLE_RATE, **shape))
    stores = (scratch / f"lhotse-{number}" for number in itertools.count())

    def run(table: ClipTable) -> int:
        cuts = CutSet.from_cuts(
            Recording.from_file(path, recording_id=str(number)).resample(SAMPLE_RATE).to_cut()
            for number, path in enumerate(paths_of(table))
        )
        return sum(split_windows.has_features for split_windows in store(cuts.to_eager(), storage_path=next(stores)))

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_one_torch_thread) as executor:
        store = partial(
            CutSet.compute_and_store_features,
            extractor=extractor,
            num_jobs=workers,
            executor=executor,
            storage_type=NumpyFilesWriter,
            progress_bar=False,
        )
        yield Way(
            "lhotse, stored", run, "Recording.resample and Fbank, a .npy file a clip; headers are read in the run"
        )


def _one_torch_thread() -> None:
    import torch

    torch.set_num_threads(1)


@contextmanager
def bare_way(workers: int, scratch: Path) -> Iterator[Way]:
    """Offer hubbub's decoding and transform in a bare loop: to which Dask, Zarr and the row parts add."""
    with pool_of(workers, worker_environment()) as pool:
        run = partial(_run_in_pool, pool, workers, transform_with_hubbub)
        yield Way("hubbub, a bare loop", run, "its decoding and transform in a pool of processes; nothing stored")


@contextmanager
def decoding_way(workers: int, scratch: Path) -> Iterator[Way]:
    """Offer hubbub's decoding and resampling alone."""
    with pool_of(workers, worker_environment()) as pool:
        run = partial(_run_in_pool, pool, workers, decode_with_hubbub)
        yield Way("decoding alone", run, "and resampling: what no frontend can be faster than")


WAYS: Mapping[str, Callable[[int, Path], AbstractContextManager[Way]]] = {
    "hubbub": hubbub_way,
    "command": command_way,
    "hubbub-one": one_worker_way,
    "joblib": joblib_way,
    "dask-bag": dask_bag_way,
    "tensorflow": tensorflow_way,
    "torchaudio": torchaudio_way,
    "lhotse": lhotse_way,
    "bare": bare_way,
    "decoding": decoding_way,
}
"""What opens each way, given the number of processes and a folder to write to."""


def worker_environment() -> dict[str, int]:
    """The environment that hubbub's workers run in: glibc's way with memory there makes half of a clip's time."""
    from hubbub.engine.clients import WORKER_ENVIRONMENT

    return WORKER_ENVIRONMENT


@contextmanager
def pool_of(workers: int, variables: Mapping[str, int]) -> Iterator[Pool]:
    """Start processes with these environment variables; they end with the context."""
    with environment(variables):
        pool = multiprocessing.get_context("spawn").Pool(workers)
    with pool:
        yield pool


@contextmanager
def environment(variables: Mapping[str, int]) -> Iterator[None]:
    """Set environment variables, for processes that start within."""
    kept = dict(os.environ)
    os.environ.update({name: str(value) for name, value in variables.items()})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def _run_in_pool(pool: Pool, workers: int, function: Callable[[Path], Any], table: ClipTable) -> int:
    paths = paths_of(table)
    batch = max(1, min(_BATCH_MOST, len(paths) // (8 * workers)))
    return len(list(pool.imap_unordered(function, paths, chunksize=batch)))
