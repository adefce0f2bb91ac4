"""Clips in a bucket: whatever a key is called, that key is read and no other; what changed is refused."""

from __future__ import annotations

import io
import shutil
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from hubbub.audio import remote
from hubbub.clips.index import index_listing
from hubbub.clips.sources import Columns, Listing, bucket, list_source
from hubbub.clips.table import ClipTable, make_table, read_table, resolve_uri, write_table
from hubbub.config import load_settings
from hubbub.engine.serial import SerialEngine
from hubbub.errors import ClipTableError, UsageError
from hubbub.io.paths import parse_path
from hubbub.planning.plan import plan_features
from hubbub.store.features import FeatureStore
from hubbub.store.opening import create_store, open_store
from hubbub.store.rows import row_schema
from hubbub.tasks.extract import ExtractTask
from tests.servers.server import Server

KEYS = [
    "plain.wav",
    "two words.wav",
    " lead and trail .wav",
    "a#b?c=d&e.wav",
    "straße ☃.wav",
    "100%25 %2F.wav",
    "[x]*.wav",
    "{y}~!$'().wav",
    "x?versionId=3.wav",
    "class/../up.wav",
    "class/./here.wav",
    "class//gap.wav",
    "/front.wav",
    "odd://name.wav",
    "back\\slash.wav",
    "tab\there.wav",
]
"""Names that paths, addresses, patterns or s3fs would take for something else."""

RATE = 8000
CONFIG = [f"frontend.sample_rate={RATE}", "frontend.n_fft=256", "frontend.hop_samples=128", "frontend.n_mels=16"]
CONFIG += ["windows.duration_s=0.5", "layout.rows_per_shard=4", "layout.rows_per_chunk=1"]


def sound(number: int, seconds: float = 0.6, kind: tuple[str, str] = ("WAV", "PCM_16")) -> bytes:
    file = io.BytesIO()
    samples = np.random.default_rng(number).normal(0, 0.1, round(RATE * seconds))
    soundfile.write(file, samples, RATE, format=kind[0], subtype=kind[1])
    return file.getvalue()


client = lru_cache(maxsize=1)(Server.client)


def put(server: Server, address: str, key: str, data: bytes) -> None:
    bucket_, _, prefix = address.removeprefix("s3://").partition("/")
    client(server).put_object(Bucket=bucket_, Key=f"{prefix}/{key}" if prefix else key, Body=data)


def listed(address: str, name: str | None = None, **columns: str) -> Listing:
    return list_source(parse_path(address), name, Columns(**columns))


def uris(listing: Listing) -> list[str]:
    return [clip["uri"] for clip in listing.clips]


def indexed(address: str) -> ClipTable:
    table, unreadable = index_listing(listed(address, "flat"))
    assert unreadable == []
    return table


def run(folder: Path, table: ClipTable, *config: str) -> FeatureStore:
    store = create_store(folder, load_settings(None, [*CONFIG, *config]), source="here")
    plan = plan_features(table, store.settings)
    store.grow(plan.n_shards)
    list(SerialEngine().run(ExtractTask(store, table.root, row_schema(table.rows.schema)), plan.units()))
    return open_store(folder)


def values_by_uri(store: FeatureStore) -> dict[str, np.ndarray]:
    rows = store.rows()
    return dict(zip(rows["uri"], store.read_rows(rows["row"].to_numpy()), strict=True))


def failures(store: FeatureStore) -> dict[str, str]:
    row_index = store.row_index()
    failed = row_index[row_index["status"] == "failed"]
    return dict(zip(failed["uri"], failed["error"], strict=True))


