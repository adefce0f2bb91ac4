"""Settings: a canonical hash, and mistakes named so that they can be mended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.config import Settings, canonical_hash, difference, load_settings, settings_from
from hubbub.errors import SettingsError, nearest

OTHER_VALUES = [  # one row a setting that decides values: the assignments that change it and nothing else
    ["frontend.sample_rate=16000"],
    ["frontend.n_fft=1024"],
    ["frontend.hop_samples=256"],
    ["frontend.window=hamming"],
    ["frontend.n_mels=64"],
    ["frontend.fmin_hz=50"],
    ["frontend.fmax_hz=8000"],
    ["frontend.ref=max"],
    ["frontend.amin=1e-9"],
    ["frontend.top_db=null"],
    ["frontend.precision=float64"],
    ["windows.mode=all"],
    ["windows.mode=all", "windows.hop_s=2.5"],
    ["windows.duration_s=4"],
    ["dtype=float32"],
]


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "settings.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_each_value_changes_the_hash():
    hashes = [Settings().hash, *(load_settings(None, assignments).hash for assignments in OTHER_VALUES)]
    assert len(set(hashes)) == len(hashes)


def test_every_setting_that_decides_values_stands_in_the_table_above():
    named = {assignment.partition("=")[0] for assignments in OTHER_VALUES for assignment in assignments}
    values = Settings().values
    there = {f"{section}.{key}" for section in ("frontend", "windows") for key in values[section]} | {"dtype"}
    assert there == named | {"frontend.name"}, "frontend.name has one value so far"


@pytest.mark.parametrize("assignment", ["layout.rows_per_chunk=8", "layout.rows_per_shard=64"])
def test_layout_does_not_change_the_hash(assignment: str):
    assert load_settings(None, [assignment]).hash == Settings().hash


def test_the_hash_does_not_know_defaults_given_from_defaults_left_out(tmp_path: Path):
    spelt_out = written(tmp_path, json.dumps(Settings().model_dump(mode="json")))
    assert load_settings(spelt_out).hash == load_settings(None).hash


def test_the_hash_does_not_know_the_order_of_keys_or_the_way_a_number_is_written(tmp_path: Path):
    one = load_settings(written(tmp_path, "dtype: float16\nfrontend: {n_mels: 64, fmin_hz: 50, amin: 1e-9}\n"))
    two = load_settings(written(tmp_path, "frontend: {amin: 0.000000001, fmin_hz: 50.0, n_mels: 64}\n"))
    assert one == two
    assert one.hash == two.hash


def test_the_hash_stays_what_stores_out_there_were_built_with():
    assert Settings().hash == "abdf9553ab2cdca0", "a changed hash makes every store and bundle in the world foreign"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), PLAIN, max_size=5), st.randoms())
def test_canonical_hash_ignores_order_only(data: dict, random):
    keys = list(data)
    random.shuffle(keys)
    assert canonical_hash({key: data[key] for key in keys}) == canonical_hash(data)
    assert canonical_hash([data]) != canonical_hash(data)


def test_canonical_hash_refuses_what_json_cannot_say():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_hash({"a": float("nan")})


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("frontend.n_mel=64", r"unknown setting 'frontend.n_mel': did you mean 'n_mels'\?"),
        ("frontnd.n_mels=64", r"unknown setting 'frontnd': did you mean 'frontend'\?"),
        ("windows.duration=5", r"'windows.duration': did you mean 'duration_s'\?"),
        ("layout.rows_per_shards=5", r"did you mean 'rows_per_shard'\?"),
        ("zebra=1", r"unknown setting 'zebra': \(known: dtype, frontend, layout, windows\)"),
    ],
)
def test_an_unknown_setting_gets_the_nearest_one(assignment: str, message: str):
    with pytest.raises(SettingsError, match=message):
        load_settings(None, [assignment])


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["frontend.n_mels=64.5"], "frontend.n_mels: .*integer.* 64.5"),  # half a band
        (["frontend.n_mels=0"], "greater than or equal to 1.*given: 0"),
        (["frontend.n_mels=many"], "frontend.n_mels.*'many'"),
        (["frontend.sample_rate=10"], "frontend.sample_rate.*1000.*given: 10"),
        (["frontend.fmax_hz=20000"], "fmax_hz 20000 is above half the sample rate, 11025"),
        (["frontend.fmin_hz=9000", "frontend.fmax_hz=8000"], "fmin_hz 9000 is not below fmax_hz 8000"),
        (["frontend.fmin_hz=.nan"], "finite"),  # no order, so no range check would stop it
        (["frontend.fmax_hz=.inf"], "finite"),
        (["frontend.hop_samples=4096"], "hop_samples 4096 is above n_fft 2048: samples would be skipped"),
        (["frontend.ref=0"], "ref 0 is no power"),
        (["frontend.ref=peak"], "'peak'"),
        (["frontend.window=kaiser"], "'hann'.*given: 'kaiser'"),
        (["dtype=int16"], "dtype.*'float16' or 'float32'.*int16"),
        (["windows.hop_s=1"], "hop_s has a meaning only with mode 'all'"),
        (["windows.mode=all", "windows.hop_s=6"], "hop_s 6 is above duration_s 5: sound would be skipped"),
        (["windows.duration_s=0"], "duration_s.*greater than 0"),
        (["windows.duration_s=0.00001"], "shorter than one sample"),
        (["layout.rows_per_shard=50"], "rows_per_shard 50 is no multiple of rows_per_chunk 32"),
        (["frontend=log-mel"], "frontend"),  # a value where a section belongs
        (["frontend.n_mels.x=3"], "n_mels"),
        (["n_mels"], "expected KEY=VALUE, such as frontend.n_mels=64"),
        (["=64"], "expected KEY=VALUE"),
        (["dtype=[1"], r"--set 'dtype=\[1': the value cannot be read as YAML"),
        (["dtype=float32", "dtype.x=1"], "'dtype' holds a value, not settings"),
    ],
)
def test_a_bad_value_says_which_and_why(assignments: list[str], message: str):
    with pytest.raises(SettingsError, match=message):
        load_settings(None, assignments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frontend: {n_mels: 64", "settings.yaml cannot be read"),  # torn YAML
        (b"\xff\xfe\x00", "settings.yaml cannot be read"),  # no UTF-8
        ("- frontend\n", "holds a list; expected sections such as 'frontend:'"),
        ("64\n", "holds a int"),
        ("1: 2\n", "should be strings"),
        ("frontend: 3\n", "frontend.*given: 3"),
        ("frontend: {n_mel: 64}\n", "settings.yaml: unknown setting 'frontend.n_mel'"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str | bytes, message: str):
    with pytest.raises(SettingsError, match=message):
        load_settings(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(SettingsError, match="nowhere.yaml does not exist"):
        load_settings(tmp_path / "nowhere.yaml")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path)


def test_all_mistakes_are_told_at_once(tmp_path: Path):
    with pytest.raises(SettingsError, match="n_mel.*; .*dtype"):
        load_settings(written(tmp_path, "frontend: {n_mel: 64}\ndtype: int8\n"))


def test_assignments_overrule_the_file(tmp_path: Path):
    file = written(tmp_path, "frontend: {n_mels: 64, n_fft: 1024}\n")
    settings = load_settings(file, ["frontend.n_mels=32", "frontend.n_mels=40"])
    assert (settings.frontend.n_mels, settings.frontend.n_fft) == (40, 1024)


def test_an_empty_file_is_the_defaults(tmp_path: Path):
    assert load_settings(written(tmp_path, "# nothing yet\n")) == Settings()


def test_settings_survive_their_own_plain_data():
    settings = load_settings(None, ["frontend.ref=max", "layout.rows_per_shard=64", "frontend.top_db=null"])
    assert settings_from(settings.model_dump(mode="json"), where="here") == settings


def test_settings_do_not_change():
    with pytest.raises(ValueError, match="frozen"):
        Settings().frontend.n_mels = 3


@pytest.mark.parametrize(
    ("ours", "theirs", "lines"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 64}}, {"a": {"b": 128}}, ["a.b: 64, not 128"]),
        ({"a": 1, "b": 2}, {"b": 3, "c": 4}, ["a: 1, not None", "b: 2, not 3", "c: None, not 4"]),
        ({"a": {"b": 1}}, {"a": 2}, ["a: {'b': 1}, not 2"]),
    ],
)
def test_difference_lists_what_differs(ours: dict, theirs: dict, lines: list[str]):
    assert difference(ours, theirs) == lines


@given(st.dictionaries(st.text(max_size=3), PLAIN, max_size=4), st.dictionaries(st.text(max_size=3), PLAIN, max_size=4))
def test_difference_of_equals_is_empty_and_is_blind_to_nothing(ours: dict, theirs: dict):
    assert difference(ours, ours) == []
    if not any(value is None for value in [*ours.values(), *theirs.values()]):
        padded_equal = json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True)
        assert bool(difference(ours, theirs)) or ours == theirs or padded_equal or _only_nulls_differ(ours, theirs)


def _only_nulls_differ(ours: dict, theirs: dict) -> bool:
    """A key that is missing reads as null, deeper down too."""

    def without_nulls(data):
        if not isinstance(data, dict):
            return data
        return {key: without_nulls(value) for key, value in data.items() if value is not None}

    return without_nulls(ours) == without_nulls(theirs)


def test_nearest_lists_all_when_none_is_near():
    assert nearest("zzz", ["b", "a"]) == "(known: a, b)"
