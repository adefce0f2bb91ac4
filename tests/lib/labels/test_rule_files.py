"""Rule files come back as they were written, and say what is wrong in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.errors import SettingsError
from hubbub.io.paths import parse_path
from hubbub.labels.events import EventRule
from hubbub.labels.rule_files import read_rules, write_rules

RULES = {"dog": EventRule(0.5, 0.25), "rain": EventRule(0.5, 0.5, merge_gap_s=1), "yes": EventRule(), "1": EventRule()}


def read(folder: Path, text: str, rules: dict[str, EventRule] = RULES) -> dict[str, EventRule]:
    (folder / "rules.yaml").write_text(text, encoding="utf-8")
    return read_rules(folder / "rules.yaml", rules)


def test_what_a_file_does_not_name_stays(tmp_path: Path):
    found = read(tmp_path, 'dog: 0.8\nrain: {threshold: 0.6, release: 0.3}\n"1": {min_duration_s: 2}\n')
    assert found == {
        "dog": EventRule(0.8, 0.4),  # the release keeps its proportion
        "rain": EventRule(0.6, 0.3, merge_gap_s=1),
        "yes": EventRule(),
        "1": EventRule(min_duration_s=2),
    }
    assert read(tmp_path, "") == read(tmp_path, "# nothing\n") == RULES


def test_unknown_is_a_label_that_may_be_off(tmp_path: Path):
    with_unknown = read(tmp_path, "unknown: 0.3")
    assert (with_unknown["unknown"].threshold, with_unknown["unknown"].min_duration_s) == (0.3, 0.3)
    for off in ("unknown: off", "unknown: 'off'"):
        assert read(tmp_path, off, with_unknown) == read(tmp_path, off) == RULES


Names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(st.dictionaries(Names, st.floats(0.001, 1), max_size=4))
def test_written_thresholds_are_read(thresholds: dict[str, float]):
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = write_rules(Path(folder) / "rules.yaml", thresholds)
        found = read_rules(path, dict.fromkeys(thresholds, EventRule()))
        assert {label: rule.threshold for label, rule in found.items()} == thresholds


def test_written_rules_are_read(tmp_path: Path):
    rules = {"größe <b>": EventRule(0.6, 0.2, 0.1, 0.2, 0.3, 0.4, 0.5, -0.1), "no": EventRule(0.7, 0.1)}
    path = write_rules(tmp_path / "rules.yaml", rules)
    assert read_rules(path, dict.fromkeys(rules, EventRule())) == rules
    assert "größe" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dgo: 0.7", "unknown label 'dgo': did you mean 'dog'"),
        ("dog: loud", "label 'dog': threshold is 'loud'; expected a number"),
        ("dog: true", "expected a number"),
        ("dog:", "threshold is None; expected a number"),
        ("dog: [0.7]", "expected a number"),
        ("dog: {treshold: 0.7}", "label 'dog': unknown entry 'treshold': did you mean 'threshold'"),
        ("dog: {threshold: 0.7, release: 0.9}", "label 'dog': release 0.9 does not fit threshold 0.7"),
        ("dog: 1.5", "label 'dog': threshold 1.5 is no score"),
        ("dog: 0", "label 'dog': threshold 0 is no score"),
        ("dog: .nan", "label 'dog': threshold nan is no score"),
        ("dog: " + "9" * 400, "label 'dog': "),
        ("1: 0.7", '1 is no text; write the label in quotes, such as "1": 0.7'),
        ("yes: 0.7", "True is no text; write the label in quotes"),
        ("- dog", "holds a list; expected labels, such as 'dog: 0.7'"),
        ("dog: [", "cannot be read: line 1, column 7"),
        ("dog: !!python/object/apply:os.system ['false']", "cannot be read: line 1"),
        ("a" * 20 + "\x00", "cannot be read"),
    ],
)
def test_files_that_cannot_be(tmp_path: Path, text: str, message: str):
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert "rules.yaml" in str(caught.value)


def test_files_that_are_not_there_or_no_text(tmp_path: Path):
    with pytest.raises(SettingsError, match="does not exist"):
        read_rules(tmp_path / "none.yaml", RULES)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_rules(tmp_path, RULES)
    (tmp_path / "rules.yaml").write_bytes(b"dog: \xff")
    with pytest.raises(SettingsError, match="expected YAML in UTF-8"):
        read_rules(tmp_path / "rules.yaml", RULES)


def test_rules_in_a_bucket(s3: str):
    path = write_rules(parse_path(f"{s3}/rules.yaml"), {"dog": 0.75})
    assert read_rules(path, RULES)["dog"].threshold == 0.75
