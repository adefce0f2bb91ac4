"""How fast `hubbub label` is with a detector, beside decoding alone and what tutorials do, and in how much memory.

    python benchmarks/label.py BUNDLE [--clips FOLDER] [--check]

Three archives: short clips (`--clips`, else ones that are made), ten-minute FLAC recordings at 44.1 kHz, two hours in
all, and one recording of six hours. Workers are started, and have labelled a file, before anything is timed. The ways
take turns, and the table has medians over rounds:

- hubbub: decode, features, network, events, tables;
- decoding: decode and resample to the model's rate, as many processes, nothing else;
- model: ONNX Runtime alone on features that are there, one process, times the workers;
- tutorials: `librosa.load`, a mel spectrogram a window of 5 s every second, `model.predict`; a file at a time.

`--rounds 1 --hours 0.2` is a first try.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile
from arguments import positive
from high_water import peak_bytes
from table import print_table

import hubbub
from hubbub.audio import decode
from hubbub.audio.frontends import compute_stream
from hubbub.audio.noise import make_noise
from hubbub.models.bundle import load_bundle
from hubbub.models.stream import StreamLayout

RATE = 44_100
OF_DECODING, OF_DECODING_CLIPS = 0.40, 0.25
TIMES_TUTORIALS = 20.0
TIMES_REAL_TIME = 2000.0
MOST_MB = 1200.0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="hubbub label: speed beside decoding alone and tutorials, memory.")
    parser.add_argument("bundle", type=Path, help="a detector: hubbub train STORE --model detector -o BUNDLE")
    parser.add_argument("--clips", type=Path, help="a folder of short clips; default: 400 of 5 s are made")
    parser.add_argument("--workers", type=positive, default=2)
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--hours", type=float, default=6.0, help="of the long recording")
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    return parser.parse_args()


def write_recording(path: Path, seconds: float, seed: int) -> None:
    """Write noise with bursts, a minute at a time: nothing that compresses to nothing."""
    rng = np.random.default_rng(seed)
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        for begin in range(0, round(seconds), 60):
            length = round(min(60.0, seconds - begin) * RATE)
            minute = 0.03 * make_noise(rng, length, RATE)
            at = int(rng.integers(0, max(1, length - RATE)))
            minute[at : at + RATE] *= 8
            file.write(minute.clip(-1, 1))


def decode_file(task: tuple[str, int]) -> int:
    """Decode and resample a file; return its samples."""
    path, rate = task
    return sum(len(block) for block in decode.decode_blocks(Path(path), sample_rate=rate, channel=None))


def label_as_tutorials_do(files: list[Path], bundle_path: Path) -> None:
    """Load with librosa, cut windows, transform each, predict."""
    import librosa

    model = load_bundle(bundle_path, runtime="keras")
    for path in files:
        samples, rate = librosa.load(path, sr=22_050)
        window = 5 * rate
        starts = range(0, max(1, len(samples) - window + 1), rate)
        rows = []
        for start in starts:
            piece = np.pad(samples[start : start + window], (0, max(0, window - len(samples[start : start + window]))))
            mel = librosa.feature.melspectrogram(y=piece, sr=rate, n_fft=2048, hop_length=512, n_mels=128)
            rows.append(librosa.power_to_db(mel).T)
        model._model.predict(np.stack(rows)[:, :216], verbose=0)


def time_model(bundle_path: Path, seconds: float) -> float:
    """Seconds that the network alone takes for so much sound, one thread."""
    bundle = load_bundle(bundle_path)
    layout = StreamLayout.of(bundle.settings, bundle.require_frames())
    rate = bundle.settings.frontend.sample_rate
    samples = make_noise(np.random.default_rng(0), layout.block * layout.hop_samples, rate)
    block = compute_stream(samples, bundle.settings)[: layout.block].astype(np.float32)
    bundle.score_block(block)
    blocks = max(2, round(seconds / (layout.core * layout.hop_samples / rate)))
    few = min(blocks, 20)
    started = time.perf_counter()
    for _ in range(few):
        bundle.score_block(block)
    return (time.perf_counter() - started) * blocks / few


def measure(
    name: str,
    files: list[Path],
    arguments: argparse.Namespace,
    client: object,
    pool: ProcessPoolExecutor,
    scratch: Path,
) -> dict[str, float]:
    """Time all ways on one archive; seconds, and the audio's."""
    rate = load_bundle(arguments.bundle).settings.frontend.sample_rate
    audio_s = sum(soundfile.info(str(path)).duration for path in files)
    ways: dict[str, Callable[[int], object]] = {
        "hubbub": lambda turn: hubbub.label(
            files[0].parent, arguments.bundle, scratch / f"{name}-{turn}", client=client
        ),
        "decoding": lambda turn: list(pool.map(decode_file, [(str(path), rate) for path in files], chunksize=4)),
    }
    if len(files) == 1:  # whole, in one process: as good as it can be spread
        ways["decoding"] = lambda turn: list(pool.map(decode_part, split_file(files[0], rate, arguments.workers)))
    times: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(arguments.rounds):
        for way, run in ways.items():
            started = time.perf_counter()
            run(turn)
            times[way].append(time.perf_counter() - started)
    found = {way: float(np.median(took)) for way, took in times.items()}
    found["ratio"] = float(np.median(np.array(times["decoding"]) / np.array(times["hubbub"])))
    found["model"] = time_model(arguments.bundle, audio_s) / arguments.workers
    few = files[: 20 if len(files) > 20 else 1]
    if soundfile.info(str(few[0])).duration < 1000:
        label_as_tutorials_do(few[:1], arguments.bundle)  # graphs are traced
        started = time.perf_counter()
        label_as_tutorials_do(few, arguments.bundle)
        took = time.perf_counter() - started
        found["tutorials"] = took * audio_s / sum(soundfile.info(str(path)).duration for path in few)
    return found | {"audio_s": audio_s}


