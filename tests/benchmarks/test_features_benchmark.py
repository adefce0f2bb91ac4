"""The benchmark starts, goes through real clips in every way and format, and says what it found.

Its figures of speed are not judged here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
WAYS = {
    "hubbub": "hubbub, stored",
    "hubbub-one": "hubbub, one worker",
    "joblib": "joblib and librosa",
    "dask-bag": "dask.bag and librosa",
    "tensorflow": "tf.signal in tf.data",
    "torchaudio": "torchaudio",
    "lhotse": "lhotse, stored",
    "bare": "hubbub, a bare loop",
    "decoding": "decoding alone",
}
"""Key on the command line -> row of the tables."""

NO_PACKAGE = {
    "tensorflow": "raise ImportError('no tensorflow here')",
    "torchaudio": "raise OSError('libc10_cuda.so: cannot open shared object file')",
    "lhotse": "raise ModuleNotFoundError('no lhotse here')",
}
"""Modules that stand in the way of the installed ones, as if those were missing or broken."""


def run(*arguments: str | Path, scratch: Path, before: str = "", path: Path = FOLDER) -> subprocess.CompletedProcess:
    """Run the command in a process of its own; `before` is Python that spoils something first."""
    script = f"import sys; sys.path.insert(0, {str(FOLDER)!r}); {before}; import features; sys.exit(features.main())"
    command = [sys.executable, *(["-c", script] if before else [FOLDER / "features.py"]), *map(str, arguments)]
    environment = os.environ | {"TMPDIR": str(scratch), "PYTHONPATH": str(path), "TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


def rows(printed: str, title: str) -> dict[str, list[str]]:
    """Read the table with a title that begins so: first column -> the others."""
    lines = printed.splitlines()
    (start,) = [number for number, line in enumerate(lines) if line.startswith(title)]
    end = next((number for number in range(start + 4, len(lines)) if not lines[number].strip()), len(lines))
    cells = [re.split(r"\s{2,}", line.strip()) for line in lines[start + 4 : end]]
    return {name: others for name, *others in cells}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def every_way(esc10_mini: Path, scratch: Path) -> subprocess.CompletedProcess:
    """Every way through one format, held against a target that nobody meets."""
    arguments = ["--limit", "9", "--rounds", "1", "--formats", "ogg", "--agreement", "--no-memory", "--check"]
    spoil = "import targets; targets.TIMES_JOBLIB['ogg'] = 1e9"
    return run("--clips", esc10_mini, *arguments, scratch=scratch, before=spoil)


@pytest.fixture(scope="module")
def every_format(esc10_mini: Path, scratch: Path) -> subprocess.CompletedProcess:
    """One way through every format, and the memory part, held against a target that everybody meets."""
    arguments = ["--limit", "8", "--rounds", "2", "--ways", "decoding", "--check"]
    spoil = "import targets; targets.TIMES_SHORTER = 10.0"
    return run("--clips", esc10_mini, *arguments, scratch=scratch, before=spoil)


@pytest.mark.parametrize("key", WAYS)
@pytest.mark.slow
def test_every_way_goes_through_all_clips_or_says_what_is_missing(
    every_way: subprocess.CompletedProcess, key: str
) -> None:
    assert "Targets" in every_way.stdout, every_way.stderr
    if f"{key} is left out: " in every_way.stdout:
        assert key in ("torchaudio", "lhotse")
        return
    found = rows(every_way.stdout, "ogg: 9 clips, 2 processes, median of 1 rounds")[WAYS[key]]
    assert len(found) == 6, found
    clips_per_s, cpu_ms = float(found[0]), float(found[-1])
    slowest, fastest = map(float, found[1].split(" to "))
    assert 0 < slowest <= clips_per_s <= fastest
    assert cpu_ms > 0
    assert WAYS[key] in rows(every_way.stdout, "The ways")


@pytest.mark.slow
def test_the_measures_are_once_as_fast_as_themselves(every_way: subprocess.CompletedProcess) -> None:
    table = rows(every_way.stdout, "ogg")
    for column, key in (2, "joblib"), (3, "bare"), (4, "decoding"):
        assert table[WAYS[key]][column] == "1.00"


@pytest.mark.slow
def test_the_values_agree_with_librosa(every_way: subprocess.CompletedProcess) -> None:
    judged = rows(every_way.stdout, "Targets")
    for row in "float32, anywhere above the floor", "float32, within 80 dB of the peak", "float64, everywhere":
        assert judged[f"{row}: dB from librosa"][-1] == "met"


@pytest.mark.slow
def test_every_format_is_gone_through(every_format: subprocess.CompletedProcess) -> None:
    assert every_format.returncode == 0, every_format.stderr
    assert "wrote the clips as mp3, flac, wav in" in every_format.stdout
    for suffix in "ogg", "mp3", "flac", "wav":
        table = rows(every_format.stdout, f"{suffix}: 8 clips, 2 processes, median of 2 rounds")
        assert list(table) == ["decoding alone"]
        assert table["decoding alone"][2:5] == ["-", "-", "1.00"], "joblib and the bare loop were not chosen"


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
@pytest.mark.slow
def test_memory_is_measured_for_both_lengths(every_format: subprocess.CompletedProcess) -> None:
    shorter, longer = rows(every_format.stdout, "Memory").values()
    assert "wrote a 15-second FLAC" in every_format.stdout
    assert float(shorter[0]) > float(shorter[2]) > 30, "a worker that did something, and one that has only started"
    assert float(longer[1]) == pytest.approx(float(longer[0]) / float(shorter[0]), abs=0.01)
    judged = rows(every_format.stdout, "Targets")
    assert judged["3-minute FLAC: peak MB of a worker"][1] == longer[0]


@pytest.mark.slow
def test_only_what_was_measured_is_judged(every_format: subprocess.CompletedProcess) -> None:
    judged = rows(every_format.stdout, "Targets")
    assert all("FLAC" in what for what in judged)
    assert len(judged) == 2


@pytest.mark.slow
def test_it_leaves_nothing_behind(every_format: subprocess.CompletedProcess, scratch: Path) -> None:
    assert "Targets" in every_format.stdout
    assert [path.name for path in scratch.iterdir() if "hubbub" in path.name] == []


@pytest.mark.slow
def test_ways_that_are_not_installed_are_named_and_the_others_go_on(esc10_mini: Path, tmp_path: Path) -> None:
    for name, code in NO_PACKAGE.items():
        (tmp_path / f"{name}.py").write_text(code)
    arguments = ["--limit", "2", "--rounds", "1", "--formats", "ogg", "--no-memory"]
    chosen = ["--ways", "decoding,tensorflow,torchaudio,lhotse"]
    done = run("--clips", esc10_mini, *arguments, *chosen, scratch=tmp_path, path=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "tensorflow is left out: TensorFlow is not installed (pip install 'hubbub[cpu]')" in done.stdout
    assert "torchaudio is left out: torchaudio cannot be imported (libc10_cuda.so" in done.stdout
    assert "lhotse is left out: lhotse cannot be imported (no lhotse here); pip install lhotse" in done.stdout
    assert list(rows(done.stdout, "ogg: 2 clips")) == ["decoding alone"]


@pytest.mark.slow
def test_check_exits_1_where_a_target_is_missed(every_way: subprocess.CompletedProcess) -> None:
    wanted, _, verdict = rows(every_way.stdout, "Targets")["ogg: times joblib and librosa, stored"]
    assert (wanted, verdict) == (">= 1000000000.00", "MISSED")
    assert every_way.returncode == 1


@pytest.mark.slow
def test_check_exits_0_where_all_are_met(every_format: subprocess.CompletedProcess) -> None:
    assert [verdict for *_, verdict in rows(every_format.stdout, "Targets").values()] == ["met", "met"]
    assert every_format.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--ways", "hubub"], "unknown: hubub; choose from hubbub,command,hubbub-one,joblib,dask-bag"),
        (["--formats", "ogg,aac"], "unknown: aac; choose from ogg,mp3,flac,wav"),
        (["--rounds", "0"], "'0' is no whole number above 0"),
        (["--memory", "--no-memory"], "not allowed with"),
    ],
)
def test_wrong_arguments_are_refused_with_what_to_type(tmp_path: Path, arguments: list[str], complaint: str) -> None:
    refused = run(*arguments, scratch=tmp_path)
    assert refused.returncode == 2
    assert complaint in refused.stderr


def test_a_clip_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"no audio")
    refused = run("--clips", tmp_path, scratch=tmp_path)
    assert refused.returncode == 1
    assert "a benchmark needs clips that can be read: broken.wav" in refused.stderr
