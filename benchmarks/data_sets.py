"""Make the small data sets of docs/accuracy.md, each by one command; the same seed gives the same recordings.

    python benchmarks/data_sets.py digits -o DIGITS
    python benchmarks/data_sets.py tones -o TONES
    python benchmarks/data_sets.py esc10 -o ESC10 --source FOLDER_OF_ESC10
    python benchmarks/data_sets.py imbalanced -o IMBALANCED

Each is a folder with a class a sub-folder, and ``clips.csv`` with the columns path, label, group and fold, sorted by
class: the worst order for a loader that shuffles little. `index_data_set` reads it.
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from hubbub.clips.table import ClipTable

Samples = npt.NDArray[np.floating]

MARK = "data-set.txt"
"""The file that says that a folder was made here, by which settings; other folders are never written to."""

CSV = "clips.csv"

FOLDS = 5
"""Folds of a set that has no official ones, by group."""

COLUMNS = {"path": "path", "label": "label", "group": "group", "fold": "fold"}
"""Columns of `CSV` by their roles."""

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

VOICES = (
    *("en+Andrea", "en+Demonic", "en+boris", "en+f1", "en+f4"),
    *("en+f5", "en+klatt2", "en+m2", "en+m8", "en+whisper"),
)
"""Variants of espeak-ng's English voice; each is a group. They apply to ``en`` alone: ``en-gb+f4`` says the same bytes
as ``en-gb``. These ten are so unlike each other that no word of one counts as a copy of another's (hubbub's leakage
check, which found that)."""

TAKES = 6
"""Clips a digit and voice, each of another speed and pitch."""

RATE_HZ = 8000
"""Sample rate of tones, in Hz."""

TONE_CLIPS, TONE_GROUPS = 100, 10
"""Clips a class, and groups, of tones."""

IMBALANCED_COUNTS = {"common": 50, "rare": 10}
"""Clips a class of the imbalanced set: 5 to 1."""

ESPEAK_MISSING = "espeak-ng is not installed, which speaks the digits; on Debian or Ubuntu: apt-get install espeak-ng"


class DataSetError(Exception):
    """A data set cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class Clip:
    """One recording of a data set."""

    label: str
    name: str
    group: str
    content: bytes
    fold: int | None = None
    """The official fold; None where the set has none."""


