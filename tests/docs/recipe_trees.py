"""Small data sets of the shapes that the pages in docs/recipes are about; the same seed gives the same recordings.

    python tests/docs/recipe_trees.py urban-sounds FOLDER

Sounds are synthesised: each class is of another kind (tone, sweep, clicks, bursts of noise), at random pitch, level and
background, so that a small network can tell them apart within a few epochs.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

Samples = npt.NDArray[np.float64]

URBAN = {"dog_bark": "bursts", "drilling": "clicks", "siren": "sweep", "street_music": "chord"}
"""Classes of urban sounds -> kinds of synthesised sound."""

HEARTS = {"artifact": "noise", "extrahls": "chord", "murmur": "sweep", "normal": "clicks"}
"""Classes of the heart sounds challenge -> kinds."""

IMAGES = {"crow": "bursts", "rain": "noise", "siren": "sweep"}
"""Classes of the set of ESC-50's shape -> kinds."""


def synthesise(kind: str, rng: np.random.Generator, *, rate_hz: int, duration_s: float = 1.0) -> Samples:
    """Make a sound of a kind: float64 [sample], peak 0.1 to 0.6, over pink noise about 25 dB below it."""
    at_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    sound = _KINDS[kind](at_s, rng)
    sound *= rng.uniform(0.2, 0.6) / np.abs(sound).max()
    return sound + _make_background(len(at_s), rng) * np.sqrt(np.mean(sound**2)) * rng.uniform(0.02, 0.1)


def _make_sweep(at_s: Samples, rng: np.random.Generator) -> Samples:
    """A tone that wails up and down."""
    low_hz, ratio, wails_hz = rng.uniform(500, 900), rng.uniform(1.6, 2.4), rng.uniform(0.8, 1.6)
    pitch_hz = low_hz * ratio ** (0.5 - 0.5 * np.cos(2 * np.pi * (wails_hz * at_s + rng.uniform())))
    return np.sin(2 * np.pi * np.cumsum(pitch_hz) * (at_s[1] - at_s[0]))


def _make_clicks(at_s: Samples, rng: np.random.Generator) -> Samples:
    """Short decaying thuds at a steady pace."""
    pace_hz, pitch_hz = rng.uniform(9, 16), rng.uniform(90, 220)
    since_s = np.mod(at_s + rng.uniform(), 1 / pace_hz)
    return np.exp(-since_s * 80) * np.sin(2 * np.pi * pitch_hz * since_s + rng.uniform(0, 0.2))


def _make_bursts(at_s: Samples, rng: np.random.Generator) -> Samples:
    """Two to four short barks: noise around a falling pitch."""
    sound = np.zeros_like(at_s)
    for begin_s in np.sort(rng.uniform(0, at_s[-1] - 0.1, rng.integers(2, 5))):
        since_s = np.maximum(at_s - begin_s, 0)
        pitch_hz = rng.uniform(500, 900)
        tone = sum(np.sin(2 * np.pi * k * pitch_hz * since_s * (1 - since_s)) / k for k in range(1, 5))
        sound += np.exp(-since_s * 25) * (at_s >= begin_s) * (tone + rng.normal(0, 0.6, len(at_s)))
    return sound


def _make_chord(at_s: Samples, rng: np.random.Generator) -> Samples:
    """Three steady notes with overtones."""
    root_hz = rng.uniform(180, 360)
    notes_hz = [root_hz * ratio * k for ratio in (1, 1.26, 1.5) for k in (1, 2, 3)]
    return np.sum([np.sin(2 * np.pi * (hz * at_s + rng.uniform())) / hz for hz in notes_hz], axis=0)


def _make_noise(at_s: Samples, rng: np.random.Generator) -> Samples:
    """White noise that swells slowly."""
    return rng.normal(0, 1, len(at_s)) * (1 + 0.4 * np.sin(2 * np.pi * (rng.uniform(0.5, 1) * at_s + rng.uniform())))


def _make_background(n_samples: int, rng: np.random.Generator) -> Samples:
    """Noise with power falling as frequency rises, of mean square 1."""
    spectrum = np.fft.rfft(rng.normal(0, 1, n_samples))
    spectrum /= np.arange(1, len(spectrum) + 1) ** rng.uniform(0.3, 0.7)
    noise = np.fft.irfft(spectrum, n_samples)
    return noise / np.sqrt(np.mean(noise**2))


_KINDS: dict[str, Callable[[Samples, np.random.Generator], Samples]] = {
    "sweep": _make_sweep,
    "clicks": _make_clicks,
    "bursts": _make_bursts,
    "chord": _make_chord,
    "noise": _make_noise,
}


def _write(path: Path, samples: Samples, rate_hz: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate_hz)


def _write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([head, *rows])


def make_urban_sounds(out: Path, seed: int = 1) -> dict[str, str]:
    """Write ``urban-sounds/`` of the Kaggle shape, and ``site/``, recordings of cities to be put on a web server.

    Returns
    -------
    dict
        The classes of the test files by their numbers, which the tree does not tell; and of the archive's files by
        their names, the class that sounds in each.
    """
    rng, tree, truth = np.random.default_rng(seed), out / "urban-sounds", {}
    names = sorted(URBAN) * 16
    rng.shuffle(names)
    for number, name in enumerate(names):
        part = "Test" if number % 4 == 3 else "Train"
        samples = synthesise(URBAN[name], rng, rate_hz=22050, duration_s=rng.uniform(2.5, 4))
        _write(tree / part / f"{number}.wav", samples, 22050)
    numbered = list(enumerate(names))
    _write_csv(tree / "train.csv", ("ID", "Class"), [row for row in numbered if row[0] % 4 != 3])
    _write_csv(tree / "test.csv", ("ID",), [row[:1] for row in numbered if row[0] % 4 == 3])
    truth |= {str(number): name for number, name in numbered if number % 4 == 3}
    moods = [("berlin", "chaotic", "siren"), ("berlin", "calm", "street_music")]
    moods += [("lisbon", "chaotic", "drilling"), ("lisbon", "calm", "dog_bark")]
    for number, (city, mood, name) in enumerate(moods * 2):
        samples = [synthesise(URBAN[name], rng, rate_hz=22050, duration_s=4) for _ in range(3)]
        path = f"mp3s/{city}/{city}_{mood}_{number}.mp3"
        _write(out / "site" / path, np.concatenate(samples), 22050)
        truth[path] = name
    return truth


