"""Every command on places in a bucket, as a user types them; and credentials that are nowhere to be found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hubbub.io.paths import parse_path
from hubbub.labels.tables import open_labels
from hubbub.store.opening import open_store
from tests.jobs.command import hubbub, refuse, succeed
from tests.servers.server import Server

SERIAL = ("--cluster", "serial")
NAMES = ["a b #1.ogg", "straße ☃?.ogg", "100%25.ogg", "[x]*.ogg", "q?versionId=3.ogg", "up/../back.ogg"]
"""Of the clips of each class."""


def put(server: Server, address: str, data: bytes) -> None:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    server.client().put_object(Bucket=bucket, Key=key, Body=data)


def copy_folder(server: Server, folder: Path, address: str) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            put(server, f"{address}/{path.relative_to(folder).as_posix()}", path.read_bytes())


@pytest.fixture
def sounds(esc10_mini: Path, tmp_path: Path, s3: str, moto_server: Server) -> Path:
    """Twelve real clips of two classes in ``s3://…/my sounds``, and the same in a folder here."""
    paths = sorted((esc10_mini / "audio").iterdir())[:12]
    for number, path in enumerate(paths):
        kind, at = ("dog", number) if number < 6 else ("rain #2", number - 6)
        name = f"{kind}/{NAMES[at]}"
        put(moto_server, f"{s3}/my sounds/{name}", path.read_bytes())
        local = tmp_path / "sounds" / name.replace("up/../", "up/dots/")
        local.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, local)
    return tmp_path / "sounds"


def values(address: object) -> dict[str, np.ndarray]:
    store = open_store(str(address))
    rows = store.rows()
    names = [uri.replace("up/../", "up/dots/") for uri in rows["uri"]]
    return dict(zip(names, store.read_rows(rows["row"].to_numpy()), strict=True))


def test_the_whole_chain_in_a_bucket_is_the_chain_here(
    s3: str, moto_server: Server, sounds: Path, tmp_path: Path, bundle: Path
):
    """index, features, label, events, export, report: equal to the bit; and no word of the credentials anywhere."""
    secret, said = moto_server.secret, []
    log, here = tmp_path / "log.jsonl", tmp_path / "here"
    clips, store, labels = f"{s3}/out/clips #1.parquet", f"{s3}/out/my store", f"{s3}/out/labels"
    copy_folder(moto_server, bundle, f"{s3}/models/my bundle")

    def run(*words: object) -> None:
        said.append(succeed(*words))

    run("index", f"{s3}/my sounds", "-o", clips)
    run("features", clips, "-o", store, *SERIAL, "--log-json", log)
    run("label", clips, "--model", f"{s3}/models/my bundle", "-o", labels, *SERIAL, "--hop", 2.5, "--log-json", log)
    run("events", labels, "--threshold", 0.2)
    run("export", labels, "--format", "raven", "-o", f"{s3}/out/raven")
    run("report", labels, "-o", f"{s3}/out/report.html")

    here.mkdir()
    succeed("index", sounds, "-o", here / "clips.parquet")
    succeed("features", here / "clips.parquet", "-o", here / "store", *SERIAL)
    succeed("label", here / "clips.parquet", "--model", bundle, "-o", here / "labels", *SERIAL, "--hop", 2.5)
    succeed("events", here / "labels", "--threshold", 0.2)

    there, wanted = values(store), values(here / "store")
    assert set(there) == set(wanted)
    assert len(there) == 12
    for name, features in wanted.items():
        np.testing.assert_array_equal(there[name], features)
    scores = {name: open_labels(str(name)).windows() for name in (labels, here / "labels")}
    by_name = {name: frame.assign(uri=frame["uri"].str.replace("up/../", "up/dots/")) for name, frame in scores.items()}
    one, other = (frame.sort_values(["uri", "start_s"], ignore_index=True) for frame in by_name.values())
    assert one["uri"].tolist() == other["uri"].tolist()
    np.testing.assert_array_equal(np.stack(one["scores"]), np.stack(other["scores"]))
    assert len(open_labels(labels).events()) == len(open_labels(here / "labels").events()) > 0

    keys = moto_server.keys(f"{s3}/out")
    assert sum(key.startswith("out/raven/") for key in keys) == 12
    assert "out/report.html" in keys
    client, bucket = moto_server.client(), s3.removeprefix("s3://")
    written = [client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]
    everything = [*written, *(text.encode() for text in said), log.read_bytes()]
    assert [text for text in everything if secret.encode() in text] == []
    assert [text for text in everything if b"AWS_SECRET" in text] == []


