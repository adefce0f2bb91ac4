"""``hubbub index`` as a person types it: what it says, what it writes, and how it exits."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hubbub.clips.table import read_table

from .command import hubbub


def make_set(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).uniform(-0.5, 0.5, 4000)
        soundfile.write(folder / name, noise, 8000)
    return folder


@pytest.fixture
def two_classes(tmp_path: Path) -> Path:
    return make_set(tmp_path / "set", *(f"{label}/{number}.wav" for label in ("dog", "rain") for number in range(3)))


def test_what_was_recognised_is_said(two_classes: Path, tmp_path: Path):
    ran = hubbub("index", two_classes, "-o", tmp_path / "c.parquet")
    assert ran.returncode == 0
    assert "read as folder: 6 of 6 files lie in 2 class folders" in ran.stdout
    assert "dog 3, rain 3" in ran.stdout


def test_formats_are_listed_with_their_examples():
    ran = hubbub("index", "--formats")
    assert ran.returncode == 0
    assert "esc50: ESC-50 and ESC-10" in ran.stdout
    assert "names: labels in the names of files" in ran.stdout


def test_a_dry_run_shows_clips_and_writes_nothing(two_classes: Path, tmp_path: Path):
    ran = hubbub("index", two_classes, "-o", tmp_path / "c.parquet", "--dry-run")
    assert ran.returncode == 0
    assert "dog/0.wav: dog" in ran.stdout
    assert not (tmp_path / "c.parquet").exists()


def test_a_folder_that_may_be_the_set_is_refused_with_commands_that_open_it(two_classes: Path, tmp_path: Path):
    ran = hubbub("index", tmp_path, "--dry-run")
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert f"hubbub index {two_classes} -o FILE" in " ".join(ran.stderr.split())
    assert "dog 3, rain 3" in hubbub("index", two_classes, "--dry-run").stdout
    assert "set 6" in hubbub("index", tmp_path, "--format", "folder", "--dry-run").stdout


def test_append_adds_new_files_only(two_classes: Path, tmp_path: Path):
    table = tmp_path / "c.parquet"
    hubbub("index", two_classes, "-o", table)
    first = read_table(table).rows
    assert "c.parquet has 6 clips; 0 are new" in hubbub("index", two_classes, "-o", table, "--append").stdout
    assert read_table(table).rows.equals(first)
    make_set(two_classes, "dog/new.wav")
    assert "c.parquet has 6 clips; 1 is new" in hubbub("index", two_classes, "-o", table, "--append").stdout
    rows = read_table(table).rows
    assert rows.slice(0, 6).equals(first)
    assert rows["uri"].to_pylist()[6:] == ["dog/new.wav"]


def test_append_counts_what_could_not_be_read_before(two_classes: Path, tmp_path: Path):
    (two_classes / "dog" / "text.wav").write_text("no sound")
    table = tmp_path / "c.parquet"
    hubbub("index", two_classes, "-o", table)
    (two_classes / "rain" / "empty.wav").touch()
    for earlier in ("1 clip in", "2 clips in"):  # one is new, then none
        ran = hubbub("index", two_classes, "-o", table, "--append")
        assert re.search(r"unreadable\W+2\b", ran.stdout)
        said = " ".join(ran.stderr.split())
        assert earlier in said
        assert "could not be read earlier: those without a duration_s" in said


def test_clips_of_another_root_are_not_appended(two_classes: Path, tmp_path: Path):
    table = tmp_path / "c.parquet"
    hubbub("index", two_classes, "-o", table)
    other = make_set(tmp_path / "other", "dog/1.wav", "rain/1.wav", "rain/9.wav")
    ran = hubbub("index", other, "-o", table, "--append")
    assert ran.returncode == 2
    assert f"the clips lie below {other}, those of the table below {two_classes}" in ran.stderr
    assert len(read_table(table)) == 6


def test_recorders_tell_when_and_where(tmp_path: Path):
    field = make_set(tmp_path / "field", "GARDEN_20260517_043000.wav", "GARDEN_20261124_043000.wav")
    ran = hubbub("index", field, "-o", tmp_path / "c.parquet")
    assert "2 clips tell a local time without its zone; say --timezone" in ran.stderr
    assert read_table(tmp_path / "c.parquet").rows["recorded_at"].to_pylist() == [None, None]
    assert hubbub("index", field, "-o", tmp_path / "c.parquet", "--timezone", "Europe/Berlin").returncode == 0
    rows = read_table(tmp_path / "c.parquet").rows
    summer, winter = datetime(2026, 5, 17, 2, 30, tzinfo=UTC), datetime(2026, 11, 24, 3, 30, tzinfo=UTC)
    assert rows["recorded_at"].to_pylist() == [summer, winter]
    assert rows["site"].to_pylist() == ["GARDEN", "GARDEN"]
    ran = hubbub("index", field, "-o", tmp_path / "c.parquet", "--timezone", "Europe/Berln")
    assert ran.returncode == 2
    assert "Europe/Berlin" in ran.stderr


def test_a_check_exits_with_one_where_training_would_be_wrong(two_classes: Path, tmp_path: Path):
    table = tmp_path / "c.parquet"
    assert hubbub("index", two_classes, "-o", table, "--check").returncode == 0
    (two_classes / "rain" / "copy.wav").write_bytes((two_classes / "dog" / "0.wav").read_bytes())
    ran = hubbub("index", two_classes, "-o", table, "--check")
    assert ran.returncode == 1
    assert "same samples and different labels: dog/0.wav = rain/copy.wav" in ran.stderr
    assert hubbub("index", table, "--check").returncode == 1  # a table that is there already


def test_a_forgotten_output_is_asked_for(two_classes: Path):
    ran = hubbub("index", two_classes)
    assert ran.returncode == 2
    assert f"say where the clip table goes: hubbub index {two_classes} -o clips.parquet" in ran.stderr


def find_rows(said: str) -> dict[str, str]:
    """Rows of the last table that was shown."""
    lines = said[said.rindex("index: done") :].splitlines()
    cells = (line.replace("\u2502", " ").split(None, 1) for line in lines[1:])
    return {cell[0]: cell[1].strip() for cell in cells if len(cell) == 2}


def test_what_is_unlabelled_split_and_timed_is_counted(tmp_path: Path):
    """A test split of unlabelled clips ended as `folds none`, and nothing else."""
    make_set(tmp_path / "set", *(f"{name}.wav" for name in "abc"), "20260517T043000Z.wav")
    (tmp_path / "set/clips.csv").write_text(
        "file,kind,part\na.wav,dog,train\nb.wav,,test\nc.wav,,test\n20260517T043000Z.wav,rain,\n"
    )
    columns = ("--path-column", "file", "--label-column", "kind", "--split-column", "part")
    rows = find_rows(hubbub("index", tmp_path / "set/clips.csv", "-o", tmp_path / "c.parquet", *columns).stdout)
    assert rows["unlabelled"] == "2"
    assert rows["splits"] == "test 2, train 1"
    assert rows["times"] == "of 1 of 4 clips"


def test_audio_of_segments_is_their_own(tmp_path: Path):
    """Each segment counted as its whole recording."""
    soundfile.write(tmp_path / "long.wav", np.random.default_rng(1).uniform(-0.5, 0.5, 40 * 8000), 8000)
    (tmp_path / "long.txt").write_text("1.0\t5.0\train\n30.0\t60.0\tdog\n")
    rows = find_rows(hubbub("index", tmp_path, "-o", tmp_path / "c.parquet").stdout)
    assert rows["audio"] == "14 s in all clips"


def test_a_table_without_labels_is_not_called_right_for_training(tmp_path: Path):
    make_set(tmp_path / "set", "a.wav", "b.wav")
    ran = hubbub("index", tmp_path / "set", "-o", tmp_path / "c.parquet", "--check")
    assert ran.returncode == 0
    assert "check: right for labelling" in ran.stdout
    assert "none; training needs labels" in ran.stdout
    assert "right for training" not in ran.stdout


def test_segments_after_the_end_of_their_recording_are_told(tmp_path: Path):
    """Recordings that were cut already, under the names of whole ones."""
    (make_set(tmp_path, "a.wav") / "clips.csv").write_text("file,kind,begin,end\na.wav,dog,30,40\na.wav,rain,0,0.2\n")
    columns = ("--path-column", "file", "--label-column", "kind", "--start-column", "begin", "--end-column", "end")
    ran = hubbub("index", tmp_path / "clips.csv", "-o", tmp_path / "c.parquet", *columns)
    assert "1 clip begins after the end of the recording" in ran.stderr
    assert f"hubbub index {tmp_path}/c.parquet --check names them" in ran.stderr.replace("\n", " ")
