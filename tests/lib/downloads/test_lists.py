"""Lists of addresses, as people have them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hubbub.downloads.journal import JournalWriter, list_parts, read_journal
from hubbub.downloads.lists import read_list
from hubbub.errors import UsageError

A, B = "https://h.example/a.wav", "https://h.example/b.wav"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("urls.txt", f"{A}\n{B}\n".encode()),
        ("urls.txt", f"\ufeff# mine\r\n{A}\r\n\r\n  {B}  ".encode()),
        ("urls.txt", f"{A}\r\n{B}\r\n".encode("utf-16")),
        ("urls", f"{A}\n{B}\n{A}".encode()),
        ("urls.txt", f"my sounds\n{A}\n{B}\n".encode()),
        ("t.csv", f"id,url\n1,{A}\n2,{B}\n".encode()),
        ("t.csv", f"id;link\n1;{A}\n2;{B}\n".encode("utf-16")),
        ("t.tsv", f"link\tid\n{A}\t1\n{B}\t2\n".encode()),
        ("t.jsonl", f'{{"audio": "{A}"}}\n{{"audio": "{B}"}}\n'.encode()),
    ],
)
def test_addresses_are_found_in_texts_and_tables(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    links, bad = read_list(tmp_path / name)
    assert [link.address for link in links] == [A, B]
    assert [text for text, _ in bad] == (["my sounds"] if content.startswith(b"my") else [])


def test_values_that_no_table_can_hold_are_kept_as_text(tmp_path: Path) -> None:
    large = 10**30
    (tmp_path / "t.jsonl").write_text(f'{{"url": "{A}", "t": "x\\ud800y", "n": {large}}}\n', "utf-8")
    links, _ = read_list(tmp_path / "t.jsonl")
    assert links[0].columns == {"t": "x?y", "n": str(large)}


def test_passwords_of_addresses_that_are_refused_are_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text(
        f"{A}\nhttps://me:s3cret@h.example/b.wav\nhttps://me:s3cret@h:x/b.wav\n", "utf-8"
    )
    _, bad = read_list(tmp_path / "urls.txt")
    assert len(bad) == 2
    assert "s3cret" not in str(bad)
    assert bad[0][0] == "https://…@h.example/b.wav"


def test_other_columns_are_carried_with_their_types(tmp_path: Path) -> None:
    frame = pd.DataFrame({"url": [A, B], "lat": [59.5, None], "n": [1, 2], "who": ["x", ""]})
    frame.to_parquet(tmp_path / "t.parquet")
    links, _ = read_list(tmp_path / "t.parquet")
    assert links[0].columns == {"lat": 59.5, "n": 1, "who": "x"}
    assert "lat" not in links[1].columns


@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [
        (f"url,page\n{A},{B}\n", {}, "--url-column url"),
        ("name,kind\na.wav,dog\n", {}, "no column holds addresses"),
        (f"url,x\n{A},1\n", {"url_column": "urls"}, "did you mean 'url'"),
        ("url\nnone\nnot\n", {"url_column": "url"}, "holds no addresses"),
    ],
)
def test_a_table_without_clear_addresses_is_refused(
    tmp_path: Path, content: str, options: dict[str, str], reason: str
) -> None:
    (tmp_path / "t.csv").write_text(content, "utf-8")
    with pytest.raises(UsageError, match=reason):
        read_list(tmp_path / "t.csv", **options)


def test_a_list_that_is_not_there_says_what_may_be_given(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the address of a site"):
        read_list(tmp_path / "none.txt")


def test_a_journal_loses_at_most_the_line_that_a_kill_cut(tmp_path: Path) -> None:
    with JournalWriter(tmp_path) as one, JournalWriter(tmp_path) as other:
        for number in range(3):
            one.add({"n": number})
            other.add({"n": number + 10, "text": "a\u2028b\n"})
    (part, *_) = list_parts(tmp_path)
    part.write_bytes(part.read_bytes()[:-4])
    assert len(list(read_journal(list_parts(tmp_path)))) == 5


def test_a_journal_in_a_bucket_is_there_after_each_line(s3: str) -> None:
    from hubbub.io.paths import parse_path

    folder = parse_path(f"{s3}/journal")
    with JournalWriter(folder) as writer:
        for number in range(120):
            writer.add({"n": number})
            if number in (0, 99, 119):
                assert len(list(read_journal(list_parts(folder)))) == number + 1
    assert len(list_parts(folder)) == 2


def test_a_folder_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder; expected a list of addresses"):
        read_list(tmp_path)


@pytest.mark.parametrize("content", ["", "\n\n", "# none yet\n"])
def test_an_empty_text_is_a_list_without_addresses(tmp_path: Path, content: str) -> None:
    """Asked for a header and one row a clip."""
    (tmp_path / "urls.txt").write_text(content, "utf-8")
    with pytest.raises(UsageError, match="holds no addresses; expected one a line"):
        read_list(tmp_path / "urls.txt")
