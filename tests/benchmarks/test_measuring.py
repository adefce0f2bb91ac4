"""What the benchmark measures with: targets judged by hand, processor time, peaks of memory, the sounds it writes."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

from hubbub.config.frontends import FRONTENDS

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
PCM_16_STEP = 2.0**-15
"""What a sample may change by when it is written as 16-bit integers."""

BURN = "import time\nwhile time.process_time() < 0.6: pass"
TAKE_AND_GIVE_BACK = "taken = b'x' * 200_000_000; del taken; print('ready', flush=True); input()"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> type:
    """Give the modules of the benchmark by name."""
    monkeypatch.syspath_prepend(FOLDER)

    class Modules:
        def __getattr__(self, name: str) -> ModuleType:
            return import_module(name)

    return Modules()


def judged(module, **parts) -> dict[str, tuple[str, bool]]:
    found = module.targets.verdicts(parts.get("speeds", {}), parts.get("peaks", []), parts.get("differences", []))
    return {item.what: (item.found, item.met) for item in found}


def test_ratios_are_medians_of_the_rounds(module) -> None:
    ours, theirs = module.speed.Times(10, seconds=[1.0, 2.0, 10.0]), module.speed.Times(10, seconds=[2.0, 6.0, 10.0])
    assert ours.times_as_fast_as(theirs) == 2.0  # of 2, 3 and 1
    assert ours.clips_per_s == 5.0  # in 2 s


@pytest.mark.parametrize(
    ("hubbub_s", "others_s", "what", "found", "met"),
    [
        # The ways beside are given as (key, format, seconds).
        (1.0, ("joblib", "wav", 2.2), "wav: times joblib and librosa, stored", "2.200", True),
        (1.0, ("joblib", "wav", 2.19), "wav: times joblib and librosa, stored", "2.190", False),
        (1.0, ("decoding", "ogg", 0.80), "ogg: part of decoding alone", "0.800", True),
        (1.0, ("decoding", "ogg", 0.79), "ogg: part of decoding alone", "0.790", False),
        (1.08, ("bare", "ogg", 1.0), "ogg: times the seconds of a bare loop", "1.080", True),
        (1.1, ("bare", "ogg", 1.0), "ogg: times the seconds of a bare loop", "1.100", False),
        (1.0, ("hubbub-one", "ogg", 1.85), "ogg: times one worker", "1.850", True),
        (1.0, ("hubbub-one", "ogg", 1.84), "ogg: times one worker", "1.840", False),
    ],
)
def test_targets_of_speed(module, hubbub_s: float, others_s: tuple, what: str, found: str, met: bool) -> None:
    key, suffix, seconds = others_s
    times = {"hubbub": module.speed.Times(1, seconds=[hubbub_s]), key: module.speed.Times(1, seconds=[seconds])}
    assert judged(module, speeds={suffix: times}) == {what: (found, met)}


@pytest.mark.parametrize(
    ("shorter_mb", "longer_mb", "met"), [(550, 599, (True, True)), (300, 331, (True, False)), (600, 600, (False, True))]
)
def test_targets_of_memory(module, shorter_mb: int, longer_mb: int, met: tuple[bool, bool]) -> None:
    peaks = [
        module.memory.Peak(1800, 0, shorter_mb * 10**6, seconds=1.0),
        module.memory.Peak(21600, 0, longer_mb * 10**6, seconds=1.0),
    ]
    found = judged(module, peaks=peaks)
    assert list(found) == ["6-hour FLAC: peak MB of a worker", "6-hour FLAC: times the peak of the 30-minute one"]
    assert tuple(met for _, met in found.values()) == met


def test_targets_of_agreement_are_missed_by_what_is_no_number(module) -> None:
    difference = module.agreement.Difference("float64", "everywhere", float("nan"), "a.wav")
    assert judged(module, differences=[difference]) == {"float64, everywhere: dB from librosa": ("nan", False)}


def test_processor_time_counts_processes_that_ended(module) -> None:
    before = module.speed.processor_s()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert module.speed.processor_s() - before >= 0.5


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_a_peak_is_remembered_when_the_memory_is_given_back(module) -> None:
    command = [sys.executable, "-c", TAKE_AND_GIVE_BACK]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert 200e6 < module.memory.peak_bytes(process.pid) < 260e6
        process.communicate("\n")


@pytest.mark.parametrize("suffix", ["ogg", "mp3", "flac", "wav"])
def test_clips_stay_the_same_clips_in_every_format(module, esc10_mini: Path, tmp_path: Path, suffix: str) -> None:
    table = module.recordings.index(esc10_mini, 3)
    written = module.recordings.in_format(table, suffix, tmp_path / suffix)
    for path, other in zip(module.recordings.paths_of(table), module.recordings.paths_of(written), strict=True):
        assert other.suffix == f".{suffix}"
        (sound, rate), (copy, its_rate) = soundfile.read(path), soundfile.read(other)
        assert its_rate == rate
        if suffix in ("flac", "wav"):
            np.testing.assert_allclose(copy, np.clip(sound, -1, 1 - PCM_16_STEP), atol=PCM_16_STEP)
        assert len(copy) == pytest.approx(len(sound), abs=0.1 * rate)  # an MP3 is whole packets


def test_clips_that_have_the_format_are_taken_as_they_are(module, esc10_mini: Path, tmp_path: Path) -> None:
    table = module.recordings.index(esc10_mini, 3)
    assert module.recordings.in_format(table, "ogg", tmp_path / "ogg") is table


def test_a_clip_that_no_mp3_can_hold_is_refused(module, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "bat.wav", np.zeros(192_000), 192_000)
    table = module.recordings.index(tmp_path)
    with pytest.raises(SystemExit, match=r"bat\.wav \(192000 Hz, 1 channels\) cannot be written as mp3 .* --formats"):
        module.recordings.in_format(table, "mp3", tmp_path / "mp3")


def test_a_long_recording_has_its_length_and_is_no_silence(module, tmp_path: Path) -> None:
    module.recordings.write_long(tmp_path / "long.flac", 23)
    sound, rate = soundfile.read(tmp_path / "long.flac")
    assert (sound.shape, rate) == ((23 * 48000, 2), 48000)
    assert np.abs(sound).max() < 0.01
    assert (sound[:, 0] != sound[:, 1]).mean() > 0.5


@pytest.mark.slow
def test_every_frontend_has_its_cost_beside_librosas() -> None:
    mini = FOLDER.parent / "tests" / "data" / "esc10-mini"
    command = [sys.executable, FOLDER / "frontends.py", "--rounds", "1", "--clips", mini]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    rows = {line.split()[0]: line.split()[1:] for line in run.stdout.splitlines() if len(line.split()) == 6}
    assert rows.keys() == FRONTENDS.keys() - {"waveform"}  # of which nothing is computed
    assert all(float(cell) > 0 for cells in rows.values() for cell in cells)


def test_clips_are_repeated_by_links(module, esc10_mini: Path, tmp_path: Path) -> None:
    table = module.recordings.index(esc10_mini, 3)
    repeated = module.recordings.repeat(table, 4, tmp_path / "repeated")
    assert len(repeated) == 12
    assert module.recordings.repeat(table, 1, tmp_path / "once") is table
    assert (module.features._repeats(None, 400), module.features._repeats(None, 9), module.features._repeats(2, 9)) == (
        4,
        1,
        2,
    )