def make_images(out: Path, seed: int = 2) -> None:
    """Write ``sounds/`` of ESC-50's shape at 44,100 Hz: 3 classes, 5 folds, two slices of each source recording."""
    rng, rows = np.random.default_rng(seed), []
    for number in range(60):
        target, fold, source = number % 3, number // 6 % 5 + 1, 1000 + number // 6 * 3 + number % 3
        name = f"{fold}-{source}-{'AB'[number // 3 % 2]}-{target}.wav"
        label = sorted(IMAGES)[target]
        _write(out / "sounds/audio" / name, synthesise(IMAGES[label], rng, rate_hz=44100, duration_s=5), 44100)
        rows.append((name, fold, target, label, False, source, name[7]))
    _write_csv(
        out / "sounds/meta/esc50.csv", ("filename", "fold", "target", "category", "esc10", "src_file", "take"), rows
    )


def make_heart_sounds(out: Path, seed: int = 3) -> None:
    """Write ``heart-sounds/``: labels in names, two sets, lengths of 3 to 7 s, some files without a label."""
    rng = np.random.default_rng(seed)
    for number in range(64):
        label = sorted(HEARTS)[number % 4]
        duration_s = rng.uniform(3, 7)
        noise = "noisynormal" if label == "normal" and number % 8 == 3 else ""
        patient = 101 + number // 8 * 4 + number % 4  # two recordings each
        name = f"{label}_{noise}_{patient}_{1305030823364 + number}_{'AB'[number // 4 % 2]}.wav"
        if number < 32:
            name = f"{label}__2011010709{number:02d}.wav"
        folder = "set_a" if number < 32 else "set_b"
        samples = synthesise(HEARTS[label], rng, rate_hz=4000, duration_s=duration_s)
        _write(out / "heart-sounds" / folder / name, samples, 4000)
    for number in range(6):
        samples = synthesise(list(HEARTS.values())[number % 4], rng, rate_hz=4000, duration_s=4)
        name = f"Bunlabelledtest__{101 + number}_130503082336{number}_A.wav"
        _write(out / "heart-sounds/set_b" / name, samples, 4000)


def make_cats_and_dogs(out: Path, seed: int = 4) -> None:
    """Write ``cats_dogs/``: class folders in train/ and test/, named differently in each, and the CSV of the splits."""
    rng, columns = np.random.default_rng(seed), {}
    folders = {"train_cat": "train/cat", "train_dog": "train/dog", "test_cat": "test/cats", "test_dog": "test/dogs"}
    number = 0
    for column, folder in folders.items():
        columns[column] = []
        for _ in range(24 if "train" in column else 8):
            number += 1
            name = f"{column.partition('_')[2]}_{number}.wav"
            samples = synthesise("sweep" if "cat" in column else "bursts", rng, rate_hz=16000)
            _write(out / "cats_dogs" / folder / name, samples, 16000)
            columns[column].append(name)
    longest = max(map(len, columns.values()))
    rows = [[names[row] if row < len(names) else "" for names in columns.values()] for row in range(longest)]
    _write_csv(out / "train_test_split.csv", list(columns), rows)


def make_urbansound8k(out: Path, seed: int = 5) -> None:
    """Write ``UrbanSound8K/`` as downloaded: ten folds, stereo, classes of unequal size.

    A siren of fold 10 is labelled as music: a mistake for the model to make.
    """
    rng, rows = np.random.default_rng(seed), []
    head = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")
    for fold in range(1, 11):
        for class_id, label in enumerate(sorted(URBAN)):
            for take in range(1 if label == "drilling" else 2):
                fs_id = 100_000 + fold * 100 + class_id * 10 + take
                name = f"{fs_id}-{class_id}-0-{take}.wav"
                is_wrong = label == "street_music" and fold == 10 and take == 1
                sound = synthesise(URBAN["siren" if is_wrong else label], rng, rate_hz=22050, duration_s=4)
                sides = [sound * gain + _make_background(len(sound), rng) * 0.004 for gain in rng.uniform(0.3, 1, 2)]
                _write(out / f"UrbanSound8K/audio/fold{fold}" / name, np.stack(sides, axis=1), 22050)
                rows.append((name, fs_id, 0.0, 4.0, 1 + take, fold, class_id, label))
    _write_csv(out / "UrbanSound8K/metadata/UrbanSound8K.csv", head, rows)


TREES: dict[str, Callable[[Path], object]] = {
    "urban-sounds": make_urban_sounds,
    "log-mel-images": make_images,
    "heart-sounds": make_heart_sounds,
    "cats-and-dogs": make_cats_and_dogs,
    "urbansound8k": make_urbansound8k,
}
"""Trees by the name of the page that is about them."""


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in TREES:
        sys.exit(f"usage: recipe_trees.py NAME FOLDER, with a NAME of {', '.join(TREES)}")
    TREES[sys.argv[1]](Path(sys.argv[2]))
