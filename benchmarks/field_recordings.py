"""Make recordings without events of any class, in the manner of a city: quiet stretches, voices, traffic.

``python benchmarks/field_recordings.py CLIPS -o FOLDER --fold 1`` cuts the stretches between the events of a fold's
clips, lets espeak-ng speak (which must be installed), and makes traffic of noise that swells as cars pass. They are
stand-ins: what a model does over them is not what it does in your city, but it is no coloured noise either.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import numpy as np
import soundfile

from hubbub.audio import decode
from hubbub.audio.noise import make_noise
from hubbub.audio.soundscape import find_stretches
from hubbub.clips.table import read_table, resolve_uri
from hubbub.io.paths import parse_path

RATE = 44_100
SHORTEST_S, LEAST_DB = 1.0, -75.0
TEXTS = (
    "The next train to the airport leaves from platform four in twelve minutes",
    "I told him that the market would close early but he went there all the same",
    "Please keep your belongings with you and mind the gap between train and platform",
    "We could meet on Thursday after work if the weather holds and nobody is ill",
)
VOICES = ("en-gb", "en-us", "en-gb-scotland", "en-us+f3", "en-gb+m3", "en-gb+f2", "en-us+m5", "en-gb+whisper")


def write_quiet_stretches(clips: Path, folder: Path, fold: int) -> int:
    """Write what lies between the events of a fold's clips, where it is no digital silence; return how many."""
    table, count = read_table(parse_path(str(clips))), 0
    for row in table.rows.to_pylist():
        if row["fold"] != fold:
            continue
        samples = decode.load_audio(resolve_uri(row["uri"], table.root), sample_rate=RATE)
        ends = [0, *(edge for span in find_stretches(samples, RATE) for edge in span), len(samples)]
        for begin, end in zip(ends[::2], ends[1::2], strict=True):
            quiet = samples[begin + RATE // 10 : end - RATE // 10]
            if len(quiet) < SHORTEST_S * RATE:
                continue
            level_db = 10 * np.log10(np.mean(np.square(quiet, dtype=np.float64)) + 1e-12)
            if level_db > LEAST_DB:
                soundfile.write(folder / f"quiet-{count:03d}.flac", quiet / np.abs(quiet).max() / 2, RATE)
                count += 1
    return count


def write_voices(folder: Path, rng: np.random.Generator, count: int) -> None:
    """Let voices speak, softly, with pauses, over faint noise."""
    for number in range(count):
        parts = []
        for _ in range(6):
            spoken = folder / "spoken.wav"
            voice, text = VOICES[int(rng.integers(len(VOICES)))], TEXTS[int(rng.integers(len(TEXTS)))]
            speed, pitch = int(rng.integers(120, 200)), int(rng.integers(20, 80))
            command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "-w", str(spoken), text]
            subprocess.run(command, check=True, capture_output=True)
            samples = decode.load_audio(spoken, sample_rate=RATE)
            spoken.unlink()
            parts += [samples, np.zeros(int(rng.uniform(0.2, 2.5) * RATE), np.float32)]
        voice = np.concatenate(parts)
        voice = voice / np.abs(voice).max() / 2 + 0.003 * make_noise(rng, len(voice), RATE)
        soundfile.write(folder / f"voices-{number:03d}.flac", voice, RATE)


def write_traffic(folder: Path, rng: np.random.Generator, count: int, duration_s: float = 60.0) -> None:
    """Low noise that swells by 5 to 20 dB as cars pass, each with an engine's tones."""
    length = round(duration_s * RATE)
    time_s = np.arange(length) / RATE
    for number in range(count):
        street = 0.1 * make_noise(rng, length, RATE, varied=False)
        for _ in range(int(rng.integers(4, 14))):
            at_s, width_s = rng.uniform(0, duration_s), rng.uniform(0.8, 4.0)
            swell = np.exp(-0.5 * ((time_s - at_s) / width_s) ** 2)
            tyres = np.convolve(make_noise(rng, length, RATE, varied=True), np.ones(24) / 24, mode="same")
            speed = 1 - 0.03 * np.tanh((time_s - at_s) / width_s)  # the pitch falls as a car goes by
            phase = 2 * np.pi * np.cumsum(rng.uniform(25, 70) * speed) / RATE
            engine = sum(np.sin(order * phase) / order for order in range(1, 9))
            street = street + swell * (rng.uniform(0.1, 0.8) * tyres + rng.uniform(0, 0.2) * engine)
        soundfile.write(folder / f"traffic-{number:03d}.flac", street / np.abs(street).max() / 2, RATE)


def main() -> None:
    """Write the recordings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--fold", type=int, required=True)
    parser.add_argument("--voices", type=int, default=8)
    parser.add_argument("--traffic", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(given.seed)
    quiet = write_quiet_stretches(given.clips, given.output, given.fold)
    write_voices(given.output, rng, given.voices)
    write_traffic(given.output, rng, given.traffic)
    print(f"{quiet} quiet stretches, {given.voices} of voices, {given.traffic} of traffic")


if __name__ == "__main__":
    main()
