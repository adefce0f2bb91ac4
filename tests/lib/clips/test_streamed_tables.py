"""A table that is made part by part is the one that is made at once, whatever the format."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

import hubbub
from hubbub.clips import index as clips_index
from hubbub.clips import table, table_parts
from hubbub.clips.index import probe_clip
from hubbub.clips.sources import Columns, list_formats, list_source
from hubbub.clips.sources.tree import Tree
from hubbub.clips.table import ClipTable, clip_id, make_table, read_table, write_table
from hubbub.clips.table_parts import TableParts
from hubbub.errors import ClipTableError
from hubbub.io import spool
from hubbub.io.paths import parse_path

SOUND = None
SEGMENTS = "# YTID, start_seconds, end_seconds, positive_labels\n"
RAVEN = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tAnnotation\n"
BIRD = {"gen": "Strix", "sp": "aluco", "rec": "A. Bird"}

TREES: dict[str, dict[str, str | None]] = {
    "esc50": {
        "meta/esc50.csv": "filename,fold,target,category,esc10,src_file,take\n"
        "1-1-A-0.wav,1,0,dog,True,1,A\n1-1-B-0.wav,1,0,dog,True,1,B\n2-7-A-1.wav,2,1,rain,False,7,A\n",
        **dict.fromkeys(("audio/1-1-A-0.wav", "audio/1-1-B-0.wav", "audio/2-7-A-1.wav")),
    },
    "urbansound8k": {
        "metadata/UrbanSound8K.csv": "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
        "1-3-0-0.wav,1,0,0.5,1,5,3,dog_bark\n2-2-0-1.wav,2,58.5,62.5,1,5,2,children\n3-3-0-2.wav,3,1,5,2,1,3,dog_bark\n",
        **dict.fromkeys(("audio/fold5/1-3-0-0.wav", "audio/fold5/2-2-0-1.wav", "audio/fold1/3-3-0-2.wav")),
    },
    "urbansound-kaggle": {
        "train.csv": "ID,Class\n0,siren\n1,drilling\n",
        "test.csv": "ID\n5\n6\n",
        **dict.fromkeys(("Train/0.wav", "Train/1.wav", "Test/5.wav")),
    },
    "fsd50k": {
        "FSD50K.ground_truth/dev.csv": 'fname,labels,mids,split\n6,"Guitar,Music","/m/0,/m/1",train\n7,Rain,/m/2,val\n',
        "FSD50K.ground_truth/eval.csv": "fname,labels,mids\n3,Rain,/m/2\n",
        **dict.fromkeys(("FSD50K.dev_audio/6.wav", "FSD50K.dev_audio/7.wav", "FSD50K.eval_audio/3.wav")),
    },
    "audioset": {
        "eval_segments.csv": f'{SEGMENTS}--PJHxphWEs, 0.1, 0.2, "/m/0,/t/1"\n--ZhevVpy1s, 50.000, 60.000, "/m/1"\n'
        '--PJHxphWEs, 0.3, 0.4, "/m/0"\n',
        **dict.fromkeys(("audio/--PJHxphWEs.wav", "audio/Y--ZhevVpy1s_50.000.flac")),
    },
    "dcase-scenes": {
        "meta.csv": "filename\tscene_label\tidentifier\n"
        "a/bus-oslo-7-2-a.wav\tbus\to-7\na/park-rome-1-4-a.wav\tpark\tr-1\n",
        **dict.fromkeys(("a/bus-oslo-7-2-a.wav", "a/park-rome-1-4-a.wav")),
    },
    "dcase-events": {
        "x.tsv": "filename\tonset\toffset\tevent_label\n"
        "a.wav\t0.1\t0.2\tDishes\na.wav\t0.3\t0.4\tSpeech\nb.wav\t\t\t\n",
        **dict.fromkeys(("audio/a.wav", "audio/b.wav")),
    },
    "xeno-canto": {
        "page.json": json.dumps({"recordings": [BIRD | {"id": "1", "lat": "51.8"}, BIRD | {"id": "2"}]}),
        **dict.fromkeys(("XC1-owl.wav", "more/xc2.wav")),
    },
    "selections": {
        "garden.Table.1.selections.txt": f"{RAVEN}1\tW 1\t1\t0.1\t0.2\twren\n2\tW 1\t1\t0.2\t0.4\towl\n",
        "roof.txt": "0.1\t0.3\train\n",
        **dict.fromkeys(("garden.wav", "roof.flac")),
    },
    "split-columns": {
        "split.csv": ",test_cat,test_dog,train_cat\n0,a.wav,b.wav,c.wav\n1,,,d.wav\n",
        **dict.fromkeys(("x/a.wav", "x/b.wav", "x/c.wav", "x/d.wav")),
    },
    "suggestions": {
        "suggestions.csv": "rank,uri,start_s,end_s,suggested,score,label,verdict,city\n"
        "1,a.wav,0,0.2,dog,0.5,,right,Oslo\n2,a.wav,0.2,0.4,dog,0.5,rain;wind,wrong,\n3,b.wav,0,0.2,dog,0.4,,,\n",
        **dict.fromkeys(("a.wav", "b.wav")),
    },
    "exported": {
        "clips.csv": "clip,label,uri,onset_at,clip_onset_s,recorded_at,group,problem,city\n"
        "dog/1-0.9-a-1.0s.flac,dog,a.wav,,1,,,,Oslo\ndog/2-0.9-b-1.0s.flac,dog,b.wav,,1,,park,,\n,dog,c.wav,,,,,gone,\n",
        **dict.fromkeys(("dog/1-0.9-a-1.0s.flac", "dog/2-0.9-b-1.0s.flac")),
    },
    "heart-sounds": dict.fromkeys(
        ("extrahls__201101070953.wav", "normal_noisynormal_101_A.wav", "Bunlabelledtest__101_B.wav")
    ),
    "spoken-digits": dict.fromkeys(("7_jackson_32.wav", "0_theo_4.wav", "1_theo_4.wav")),
    "city-sounds": dict.fromkeys(("berlin/berlin_calm_17.wav", "new-york/new-york_chaotic_3.wav")),
    "splits": dict.fromkeys(("train/cat/1.wav", "train/dog/2.wav", "test/cats/3.wav", "test/dogs/4.wav")),
    "folder": dict.fromkeys(
        (
            "dog/1.wav",
            "dog/deep/2.flac",
            "dog-2/x.wav",
            "dog.3/y.ogg",
            "dog/deep.wav",
            "rain/GARDEN_20260517_043000.wav",
        )
    ),
    "flat": dict.fromkeys(("a.wav", "day-2/GARDEN_20260517_043000.wav", "day-10/4.wav", "b.wav")),
    "csv": {
        "clips.csv": "path,label,start,end,mood,depth\na.wav,dog,,,,1\na.wav,dog,0,0.1,,2\nb.wav,cat,,,,3\n"
        "none.wav,cat,,,wild,4.5\n",
        **dict.fromkeys(("a.wav", "b.wav")),
    },
    "names": dict.fromkeys(("x/dog_garden_3.wav", "x/rain_roof_1.flac", "x/odd.wav")),
}
COLUMNS = {"csv": Columns(path="path", label="label", start_s="start", end_s="end")}
PATTERNS = {"names": r"(?P<label>[a-z]+)_(?P<group>[a-z]+)_(?P<fold>\d)"}


@pytest.fixture(params=[1, 2, 1000])
def parts_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Clips a part: so few that small trees have several, on the disk too."""
    monkeypatch.setattr(clips_index, "_AHEAD", request.param)
    monkeypatch.setattr(table_parts, "_ROWS_A_GROUP", 2 * request.param)
    monkeypatch.setattr(table, "_ROWS_READ", 2 * request.param)
    for name in ("_RUN", "_RUN_PAGE", "_PAGE"):
        monkeypatch.setattr(spool, name, request.param)
    monkeypatch.setattr(spool, "_IN_MEMORY_BYTES", 64 * request.param)
    return request.param


