"""Parts of pages that are written from the code: escapes, units, ranges, types, columns."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from hubbub_site import PARTS
from hubbub_site.formats import say_type, write_columns
from hubbub_site.markdown import as_text, write_table
from hubbub_site.settings import unit_of, write_frontends, write_variants

from tests.docs.pages import ROOT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("marked `retired` and excluded", "marked `retired` and excluded"),  # code stays code
        ("FILE_NAME and *all*", r"FILE\_NAME and \*all\*"),  # no emphasis
        ("s3://<bucket>/[prefix]", r"s3://\<bucket\>/\[prefix\]"),  # no tag, no link
        ("see --dry-run", "see `--dry-run`"),  # two hyphens would become a dash
        ("a-b and `--set`", "a-b and `--set`"),  # what is code already
    ],
)
def test_plain_text_has_no_meaning_to_markdown(text: str, expected: str) -> None:
    assert as_text(text) == expected


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    assert "| `a \\| b` | c |" in write_table(("x", "y"), [("`a | b`", "c")])


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("fmin_hz", "Hz"),
        ("sample_rate", "Hz"),  # the longest end counts: other rates are ratios
        ("learning_rate", ""),
        ("hop_samples", "samples"),
        ("gain_db", "dB"),
        ("duration_s", "s"),
        ("n_mels", ""),
        ("rows_per_shard", ""),
    ],
)
def test_names_tell_units(name: str, unit: str) -> None:
    assert unit_of(name) == unit


def test_ranges_and_choices_are_those_that_are_checked() -> None:
    frontends, variants = write_frontends(), write_variants()
    assert (
        "| `frontend.sample_rate` | Hz; clips are resampled to it | Hz | `22050` | at least 1,000 and at most 384,000 |"
        in frontends
    )
    assert "`hann` `hamming` `blackman` `boxcar`" in frontends
    assert "within -24 and 24" in variants


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (pa.list_(pa.string()), "list of string"),
        (pa.list_(pa.float16(), 3), "list of float16"),
        (pa.timestamp("us", tz="UTC"), "timestamp, UTC"),
        (pa.float64(), "float64"),
        (pa.int32(), "int32"),
    ],
)
def test_types_are_said_as_people_write_them(kind: pa.DataType, said: str) -> None:
    assert say_type(kind) == said


def test_a_column_without_a_meaning_stops_the_build() -> None:
    with pytest.raises(KeyError, match="new_column"):
        write_columns([pa.field("new_column", pa.string())], {})


def test_every_variable_of_the_environment_is_described() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8") for room in ("lib", "jobs") for path in (ROOT / room).rglob("*.py")
    )
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert [name for name in sorted(set(re.findall(r"\bHUBBUB_[A-Z0-9_]+", sources))) if f"`{name}`" not in page] == []


@pytest.mark.parametrize("name", sorted(set(PARTS) - {"walk-throughs"}))
def test_every_part_is_written(name: str) -> None:
    assert len(PARTS[name]()) > 100
