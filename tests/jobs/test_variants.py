"""`hubbub features --variants`: augmented copies beside their clips, and policies that will not do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from hubbub.clips.table import ClipTable, read_table, write_table
from hubbub.store.opening import open_store
from tests.jobs.command import hubbub, refuse, succeed

SERIAL = ("--cluster", "serial")

POLICY = """
rules:
  - labels: [dog]
    count: 2
    transforms: [{kind: noise, snr_db: [5, 20]}, {kind: gain, gain_db: [-6, 6]}]
"""


def test_variants_are_stored_beside_their_clips(clips: Path, tmp_path: Path) -> None:
    policy, store = tmp_path / "policy.yaml", tmp_path / "store"
    policy.write_text(POLICY)
    command = ("features", clips, "-o", store, "--variants", policy)
    assert "6 clips, 12 windows" in succeed(*command, "--dry-run")
    succeed(*command, "--cluster", "local", "--workers", 2)
    rows = open_store(store).rows()
    assert rows["variant"].value_counts().to_dict() == {0: 6, 1: 3, 2: 3}
    assert "0 clips, 0 windows" in succeed("features", clips, "-o", store, *SERIAL), "what is left out is as it was"
    succeed(*command[:3], tmp_path / "serial", *command[4:], *SERIAL)
    one, two = (
        open_store(place).rows().set_index(["uri", "variant"])["crc32"] for place in (store, tmp_path / "serial")
    )
    pd.testing.assert_series_equal(one.sort_index(), two.sort_index())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (POLICY.replace("[5, 20]", "[5, 21]"), "was built with other variants"),
        (POLICY.replace("noise", "nois"), "nois"),
        (POLICY.replace("rules", "rule"), "did you mean 'rules'"),
        ("{", "cannot be read"),
    ],
)
def test_a_bad_policy_is_refused(clips: Path, tmp_path: Path, text: str, message: str) -> None:
    policy, store = tmp_path / "policy.yaml", tmp_path / "store"
    policy.write_text(POLICY)
    succeed("features", clips, "-o", store, "--variants", policy, *SERIAL)
    policy.write_text(text)
    assert message in refuse("features", clips, "-o", store, "--variants", policy, *SERIAL)


def test_a_class_that_no_clip_has_is_said(clips: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY.replace("[dog]", "[dogs]"))
    run = hubbub("features", clips, "-o", tmp_path / "store", "--variants", policy, "--dry-run")
    assert "the policy names 'dogs', which no clip is labelled: did you mean 'dog'?" in run.stderr
    assert run.returncode == 0


def test_recordings_of_noise_that_changed_are_refused(clips: Path, tmp_path: Path) -> None:
    """A grown archive would have one noise in its old clips and another in its new ones."""
    noise, policy, store = tmp_path / "street" / "a.wav", tmp_path / "policy.yaml", tmp_path / "store"
    noise.parent.mkdir()
    soundfile.write(noise, np.random.default_rng(0).normal(0, 0.1, 44_100), 22_050)
    policy.write_text(POLICY.replace("kind: noise,", "kind: noise, folder: street,"))
    table = read_table(clips)
    write_table(ClipTable(table.rows.slice(0, 4), table.root), tmp_path / "few.parquet")
    succeed("features", tmp_path / "few.parquet", "-o", store, "--variants", policy, *SERIAL)
    soundfile.write(noise, np.random.default_rng(1).normal(0, 0.1, 44_100), 22_050)
    said = refuse("features", clips, "-o", store, *SERIAL)
    assert "street has changed" in said
    assert "give another -o with --variants FILE" in said
    assert len(open_store(store).committed()) == 1, "nothing was added"
    assert "0 clips, 0 windows" in succeed("features", tmp_path / "few.parquet", "-o", store, *SERIAL)