def make_tree(folder: Path, files: dict[str, str | None]) -> Path:
    for number, (name, text) in enumerate(files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            path.write_text(text, encoding="utf-8")
        else:
            noise = np.random.default_rng(number).uniform(-0.5, 0.5, (4000 + number, 1 + number % 2))
            soundfile.write(path, noise, 8000)
    return folder


def make_at_once(source: Path, format: str) -> ClipTable:
    """The oracle: all clips in a list."""
    listing = list_source(source, format, COLUMNS.get(format, Columns()), pattern=PATTERNS.get(format))
    return make_table([probe_clip(clip, listing.root)[0] for clip in list(listing.clips)], listing.root)


def index_streamed(source: Path, out: Path, format: str, **others: Any) -> ClipTable:
    columns = {name: value for name, value in vars(COLUMNS.get(format, Columns())).items() if value is not None}
    return hubbub.index(source, out, format=format, columns=columns, pattern=PATTERNS.get(format), **others)


def test_every_format_is_here() -> None:
    assert {*TREES, "reviews"} == set(list_formats())  # whose recordings lie elsewhere: test_reviewed_clips.py


@pytest.mark.parametrize("format", TREES)
def test_a_streamed_table_is_the_one_made_at_once(format: str, tmp_path: Path, parts_of: int) -> None:
    tree = make_tree(tmp_path / "tree", TREES[format])
    source = tree / "clips.csv" if format == "csv" else tree
    wanted = make_at_once(source, format)
    found = index_streamed(source, tmp_path / "clips.parquet", format)
    assert found.rows.schema == wanted.rows.schema
    assert found.rows.to_pylist() == wanted.rows.to_pylist()
    assert found.rows.equals(wanted.rows)
    assert found.root == wanted.root
    write_table(wanted, tmp_path / "wanted.parquet")
    schemas = [pq.read_schema(tmp_path / f"{name}.parquet") for name in ("clips", "wanted")]
    assert schemas[0].equals(schemas[1], check_metadata=True)
    assert hubbub.index(source, format=format, columns=vars(COLUMNS.get(format, Columns())),
                        pattern=PATTERNS.get(format)).rows.equals(wanted.rows)  # fmt: skip


@pytest.mark.parametrize("format", ["folder", "flat", "splits", "csv", "city-sounds"])
def test_appended_clips_follow_those_that_are_there(format: str, tmp_path: Path, parts_of: int) -> None:
    files = TREES[format]
    tree, out = tmp_path / "tree", tmp_path / "clips.parquet"
    sounds = sorted(name for name, text in files.items() if text is None)
    source = tree / "clips.csv" if format == "csv" else tree
    make_tree(tree, files)
    if format == "csv":
        source.write_text("\n".join((files["clips.csv"] or "").splitlines()[:3]))
    else:
        (tree / sounds[0]).rename(tmp_path / "away")
    before = index_streamed(source, out, format)
    if format == "csv":
        source.write_text(files["clips.csv"] or "")
    else:
        (tmp_path / "away").rename(tree / sounds[0])
    found = index_streamed(source, out, format, append=True)
    at_once = {row["clip_id"]: row for row in make_at_once(source, format).rows.to_pylist()}
    rows = found.rows.to_pylist()
    assert [row["clip_id"] for row in rows[: len(before)]] == before.rows["clip_id"].to_pylist()
    assert len(rows) == len(at_once) > len(before)
    assert {row["clip_id"]: row for row in rows} == at_once
    assert index_streamed(source, out, format, append=True).rows.equals(found.rows)


def walk_at_once(folder: Path) -> Iterator[str]:
    """The oracle of the order: the files of a folder, sorted, before its sub-folders."""
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield PurePosixPath(Path(where).relative_to(folder) / name).as_posix()


def test_files_come_before_sub_folders_on_a_disk_and_in_a_bucket(s3: str, tmp_path: Path, parts_of: int) -> None:
    names = [
        "b.wav",
        "a/b.wav",
        "a.wav",
        "a/b/c.wav",
        "a-b/c.wav",
        "a b/c.wav",
        "a/b-c.wav",
        "a0/x.wav",
        "é/ü.wav",
        "Z",
    ]
    root = parse_path(f"{s3}/archive")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
        (root / name).write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    wanted = list(walk_at_once(tmp_path))
    here, there = Tree(tmp_path), Tree(root)
    assert [path for path, _ in here.files()] == [path for path, _ in there.files()] == wanted
    folders = dict(here.survey.by_folder.items())
    assert folders == dict(there.survey.by_folder.items())
    assert folders == {".": 2, "a": 2, "a/b": 1, "a b": 1, "a-b": 1, "a0": 1, "é": 1}
    assert (here.survey.recordings, dict(here.survey.others)) == (9, {"no ending": 1})


def test_a_bucket_is_listed_once(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts_of: int) -> None:
    from s3fs import S3FileSystem

    make_tree(tmp_path / "tree", TREES["folder"])
    root = parse_path(f"{s3}/archive")
    for name in TREES["folder"]:
        (root / name).write_bytes((tmp_path / "tree" / name).read_bytes())
    listed, really = [], S3FileSystem.call_s3

    def note(self: S3FileSystem, method: str, *words: Any, **options: Any) -> Any:
        is_listing = method == "list_objects_v2" and options.get("MaxKeys") != 1  # one object: is it a folder?
        listed.extend([options["Prefix"]] if is_listing else [])
        return really(self, method, *words, **options)

    monkeypatch.setattr(S3FileSystem, "call_s3", note)
    found = hubbub.index(str(root), tmp_path / "there.parquet")
    assert listed == ["archive/"]
    here = make_at_once(tmp_path / "tree", "folder")
    for name in ("clip_id", "uri", "labels", "size_bytes", "duration_s", "sample_rate", "channels"):
        assert found.rows[name].to_pylist() == here.rows[name].to_pylist(), name


def clip(uri: str, **columns: Any) -> dict[str, Any]:
    return {"clip_id": clip_id(uri, columns.get("start_s"), columns.get("end_s")), "uri": uri, "labels": [], **columns}


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 2.5],
        [None, None, "late"],
        [None, None, None],
        [1.5, None, 3],
        [[], ["a"], None],
        [{"a": 1}, {"b": "x"}, {"a": 2.5}],
        [True, None, False],
    ],
)
def test_a_carried_column_has_the_type_of_all_parts(values: list[Any], tmp_path: Path, parts_of: int) -> None:
    clips = [clip(f"{number}.wav", carried=value) for number, value in enumerate(values)]
    parts = TableParts(tmp_path)
    for number in reversed(range(0, len(clips), parts_of)):  # parts come in any order
        if number % parts_of == 0:
            parts.add(number, clips[number : number + parts_of])
    assert parts.make_table().rows.equals(make_table(clips, tmp_path).rows)


