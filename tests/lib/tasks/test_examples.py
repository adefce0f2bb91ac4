"""Channels and variants: every example of a clip is there once, has its own values, and survives kills and retries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from hubbub.audio.decode import load_audio
from hubbub.audio.effects import apply_effects
from hubbub.audio.frontends import compute_features, n_frames
from hubbub.clips.examples import expand_examples
from hubbub.clips.index import index_listing
from hubbub.clips.sources import Columns, list_source
from hubbub.clips.table import ClipTable, clip_id, make_table
from hubbub.config import Settings, parse_settings
from hubbub.engine.serial import SerialEngine
from hubbub.planning.plan import plan_features
from hubbub.store.features import FeatureStore
from hubbub.store.opening import create_store, open_store
from hubbub.store.rows import row_schema
from hubbub.store.verify import verify_clips, verify_shard
from hubbub.tasks.extract import ExtractTask

RATE = 8000
POLICY = {
    "rules": [
        {"labels": ["dog"], "count": 2, "transforms": [{"kind": "noise", "snr_db": [5, 20]}]},
        {"count": 1, "transforms": [{"kind": "gain", "gain_db": -6}, {"kind": "time-stretch", "rate": [1.1, 1.3]}]},
    ]
}


def settings(**sections: object) -> Settings:
    frontend = {"sample_rate": RATE, "n_fft": 256, "hop_samples": 128, "n_mels": 8}
    layout = {"rows_per_chunk": 1, "rows_per_shard": 4}
    data = {"frontend": frontend, "windows": {"mode": "all", "duration_s": 0.5}, "layout": layout} | sections
    return parse_settings(data, where="here")


def sounds(folder: Path, *channels: int, seconds: float = 0.9) -> ClipTable:
    """One WAV a number of channels, in folders named dog and cat in turn, indexed."""
    for number, count in enumerate(channels):
        place = folder / ("dog", "cat")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        samples = np.random.default_rng(number).normal(0, 0.1, (round(seconds * RATE), count))
        soundfile.write(place / f"{number}.wav", samples, RATE, subtype="FLOAT")
    return index_listing(list_source(folder, None, Columns()))[0]


def run(place: Path, table: ClipTable, config: Settings, *, units: int | None = None) -> FeatureStore:
    """What the job does, in short; `units` stands for a run that was killed when so many were done."""
    store = open_store(place) if place.exists() else create_store(place, config, source="here")
    plan = plan_features(table, config, store.progress(), store.committed())
    store.grow(plan.n_shards)
    task = ExtractTask(store, table.root, row_schema(table.rows.schema))
    list(SerialEngine().run(task, list(plan.units())[::-1][:units]))  # backwards, so that a kill leaves holes
    return open_store(place)


def examples(store: FeatureStore) -> dict[tuple[str, str, int, int], np.ndarray]:
    """Features by uri, channel, variant and window."""
    rows = store.rows()
    names = zip(rows["uri"], rows["channel"], rows["variant"], rows["window"], strict=True)
    values = store.read_rows(rows["row"].to_numpy())
    found = dict(zip(names, values, strict=True))
    assert len(found) == len(rows), "no example is there twice"
    return found


@pytest.mark.parametrize(
    ("channels", "views"),
    [
        ("mix", {1: ["mix"], 2: ["mix"], 5: ["mix"]}),
        ("first", {1: ["1"], 2: ["1"], 5: ["1"]}),
        ("each", {1: ["1"], 2: ["1", "2"], 5: ["1", "2", "3", "4", "5"]}),
        ("left-right-mix", {1: ["mix"], 2: ["1", "2", "mix"], 5: ["1", "2", "mix"]}),
    ],
)
def test_channels_are_the_examples_that_the_settings_ask_for(tmp_path: Path, channels: str, views: dict):
    table, config = sounds(tmp_path / "a", *views), settings(channels=channels)
    store = run(tmp_path / "store", table, config)
    expected = {}
    for clip in table.rows.to_pylist():
        path = tmp_path / "a" / clip["uri"]
        for view in views[clip["channels"]]:
            samples = load_audio(path, sample_rate=RATE, channel=None if view == "mix" else int(view) - 1)
            for window in range(2):
                part = samples[window * 4000 : (window + 1) * 4000]
                expected[clip["uri"], view, 0, window] = compute_features(np.pad(part, (0, 4000 - len(part))), config)
    found = examples(store)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=str(name))


def test_variants_are_what_the_policy_says_of_each_class(tmp_path: Path):
    table, config = sounds(tmp_path / "a", 1, 1), settings(variants=POLICY)
    store = run(tmp_path / "store", table, config)
    assert config.variants is not None
    rows = store.rows()
    assert {uri: sorted(set(part["variant"])) for uri, part in rows.groupby("uri")} == {
        "dog/0.wav": [0, 1, 2, 3],
        "cat/1.wav": [0, 1],
    }
    assert rows.loc[rows["variant"] == 0, "augmentation"].isna().all()
    assert rows.loc[rows["variant"] > 0, "augmentation"].notna().all()
    found, clips = examples(store), {clip["uri"]: clip for clip in table.rows.to_pylist()}
    for row in rows[rows["variant"] > 0].to_dict("records"):
        clip, window = clips[row["uri"]], row["window"]
        part = load_audio(tmp_path / "a" / row["uri"], sample_rate=RATE)[window * 4000 : (window + 1) * 4000]
        made = apply_effects(
            np.pad(part, (0, 4000 - len(part))),
            len(part),
            variants=config.variants,
            number=row["variant"],
            labels=clip["labels"],
            clip_id=clip["clip_id"],
            window=window,
            sample_rate=RATE,
        )
        name = (row["uri"], "mix", row["variant"], window)
        np.testing.assert_array_equal(found[name], compute_features(made.samples, config), err_msg=str(name))
        assert row["augmentation"] == made.done
        assert row["valid_frames"] == n_frames(config.frontend, made.valid)


def test_variants_carry_their_clips_group_and_labels(tmp_path: Path):
    table = sounds(tmp_path / "a", 1, 1)
    at = table.rows.column_names.index("group")
    grouped = ClipTable(table.rows.set_column(at, "group", [["site 1", "site 2"]]), table.root)
    rows = run(tmp_path / "store", grouped, settings(variants=POLICY)).rows()
    assert (rows.groupby("clip_id")["group"].nunique() == 1).all()
    assert set(rows["group"]) == {"site 1", "site 2"}
    assert {tuple(labels) for labels in rows.loc[rows["uri"] == "dog/0.wav", "labels"]} == {("dog",)}


@pytest.mark.parametrize("sections", [{"channels": "each"}, {"channels": "left-right-mix", "variants": POLICY}])
@pytest.mark.parametrize("rows_per_shard", [1, 3, 64])
def test_a_killed_run_goes_on_to_the_same_store(tmp_path: Path, sections: dict, rows_per_shard: int):
    table = sounds(tmp_path / "a", 2, 1, 3)
    config = settings(layout={"rows_per_chunk": 1, "rows_per_shard": rows_per_shard}, **sections)
    whole = run(tmp_path / "whole", table, config)
    for units in (1, 2, 1, None):
        killed = run(tmp_path / "killed", table, config, units=units)
    one, two = examples(whole), examples(killed)
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])
    assert len(plan_features(table, config, killed.progress(), killed.committed())) == 0
    assert [problem for shard in killed.committed() for problem in verify_shard(killed, shard)] == []
    assert verify_clips(killed) == []


def test_the_plan_counts_clips_and_not_their_examples(tmp_path: Path):
    table, config = sounds(tmp_path / "a", 2, 2, seconds=0.5), settings(channels="each", variants=POLICY)
    plan = plan_features(table, config)
    assert (plan.clips, plan.todo_clips, plan.windows, plan.done) == (2, 2, 2 * (4 + 2), 0)
    assert plan.bytes_to_read == sum(table.rows["size_bytes"].to_pylist())
    store = run(tmp_path / "store", table, config, units=1)
    plan = plan_features(table, config, store.progress(), store.committed())
    assert (plan.done, plan.todo_clips, plan.windows) == (0, 2, 8), "a clip is done when all its examples are"
    store = run(tmp_path / "store", table, config, units=1)
    plan = plan_features(table, config, store.progress(), store.committed())
    assert (plan.done, plan.todo_clips, plan.windows) == (1, 1, 4)


def test_a_clip_that_cannot_be_read_is_one_failed_clip(tmp_path: Path):
    table = sounds(tmp_path / "a", 2, 2)
    (tmp_path / "a" / "dog" / "0.wav").unlink()
    store = run(tmp_path / "store", table, settings(channels="each", variants=POLICY))
    plan = plan_features(table, store.settings, store.progress(), store.committed())
    assert (plan.done, plan.failed_before, len(plan)) == (1, 1, 0)
    again = plan_features(table, store.settings, store.progress(), store.committed(), retry_failed=True)
    assert again.todo_clips == 1


def test_a_table_that_knows_too_few_channels_is_told(tmp_path: Path):
    """The plan believes the table; a file with fewer channels fails in those that it has not."""
    table = sounds(tmp_path / "a", 1)
    at = table.rows.column_names.index("channels")
    more = ClipTable(table.rows.set_column(at, "channels", pa.array([2], pa.int32())), table.root)
    store = run(tmp_path / "store", more, settings(channels="each"))
    row_index = store.row_index()
    failed = row_index[row_index["status"] == "failed"]
    assert failed["channel"].tolist() == ["2"]
    assert failed["error"].str.contains("DecodeError: .*channel").all()


def labelled(table: ClipTable, labels: dict[str, str]) -> ClipTable:
    """The same clips, some with other labels."""
    new = [[labels[clip["uri"]]] if clip["uri"] in labels else clip["labels"] for clip in table.rows.to_pylist()]
    at = table.rows.column_names.index("labels")
    return ClipTable(table.rows.set_column(at, "labels", pa.array(new, pa.list_(pa.string()))), table.root)


def test_a_clip_labelled_anew_has_the_variants_of_its_new_class(tmp_path: Path):
    """Those of its old class are left behind: another rule made them."""
    rules = [
        {"labels": ["dog"], "count": 2, "transforms": [{"kind": "gain", "gain_db": 20}]},
        {"labels": ["cat"], "count": 1, "transforms": [{"kind": "gain", "gain_db": -20}]},
    ]
    table, config = sounds(tmp_path / "a", 1, 1), settings(variants={"rules": rules})
    run(tmp_path / "store", table, config)
    relabelled = labelled(table, {"dog/0.wav": "cat"})
    run(tmp_path / "store", relabelled, config).update_rows(relabelled.rows)
    store, fresh = open_store(tmp_path / "store"), run(tmp_path / "fresh", relabelled, config)
    one, two = examples(store), examples(fresh)
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=str(name))
    assert len(plan_features(relabelled, config, store.progress(), store.committed())) == 0
    run(tmp_path / "store", table, config).update_rows(table.rows)
    back = plan_features(table, config, store.progress(), store.committed())
    assert len(back) == 0, "what the first labels made is still there"
    assert examples(open_store(tmp_path / "store")).keys() > one.keys()


@pytest.mark.parametrize("rows_per_shard", [2, 4, 64])
def test_a_failed_clip_has_no_rows_however_its_windows_fall_into_shards(tmp_path: Path, rows_per_shard: int):
    samples = np.random.default_rng(0).normal(0, 0.1, 4 * RATE)
    samples[3 * RATE] = np.nan
    (tmp_path / "a" / "dog").mkdir(parents=True)
    soundfile.write(tmp_path / "a" / "dog" / "0.wav", samples, RATE, subtype="FLOAT")
    table = index_listing(list_source(tmp_path / "a", None, Columns()))[0]
    layout = {"rows_per_chunk": 1, "rows_per_shard": rows_per_shard}
    store = run(tmp_path / "store", table, settings(layout=layout))
    assert len(store.rows()) == 0
    assert plan_features(table, store.settings, store.progress(), store.committed()).failed_before == 1


def test_a_clip_of_unknown_channels_fails_where_channels_are_examples(tmp_path: Path):
    table = sounds(tmp_path / "a", 2)
    at = table.rows.column_names.index("channels")
    unknown = ClipTable(table.rows.set_column(at, "channels", pa.nulls(1, pa.int32())), table.root)
    store = run(tmp_path / "store", unknown, settings(channels="each"))
    assert store.rows().empty
    assert store.row_index()["error"].iloc[0].startswith("ChannelMismatch: how many channels it has is unknown")
    assert len(run(tmp_path / "mix", unknown, settings()).rows()) == 2, "the mix needs no number"


def test_attempts_do_not_tell_whether_a_run_was_killed(tmp_path: Path):
    table, config = sounds(tmp_path / "a", 2, 1), settings(channels="each", variants=POLICY)
    for units in (1, 1, None):
        store = run(tmp_path / "killed", table, config, units=units)
    assert set(store.rows()["attempts"]) == {1}


@given(st.lists(st.tuples(st.one_of(st.none(), st.integers(1, 8)), st.sampled_from(["dog", "cat"])), min_size=1))
def test_takes_are_distinct_and_all_of_a_clips_stand_together(clips: list):
    config = settings(channels="each", variants=POLICY)
    entries = [
        {"clip_id": clip_id(f"{number}"), "uri": f"{number}", "labels": [label], "channels": channels}
        for number, (channels, label) in enumerate(clips)
    ]
    takes = expand_examples(make_table(entries, Path("/")).rows, config)
    frame: pd.DataFrame = takes.rows.select(["clip_id", "channel", "variant"]).to_pandas()  # a rule apart, they differ
    assert not frame.duplicated().any()
    assert (np.diff(takes.clip) >= 0).all()
    expected = [(channels or 1) * (4 if label == "dog" else 2) for channels, label in clips]
    assert np.bincount(takes.clip).tolist() == expected
