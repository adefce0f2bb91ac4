"""Damage of every kind is done to a real store: `hubbub verify` names it, and `--repair` brings every value back."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubbub.errors import HubbubError, StoreError
from hubbub.io.lock import LOCK_FOLDER
from hubbub.jobs.features import features
from hubbub.jobs.index import index
from hubbub.jobs.verify import verify
from hubbub.store.features import FeatureStore
from hubbub.store.opening import open_store
from hubbub.store.parts import part_path, read_part, write_part
from tests.examples import count_examples

SETTINGS = [
    *("frontend.sample_rate=8000", "frontend.n_fft=256", "frontend.hop_samples=128", "frontend.n_mels=16"),
    *("windows.duration_s=0.5", "windows.mode=all", "layout.rows_per_shard=4", "layout.rows_per_chunk=2"),
]
SECONDS = [1.0, 2.0, 1.5, 0.5, 1.0]
"""Of 0.wav to 4.wav: 12 windows in shards 0 to 2; 1.wav lies in two of them. 5.wav is no sound, alone in shard 3."""


@dataclass(frozen=True)
class Built:
    """A store as `hubbub features` made it, with the recordings and the clip table it was made from."""

    sounds: Path
    clips: Path
    store: Path


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    text: str


def command(job: Callable[..., None], *words: object, **options: object) -> Said:
    """Run a job in this process, as the command line does."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            job(*words, **options)
            code = 0
        except typer.Exit as ended:
            code = ended.exit_code
        except HubbubError as error:
            code = error.exit_code
            said.write(str(error))
    return Said(code, said.getvalue())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, table_order: None) -> Built:
    folder = tmp_path_factory.mktemp("damage")
    sounds = folder / "sounds"
    sounds.mkdir()
    for number, seconds in enumerate(SECONDS):
        samples = np.random.default_rng(number).normal(0, 0.1, round(seconds * 8000))
        soundfile.write(sounds / f"{number}.wav", samples, 8000)
    (sounds / "5.wav").write_text("no sound")
    built = Built(sounds, folder / "clips.parquet", folder / "store")
    command(index, sounds, built.clips)
    assert command(features, built.clips, built.store, set_=SETTINGS, cluster="serial").code == 1  # 5.wav
    assert open_store(built.store).committed() == [0, 1, 2, 3]
    return built


@pytest.fixture
def built(made: Built, tmp_path: Path) -> Built:
    """A copy of the store to be damaged; recordings and clip table are those that all tests share."""
    shutil.copytree(made.store, tmp_path / "store")
    return Built(made.sounds, made.clips, tmp_path / "store")


@pytest.fixture
def apart(made: Built, tmp_path: Path) -> Built:
    """A copy of recordings, clip table and store, of which all may be damaged."""
    sounds = shutil.copytree(made.sounds, tmp_path / "sounds")
    built = Built(sounds, tmp_path / "clips.parquet", tmp_path / "store")
    command(index, sounds, built.clips)
    command(features, built.clips, built.store, set_=SETTINGS, cluster="serial")
    return built


def values_of(store: FeatureStore) -> dict[tuple[str, int], bytes]:
    """Every example of a store, to the bit."""
    rows = store.rows()
    values = store.read_rows(rows["row"].to_numpy(np.int64))
    return {(uri, window): v.tobytes() for uri, window, v in zip(rows["uri"], rows["window"], values, strict=True)}


def shard(store: Path, number: int) -> Path:
    return store / "features.zarr" / "features" / "c" / str(number) / "0" / "0"


def part(store: Path, number: int) -> Path:
    return part_path(store / "rows", number)


def cut(path: Path, share: float = 0.6) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def flip(path: Path, share: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * share)] ^= 0xFF
    path.write_bytes(data)


def swap(one: Path, other: Path) -> None:
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)


