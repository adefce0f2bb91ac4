"""Tables as text: how encodings and separators are found out, and what is refused for no text."""

from __future__ import annotations

import codecs
import zipfile
from pathlib import Path

import pytest

from hubbub.clips.sources import Columns, Listing, list_source
from hubbub.errors import ClipTableError


def write(path: Path, content: bytes | str) -> Path:
    (path.parent / "a.wav").touch()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def listed(source: Path) -> Listing:
    return list_source(source, None, Columns(path="file", label="kind"))


@pytest.mark.parametrize(
    "text",
    [
        "file;kind\na.wav;bark, loud\na.wav;howl, soft\n",  # as many commas in each row, but none in the header
        "file;kind;note\na.wav;dog;0,5\n",
        "\n\nfile;kind\n\na.wav;dog\n",
        "  \nfile;kind\na.wav;dog\n",
        "file;kind\na.wav;dog\n;;;;\n",  # rows of other lengths: the header says what parts the columns
        "file;kind;note\na.wav;dog;'a|b'\n",
        'file;kind\na.wav;"two\nlines, three"\n',
        "file\tkind\na.wav\tdog, cat; cow\n",
    ],
)
def test_the_separator_is_that_of_all_rows_or_of_the_header(tmp_path: Path, text: str):
    from hubbub.clips.sources.table_files import read_header

    assert read_header(write(tmp_path / "t.csv", text))[:2] == ["file", "kind"]


@pytest.mark.parametrize("text", ["file,kind;x\na.wav,dog;1\n", "file;x,kind\n1;a.wav,dog\n"])
def test_commas_win_ties(tmp_path: Path, text: str):
    from hubbub.clips.sources.table_files import read_header

    assert read_header(write(tmp_path / "t.csv", text)) == text.partition("\n")[0].split(",")


TEXT = "file,kind\na.wav,gr\u00f6\u00dfer\n"


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"), None),
        (codecs.BOM_UTF32_BE + TEXT.encode("utf-32-be"), None),
        (TEXT.encode("utf-16-le"), "t.csv: does not say its encoding and was read as UTF-16-LE"),
        (TEXT.encode("utf-16-be"), "t.csv: does not say its encoding and was read as UTF-16-BE"),
        (TEXT.encode("utf-32-le"), "t.csv: does not say its encoding and was read as UTF-32-LE"),
        (TEXT.encode("utf-32-be"), "t.csv: does not say its encoding and was read as UTF-32-BE"),
        (TEXT.encode("cp1252"), "was read as Windows-1252; if letters come out wrong, save it as UTF-8"),
        (
            TEXT.replace("file", "\x90,file").replace("a.wav", "1,a.wav").encode("latin-1"),
            "was read as Latin-1; if letters come out wrong",
        ),
    ],
)
def test_encodings_are_found_out_and_said_rightly(tmp_path: Path, content: bytes, note: str | None):
    listing = listed(write(tmp_path / "t.csv", content))
    assert listing.clips[0]["labels"] == ["gr\u00f6\u00dfer"]
    assert len(listing.notes) == (note is not None)
    assert note is None or note in listing.notes[0]


def zipped(path: Path) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file,kind\na.wav\0,dog\n", "it holds null bytes, which no text does; expected a table as text"),
        (TEXT.encode("utf-16")[:-1], "it begins as UTF-16 and does not go on so; save it as UTF-8"),
        (b"\xff\xfe\0\0" + b"\xff" * 8, "it begins as UTF-32 and does not go on so"),
        (codecs.BOM_UTF8 + b"file,kind\na.wav,\xff\n", "it begins as UTF-8-SIG and does not go on so"),
        (b"\x1f\x8b\x08\0\0", "it is compressed; unpack it"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "it is a recording; give the folder that it lies in, or a table"),
        (b"PAR1\0\0", "it is Parquet; give it a name that ends in .parquet"),
        (b"", "it is empty; expected a header and one row a clip"),
        (b"\xef\xbb\xbf\r\n \r\n", "it is empty"),
    ],
)
def test_what_is_no_text_is_refused_in_words(tmp_path: Path, content: bytes, message: str):
    with pytest.raises(ClipTableError, match="cannot be read as CSV: ") as raised:
        listed(write(tmp_path / "t.csv", content))
    assert message in str(raised.value)


def test_a_workbook_is_refused_in_words(tmp_path: Path):
    with pytest.raises(ClipTableError, match="it is a workbook of Excel or a zip archive; save the table as CSV"):
        listed(write(tmp_path / "t.xlsx", zipped(tmp_path / "t.zip")))


@pytest.mark.parametrize("size", [2**16 - 1, 2**16, 2**16 + 1])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-be"])
def test_a_header_is_read_where_a_letter_is_cut(tmp_path: Path, size: int, encoding: str):
    from hubbub.clips.sources.table_files import read_header

    head = "file,kind\n".encode(encoding)
    filler = "\u00fc".encode(encoding.removesuffix("-sig")) if encoding != "utf-16" else "\u00fc".encode("utf-16-le")
    content = head + filler * ((size - len(head)) // len(filler) + 2)
    assert read_header(write(tmp_path / "t.csv", content)) == ["file", "kind"]