@pytest.mark.slow
def test_training_and_testing_on_a_store_in_a_bucket(s3: str, moto_server: Server, store: Path, tmp_path: Path):
    copy_folder(moto_server, store, f"{s3}/store")
    words = ("--epochs", 1, "--model", "seed-cnn")
    succeed("train", f"{s3}/store", "-o", tmp_path / "bundle", *words)
    copy_folder(moto_server, tmp_path / "bundle", f"{s3}/bundle")
    succeed("evaluate", f"{s3}/bundle", f"{s3}/store", "-o", tmp_path / "evaluation")
    copy_folder(moto_server, tmp_path / "evaluation", f"{s3}/evaluation")
    succeed("report", f"{s3}/evaluation", "-o", tmp_path / "report.html")
    assert "macro" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("train", "{s3}/store", "-o", "{s3}/b"),
            "expected a folder on this machine; train into a folder here, then copy",
        ),
        (
            ("evaluate", "{s3}/b", "{s3}/store", "-o", "{s3}/e"),
            "expected a folder on this machine; evaluate into a folder here",
        ),
        (("index", "gs://x/y", "-o", "c.parquet"), "gs://x/y: gs:// is not read or written; expected a local path"),
        (("index", "{s3}/no where", "-o", "c.parquet"), "no where does not exist; expected a folder of recordings"),
        (("label", "{s3}/a", "--model", "{s3}/m", "-o", "{s3}/l"), "/m is no model bundle; make one with: hubbub"),
        (("events", "{s3}/nothing"), "/nothing holds no label tables; make them with: hubbub label"),
        (("report", "{s3}/nothing", "-o", "r.html"), "/nothing holds neither an evaluation nor label tables"),
        (("export", "s3://", "--format", "csv", "-o", "x"), "s3://: names no bucket; expected s3://bucket/prefix"),
        (("events", "{s3}/a/../b"), "has the part '..', which no folder can have"),
    ],
)
def test_what_cannot_be_says_what_to_type(s3: str, words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in refuse(*(word.format(s3=s3) for word in words))
    assert list(tmp_path.iterdir()) == []


def test_file_addresses_and_plain_paths_are_one(archive: Path, tmp_path: Path):
    (tmp_path / "x y").symlink_to(archive)
    succeed("index", f"file://{tmp_path}/x%20y", "-o", f"file://{tmp_path}/my%20clips.parquet")
    succeed("index", tmp_path / "x y", "-o", tmp_path / "plain.parquet")
    one, other = (pq.read_table(tmp_path / name) for name in ("my clips.parquet", "plain.parquet"))
    assert one.equals(other)


def test_a_storage_file_leads_to_the_server_and_is_not_repeated(
    s3: str, moto_server: Server, esc10_mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Given after the addresses it holds for them all the same."""
    put(moto_server, f"{s3}/a/1.ogg", next((esc10_mini / "audio").iterdir()).read_bytes())
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    storage = tmp_path / "storage.yaml"
    held = {"endpoint_url": moto_server.url, "access_key_id": "my-key-id", "secret_access_key": "my-secret-words"}
    storage.write_text(json.dumps(held))  # which is YAML, too
    done = hubbub("index", f"{s3}/a", "-o", f"{s3}/clips.parquet", "--storage", storage)
    assert done.returncode == 0, done.stderr
    assert "my-secret-words" not in done.stdout + done.stderr
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    assert b"my-" not in parse_path(f"{s3}/clips.parquet").read_bytes()
    storage.write_text("secret: my-secret-words")
    said = refuse("index", f"{s3}/a", "-o", f"{s3}/c.parquet", "--storage", storage)
    assert "unknown entry 'secret'" in said
    assert "my-secret-words" not in said


def test_a_server_that_is_not_there_stops_before_anything_is_written(s3: str, clips: Path, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    said = refuse("index", f"{s3}/a", "-o", tmp_path / "c.parquet")
    assert "no S3 server answers at http://127.0.0.1:9" in said
    assert not (tmp_path / "c.parquet").exists()
