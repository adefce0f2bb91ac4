"""Small archives of real sounds, good and bad."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.browser import open_chromium
from tests.jobs.command import succeed

BAD_FILES = {
    "cat/nan.wav": "NonFiniteAudio: the sample at 0.023 s is nan",
    "cat/nothing.wav": "DecodeError: nothing.wav is not audio that can be decoded",
    "cat/text.wav": "DecodeError: text.wav is not audio that can be decoded",
    "dog/zero-length.wav": "EmptyAudio: zero-length.wav holds no samples",
}
"""Files of `bad_archive` that fail, with the beginning of the reason."""


@pytest.fixture(scope="session")
def archive(esc10_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class a sub-folder, three real clips each."""
    folder = tmp_path_factory.mktemp("archive")
    fill(folder, esc10_mini)
    return folder


@pytest.fixture(scope="session")
def bad_archive(esc10_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with files among them that are broken in many ways, and a clip shorter than a window."""
    folder = tmp_path_factory.mktemp("bad-archive")
    fill(folder, esc10_mini)
    nan = np.zeros(22_050, np.float32)
    nan[512] = np.nan
    soundfile.write(folder / "cat" / "nan.wav", nan, 22_050, subtype="FLOAT")
    soundfile.write(folder / "dog" / "zero-length.wav", np.zeros(0, np.float32), 22_050)
    soundfile.write(folder / "dog" / "short.wav", np.full(1000, 0.1, np.float32), 22_050)
    (folder / "cat" / "text.wav").write_text("no sound at all")
    (folder / "cat" / "nothing.wav").touch()
    return folder


def fill(folder: Path, esc10_mini: Path) -> None:
    files = sorted((esc10_mini / "audio").iterdir())
    for name, chosen in (("dog", files[:3]), ("cat", files[50:53])):
        (folder / name).mkdir()
        for file in chosen:
            shutil.copy(file, folder / name)


@pytest.fixture(scope="session")
def clips(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip table of `archive`."""
    path = tmp_path_factory.mktemp("clips") / "clips.parquet"
    succeed("index", archive, "-o", path)
    return path


@pytest.fixture(scope="session")
def store(clips: Path) -> Path:
    """A store of `archive`, which tests only read."""
    path = clips.with_name("store")
    succeed("features", clips, "-o", path, "--cluster", "serial")
    return path


@pytest.fixture(scope="session")
def bundle(store: Path) -> Path:
    """A model hardly trained, which tests only read."""
    path = store.with_name("bundle")
    succeed("train", store, "-o", path, "--epochs", 1, "--model", "seed-cnn")
    return path


@pytest.fixture(scope="session")
def labels(archive: Path, bundle: Path) -> Path:
    """Label tables of `archive`, which tests only read."""
    path = bundle.with_name("labels")
    succeed("label", archive, "--model", bundle, "-o", path, "--cluster", "serial", "--hop", 2.5, "--threshold", "0.3")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, with what pages ask of it: sound without a click, and a microphone that beeps."""
    devices = ("use-fake-device-for-media-stream", "use-fake-ui-for-media-stream")
    with open_chromium([*devices, "autoplay-policy=no-user-gesture-required", "window-size=1280,1000"]) as opened:
        yield opened
