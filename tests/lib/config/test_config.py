"""Settings: a canonical hash, and mistakes named so that they can be mended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.config import (
    LogMelSettings,
    Settings,
    Windows,
    canonical_hash,
    describe_difference,
    load_settings,
    parse_settings,
)
from hubbub.config.frontends import FRONTENDS
from hubbub.config.variants import Variants
from hubbub.errors import SettingsError, suggest_nearest

OTHER_VALUES = [  # one row a setting outside the frontend that decides values: what changes it and nothing else
    ["windows.mode=all"],
    ["windows.mode=all", "windows.hop_s=2.5"],
    ["windows.mode=random", "windows.crop_s=2"],
    ["windows.mode=random", "windows.crop_s=3"],
    ["windows.duration_s=4"],
    ["channels=first"],
    ["channels=each"],
    ["channels=left-right-mix"],
    ["dtype=float32"],
]

_FRAMES = ["sample_rate=16000", "n_fft=1024", "hop_samples=256", "window=hamming", "precision=float64"]
_BANDS = ["n_mels=64", "fmin_hz=50", "fmax_hz=8000"]
_DECIBELS = ["ref=max", "amin=1e-9", "top_db=null"]

OTHER_FRONTENDS = {  # the same for each frontend's own settings
    "log-mel": [*_FRAMES, *_BANDS, *_DECIBELS],
    "mel": [*_FRAMES, *_BANDS],
    "stft-db": [*_FRAMES, *_DECIBELS],
    "log-frequency": [*_FRAMES, *_DECIBELS, "fmin_hz=50", "fmax_hz=8000", "bands_per_octave=24"],
    "mfcc": [*_FRAMES, *_BANDS, *_DECIBELS, "n_mfcc=13", "deltas=1", "delta_frames=5", "lifter=22"],
    "chroma": [*_FRAMES, "n_chroma=24", "tuning=0.1", "norm=sum"],
    "pcen": [*_FRAMES, *_BANDS, "gain=0.8", "bias=1", "power=0.25", "time_constant_s=0.1", "eps=1e-5", "scale=32768"],
    "waveform": ["sample_rate=16000"],
    "descriptors": [*_FRAMES, "rolloff_share=0.5", "n_chroma=24", "n_mfcc=13"],
}


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "settings.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_each_value_changes_the_hash():
    frontends = [
        [f"frontend.name={name}", *([f"frontend.{other}"] if other else [])]
        for name, others in OTHER_FRONTENDS.items()
        for other in (None, *others)
    ]
    hashes = [load_settings(None, assignments).hash for assignments in [*frontends, *OTHER_VALUES]]
    assert Settings().hash in hashes
    assert len(set(hashes)) == len(hashes)


def test_every_setting_that_decides_values_stands_in_the_tables_above():
    named = {assignment.partition("=")[0] for assignments in OTHER_VALUES for assignment in assignments}
    there = {f"windows.{key}" for key in Windows.model_fields} | set(Settings.model_fields)
    assert named == there - {"frontend", "windows", "variants", "layout"}
    for name, frontend in FRONTENDS.items():
        assert {other.partition("=")[0] for other in OTHER_FRONTENDS[name]} | {"name"} == set(frontend.model_fields)


@pytest.mark.parametrize("name", FRONTENDS)
def test_a_name_chooses_a_frontend_and_its_defaults(name: str):
    settings = load_settings(None, [f"frontend.name={name}"])
    assert settings == Settings(frontend=FRONTENDS[name]())
    assert settings.dtype == settings.frontend.dtypes[0]
    assert parse_settings(settings.model_dump(mode="json"), where="here") == settings


def test_settings_without_a_name_are_log_mels():
    assert load_settings(None, ["frontend.n_mels=64"]).frontend == LogMelSettings(n_mels=64)


@pytest.mark.parametrize("assignment", ["layout.rows_per_chunk=8", "layout.rows_per_shard=64"])
def test_layout_does_not_change_the_hash(assignment: str):
    assert load_settings(None, [assignment]).hash == Settings().hash


def test_variants_do_not_change_the_hash():
    augmented = Settings().model_copy(update={"variants": Variants.model_construct()})
    assert augmented != Settings()
    assert augmented.hash == Settings().hash


@pytest.mark.parametrize("later", ["channels", "variants", "crop_s"])
def test_what_was_added_later_is_not_in_the_values_of_older_stores(later: str):
    assert f'"{later}"' not in json.dumps(Settings().values)


def test_a_crop_is_what_a_model_hears():
    assert load_settings(None, ["windows.mode=random", "windows.crop_s=2"]).windows.input_s == 2
    assert Settings().windows.input_s == 5


def test_the_hash_does_not_know_defaults_given_from_defaults_left_out(tmp_path: Path):
    full_values = written(tmp_path, json.dumps(Settings().model_dump(mode="json")))
    assert load_settings(full_values).hash == load_settings(None).hash


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
        ("zebra=1", r"unknown setting 'zebra': known are channels, dtype, frontend, layout, variants, windows"),
        ("frontend.name=log_mel", r"frontend.name: unknown frontend 'log_mel': did you mean 'log-mel'\? \(known: chr"),
        ("frontend.name=mfc", r"unknown frontend 'mfc': did you mean 'mfcc'\?"),
        ("frontend.name=zebra", r"unknown frontend 'zebra': known are chroma, descriptors, log-frequency, log-mel, "),
        ("frontend.bands_per_octave=24", "frontend log-mel has no 'bands_per_octave'; log-frequency has"),
        ("frontend.n_mel", r"expected KEY=VALUE"),
        ("n_mels=64", r"unknown setting 'n_mels': did you mean 'frontend.n_mels'\?"),
        ("crop_s=2", r"unknown setting 'crop_s': did you mean 'windows.crop_s'\?"),
    ],
)
def test_an_unknown_setting_gets_the_nearest_one(assignment: str, message: str):
    with pytest.raises(SettingsError, match=message):
        load_settings(None, [assignment])


@pytest.mark.parametrize(
    ("name", "setting", "meant"),
    [
        ("mfcc", "n_mfc", "n_mfcc"),
        ("chroma", "tunning", "tuning"),
        ("pcen", "time_constant", "time_constant_s"),
        ("descriptors", "rolloff", "rolloff_share"),
        ("log-frequency", "bands_an_octave", "bands_per_octave"),
        ("stft-db", "topdb", "top_db"),
    ],
)
def test_an_unknown_setting_gets_the_nearest_one_of_its_frontend(name: str, setting: str, meant: str):
    with pytest.raises(SettingsError, match=rf"unknown setting 'frontend.{setting}': did you mean '{meant}'\?"):
        load_settings(None, [f"frontend.name={name}", f"frontend.{setting}=1"])


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["frontend.n_mels=64.5"], "frontend.n_mels: expected a whole number .*64.5"),  # half a band
        (["frontend.n_mels=0"], "expected at least 1 .*given: 0"),
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
        (["windows.mode=all", "windows.hop_s=6"], "hop_s 6 is above duration_s 5: audio would be skipped"),
        (["windows.duration_s=0"], "duration_s.*expected more than 0"),
        (["windows.duration_s=0.00001"], "shorter than one sample"),
        (["windows.crop_s=2"], "mode 'random' and crop_s go together: give both, or neither"),
        (["windows.mode=random"], "mode 'random' and crop_s go together"),
        (["windows.mode=random", "windows.crop_s=6"], "crop_s 6 is above duration_s 5: rows are no longer"),
        (["windows.mode=random", "windows.crop_s=0.00001"], "windows.crop_s 1e-05 is shorter than one sample"),
        (["channels=left"], "channels: .*'mix', 'first', 'each' or 'left-right-mix'.*given: 'left'"),
        (["frontend.amin=0"], "frontend.amin.*expected more than 0"),
        (["frontend.amin=1e-40"], "amin 1e-40 is nothing in float32: give 1e-30 or more"),
        (["frontend.name=log-frequency", "frontend.fmin_hz=0"], "frontend.fmin_hz.*expected more than 0.*given: 0"),
        (["frontend.name=log-frequency", "frontend.fmax_hz=20"], "fmin_hz 32.7 is not below fmax_hz 20"),
        (["frontend.name=log-frequency", "frontend.fmax_hz=12000"], "fmax_hz 12000 is above half the sample rate"),
        (["frontend.name=mfcc", "frontend.n_mfcc=50", "frontend.n_mels=40"], "n_mfcc 50 is above n_mels 40"),
        (["frontend.name=mfcc", "frontend.delta_frames=8"], "delta_frames 8 is even: give an odd number, such as 9"),
        (["frontend.name=mfcc", "frontend.lifter=0.5"], "lifter 0.5 is below 1: give 0 for none, or some 20"),
        (["frontend.name=mfcc", "windows.duration_s=0.1"], "0.1 s makes 5 frames, and frontend.delta_frames is 9: "),
        (["frontend.name=mfcc", "windows.mode=random", "windows.crop_s=0.1", "frontend.top_db=null"], "makes 5 frames"),
        (["frontend.name=mfcc", "windows.mode=random", "windows.crop_s=1"], "set frontend.top_db to null and front"),
        (["frontend.name=pcen", "windows.mode=random", "windows.crop_s=1"], "crops rows, and pcen remembers what came"),
        (["frontend.name=descriptors", "windows.mode=random", "windows.crop_s=1"], "take a floor from the whole row"),
        (["frontend.name=mfcc", "frontend.lifter=22", "dtype=float16"], "cannot hold the values of mfcc; give float32"),
        (["frontend.name=mel", "dtype=float16"], "dtype float16 cannot hold the values of mel; give float32"),
        (["frontend.name=chroma", "frontend.norm=null", "dtype=float16"], "cannot hold the values of chroma"),
        (["frontend.name=chroma", "frontend.norm=l2"], "frontend.norm: .*'max' or 'sum'.*given: 'l2'"),
        (["frontend.name=pcen", "frontend.gain=0", "dtype=float16"], "cannot hold the values of pcen; give float32"),
        (["frontend.name=descriptors", "dtype=float16"], "cannot hold the values of descriptors; give float32"),
        (["frontend.name=descriptors", "frontend.rolloff_share=1"], "rolloff_share.*less than 1"),
        (["layout.rows_per_shard=50"], "rows_per_shard 50 is no multiple of rows_per_chunk 32"),
        (["frontend=log-mel"], r"'log-mel' is no section of settings; a frontend is chosen by frontend.name \("),
        (["windows=all"], "windows: 'all' is no section of settings; such as windows.mode=all"),
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
        ("frontend: 3\n", "frontend: 3 is no section of settings"),
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
    assert parse_settings(settings.model_dump(mode="json"), where="here") == settings


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
    assert describe_difference(ours, theirs) == lines


@given(st.dictionaries(st.text(max_size=3), PLAIN, max_size=4), st.dictionaries(st.text(max_size=3), PLAIN, max_size=4))
def test_difference_of_equals_is_empty_and_is_blind_to_nothing(ours: dict, theirs: dict):
    assert describe_difference(ours, ours) == []
    if not any(value is None for value in [*ours.values(), *theirs.values()]):
        padded_equal = json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True)
        assert (
            bool(describe_difference(ours, theirs))
            or ours == theirs
            or padded_equal
            or _only_nulls_differ(ours, theirs)
        )


def _only_nulls_differ(ours: dict, theirs: dict) -> bool:
    """A key that is missing reads as null, deeper down too."""

    def without_nulls(data):
        if not isinstance(data, dict):
            return data
        return {key: without_nulls(value) for key, value in data.items() if value is not None}

    return without_nulls(ours) == without_nulls(theirs)


def test_nearest_lists_all_when_none_is_near():
    assert suggest_nearest("zzz", ["b", "a"]) == "known are a, b"