def speak_digits(seed: int, source: Path | None) -> Iterator[Clip]:
    """Speak ten digits in every voice, at several speeds (words a minute) and pitches (0 to 99)."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise DataSetError(ESPEAK_MISSING)
    rng = np.random.default_rng(seed)
    for digit in DIGITS:
        for voice in VOICES:
            for take in range(TAKES):
                speed, pitch = int(rng.integers(110, 220)), int(rng.integers(20, 80))
                command = [program, "-v", voice, "-s", str(speed), "-p", str(pitch), "-w", "/dev/stdout", digit]
                done = subprocess.run(command, capture_output=True)
                if done.returncode or not done.stdout:
                    raise DataSetError(f"espeak-ng cannot speak with the voice {voice}: {done.stderr.decode().strip()}")
                yield Clip(digit, f"{voice}-{take}.wav", voice, _repair_header(done.stdout))


def _repair_header(content: bytes) -> bytes:
    """Write a stream's WAV anew: espeak-ng cannot know its length when it writes the header of a pipe."""
    place = content.index(b"data") + 8
    rate_hz = int.from_bytes(content[24:28], "little")
    return encode_wav(np.frombuffer(content[place : len(content) // 2 * 2], "<i2") / 32768.0, rate_hz)


def make_tones(seed: int, source: Path | None) -> Iterator[Clip]:
    """Make six kinds of tone, each at random pitch, level and ratio to noise; a group is a colour of noise."""
    rng = np.random.default_rng(seed)
    slopes = rng.uniform(-1, 1, TONE_GROUPS)
    for label, make in sorted(TONES.items()):
        for number in range(TONE_CLIPS):
            group = number % TONE_GROUPS
            yield _in_noise(label, number, f"noise-{group}", make(rng), slopes[group], rng)


def make_imbalanced(seed: int, source: Path | None) -> Iterator[Clip]:
    """Make 50 rising chirps and 10 falling ones in noise: two classes, 5 to 1, in ten groups."""
    rng = np.random.default_rng(seed)
    slopes = rng.uniform(-1, 1, TONE_GROUPS)
    makers = {"common": _rising, "rare": _falling}
    for label, count in IMBALANCED_COUNTS.items():
        for number in range(count):
            group = number % TONE_GROUPS
            yield _in_noise(label, number, f"noise-{group}", makers[label](rng), slopes[group], rng)


def _in_noise(label: str, number: int, group: str, tone: Samples, slope: float, rng: np.random.Generator) -> Clip:
    """A tone at 5 to 25 dB over noise whose power falls with frequency to the power of `slope`, at -30 to -3 dB."""
    spectrum = np.fft.rfft(rng.standard_normal(RATE_HZ))
    noise = np.fft.irfft(spectrum * np.maximum(np.arange(len(spectrum)), 20.0) ** (-slope / 2), RATE_HZ)
    snr_db, level_db = rng.uniform(5, 25), rng.uniform(-30, -3)
    mixed = tone / tone.std() + noise / noise.std() * 10 ** (-snr_db / 20)
    return Clip(
        label, f"{number:03d}.wav", group, encode_wav(mixed / np.abs(mixed).max() * 10 ** (level_db / 20), RATE_HZ)
    )


def _seconds() -> Samples:
    return np.arange(RATE_HZ) / RATE_HZ


def _steady(rng: np.random.Generator) -> Samples:
    return np.sin(2 * np.pi * rng.uniform(300, 3000) * _seconds() + rng.uniform(0, 2 * np.pi))


def _rising(rng: np.random.Generator) -> Samples:
    low, high = rng.uniform(300, 1200), rng.uniform(1800, 3500)
    return np.sin(2 * np.pi * (low * _seconds() + (high - low) * _seconds() ** 2 / 2))


def _falling(rng: np.random.Generator) -> Samples:
    return _rising(rng)[::-1].copy()


def _modulated(rng: np.random.Generator) -> Samples:
    # Slower than a frame of the default frontend is long (2,048 samples at 22,050 Hz, 93 ms): it blurs faster ones.
    return _steady(rng) * (1 + np.sin(2 * np.pi * rng.uniform(2, 6) * _seconds() + rng.uniform(0, 2 * np.pi))) / 2


def _two_tones(rng: np.random.Generator) -> Samples:
    low = rng.uniform(300, 1500)
    return np.sin(2 * np.pi * low * _seconds()) + np.sin(2 * np.pi * low * rng.uniform(1.5, 2.2) * _seconds())


def _clicks(rng: np.random.Generator) -> Samples:
    clicks = np.zeros(RATE_HZ)
    every = int(RATE_HZ / rng.uniform(4, 12))
    clicks[rng.integers(every) :: every] = 1.0
    decay = np.exp(-np.arange(80) / 12) * np.sin(2 * np.pi * rng.uniform(800, 3000) * np.arange(80) / RATE_HZ)
    return np.convolve(clicks, decay)[:RATE_HZ]


TONES: dict[str, Callable[[np.random.Generator], Samples]] = {
    "amplitude_modulated": _modulated,
    "clicks": _clicks,
    "falling_chirp": _falling,
    "rising_chirp": _rising,
    "steady_tone": _steady,
    "two_tones": _two_tones,
}
"""A function a class, that makes one second at `RATE_HZ`."""


def copy_esc10(seed: int, source: Path | None) -> Iterator[Clip]:
    """Lay ESC-10 out as a folder a class, with its own folds; a group is a source recording."""
    if source is None or not (source / "esc10.csv").is_file():
        raise DataSetError("esc10 needs --source FOLDER, the folder that holds esc10.csv and audio/")
    with (source / "esc10.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: (row["category"], row["filename"]))
    for row in rows:
        content = (source / "audio" / row["filename"]).read_bytes()
        yield Clip(row["category"], row["filename"], row["src_file"], content, int(row["fold"]))


DATA_SETS: dict[str, Callable[[int, Path | None], Iterator[Clip]]] = {
    "digits": speak_digits,
    "tones": make_tones,
    "esc10": copy_esc10,
    "imbalanced": make_imbalanced,
}


def encode_wav(samples: Samples, rate_hz: int) -> bytes:
    """Encode mono samples within -1 and 1 as a WAV of 16 bits."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format="WAV", subtype="PCM_16")
    return file.getvalue()


def make_data_set(name: str, out: Path, *, seed: int = 0, source: Path | None = None) -> Path:
    """Write a data set to a folder that is new or empty, and return its CSV; one that is there already stays.

    Raises
    ------
    DataSetError
        The folder holds something else, or a program or a source is missing.
    """
    said = f"{name}, seed {seed}\n"
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if out.is_dir() and (out / MARK).is_file() and (out / MARK).read_text() == said:
            return out / CSV
        raise DataSetError(f"{out} holds something else than the data set '{said.strip()}'; give a new folder with -o")
    clips = list(DATA_SETS[name](seed, source))
    folds = draw_folds(clips, seed)
    for clip in clips:
        path = out / clip.label / clip.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(clip.content)
    with (out / CSV).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "group", "fold"])
        writer.writerows(
            (f"{clip.label}/{clip.name}", clip.label, clip.group, fold) for clip, fold in zip(clips, folds, strict=True)
        )
    (out / MARK).write_text(said)  # last: what was broken off is no data set
    return out / CSV


def draw_folds(clips: list[Clip], seed: int) -> list[int]:
    """The official folds, or five by group with as even a share of every class as groups allow."""
    official = [clip.fold for clip in clips]
    if all(fold is not None for fold in official):
        return [fold for fold in official if fold is not None]
    from sklearn.model_selection import StratifiedGroupKFold

    labels, groups = [clip.label for clip in clips], [clip.group for clip in clips]
    folds = np.zeros(len(clips), dtype=int)
    split = StratifiedGroupKFold(n_splits=FOLDS, shuffle=True, random_state=seed).split(labels, labels, groups)
    for number, (_, test) in enumerate(split, start=1):
        folds[test] = number
    return [int(fold) for fold in folds]


def index_data_set(csv_path: Path) -> ClipTable:
    """List the clips of a data set, in the order of its CSV."""
    import hubbub

    return hubbub.index(csv_path, format="csv", columns=COLUMNS)


def main() -> None:
    """Make one data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(DATA_SETS), help="which data set")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a new folder, such as /tmp/tones")
    parser.add_argument("--seed", type=int, default=0, help="decides every random number")
    parser.add_argument("--source", type=Path, help="for esc10: the folder that holds esc10.csv and audio/")
    args = parser.parse_args()
    try:
        path = make_data_set(args.name, args.output, seed=args.seed, source=args.source)
    except DataSetError as error:
        sys.exit(f"error: {error}")
    with path.open() as file:
        n_clips = sum(1 for _ in file) - 1
    print(f"{path}: {n_clips} clips")
    columns = " ".join(f"--{role}-column {column}" for role, column in COLUMNS.items())
    print(f"next: hubbub index {path} -o clips.parquet {columns}")


if __name__ == "__main__":
    main()