def test_a_column_that_is_found_late_is_null_before(tmp_path: Path) -> None:
    parts = TableParts(tmp_path)
    parts.add(0, [clip("a.wav", first=1)])
    parts.add(1, [clip("b.wav", gain_db=3.5), clip("c.wav", site="roof")])
    rows = parts.make_table().rows
    assert rows.column_names[-3:] == ["first", "gain_db", "site"]
    assert rows.select(["first", "gain_db", "site"]).to_pylist() == [
        {"first": 1, "gain_db": None, "site": None},
        {"first": None, "gain_db": 3.5, "site": None},
        {"first": None, "gain_db": None, "site": "roof"},
    ]


@pytest.mark.parametrize(
    ("parts_given", "message"),
    [
        ([], "the clips: no clips; expected at least one"),
        (
            [[clip("a.wav")], [clip("b.wav"), clip("a.wav")]],
            r"1 clip more than once, such as a\.wav; keep one row each",
        ),
        (
            [[clip("a.wav", x="1")], [clip("b.wav", x=1)]],
            "the clips do not fit the clip table: .*give each column values",
        ),
        ([[clip("a.wav", x=1, labels=None)]], "column 'labels' has 1 empty values"),
        ([[clip("a.wav")], [clip("b.wav", windows=1)]], "column 'windows' has a name that hubbub's outputs use"),
        ([[clip("a.wav", start_s=2.0, end_s=1.0)]], r"a\.wav has the segment 2\.0 s to 1\.0 s"),
        ([[clip("a\udce9.wav")]], "is not UTF-8; rename the file"),
    ],
)
def test_parts_that_break_the_contract_say_how(parts_given: list[Any], message: str, tmp_path: Path) -> None:
    def make() -> None:
        parts = TableParts(tmp_path)
        for number, clips in enumerate(parts_given):
            parts.add(number, clips)
        parts.write(tmp_path / "clips.parquet")

    with pytest.raises(ClipTableError, match=message):
        make()
    assert not (tmp_path / "clips.parquet").exists()


def test_a_table_that_lists_a_clip_twice_is_not_appended_to(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", TREES["folder"])
    table = index_streamed(tree, tmp_path / "c.parquet", "folder")
    doubled = pa.concat_tables([table.rows, table.rows.slice(1, 1)])
    write_table(ClipTable(doubled, table.root), tmp_path / "c.parquet")
    with pytest.raises(ClipTableError, match=r"c\.parquet: 1 clip more than once, such as dog/deep\.wav"):
        index_streamed(tree, tmp_path / "c.parquet", "folder", append=True)


def test_a_summary_counts_what_the_table_holds(tmp_path: Path, parts_of: int) -> None:
    clips = [clip(f"{number}.wav", labels=["a", "b"][: number % 3], fold=number % 2 or None, duration_s=0.5)
             for number in range(6)]  # fmt: skip
    parts = TableParts(tmp_path)
    for number in range(0, 6, parts_of):
        parts.add(number, clips[number : number + parts_of])
    assert (parts.summary.clips, parts.summary.labels, parts.summary.folds) == (6, {"a": 4, "b": 2}, {1})
    assert parts.summary.audio_s == 3.0
    parts.write(tmp_path / "c.parquet")
    assert len(read_table(tmp_path / "c.parquet")) == 6
