"""Hundreds of bad files among good ones: each ends as ok or as a failed row with its reason, and harms no other."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hubbub.clips.index import index_listing
from hubbub.clips.sources import Columns, list_source
from hubbub.clips.table import read_table
from hubbub.store.features import FeatureStore
from hubbub.store.opening import open_store
from tests.data import corrupt
from tests.jobs.command import hubbub, succeed

GOOD = 12
REASON = re.compile(r"[A-Z]\w+: \S.*", re.DOTALL)
"""What a failed row says: the error's class, then words."""

RUNS = {  # engine and windows: every window of a second, or the first of each clip
    "serial-all": ("--cluster", "serial", "--set", "windows.mode=all"),
    "serial-first": ("--cluster", "serial", "--set", "windows.mode=first"),
    "local-first": ("--cluster", "local", "--workers", 2, "--set", "windows.mode=first"),
}
SECOND = ("--set", "windows.duration_s=1")
SEAM_DB = 0.07
"""Two steps of float16 between 32 and 64 dB: what 1e-6 of difference in the samples may do to a feature."""

GROWTH_BYTES = 12 * 2**20
"""How much more memory two further runs over the whole set may leave: allocators keep some, a leak of one decoder a
file (about 100 KiB each, some 300 files that open, twice) would be 60 MiB."""