def make(path: Path, data: bytes = b"something") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def edit(path: Path, change: Callable[[dict], None]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def changed(path: Path, number: int, **columns: object) -> None:
    """Write a row part anew with other values in its first row."""
    rows, mark = read_part(path / "rows", number)
    data = rows.to_pylist()
    data[0] |= columns
    write_part(path / "rows", number, type(rows).from_pylist(data, schema=rows.schema), mark)


def marked(path: Path, number: int, **entries: object) -> None:
    """Write a row part anew with another mark of where it belongs."""
    rows, mark = read_part(path / "rows", number)
    write_part(path / "rows", number, rows, mark | entries)


ARRAY = "features.zarr/features/zarr.json"


def other_values(store: Path) -> None:
    """A shard that another store would have at this place: whole, and of the same shape."""
    opened = open_store(store)
    rows, mark = read_part(store / "rows", 1)
    opened.write_shard(1, opened.read_shard(1) + np.float16(1), rows)
    write_part(store / "rows", 1, rows, mark)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a shard is gone": (
        lambda s: shard(s, 1).unlink(),
        r"features.zarr shard 1: is missing, with .*4 rows .*holds 1.wav, 2.wav",
    ),
    "a shard is cut short": (
        lambda s: cut(shard(s, 0)),
        r"shard 0: rows cannot be decoded: it is cut short or damaged",
    ),
    "a shard is empty": (lambda s: cut(shard(s, 0), 0), r"shard 0: rows cannot be decoded"),
    "two shards are swapped": (
        lambda s: swap(shard(s, 0), shard(s, 1)),
        r"(?s)shard 0: no checksum of its 4 rows .*shard 1: no checksum of its 4 rows",
    ),
    "another store's shard": (other_values, r"shard 1: no checksum of its 4 rows matches"),
    "a shard is a folder": (
        lambda s: (shard(s, 1).unlink(), shard(s, 1).mkdir()),
        r"shard 1: (cannot be read|is missing)",
    ),
    "a row part is torn": (lambda s: cut(part(s, 1)), r"rows/00000001.parquet: cannot be read, it is torn"),
    "a row part is empty": (lambda s: cut(part(s, 2), 0), r"rows/00000002.parquet: cannot be read, it is torn"),
    "two row parts are swapped": (lambda s: swap(part(s, 0), part(s, 1)), r"00000000.parquet: is foreign: .*is part 1"),
    "a row part is another store's": (lambda s: marked(s, 1, store_id="ab" * 16), r"is foreign: .*of the store abab"),
    "a row part has other settings": (lambda s: marked(s, 0, settings_hash="0"), r"is foreign: .*settings 0;"),
    "a row part is gone": (lambda s: part(s, 1).unlink(), r"shard 1: has no row part: it is left over from a run"),
    "a shard without a row part": (
        lambda s: shutil.copytree(shard(s, 1).parents[1], shard(s, 9).parents[1]),
        r"shard 9: has no row part: it is left over",
    ),
    "a half-written shard": (
        lambda s: make(shard(s, 1).with_name(".0.partial-77")),
        r"c/1/0/.0.partial-77: is left over",
    ),
    "a half-written row part": (
        lambda s: make(s / "rows" / ".00000007.parquet.partial-77"),
        r"partial-77: is left over",
    ),
    "no description of the array": (lambda s: (s / ARRAY).unlink(), rf"{ARRAY}: is missing; it can be written again"),
    "a torn description": (lambda s: cut(s / ARRAY), rf"{ARRAY}: is damaged \(JSONDecodeError"),
    "another array's description": (
        lambda s: edit(s / ARRAY, lambda d: d.update(shape=[12, 3, 3])),
        rf"{ARRAY}: is damaged or another array's \(frames and bands",
    ),
    "another codec": (
        lambda s: edit(s / ARRAY, lambda d: d["codecs"][0]["configuration"].update(index_location="start")),
        rf"{ARRAY}: is damaged or another array's \(its codecs",
    ),
    "an array that is too short": (
        lambda s: edit(s / ARRAY, lambda d: d.update(shape=[4, *d["shape"][1:]])),
        rf"{ARRAY}: has room for 4 rows, and the committed shards need 16",
    ),
    "a coordinate is gone": (lambda s: shutil.rmtree(s / "features.zarr/band_hz"), r"features.zarr/band_hz: .*missing"),
    "bands have no values": (lambda s: (s / "features.zarr/band_hz/c/0").unlink(), r"band_hz: .*values are missing"),
    "frames have no values": (lambda s: (s / "features.zarr/frame_s/c/0").unlink(), r"frame_s: .*not those of the"),
    "a coordinate is torn": (lambda s: cut(s / "features.zarr/frame_s/c/0"), r"features.zarr/frame_s: .*damaged"),
    "a checksum is another": (lambda s: changed(s, 0, crc32=7), r"row 0 \(0.wav, window 0\) has another checksum"),
    "a row stands twice": (lambda s: changed(s, 0, row=1), r"rows/00000000.parquet: row 1 stands there twice"),
    "a status nobody knows": (lambda s: changed(s, 0, status="maybe"), r"1 row with a status that is none of ok"),
}
"""What is done to a store, and what verify says of it."""


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_and_mended(damage: str, built: Built, made: Built) -> None:
    do, words = DAMAGES[damage]
    do(built.store)
    said = command(verify, built.store)
    assert said.code == 1, said.text
    assert re.search(words, said.text), said.text
    mended = command(verify, built.store, repair=True)
    assert mended.code == 0, mended.text
    assert values_of(open_store(built.store)) == values_of(open_store(made.store))
    again = command(verify, built.store, clips=built.clips)
    assert again.code == 0, again.text
    assert not (built.store / "broken").exists()


