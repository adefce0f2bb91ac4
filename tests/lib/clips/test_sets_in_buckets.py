"""Every format in a bucket: the same rows as of the folder that was copied there."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from hubbub.clips.index import index_listing
from hubbub.clips.sources import Columns, Listing, list_formats, list_source
from hubbub.clips.sources.tree import is_audio
from hubbub.io.paths import StoragePath, parse_path
from tests.servers.server import Server

RAVEN = "Selection\tView\tBegin Time (s)\tEnd Time (s)\tSpecies\n1\tSpectrogram 1\t0.1\t0.2\twren\n"
STRONG = "filename\tonset\toffset\tevent_label\n"
SPLIT_TABLE = ",test_cat,test_dog,train_cat,train_dog\n0,c1.wav,d1.wav,c2.wav,d2.wav\n"
PATTERN = "(?P<label>[a-z]+)_(?P<group>[a-z]+)_.*"

TREES: dict[str, dict[str, str]] = {
    "esc50": {
        "ESC-50-master/meta/esc50.csv": "filename,fold,category,src_file,take\n1-1-A-0.wav,1,dog,1,A\n",
        "ESC-50-master/audio/1-1-A-0.wav": "",
    },
    "urbansound8k": {
        "UrbanSound8K/metadata/UrbanSound8K.csv": "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
        "1-3-0-0.wav,1,0,0.3,1,5,3,dog_bark\n",
        "UrbanSound8K/audio/fold5/1-3-0-0.wav": "",
    },
    "urbansound-kaggle": {
        "urban/train.csv": "ID,Class\n0,siren\n1,drilling\n",
        "urban/test.csv": "ID\n5\n",
        "urban/Train/0.wav": "",
        "urban/Train/1.wav": "",
        "urban/Test/5.wav": "",
    },
    "fsd50k": {
        "FSD50K.ground_truth/dev.csv": 'fname,labels,mids,split\n1,"Rain,Wind",/m/1,val\n',
        "FSD50K.ground_truth/eval.csv": "fname,labels,mids\n9,Rain,/m/1\n",
        "FSD50K.dev_audio/1.wav": "",
        "FSD50K.eval_audio/9.wav": "",
    },
    "audioset": {
        "eval_segments.csv": "# YTID, start_seconds, end_seconds, positive_labels\n"
        '--PJHxphWEs, 0.000, 0.100, "/m/09x0r"\n--ZhevVpy1s, 50.000, 60.000, "/m/09x0r"\n',
        "class_labels_indices.csv": "index,mid,display_name\n0,/m/09x0r,Speech\n",
        "audio/--PJHxphWEs.wav": "",
        "audio/--ZhevVpy1s_50.000.wav": "",
    },
    "dcase-scenes": {
        "meta.csv": "filename\tscene_label\tidentifier\naudio/bus-paris-7-201-a.wav\tbus\tparis-7\n",
        "evaluation_setup/fold1_evaluate.csv": "filename\tscene_label\naudio/bus-paris-7-201-a.wav\tbus\n",
        "audio/bus-paris-7-201-a.wav": "",
    },
    "dcase-events": {
        "metadata/train/synthetic.tsv": f"{STRONG}1.wav\t0\t0.1\tDog\n",
        "metadata/validation/validation.tsv": f"{STRONG}1.wav\t0\t0.1\tSpeech\n",
        "audio/train/synthetic/1.wav": "",
        "audio/validation/1.wav": "",
    },
    "xeno-canto": {
        "meta/page.json": '{"recordings": [{"id": "7", "gen": "Strix", "sp": "aluco", "lat": "51"}]}',
        "owls/XC7-owl.wav": "",
    },
    "selections": {
        "garden.wav": "",
        "garden.Table.1.selections.txt": RAVEN,
        "x/roof.wav": "",
        "notes/roof.txt": "0.1\t0.2\train\n",
    },
    "split-columns": {
        "split.csv": SPLIT_TABLE,
        **{f"cats_dogs/{name}.wav": "" for name in ("test/cats/c1", "test/dogs/d1", "train/cat/c2", "train/dog/d2")},
    },
    "suggestions": {
        "suggestions.csv": "uri,start_s,end_s,suggested,label,verdict\na.wav,0,0.1,dog,,yes\nb.wav,0.1,0.2,dog,rain,\n",
        "a.wav": "",
        "b.wav": "",
    },
    "exported": {
        "clips.csv": "clip,label,uri,onset_at,clip_onset_s,recorded_at,group,problem\n"
        "dog/1-0.9-a-1.0s.flac,dog,a.wav,2026-05-17T04:30:01Z,1,2026-05-17T04:30:00Z,park,\n"
        "dog #2/1-0.9-a-1.0s.flac,dog #2,a.wav,,1,,,\n,dog,b.wav,,,,,gone\n",
        "dog/1-0.9-a-1.0s.flac": "",
        "dog #2/1-0.9-a-1.0s.flac": "",
    },
    "heart-sounds": {"set a/extrahls__201101070953.wav": "", "normal_noisynormal_101_13_A.wav": ""},
    "spoken-digits": {"7_jackson_32.wav": "", "0_theo_4.wav": ""},
    "city-sounds": {"berlin/berlin_calm_17.wav": "", "malmö/malmö_chaotic_3.wav": ""},
    "splits": {"set/train/cat/1.wav": "", "set/train/dog/2.wav": "", "set/test/cats/3.wav": "", "set/test/x/4.wav": ""},
    "folder": {"dog/1.wav": "", "dog bark #2/2.WAV": "", "日本/3.wav": "", "notes.txt": "x"},
    "flat": {"20260517_043000.wav": "", "day-2/4.wav": ""},
    "csv": {
        "meta/t.csv": "file,kind,city\n1.wav,dog,Oslo\nb 2.wav,rain,Malmö\n",
        "audio/1.wav": "",
        "audio/b 2.wav": "",
    },
    "names": {"x/dog_garden_1.wav": "", "x/rain_roof_2.wav": ""},
}
"""A little tree a format: texts by path; recordings are made."""

TABLES = {
    "esc50": "ESC-50-master/meta/esc50.csv",
    "urbansound8k": "UrbanSound8K/metadata/UrbanSound8K.csv",
    "urbansound-kaggle": "urban/train.csv",
    "fsd50k": "FSD50K.ground_truth/eval.csv",
    "audioset": "eval_segments.csv",
    "dcase-scenes": "meta.csv",
    "dcase-events": "metadata/validation/validation.tsv",
    "split-columns": "split.csv",
    "suggestions": "suggestions.csv",
    "exported": "clips.csv",
    "csv": "meta/t.csv",
}
"""Tables that formats open by."""


def contents(tree: Mapping[str, str]) -> dict[str, bytes]:
    return {
        name: record(number) if is_audio(name) else text.encode() for number, (name, text) in enumerate(tree.items())
    }


def record(number: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(number).uniform(-0.5, 0.5, 1000 + number), 4000, format="WAV")
    return file.getvalue()


def list_rows(listing: Listing) -> list[dict[str, Any]]:
    """Rows of the clip table without what tells the two places apart."""
    table, unreadable = index_listing(listing)
    assert unreadable == []
    assert None not in table.rows["duration_s"].to_pylist()
    return table.rows.drop_columns(["version"]).to_pylist()


def listed(source: StoragePath, format: str) -> Listing:
    columns = Columns(path="file", label="kind") if format == "csv" else Columns()
    return list_source(source, "auto", columns, pattern=PATTERN if format == "names" else None)


def test_every_format_has_a_tree():
    # Label tables say where their recordings lie, so reviews of two places are not alike: test_reviewed_clips.py.
    assert {*TREES, "reviews"} == set(list_formats())


@pytest.mark.parametrize(("format", "source"), [(name, None) for name in TREES if name != "csv"] + list(TABLES.items()))
def test_a_bucket_gives_the_rows_of_the_folder(
    s3: str, moto_server: Server, tmp_path: Path, format: str, source: str | None
):
    client, bucket = moto_server.client(), s3.removeprefix("s3://")
    for name, content in contents(TREES[format]).items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(content)
        client.put_object(Bucket=bucket, Key=f"deep/my set #1/{name}", Body=content)
    here_root, there_root = tmp_path / "set", f"{s3}/deep/my set #1"
    here = listed(here_root / source if source else here_root, format)
    there = listed(parse_path(f"{there_root}/{source}" if source else there_root), format)
    if format not in ("csv", "names"):
        assert here.evidence.startswith(f"read as {format}: ")
    assert there.evidence == here.evidence
    assert list_rows(there) == list_rows(here)
    assert str(there.root).removeprefix(there_root) == str(here.root).removeprefix(str(here_root))
    assert [note.replace(there_root, "") for note in there.notes] == [
        note.replace(str(here_root), "") for note in here.notes
    ]
