"""Write what hubbub keeps on disk, tiny: a clip table, a feature store, a model bundle, label tables.

    python tests/data/formats/make_formats.py FOLDER

`v1/` beside this script was written by it with the version whose formats are `hubbub-clips/1`, `hubbub-features/3`,
`hubbub-bundle/1` and `hubbub-labels/1`, and is never written again: it stands for what users have. When a format gets
a new number, run the script again and commit its output as the next folder, beside this one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path("/tmp/hubbub-formats")
"""Where the archive lies when the tables are written; their root."""

RATE_HZ = 8000
SETTINGS = (
    *("frontend.sample_rate=8000", "frontend.n_fft=512", "frontend.hop_samples=250", "frontend.n_mels=16"),
    *("windows.mode=all", "windows.duration_s=0.5", "layout.rows_per_shard=8", "layout.rows_per_chunk=4"),
)
LABELS = ("hiss", "hum", "ring")
MODIFIED_S = 1_600_000_000
"""When every file was changed last, as clip tables have it: a clip is known again by its size and that time."""


def write_archive(folder: Path) -> None:
    """Write five clips a class, one file that is no audio, and one recording of 5 s, each the same on any machine."""
    for number, label in enumerate(LABELS):
        for take in range(5):
            _write(folder / label / f"{label}-{take}.wav", _samples(label, 1.0, seed=10 * number + take))
    (folder / "hum" / "broken.wav").write_text("no audio")
    _write(folder / "ring" / "long.wav", np.concatenate([_samples(label, 2.0, seed=99) for label in LABELS])[:40_000])
    touch(folder)


def touch(folder: Path) -> None:
    """Give all files of an archive the same time of change."""
    for path in folder.rglob("*"):
        os.utime(path, (MODIFIED_S, MODIFIED_S))


def _write(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.round(samples * 20_000).astype(np.int16), RATE_HZ, subtype="PCM_16")


def _samples(label: str, duration_s: float, *, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time_s = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    tone = {"hiss": 0.0, "hum": 0.5, "ring": 0.5}[label] * np.sin(
        2 * np.pi * {"ring": 2000.0}.get(label, 120.0) * time_s
    )
    return tone + {"hiss": 0.3}.get(label, 0.02) * rng.uniform(-1, 1, len(time_s))


def make(out: Path) -> None:
    """Write `out`, as a user's commands do; what they print goes to stderr."""
    shutil.rmtree(ROOT, ignore_errors=True)
    write_archive(ROOT)
    out.mkdir(parents=True)
    clips, store, bundle, labels = (out / name for name in ("clips.parquet", "store", "bundle", "labels"))
    _hubbub("index", ROOT, "-o", clips)
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    _hubbub("features", clips, "-o", store, "--cluster", "serial", *settings, code=1)  # one clip fails
    _train(store, bundle)
    _hubbub("label", ROOT, "--model", bundle, "-o", labels, "--cluster", "serial", "--threshold", "hum=0.12", code=1)
    _forget_runs(out)
    _describe(out)
    shutil.rmtree(ROOT)


def _hubbub(*words: object, code: int = 0) -> None:
    command = Path(sys.executable).with_name("hubbub")
    done = subprocess.run([str(command), *map(str, words)], check=False, stdout=sys.stderr)
    assert done.returncode == code, done.returncode


def _train(store: Path, bundle: Path) -> None:
    """Train the default network, made narrow, so that its weights take kilobytes."""
    narrow = (
        "import sys; from hubbub.learn.networks import default; "
        "default.FILTERS, default.HEAD_FILTERS, default.MODULATION_UNITS = (2, 2, 2, 2), 4, 4; "
        "from hubbub.learn.train import train; from hubbub.store.opening import open_store; from pathlib import Path; "
        "train(open_store(sys.argv[1]), Path(sys.argv[2]), epochs=3)"
    )
    subprocess.run([sys.executable, "-c", narrow, str(store), str(bundle)], check=True, stdout=sys.stderr)


def _forget_runs(out: Path) -> None:
    """Remove run folders, locks and TensorBoard's logs, which nothing reads again."""
    for name in (".runs", ".claims", "logs", "checkpoints"):
        for folder in out.rglob(name):
            shutil.rmtree(folder)


def _describe(out: Path) -> None:
    """Note what a reader must find, as `expected.json`."""
    import hubbub
    from hubbub.labels.tables import open_labels
    from hubbub.models.bundle import load_bundle

    store, bundle, labels = hubbub.open_store(out / "store"), load_bundle(out / "bundle"), open_labels(out / "labels")
    rows = store.rows()
    values = store.read_rows(rows["row"].to_numpy())
    expected = {
        "rows": len(rows),
        "values_sum": float(values.astype(np.float64).sum()),
        "settings_hash": store.settings.hash,
        "model_hash": bundle.model_hash,
        "scores": bundle.predict(values[:4]).astype(float).round(6).tolist(),
        "files": len(labels.files()),
        "windows": len(labels.windows()),
        "events": json.loads(labels.events()[["uri", "label", "onset_s", "offset_s"]].to_json(orient="records")),
    }
    (out / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a new folder")
    make(parser.parse_args().folder)