def test_all_at_once_is_mended(built: Built, made: Built) -> None:
    for number in range(3):
        cut(part(built.store, number))
    shutil.rmtree(built.store / "features.zarr" / "features")
    mended = command(verify, built.store, repair=True)
    assert mended.code == 0, mended.text
    store, whole = open_store(built.store), open_store(made.store)
    assert values_of(store) == values_of(whole)
    pd.testing.assert_frame_equal(store.rows(), whole.rows())
    assert store.row_index()["status"].value_counts().to_dict() == whole.row_index()["status"].value_counts().to_dict()


def test_a_good_store_is_left_as_it_is(built: Built) -> None:
    before = {path: path.read_bytes() for path in objects(built.store)}
    assert command(verify, built.store, repair=True).code == 0
    assert {path: path.read_bytes() for path in objects(built.store)} == before


def test_foreign_files_are_named_and_left_alone(built: Built) -> None:
    for name in ("rows/notes.txt", "features.zarr/labels/zarr.json", "features.zarr/features/c/x", "rows/1.parquet"):
        make(built.store / name)
    make(built.store / "rows" / ".DS_Store")
    said = command(verify, built.store, repair=True)
    assert said.code == 1
    for name in ("rows/notes.txt", "features.zarr/labels/zarr.json", "features.zarr/features/c/x", "rows/1.parquet"):
        assert f"{name}: is nothing that hubbub wrote" in said.text
        assert (built.store / name).exists()
    assert "DS_Store" not in said.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda hubbub: hubbub.update(format="hubbub-features/99"), "has the format hubbub-features/99; this hubbub"),
        (lambda hubbub: hubbub.update(settings_hash="0"), "its settings hash to .* expected 0"),
        (lambda hubbub: hubbub.pop("settings"), "is no description of a feature store: KeyError"),
    ],
)
def test_a_store_that_cannot_be_known_is_refused(change: Callable, message: str, built: Built) -> None:
    edit(built.store / "features.zarr" / "zarr.json", lambda document: change(document["attributes"]["hubbub"]))
    for repair in (False, True):
        said = command(verify, built.store, repair=repair)
        assert said.code == 2
        assert re.search(message, said.text), said.text


def test_without_its_settings_a_store_cannot_be_mended(built: Built) -> None:
    (built.store / "features.zarr" / "zarr.json").unlink()
    said = command(verify, built.store, repair=True)
    assert said.code == 2
    assert "zarr.json is missing, though the store has rows. Copy it from where" in said.text


def test_a_repair_that_breaks_off_is_taken_up_by_the_next(built: Built, made: Built, monkeypatch) -> None:
    import hubbub.pipelines.repair

    shard(built.store, 0).unlink()
    flip(shard(built.store, 2), 0.3)
    with monkeypatch.context() as patch:
        patch.setattr(hubbub.pipelines.repair, "run_plan", lambda *_, **__: (_ for _ in ()).throw(StoreError("killed")))
        assert "killed" in command(verify, built.store, repair=True).text
    assert sorted(path.name for path in (built.store / "broken").iterdir()) == ["00000000.parquet", "00000002.parquet"]
    built.clips.rename(built.clips.with_name("away"))  # the parts put aside tell enough
    try:
        said = command(verify, built.store)
        assert said.code == 1
        assert "broken: 2 row parts moved aside by a repair that did not finish" in said.text
        assert command(verify, built.store, repair=True).code == 0
    finally:
        built.clips.with_name("away").rename(built.clips)
    assert values_of(open_store(built.store)) == values_of(open_store(made.store))
    assert command(verify, built.store, clips=built.clips).code == 0


def test_where_no_table_is_left_a_torn_part_is_told_how_to_mend(apart: Built, made: Built) -> None:
    table = apart.clips.rename(apart.clips.with_name("moved.parquet"))
    cut(part(apart.store, 0))
    said = command(verify, apart.store, repair=True)
    assert said.code == 1
    assert f"hubbub features CLIPS -o {apart.store}, then: hubbub verify {apart.store} --repair" in said.text
    command(features, table, apart.store, cluster="serial")
    assert command(verify, apart.store, repair=True).code == 0
    assert values_of(open_store(apart.store)) == values_of(open_store(made.store))