def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every request for an object from here on: method and key."""
    from s3fs import S3FileSystem

    seen: list[tuple[str, str]] = []
    really = S3FileSystem.call_s3

    def noted(self, method, *args, **options):
        seen.append((method, options.get("Key", "")))
        return really(self, method, *args, **options)

    monkeypatch.setattr(S3FileSystem, "call_s3", noted)
    return seen


def test_every_key_is_listed_and_read_as_itself(s3: str, moto_server: Server, tmp_path: Path):
    """The oracle: the same sounds under plain names on this machine."""
    for number, key in enumerate(KEYS):
        put(moto_server, f"{s3}/deep/er", key, sound(number))
        (tmp_path / "sounds").mkdir(exist_ok=True)
        (tmp_path / "sounds" / f"{number:02d}.wav").write_bytes(sound(number))
    for decoy in ("deep/up.wav", "deep/er/up.wav", "deep/er/class/here.wav", "deep/er/class/gap.wav", "front.wav"):
        put(moto_server, s3, decoy, sound(99))
    table = indexed(f"{s3}/deep/er")
    held = dict(zip(table.rows["uri"].to_pylist(), table.rows.to_pylist(), strict=True))
    names = {key: f"{s3}/deep/er/{key}" if "://" in key else key for key in KEYS}
    assert set(names.values()) <= set(held)
    assert len(held) == len(KEYS) + 3
    here, _ = index_listing(list_source(tmp_path / "sounds", "flat", Columns()))
    there = values_by_uri(run(tmp_path / "there", table))
    wanted = values_by_uri(run(tmp_path / "here", here))
    for number, key in enumerate(KEYS):
        row = held[names[key]]
        assert (row["size_bytes"], row["duration_s"], row["sample_rate"]) == (len(sound(number)), 0.6, RATE)
        np.testing.assert_array_equal(there[names[key]], wanted[f"{number:02d}.wav"])


def test_a_bucket_is_listed_like_the_folder_that_it_was(s3: str, moto_server: Server, tmp_path: Path):
    names = ["dog/1.wav", "dog/deep/2.wav", "dog-2/x.wav", "rain/3.OGG", "rain/notes.txt", ".hid/4.wav", "rain/.5.wav"]
    for name in names:
        put(moto_server, f"{s3}/set", name, b"x")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    put(moto_server, f"{s3}/set", "empty.wav/", b"")
    put(moto_server, f"{s3}/set2", "other.wav", b"x")
    here, there = list_source(tmp_path, None, Columns()), listed(f"{s3}/set")
    assert [(clip["uri"], clip["labels"]) for clip in there.clips] == [(c["uri"], c["labels"]) for c in here.clips]
    assert there.notes == here.notes
    assert str(there.root) == f"{s3}/set"
    assert uris(listed(f"{s3}/set2")) == ["other.wav"]
    assert next(iter(listed(f"{s3}/set2").clips))["labels"] == []  # flat: recordings lie in the folder itself


def test_keys_with_doubled_slashes_are_listed_in_every_format(s3: str, moto_server: Server):
    for key in ("train//x.wav", "train/dog/1.wav", "test/cat/2.wav", "test/cat//3.wav"):
        put(moto_server, s3, key, b"x")
    for name in (None, "splits", "folder", "flat"):
        assert set(uris(listed(s3, name))) == {"train//x.wav", "train/dog/1.wav", "test/cat/2.wav", "test/cat//3.wav"}


def test_listings_of_many_pages_are_whole(s3: str, moto_server: Server, monkeypatch: pytest.MonkeyPatch):
    for number in range(25):
        put(moto_server, s3, f"{number:02d}.wav", b"x")
    folder = parse_path(s3)
    really = folder.fs.call_s3
    monkeypatch.setattr(folder.fs, "call_s3", lambda *args, **options: really(*args, **options, MaxKeys=10))
    assert [held.name for held in bucket.list_objects(folder)] == [f"{number:02d}.wav" for number in range(25)]


def test_a_csv_beside_its_recordings(s3: str, moto_server: Server, esc10_mini: Path):
    """Also where the audio lies in ``audio/`` or ``../audio``, and by whole addresses."""
    for name in ("a.wav", "b .wav"):
        put(moto_server, f"{s3}/x/audio", name, sound(1))
    put(moto_server, f"{s3}/x", "meta/t.csv", b"file,kind\na.wav,dog\nb .wav,cat\n")
    put(moto_server, f"{s3}/x", "t.csv", b"file,kind\na.wav,dog\n")
    put(moto_server, s3, "t.csv", f"file,kind\n{s3}/x/audio/b .wav,dog\n".encode())
    columns = {"path": "file", "label": "kind"}
    for source in ("x/meta/t.csv", "x/t.csv"):
        found = listed(f"{s3}/{source}", **columns)
        assert str(found.root) == f"{s3}/x/audio"
        assert found.clips[0] == {"uri": "a.wav", "labels": ["dog"]}
    whole = listed(f"{s3}/t.csv", **columns)
    assert uris(whole) == [f"{s3}/x/audio/b .wav"]
    assert index_listing(whole)[0].rows["duration_s"].to_pylist() == [0.6]
    put(moto_server, f"{s3}/y", "t.csv", b"file\nno.wav\n")
    with pytest.raises(ClipTableError, match="none of its 1 file exists, not even no.wav"):
        listed(f"{s3}/y/t.csv", path="file")
    put(moto_server, f"{s3}/esc", "esc.csv", (esc10_mini / "esc10.csv").read_bytes())
    for path in sorted((esc10_mini / "audio").iterdir())[:2]:
        put(moto_server, f"{s3}/esc/audio", path.name, path.read_bytes())
    assert listed(f"{s3}/esc/esc.csv").clips[0]["group"] == "172649"


def test_clip_tables_go_anywhere_and_come_back(s3: str, moto_server: Server, tmp_path: Path):
    put(moto_server, f"{s3}/my set", "a.wav", sound(0))
    table = indexed(f"{s3}/my set")
    for where in (parse_path(f"{s3}/my tables/c#1?.parquet"), tmp_path / "c.parquet"):
        write_table(table, where)
        again = read_table(where)
        assert again.rows.equals(table.rows)
        assert str(again.root) == f"{s3}/my set"
        assert resolve_uri("a.wav", again.root).path == f"{s3}/my set/a.wav".removeprefix("s3://")
    assert moto_server.keys(f"{s3}/my tables") == ["my tables/c#1?.parquet"]


def test_a_table_that_others_made_lies_where_its_recordings_do(s3: str, moto_server: Server):
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table({"clip_id": ["1"], "uri": ["a.wav"], "labels": [["x"]]}), file)
    put(moto_server, f"{s3}/p", "t.parquet", file.getvalue())
    assert str(read_table(parse_path(f"{s3}/p/t.parquet")).root) == f"{s3}/p"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("http://example.org/a.wav", "'http://example.org/a.wav': http:// is not read; give local paths, file://"),
        ("gs://bucket/a.wav", "gs:// is not read"),
        ("s3://bucket", "'s3://bucket' names no recording in a bucket; expected s3://bucket/key"),
        ("s3:///a.wav", "names no recording in a bucket"),
        ("s3://bucket/", "names no recording"),
    ],
)
def test_other_addresses_are_refused_before_anything_starts(uri: str, message: str, tmp_path: Path):
    with pytest.raises(ClipTableError, match=message):
        resolve_uri(uri, tmp_path)
    with pytest.raises(ClipTableError, match=f"the clips: .*{message}"):
        make_table([{"clip_id": "1", "uri": uri, "labels": []}], tmp_path)


@pytest.mark.parametrize("uri", ["", "a.wav/"])
def test_what_no_key_can_be_is_refused(uri: str):
    with pytest.raises(ClipTableError, match="names no recording in a bucket"):
        resolve_uri(uri, parse_path("s3://bucket/prefix"))


def test_what_is_missing_or_no_audio_is_a_line_and_a_failed_row(s3: str, moto_server: Server, tmp_path: Path):
    put(moto_server, s3, "good.wav", sound(0))
    put(moto_server, s3, "text.wav", b"no sound")
    put(moto_server, s3, "empty.wav", b"")
    clips = [{"uri": uri, "labels": []} for uri in ("good.wav", "text.wav", "empty.wav", "x/gone.wav")]
    table, unreadable = index_listing(Listing(parse_path(s3), clips))
    name = s3.removeprefix("s3://")
    assert unreadable == [
        "text.wav: text.wav is not audio that can be decoded (Format not recognised)",
        "empty.wav: empty.wav is not audio that can be decoded (the file is empty: 0 bytes)",
        f"x/gone.wav: gone.wav cannot be opened (no such key: x/gone.wav in bucket {name})",
    ]
    assert table.rows["size_bytes"].to_pylist()[1:] == [8, 0, None]
    failed = failures(run(tmp_path / "store", table))
    assert set(failed) == {"text.wav", "empty.wav", "x/gone.wav"}
    assert failed["x/gone.wav"].startswith("DecodeError: gone.wav cannot be opened (no such key")


def test_changed_content_is_refused_and_nothing_is_read_of_it(s3: str, moto_server: Server, tmp_path: Path):
    for number in range(2):
        put(moto_server, s3, f"{number}.wav", sound(number))
    table = indexed(s3)
    put(moto_server, s3, "1.wav", sound(7))
    store = run(tmp_path / "store", table)
    assert failures(store) == {"1.wav": "FileChanged: changed since it was indexed; index it again"}
    assert set(values_by_uri(store)) == {"0.wav"}
    assert indexed(s3).rows["version"].to_pylist()[1] != table.rows["version"].to_pylist()[1]


def test_a_table_without_versions_takes_what_is_there(s3: str, moto_server: Server, tmp_path: Path):
    put(moto_server, s3, "0.wav", sound(0))
    table = indexed(s3)
    at = table.rows.column_names.index("version")
    put(moto_server, s3, "0.wav", sound(7))
    for value, name in ((None, "none"), ("12-34", "other")):
        rows = table.rows.set_column(at, "version", pa.array([value], pa.string()))
        assert failures(run(tmp_path / name, ClipTable(rows, table.root))) == {}


@pytest.mark.parametrize("kind", [("WAV", "PCM_16"), ("OGG", "OPUS")])
def test_a_long_recording_is_fetched_once_for_all_its_units(
    s3: str, moto_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: tuple[str, str]
):
    """Also one that is decoded onward, from unit to unit."""
    put(moto_server, s3, "long.wav", sound(0, 20, kind))
    table = indexed(s3)
    seen = requests(monkeypatch)
    store = run(tmp_path / "store", table, "windows.mode=all")
    assert len(store.committed()) == 10
    assert [request for request in seen if request[1] == "long.wav"] == [("get_object", "long.wav")]
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "long.wav").write_bytes(sound(0, 20, kind))
    here, _ = index_listing(list_source(tmp_path / "here", "flat", Columns()))
    local = run(tmp_path / "local", here, "windows.mode=all")
    count = np.arange(len(local.rows()))
    np.testing.assert_array_equal(store.read_rows(count), local.read_rows(count))


def test_local_recordings_cost_no_more_than_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One stat a clip, to see whether it has changed, and no copy."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "0.wav").write_bytes(sound(0))
    table, _ = index_listing(list_source(tmp_path / "here", "flat", Columns()))
    stats: list[Path] = []
    really = Path.stat
    monkeypatch.setattr(Path, "stat", lambda self, **options: stats.append(self) or really(self, **options))
    monkeypatch.setattr(remote, "_cache_of_process", lambda process: pytest.fail("a local file was copied"))
    run(tmp_path / "store", table)
    assert [path for path in stats if path.suffix == ".wav"] == [tmp_path / "here" / "0.wav"]


def test_a_bucket_that_is_not_there_stops_the_run_and_fails_no_clip(s3: str, moto_server: Server, tmp_path: Path):
    put(moto_server, s3, "0.wav", sound(0))
    table = indexed(s3)
    gone = ClipTable(table.rows, parse_path("s3://no-such-bucket-here"))
    with pytest.raises(remote.BucketError, match=r"s3://no-such-bucket-here/0\.wav: there is no bucket"):
        run(tmp_path / "store", gone)
    assert open_store(tmp_path / "store").committed() == []
    with pytest.raises(UsageError, match="does not exist"):
        listed("s3://no-such-bucket-here/x")


def test_an_empty_folder_of_a_bucket_says_so(s3: str, moto_server: Server):
    put(moto_server, s3, "docs/a.txt", b"x")
    with pytest.raises(ClipTableError, match=r"docs holds no recordings \(found: 1 \.txt\)"):
        listed(f"{s3}/docs")
    with pytest.raises(ClipTableError, match="nowhere does not exist"):
        listed(f"{s3}/nowhere")


def test_sounds_of_other_formats_come_out_the_same(s3: str, moto_server: Server, esc10_mini: Path, tmp_path: Path):
    """Twenty real clips, Ogg Vorbis, under names that make trouble: values equal the local ones to the bit."""
    (tmp_path / "here").mkdir()
    paths = sorted((esc10_mini / "audio").iterdir())[:20]
    for number, path in enumerate(paths):
        name = f"{number} #{number}? é&%41 [{number}].ogg"
        put(moto_server, f"{s3}/a b", name, path.read_bytes())
        shutil.copy(path, tmp_path / "here" / name)
    here, _ = index_listing(list_source(tmp_path / "here", None, Columns()))
    there = indexed(f"{s3}/a b")
    for column in ("clip_id", "uri", "duration_s", "sample_rate", "channels", "size_bytes"):
        assert there.rows[column].equals(here.rows[column])
    wanted, got = values_by_uri(run(tmp_path / "1", here)), values_by_uri(run(tmp_path / "2", there))
    assert list(wanted) == list(got)
    for uri, values in wanted.items():
        np.testing.assert_array_equal(got[uri], values)


def test_long_recordings_take_turns_where_there_is_room_for_one(
    s3: str, moto_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Their decoders go on in copies that are gone by name."""
    (tmp_path / "here").mkdir()
    (tmp_path / "copies").mkdir()
    for number in range(3):
        data = sound(number, 5, ("OGG", "OPUS"))
        put(moto_server, s3, f"{number}.ogg", data)
        (tmp_path / "here" / f"{number}.ogg").write_bytes(data)
    copies = remote.CopyCache(tmp_path / "copies", kept_bytes=1)
    monkeypatch.setattr(remote, "_cache_of_process", lambda process: copies)
    here, _ = index_listing(list_source(tmp_path / "here", "flat", Columns()))
    local, there = (
        run(tmp_path / name, table, "windows.mode=all") for name, table in (("1", here), ("2", indexed(s3)))
    )
    count = np.arange(len(local.rows()))
    np.testing.assert_array_equal(there.read_rows(count), local.read_rows(count))
    assert list((tmp_path / "copies").iterdir()) == []