@pytest.fixture(scope="module")
def folder(esc10_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bad files, good ones among them, and a list of all, for a folder's reader passes over what is no file."""
    folder = tmp_path_factory.mktemp("corrupt")
    assert corrupt.make(folder) >= 300
    for path in sorted((esc10_mini / "audio").iterdir())[:GOOD]:
        shutil.copy(path, folder / f"good-{path.name}")
    names = sorted(os.listdir(folder)) + ["vanished.wav"]
    with open(folder / "list.csv", "w", newline="") as file:
        csv.writer(file).writerows([["name"], *([name] for name in names)])
    return folder


@pytest.fixture(scope="module")
def clips(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clips.parquet"
    said = quiet("index", folder / "list.csv", "-o", path, "--path-column", "name")
    assert "unreadable" in said or "cannot be read" in said or "not" in said
    return path


@pytest.fixture(scope="module", params=RUNS)
def store(request, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """The store of all of them, from each run."""
    path = tmp_path_factory.mktemp("store") / "store"
    quiet("features", clips, "-o", path, *SECOND, *RUNS[request.param])
    return open_store(path)


def quiet(*words: object) -> str:
    """Run a command that must end with 0 or 1, and show no traceback; returns what it printed."""
    done = hubbub(*words)
    said = done.stdout + done.stderr
    assert done.returncode in (0, 1), said
    assert "Traceback" not in said
    assert "Error ignored" not in said
    return said


def test_the_generator_makes_the_same_files_each_time(folder: Path, tmp_path: Path) -> None:
    corrupt.make(tmp_path)
    for path in tmp_path.iterdir():
        # Sizes, for some formats hold the time they were made at, and Ogg a random number.
        assert (folder / path.name).lstat().st_size == path.lstat().st_size or not path.is_file(), path


def test_the_library_indexes_all_of_them(folder: Path) -> None:
    listing = list_source(folder / "list.csv", None, Columns(path="name"))
    table, unreadable = index_listing(listing)
    assert len(table) == len(listing.clips) >= 300
    rows = table.rows.select(["uri", "duration_s", "sample_rate", "channels"]).to_pandas()
    known = rows.dropna()
    assert len(rows) - len(known) == len(unreadable)
    assert np.isfinite(known["duration_s"]).all()
    assert (known["duration_s"] >= 0).all()
    assert all(re.match(r"\S+: .+", line) for line in unreadable)


def test_each_clip_ends_as_ok_or_as_failed_with_its_reason(store: FeatureStore, clips: Path) -> None:
    table = read_table(clips)
    row_index = store.row_index()
    assert set(row_index["uri"]) == set(table.rows["uri"].to_pylist())
    failed = row_index[row_index["status"] == "failed"]
    ok = set(row_index["uri"][row_index["status"] == "ok"]) - set(failed["uri"])
    assert len(ok) + failed["uri"].nunique() == len(table)
    assert failed["error"].map(lambda reason: bool(REASON.fullmatch(reason))).all()
    assert 50 < failed["uri"].nunique() < len(table) - 50


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nothing.wav", "DecodeError: nothing.wav is not audio that can be decoded"),
        ("one-byte.wav", "DecodeError: one-byte.wav is not audio that can be decoded"),
        ("text.wav", "DecodeError: text.wav is not audio that can be decoded"),
        ("table.wav", "DecodeError: table.wav is not audio that can be decoded"),
        ("directory.wav", "DecodeError: directory.wav is no regular file"),
        ("fifo.wav", "DecodeError: fifo.wav is no regular file"),
        ("device.wav", "DecodeError: device.wav is no regular file"),
        ("socket.wav", "DecodeError: socket.wav cannot be opened"),
        ("dangling.wav", "DecodeError: dangling.wav cannot be opened (No such file or directory)"),
        ("vanished.wav", "DecodeError: vanished.wav cannot be opened (No such file or directory)"),
        ("playlist.m4a", "DecodeError: playlist.m4a is not audio that can be decoded"),
        ("0-hz.wav", "DecodeError: 0-hz.wav is not audio that can be decoded"),
        ("1-hz.wav", "DecodeError: 1-hz.wav states a sample rate of 1 Hz; expected 100 to 10000000"),
        ("65535-channels.wav", "DecodeError: 65535-channels.wav is not audio that can be decoded"),
        ("no-samples.wav", "EmptyAudio: no-samples.wav holds no samples"),
        ("all-nan.wav", "NonFiniteAudio: the sample at 0.000 s is nan"),
        ("one-nan.wav", "NonFiniteAudio: the sample at 0.907 s is nan"),
        ("huge.wav", "NonFiniteAudio: the sample at 0.000 s is 1e+30; expected 1e+10 at most"),
        ("infinite.wav", "NonFiniteAudio: the sample at 0.000 s is inf"),
        ("infinities-that-cancel.wav", "NonFiniteAudio: the sample at 0.000 s is nan"),
        ("cut-50.flac", "DecodeError: cut-50.flac breaks off after 0."),
    ],
)
def test_the_reason_says_what_was_wrong(store: FeatureStore, name: str, reason: str) -> None:
    errors = store.row_index().set_index("uri")["error"]
    assert errors[name].startswith(reason)


@pytest.mark.parametrize(
    ("name", "windows"),
    [  # windows of 1 s; the good sound is 1.2 s long
        *((f"{name}.wav", 1) for name in ("1-sample", "2-samples", "silence", "dc", "clipped", "32-channels")),
        *(("1-khz.wav", 2), ("384-khz.flac", 1), ("2-samples.flac", 1), ("2-samples.aiff", 1)),
        *((f"length-{length}.wav", 2) for length in ("0", "4-gib", "2-gib")),
        *((f"length-{length}.flac", 2) for length in ("0", "2-years")),
        *(("no-info.mp3", 2), ("twice.mp3", 3), ("wav-within.mp3", 2), ("mp3-within.wav", 2), ("m4a-within.ogg", 2)),
        *(("cut-50.wav", 1), ("cut-95.wav", 2), ("cut-50.aiff", 1), ("cut-50.mp3", 1)),
    ],
)
def test_what_can_be_heard_is_heard(store: FeatureStore, name: str, windows: int) -> None:
    rows = store.row_index().groupby("uri").get_group(name)
    expected = 1 if store.settings.windows.mode == "first" else windows
    assert rows["status"].tolist() == ["ok"] * expected, rows["error"].tolist()


def test_values_are_finite_and_verify_finds_nothing(store: FeatureStore, clips: Path) -> None:
    succeed("verify", store.path, "--clips", clips)
    assert np.isfinite(store.read_rows(store.rows()["row"].to_numpy(np.int64))).all()


def test_good_clips_among_bad_ones_have_the_values_they_have_alone(
    store: FeatureStore, folder: Path, tmp_path: Path
) -> None:
    """To the bit where a clip is one window; windows of one clip in two units agree to the decoder's seams."""
    alone = tmp_path / "alone"
    alone.mkdir()
    for path in folder.glob("good-*"):
        shutil.copy(path, alone)
    succeed("index", alone, "-o", tmp_path / "clips.parquet")
    mode = store.settings.windows.mode
    settings = (*SECOND, "--set", f"windows.mode={mode}", "--cluster", "serial")
    succeed("features", tmp_path / "clips.parquet", "-o", tmp_path / "store", *settings)
    assert_same_values(store, open_store(tmp_path / "store"))


def assert_same_values(store: FeatureStore, other: FeatureStore) -> None:
    """Each row of `other` has its like in `store`."""
    expected = other.rows().sort_values(["uri", "window"])
    rows = store.rows()
    rows = rows[rows["uri"].isin(set(expected["uri"]))].sort_values(["uri", "window"])
    assert expected["uri"].nunique() == GOOD
    for column in ("uri", "window", "start_s", "valid_frames"):
        assert rows[column].tolist() == expected[column].tolist()
    ours, theirs = (s.read_rows(r["row"].to_numpy(np.int64)) for s, r in ((store, rows), (other, expected)))
    tolerance_db = SEAM_DB if store.settings.windows.mode == "all" else 0
    np.testing.assert_allclose(ours.astype(np.float32), theirs.astype(np.float32), rtol=0, atol=tolerance_db)


@pytest.fixture
def three(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of three recordings, and its clip table."""
    archive = tmp_path / "archive"
    archive.mkdir()
    for name in "abc":
        soundfile.write(archive / f"{name}.wav", np.full(22_050, 0.1), 22_050)
    succeed("index", archive, "-o", tmp_path / "clips.parquet")
    return archive, tmp_path / "clips.parquet"


def errors_of(clips: Path, store: Path) -> dict[str, str]:
    quiet("features", clips, "-o", store, "--cluster", "serial")
    return open_store(store).row_index().set_index("uri")["error"].fillna("").to_dict()


def test_a_file_that_vanishes_after_it_was_indexed_is_a_failed_row(three: tuple[Path, Path], tmp_path: Path) -> None:
    archive, clips = three
    (archive / "b.wav").unlink()
    errors = errors_of(clips, tmp_path / "store")
    assert errors.pop("b.wav") == "DecodeError: b.wav cannot be opened (No such file or directory)"
    assert errors == {"a.wav": "", "c.wav": ""}


@pytest.mark.parametrize("change", ["longer", "as long, and later"])
def test_a_file_that_changes_after_it_was_indexed_is_a_failed_row(
    three: tuple[Path, Path], tmp_path: Path, change: str
) -> None:
    archive, clips = three
    path = archive / "b.wav"
    if change == "longer":
        soundfile.write(path, np.full(44_100, 0.2), 22_050)
    else:
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))
    errors = errors_of(clips, tmp_path / "store")
    assert errors.pop("b.wav") == "FileChanged: changed since it was indexed; index it again"
    assert errors == {"a.wav": "", "c.wav": ""}
    # Indexed again it is done, and nothing else is.
    succeed("index", archive, "-o", clips)
    assert "1 clip, 1 window" in succeed("features", clips, "-o", tmp_path / "store", "--cluster", "serial")


MEMORY = """
import sys
from pathlib import Path
import psutil
from hubbub.audio.decode import decode_blocks, read_audio_info
from hubbub.errors import AudioError

def go_through(folder):
    for path in sorted(folder.iterdir()):
        for use in (read_audio_info, lambda path: sum(map(len, decode_blocks(path, sample_rate=22050))), abandon):
            try:
                use(path)
            except AudioError:
                pass

def abandon(path):
    for block in decode_blocks(path, sample_rate=16000, first=100, count=10**6):
        return

folder, process = Path(sys.argv[1]), psutil.Process()
go_through(folder)
before, files = process.memory_info().rss, process.num_fds()
for _ in range(2):
    go_through(folder)
print(process.memory_info().rss - before, process.num_fds() - files)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_bad_files(folder: Path) -> None:
    """Probed, decoded, and given up after a block: nothing is left behind on any way out."""
    command = [sys.executable, "-c", MEMORY, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    grown, left_open = map(int, done.stdout.split())
    assert grown < GROWTH_BYTES
    assert left_open == 0
