"""FSD50K, AudioSet and ESC-50 with files and tables that are not quite as they were handed out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from hubbub.errors import ClipTableError
from tests.trees import labels, listed, touch, write


def fsd50k(folder: Path, dev: str = "fname,labels,mids\n1,Rain,/m/1\n2,,\n") -> Path:
    write(folder / "FSD50K.ground_truth" / "dev.csv", dev)
    write(folder / "FSD50K.ground_truth" / "eval.csv", 'fname,labels,mids,label\n9,"Rain,Wind",/m/1,x\n')
    return touch(folder, "FSD50K.dev_audio/1.wav", "FSD50K.dev_audio/2.wav", "FSD50K.eval_audio/9.wav")


def test_a_development_set_without_a_split_is_no_test(tmp_path: Path):
    listing = listed(fsd50k(tmp_path))
    assert [(clip["labels"], clip["split"]) for clip in listing.clips] == [
        (["Rain"], None),
        ([], None),
        (["Rain", "Wind"], "test"),
    ]
    assert listing.clips[2]["source_label"] == "x"
    assert listing.notes == ["eval.csv: carried columns whose names have a meaning here: label as source_label"]


def test_each_table_of_fsd50k_opens_by_itself(tmp_path: Path):
    fsd50k(tmp_path / "wrapped")
    for name, uris in (
        ("dev.csv", ["FSD50K.dev_audio/1.wav", "FSD50K.dev_audio/2.wav"]),
        ("eval.csv", ["FSD50K.eval_audio/9.wav"]),
    ):
        listing = listed(tmp_path / "wrapped" / "FSD50K.ground_truth" / name)
        assert listing.evidence == "read as fsd50k: it lies in FSD50K.ground_truth"
        assert (listing.root, list(labels(listing))) == (tmp_path / "wrapped", uris)
    assert listed(tmp_path).root == tmp_path / "wrapped"


@pytest.mark.parametrize(
    ("dev", "message"),
    [
        ("name,labels,mids\n1,Rain,x\n", r"dev\.csv has no column 'fname'; expected fname, labels \(there are: name, "),
        ("fname,labels,mids\n,Rain,x\n", r"dev\.csv: row 1 has no fname; give every row the name of its recording"),
    ],
)
def test_ground_truth_that_does_not_do_says_why(tmp_path: Path, dev: str, message: str):
    with pytest.raises(ClipTableError, match=message):
        listed(fsd50k(tmp_path, dev))


def audioset(folder: Path, *names: str, starts_s: tuple[float, ...] = (30.0,)) -> Path:
    rows = "".join(f'--PJHxphWEs, {start:.3f}, {start + 10:.3f}, "/m/09x0r"\n' for start in starts_s)
    write(folder / "eval_segments.csv", f"# YTID, start_seconds, end_seconds, positive_labels\n{rows}")
    write(folder / "class_labels_indices.csv", 'index,mid,display_name\n0,/m/09x0r,"Speech"\n')
    return touch(folder, *names)


@pytest.mark.parametrize(("length_s", "is_cut"), [(9.98, True), (60.0, False)])
def test_recordings_without_a_start_are_cut_where_they_are_no_longer_than_their_segments(
    tmp_path: Path, length_s: float, is_cut: bool
):
    audioset(tmp_path)
    soundfile.write(tmp_path / "--PJHxphWEs.wav", np.zeros(int(8000 * length_s)), 8000)
    listing = listed(tmp_path)
    (clip,) = listing.clips
    assert ("start_s" not in clip) is is_cut
    assert any("taken for cut already" in note for note in listing.notes) is is_cut


@pytest.mark.parametrize(
    "name", ["_30", "_30.000", "_30000", "_30_40", "_30000_40000", "_30.000_40.000", "_30.0_40.0", "_30.4"]
)
def test_cut_recordings_are_found_by_seconds_or_milliseconds(tmp_path: Path, name: str):
    audioset(tmp_path, f"--PJHxphWEs{name}.wav", "--PJHxphWEs_170_180.wav")
    listing = listed(tmp_path)
    (clip,) = listing.clips
    assert (clip["uri"], clip["labels"], "start_s" in clip) == (f"--PJHxphWEs{name}.wav", ["Speech"], False)
    assert listing.notes == ["1 recording (--PJHxphWEs_170_180.wav) not listed; passed over"]


def test_a_segment_cut_from_elsewhere_in_the_video_is_not_taken(tmp_path: Path):
    """30 in a name is never 30 ms, and a start in seconds goes before one in milliseconds."""
    audioset(tmp_path, *(f"--PJHxphWEs_{start}.wav" for start in (30, 1200, 1200000)), starts_s=(0.0, 1200.0, 30.0))
    listing = listed(tmp_path)
    assert [clip["uri"] for clip in listing.clips] == ["--PJHxphWEs_1200.wav", "--PJHxphWEs_30.wav"]
    assert listing.notes == [
        "1 recording (--PJHxphWEs_1200000.wav) not listed; passed over",
        "1 listed video (--PJHxphWEs) not here; passed over",
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ontology.json", b"{", r"ontology\.json does not name the classes .*; expected a list of objects with id and"),
        ("ontology.json", b'{"id": "x"}', r"expected a list of objects with id and name, or leave it out"),
        ("ontology.json", b'[{"id": "x"}]', r"\(no column 'name'\); expected a list of objects"),
        (
            "class_labels_indices.csv",
            b"index,id\n0,x\n",
            r"\(no column 'mid'\); expected the columns index, mid, displa",
        ),
        ("class_labels_indices.csv", b"index,mid,display_name\n0,x,caf\xe9\n", r"is not UTF-8 \(byte 30\)"),
        ("eval_segments.csv", b"# YTID, start_seconds, end_seconds, positive_labels\n\xe9\n", r"is not UTF-8"),
    ],
)
def test_files_of_audioset_that_cannot_be_read_say_why(tmp_path: Path, name: str, content: bytes, message: str):
    audioset(tmp_path, "--PJHxphWEs.wav")
    (tmp_path / "class_labels_indices.csv").unlink()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ClipTableError, match=message):
        listed(tmp_path)


def test_esc50_renames_columns_that_mean_something_here(tmp_path: Path):
    write(tmp_path / "meta" / "esc50.csv", "filename,fold,category,group,target\na.wav,1,dog,x,0\n")
    touch(tmp_path, "audio/a.wav")
    listing = listed(tmp_path)
    assert listing.clips == [{"uri": "a.wav", "labels": ["dog"], "fold": 1, "source_group": "x", "target": 0}]
    assert listing.notes == ["esc50.csv: carried columns whose names have a meaning here: group as source_group"]


def test_esc50_is_asked_for_where_it_is_not(tmp_path: Path):
    with pytest.raises(ClipTableError, match=r"holds no esc50\.csv; expected meta/esc50\.csv beside audio/"):
        listed(touch(tmp_path, "a.wav"), "esc50")
