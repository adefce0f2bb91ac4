"""`hubbub mix` and `hubbub score` on real clips: the truth is where the sound is, and a perfect table scores 1."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

import hubbub
from tests.data.detectors import LABELS, make_detector
from tests.jobs.command import hubbub as run_hubbub
from tests.jobs.command import refuse, succeed

CLIPS = Path(__file__).parents[1] / "data" / "esc10-mini" / "esc10.csv"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mix") / "clips.parquet"
    succeed("index", CLIPS, "-o", path)
    return path


@pytest.fixture(scope="module")
def scenes(table: Path) -> Path:
    out = table.parent / "scenes"
    said = succeed("mix", table, "-o", out, "--fold", 5, "--scenes", 3, "--duration", 20, "--events", 2, 4)
    assert "3 of 20 s" in said
    return out


def test_soundscapes_have_the_truth_beside_them(scenes: Path):
    truth = pd.read_csv(scenes / "truth.csv")
    assert sorted(path.name for path in scenes.glob("*.flac")) == [f"scene-{n:04d}.flac" for n in (1, 2, 3)]
    assert truth.groupby("uri").size().between(2, 4).all()
    assert (truth["onset_s"] < truth["offset_s"]).all()
    assert (truth["offset_s"] <= 20).all()
    assert truth["snr_db"].between(-0.1, 20).all()
    for uri, own in truth.groupby("uri"):
        samples, rate = soundfile.read(scenes / uri)
        assert len(samples) == 20 * rate
        loudest = own.loc[own["snr_db"].idxmax()]
        if loudest["snr_db"] > 10:
            inside = samples[round(loudest["onset_s"] * rate) : round(loudest["offset_s"] * rate)]
            assert np.sqrt(np.mean(inside**2)) > np.sqrt(np.mean(samples**2))


def test_what_a_refused_command_left_is_in_nobodys_way(table: Path, tmp_path: Path):
    """A torn background is named; without it the same folder is taken, and nothing of the first try is left."""
    street, out = tmp_path / "street", tmp_path / "out"
    street.mkdir()
    rng = np.random.default_rng(0)
    soundfile.write(street / "a.flac", rng.normal(0, 0.1, 12 * 16_000), 16_000)
    (street / "b.flac").write_bytes((street / "a.flac").read_bytes()[:700])
    options = ("mix", table, "-o", out, "--duration", 2, "--events", 0, 0, "--backgrounds", street)
    assert "b.flac: DecodeError" in refuse(*options, "--scenes", 12)
    (street / "b.flac").unlink()
    succeed(*options, "--scenes", 1)
    assert sorted(path.name for path in out.iterdir()) == ["mix.json", "scene-0001.flac", "truth.csv"]


def test_the_same_command_has_nothing_left_to_do_and_another_is_refused(table: Path, scenes: Path):
    again = ("mix", table, "-o", scenes, "--fold", 5, "--duration", 20, "--events", 2, 4)
    assert "was done already" in succeed(*again, "--scenes", 3)
    assert "holds other soundscapes (another 1 setting (seed))" in refuse(*again, "--scenes", 3, "--seed", 1)


def test_more_soundscapes_change_none(table: Path, scenes: Path, tmp_path: Path):
    more = ("mix", table, "-o", tmp_path / "more", "--fold", 5, "--duration", 20, "--events", 2, 4, "--scenes", 4)
    succeed(*more)
    for name in ("scene-0001.flac", "scene-0003.flac"):
        assert (tmp_path / "more" / name).read_bytes() == (scenes / name).read_bytes()


def test_backgrounds_and_negatives_are_mixed_in(table: Path, tmp_path: Path):
    (tmp_path / "street").mkdir()
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "street" / "a.wav", rng.normal(0, 0.1, 3 * 16_000), 16_000)
    options = ("--scenes", 2, "--duration", 10, "--events", 0, 0, "--backgrounds", tmp_path / "street")
    succeed("mix", table, "-o", tmp_path / "out", *options, "--negatives", tmp_path / "street")
    assert len(pd.read_csv(tmp_path / "out" / "truth.csv")) == 0
    soundfile.write(tmp_path / "street" / "a.wav", np.zeros(3 * 16_000), 16_000)
    assert "a.wav is silent; leave it out" in refuse("mix", table, "-o", tmp_path / "other", *options, "--seed", 1)


def test_clips_that_cannot_be_mixed_are_left_out_and_named(tmp_path: Path):
    rng = np.random.default_rng(0)
    for label in ("dog", "rain"):
        (tmp_path / "clips" / label).mkdir(parents=True)
        for number in range(2):
            path = tmp_path / "clips" / label / f"{number}.wav"
            soundfile.write(path, rng.normal(0, 0.1, 16_000), 16_000)
    (tmp_path / "clips" / "dog" / "1.wav").write_bytes(b"RIFF, or not")
    soundfile.write(tmp_path / "clips" / "rain" / "1.wav", np.zeros(16_000), 16_000)
    table, out = tmp_path / "clips.parquet", tmp_path / "out"
    run_hubbub("index", tmp_path / "clips", "-o", table)
    options = ("--scenes", 4, "--duration", 20, "--events", 4, 4, "--sample-rate", 16_000)
    done = run_hubbub("mix", table, "-o", out, *options)
    assert done.returncode == 1
    assert "left out: dog/1.wav: DecodeError" in done.stderr
    assert "left out: rain/1.wav: EmptyAudio: silent" in done.stderr
    truth = pd.read_csv(out / "truth.csv")
    assert set(truth["source"]) == {"dog/0.wav", "rain/0.wav"}
    (tmp_path / "clips" / "dog" / "0.wav").write_bytes(b"RIFF, or not")
    assert "none of 2 clips of dog can be mixed" in refuse("mix", table, "-o", tmp_path / "other", *options)


def test_the_truth_of_soundscapes_becomes_clips_that_are_events(scenes: Path, tmp_path: Path):
    columns = ("--path-column", "uri", "--label-column", "label", "--onset-column", "onset_s")
    out = tmp_path / "events.parquet"
    assert "--onset-column was given alone" in refuse("index", scenes / "truth.csv", "-o", out, *columns)
    succeed("index", scenes / "truth.csv", "-o", out, *columns, "--offset-column", "offset_s")
    truth, clips = pd.read_csv(scenes / "truth.csv"), pd.read_parquet(out)
    np.testing.assert_allclose(clips["start_s"], truth["onset_s"])
    np.testing.assert_allclose(clips["end_s"], truth["offset_s"])
    assert [list(labels) for labels in clips["labels"]] == [[label] for label in truth["label"]]
    assert clips["is_event"].all()


REFUSED = [
    (("--scenes", 0), "--scenes 0: expected 1 or more"),
    (("--snr", 9, 3), "--snr 9 3: expected the lower value first"),
    (("--fold", 9), "--fold 9: no clip is in it (folds: 1, 2, 3, 4, 5)"),
    (("--backgrounds", "nowhere"), "--backgrounds nowhere: expected a folder of recordings on this machine"),
    (("--duration", 99_999), "--duration 99999: expected more than 0 and up to 3600 s"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_cannot_be_mixed_is_refused(options: tuple[object, ...], message: str, table: Path, tmp_path: Path):
    assert message in refuse("mix", table, "-o", tmp_path / "out", *options)


def test_scores_of_a_table_against_itself_and_against_others(tmp_path: Path):
    """The detector's own events as the reference: all is right, until some are taken away."""
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        gain = np.repeat(10 ** rng.uniform(-3, 0.5, 30), 8000)
        soundfile.write(sounds / f"{name}.wav", (rng.normal(0, 0.1, 30 * 8000) * gain).clip(-1, 1), 8000)
    bundle, labels = make_detector(tmp_path / "bundle"), tmp_path / "labels"
    succeed("label", sounds, "--model", bundle, "-o", labels, "--cluster", "serial")
    succeed("export", labels, "-o", tmp_path / "csv", "--format", "csv")
    (reference,) = (tmp_path / "csv").glob("*.csv")
    said = succeed("score", labels, reference, "-o", tmp_path / "scores.json")
    assert "F1 1.000 (1.000 to 1.000)" in said
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["scores"]["metrics"][1]["event"]["f1"] == 1.0
    assert scores["scores"]["onsets"]["median_absolute_s"] == 0.0
    assert scores["false_per_10_min"] == 0.0
    assert scores["recordings"] == 2

    events = pd.read_csv(reference)
    assert len(events) > 4
    events.assign(label=[*events["label"][:-1], "cat"]).to_csv(reference, index=False)
    assert "1 event of labels that the model lacks, left out: cat 1" in succeed_warned("score", labels, reference)
    events.assign(uri="elsewhere.wav").to_csv(reference, index=False)
    assert "none of the reference's recordings was labelled" in refuse("score", labels, reference)
    events.assign(label="cat").to_csv(reference, index=False)
    assert "holds no events of the model's labels in what was labelled; to count" in refuse("score", labels, reference)
    events[:0].to_csv(reference, index=False)
    assert "holds no events of the model's labels in what was labelled; to count" in refuse("score", labels, reference)
    said = succeed("score", labels, reference, "--all", "-o", tmp_path / "none.json")
    assert re.search(r"true events +│ none", said)
    scores = json.loads((tmp_path / "none.json").read_text(), parse_constant=pytest.fail)
    minutes = 60 * scores["hours"]
    assert scores["false_per_10_min"] == pytest.approx(10 * len(events) / minutes)
    assert "expected more than 0 s (given: -1)" in refuse("score", labels, reference, "--tolerance", -1)
    assert set(events["label"]) <= set(LABELS)

    again = ("events", labels, "--threshold")
    assert "unknown" in succeed(*again, "unknown=0.05")
    assert hubbub.open_labels(labels).rules["unknown"].threshold == 0.05
    assert "expected a score such as 0.6" in refuse(*again, "unknown=much")
    named = hubbub.open_labels(labels).is_named(pd.DataFrame({"label": ["dog", "unknown", "siren"]}))
    assert named.tolist() == [True, False, True]
    assert "unknown" not in succeed(*again, "unknown=off")


def succeed_warned(*words: object) -> str:
    """What a command says that does its work, warnings too."""
    done = run_hubbub(*words)
    assert done.returncode == 0, done.stderr
    return done.stderr + done.stdout
