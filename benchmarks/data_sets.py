"""Make small data sets of other shapes than ESC-10, on which `default` has to be good as well.

    python benchmarks/data_sets.py digits FOLDER            spoken digits: ten labels, ten voices (needs espeak-ng)
    python benchmarks/data_sets.py tones FOLDER             tones and chirps in noise: six labels, 8 kHz, one second
    python benchmarks/data_sets.py few FOLDER --esc10 DIR   two labels of ESC-10, 50 clips against 10
    python benchmarks/data_sets.py folders FOLDER --esc10 DIR    ESC-10 with a folder a label

Each set is the same whenever it is made. All but `folders` come with a `clips.csv`, sorted by label, whose groups never
lie on two sides of a split; `hubbub index` reads them with the command that is printed at the end.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

Clip = tuple[str, str, str]
"""File name, label, group."""

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
VOICES = (
    *("en-us", "en-gb-scotland", "en-029", "en+f2", "en+f4"),
    *("en+m3", "en+m7", "en+klatt2", "en+whisper", "en+Andrea"),
)
"""Voices of espeak-ng, one a group. Its variants (`+f2`) apply to `en` only: with `en-gb` they say the same bytes."""

TAKES = 8
"""Recordings of each digit by each voice, which differ in speed, pitch and level."""

TONES = ("steady", "rising", "falling", "pulsed", "trill", "clicks")
TONES_RATE, TONES_GROUPS, TONES_EACH = 8000, 10, 6


def make_digits(folder: Path, esc10: Path) -> Iterator[Clip]:
    """Digits spoken by synthetic voices, each said `TAKES` times in another way."""
    speak = shutil.which("espeak-ng")
    if speak is None:
        raise SystemExit("espeak-ng is missing; on Debian and Ubuntu: apt install espeak-ng")
    rng = np.random.default_rng(0)
    for digit in DIGITS:
        for voice in VOICES:
            for take in range(TAKES):
                name = f"{digit}/{voice.replace('+', '-')}-{take}.wav"
                (folder / digit).mkdir(parents=True, exist_ok=True)
                said = ["-v", voice, "-s", str(rng.integers(120, 220)), "-p", str(rng.integers(20, 80))]
                said += ["-a", str(rng.integers(40, 160)), "-w", str(folder / name), digit]
                subprocess.run([speak, *said], check=True)
                yield name, digit, voice


def make_tones(folder: Path, esc10: Path) -> Iterator[Clip]:
    """One second of a sound of a kind, of random pitch and level, in noise 0 to 20 dB below it."""
    rng = np.random.default_rng(0)
    seconds = np.arange(TONES_RATE) / TONES_RATE
    for kind in TONES:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for group in range(TONES_GROUPS):
            for take in range(TONES_EACH):
                low, wide = rng.uniform(300, 1200), rng.uniform(1.5, 2.5)
                hz = {"rising": low * wide**seconds, "falling": low * wide ** (1 - seconds)}.get(
                    kind, low + 0 * seconds
                )
                if kind == "trill":
                    hz = low * np.where(np.sin(2 * np.pi * rng.uniform(4, 9) * seconds) > 0, wide, 1)
                sound = np.sin(2 * np.pi * np.cumsum(hz) / TONES_RATE + rng.uniform(0, 6))
                if kind == "pulsed":
                    sound *= np.sin(2 * np.pi * rng.uniform(4, 9) * seconds + rng.uniform(0, 6)) > 0
                if kind == "clicks":
                    sound = np.zeros(TONES_RATE)
                    sound[rng.integers(0, 200) :: rng.integers(400, 1200)] = 20.0
                noise = rng.standard_normal(TONES_RATE) * 10 ** (-rng.uniform(0, 20) / 20) * np.sqrt(np.mean(sound**2))
                mixed = (sound + noise) * 10 ** (rng.uniform(-30, -6) / 20)
                name = f"{kind}/{group:02d}-{take}.wav"
                soundfile.write(folder / name, np.clip(mixed, -1, 1), TONES_RATE)
                yield name, kind, f"group {group:02d}"


def make_few(folder: Path, esc10: Path) -> Iterator[Clip]:
    """Fifty clips of water (rain, sea waves) and ten of a chainsaw; groups are the source recordings."""
    for label, wanted in (("rain", 40), ("sea_waves", 10), ("chainsaw", 10)):
        for row in [row for row in read_esc10(esc10) if row["category"] == label][:wanted]:
            name = f"{'water' if label != 'chainsaw' else label}/{row['filename']}"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(esc10 / "audio" / row["filename"], folder / name)
            yield name, name.partition("/")[0], row["src_file"]


def make_folders(folder: Path, esc10: Path) -> Iterator[Clip]:
    """ESC-10 with a folder a label; groups are the source recordings."""
    for row in sorted(read_esc10(esc10), key=lambda row: (row["category"], row["filename"])):
        name = f"{row['category']}/{row['filename']}"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(esc10 / "audio" / row["filename"], folder / name)
        yield name, row["category"], row["src_file"]


def read_esc10(folder: Path) -> list[dict[str, str]]:
    """Rows of its table: filename, fold, category, src_file."""
    try:
        with open(folder / "esc10.csv", newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise SystemExit(f"{folder / 'esc10.csv'} does not exist; give the folder of ESC-10: --esc10 DIR") from None


@dataclass(frozen=True)
class DataSet:
    """How a set is made, and settings of features that fit it."""

    make: Callable[[Path, Path], Iterator[Clip]]
    settings: tuple[str, ...] = ()


SETS = {
    "digits": DataSet(make_digits, ("windows.duration_s=1", "frontend.sample_rate=16000")),
    "tones": DataSet(make_tones, ("windows.duration_s=1", "frontend.sample_rate=8000", "frontend.n_fft=512")),
    "few": DataSet(make_few),
    "folders": DataSet(make_folders),
}


def write_set(name: str, folder: Path, esc10: Path) -> int:
    """Make a set in a new folder; return the number of clips."""
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder} holds something already; give a new folder, or delete it")
    folder.mkdir(parents=True, exist_ok=True)
    clips = list(SETS[name].make(folder, esc10))
    with open(folder / "clips.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "label", "group"))
        writer.writerows(clips)
    return len(clips)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Make a small data set.")
    parser.add_argument("set", choices=SETS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--esc10", type=Path, default=Path("../shared/esc10"), help="folder of ESC-10")
    arguments = parser.parse_args()
    folder = arguments.folder
    print(f"{write_set(arguments.set, folder, arguments.esc10)} clips in {folder}; now")
    columns = "--format csv --path-column file --label-column label --group-column group"
    print(f"  hubbub index {folder}/clips.csv {columns} -o {folder}/clips.parquet")
    settings = "".join(f" --set {one}" for one in SETS[arguments.set].settings)
    print(f"  hubbub features {folder}/clips.parquet -o {folder}/store{settings}")
    print(f"  hubbub crossval {folder}/store -o {folder}/crossval --folds 5 --seeds 3")
    return 0


if __name__ == "__main__":
    sys.exit(main())
