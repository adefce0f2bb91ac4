"""What each frontend costs a clip beside librosa's own functions, and what its rows take in a store.

    python benchmarks/frontends.py [--clips FOLDER] [--rounds N]

Processor time in this one process and of one thread (BLAS would have others spin beside it), of windows that are
decoded already; the least of the rounds for each clip, and the mean of those. librosa's are the calls that the tests
compare with, at the same settings, except that its log-frequency spectrogram has no counterpart there: that is the
power spectrogram, and a product with a dense filter bank.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from recordings import default_clips, index
from table import print_table
from threadpoolctl import threadpool_limits

from hubbub.audio.decode import load_audio
from hubbub.audio.frontends import compute_features
from hubbub.clips.table import resolve_uri
from hubbub.config import Settings
from hubbub.config.frontends import FRONTENDS

RATE = 22050
CLIPS = 20
WINDOW = 5 * RATE


def librosa_ways() -> dict[str, Callable[[Any], Any]]:
    """Make what a notebook writes for each frontend, by its name."""
    import librosa

    y = {"sr": RATE}
    bank = np.random.default_rng(0).random((101, 1025), dtype=np.float32)
    feature, to_db = librosa.feature, librosa.power_to_db

    def mel(samples: Any, power: float = 2.0) -> Any:
        return feature.melspectrogram(y=samples, power=power, **y)

    def power(samples: Any) -> Any:
        return np.abs(librosa.stft(samples)) ** 2

    def mfcc(samples: Any) -> Any:
        mine = feature.mfcc(y=samples, **y)
        return np.concatenate([mine, feature.delta(mine), feature.delta(mine, order=2)])

    def descriptors(samples: Any) -> Any:
        with_rate = ("spectral_centroid", "spectral_bandwidth", "spectral_rolloff", "mfcc")
        parts = [getattr(feature, name)(y=samples, **y) for name in with_rate]
        parts += [feature.rms(y=samples), feature.zero_crossing_rate(samples)]
        return np.concatenate([*parts, feature.chroma_stft(y=samples, tuning=0.0, **y)])

    return {
        "log-mel": lambda samples: to_db(mel(samples)),
        "mel": mel,
        "stft-db": lambda samples: to_db(power(samples)),
        "log-frequency": lambda samples: to_db(bank @ power(samples)),
        "mfcc": mfcc,
        "chroma": lambda samples: feature.chroma_stft(y=samples, tuning=0.0, **y),
        "pcen": lambda samples: librosa.pcen(mel(samples, power=1.0) * 2**31, **y),
        "descriptors": descriptors,
    }


def windows(folder: Path) -> list[np.ndarray]:
    """Decode the first window of some clips, spread over the folder."""
    table = index(folder, None)
    uris = table.rows["uri"].to_pylist()
    chosen = uris[:: max(1, len(uris) // CLIPS)][:CLIPS]
    decoded = [load_audio(resolve_uri(uri, table.root), sample_rate=RATE, count=WINDOW) for uri in chosen]
    return [np.pad(samples, (0, WINDOW - len(samples))) for samples in decoded]


def clip_ms(transform: Callable[[Any], Any], clips: list[np.ndarray], rounds: int) -> float:
    """Mean over the clips of the least processor time that one took, in milliseconds."""
    transform(clips[0])  # what is built once
    best = np.full(len(clips), np.inf)
    for _ in range(rounds):
        for position, samples in enumerate(clips):
            started = time.process_time_ns()
            transform(samples)
            best[position] = min(best[position], time.process_time_ns() - started)
    return float(best.mean() / 1e6)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="What each frontend costs beside librosa's own functions.")
    parser.add_argument("--clips", type=Path, default=default_clips(), help="recordings, or a CSV and audio/")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    with threadpool_limits(1):
        rows = measured(windows(arguments.clips), arguments.rounds)
    header = ("frontend", "ms a clip", "librosa ms", "times as fast", "bands", "kB a row")
    print_table(f"{CLIPS} windows of 5 s at 22,050 Hz, one thread, decoded already", header, rows)


def measured(clips: list[np.ndarray], rounds: int) -> list[tuple[str, ...]]:
    """Go through all frontends that compute something; returns the rows of the table."""
    librosa_way, rows = librosa_ways(), []
    for name in librosa_way:
        settings = Settings(frontend=FRONTENDS[name]())  # type: ignore[arg-type]
        features = compute_features(clips[0], settings)
        ours = clip_ms(lambda samples, settings=settings: compute_features(samples, settings), clips, rounds)
        theirs = clip_ms(librosa_way[name], clips, rounds)
        size = f"{features.nbytes / 1000:.1f}"
        rows.append((name, f"{ours:.2f}", f"{theirs:.2f}", f"{theirs / ours:.1f}", str(features.shape[1]), size))
    return rows


if __name__ == "__main__":
    main()