def split_file(path: Path, rate: int, parts: int) -> list[tuple[str, int, int, int]]:
    """Equal stretches of a recording."""
    samples = int(soundfile.info(str(path)).duration * rate)
    edges = np.linspace(0, samples, 8 * parts + 1).astype(int).tolist()
    return [(str(path), rate, begin, end - begin) for begin, end in zip(edges[:-1], edges[1:], strict=True)]


def decode_part(task: tuple[str, int, int, int]) -> int:
    """Decode and resample a stretch of a file."""
    path, rate, first, count = task
    blocks = decode.decode_blocks(Path(path), sample_rate=rate, channel=None, first=first, count=count)
    return sum(len(block) for block in blocks)


def main() -> int:
    """Run the command."""
    from distributed import Client, LocalCluster

    arguments = parse()
    with tempfile.TemporaryDirectory(prefix="hubbub-benchmark-") as folder:
        scratch = Path(folder)
        archives = {"clips": scratch / "clips", "10-minute files": scratch / "ten", "one long file": scratch / "long"}
        for path in archives.values():
            path.mkdir()
        if arguments.clips is None:
            for number in range(400):
                write_recording(archives["clips"] / f"{number:03d}.flac", 5.0, number)
        for number in range(12):
            write_recording(archives["10-minute files"] / f"{number:02d}.flac", 600.0, number)
        write_recording(archives["one long file"] / "long.flac", arguments.hours * 3600, 99)
        with (
            LocalCluster(
                n_workers=arguments.workers, threads_per_worker=1, dashboard_address=None, silence_logs=50
            ) as cluster,
            Client(cluster) as client,
            ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn")) as pool,
        ):
            list(pool.map(decode_file, [(str(archives["10-minute files"] / "00.flac"), 22_050)] * arguments.workers))
            hubbub.label(archives["10-minute files"] / "00.flac", arguments.bundle, scratch / "warm", client=client)
            rows, peaks, found = [], {}, {}
            for name, path in archives.items():
                files = sorted(
                    file for file in (arguments.clips if name == "clips" and arguments.clips else path).iterdir()
                    if file.suffix in (".flac", ".ogg", ".wav", ".mp3")
                )  # fmt: skip
                found[name] = measure(name.replace(" ", "-"), files, arguments, client, pool, scratch)
                processes = client.run(lambda: __import__("os").getpid()).values()
                peaks[name] = max(map(peak_bytes, processes)) / 1e6
    for name, took in found.items():
        rows.append(
            (
                name,
                f"{took['audio_s'] / 3600:.2f}",
                *(f"{took[way]:.2f}" if way in took else "–" for way in ("hubbub", "decoding", "model", "tutorials")),
                f"{took['audio_s'] / took['hubbub']:.0f}",
                f"{took['ratio']:.2f}",
                f"{took['tutorials'] / took['hubbub']:.1f}" if "tutorials" in took else "–",
                f"{peaks[name]:.0f}",
            )
        )
    header = (
        "",
        "h of audio",
        "hubbub s",
        "decoding s",
        "model s",
        "tutorials s",
        "x real time",
        "of decoding",
        "x tutorials",
    )
    print_table(f"Labelling, {arguments.workers} workers, medians of {arguments.rounds}", (*header, "peak MB"), rows)
    ten, clips = found["10-minute files"], found["clips"]
    targets = [
        ("10-minute files: times real time", TIMES_REAL_TIME, ten["audio_s"] / ten["hubbub"]),
        ("10-minute files: of decoding alone", OF_DECODING, ten["ratio"]),
        ("10-minute files: times the tutorials' way", TIMES_TUTORIALS, ten["tutorials"] / ten["hubbub"]),
        ("clips: of decoding alone", OF_DECODING_CLIPS, clips["ratio"]),
    ]
    judged = [(what, f">= {wanted:g}", f"{value:.2f}", value >= wanted) for what, wanted, value in targets]
    judged.append(
        ("peak MB of a worker", f"< {MOST_MB:g}", f"{max(peaks.values()):.0f}", max(peaks.values()) < MOST_MB)
    )
    print_table("Targets", ("", "wanted", "found", ""), [(*row[:3], "met" if row[3] else "MISSED") for row in judged])
    return 1 if arguments.check and not all(row[3] for row in judged) else 0


if __name__ == "__main__":
    sys.exit(main())