def test_a_clip_table_tells_what_a_torn_part_held(apart: Built, made: Built) -> None:
    table = apart.clips.rename(apart.clips.with_name("moved.parquet"))
    cut(part(apart.store, 0))
    said = command(verify, apart.store, clips=table)
    assert "1 clip of the clip table missing from the store (holds 0.wav)" in said.text
    assert command(verify, apart.store, clips=table, repair=True).code == 0
    assert values_of(open_store(apart.store)) == values_of(open_store(made.store))


@pytest.mark.parametrize("gone", ["removed", "changed"])
def test_rows_whose_recording_is_gone_are_failed_rows_and_no_good_row_is_lost(apart: Built, gone: str) -> None:
    before = values_of(open_store(apart.store))
    flip(shard(apart.store, 0), 0.1)  # rows 0 and 1, which are 0.wav; 1.wav has the two others, and they are good
    for name in ("0.wav", "1.wav"):
        (apart.sounds / name).unlink()
        if gone == "changed":
            soundfile.write(apart.sounds / name, np.zeros(4000), 8000)
    said = command(verify, apart.store, repair=True)
    assert said.code == 1, said.text
    assert "1 clip could not be computed again" in said.text
    store = open_store(apart.store)
    assert values_of(store) == {name: value for name, value in before.items() if name[0] != "0.wav"}
    failed = store.row_index().set_index("uri")["error"].dropna()
    assert set(failed.index) == {"0.wav", "5.wav"}
    assert command(verify, apart.store, clips=apart.clips).code == 0


def test_a_clip_retried_counts_as_the_last_time_after_a_repair(apart: Built, tmp_path: Path) -> None:
    """The first attempt, which failed, stands in another part: it must not win over the one that is made again."""
    store, sound = tmp_path / "retried", apart.sounds / "0.wav"
    away = sound.rename(tmp_path / "0.wav")
    command(features, apart.clips, store, set_=SETTINGS, cluster="serial")
    away.rename(sound)
    command(features, apart.clips, store, retry_failed=True, cluster="serial")
    before, rows = values_of(open_store(store)), open_store(store).rows()
    counts = rows.set_index(["uri", "window"])["attempts"].to_dict()
    assert counts["0.wav", 0] == 2
    cut(shard(store, int(rows.set_index("uri")["row"]["0.wav"].iloc[0]) // 4))
    assert command(verify, store, repair=True).code == 0
    assert values_of(open_store(store)) == before
    assert open_store(store).rows().set_index(["uri", "window"])["attempts"].to_dict() == counts


def objects(store: Path) -> list[Path]:
    """Every object that a store is made of, but the settings, without which it is none."""
    group = store / "features.zarr" / "zarr.json"
    found = (path for path in store.rglob("*") if path.is_file() and LOCK_FOLDER not in path.parts)
    return sorted(path for path in found if path != group)


@settings(max_examples=count_examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_flipped_or_cut_is_found_or_harmless(made: Built, tmp_path: Path, data: st.DataObject) -> None:
    store = tmp_path / "store"
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(made.store, store)
    path = data.draw(st.sampled_from(objects(store)))
    before = path.read_bytes()
    at = data.draw(st.integers(0, len(before) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(before[:at])
    else:
        path.write_bytes(before[:at] + bytes([before[at] ^ data.draw(st.integers(1, 255))]) + before[at + 1 :])
    said = command(verify, store)
    assert said.code in (0, 1), said.text
    if said.code == 0:
        assert values_of(open_store(store)) == values_of(open_store(made.store))


@pytest.mark.parametrize("damage", DAMAGES)
def test_reading_refuses_or_gives_what_was_written(damage: str, built: Built, made: Built) -> None:
    """What is not refused is right, or not a number, or has another checksum than its row says."""
    whole = values_of(open_store(made.store))
    DAMAGES[damage][0](built.store)
    try:
        store = open_store(built.store)
        rows, values = store.rows(), values_of(store)
    except (HubbubError, ValueError, OSError):
        return
    sums = rows.set_index(["uri", "window"])["crc32"].to_dict()
    for name, value in values.items():
        wrong = whole.get(name) != value
        assert not wrong or np.isnan(np.frombuffer(value, np.float16)).any() or zlib.crc32(value) != sums[name]
